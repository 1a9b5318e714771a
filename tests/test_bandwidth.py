"""Token buckets, and the valve at which many wait: never more than the rate, fair, the most urgent first, nobody forgotten."""

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.bandwidth import Bucket, Flow, Valve, Waiter

SIZES = st.integers(1, 200_000)


@given(rate=st.floats(1_000, 1e8), brim=st.floats(1, 1e6), steps=st.lists(st.tuples(st.floats(0, 10), SIZES), min_size=1, max_size=50))
def test_a_bucket_gives_no_more_than_its_rate_its_brim_and_one_debt(rate: float, brim: float, steps: list[tuple[float, int]]) -> None:
    bucket, now, taken, last = Bucket(rate, brim), 0.0, 0, 0
    for pause, size in steps:
        now += pause
        if bucket.level(now) > 0:
            bucket.take(size, now)
            taken, last = taken + size, size
        assert taken - last <= brim + rate * now + 1e-6 * taken
        assert bucket.level(now) <= brim


@given(rate=st.floats(1_000, 1e8), size=SIZES)
def test_a_bucket_says_when_there_is_something_again(rate: float, size: int) -> None:
    bucket = Bucket(rate, 1000)
    bucket.take(size + 1000, 5.0)
    due = bucket.due(5.0)
    assert due - 5.0 == pytest.approx((size + 1) / rate)
    assert bucket.level((5.0 + due) / 2) <= 1e-6
    assert bucket.due(due, 100) - due == pytest.approx(100 / rate)
    assert bucket.level(due) > 0


def test_time_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(1000, 1000)
    bucket.take(1500, 10.0)
    assert bucket.level(9.0) == bucket.level(10.0) == -500


class Sender:
    """Always has something to send, in messages of one size and urgency; asks when it is woken, or due."""

    def __init__(self, valve: Valve, size: int, urgency: int = 2, flow: Flow | None = None) -> None:
        self.valve, self.size, self.urgency = valve, size, urgency
        self.flow = flow or Flow()
        self.awake = True
        self.waiter = Waiter(self.flow, self.wake)
        self.sent = 0
        self.is_idle = False

    def wake(self) -> None:
        self.awake = True

    def ask(self, now: float) -> None:
        self.awake = False
        if self.is_idle:
            self.valve.leave(self.waiter, now)
            return
        while self.valve.may_pass(self.waiter, self.urgency, now):
            self.valve.spend(self.flow, self.size, now)
            self.sent += self.size
        self.valve.join(self.waiter, now)


def run(valve: Valve, senders: Sequence[Sender], seconds: float, now: float = 0.0, each: Callable[[float], None] = lambda _: None) -> float:
    """Nobody asks but who was woken, or is due, as in a node."""
    end = now + seconds
    while True:
        each(now)
        while any(sender.awake for sender in senders):
            for sender in senders:
                if sender.awake:
                    sender.ask(now)
        due = min(valve.due(sender.waiter, now) for sender in senders)
        assert due < math.inf or all(sender.is_idle for sender in senders), "somebody waits, and nobody will ever ask"
        if due > end:
            return now
        now = max(due, math.nextafter(now, math.inf))
        for sender in senders:
            if valve.due(sender.waiter, now) <= now:
                sender.awake = True


@settings(max_examples=20)
@given(rate=st.floats(20_000, 2e6), sizes=st.lists(st.integers(500, 20_000), min_size=2, max_size=8))
def test_flows_that_always_have_something_get_the_same_whatever_their_messages_weigh(rate: float, sizes: list[int]) -> None:
    valve = Valve(rate)
    senders = [Sender(valve, size) for size in sizes]
    seconds = 20 * max(20_000, valve.quantum) * len(sizes) / rate
    run(valve, senders, seconds)
    total = sum(sender.sent for sender in senders)
    assert total <= rate * (seconds + 0.25) + valve.quantum + max(sizes)
    assert total >= rate * seconds * 0.9
    for sender in senders:
        assert abs(sender.sent - total / len(senders)) <= rate * 0.25 + 2 * (valve.quantum + max(sizes)), "who comes first has the burst"


def test_streams_of_one_flow_share_what_it_has() -> None:
    valve, flow = Valve(1e6), Flow()
    streams = [Sender(valve, 1000, flow=flow) for _ in range(3)]
    other = Sender(valve, 1000)
    run(valve, [*streams, other], 20.0)
    assert sum(stream.sent for stream in streams) == pytest.approx(other.sent, rel=0.05)


def test_who_was_idle_has_saved_up_nothing() -> None:
    valve = Valve(1e6)
    one, other = Sender(valve, 5000), Sender(valve, 5000)
    other.is_idle = True
    now = run(valve, [one, other], 60.0)
    other.is_idle, other.awake, before = False, True, one.sent
    run(valve, [one, other], 10.0, now)
    assert one.sent - before == pytest.approx(other.sent, rel=0.05)


def test_the_most_urgent_goes_first_and_who_has_begun_before_who_has_not() -> None:
    valve = Valve(1e6)
    senders = [Sender(valve, 5000, urgency=urgency) for urgency in (3, 2, 1, 0)]
    now = run(valve, senders, 10.0)
    assert [sender.sent > 1e6 for sender in senders] == [False, False, False, True]
    for finished in (3, 2, 1):
        senders[finished].is_idle = senders[finished].awake = True
        before = [sender.sent for sender in senders]
        now = run(valve, senders, 10.0, now)
        assert senders[finished - 1].sent - before[finished - 1] > 8e6
    assert valve.crowded(now) == pytest.approx(now, rel=0.05)


def test_who_becomes_less_urgent_wakes_who_comes_before_now() -> None:
    valve = Valve(1e6)
    first, second = Sender(valve, 1_000_000, urgency=0), Sender(valve, 1000, urgency=2)
    first.ask(0.0)
    second.ask(0.0)
    first.urgency, second.awake = 3, False
    first.ask(0.1)
    assert second.awake
    assert valve.due(second.waiter, 0.1) < math.inf == valve.due(first.waiter, 0.1)


class Chaos(Sender):
    """One whose messages, urgency and wishes change all the time."""

    def change(self, size: int, urgency: int, *, idle: bool) -> None:
        self.size, self.urgency, self.is_idle, self.awake = size, urgency, idle, True


@settings(max_examples=40)
@given(changes=st.lists(st.tuples(st.integers(0, 4), st.integers(32, 50_000), st.integers(0, 3), st.booleans()), min_size=1, max_size=60))
def test_nobody_is_forgotten_and_the_rate_holds_whatever_happens(changes: list[tuple[int, int, int, bool]]) -> None:
    """`run` asserts that somebody will ask as long as anybody wants something."""
    valve = Valve(100_000)
    senders = [Chaos(valve, 1000) for _ in range(5)]
    now = 0.0
    for who, size, urgency, idle in changes:
        senders[who].change(size, urgency, idle=idle)
        now = run(valve, senders, 0.5, now)
    assert sum(sender.sent for sender in senders) <= 100_000 * (now + 0.25) + valve.quantum + 50_000
    for sender in senders:
        sender.is_idle = sender.awake = True
    run(valve, senders, 0.1, now)
    assert all(valve.due(sender.waiter, now) == math.inf for sender in senders)
