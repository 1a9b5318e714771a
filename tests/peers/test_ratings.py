"""What ratings make of conduct: metrics, ranks, fading, faults that stay, bounds on what is kept, and what a restart keeps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.conduct import Conduct, RecentConduct, default_metric
from devp2p.errors import DisconnectReason
from devp2p.peers.evidence import HALF_LIFE
from devp2p.peers.ratings import RatingRule, Ratings
from tests.peers.reports import DAY, A, B, C, breach, ending, rating, ratings, served
from tests.slots.world import node_id

# The metric


@pytest.mark.parametrize(
    ("conduct", "expected"),
    [
        (RecentConduct(), 0.0),
        (RecentConduct(useful=math.e - 1), 1.0),
        (RecentConduct(latency=1.0, target=1.0), 0.0),
        (RecentConduct(latency=math.e**2, target=1.0), -1.0),
        (RecentConduct(latency=0.5 / math.e**2, target=0.5), 1.0),
        (RecentConduct(latency=0.0), 0.5 * math.log(1000)),
        (RecentConduct(timeouts=2.5), -2.5),
        (RecentConduct(severity=3.0), -9.0),
        (RecentConduct(useful=math.e - 1, latency=math.e**2, timeouts=1.0, severity=2.0), 1 - 1 - 1 - 4),
    ],
)
def test_the_default_metric_is_the_formula_of_the_design(conduct, expected):
    assert default_metric(conduct) == pytest.approx(expected)


def test_a_rate_is_what_came_in_a_minute_however_long_the_session_lasts():
    found = ratings()
    found.proved(A, ["eth"], 0.0)
    for minute in range(1, 121):
        found.observe(A, "eth", Conduct(useful=10.0 * minute), 60.0 * minute)
        if minute >= 10:
            assert rating(found, A, 60.0 * minute) == pytest.approx(math.log1p(10), abs=0.04)


def test_what_a_session_did_is_counted_once_however_often_it_is_reported():
    found, once = ratings(), ratings()
    for each, times in ((found, 5), (once, 1)):
        each.proved(A, ["eth"], 0.0)
        for _ in range(times):
            each.observe(A, "eth", Conduct(useful=9.0, invalid=1, timeouts=2, latency=0.3), 1.0)
    assert found.standing(A, "eth", 2.0) == once.standing(A, "eth", 2.0)


def test_a_second_session_adds_to_the_first():
    found = ratings()
    served(found, A, useful=9.0)
    found.ended(A, ending(DisconnectReason.REQUESTED), 0.0)
    before = rating(found, A, 0.0)
    served(found, A, useful=9.0)
    assert before == pytest.approx(math.log1p(9.0))
    assert rating(found, A, 0.0) == pytest.approx(math.log1p(18.0))


# Fading


def test_service_counts_half_after_ten_minutes_of_connection_and_half_after_a_day_of_absence():
    found = ratings()
    served(found, A, useful=63.0)
    first = rating(found, A, 0.0)
    assert first == pytest.approx(math.log1p(63))
    evidence = found._peers[A].evidence["eth"]
    found.standing(A, "eth", HALF_LIFE)
    assert evidence.useful == pytest.approx(31.5)
    found.ended(A, ending(DisconnectReason.REQUESTED), HALF_LIFE)
    found.standing(A, "eth", HALF_LIFE + DAY)
    assert evidence.useful == pytest.approx(15.75)


def test_faults_count_in_full_for_an_hour_whatever_the_reconnects_and_then_fade():
    found = ratings()
    served(found, A, invalid=3)
    for minute in range(1, 60):
        now = 60.0 * minute
        if minute % 2:
            found.ended(A, ending(DisconnectReason.REQUESTED), now)
        else:
            found.proved(A, ["eth"], now)
        assert found.standing(A, "eth", now).severity == 3
        assert found.standing(A, "eth", now).bad is not None
    found.proved(A, ["eth"], 3600.0)
    assert found.standing(A, "eth", 3600.0 + HALF_LIFE).severity == pytest.approx(1.5)
    healed = found.standing(A, "eth", 3600.0 + 3 * HALF_LIFE)
    assert healed.severity == pytest.approx(0.375)
    assert healed.bad is None


def test_nobody_loses_timeouts_by_reconnecting():
    stays, hops = ratings(), ratings()
    for each in (stays, hops):
        served(each, A, timeouts=4)
    for minute in range(1, 31):
        now = 60.0 * minute
        (hops.proved(A, ["eth"], now) if minute % 2 == 0 else hops.ended(A, ending(DisconnectReason.REQUESTED), now))
    assert rating(hops, A, 1800.0) < rating(stays, A, 1800.0) < 0


def test_bad_is_who_has_faults_that_outweigh_service_and_not_who_is_slow_or_times_out():
    found = ratings()
    served(found, A, latency=50.0, timeouts=9)
    served(found, B, invalid=1)
    served(found, C, invalid=1, useful=50.0)
    assert [found.standing(peer, "eth", 1.0).bad for peer in (A, C)] == [None, None]
    assert found.standing(B, "eth", 1.0).bad == "its rating in eth is -1.00, by faults of severity 1.0"
    assert rating(found, A, 1.0) < 0


def test_why_is_told_in_what_makes_a_peer_bad():
    found = ratings()
    served(found, A, invalid=4, why="a block that is none")
    assert found.standing(A, "eth", 1.0).bad == "its rating in eth is -16.00, by faults of severity 4.0 (a block that is none)"


# The base protocol


def test_a_protocol_breach_halves_rating_and_score_in_all_capabilities_and_counts_as_a_fault():
    found = ratings("eth", "snap")
    found.proved(A, ["eth", "snap"], 0.0)
    for name in ("eth", "snap"):
        found.observe(A, name, Conduct(useful=1000.0), 0.0)
    before = [found.standing(A, name, 3600.0) for name in ("eth", "snap")]
    breach(found, A, 3600.0, "a bad MAC")
    for name, old in zip(("eth", "snap"), before, strict=True):
        new = found.standing(A, name, 3600.0)
        assert old.score > 0
        assert new.score == pytest.approx(old.score / 2)
        assert new.severity == 2
        assert new.rating is not None
        assert old.rating is not None
        assert new.rating <= old.rating / 2
    strong = ratings()
    served(strong, A, useful=1000.0)
    breach(strong, A, 0.0)
    assert rating(strong, A, 0.0) == pytest.approx((math.log1p(1000) - 4) / 2)


def test_a_bad_rating_is_not_made_better_by_halving_it():
    found = ratings()
    served(found, A, invalid=2)
    before = rating(found, A, 1.0)
    breach(found, A, 1.0)
    assert rating(found, A, 1.0) < before


@pytest.mark.parametrize(
    ("end", "seconds", "useful", "expected"),
    [
        (ending(DisconnectReason.PING_TIMEOUT), 500, 0.0, -1.0),
        (ending(DisconnectReason.PROTOCOL_BREACH), 500, 0.0, -4.0),
        (ending(DisconnectReason.USELESS_PEER, by_remote=True), 59, 0.0, -1.0),
        (ending(DisconnectReason.USELESS_PEER, by_remote=True), 61, 0.0, None),
        (ending(DisconnectReason.USELESS_PEER, by_remote=True), 59, 1.0, math.log1p(1)),
        (ending(DisconnectReason.TOO_MANY_PEERS, by_remote=True), 5, 0.0, None),
        (ending(DisconnectReason.CLIENT_QUITTING, by_remote=True), 5, 0.0, None),
        (ending(DisconnectReason.TOO_MANY_PEERS), 5, 0.0, None),
        (ending(DisconnectReason.SUBPROTOCOL_ERROR), 5, 0.0, None),  # a fault of ours
    ],
)
def test_how_a_session_ends_counts_in_all_capabilities_if_it_speaks_against_the_peer(end, seconds, useful, expected):
    found = ratings("eth", "snap")
    found.proved(A, ["eth", "snap"], 0.0)
    for name in ("eth", "snap"):
        found.observe(A, name, Conduct(useful=useful), 0.0)
    found.ended(A, end, seconds)
    for name in ("eth", "snap"):
        value = found.standing(A, name, seconds).rating
        assert value == (None if expected is None else pytest.approx(expected, abs=0.05))


# Ranks


def test_quantiles_are_places_among_all_that_are_rated_and_equal_ones_share_theirs():
    found = ratings()
    for number, useful in enumerate([1.0, 5.0, 5.0, 9.0]):
        served(found, node_id(number), useful=useful)
    found.proved(node_id(9), ["eth"], 0.0)  # a newcomer
    found.refresh(0.0)
    quantiles = [found.standing(node_id(number), "eth", 0.0).quantile for number in range(4)]
    assert quantiles == [0.125, 0.5, 0.5, 0.875]
    assert found.standing(node_id(9), "eth", 0.0).quantile is None
    assert found.population("eth") == 4


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 50.0]), min_size=1, max_size=30))
def test_the_mean_quantile_is_one_half_whatever_was_reported(amounts):
    found = ratings()
    for number, useful in enumerate(amounts):
        served(found, node_id(number), useful=useful, latency=1.0)
    found.refresh(0.0)
    quantiles = [found.standing(node_id(number), "eth", 0.0).quantile or 0.0 for number in range(len(amounts))]
    assert sum(quantiles) / len(quantiles) == pytest.approx(0.5)
    assert sorted(zip(amounts, quantiles, strict=True)) == sorted(zip(sorted(amounts), sorted(quantiles), strict=True))


def test_absent_peers_belong_to_the_population_for_a_day_and_are_forgotten_after_seven():
    found = ratings()
    served(found, A, useful=1.0)
    served(found, B, useful=9.0)
    found.ended(B, ending(DisconnectReason.REQUESTED), 100.0)
    for now, population, known in ((100.0 + DAY, 2, True), (101.0 + DAY, 1, True), (101.0 + 7 * DAY, 1, False)):
        found.refresh(now)
        assert found.population("eth") == population
        assert (B in found) is known


def test_a_peer_that_does_nothing_for_ten_minutes_is_rated_as_one_that_does_nothing():
    found = ratings()
    found.proved(A, ["eth"], 0.0)
    assert found.standing(A, "eth", 599.0).rating is None
    assert found.standing(A, "eth", 600.0).rating == 0.0


def test_a_capability_cannot_inflate_its_currency():
    found = Ratings([RatingRule("eth"), RatingRule("loud", lambda conduct: 1e9 * default_metric(conduct))])
    for number in range(10):
        found.proved(node_id(number), ["eth", "loud"], 0.0)
        for name in ("eth", "loud"):
            found.observe(node_id(number), name, Conduct(useful=float(number)), 0.0)
    found.refresh(0.0)
    for number in range(10):
        assert found.standing(node_id(number), "eth", 0.0).quantile == found.standing(node_id(number), "loud", 0.0).quantile


# Metrics of plugins


def failing(conduct: RecentConduct) -> float:
    return 1 / conduct.timeouts


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (lambda _: math.nan, None),
        (failing, None),
        (lambda _: math.sqrt(-1), None),
        (lambda _: math.inf, 1e300),
        (lambda _: -math.inf, -1e300),
        (lambda _: 10**400, None),
        (lambda conduct: conduct.useful - 7, -2.0),
    ],
)
def test_what_is_no_number_leaves_a_peer_unrated(metric, expected):
    found = Ratings([RatingRule("eth", metric)])
    served(found, A, useful=5.0)
    found.refresh(0.0)
    standing = found.standing(A, "eth", 0.0)
    assert standing.rating == expected
    assert (standing.quantile is None) is (expected is None)
    assert standing.bad is None


def test_but_not_if_it_has_done_wrong():
    found = Ratings([RatingRule("eth", lambda _: math.nan)])
    served(found, A, invalid=1)
    served(found, B, useful=1.0)
    found.refresh(0.0)
    assert found.standing(A, "eth", 0.0).bad is not None
    assert found.standing(B, "eth", 0.0).rating is None


def test_other_exceptions_of_a_metric_are_bugs_and_come_out():
    def broken(_: RecentConduct) -> float:
        raise KeyError("oops")

    found = Ratings([RatingRule("eth", broken)])
    found.proved(A, ["eth"], 0.0)
    with pytest.raises(KeyError):
        found.observe(A, "eth", Conduct(useful=1.0), 0.0)
