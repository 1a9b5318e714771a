"""What a peer may say about introductions: nothing raises, nothing grows; and what a node says of itself."""

from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, NodeRecord, Peer
from devp2p.node.discovering import own_enr
from devp2p.node.introducing import Introducing
from devp2p.node.roster import Roster
from devp2p.peers.introductions import ASKS
from devp2p.records import Record
from devp2p.trust import Trust
from devp2p.wire.dpx import Accept, Feature, Offer, Pact, control
from tests.node.introduced import Served, town
from tests.node.test_vouching import I1, KEYS, WALL, B, Side
from tests.wire.dpx.test_control import controls


def conversation(clock_at: float = 0.0) -> tuple[Side, Introducing, Pact]:
    """A node's side of a conversation with one peer that it knows, without a network."""
    side = Side(B, I1)
    side.clock.seconds = clock_at
    found = Introducing(side.key, side.policy, Roster(), side.vouching, wall=side.clock.wall, enr=lambda: None)
    pact = Pact(I1.public_key, Offer(Feature.INTRODUCE, bytes(32)), Accept(Feature.INTRODUCE, bytes(32)), KEYS, initiated=True)
    (capability,) = side.policy.capabilities.values()
    peer = SimpleNamespace(
        id=I1.public_key.node_id,
        public_key=I1.public_key,
        trust=Trust.KNOWN,
        ended=None,
        introducer=None,
        capabilities=(capability,),
        active=(capability,),
    )
    found.began(cast("Peer", peer), pact)
    return side, found, pact


@given(st.lists(controls, max_size=20))
@settings(max_examples=50)
def test_whatever_a_peer_says_raises_nothing(messages):
    side, _, pact = conversation()
    before = len(pact.to_send)
    for message in messages:
        pact.heard(message)
    assert len(pact.to_send) == before  # it is the only peer, so there is nobody to be introduced to it
    assert not side.vouching.records_for(B.public_key)


def test_only_four_notes_an_hour_and_four_consents_at_once_are_read():
    side, _, pact = conversation()
    for number in range(10):
        pact.heard(control.IntroductionNote(bytes([number]) * 32, bytes(16), WALL + 60))
        pact.heard(control.IntroductionConsent(b"", 2 if number < 4 else 1))
    assert len(side.vouching._expected) == 4
    assert side.policy.referrals.consents(I1.public_key.node_id, Trust.INTRODUCED, b"")  # of the fourth
    pact.heard(control.IntroductionNote(bytes(32), bytes(16), WALL - 1))
    assert len(side.vouching._expected) == 4


@pytest.mark.parametrize("mode", [0, 77], ids=["none", "of a later version"])
def test_who_wants_no_more_of_it_is_always_heard(mode):
    side, _, pact = conversation()
    for _ in range(5):
        pact.heard(control.IntroductionConsent(b"", 2))
    assert side.policy.referrals.consents(I1.public_key.node_id, Trust.KNOWN, b"")
    pact.heard(control.IntroductionConsent(b"", mode))
    assert not side.policy.referrals.consents(I1.public_key.node_id, Trust.KNOWN, b"")


def test_for_a_peer_that_asks_too_often_nobody_is_looked_at(monkeypatch):
    side, found, pact = conversation()
    (talk,) = found._talks.values()
    talk.enr = Record.sign(I1, 1, {"ip": "5.1.0.1", "tcp": 30303})
    standing = Mock(wraps=side.policy.ratings.standing)
    monkeypatch.setattr(side.policy.ratings, "standing", standing)
    for _ in range(10):
        pact.heard(control.IntroductionRequest(1, 4))
    assert standing.call_count == ASKS


def test_nothing_holds_a_peer_when_its_session_is_over():
    side, found, pact = conversation()
    (talk,) = found._talks.values()
    found.ended(talk.peer)
    assert talk.peer.introducer is None
    assert not found._talks
    heard = pact.heard
    heard(control.IntroductionConsent(b"", 2))
    assert not side.policy.referrals.consents(talk.peer.id, Trust.KNOWN, b"")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("tcp://5.1.0.1:30303", ("5.1.0.1", 30303)),
        ("tcp://[2a00::1]:30303", ("2a00::1", 30303)),
        ("tcp://0.0.0.0:30303", None),
        ("tcp://5.1.0.1:0", None),
        ("tcp://example.org:30303", None),
        ("memory://node", None),
        (None, None),
    ],
)
def test_the_record_of_a_node_without_discovery(address, expected):
    found = own_enr(B, () if address is None else (Address.parse(address),), None)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        (named,) = NodeRecord.from_enr(found).addresses
        assert (named.host, named.port) == expected
        assert found.public_key == B.public_key


async def test_nodes_that_know_each_other_by_sessions_of_the_day_before_introduce_each_other(monkeypatch):
    """As it really goes: no trust is set by the test."""
    days = 0.0
    monkeypatch.setattr("time.time", lambda: WALL + 86400 * days + trio.current_time())
    async with town() as found:
        introducer, audience = await found.settle("introducer"), await found.settle("audience")
        subject = await found.settle("subject", introductions="known")
        others = (audience, subject)
        await found.acquaint(introducer, *others, known=False)
        assert await found.peer(audience, introducer).introduce_me(Served, timeout=1.0) == ()
        for other in others:
            found.peer(introducer, other).disconnect()
        days = 1.01
        await trio.sleep(60)
        await found.acquaint(introducer, *others, known=False)
        for other in others:
            assert found.peer(introducer, other).trust is found.peer(other, introducer).trust is Trust.KNOWN
        (record,) = await found.peer(audience, introducer).introduce_me(Served)
        peer = await audience.connect(record)
        await wait_all_tasks_blocked()
        assert peer.trust is found.peer(subject, audience).trust is Trust.INTRODUCED
        # A day later the two know each other by themselves.
        peer.disconnect()
        days = 2.02
        await trio.sleep(60)
        peer = await audience.connect(record)
        await wait_all_tasks_blocked()
        assert peer.trust is found.peer(subject, audience).trust is Trust.KNOWN
        assert subject.policy.introducers.vouchers(audience.public_key.node_id) == ()
