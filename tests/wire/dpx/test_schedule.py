"""Which lane sends next: by weight, urgent before normal but never more than half, bulk when nothing else can be sent."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.errors import LocalProtocolError
from devp2p.wire.dpx.schedule import LEAST_WINDOW, MOST_WINDOW, Turns, window_for
from devp2p.wire.schedule import Lane


def run(turns: Turns, waiting: dict[Lane, Sequence[int]], *, total: int, frame: int = 4096) -> dict[tuple[int, Lane], int]:
    """Send `total` bytes in frames of up to `frame` while the same always wait; how many each sent."""
    sent = {(index, lane): 0 for lane, found in waiting.items() for index in found}
    while sum(sent.values()) < total:
        turn = turns.next(lambda lane: waiting.get(lane, ()))
        assert turn is not None
        assert turn.size > 0
        size = min(frame, max(512, turn.size))
        sent[turn.capability, turn.lane] += size
        turns.spent(turn, size)
    return sent


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("frame", [512, 16 * 1024])
def test_weights_of_1_to_3_give_25_to_75_percent(lane: Lane, frame: int):
    turns = Turns([1, 3])
    for turns.window in (LEAST_WINDOW, 20_000, MOST_WINDOW):
        sent = run(turns, {lane: [0, 1]}, total=4_000_000, frame=frame)
        assert abs(sent[0, lane] / sum(sent.values()) - 0.25) < 0.02


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=6), st.sampled_from([512, 3000, 16_384]), st.sampled_from([LEAST_WINDOW, MOST_WINDOW])
)
def test_shares_are_those_of_the_weights(weights, frame, window):
    turns, total = Turns(weights), 1_500_000
    turns.window = window
    sent = run(turns, {Lane.NORMAL: range(len(weights))}, total=total, frame=frame)
    for index, weight in enumerate(weights):
        assert abs(sent[index, Lane.NORMAL] - total * weight / sum(weights)) <= 2 * (window + frame)


def test_the_peer_may_ask_for_more_of_a_capability():
    turns = Turns([2, 1])
    turns.weigh(1, 6)
    sent = run(turns, {Lane.NORMAL: [0, 1]}, total=10_000_000)
    assert abs(sent[0, Lane.NORMAL] / sum(sent.values()) - 0.25) < 0.02


def test_urgent_messages_take_half_of_the_way_while_normal_ones_wait_and_all_of_it_otherwise():
    turns = Turns([1, 1, 1])
    turns.window = 20_000
    sent = run(turns, {Lane.URGENT: [0, 1], Lane.NORMAL: [2], Lane.BULK: [0]}, total=5_000_000, frame=1000)
    urgent = sent[0, Lane.URGENT] + sent[1, Lane.URGENT]
    assert abs(urgent / sum(sent.values()) - 0.5) < 0.02
    assert abs(sent[0, Lane.URGENT] - sent[1, Lane.URGENT]) <= 20_000
    assert not sent[0, Lane.BULK]
    sent = run(turns, {Lane.URGENT: [0], Lane.BULK: [0, 1]}, total=1_000_000, frame=1000)
    assert sent[0, Lane.URGENT] == sum(sent.values())


def test_an_urgent_message_goes_next_even_in_the_middle_of_a_turn():
    turns = Turns([1, 1])
    run(turns, {Lane.NORMAL: [0]}, total=100_000)
    turn = turns.next(lambda lane: {Lane.NORMAL: [0], Lane.URGENT: [1]}.get(lane, ()))
    assert turn is not None
    assert (turn.capability, turn.lane) == (1, Lane.URGENT)


def test_who_was_idle_or_blocked_saves_up_nothing_and_who_was_alone_owes_nothing():
    for prepare in (
        lambda turns: run(turns, {Lane.NORMAL: [0]}, total=1_000_000),
        lambda turns: (turns.block(1, Lane.NORMAL), run(turns, {Lane.NORMAL: [0, 1]}, total=1_000_000)),
    ):
        turns = Turns([1, 1])
        prepare(turns)
        turns.unblock(1)
        sent = run(turns, {Lane.NORMAL: [0, 1]}, total=1_000_000)
        assert abs(sent[0, Lane.NORMAL] - sent[1, Lane.NORMAL]) <= 2 * MOST_WINDOW


def test_what_is_blocked_is_left_out_until_it_is_not():
    turns = Turns([1, 1])
    for index in (0, 1):
        turns.block(index, Lane.NORMAL)
    waiting = {Lane.NORMAL: [0, 1], Lane.BULK: [1]}
    turn = turns.next(lambda lane: waiting.get(lane, ()))
    assert turn is not None
    assert (turn.capability, turn.lane) == (1, Lane.BULK), "bulk goes where nothing else can"
    turns.block(1, Lane.BULK)
    assert turns.next(lambda lane: waiting.get(lane, ())) is None
    turns.unblock(0)
    sent = run(turns, {Lane.NORMAL: [0, 1]}, total=1_000_000)
    assert not sent[1, Lane.NORMAL]
    turns.unblock_all()
    assert run(turns, {Lane.NORMAL: [0, 1]}, total=1_000_000)[1, Lane.NORMAL]


@pytest.mark.parametrize("seed", range(5))
def test_nobody_starves_however_the_others_come_and_go(seed: int):
    """One that always waits gets its part, beside others that wait, block and vanish at random."""
    maker, turns = random.Random(seed), Turns([1, 1, 1, 1])
    turns.window = LEAST_WINDOW
    got = total = 0
    while total < 1_000_000:
        waiting = [2, *(index for index in (0, 1, 3) if maker.random() < 0.7)]
        turn = turns.next({Lane.NORMAL: waiting, Lane.URGENT: [], Lane.BULK: []}.__getitem__)
        assert turn is not None
        size = maker.randint(512, 4096)
        total += size
        got += size if turn.capability == 2 else 0
        turns.spent(turn, size)
    assert got >= total / 4 * 0.8


def test_finding_who_is_next_takes_no_longer_for_large_weights_and_debts():
    turns = Turns([1, 1_000_000])
    turns.window = LEAST_WINDOW
    sent = run(turns, {Lane.NORMAL: [0, 1]}, total=20_000_000, frame=16_384)
    assert sent[1, Lane.NORMAL] > 0.99 * sum(sent.values())


def test_a_round_is_what_the_way_carries_in_20_ms_within_bounds():
    assert [window_for(rate) for rate in (0, 1e6, 1e12, float("inf"))] == [8 * 1024, 20_000, 256 * 1024, 256 * 1024]


def test_a_weight_below_one_is_our_mistake():
    with pytest.raises(LocalProtocolError, match="a weight is a whole number from 1 up"):
        Turns([1, 0])
