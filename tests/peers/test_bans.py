"""Bans: how long they last, whatever happens to the clock, and how many are kept."""

import math

import pytest

from devp2p.peers.bans import Ban, Bans, dated
from tests.slots.world import node_id

A, B = node_id(1), node_id(2)


def test_a_ban_ends_by_itself():
    bans = Bans()
    ban = bans.ban(A, 100.0, 60.0, "garbage")
    assert ban == Ban(A, 100.0, 160.0, "garbage")
    assert bans.get(A, 159.9) == ban
    assert bans.get(B, 159.9) is None
    assert bans.get(A, 160.0) is None
    assert len(bans) == 0


def test_the_ban_that_ends_later_stays():
    bans = Bans()
    bans.ban(A, 0.0, 100.0, "long")
    assert bans.ban(A, 1.0, 10.0, "short").reason == "long"
    assert bans.ban(A, 2.0, 1000.0, "longer").reason == "longer"


def test_a_clock_that_is_set_back_makes_no_ban_longer():
    bans = Bans()
    bans.ban(A, 1e9, 100.0, "garbage")
    assert bans.get(A, 5.0) is not None
    assert bans.get(A, 104.9) is not None
    assert bans.get(A, 105.0) is None


@pytest.mark.parametrize(("away", "left"), [(0.0, 60.0), (30.0, 30.0), (60.0, 0.0), (1e9, 0.0), (-1e6, 100.0)])
def test_a_restart_keeps_bans_and_none_lasts_longer_than_it_was_meant(away, left):
    before, after = Bans(), Bans()
    before.ban(A, 1000.0, 100.0, "garbage")
    after.load([dated(ban, 1040.0, 1e9) for ban in before.active(1040.0)], 5.0, 1e9 + away)
    assert (after.get(A, 5.0 + left - 0.1) is not None) is (left > 0)
    assert after.get(A, 5.0 + left + 0.1) is None


@pytest.mark.parametrize(("begun", "until"), [(math.nan, 1e9 + 5), (1e9, math.nan), (1e9, math.inf), (-math.inf, math.inf)])
def test_bans_that_cannot_be_are_left_out(begun, until):
    bans = Bans()
    bans.load([Ban(A, begun, until, "damaged")], 0.0, 1e9)
    assert bans.active(0.0) == ()


def test_the_number_of_bans_is_bounded():
    bans = Bans()
    for number in range(8300):
        bans.ban(node_id(number), 0.0, 100.0 + number, "garbage")
    assert len(bans) == 8192
    assert bans.get(node_id(8299), 0.0) is not None
    assert bans.get(node_id(0), 0.0) is None
