"""The rows of the table of failures and attacks that the policy was designed against, one test each."""

from collections import Counter
from functools import cache
from statistics import mean

import pytest

from devp2p.peers.bans import dated
from devp2p.peers.slots.policy import LONG_BAN, Slots
from devp2p.peers.slots.values import Admit, Drop, Refuse, SlotSpec, Swap
from tests.slots.builders import ETH, candidate, crowd, network, peer, rated
from tests.slots.world import SECRET, Node, World, node_id

# Steering works at all


def uneven(count: int) -> list[Node]:
    """One node in ten is worth as much as all others together."""
    nodes = crowd(0, count, 1.0, spread=4.0)
    for node in nodes[::10]:
        node.gives = {"eth": 100.0}
    return nodes


def served(seed: int) -> tuple[float, float, float]:
    """What a node's peers give at first, after four hours, and after four hours in which its ratings learn nothing."""
    world, control = World([ETH], 20, seed=seed), World([ETH], 20, seed=seed)
    for each in (world, control):
        each.add(uneven(200))
        each.run(60)
    at_first = world.service("eth")
    control.serve = lambda: None  # type: ignore[method-assign]
    world.run(4 * 3600)
    control.run(4 * 3600)
    assert len(control.exchanged) > 40  # it exchanges peers, too
    return at_first, world.service("eth"), control.service("eth")


@pytest.mark.simulation
def test_steering_finds_peers_that_serve_better_than_those_that_chance_gives():
    """How many of the few excellent nodes one node finds in four hours is chance's, so eight nodes are looked at."""
    at_first, steered, control = (mean(each) for each in zip(*map(served, range(1, 9)), strict=True))
    assert max(at_first, control) < 300
    assert steered > 1.4 * control + 100  # of 1000; a tenth of the places in ten minutes takes its time


# The table


def test_flapping_two_equal_peers_are_exchanged_at_most_once_in_ten_minutes():
    slots = Slots([SlotSpec("eth", 1)], 1, secret=SECRET, dialled_floor=0)
    there, other, exchanges = 1, 2, []
    since = -1e6
    for tick in range(6 * 60):  # an hour
        now = 10.0 * tick
        wobble = 0.04 if tick % 2 else -0.04
        peers = [peer(there, 0.5 - wobble, since)]
        for change in slots.decide(peers, [candidate(other, 0.5 + wobble)], now, lambda: 0.5):
            assert isinstance(change, Swap)
            answer = slots.admit(peer(other, 0.5, now), peers, now)
            assert isinstance(answer, Admit)
            exchanges.append(now)
            there, other, since = other, there, now
    windows = [sum(start <= when < start + 600 for when in exchanges) for start in exchanges]
    assert max(windows, default=0) <= 1


def test_flapping_would_happen_without_hysteresis():
    """The control: the same two peers, whichever is the better one at the moment."""
    there, exchanges = 1, 0
    for tick in range(6 * 60):
        better = 2 if tick % 2 else 1
        exchanges += better != there
        there = better
    assert exchanges > 300


def test_whitewash_a_banned_node_gains_nothing_by_a_new_identity():
    world = World([ETH], 10, dialled_floor=3)
    world.add(crowd(0, 60, 20.0))
    world.run(900)
    honest = world.service("eth")
    number, bans, there = 10_000, 0, 0
    attacker = Node(number, {"eth": 0.0}, network(number), honest=False, severity=4)

    def attack() -> None:
        nonlocal number, bans, attacker, there
        if attacker.id not in world.sessions:
            banned = world.bans.get(attacker.id, world.now)
            if banned:
                bans += 1
                assert isinstance(refused := world.comes(attacker), Refuse)
                assert "banned" in refused.reason
                number += 1
                attacker = Node(number, {"eth": 0.0}, network(number % 60_000), honest=False, severity=4)
            world.comes(attacker)
        there += attacker.id in world.sessions

    world.run(3600, attack)
    assert bans > 20
    assert world.service("eth") >= 0.9 * honest
    assert all(isinstance(why, Drop) and why.ban == LONG_BAN for _, peer, why in world.ended if peer >= node_id(10_000))
    assert all(peer >= node_id(10_000) for _, peer, why in world.ended if isinstance(why, Admit) and why.id >= node_id(10_000))


def test_sybils_200_from_two_networks_leave_the_dialled_alone_and_get_no_more_than_the_cap():
    world = World([SlotSpec("eth", 25)], 50)
    world.add(crowd(1000, 100))
    world.run(300)
    dialled = {session.node.id for session in world.sessions.values() if not session.inbound}
    assert len(dialled) >= 16
    sybils = [Node(n, {"eth": 50.0}, b"\x05" + bytes([n % 2]), honest=False, rtt=0.001) for n in range(200)]
    admitted = 0

    def attack() -> None:
        nonlocal admitted
        for sybil in sybils:
            if sybil.id not in world.sessions:
                admitted += isinstance(world.comes(sybil), Admit)
        counts = Counter(session.node.network for session in world.sessions.values())
        assert counts[b"\x05\x00"] <= 5
        assert counts[b"\x05\x01"] <= 5
        assert len(world.sessions) <= 50

    world.run(300, attack)
    assert admitted >= 10  # the attack did get what the cap allows
    still = {session.node.id for session in world.sessions.values() if not session.inbound}
    assert len(dialled - still) <= len(world.exchanged)
    assert sum(session.node.honest for session in world.sessions.values() if not session.inbound) >= 16


def test_sybils_without_the_cap_and_the_floor_take_the_node_over():
    """The control: no cap, and every place for whoever comes."""
    world = World([SlotSpec("eth", 25)], 50, network_cap=50, dialled_floor=0)
    for sybil in [Node(n, {"eth": 50.0}, b"\x05" + bytes([n % 2]), honest=False) for n in range(200)]:
        world.comes(sybil)
    assert world.share() == 1
    assert len(world.sessions) == 50


def test_cold_boot_peers_that_turn_malicious_are_dropped_within_two_ticks_and_replaced():
    world = World([ETH], 20)
    world.add(crowd(0, 100, 10.0))
    traitors = crowd(500, 3, 200.0)
    world.add(traitors)
    for traitor in traitors:
        world.begin(traitor, inbound=False, admitted=Admit(traitor.id, ""))
    world.run(3600)
    assert all(traitor.id in world.sessions for traitor in traitors)  # they are the best that there are
    for traitor in traitors:
        traitor.severity, traitor.honest = 3, False
    ticks = 0
    while any(traitor.id in world.sessions for traitor in traitors):
        world.tick()
        ticks += 1
        assert ticks <= 2
    world.run(60)
    assert world.service("eth") > 50
    assert len([session for session in world.sessions.values() if not session.inbound]) >= 10
    for traitor in traitors:
        assert isinstance(world.comes(traitor), Refuse)


def test_a_greedy_capability_with_a_weight_of_100_leaves_the_others_their_minimum():
    specs = [SlotSpec("greedy", 20, weight=100.0), SlotSpec("eth", 10, minimum=4)]
    world = World(specs, 12)
    world.add(crowd(0, 200, 10.0, name="greedy"))
    world.add(crowd(1000, 30, 1.0))
    world.run(1200)
    for _ in range(60):
        world.tick()
        assert sum("eth" in session.node.gives for session in world.sessions.values()) >= 4


def test_a_greedy_capability_takes_everything_without_a_minimum():
    """The control."""
    specs = [SlotSpec("greedy", 20, weight=100.0), SlotSpec("eth", 10)]
    world = World(specs, 12)
    world.add(crowd(0, 200, 10.0, name="greedy"))
    world.add(crowd(1000, 30, 1.0))
    world.run(1800)
    assert sum("eth" in session.node.gives for session in world.sessions.values()) < 4


def test_a_minimum_is_got_back_from_a_capability_that_has_taken_all_places():
    specs = [SlotSpec("greedy", 20, weight=100.0), SlotSpec("eth", 10, minimum=2)]
    slots = Slots(specs, 10, secret=SECRET)
    peers = [peer(number, standings={"greedy": rated(0.9)}) for number in range(10)]
    (change,) = slots.decide(peers, [candidate(50, None), candidate(51, 0.1)], 0.0, lambda: 0.5)
    assert isinstance(change, Swap)
    assert change.id in {node_id(50), node_id(51)}
    assert change.reason == "eth has fewer peers than its minimum"


@pytest.mark.parametrize(("both", "is_better"), [(0.7, True), (0.4, False)])
def test_a_peer_with_two_capabilities_is_preferred_if_its_worth_says_so(both, is_better):
    """Two places, one of them kept by a better peer: the other one is for whoever adds more."""
    specs = [SlotSpec("eth", 2), SlotSpec("snap", 2)]
    slots = Slots(specs, 2, secret=SECRET, dialled_floor=0)
    peers = [peer(1, standings={"eth": rated(0.9)}), peer(2, standings={"snap": rated(0.9)})]
    candidates = [candidate(3, standings={"eth": rated(both), "snap": rated(both)})]
    changes = slots.decide(peers, candidates, 0.0, lambda: 0.5)
    assert bool(changes) is is_better
    if changes:
        assert "it is expected to be worth 0.50 more" in changes[0].reason


def mediocre(floor: float) -> tuple[float | None, int]:
    """A node none of whose peers gives anything, until nodes can be dialled that do; the median rating two hours later, and the exchanges.

    All are equally poor, so each is as good as half of the others: by comparison alone, nobody is worth exchanging.
    """
    world = World([SlotSpec("eth", 3, floor=floor)], 10)
    world.add(crowd(0, 30, 0.0))
    world.run(1800)
    world.add(crowd(1000, 60, 20.0))
    world.run(2 * 3600)
    return world.slots.view(world.peers(), world.now).capabilities[0].median, len(world.exchanged)


@pytest.mark.simulation
def test_an_all_mediocre_mesh_recovers_by_grafting():
    median, exchanged = mediocre(floor=1.5)
    assert median is not None
    assert median > 3
    assert exchanged <= 15  # one in ten minutes


@pytest.mark.simulation
def test_without_a_floor_it_does_not_in_that_time():
    """The control."""
    median, exchanged = mediocre(floor=-1e9)
    assert median is not None
    assert median < 1
    assert exchanged == 0


@cache
def first_life() -> World:
    """An hour among honest nodes, of which nothing is changed later."""
    before = World([ETH], 20)
    before.add(crowd(0, 100, 10.0, spread=20.0))
    before.run(3600)
    return before


def honest_after_a_restart(*, with_anchors: bool) -> int:
    """How many honest peers a node has, ten minutes after a restart in which all that it is told of are liars."""
    before = first_life()
    anchors = before.slots.anchors(before.peers(), before.now)["eth"]
    assert len(anchors) == 2
    after = World([ETH], 20, seed=2)
    liars = [Node(n, {"eth": 15.0}, network(n), honest=False) for n in range(5000, 5300)]
    after.add(liars)
    if with_anchors:
        after.add(before.nodes[node_id] for node_id in anchors)
        after.anchors = set(anchors)
    after.run(600)
    return sum(session.node.honest for session in after.sessions.values())


def test_d10_anchors_keep_a_node_from_being_surrounded_after_a_restart_when_its_table_is_poisoned():
    assert honest_after_a_restart(with_anchors=True) == 2


def test_d10_control_without_anchors_it_is():
    assert honest_after_a_restart(with_anchors=False) == 0


def test_offline_for_more_than_seven_days_the_ratings_are_gone_and_the_anchors_are_not():
    before = World([ETH], 20)
    before.add(crowd(0, 100, 10.0, spread=20.0))
    bad = Node(900, {"eth": 1.0}, severity=4)
    before.run(600)
    before.comes(bad)
    before.run(3600)
    anchors = before.slots.anchors(before.peers(), before.now)["eth"]
    rows, bans = before.ratings.dump(before.now, 1e9), [dated(ban, before.now, 1e9) for ban in before.bans.active(before.now)]
    assert rows
    assert bans
    after = World([ETH], 20)
    after.now = 5.0
    week = 8 * 86400
    after.ratings.load(rows, after.now, 1e9 + week)
    after.bans.load(bans, after.now, 1e9 + week)
    assert len(after.ratings) == len(after.bans) == 0
    after.add(before.nodes.values())
    after.anchors = set(anchors)
    after.fill()
    assert set(anchors) <= set(after.sessions)


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, -1e9, 1e9])
def test_clock_jumps_neither_stop_the_policy_nor_let_it_run_wild(jump):
    world = World([ETH], 20)
    world.add(crowd(0, 100, 1.0, spread=50.0))
    world.run(1800)
    changed = len(world.exchanged)
    there = set(world.sessions)
    world.now += jump
    world.tick()
    world.tick()
    assert len(there - set(world.sessions)) <= 2
    for _ in range(120):
        world.tick()
    assert len(world.exchanged) - changed <= 3 * 2  # two in each ten minutes, and those before the jump may no longer count
    worse = Node(7, {"eth": 0.0}, severity=4)
    world.begin(worse, inbound=False, admitted=Admit(worse.id, ""))
    world.tick()
    assert worse.id not in world.sessions
