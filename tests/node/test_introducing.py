"""Whole nodes introduce each other: who is asked, who is told, who is dialled, and who is trusted for it."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, LocalProtocolError, Node, NodeRecord, Peer, PeerDisconnected, PrivateKey, open_node
from devp2p.node.introducing import Introducing
from devp2p.records import Record
from devp2p.trust import Trust
from devp2p.wire.dpx import IntroductionRecord, control
from tests.chat import Chat, ChatMessage
from tests.node.introduced import NO_PINGS, Served, Town, town


async def three(found: Town, consent: str = "any", **options: object) -> tuple[Node, Node, Node]:
    """The introducer, who knows both; the audience; and the subject, who lets itself be introduced."""
    introducer, audience = await found.settle("introducer"), await found.settle("audience")
    subject = await found.settle("subject", introductions=consent, **options)
    await found.acquaint(introducer, audience, subject)
    await wait_all_tasks_blocked()
    return introducer, audience, subject


def talks(node: Node) -> Introducing:
    return node._introducing


async def test_a_node_is_introduced_by_one_that_it_knows_to_one_that_it_does_not():
    async with town() as found:
        introducer, audience, subject = await three(found)
        records = await found.peer(audience, introducer).introduce_me(Served)
        assert [record.public_key for record in records] == [subject.public_key]
        assert records[0].addresses == subject.addresses
        await wait_all_tasks_blocked()
        peer = await audience.connect(records[0])
        await wait_all_tasks_blocked()
        for one, other in ((audience, subject), (subject, audience)):
            seen = found.peer(one, other)
            assert (seen.trust, seen.profile.mode) == (Trust.INTRODUCED, "introduced")
            assert seen.profile.why.startswith(f"introduced by {introducer.public_key.node_id.hex()[:16]}")
        assert found.peer(subject, audience).profile.why.endswith(", as it had said")
        assert peer.public_key == subject.public_key


async def test_a_record_is_good_for_one_session():
    async with town() as found:
        introducer, audience, subject = await three(found)
        (record,) = await found.peer(audience, introducer).introduce_me(Served)
        peer = await audience.connect(record)
        peer.disconnect()
        await peer.wait_ended()
        await trio.sleep(60)
        again = await audience.connect(record)
        await wait_all_tasks_blocked()
        assert again.trust is found.peer(subject, audience).trust is Trust.STRANGER


@pytest.mark.parametrize(
    ("consent", "trust", "count"), [("none", Trust.KNOWN, 0), ("known", Trust.KNOWN, 1), ("known", Trust.INTRODUCED, 0)]
)
async def test_a_node_that_does_not_consent_is_not_introduced(consent, trust, count):
    async with town() as found:
        introducer, audience, _ = await three(found, consent)
        peer = found.peer(introducer, audience)
        peer.profile = replace(peer.profile, trust=trust)
        assert len(await found.peer(audience, introducer).introduce_me(Served)) == count


async def test_a_stranger_is_told_nothing_and_strangers_are_not_introduced():
    async with town() as found:
        introducer, audience, subject = await three(found)
        for stranger in (audience, subject):
            peer = found.peer(introducer, stranger)
            known, peer.profile = peer.profile, replace(peer.profile, trust=Trust.STRANGER)
            before = trio.current_time()
            assert await found.peer(audience, introducer).introduce_me(Served, 4, timeout=5.0) == ()
            assert trio.current_time() - before == pytest.approx(5.0)
            peer.profile = known


async def test_consent_that_is_withdrawn_in_between_counts():
    async with town() as found:
        introducer, audience, subject = await three(found)
        (record,) = await found.peer(audience, introducer).introduce_me(Served)
        subject.let_introduce("none")
        assert subject.introductions == "none"
        peer = await audience.connect(record)
        await wait_all_tasks_blocked()
        assert peer.trust is found.peer(subject, audience).trust is Trust.STRANGER
        other = await found.settle("other")
        await found.acquaint(introducer, other)
        assert await found.peer(other, introducer).introduce_me(Served, timeout=1.0) == ()
        subject.let_introduce("known")
        await wait_all_tasks_blocked()
        assert len(await found.peer(other, introducer).introduce_me(Served, timeout=1.0)) == 1


async def test_an_introducer_that_the_subject_does_not_know_is_none():
    async with town() as found:
        introducer, audience, subject = await three(found)
        (record,) = await found.peer(audience, introducer).introduce_me(Served)
        peer = found.peer(subject, introducer)
        peer.profile = replace(peer.profile, trust=Trust.STRANGER)
        await trio.sleep(30)
        assert (await audience.connect(record)).trust is Trust.STRANGER


async def test_an_introducer_that_is_rated_below_the_median_is_none():
    async with town() as found:
        key = PrivateKey.generate()
        introducer = await found.settle("introducer", key=key)
        audience, better = await found.settle("audience"), await found.settle("better")
        subject = await found.settle("subject", introductions="any", capabilities=[Served(key.public_key)])
        await found.acquaint(introducer, audience, subject)
        await found.acquaint(better, subject)
        (record,) = await found.peer(audience, introducer).introduce_me(Served)
        assert (await audience.connect(record)).trust is Trust.STRANGER


async def test_whom_somebody_has_introduced_introduces_nobody():
    async with town() as found:
        introducer, audience, subject = await three(found)
        (record,) = await found.peer(audience, introducer).introduce_me(Served)
        await audience.connect(record)
        third = await found.settle("third")
        await audience.connect(third.record)
        await wait_all_tasks_blocked()
        peer = found.peer(audience, third)
        peer.profile = replace(peer.profile, trust=Trust.KNOWN)
        await trio.sleep(30)
        assert await found.peer(third, audience).introduce_me(Served, timeout=1.0) == ()  # the subject is none that the audience knows
        # A record that it signs all the same is worth nothing to the subject, even if its signer is rated well.
        signed = IntroductionRecord.sign(
            *(audience._local.key, subject.public_key, third.public_key.node_id),
            issued=int(time.time()),
            seq=1,
            nonce=bytes(16),
        )
        third._introducing._vouching.hold(signed, subject.public_key.node_id)
        assert (await third.connect(subject.record)).trust is Trust.STRANGER


async def test_a_ban_of_whom_it_has_introduced_costs_the_introducer_rating_and_quota():
    async with town() as found:
        introducer, audience, subject = await three(found)
        (record,) = await found.peer(audience, introducer).introduce_me(Served)
        await audience.connect(record)
        await wait_all_tasks_blocked()
        rating = subject.policy.rating(introducer.public_key.node_id, "chat")
        assert rating is not None
        subject.ban(found.peer(subject, audience))
        after = subject.policy.rating(introducer.public_key.node_id, "chat")
        assert after == pytest.approx(rating / 2)
        assert subject.policy.introducers.quota(introducer.public_key.node_id, trio.current_time()) == 2


@pytest.mark.parametrize(("second", "protected"), [("6.6", True), ("5.1", False), (None, False)])
async def test_two_introducers_of_different_networks_protect_a_peer(second, protected):
    async with town() as found:
        introducer, audience, subject = await three(found)
        (record,) = await found.peer(audience, introducer).introduce_me(Served)
        if second is not None:
            other = await found.settle("other", network=second)
            await found.acquaint(other, audience, subject)
            await wait_all_tasks_blocked()
            assert len(await found.peer(audience, other).introduce_me(Served)) == 1
        await audience.connect(record)
        await wait_all_tasks_blocked()
        assert found.peer(subject, audience).trust is Trust.INTRODUCED
        assert subject.policy.introducers.is_protected(audience.public_key.node_id) is protected


async def test_a_node_that_looks_for_peers_dials_whom_it_is_introduced_to():
    async def nobody():
        await trio.sleep_forever()
        yield NodeRecord(PrivateKey.generate().public_key)

    async with town() as found:
        introducer = await found.settle("introducer")
        audience = await found.settle("audience", candidates=nobody())
        subject = await found.settle("subject", introductions="known")
        await found.acquaint(introducer, audience, subject)
        await found.peer(audience, introducer).introduce_me(Served)
        await trio.sleep(30)
        assert found.peer(audience, subject).trust is found.peer(subject, audience).trust is Trust.INTRODUCED


async def test_an_introducer_that_swaps_the_enr_but_not_the_record_introduces_nobody():
    async with town() as found:
        introducer, audience, subject = await three(found)
        other = await found.settle("other", introductions="any")
        real = talks(introducer)._talks[subject.public_key.node_id]
        swapped = Record.sign(other._local.key, 1, {"ip": "5.9.0.9", "tcp": 30303})
        real.enr = swapped
        assert await found.peer(audience, introducer).introduce_me(Served, timeout=1.0) == ()
        assert not talks(audience)._vouching.is_introduced_to(other.public_key.node_id)
        assert not talks(audience)._vouching.is_introduced_to(subject.public_key.node_id)


async def test_nobody_introduces_who_was_not_asked_and_more_answers_than_asked_for_are_not_read():
    async with town() as found:
        introducer, audience, subject = await three(found)
        (record,) = await found.peer(audience, introducer).introduce_me(Served)
        held = talks(audience)._vouching
        held._held.pop(subject.public_key.node_id)
        talk = talks(introducer)._talks[audience.public_key.node_id]
        talks(introducer)._introduce(talks(introducer)._talks[subject.public_key.node_id], talk)
        await wait_all_tasks_blocked()
        assert not held.is_introduced_to(subject.public_key.node_id)
        assert record.enr is not None


async def test_notes_of_whom_one_does_not_know_are_not_kept():
    async with town() as found:
        introducer, audience, subject = await three(found)
        peer = found.peer(subject, introducer)
        peer.profile = replace(peer.profile, trust=Trust.STRANGER)
        await trio.sleep(30)
        await found.peer(audience, introducer).introduce_me(Served)
        await wait_all_tasks_blocked()
        assert len(talks(subject)._vouching._expected) == 0


async def test_a_node_without_an_address_that_it_knows_gives_no_enr_and_is_not_introduced():
    async with town() as found:
        introducer, audience, _ = await three(found, listen=[])
        assert await found.peer(audience, introducer).introduce_me(Served, timeout=1.0) == ()


async def test_what_cannot_be_asked_is_refused_with_a_reason():
    async with town() as found:
        introducer, audience, subject = await three(found)
        stock = await found.settle("stock", dpx=False)
        peer = await audience.connect(stock.record)
        with pytest.raises(LocalProtocolError, match="RLPx: only a node's peer that speaks dpx/1"):
            await peer.introduce_me(Served)
        peer = found.peer(audience, introducer)
        with pytest.raises(LocalProtocolError, match="from 1 to 4"):
            await peer.introduce_me(Served, 5)
        with pytest.raises(TypeError, match="write Served"):
            await peer.introduce_me(Served())  # type: ignore[arg-type]
        with pytest.raises(KeyError, match="Other is not shared"):
            await peer.introduce_me(Other)
        with pytest.raises(LocalProtocolError, match="timeout"):
            await peer.introduce_me(Served, timeout=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.introduce_me, Served, 4)
            await wait_all_tasks_blocked()
            with pytest.raises(LocalProtocolError, match="wait for its introductions"):
                await peer.introduce_me(Served)
            nursery.cancel_scope.cancel()
        peer.disconnect()
        await peer.wait_ended()
        with pytest.raises(PeerDisconnected):
            await peer.introduce_me(Served)
        assert subject.introductions == "any"


async def test_of_two_that_ask_at_once_one_is_told_to_wait():
    async with town() as found:
        introducer, audience, _ = await three(found)
        got = list[int | None]()

        async def ask() -> None:
            try:
                got.append(len(await found.peer(audience, introducer).introduce_me(Served)))
            except LocalProtocolError:
                got.append(None)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
        assert got == [None, 1]


@pytest.mark.parametrize("fit", [True, False])
async def test_whom_anybody_names_is_not_dialled_before_others(*, fit):
    async with town() as found:
        introducer, audience, _ = await three(found)
        if not fit:
            audience.policy.introducers.unfit(introducer.public_key.node_id)
        (record,) = await found.peer(audience, introducer).introduce_me(Served)
        known = audience.policy.candidates.pool.get(record.id)
        assert known is not None
        assert known.introduced is fit


class Other(Chat):
    """Which nobody runs."""

    name = "other"

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG002
        raise AssertionError


async def test_an_end_of_the_session_ends_the_wait_for_introductions():
    async with town() as found:
        introducer, audience, _ = await three(found, "none")
        peer = found.peer(audience, introducer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.introduce_me, Served)
            await wait_all_tasks_blocked()
            before = trio.current_time()
            found.peer(introducer, audience).disconnect()
        assert trio.current_time() - before < 5


@pytest.mark.parametrize(
    ("given", "error"), [("all", LocalProtocolError), (True, TypeError), (None, TypeError), ("NONE", LocalProtocolError)]
)
async def test_consent_is_none_known_or_any(given, error):
    with pytest.raises(error, match="introductions is 'none', 'known' or 'any', not"):
        async with open_node(PrivateKey.generate(), [Chat()], introductions=given):
            raise AssertionError
    async with open_node(PrivateKey.generate(), [Chat()]) as node:
        assert node.introductions == "none"
        with pytest.raises(error, match="'none', 'known' or 'any'"):
            node.let_introduce(given)


async def test_without_dpx_nobody_can_be_introduced():
    with pytest.raises(LocalProtocolError, match="leave out dpx=False"):
        async with open_node(PrivateKey.generate(), [Chat()], introductions="any", dpx=False):
            raise AssertionError
    async with open_node(PrivateKey.generate(), [Chat()], dpx=False) as node:
        node.let_introduce("none")
        with pytest.raises(LocalProtocolError, match="needs dpx/1"):
            node.let_introduce("any")


async def test_what_a_peer_says_without_sense_changes_nothing():
    async with town() as found:
        introducer, _, subject = await three(found)
        talk = talks(introducer)._talks[subject.public_key.node_id]
        before = talk.enr
        foreign = Record.sign(PrivateKey.generate(), 1, {"ip": "5.9.0.9", "tcp": 30303})
        for message in (
            control.IntroductionConsent(b"\x02" + b"\xff" * 32, 2),
            control.IntroductionConsent(b"", 2, foreign.encode()),
            control.IntroductionConsent(b"", 2, b"\xc0"),
            control.IntroductionRequest(126, 4),
        ):
            talk.pact.heard(message)
        assert talk.enr is before
        await trio.sleep(60)
        talk.pact.heard(control.IntroductionConsent(b"", 77))
        assert not introducer.policy.referrals.consents(subject.public_key.node_id, Trust.KNOWN, b"")


@pytest.mark.real_clock
async def test_three_nodes_over_tcp():
    options: dict[str, Any] = {"listen": ["tcp://127.0.0.1:0"], "limits": NO_PINGS, "strict": True, "pace": 500.0}
    key = PrivateKey.generate
    async with (
        open_node(key(), [Served()], **options) as introducer,
        open_node(key(), [Served()], **options) as audience,
        open_node(key(), [Served()], introductions="any", **options) as subject,
    ):
        for other in (audience, subject):
            await introducer.connect(other.record)
            await until(partial(connected, other, introducer))
            for one, two in ((introducer, other), (other, introducer)):
                peer = Town.peer(one, two)
                peer.profile = replace(peer.profile, trust=Trust.KNOWN)
        for one in (audience, subject):
            await until(partial(may_introduce, introducer, one))
        (record,) = await Town.peer(audience, introducer).introduce_me(Served)
        assert record.addresses == subject.addresses
        peer = await audience.connect(record)
        await until(partial(connected, subject, audience))
        assert peer.trust is Town.peer(subject, audience).trust is Trust.INTRODUCED


def connected(one: Node, other: Node) -> bool:
    return one.roster.get(other.public_key) is not None


def may_introduce(introducer: Node, to: Node) -> bool:
    return to.policy.introducers.may_introduce(introducer.public_key.node_id, trio.current_time())


async def until(happened: Callable[[], bool]) -> None:
    """Wait for what another task does, in the same loop."""
    with trio.fail_after(60):
        while not happened():  # noqa: ASYNC110  (nothing tells of it)
            await trio.sleep(0.01)
