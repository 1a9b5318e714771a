"""What a flush becomes, and when there is one (dpx/1, section 10): sizes, paces, cover, budgets."""

import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import LocalProtocolError
from devp2p.bandwidth import Bucket
from devp2p.wire.dpx import PadAllowance, RecordOpener, Shaper, Shaping, ShapingMode, control, pads_of
from devp2p.wire.dpx.shaping import LEAST_PAD, bucket_of, padme

FLUSHES = st.integers(3, 6000).map(lambda blocks: blocks * 16)  # records have 48 bytes or more, in steps of 16
CELLS = st.integers(32, 256).map(lambda blocks: blocks * 16)


def shaper(shaping: Shaping, seed: int = 1, cover: Bucket | None = None) -> Shaper:
    return Shaper(shaping, 0.0, random.Random(seed).random, cover)


# Sizes


@given(size=st.integers(2, 2**24))
def test_padme_costs_at_most_an_eighth_and_leaves_few_sizes(size: int) -> None:
    padded = padme(size)
    assert size <= padded <= size * 1.12 + 1
    assert padme(padded) == padded
    exponent = padded.bit_length() - 1
    assert padded % (1 << max(0, exponent - exponent.bit_length())) == 0


def test_padme_is_that_of_the_paper() -> None:
    assert [padme(size) for size in (1, 8, 9, 17, 100, 1000, 1025, 70_000)] == [1, 8, 10, 18, 104, 1024, 1088, 71_680]
    assert len({bucket_of(size) for size in range(16, 2**16 + 1, 16)}) < 120


@given(size=FLUSHES, cell=CELLS)
def test_a_flush_is_padded_by_as_much_as_a_record_can_have(size: int, cell: int) -> None:
    for shaping in (Shaping.buckets(), Shaping.cells(cell), Shaping.paced(10_000, cell)):
        padded = shaper(shaping).padded(size)
        gap = padded - size
        assert gap == 0 or gap >= LEAST_PAD
        assert gap % 16 == 0
        if shaping.mode is ShapingMode.BUCKETS:
            assert padded == bucket_of(padded)
            assert padded <= max(512 + 64, (size + LEAST_PAD) * 1.12)
        else:
            assert padded % cell == 0
            assert padded < size + cell + LEAST_PAD
    assert shaper(Shaping()).padded(size) == size
    assert shaper(Shaping.cells(cell)).padded(0) == 0


@given(blocks=st.integers(LEAST_PAD // 16, 5000), most=st.integers(256, 2**16))
def test_records_of_padding_have_exactly_the_bytes_that_were_asked_for(blocks: int, most: int) -> None:
    encoded = pads_of(blocks * 16, most)
    assert sum(RecordOpener.wire_size(len(data)) for data in encoded) == blocks * 16
    for data in encoded:
        assert len(data) <= most
        assert isinstance(control.decode(data), control.Pad)


# A pace, and cover


def drive(one: Shaper, seconds: float, send: Callable[[float], int] = lambda _: 0) -> list[tuple[float, int, bool]]:
    """Do what a line does; `send` says how many bytes of messages wait. Gives (time, bytes, whether there was a message in it)."""
    now, flushes, waiting = 0.0, list[tuple[float, int, bool]](), 0
    while now < seconds:
        waiting = min(8192, waiting + send(now))
        room = one.room(now)
        if waiting and room:
            size = one.padded(min(waiting, room, 4096))
            waiting = max(0, waiting - size)
            one.sent(size if one.mode is not ShapingMode.CONSTANT else one.shaping.cell, now)
            flushes.append((now, size if one.mode is not ShapingMode.CONSTANT else one.shaping.cell, True))
        elif cover := one.cover(now):
            flushes.append((now, cover, False))
        step = 0.001
        now = round(now + step, 6)
    return flushes


def test_a_pace_is_kept_and_a_burst_has_four_cells() -> None:
    one = shaper(Shaping.paced(20_000, 1024))
    flushes = drive(one, 20.0, lambda _: 1000)
    assert sum(size for _, size, _ in flushes) <= 20_000 * 20 + 5 * 1024
    assert sum(size for _, size, _ in flushes) >= 20_000 * 20 * 0.95
    assert all(size % 1024 == 0 for _, size, _ in flushes)


def test_cover_comes_behind_messages_for_some_seconds_at_random_times() -> None:
    one = shaper(Shaping.paced(50_000, 1024, gap=0.1))
    flushes = drive(one, 60.0, lambda now: 500 if now in {1.0, 30.0} else 0)
    times = [now for now, _, is_message in flushes if not is_message]
    assert all(1.1 <= now <= 12 or 30.1 <= now <= 41 for now in times), "none before the first message, and 3 to 10 s behind each"
    assert max(now for now in times if now < 29) >= 3
    gaps = [b - a for a, b in pairwise(times) if b - a < 10]
    assert 0.06 < sum(gaps) / len(gaps) < 0.16
    assert max(gaps) > 0.15, "exponential"


def test_without_messages_a_paced_session_is_silent() -> None:
    assert drive(shaper(Shaping.paced(50_000)), 20.0) == []


# A constant rate


@pytest.mark.parametrize("load", [0, 300, 5000])
def test_a_constant_rate_sends_one_cell_in_each_interval_whatever_there_is_to_say(load: int) -> None:
    one = shaper(Shaping.constant(10_240, cell=1024))
    flushes = drive(one, 30.0, lambda now: load if round(now * 1000) % 100 == 0 else 0)
    assert 298 <= len(flushes) <= 301
    gaps = {round(b[0] - a[0], 3) for a, b in pairwise(flushes)}
    assert gaps <= {0.099, 0.1, 0.101}
    assert {size for _, size, _ in flushes} == {1024}


def test_it_starts_at_a_random_time() -> None:
    starts = {round(drive(shaper(Shaping.constant(10_240), seed), 0.2)[0][0], 3) for seed in range(20)}
    assert len(starts) > 12
    assert max(starts) < 0.1


def test_the_rate_doubles_and_halves_once_a_minute_within_its_bounds() -> None:
    one = shaper(Shaping.constant(8_192, 32_768, budget=10**9))
    rates: list[tuple[float, float]] = []

    def send(now: float) -> int:
        if not rates or rates[-1][1] != one.rate:
            rates.append((now, one.rate))
        return 1000 if now < 200 else 0

    drive(one, 420.0, send)
    assert [rate for _, rate in rates] == [8_192, 16_384, 32_768, 16_384, 8_192]
    changes = [now for now, _ in rates][1:]
    assert all(b - a >= 60 for a, b in pairwise(changes))
    assert changes[0] >= 60


def test_a_line_that_was_late_does_not_catch_up() -> None:
    one = shaper(Shaping.constant(10_240))
    assert one.room(5.0) == 1024
    one.sent(1024, 5.0)
    assert one.room(5.0) == 0
    assert 5.0 < one.due(5.0, waiting=True) <= 5.1


# Budgets


def test_without_a_budget_there_are_cells_and_nothing_more_until_a_part_of_it_is_there_again() -> None:
    one = shaper(Shaping.constant(10_240, budget=100 * 1024))
    flushes = drive(one, 20.0)
    assert 100 <= len(flushes) < 104
    assert one.is_exhausted
    assert one.mode == ShapingMode.CELLS
    assert one.room(20.0) > 2**40, "what there is to say goes at once"
    assert one.due(20.0, waiting=False) == math.inf
    assert one.padded(100 * 16) == 2048
    assert one.room(20.0 + 370) <= 1024, "a tenth of an hour later there is a tenth of the budget"
    assert not one.is_exhausted


def test_cover_of_all_sessions_together_is_bounded_too() -> None:
    shared = Bucket(100.0, 10 * 1024.0)
    both = [shaper(Shaping.constant(10_240), seed, shared) for seed in (1, 2)]
    sent = [len(drive(one, 1.0)) for one in both]
    assert sum(sent) <= 11


@settings(max_examples=50)
@given(budget=st.integers(1, 200 * 1024), rate=st.floats(4096, 100_000), load=st.lists(st.integers(0, 3000), min_size=1, max_size=20))
def test_no_more_cover_than_the_budget_whatever_happens(budget: int, rate: float, load: list[int]) -> None:
    for shaping in (Shaping.paced(rate, gap=0.01, budget=budget), Shaping.constant(rate, budget=budget)):
        one = shaper(shaping)
        flushes = drive(one, 2.0, lambda now: load[round(now * 1000) % len(load)] if round(now * 1000) % 50 == 0 else 0)
        cover = sum(size for _, size, is_message in flushes if not is_message)
        assert cover == one.covered <= budget * (1 + 2 / 3600) + 1


# What may be asked for


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Shaping.cells(500), "cell of a Shaping is a whole number from 512 to 16384, not 500"),
        (lambda: Shaping.cells(1000), "cell of a Shaping is a multiple of 16, not 1000: 992 is one"),
        (lambda: Shaping.constant(10_000, cell=512), "cell of a constant rate has 1024 bytes or more, not 512"),
        (lambda: Shaping.paced(10), "rate of a Shaping is at least 4096 bytes a second, not 10"),
        (lambda: Shaping.constant(10_000, 5_000), "rate_min of a Shaping is 10000, more than rate_max, which is 5000"),
        (lambda: Shaping.paced(10_000, gap=0), "gap of a Shaping, in seconds, is a finite number above 0, not 0"),
    ],
)
def test_what_cannot_be_is_explained(make: Callable[[], Shaping], text: str) -> None:
    with pytest.raises(LocalProtocolError) as error:
        make()
    assert str(error.value) == text


# What comes


def test_padding_within_a_tenth_of_the_link_is_allowed_and_what_is_beyond_it_counts() -> None:
    allowance, over = PadAllowance(100_000, 0.0), 0
    for tenth in range(600):
        over += allowance.came(1000, 0, tenth / 10)
    assert over == 0, "10,000 bytes a second"
    for tenth in range(600, 1200):
        over += allowance.came(5000, 0, tenth / 10)
    assert 5000 * 600 - 10_000 * 70 - 100_000 <= over <= 5000 * 600 - 10_000 * 60
    assert allowance.excess == over


def test_padding_behind_messages_is_what_cells_need() -> None:
    allowance = PadAllowance(10_000, 0.0)
    allowance.announced(1024)
    assert sum(allowance.came(1024 - 64, 1, number / 1000) for number in range(20_000)) == 0
    assert sum(allowance.came(20_000, 1, 20 + number / 1000) for number in range(100)) > 1_000_000
