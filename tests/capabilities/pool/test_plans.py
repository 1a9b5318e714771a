"""What is asked of whom: known-sets, wanted transactions, wanted columns, as machines that look for a broken invariant."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from devp2p.capabilities.eth.pool.columns import ALL, ColumnPlan, first, indices
from devp2p.capabilities.eth.pool.entries import Fault, Refusal
from devp2p.capabilities.eth.pool.known import KnownSet, RefusedSet, whole_for
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.eth.pool.wanted import Said, Wanted

LIMITS = PoolLimits(announced_by_peer=5, announced=8, fetch_hashes=3, fetch_bytes=300, availability_wait=10.0, full_probability=0.3)


def name(number: int) -> bytes:
    return number.to_bytes(32, "big")


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(2, 20))
@settings(max_examples=50)
def test_a_known_set_keeps_the_newest_half_at_least(numbers: list[int], most: int) -> None:
    known = KnownSet(most)
    for at, number in enumerate(numbers):
        was_known = name(number) in known
        assert known.add(name(number)) is not was_known
        assert len(known) <= most
        newest = list(dict.fromkeys(reversed(numbers[: at + 1])))[: most // 2]
        assert all(name(each) in known for each in newest)


def test_a_known_set_is_bounded_whatever_is_announced() -> None:
    known = KnownSet(1000)
    known.update(name(number) for number in range(10_000))
    assert 500 <= len(known) <= 1000
    assert name(9_999) in known
    assert name(0) not in known  # control: it is not that everything is kept


def test_refused_hashes_are_bounded_and_forgotten() -> None:
    refused, why = RefusedSet(3, 10.0), Refusal(Fault.INVALID, "it is bad")
    for number in range(5):
        refused.add(name(number), why, float(number))
    assert len(refused) == 3
    assert [refused.get(name(number), 5.0) for number in range(5)] == [None, None, why, why, why]
    assert refused.get(name(4), 14.0) is None


@pytest.mark.parametrize(("peers", "whole"), [(0, 0), (1, 1), (2, 2), (4, 2), (5, 3), (25, 5), (50, 8)])
def test_the_square_root_of_peers_gets_transactions_whole(peers: int, whole: int) -> None:
    ranked = [(name(number), number) for number in range(peers)]
    chosen = whole_for(ranked, b"sender", b"secret")
    assert len(chosen) == whole
    assert chosen == whole_for(ranked[::-1], b"sender", b"secret")
    if peers == 50:
        assert chosen != whole_for(ranked, b"another", b"secret")
        assert chosen != whole_for(ranked, b"sender", b"another secret")


class WantedMachine(RuleBasedStateMachine):
    """Announcements, requests, answers and peers that leave."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: Wanted[int] = Wanted(LIMITS)
        self.now = 0.0
        self.asked: dict[int, list[bytes]] = {}
        self.said: dict[tuple[int, bytes], Said] = {}
        self.tried: set[tuple[int, bytes]] = set()

    @rule(peer=st.integers(0, 3), number=st.integers(0, 11), size=st.integers(1, 400), wait=st.sampled_from([0.0, 0.5]))
    def announce(self, peer: int, number: int, size: int, wait: float) -> None:
        said, own, is_full = Said(2, size), self.wanted.count(peer), len(self.wanted) == LIMITS.announced
        counts = {each: self.wanted.count(each) for each in range(4)}
        assert self.wanted.announce(peer, name(number), said, self.now + wait) or own == LIMITS.announced_by_peer
        if peer in self.wanted.said(name(number)):
            self.said.setdefault((peer, name(number)), said)
        gone = {key for key in self.said if key[0] not in self.wanted.said(key[1])}
        assert not gone or (is_full and len({each for _, each in gone}) == 1)
        assert not gone or max(counts[each] for each, _ in gone) > own + 1
        for key in gone:
            del self.said[key]

    @rule(peer=st.integers(0, 3), step=st.sampled_from([0.0, 0.5, 5.0]))
    def ask(self, peer: int, step: float) -> None:
        self.now += step
        if self.asked.get(peer):
            return
        names = self.wanted.next_request(peer, self.now)
        assert len(names) <= LIMITS.fetch_hashes
        assert len(names) <= 1 or sum(self.said[peer, each].size for each in names) <= LIMITS.fetch_bytes
        others = {each for other in self.asked.values() for each in other}
        assert not others & set(names)  # of one at a time
        self.asked[peer] = names

    @rule(peer=st.integers(0, 3), brought=st.sets(st.integers(0, 2)), fails=st.booleans())
    def answer(self, peer: int, brought: set[int], fails: bool) -> None:  # noqa: FBT001
        names = self.asked.pop(peer, [])
        if not names:
            return
        came = set() if fails else {each for at, each in enumerate(names) if at in brought}
        for each in came:
            for announcer in self.wanted.arrived(each):
                self.said.pop((announcer, each))
        free = self.wanted.failed(peer, names) if fails else self.wanted.answered(peer, names, came)
        last = max((at for at, each in enumerate(names) if each in came), default=len(names))
        for each in names[:last]:
            self.said.pop((peer, each), None)
        assert free <= set(range(4))

    @rule(peer=st.integers(0, 3))
    def leave(self, peer: int) -> None:
        self.wanted.leave(peer)
        self.asked.pop(peer, None)
        for key in [key for key in self.said if key[0] == peer]:
            del self.said[key]

    @invariant()
    def counts_are_right(self) -> None:
        assert len(self.wanted) == len({each for _, each in self.said}) <= LIMITS.announced
        for peer in range(4):
            assert self.wanted.count(peer) == sum(own == peer for own, _ in self.said) <= LIMITS.announced_by_peer
            waiting = self.wanted.next_time(peer)
            assert waiting is None or waiting >= 0


WantedMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestWanted = WantedMachine.TestCase


class ColumnMachine(RuleBasedStateMachine):
    """Peers that announce columns and bring them, some of them, or none."""

    def __init__(self) -> None:
        super().__init__()
        self.custody = sum(1 << column for column in (1, 50, 100))
        self.plan: ColumnPlan[int] = ColumnPlan(LIMITS, self.custody, Random(7).random)
        self.now = 0.0
        self.asked: dict[int, tuple[list[bytes], int]] = {}
        self.here: dict[bytes, int] = {}
        self.offers: dict[tuple[int, bytes], int] = {}

    @rule(peer=st.integers(0, 3), number=st.integers(0, 3), columns=st.sampled_from([ALL, 2**64 - 1, 1 << 50, 3]))
    def announce(self, peer: int, number: int, columns: int) -> None:
        if self.plan.announce(peer, name(number), columns, self.now):
            self.offers.setdefault((peer, name(number)), columns)

    @rule(number=st.integers(0, 3), blobs=st.integers(1, 6))
    def expect(self, number: int, blobs: int) -> None:
        if name(number) not in self.here:
            self.plan.expect(name(number), blobs, self.now)
            self.here[name(number)] = 0

    @rule(peer=st.integers(0, 3), step=st.sampled_from([0.0, 3.0, 20.0]))
    def ask(self, peer: int, step: float) -> None:
        self.now += step
        if peer in self.asked:
            return
        names, columns = self.plan.next_request(peer, self.now)
        for each in names:
            assert each in self.here  # nothing is fetched of what is not known to be good
            assert columns & ~self.offers[peer, each] == 0
            wanted = columns & ~self.here[each]
            assert wanted.bit_count() >= columns.bit_count() - 1  # at most one again, as noise
            assert columns.bit_count() <= 65
        if names:
            self.asked[peer] = names, columns

    @rule(peer=st.integers(0, 3), part=st.sampled_from([ALL, 0, 2**32 - 1, 1 << 50]))
    def answer(self, peer: int, part: int) -> None:
        if peer not in self.asked:
            return
        names, columns = self.asked.pop(peer)
        brought = columns & part
        self.plan.brought(peer, names, dict.fromkeys(names, brought) if brought else {})
        for each in names:
            if each in self.here:
                self.here[each] |= brought

    @rule(peer=st.integers(0, 3))
    def leave(self, peer: int) -> None:
        self.plan.leave(peer)
        self.asked.pop(peer, None)
        for key in [key for key in self.offers if key[0] == peer]:
            del self.offers[key]

    @rule(number=st.integers(0, 3))
    def forget(self, number: int) -> None:
        if all(name(number) not in names for names, _ in self.asked.values()):
            self.plan.forget(name(number))
            self.here.pop(name(number), None)
            for key in [key for key in self.offers if key[1] == name(number)]:
                del self.offers[key]

    @invariant()
    def what_is_complete_has_what_is_wanted(self) -> None:
        for each, held in self.here.items():
            if self.plan.is_complete(each):
                assert held.bit_count() >= 64 or held & self.custody == self.custody
        assert len(self.plan) <= LIMITS.announced


ColumnMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestColumns = ColumnMachine.TestCase


def test_columns_are_numbers() -> None:
    assert indices(1 << 3 | 1 << 127) == [3, 127]
    assert first(0b1011_0000, 2) == 0b0011_0000
    assert first(0b1011, 0) == 0


def test_old_announcements_of_what_never_came_make_room() -> None:
    plan: ColumnPlan[int] = ColumnPlan(LIMITS, ALL, Random(1).random)
    assert all(plan.announce(1, name(number), ALL, 0.0) for number in range(5))
    assert not plan.announce(1, name(5), ALL, 1.0)
    assert plan.announce(1, name(5), ALL, LIMITS.cells_for)
