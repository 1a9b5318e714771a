"""When nodes are visited again, and how many at a time."""

import pytest
from devp2p_crawler.frontier import Concurrency, Standing
from devp2p_crawler.model import Outcome
from hypothesis import given
from hypothesis import strategies as st

DAY = 24 * 3600.0
ROUNDING = 1e-6


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.floats(1, 10 * DAY)), min_size=1, max_size=40))
def test_revisits_keep_to_their_bounds(history: list[tuple[Outcome, float]]) -> None:
    standing, now = Standing(0.0), 0.0
    for outcome, pause in history:
        now += pause
        standing = standing.after(outcome, now)
        due = standing.next_visit(outcome, now)
        if due is None:
            assert not outcome.is_alive
            assert now - (standing.last_ok or 0.0) > 30 * DAY
        elif outcome.is_alive:
            assert 60 - ROUNDING <= due - now <= 900 + ROUNDING
        else:
            assert 60 - ROUNDING <= due - now <= DAY + ROUNDING


@pytest.mark.parametrize(("uptime", "pause"), [(0, 60), (40, 60), (100, 120), (500, 600), (5000, 900)])
def test_who_is_up_for_longer_is_visited_less_often(uptime: float, pause: float) -> None:
    standing = Standing(0.0).after(Outcome.OK, 10.0).after(Outcome.OK, 10.0 + uptime)
    assert standing.next_visit(Outcome.OK, 10.0 + uptime) == pytest.approx(10.0 + uptime + pause)


def test_failures_in_a_row_make_pauses_longer_and_one_answer_ends_them() -> None:
    standing, pauses = Standing(0.0), list[float | None]()
    for _ in range(6):
        standing = standing.after(Outcome.SILENT, 0.0)
        pauses.append(standing.next_visit(Outcome.SILENT, 0.0))
    assert pauses == [180, 1200, 3600, 6 * 3600, DAY, DAY]
    assert standing.after(Outcome.OK, 1.0).next_visit(Outcome.OK, 1.0) == 61.0


def test_who_has_no_room_is_alive_and_our_faults_are_nobodys() -> None:
    full = Standing(0.0).after(Outcome.TOO_MANY_PEERS, 5.0)
    assert full.last_ok == 5.0
    assert full.next_visit(Outcome.TOO_MANY_PEERS, 5.0) == 605.0
    assert full.after(Outcome.OUR_FAULT, 9.0) == full


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 1), st.booleans()), max_size=60), st.integers(1, 4000))
def test_concurrency_keeps_to_its_bounds(moments: list[tuple[int, int, float, bool]], most: int) -> None:
    concurrency = Concurrency(most)
    for lost, answered, lag, was_full in moments:
        before = concurrency.limit
        concurrency.step(lost=lost, answered=answered, lag=lag, was_full=was_full)
        assert 1 <= concurrency.limit <= most
        if lag > 0.3:
            assert concurrency.limit <= before or before <= 16
        if not was_full:
            assert concurrency.limit <= max(before, 16)


def test_concurrency_doubles_until_answers_are_lost_and_then_grows_slowly() -> None:
    concurrency = Concurrency(4000)
    limits = list[int]()
    for lost in (0, 0, 0, 20, 0):
        concurrency.step(lost=lost, answered=80, lag=0.0, was_full=True)
        limits.append(concurrency.limit)
    assert limits == [128, 256, 512, 358, 422]
