"""What ratings keep: of whom, of how many, through jumps of the clock and over a restart."""

import math

import pytest

from devp2p.conduct import Conduct
from devp2p.errors import DisconnectReason, LocalProtocolError
from devp2p.node.pace import PolicyClock
from devp2p.peers.ratings import UNKNOWN, RatingRow, Ratings
from tests.peers.reports import DAY, A, B, C, breach, ending, rating, ratings, served
from tests.slots.world import node_id

# Bounds


def test_nothing_is_kept_of_a_node_that_has_not_proved_itself():
    found = ratings()
    found.observe(A, "eth", Conduct(invalid=4), 0.0)
    found.ended(A, ending(DisconnectReason.PROTOCOL_BREACH), 0.0)
    assert len(found) == 0
    assert found.standing(A, "eth", 0.0) == UNKNOWN
    found.proved(A, ["unknown"], 0.0)
    found.observe(A, "unknown", Conduct(invalid=4), 0.0)
    found.observe(A, "eth", Conduct(invalid=4), 0.0)  # which it does not share
    assert found.dump(0.0, 0.0)[0].severity == 0


def test_memory_is_bounded_and_connected_peers_and_fresh_faults_are_forgotten_last():
    found = ratings(max_peers=64)
    served(found, A, useful=1.0)
    served(found, B, invalid=2)
    found.ended(B, ending(DisconnectReason.REQUESTED), 0.0)
    for number in range(100, 1000):
        served(found, node_id(number), 1.0, useful=1.0)
        found.ended(node_id(number), ending(DisconnectReason.REQUESTED), 1.0)
        assert len(found) <= 64
    assert A in found
    assert B in found
    assert node_id(999) in found
    assert node_id(100) not in found


def test_settings_that_make_no_sense_are_told():
    with pytest.raises(LocalProtocolError):
        ratings(max_peers=0)


# Clocks and restarts


@pytest.mark.parametrize("jump", [-1e12, -3600.0, 3600.0, 1e12])
def test_a_clock_that_jumps_keeps_numbers_sound_and_the_order_as_it_was(jump):
    found = ratings()
    for number, useful in enumerate([1.0, 50.0]):
        served(found, node_id(number), useful=useful)
    served(found, C, invalid=2)
    found.refresh(100.0)
    found.refresh(100.0 + jump)
    found.refresh(110.0 + jump)
    values = [rating(found, peer, 110.0 + jump) for peer in (node_id(1), node_id(0), C)]
    assert all(math.isfinite(value) for value in values)
    assert values[0] >= values[1] >= values[2]
    for number in (0, 1):
        found.observe(node_id(number), "eth", Conduct(useful=100.0 + 100 * number), 120.0 + jump)
    assert rating(found, node_id(1), 120.0 + jump) > rating(found, node_id(0), 120.0 + jump) > 0


def test_pace_makes_time_pass_faster():
    found, clock = ratings(), PolicyClock(60.0)
    served(found, A, useful=64.0)
    found.standing(A, "eth", clock.at(10.0))
    assert found._peers[A].evidence["eth"].useful == pytest.approx(32.0)


def kept(found: Ratings, now: float, away: float, **more) -> Ratings:
    """The ratings after a restart."""
    again = ratings("eth", "snap", **more)
    again.load(found.dump(now, 1e9), 7.0, 1e9 + away)
    return again


def test_a_restart_keeps_ratings_and_counts_the_time_between_as_absence():
    found = ratings("eth", "snap")
    served(found, A, useful=63.0, latency=0.5, timeouts=1)
    served(found, B, invalid=4)
    breach(found, C, 0.0)
    at_once = kept(found, 60.0, 0.0)
    for peer in (A, B):
        new, old = at_once.standing(peer, "eth", 7.0), found.standing(peer, "eth", 60.0)
        assert new.rating == pytest.approx(old.rating)
        assert new.score == pytest.approx(old.score)
        assert (new.sessions, new.severity) == (old.sessions, old.severity)
    later = kept(found, 60.0, DAY)
    assert later._peers[A].evidence["eth"].useful == pytest.approx(found._peers[A].evidence["eth"].useful / 2)
    assert later.standing(B, "eth", 7.0).severity == pytest.approx(4 / 2 ** ((DAY - 3540) / DAY))
    assert later.standing(B, "eth", 7.0).bad is not None
    assert len(kept(found, 60.0, 7 * DAY + 1)) == 0


def test_a_clock_that_was_set_back_between_start_and_start_makes_nothing_older_or_younger():
    found = ratings()
    served(found, A, useful=63.0)
    again = kept(found, 0.0, -1e8)
    assert rating(again, A, 7.0) == pytest.approx(rating(found, A, 0.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"useful": math.inf},
        {"useful": -1.0},
        {"minutes": -1.0},
        {"latency": -1.0},
        {"severity": math.nan},
        {"discredit": 1.5},
        {"held": -1.0},
        {"score": math.inf},
        {"saved": math.inf},
        {"last_connected": math.nan},
        {"sessions": -1},
        {"capability": "gone"},
    ],
)
def test_rows_that_say_what_cannot_be_are_left_out(wrong):
    row = RatingRow(A, "eth", 1e9, 1e9, 1, 1.0, 1.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, observed=True)
    found = ratings()
    found.load([row, row._replace(id=B, **wrong)], 0.0, 1e9)
    assert A in found
    assert B not in found


def test_a_load_keeps_the_bound_and_what_was_there_last():
    rows = [RatingRow(node_id(n), "eth", 1e9, 1e9 - n, 1, 1.0, 1.0, None, 0.0, 0.0, 0.0, 0.0, 0.0, observed=True) for n in range(500)]
    found = ratings(max_peers=100)
    found.load(rows, 0.0, 1e9)
    assert len(found) <= 100
    assert node_id(0) in found
    assert node_id(499) not in found
