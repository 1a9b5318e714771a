"""What is sent next: urgent before normal before bulk, fair between capabilities, cheap to find out, and never a message lost."""

import random
from collections.abc import Sequence
from itertools import count, cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.errors import LocalProtocolError
from devp2p.wire.schedule import QUANTUM, Lane, Outgoing, Schedule

BIG = bytes(2**24 - 1)


def drain(schedule: Schedule) -> list[Outgoing]:
    found = []
    while (message := schedule.next()) is not None:
        found.append(message)
    return found


def message(capability: int | None, size: int = 1, code: int = 0x10) -> Outgoing:
    return Outgoing(code, bytes(size), capability)


def bytes_sent(schedule: Schedule, *, total: int, largest: Sequence[int], lane: Lane = Lane.NORMAL) -> list[int]:
    """Send `total` bytes while each capability always has messages of random sizes waiting; how many bytes each got, frames included."""
    maker = random.Random(str(largest))
    supplies = [cycle([message(index, maker.randrange(1, size)) for _ in range(200)]) for index, size in enumerate(largest)]
    for supply in supplies * 2:
        schedule.add(next(supply), lane)
    sent = [0 for _ in largest]
    while sum(sent) < total:
        found = schedule.next()
        assert found is not None
        assert found.capability is not None
        sent[found.capability] += len(found.data) + 64
        schedule.add(next(supplies[found.capability]), lane)
    return sent


# Order


def test_the_base_protocol_goes_first():
    """A Pong behind megabytes of blocks comes too late, and the peer hangs up."""
    schedule = Schedule([1])
    for lane in Lane:
        schedule.add(message(0), lane)
    schedule.add(message(None, code=0x03), Lane.BULK)
    schedule.add(message(None, code=0x02))
    assert [found.code for found in drain(schedule)[:2]] == [0x03, 0x02]


def test_urgent_goes_before_normal_and_bulk_last_whatever_the_weights():
    schedule = Schedule([1, 100])
    for lane in (Lane.BULK, Lane.NORMAL, Lane.URGENT):
        for capability in (0, 1):
            schedule.add(message(capability, 50_000, code=0x10 + lane), lane)
    assert [found.code - 0x10 for found in drain(schedule)] == [0, 0, 1, 1, 2, 2]


def test_what_comes_later_may_still_overtake():
    schedule = Schedule([1, 1])
    schedule.add(message(0, code=0x10), Lane.BULK)
    schedule.add(message(0, code=0x10), Lane.BULK)
    assert schedule.next() is not None
    schedule.add(message(1, code=0x20), Lane.URGENT)
    assert [found.code for found in drain(schedule)] == [0x20, 0x10]


additions = st.tuples(st.integers(0, 3), st.sampled_from(Lane), st.sampled_from([0, 1, 64, 5000, 16_320, 16_384, 100_000, 300_000]))
weight_lists = st.lists(st.integers(1, 5), min_size=4, max_size=4)


@given(weight_lists, st.lists(additions | st.none() | st.just("base")))
def test_everything_comes_out_once_and_in_order(weights, steps):
    """In any mix of adding (a tuple) and sending (None), no message is lost, doubled, or overtaken by its own lane."""
    schedule, number = Schedule(weights), count()
    added: dict[tuple[int | None, Lane], list[Outgoing]] = {}
    lanes: dict[int, tuple[int | None, Lane]] = {}
    sent: list[Outgoing] = []
    waiting = 0
    for step in steps:
        if step is None:
            found = schedule.next()
            assert (found is None) == (waiting == 0)
            if found is not None:
                sent.append(found)
                waiting -= 1
        else:
            capability, lane, size = (None, Lane.NORMAL, 1) if step == "base" else step
            one = Outgoing(next(number), bytes(size), capability)
            key: tuple[int | None, Lane] = (capability, lane)
            lanes[one.code] = key
            added.setdefault(key, []).append(one)
            schedule.add(one, lane)
            waiting += 1
    sent += drain(schedule)
    assert len(sent) == len(lanes)
    for key, messages in added.items():
        assert [found for found in sent if lanes[found.code] == key] == messages


# Fairness


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("weights", [(1, 1), (1, 3), (3, 1), (1, 10)])
def test_busy_capabilities_get_bytes_by_weight_whatever_their_sizes(weights, lane):
    """One that sends large messages must not push aside one that sends small ones, nor the other way round."""
    for largest in ((200, 60_000), (60_000, 200), (20_000, 20_000), (200_000, 1000)):
        sent = bytes_sent(Schedule(weights), total=4_000_000, largest=largest, lane=lane)
        assert 0.8 <= sent[0] / sent[1] * weights[1] / weights[0] <= 1.25, largest


def test_many_busy_capabilities_get_equal_shares():
    sent = bytes_sent(Schedule([1] * 8), total=4_000_000, largest=[4000 * factor for factor in range(1, 9)])
    assert max(sent) / min(sent) <= 1.25


def test_one_that_was_idle_saves_up_nothing():
    """After an hour of silence a capability may not send an hour's worth at once."""
    schedule = Schedule([1, 1])
    for _ in range(1000):
        schedule.add(message(0, 10_000))
        assert schedule.next() is not None
    for capability in (0, 1):
        for _ in range(200):
            schedule.add(message(capability, 10_000))
    order = [found.capability for found in drain(schedule)]
    for end in range(10, 400, 10):
        assert abs(order[:end].count(0) - order[:end].count(1)) <= 3


def test_one_that_was_alone_owes_nothing():
    """It used the line while nobody else wanted it; when another comes, both are equal from then on."""
    schedule = Schedule([1, 1])
    for _ in range(300):
        schedule.add(message(0, 100_000))
    for _ in range(100):
        assert schedule.next() is not None
    for _ in range(200):
        schedule.add(message(1, 100_000))
    order = [found.capability for found in drain(schedule)]
    for end in range(10, 400, 10):
        assert abs(order[:end].count(0) - order[:end].count(1)) <= 3


def test_a_small_message_waits_for_no_more_than_a_turn_of_each_other():
    schedule = Schedule([1, 1, 1])
    for capability in (0, 1):
        for _ in range(1000):
            schedule.add(message(capability, 1000))
    for _ in range(100):
        assert schedule.next() is not None
    schedule.add(message(2))
    waited = 0
    while (found := schedule.next()) is not None and found.capability != 2:
        waited += len(found.data)
    assert found is not None
    assert waited <= 3 * QUANTUM


def test_a_large_message_is_not_put_off_for_ever():
    """Beside a flood of small ones it is sent when the others have had as many bytes."""
    schedule = Schedule([1, 1])
    schedule.add(Outgoing(0x10, BIG, 0))
    flood = [message(1, 1000)] * 100
    for one in flood:
        schedule.add(one)
    between = 0
    while (found := schedule.next()) is not None and found.capability != 0:
        between += len(found.data) + 64
        schedule.add(flood[0])
    assert 0.99 * len(BIG) <= between <= 1.01 * len(BIG) + 2 * QUANTUM


# Work


class Simple:
    """Deficit round robin, one turn at a time."""

    def __init__(self, weights: list[int]) -> None:
        self.weights = weights
        self.queues: list[list[Outgoing]] = [[] for _ in weights]
        self.credit = [0] * len(weights)
        self.turns: list[int] = []

    def add(self, one: Outgoing) -> None:
        assert one.capability is not None
        if not self.queues[one.capability]:
            self.turns.append(one.capability)
            self.credit[one.capability] = 0
        self.queues[one.capability].append(one)

    def next(self) -> Outgoing | None:
        while self.turns:
            index = self.turns[0]
            cost = len(self.queues[index][0].data) + 64
            if len(self.turns) == 1 or self.credit[index] >= cost:
                self.credit[index] = max(0, self.credit[index] - cost)
                found = self.queues[index].pop(0)
                if not self.queues[index]:
                    self.turns.pop(0)
                elif self.credit[index] < len(self.queues[index][0].data) + 64:
                    self.turns.append(self.turns.pop(0))
                return found
            self.credit[index] += QUANTUM * self.weights[index]
            if self.credit[index] < cost:
                self.turns.append(self.turns.pop(0))
        return None


@pytest.mark.parametrize("seed", range(10))
def test_counting_turns_gives_the_order_of_taking_them(seed):
    maker = random.Random(seed)
    for _ in range(30):
        weights = [maker.randint(1, 5) for _ in range(4)]
        schedule, simple = Schedule(weights), Simple(weights)
        for _ in range(60):
            if maker.random() < 0.6:
                size = maker.choice([0, 1, 1000, QUANTUM - 65, QUANTUM - 64, QUANTUM - 63, 3 * QUANTUM, 500_000, maker.randrange(200_000)])
                one = message(maker.randrange(4), size)
                schedule.add(one)
                simple.add(one)
            else:
                assert schedule.next() is simple.next()
        for _ in range(61):
            assert schedule.next() is simple.next()


class CountedBytes(bytes):
    """Counts how often somebody asks for its size."""

    asked = 0

    def __len__(self) -> int:
        type(self).asked += 1
        return super().__len__()


def test_finding_the_next_message_takes_no_longer_beside_large_ones():
    """With one turn after the other, 64 waiting messages of 16 MiB took 65,000 steps, in which nothing else could run."""
    schedule, big = Schedule([1] * 64), CountedBytes(BIG)
    for capability in range(64):
        schedule.add(Outgoing(0x10, big, capability))
    for sent in range(64):
        CountedBytes.asked = 0
        found = schedule.next()
        assert found is not None
        assert found.capability == sent
        assert CountedBytes.asked <= 2 * 64 + 3


@pytest.mark.parametrize("weights", [[0], [1, 0], [-1, 1]])
def test_a_weight_below_one_is_our_mistake(weights):
    """Without credit it would wait for ever, and the writer would look for ever."""
    with pytest.raises(LocalProtocolError, match="a weight is a whole number from 1 up"):
        Schedule(weights)


def test_without_shared_capabilities_only_the_base_protocol_speaks():
    schedule = Schedule([])
    assert schedule.next() is None
    schedule.add(message(None, code=1))
    assert drain(schedule) == [message(None, code=1)]
