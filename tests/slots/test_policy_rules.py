"""What the policy promises beside that table: who is exempt from what, what newcomers are taken for, classes, places, the view."""

from collections import Counter
from typing import Any

import pytest

from devp2p.errors import DisconnectReason, LocalProtocolError
from devp2p.node.pace import PolicyClock
from devp2p.peers.slots.policy import Slots
from devp2p.peers.slots.values import Admit, Drop, Graft, Refuse, SlotSpec, Swap
from tests.slots.builders import ETH, candidate, crowd, peer, rated
from tests.slots.search import reachable
from tests.slots.world import SECRET, Node, World, node_id


def test_bad_conduct_is_exempt_from_protection_tenure_and_churn_budget_but_not_for_trusted_peers():
    slots = Slots([ETH], 10, secret=SECRET)
    bad: dict[str, Any] = {"standings": {"eth": rated(0.0, bad="its rating in eth is -9.00", severity=3.0)}}
    peers = [peer(n, protected=True, since=-1.0, **bad) for n in range(5)] + [peer(9, outside=True, **bad)]
    changes = slots.decide(peers, [], 0.0, lambda: 0.5)
    assert {change.id for change in changes} == {node_id(n) for n in range(5)}
    assert all(isinstance(change, Drop) and change.reason == "its rating in eth is -9.00" for change in changes)


def test_a_protected_peer_is_not_exchanged_and_one_that_has_just_come_neither():
    for special in ({"protected": True}, {"since": -299.0}):
        slots = Slots([SlotSpec("eth", 1)], 1, secret=SECRET, dialled_floor=0)
        assert not slots.decide([peer(1, 0.1, **special)], [candidate(2, 0.9)], 0.0, lambda: 0.5)
    slots = Slots([SlotSpec("eth", 1)], 1, secret=SECRET, dialled_floor=0)
    assert slots.decide([peer(1, 0.1, since=-300.0)], [candidate(2, 0.9)], 0.0, lambda: 0.5)


def test_optimism_is_for_free_places_only():
    slots = Slots([SlotSpec("eth", 1)], 1, secret=SECRET, dialled_floor=0)
    assert not slots.decide([peer(1, 0.6)], [candidate(2)], 0.0, lambda: 0.5)  # a newcomer is taken for 0.5
    slots._dials = 100
    found = slots.next_dial(slots.choice([], [candidate(2, 0.6, tries=50), candidate(3)], 0.0, lambda: 0.5), ())
    assert found is not None
    assert found.id == node_id(3)


def test_an_inbound_newcomer_is_taken_for_the_25th_percentile_and_a_dialled_one_for_the_median():
    view = Slots([ETH], 10, secret=SECRET).view([peer(1, None, inbound=True), peer(2, None)], 0.0)
    assert [shown.quantiles["eth"] for shown in view.peers] == [0.25, 0.5]


def test_who_is_connected_already_is_refused_even_if_trusted_and_trusted_ones_are_admitted_beyond_the_budget():
    slots = Slots([ETH], 2, secret=SECRET)
    peers = [peer(1), peer(2)]
    again = slots.admit(peer(1, outside=True), peers, 0.0)
    assert isinstance(again, Refuse)
    assert again.disconnect is DisconnectReason.ALREADY_CONNECTED
    assert isinstance(slots.admit(peer(3, outside=True, inbound=True), peers, 0.0), Admit)
    full = slots.admit(peer(3), peers, 0.0)
    assert isinstance(full, Refuse)
    assert full.reason == "all 2 places are taken"


def test_a_swap_whose_dial_failed_exchanges_nobody():
    slots = Slots([SlotSpec("eth", 1)], 1, secret=SECRET, dialled_floor=0)
    peers = [peer(1, 0.1)]
    (swap,) = slots.decide(peers, [candidate(2, 0.9)], 0.0, lambda: 0.5)
    slots.gave_up(swap.id)
    refused = slots.admit(peer(2), peers, 5.0)
    assert isinstance(refused, Refuse)
    (again,) = slots.decide(peers, [candidate(3, 0.9)], 10.0, lambda: 0.5)
    answer = slots.admit(peer(3), peers, 11.0)
    assert isinstance(answer, Admit)
    assert (again.id, answer.drop) == (node_id(3), node_id(1))


def test_who_is_dialled_for_another_ones_place_and_dials_us_and_is_refused_still_gets_it():
    slots = Slots([SlotSpec("eth", 1)], 1, secret=SECRET, dialled_floor=0)
    peers = [peer(1, 0.1)]
    (swap,) = slots.decide(peers, [candidate(2, 0.9)], 0.0, lambda: 0.5)
    assert isinstance(slots.admit(peer(2, inbound=True), peers, 1.0), Refuse)
    answer = slots.admit(peer(2), peers, 1.0)
    assert isinstance(answer, Admit)
    assert (swap.id, answer.drop) == (node_id(2), node_id(1))


def test_places_are_kept_free_for_inbound_peers():
    world = World([ETH], 50)
    world.add(crowd(0, 300))
    for node in crowd(2000, 100):
        world.comes(node)
    world.run(1200)
    assert len(world.sessions) <= 45
    assert isinstance(world.comes(Node(9999, {"eth": 1.0})), Admit)


def test_dials_leave_a_third_of_the_places_to_those_who_dial_us():
    world = World([SlotSpec("eth", 50)], 50)
    world.add(crowd(0, 300))
    world.run(600)
    assert len(world.sessions) == 34
    for node in crowd(2000, 11):
        assert isinstance(world.comes(node), Admit)
    world.run(600)
    assert sum(session.inbound for session in world.sessions.values()) == 11  # five places are still free


def test_one_peer_is_not_dropped_twice_in_a_tick():
    """An exchange and an eviction that want the same peer."""
    slots = Slots([SlotSpec("eth", 4)], 10, secret=SECRET)
    peers = [peer(n, 0.9, inbound=True) for n in range(5)] + [peer(7, 0.01, inbound=True)] + [peer(20 + n, 0.9) for n in range(4)]
    changes = slots.decide(peers, [candidate(50, 0.99)], 0.0, lambda: 0.5)
    dropped = [change.drop if isinstance(change, Swap | Graft) else change.id for change in changes]
    assert len(set(dropped)) == len(dropped) == 1


def test_classes_are_core_diverse_and_explore():
    spec = SlotSpec("eth", 10)
    assert (spec.core, spec.diverse, spec.explore, spec.inbound) == (6, 2, 2, 4)
    assert [(s.core, s.diverse, s.explore) for s in (SlotSpec("a", 4), SlotSpec("b", 3), SlotSpec("c", 1))] == [
        (2, 1, 1),
        (3, 0, 0),
        (1, 0, 0),
    ]
    slots = Slots([spec], 20, secret=SECRET)
    best = [peer(n, 0.9 - n / 100, network=b"aa") for n in range(8)]
    inbound = [peer(20 + n, 0.95, inbound=True) for n in range(6)]
    others = [peer(40 + n, 0.2 - n / 100) for n in range(4)]
    view = slots.view([*best, *inbound, *others], 0.0)
    kinds = {shown.id: shown.slots["eth"].value for shown in view.peers if shown.slots}
    assert sum(kinds.get(p.id) in {"core", "diverse"} for p in inbound) == 4
    assert all(kinds.get(p.id) != "explore" for p in inbound)
    assert [kinds.get(p.id) for p in best[:3]] == ["core", "core", "explore"]
    assert [kinds.get(p.id) for p in others[:2]] == ["diverse", "diverse"]  # of a network that core has not
    assert Counter(kinds.values()) == {"core": 6, "diverse": 2, "explore": 2}


def test_explore_slots_pass_on_after_ten_minutes_and_not_before():
    spec = SlotSpec("eth", 5)
    slots = Slots([spec], 10, secret=SECRET, dialled_floor=0)
    peers = [peer(n, 0.9) for n in range(4)] + [peer(7, 0.4, since=-599.0)]
    assert not slots.decide(peers, [candidate(50)], 0.0, lambda: 0.5)
    (change,) = slots.decide(peers, [candidate(50)], 1.0, lambda: 0.5)
    assert isinstance(change, Swap)
    assert (change.drop, change.reason) == (node_id(7), "an explore slot of eth passes on after 10 min")


def test_an_explore_slot_does_not_pass_to_who_is_known_for_worse():
    peers = [peer(n, 0.9) for n in range(4)] + [peer(7, 0.4, since=-600.0)]
    for quantile, passes in ((0.3, False), (0.41, True), (None, True)):
        slots = Slots([SlotSpec("eth", 5)], 10, secret=SECRET, dialled_floor=0)
        changes = slots.decide(peers, [candidate(50, quantile)], 1.0, lambda: 0.5)
        assert [change.id for change in changes] == ([node_id(50)] if passes else []), quantile


def test_a_graduate_enters_core_only_if_it_is_clearly_better():
    spec = SlotSpec("eth", 1)
    slots = Slots([spec], 5, secret=SECRET)
    slots.decide([peer(1, 0.5)], [], 0.0, lambda: 0.5)
    for quantile, core in ((0.54, 1), (0.56, 2)):
        view = slots.view([peer(1, 0.5), peer(2, quantile)], 10.0)
        assert [shown.id for shown in view.peers if shown.slots] == [node_id(core)]


def test_the_view_says_of_every_peer_why_it_is_kept():
    slots = Slots([SlotSpec("eth", 2, minimum=1), SlotSpec("snap", 1)], 5, secret=SECRET)
    peers = [
        peer(1, 0.9),
        peer(2, None, inbound=True, since=90.0),
        peer(3, outside=True),
        peer(4, 0.1, protected=True),
        peer(5, 0.2, inbound=True),
        peer(6, standings={"snap": rated(0.7)}),
        peer(7, 0.0, standings={"eth": rated(0.0, bad="its rating in eth is -1.00")}),
    ]
    view = slots.view(peers, 100.0)
    assert {int.from_bytes(shown.id, "big"): shown.why for shown in view.peers} == {
        1: "core in eth (better than 90 %)",
        2: "core in eth (newcomer, taken for 0.25); here for 10 s, too short to judge",
        3: "trusted or static: outside of all slots",
        4: "protected",
        5: "it has no slot, but an inbound place",
        6: "core in snap (better than 70 %)",
        7: "not kept: its rating in eth is -1.00",
    }
    assert {int.from_bytes(shown.id, "big"): shown.ratings for shown in view.peers} == {
        1: {"eth": pytest.approx(2.6)},
        2: {},  # a newcomer is not rated
        3: {"eth": 1.0},
        4: {"eth": pytest.approx(-0.6)},
        5: {"eth": pytest.approx(-0.2)},
        6: {"snap": pytest.approx(1.8)},
        7: {"eth": -1.0},
    }
    assert (view.dialled, view.inbound, view.outside, view.budget) == (4, 2, 1, 5)
    assert {capability.spec.name: capability.peers for capability in view.capabilities} == {"eth": 5, "snap": 1}
    assert view.value == pytest.approx(0.9 + 0.25 + 0.7)


def test_a_policy_of_pace_60_does_in_a_second_what_takes_a_minute():
    for pace, when, expected in ((60.0, 5.0, True), (60.0, 4.9, False), (1.0, 5.0, False)):
        slots = Slots([SlotSpec("eth", 1)], 1, secret=SECRET, dialled_floor=0)
        now = PolicyClock(pace).at(when)
        assert bool(slots.decide([peer(1, 0.1, since=0.0)], [candidate(2, 0.9)], now, lambda: 0.5)) is expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": -1},
        {"dialled_floor": 11},
        {"dialled_floor": -1},
        {"network_cap": 0},
        {"secret": b"short"},
    ],
)
def test_settings_that_make_no_sense_are_told(wrong):
    settings = {"budget": 10, "secret": SECRET, **wrong}
    with pytest.raises(LocalProtocolError):
        Slots([ETH], **settings)
    with pytest.raises(LocalProtocolError):
        Slots([ETH, ETH], 10, secret=SECRET)


@pytest.mark.parametrize(
    "wrong", [{"slots": 0}, {"minimum": 3}, {"minimum": -1}, {"weight": 0.0}, {"weight": float("inf")}, {"floor": float("nan")}]
)
def test_slots_that_make_no_sense_are_told(wrong):
    with pytest.raises(LocalProtocolError):
        SlotSpec(**{"name": "eth", "slots": 2, **wrong})


def test_of_the_dials_under_way_two_count_as_one():
    slots = Slots([SlotSpec("eth", 3)], 10, secret=SECRET)
    peers = [peer(n, 0.9) for n in range(4)]
    assert slots._free_for_dials(slots._lineup(peers, 0.0)) == 3
    some = [candidate(50 + n, 0.99) for n in range(8)]
    for under_way, expected in ((0, True), (4, True), (5, False)):
        dialling = {one.id for one in some[:under_way]}
        found = slots.next_dial(slots.choice(peers, some, 0.0, lambda: 0.5), dialling)
        assert (found is not None) is expected
        assert found is None or found.id not in dialling


@pytest.mark.parametrize(("spec", "dials"), [(SlotSpec("eth", 2), 3), (SlotSpec("eth", 6), 11), (SlotSpec("eth", 6, minimum=2), 11)])
def test_slots_that_dials_under_way_will_fill_are_not_dialled_again(spec, dials):
    slots = Slots([spec], 40, secret=SECRET, dialled_floor=0)
    choice = slots.choice([], [candidate(n) for n in range(30)], 0.0, lambda: 0.5)
    under_way = set[bytes]()
    while found := slots.next_dial(choice, under_way):
        under_way.add(found.id)
    assert len(under_way) == dials
    better = slots.choice([], [candidate(50, 0.9)], 0.0, lambda: 0.5)  # one that would push out a newcomer is dialled at once
    assert slots.next_dial(better, under_way)
    failed = set(list(under_way)[4:])  # four dials fail, so two places more are free
    again = slots.choice([], [candidate(60 + n) for n in range(30)], 0.0, lambda: 0.5)
    assert slots.next_dial(again, failed)


def test_what_could_be_reached_is_at_least_what_there_is():
    slots = Slots([SlotSpec("eth", 3)], 4, secret=SECRET)
    peers = [peer(n, 0.2) for n in range(4)]
    assert reachable(slots, peers, [], 0.0, lambda: 0.5) == pytest.approx(0.6)
    assert reachable(slots, peers, [candidate(9, 0.9)], 0.0, lambda: 0.5) == pytest.approx(1.3)


def test_anchors_are_dialled_first_then_what_is_lacking_then_for_an_explore_slot_then_the_most_promising():
    specs = [SlotSpec("eth", 5), SlotSpec("snap", 1, minimum=1)]
    slots = Slots(specs, 20, secret=SECRET)
    anchor, lacking, plain = candidate(1, 0.1, anchor=True), candidate(2, standings={"snap": rated(0.1)}), candidate(3, 0.9)
    four = [peer(10 + n, 0.8) for n in range(4)]
    snap = peer(20, standings={"snap": rated(0.5)})
    for peers, candidates, number, reason in (
        ([], [anchor, lacking, plain], 1, "it was one of our best before the restart"),
        ([], [lacking, plain], 2, "a capability has fewer peers than its minimum"),
        ([*four, snap], [plain], 3, "it was chosen at random for an explore slot of eth"),
        ([snap], [plain, candidate(4, 0.8)], 3, "of the candidates it promises most"),
    ):
        found = slots.next_dial(slots.choice(peers, candidates, 0.0, lambda: 0.5), ())
        assert found is not None
        assert (found.id, found.reason) == (node_id(number), reason)


def test_d10_first_among_equals_is_whom_somebody_vouches_for_and_then_the_rarer_source():
    slots = Slots([ETH], 20, secret=SECRET)
    some = [candidate(n, source="v4") for n in range(5)] + [candidate(7, source="dns")]
    found = slots.next_dial(slots.choice([], some, 0.0, lambda: 0.5), ())
    assert found is not None
    assert found.id == node_id(7)
    found = slots.next_dial(slots.choice([], [*some, candidate(8, source="v4", preferred=True)], 0.0, lambda: 0.5), ())
    assert found is not None
    assert found.id == node_id(8)
