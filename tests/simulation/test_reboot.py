"""S2: a node starts anew while two hosts of an attacker press into it; whom has it dialled a minute later? Row D8 of THREATS.md.

The victim is real, all others are a model, which reboot.py and crowd.py describe.
"""

import pytest

from tests.simulation.reboot import Outbound
from tests.simulation.runs import reboots as reboot_often

pytestmark = pytest.mark.simulation


def none_is_surrounded(found: list[Outbound]) -> None:
    for one in found:
        assert one.honest >= 1, one
        assert one.honest >= one.sybils, one


def test_d8_s2_half_of_whom_a_node_dials_in_its_first_minute_is_honest_in_every_run(reboots: list[Outbound]):
    none_is_surrounded(reboots)


def test_d8_s2_without_its_book_too(reboots_without_book: list[Outbound]):
    none_is_surrounded(reboots_without_book)


def test_d8_s2_control_without_limits_most_of_whom_it_dials_are_not_honest(reboots_without_limits: list[Outbound]):
    assert sum(one.honest for one in reboots_without_limits) < sum(one.sybils for one in reboots_without_limits)


def test_d8_s2_control_where_no_places_are_reserved_it_is_often_surrounded(reboots_without_places: list[Outbound]):
    assert sum(one.honest == 0 for one in reboots_without_places) >= 0.3 * len(reboots_without_places)


@pytest.mark.long
def test_d8_s2_ten_thousand_times():
    none_is_surrounded(reboot_often(10_000))
