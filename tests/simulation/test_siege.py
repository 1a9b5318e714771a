"""S1: 10,000 nodes of an attacker press into the table of one that has just started, among 2,000 honest ones, for a day.

The victim is real, all others are a model, which crowd.py describes. Row D7 of THREATS.md.
"""

import pytest

from tests.simulation.runs import siege, siege_without_limits, siege_without_shares
from tests.simulation.siege import Siege

pytestmark = pytest.mark.simulation


def test_d7_s1_one_network_has_a_twentieth_of_the_table_at_most(siege_of_1: Siege):
    assert siege_of_1.share <= 0.05, siege_of_1
    assert siege_of_1.hits >= 0.95, siege_of_1


def test_d7_s1_sixteen_networks_have_a_fifth_at_most(siege_of_16: Siege):
    assert siege_of_16.share <= 0.20, siege_of_16
    assert siege_of_16.hits >= 0.95, siege_of_16


def test_d7_s1_control_with_ten_places_for_each_network_sixteen_have_most(siege_without_shares: Siege):
    assert siege_without_shares.share >= 0.4, siege_without_shares


def test_d7_s1_control_without_limits_one_network_has_most_and_hides_whom_we_look_for(siege_without_limits: Siege):
    assert siege_without_limits.share >= 0.5, siege_without_limits
    assert siege_without_limits.hits <= 0.8, siege_without_limits


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_d7_s1_the_same_with_other_chance(seed):
    for networks, most in ((1, 0.05), (16, 0.20)):
        found = siege(networks, seed)
        assert found.share <= most, found
        assert found.hits >= 0.95, found
    assert siege_without_shares(seed).share >= 0.4
    assert siege_without_limits(seed).share >= 0.5
