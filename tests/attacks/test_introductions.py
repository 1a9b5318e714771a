"""X12, X13: identities that introduce each other, and records that are made up, stolen or shown again; with controls."""

from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Node, PrivateKey
from devp2p.peers import Judgement, introductions
from devp2p.peers.introductions import Introducers
from devp2p.trust import Trust
from devp2p.wire.dpx import IntroductionRecord, IntroductionVerdict, UsedRecords
from tests.node.introduced import town
from tests.node.test_vouching import I1, I2, OTHER, A, B, Side, record
from tests.slots.world import node_id

OK, UNKNOWN, INVALID, _, _ = IntroductionVerdict
BOUGHT, HONEST, SYBILS = node_id(1), node_id(2), [node_id(number) for number in range(100, 4000)]
SLOTS = [("eth", 16)]
DAY, MINUTE = 86400, 60


def siege() -> tuple[int, int]:
    """A peer that we know and rate well introduces a new identity each minute for a day, and so do those that got in.

    Each does harm, and is banned, after ten minutes. Returns how many got in as introduced, and how many were here at a time.
    """
    found = Introducers()
    fresh, here, inside, most = iter(SYBILS), dict[bytes, int](), 0, 0
    for now in range(0, DAY, MINUTE):
        found.fit(BOUGHT, b"bought", now)
        for sybil, since in list(here.items()):
            if now - since >= 10 * MINUTE:
                found.banned(sybil, now)
                del here[sybil]
        for introducer in (BOUGHT, *list(here)[:1]):
            sybil = next(fresh)
            if found.introduce(introducer, sybil, SLOTS, now, 3600) is Judgement.FINE and found.began(sybil, SLOTS, now):
                here[sybil] = now
                inside += 1
        most = max(most, len(here))
    return inside, most


def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introductions, "LIVE", 10**9)
    monkeypatch.setattr(introductions, "SHARE", 1.0)
    monkeypatch.setattr(introductions.Introducers, "quota", lambda *_: 10**9)


def test_x12_one_introducer_brings_in_four_in_a_day_and_never_more_at_a_time():
    assert siege() == (4, 4)


def test_x12_control_without_bounds_identities_without_number_get_in(monkeypatch):
    unlimited(monkeypatch)
    inside, most = siege()
    assert inside > 1000
    assert most >= 10


async def let_in(sybils: int) -> tuple[int, Node]:
    """A node's well rated peer signs records for new identities, whatever its own bounds say, and all of them come."""
    async with town() as found:
        bought, subject = await found.settle("bought"), await found.settle("subject", introductions="any")
        await found.acquaint(bought, subject)
        talk = bought._introducing
        for number in range(sybils):
            sybil = await found.settle(f"sybil {number}")
            await found.acquaint(bought, sybil)
            signed = IntroductionRecord.sign(
                *(bought._local.key, subject.public_key, sybil.public_key.node_id),
                issued=int(talk._wall()),
                seq=number,
                nonce=number.to_bytes(16, "big"),
            )
            sybil._introducing._vouching.hold(signed, subject.public_key.node_id)
            await sybil.connect(subject.record)
            await wait_all_tasks_blocked()
        await trio.lowlevel.checkpoint()
        return sum(peer.trust is Trust.INTRODUCED for peer in subject.roster), subject


async def test_x12_a_quarter_of_a_nodes_slots_is_for_introduced_peers():
    inside, _ = await let_in(5)
    assert inside == 2  # of eight slots


async def test_x12_control_without_bounds_all_are_introduced(monkeypatch):
    unlimited(monkeypatch)
    inside, _ = await let_in(5)
    assert inside == 5


# Records


def test_x13_a_record_is_worth_nothing_to_another_or_for_another_or_twice():
    side = Side(B, I1)
    stolen = record()
    assert side.verdicts(stolen, by=OTHER.public_key) == [INVALID]
    assert Side(OTHER, I1).verdicts(stolen) == [INVALID]
    assert side.answer(stolen)
    assert side.verdicts(stolen) == [INVALID]


def test_x13_control_without_these_looks_it_would_be_good_to_all_and_for_ever(monkeypatch):
    monkeypatch.setattr(IntroductionRecord, "fault", lambda *_: None)
    monkeypatch.setattr(UsedRecords, "fault", lambda *_: None)
    side = Side(B, I1)
    stolen = record()
    assert side.verdicts(stolen, by=OTHER.public_key) == [OK]
    for _ in range(3):
        assert side.answer(stolen)


def forged() -> list[IntroductionRecord]:
    """In the names of two nodes, by somebody who wants to know which of them the subject knows."""
    return [replace(record(by=OTHER), introducer=one.public_key.compressed) for one in (I1, I2)]


def test_x13_who_makes_records_up_does_not_learn_whom_a_node_knows():
    assert Side(B, I1).verdicts(*forged()) == [INVALID, INVALID]


def test_x13_control_by_a_look_at_the_introducer_first_he_would(monkeypatch):
    monkeypatch.setattr(IntroductionRecord, "is_signed", lambda _: True)
    assert Side(B, I1).verdicts(*forged()) == [OK, UNKNOWN]


def test_x13_records_in_anothers_name_change_nothing_before_he_has_proved_himself():
    side = Side(B, I1)
    for number in range(1, 20):
        side.verdicts(record(number), by=A.public_key)
    assert side.policy.introducers.live(I1.public_key.node_id, 0.0) == 0
    assert side.answer(record(1))


def test_x13_control_if_a_bare_auth_counted_it_would_use_up_what_is_for_another():
    side = Side(B, I1)
    for number in range(1, 5):
        key = PrivateKey.from_bytes(bytes(30) + b"\x01" + bytes([number]))
        side.answer(record(number, audience=key), by=key.public_key)  # as if an auth in the name of each were enough
    assert side.verdicts(record(9)) == [IntroductionVerdict.QUOTA]


def test_x13_any_number_of_records_costs_three_signatures(monkeypatch):
    looked_at: list[IntroductionRecord] = []

    def is_signed(one: IntroductionRecord) -> bool:
        looked_at.append(one)
        return True

    monkeypatch.setattr(IntroductionRecord, "is_signed", is_signed)
    side = Side(B, I1)
    side.verdicts(*(record(number) for number in range(1, 50)))
    assert len(looked_at) == 3
