"""The policy lives through whatever may happen, in any order; what must never be is looked for after each step."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from devp2p.errors import DisconnectReason
from devp2p.peers.slots.values import Admit, Drop, Graft, Refuse, SlotSpec, Swap
from tests.slots.world import Node, World

NODES = 40
numbers = st.integers(0, NODES - 1)
NAMES = ("greedy", "eth", "snap")


class PolicyMachine(RuleBasedStateMachine):
    @initialize(
        seed=st.integers(0, 10**6), budget=st.integers(2, 14), floor=st.none() | st.integers(0, 2), cap=st.none() | st.integers(1, 4)
    )
    def begin(self, seed: int, budget: int, floor: int | None, cap: int | None) -> None:
        chance = random.Random(seed)
        specs = [SlotSpec("greedy", 8, weight=100.0), SlotSpec("eth", 5, minimum=2, floor=1.0), SlotSpec("snap", 2, minimum=1)]
        self.world = World(specs, budget, seed=seed, dialled_floor=floor, network_cap=cap)
        self.world.dials_a_tick = 2
        nodes = []
        for number in range(NODES):
            gives = {name: chance.uniform(0, 50) for name in NAMES if chance.random() < 0.6} or {"eth": 1.0}
            nodes.append(Node(number, gives, bytes([chance.randrange(12)]) if chance.random() < 0.9 else None, full=chance.random() < 0.1))
        self.world.add(nodes)
        self.nodes = nodes
        self.budget = budget
        self.before: dict[bytes, bool] = {}

    def inner(self):
        return [session for session in self.world.sessions.values() if not session.outside]

    def serving(self, name: str) -> int:
        return sum(name in session.node.gives for session in self.inner())

    def least(self) -> dict[str, int]:
        """How many peers of each capability must still be there after a decision: the minimum, or those that there were."""
        return {spec.name: min(spec.minimum, self.serving(spec.name)) for spec in self.world.specs}

    @rule(ticks=st.integers(1, 40))
    def time_passes(self, ticks: int) -> None:
        for _ in range(ticks):
            world = self.world
            world.now += 10.0
            world.serve()
            world.ratings.refresh(world.now)
            least = self.least()
            there = set(world.sessions)
            changes = world.slots.decide(world.peers(), world.candidates(), world.now, world.chance.random)
            exchanges = [change for change in changes if isinstance(change, Swap | Graft)]
            assert len(exchanges) <= 1
            for change in changes:
                assert change.reason
                if isinstance(change, Drop):
                    assert world.sessions[change.id].node.severity or any(
                        conduct.invalid for conduct in world.sessions[change.id].conduct.values()
                    )
                    assert not world.sessions[change.id].outside
                    world.end(change.id, change.disconnect, change)
                    world.bans.ban(change.id, world.now, change.ban, change.reason)
                    least = dict.fromkeys(least, 0)
                elif isinstance(change, Swap | Graft):
                    assert change.id not in there
                    if change.drop is not None:
                        session = world.sessions[change.drop]
                        assert not session.protected
                        assert not session.outside
                        assert world.now - session.since >= 300
                    world.dial(change.id)
                else:
                    session = world.sessions[change.id]
                    assert session.inbound
                    assert not session.protected
                    world.end(change.id, change.disconnect, change)
            assert all(self.serving(name) >= count for name, count in least.items())
            world.fill()
            self.holds()

    @rule(number=numbers, protected=st.booleans(), outside=st.sampled_from([False, False, False, True]))
    def somebody_comes(self, number: int, *, protected: bool, outside: bool) -> None:
        node = self.nodes[number]
        least, there = self.least(), dict(self.world.sessions)
        answer = self.world.comes(node, protected=protected, outside=outside)
        if node.id in there:
            assert isinstance(answer, Refuse)
            assert answer.disconnect is DisconnectReason.ALREADY_CONNECTED
        elif outside:
            assert isinstance(answer, Admit)
            assert answer.drop is None
        elif isinstance(answer, Admit) and answer.drop is not None:
            bad = any(standing.bad for standing in self.world.peer(there[answer.drop]).standings.values())
            assert there[answer.drop].inbound
            assert bad or not (there[answer.drop].protected or there[answer.drop].outside)
            assert bad or all(self.serving(name) >= count for name, count in least.items())

    @rule(number=numbers)
    def somebody_leaves(self, number: int) -> None:
        node = self.nodes[number]
        if node.id in self.world.sessions:
            self.world.end(node.id, DisconnectReason.REQUESTED, "it left")

    @rule(number=numbers, severity=st.integers(0, 4))
    def somebody_changes(self, number: int, severity: int) -> None:
        self.nodes[number].severity = severity

    @rule(jump=st.sampled_from([-3600.0, 3600.0, 1e6]))
    def the_clock_jumps(self, jump: float) -> None:
        self.world.now += jump
        self.world.exchanged.clear()  # what was before counts no longer, or counts as now

    @precondition(lambda self: self.world.sessions)
    @rule()
    def the_view_tells_of_everybody(self) -> None:
        view = self.world.slots.view(self.world.peers(), self.world.now)
        assert {shown.id for shown in view.peers} == set(self.world.sessions)
        assert all(shown.why for shown in view.peers)
        assert view.dialled + view.inbound + view.outside == len(self.world.sessions)
        for capability in view.capabilities:
            taken = [shown for shown in view.peers if capability.spec.name in shown.slots]
            assert sum(capability.filled.values()) == len(taken) <= capability.spec.slots
        assert view.changes <= view.changes_allowed

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "world"):
            return
        world, inner = self.world, self.inner()
        assert len(inner) <= self.budget
        inbound = sum(session.inbound for session in inner)
        assert inbound <= self.budget - world.slots.rules.dialled_floor
        cap = world.slots.rules.network_cap
        networks = [session.node.network for session in inner if session.node.network is not None]
        assert cap is not None
        assert all(networks.count(network) <= cap for network in networks)
        recent = [when for when in world.exchanged if world.now - when < 600]
        assert len(recent) <= world.slots.changes_allowed


PolicyMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=25)
TestPolicy = PolicyMachine.TestCase
