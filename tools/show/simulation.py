"""The show's nodes at the usual pace, for hours that a simulated clock makes short: real nodes and sessions, over a network in memory.

``python -m tools.show.simulation`` runs the nodes of five seeds, each three times: with peers chosen as the library does, and with two
controls. It prints a table, and writes docs/steering.svg. Discovery has no part in it: each observer is told of all others, and they of it.
"""

import argparse
import hashlib
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import trio
from trio.testing import MockClock

from devp2p import Address, Limits, Node, NodeRecord, PrivateKey, open_node
from devp2p.transports import MemoryTransport
from tools.show.asking import Asking
from tools.show.board import Sample
from tools.show.choice import merge, unrated
from tools.show.conduct import capabilities_of
from tools.show.courses import Course, chart, parse, tell
from tools.show.meters import mean
from tools.show.plan import SLOW, Choice, Nature, NodePlan, plan_nodes
from tools.show.truth import best_service, chance_service, service
from tools.svg import INTERRUPTED

NODES, HOURS, SEEDS = 30, 4.0, range(1, 6)
PLOT = Path(__file__).resolve().parent.parent.parent / "docs" / "steering.svg"
_LIMITS = Limits(ping_interval=300.0)  # as hours of them would be most of the work
_SAMPLE_EVERY = 60.0


class World:
    """The nodes of a seed, on one network in memory."""

    def __init__(self, choice: Choice, seed: int, nodes: int) -> None:
        self.plans = plan_nodes(nodes, seed, ipv6=False)
        self.observers = [plan for plan in self.plans if plan.observer]
        self.nodes: dict[str, Node] = {}
        self._choice = choice
        self._network = MemoryTransport()
        self._dice = random.Random(f"simulation {seed}")  # noqa: S311  (no secret is thrown with it)
        self._keys = {plan.name: _key(seed, plan.name) for plan in self.plans}
        self._by_id = {self._keys[plan.name].public_key.node_id: plan for plan in self.plans}
        self._bests = {one.name: best_service(self._others(one), one.places) for one in self.observers}
        self.by_chance = mean([chance_service(self._others(one), one.places, seed) / self._bests[one.name] for one in self.observers])

    def _others(self, observer: NodePlan) -> list[NodePlan]:
        return [plan for plan in self.plans if plan is not observer]

    @asynccontextmanager
    async def node(self, plan: NodePlan) -> AsyncIterator[Node]:
        """Run a node. An observer dials anybody, the others only observers: whom else they have, nobody watches."""
        known = [other for other in (self.plans if plan.observer else self.observers) if other is not plan]
        self._dice.shuffle(known)
        capabilities = capabilities_of(plan, SLOW, trio.current_time)
        opening = open_node(
            self._keys[plan.name],
            unrated(capabilities) if self._choice is Choice.RANDOM else capabilities,
            listen=[f"memory://{plan.name}"],
            candidates=_those([NodeRecord(self._keys[other.name].public_key, (_address(other),)) for other in known]),
            max_peers=plan.places,
            limits=_LIMITS,
            transports=[self._network],
        )
        async with opening as node:
            if self._choice is Choice.ONE_SCORE:
                merge(node.policy.ratings)
            self.nodes[plan.name] = node
            yield node

    def sample(self) -> Sample:
        """How the observers' places are taken."""
        peers = {one.name: [self._by_id[peer.id] for peer in self.nodes[one.name].connected] for one in self.observers}
        places = Counter(peer.nature for some in peers.values() for peer in some)
        shares = {name: service(some) / self._bests[name] for name, some in peers.items()}
        return Sample(trio.current_time(), shares, {nature: places[nature] for nature in Nature})


async def course_of(choice: Choice, seed: int, nodes: int = NODES, hours: float = HOURS) -> Course:
    """Run the nodes of a seed; the clock should be a simulated one."""
    world = World(choice, seed, nodes)
    samples: list[Sample] = []
    async with AsyncExitStack() as stack:
        for plan in world.plans:
            await stack.enter_async_context(world.node(plan))
        nursery = await stack.enter_async_context(trio.open_nursery())
        for one in world.observers:
            nursery.start_soon(Asking(world.nodes[one.name], SLOW).run)
        while trio.current_time() < hours * 3600:
            await trio.sleep(_SAMPLE_EVERY)
            samples.append(world.sample())
        nursery.cancel_scope.cancel()
    return Course(choice, seed, tuple(samples), world.by_chance)


def run(choice: Choice, seed: int, nodes: int = NODES, hours: float = HOURS) -> Course:
    """`course_of` under a simulated clock."""
    return trio.run(partial(course_of, choice, seed, nodes, hours), clock=MockClock(autojump_threshold=0))


def _key(seed: int, name: str) -> PrivateKey:
    return PrivateKey(hashlib.sha256(f"simulation {seed} {name}".encode()).digest())


def _address(plan: NodePlan) -> Address:
    return Address("memory", plan.name)


async def _those(records: Sequence[NodeRecord]) -> AsyncIterator[NodeRecord]:
    for record in records:
        yield record


def run_all(options: argparse.Namespace) -> None:
    """Run all, print, draw."""
    heeded = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which the processes of the pool inherit: they end when this one does
    with Pool() as pool:
        signal.signal(signal.SIGINT, heeded)
        runs = {(choice, seed): pool.apply_async(run, (choice, seed)) for seed in SEEDS for choice in Choice}
        courses = tell([runs[choice, seed].get() for choice in Choice] for seed in SEEDS)
    subtitle = f"{len(SEEDS)} networks of {NODES} nodes, at the usual pace under a simulated clock"
    options.out.write_text(chart(courses, subtitle, 3600, "h"), "utf-8")


if __name__ == "__main__":
    chosen = parse(
        "python -m tools.show.simulation",
        "Run the nodes of the show for four hours of a simulated clock, with five seeds, each three times: with peers chosen as the "
        "library does, and with two controls. It keeps all cores busy for minutes. It prints a table and draws a plot.",
        PLOT,
    )
    try:
        run_all(chosen)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
