"""Sessions of uptime, and how long they last."""

import math
import random
from itertools import pairwise

import pytest
from devp2p_crawler.analysis import (
    SessionState,
    Stretch,
    UptimeSession,
    allowed_misses,
    kaplan_meier,
    present_uptime,
    sessions_of,
    stretches_of,
)
from devp2p_crawler.model import Kind, Outcome, Visit
from hypothesis import given, settings
from hypothesis import strategies as st

HOUR = 3_600_000_000
MINUTE = HOUR // 60


def seen(*hours: float, missed: bool = False) -> list[Stretch]:
    return [Stretch(began=round(hour * HOUR), ended=round(hour * HOUR) + 1, alive=not missed) for hour in hours]


def a_visit(minute: int, outcome: Outcome = Outcome.OK, kind: Kind = Kind.V4) -> Visit:
    began = minute * MINUTE
    return Visit(crawl=bytes(16), node=bytes(32), kind=kind, began=began, ended=began + 1000, outcome=outcome)


# Sessions


@pytest.mark.parametrize(("hours", "misses"), [(0, 0), (0.99, 0), (1, 1), (5.9, 1), (6, 2), (23.9, 2), (24, 3), (1000, 3)])
def test_the_longer_a_node_was_there_the_more_visits_may_miss_it(hours: float, misses: int):
    assert allowed_misses(round(hours * HOUR)) == misses
    alive = Stretch(began=0, ended=round(hours * HOUR), alive=True, visits=10)
    for missed in range(1, 6):
        (session,) = sessions_of([alive, *seen(*(hours + 1 + number for number in range(missed)), missed=True)])
        assert session.misses == min(missed, misses + 1)
        assert session.state is (SessionState.CLOSED if missed > misses else SessionState.PENDING)
        assert session.missed_at == round((hours + 1) * HOUR)


def test_a_node_that_comes_back_in_time_was_never_gone():
    stretches = [*seen(0, 1, 2), *seen(3, missed=True), *seen(4)]
    (session,) = sessions_of(stretches)
    assert session == UptimeSession(opened=0, last_ok=4 * HOUR + 1, known_start=False)
    assert (session.state, present_uptime(stretches), session.lifetime) == (SessionState.OPEN, 4 * HOUR + 1, (4 * HOUR + 1, False))


def test_a_node_that_comes_back_late_begins_anew():
    stretches = [*seen(0, 2), *seen(3, 4, missed=True), *seen(5), *seen(6, missed=True)]
    first, second = sessions_of(stretches)
    assert (first.state, first.uptime, first.known_start) == (SessionState.CLOSED, 2 * HOUR + 1, False)
    assert first.lifetime == (2 * HOUR + 1 + (HOUR - 1) // 2, True)
    assert (second.opened, second.known_start, second.state) == (5 * HOUR, True, SessionState.CLOSED)
    assert present_uptime(stretches) == 0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20 * 60), st.integers(1, 3)), max_size=60))
def test_sessions_follow_each_other(steps: list[tuple[bool, int, int]]):
    at, stretches = 0, list[Stretch]()
    for alive, minutes, visits in steps:
        stretches.append(Stretch(began=at, ended=at + MINUTE // 2, alive=alive, visits=visits))
        at += minutes * MINUTE
    sessions = sessions_of(stretches)
    assert bool(sessions) == any(stretch.alive for stretch in stretches)
    assert all(session.state is SessionState.CLOSED for session in sessions[:-1])
    assert all(before.last_ok < after.opened for before, after in pairwise(sessions))
    for session in sessions:
        assert session.opened < session.last_ok
        assert session.lifetime[0] >= session.uptime
        assert (session.state is SessionState.OPEN) == (session.misses == 0)
        assert (session.state is SessionState.CLOSED) == (session.misses > allowed_misses(session.uptime))


@settings(max_examples=40)
@given(st.lists(st.booleans(), max_size=25), st.integers(1, 300))
def test_what_a_store_keeps_of_visits_gives_the_same_sessions(alive: list[bool], every: int):
    """Of visits in a row with one result a store keeps the first and the last time, and how many they were."""
    single = [Stretch(began=at * every * MINUTE, ended=at * every * MINUTE + 1, alive=one) for at, one in enumerate(alive)]
    joined: list[Stretch] = []
    for stretch in single:
        if joined and joined[-1].alive == stretch.alive:
            last = joined.pop()
            stretch = Stretch(began=last.began, ended=stretch.ended, alive=stretch.alive, visits=last.visits + 1)  # noqa: PLW2901
        joined.append(stretch)
    assert sessions_of(joined) == sessions_of(single)


# Visits of all kinds


def test_visits_that_say_nothing_of_the_node_miss_nobody():
    visits = [a_visit(0), a_visit(10, Outcome.OUR_FAULT), a_visit(20, Outcome.NO_ADDRESS), a_visit(30, Outcome.HUNG_UP, Kind.INBOUND)]
    assert [stretch.alive for stretch in stretches_of(visits)] == [True]


def test_a_node_behind_nat_is_there_though_no_call_reaches_it():
    visits = [a_visit(0), a_visit(1, Outcome.SILENT, Kind.RLPX), a_visit(30), a_visit(31, Outcome.SILENT, Kind.RLPX), a_visit(50)]
    (session,) = sessions_of(stretches_of(visits))
    assert (session.uptime, session.state) == (50 * MINUTE + 1000, SessionState.OPEN)
    # one that was reached by TCP, and is not any more, is missed
    visits = [a_visit(0, kind=Kind.RLPX), a_visit(70, kind=Kind.RLPX), a_visit(80, Outcome.REFUSED, Kind.RLPX)]
    assert sessions_of(stretches_of(visits))[0].state is SessionState.PENDING


def test_only_who_was_looked_for_in_the_same_way_has_a_known_start():
    visits = [a_visit(0, Outcome.SILENT, Kind.RLPX), a_visit(5)]
    assert [session.known_start for session in sessions_of(stretches_of(visits))] == [False]
    visits = [a_visit(0, Outcome.SILENT), a_visit(5)]
    assert [session.known_start for session in sessions_of(stretches_of(visits))] == [True]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(Outcome), st.sampled_from(Kind)), max_size=40), st.integers())
def test_the_order_in_which_visits_are_read_does_not_matter(told: list[tuple[int, Outcome, Kind]], seed: int):
    by_place = {(minute, kind): outcome for minute, outcome, kind in told}
    visits = [a_visit(minute, outcome, kind) for (minute, kind), outcome in by_place.items()]
    shuffled = visits.copy()
    random.Random(seed).shuffle(shuffled)
    assert stretches_of(shuffled) == stretches_of(visits)
    assert bool(sessions_of(stretches_of(visits))) == any(visit.outcome.is_alive for visit in visits)


# How long they last


def test_the_example_of_the_textbooks():
    """Remissions in weeks under 6-mercaptopurine (Freireich and others, 1963), with Greenwood's errors as they are published."""
    ended = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    found = kaplan_meier([*((time, True) for time in ended), *((time, False) for time in censored)])
    assert (found.observed, found.ended, found.median) == (21, 9, 23)
    wanted = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    assert {point.time: round(point.survival, 3) for point in found.points} == wanted
    assert [point.at_risk for point in found.points] == [21, 17, 15, 12, 11, 7, 6]
    errors = {6: 0.0764, 7: 0.0869, 10: 0.0963, 13: 0.1068, 16: 0.1141, 22: 0.1282, 23: 0.1346}
    for point in found.points:  # from the interval on the scale of log(-log S) back to the error
        width = (math.log(-math.log(point.low)) - math.log(-math.log(point.high))) / (2 * 1.959964)
        assert width * point.survival * -math.log(point.survival) == pytest.approx(errors[point.time], abs=1e-4)
    assert (found.at(5), round(found.at(6), 3), round(found.at(100), 3)) == (1.0, 0.857, 0.448)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=60), st.integers())
def test_curves_fall_within_their_intervals(lifetimes: list[tuple[int, bool]], seed: int):
    found = kaplan_meier(lifetimes)
    shares = [1.0, *(point.survival for point in found.points)]
    assert all(later < earlier for earlier, later in pairwise(shares))
    for point in found.points:
        assert 0 <= point.low <= point.survival <= point.high <= 1
        assert 0 < point.ended <= point.at_risk <= found.observed
    shuffled = lifetimes.copy()
    random.Random(seed).shuffle(shuffled)
    assert kaplan_meier(shuffled) == found


@settings(max_examples=40)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_where_nothing_is_censored_the_curve_is_the_part_that_lasted_longer(times: list[int]):
    found = kaplan_meier((time, True) for time in times)
    for time in range(32):
        assert found.at(time) == pytest.approx(sum(one > time for one in times) / len(times))
    assert found.median == sorted(times)[(len(times) + 1) // 2 - 1]


def test_nothing_was_observed_or_nothing_ended():
    assert kaplan_meier([]).points == ()
    assert kaplan_meier([(5, False), (9, False)]).median is None
    with pytest.raises(ValueError, match="0 or more, not -1"):
        kaplan_meier([(-1, True)])
