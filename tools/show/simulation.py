"""The show's nodes at the usual pace, for hours that a simulated clock makes short: real nodes and sessions, over a network in memory.

``python -m tools.show.simulation`` runs the nodes of five seeds, each three times: with peers chosen as the library does, and with two
controls. It prints a table, and writes docs/steering.svg. Discovery has no part in it: each observer is told of all others, and they of it.
"""

import random
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio
from trio.testing import MockClock

from devp2p import Address, Limits, Node, NodeRecord, PrivateKey, open_node
from devp2p.transports.memory import MemoryTransport
from tools.show.asking import Asking
from tools.show.choice import Choice, merge, unrated
from tools.show.conduct import capabilities_of
from tools.show.meters import mean
from tools.show.plan import SLOW, Nature, NodePlan, plan_nodes
from tools.show.truth import best_service, chance_service, service
from tools.svg import BAD, GOOD, GRID, INK, document, line, text

NODES, HOURS, SEEDS = 30, 4.0, range(1, 6)
PLOT = Path(__file__).resolve().parent.parent.parent / "docs" / "steering.svg"
_LIMITS = Limits(ping_interval=300.0)  # as hours of them would be most of the work
_SAMPLE_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Moment:
    """How all observers stand."""

    seconds: float
    shares: tuple[float, ...]
    """Of each observer: what its peers truly give, over the best that as many places could."""
    hostile: int
    """Places of all observers that hostile nodes have."""

    @property
    def share(self) -> float:
        """The mean of all observers."""
        return mean(self.shares)


@dataclass(frozen=True, slots=True)
class Course:
    """One run."""

    choice: Choice
    seed: int
    moments: tuple[Moment, ...]
    by_chance: float
    """The share that as many peers taken at random would have, on average."""

    @property
    def share(self) -> float:
        """The mean of the last half hour."""
        return mean([moment.share for moment in self.moments[-30:]])

    @property
    def hostile(self) -> int:
        """Places that hostile nodes have in the end."""
        return self.moments[-1].hostile


class World:
    """The nodes of a seed, on one network in memory."""

    def __init__(self, choice: Choice, seed: int, nodes: int) -> None:
        self.plans = plan_nodes(nodes, seed, ipv6=False)
        self.observers = [plan for plan in self.plans if plan.observer]
        self.nodes: dict[str, Node] = {}
        self._choice = choice
        self._network = MemoryTransport()
        self._dice = random.Random(f"simulation {seed}")  # noqa: S311  (no secret is thrown with it)
        self._keys = {plan.name: PrivateKey.generate() for plan in self.plans}
        self._by_key = {bytes(self._keys[plan.name].public_key): plan for plan in self.plans}
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
                merge(node.steering.ratings)
            self.nodes[plan.name] = node
            yield node

    def moment(self) -> Moment:
        """How the observers stand."""
        peers = {one.name: [self._by_key[bytes(peer.public_key)] for peer in self.nodes[one.name].connected] for one in self.observers}
        return Moment(
            trio.current_time(),
            tuple(service(some) / self._bests[name] for name, some in peers.items()),
            sum(peer.nature is Nature.HOSTILE for some in peers.values() for peer in some),
        )


async def course_of(choice: Choice, seed: int, nodes: int = NODES, hours: float = HOURS) -> Course:
    """Run the nodes of a seed; the clock should be a simulated one."""
    world = World(choice, seed, nodes)
    moments: list[Moment] = []
    async with AsyncExitStack() as stack:
        for plan in world.plans:
            await stack.enter_async_context(world.node(plan))
        nursery = await stack.enter_async_context(trio.open_nursery())
        for one in world.observers:
            nursery.start_soon(Asking(world.nodes[one.name], SLOW).run)
        while trio.current_time() < hours * 3600:
            await trio.sleep(_SAMPLE_EVERY)
            moments.append(world.moment())
        nursery.cancel_scope.cancel()
    return Course(choice, seed, tuple(moments), world.by_chance)


def run(choice: Choice, seed: int, nodes: int = NODES, hours: float = HOURS) -> Course:
    """`course_of` under a simulated clock."""
    return trio.run(partial(course_of, choice, seed, nodes, hours), clock=MockClock(autojump_threshold=0))


def _address(plan: NodePlan) -> Address:
    return Address("memory", plan.name)


async def _those(records: Sequence[NodeRecord]) -> AsyncIterator[NodeRecord]:
    for record in records:
        yield record


# The picture

_COLOURS = {Choice.SLOTS: GOOD, Choice.ONE_SCORE: "#4a6fa5", Choice.RANDOM: BAD}
_LEFT, _WIDTH, _RIGHT, _TOP, _HEIGHT = 64, 640, 150, 52, 280
_FEWEST = 0.3  # the share at the lower edge


def _curve(points: Iterable[tuple[float, float]], hours: float, colour: str, width: float, opacity: float) -> str:
    places = " ".join(f"{_LEFT + _WIDTH * at / hours / 3600:.1f},{_y(share):.1f}" for at, share in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}"/>'


def _y(share: float) -> float:
    return _TOP + _HEIGHT * (1 - share) / (1 - _FEWEST)


def chart(courses: Sequence[Course]) -> str:
    """A thin curve for each run, a thick one for the mean of each way to choose."""
    hours = courses[0].moments[-1].seconds / 3600
    seeds = len({course.seed for course in courses})
    parts = [text(_LEFT, 22, "True service of the observers' peers, over the best that as many places could give")]
    parts += [text(_LEFT, 40, f"{seeds} networks of {NODES} nodes, at the usual pace under a simulated clock")]
    for tick in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        parts += [line(_LEFT, _LEFT + _WIDTH, _y(tick), _y(tick), GRID), text(_LEFT - 8, _y(tick) + 4, f"{tick:.0%}", "end")]
    parts += [text(_LEFT + _WIDTH * hour / hours, _TOP + _HEIGHT + 20, f"{hour} h", "middle") for hour in range(int(hours) + 1)]
    chance = mean([course.by_chance for course in courses])
    labels = [(chance, f"by chance {chance:.0%}", INK)]
    parts += [line(_LEFT, _LEFT + _WIDTH, _y(chance), _y(chance), INK)]
    for choice, colour in _COLOURS.items():
        some = [course.moments for course in courses if course.choice is choice]
        parts += [_curve([(one.seconds, one.share) for one in moments], hours, colour, 1, 0.3) for moments in some]
        means = [(ones[0].seconds, mean([one.share for one in ones])) for ones in zip(*some, strict=True)]
        parts += [_curve(means, hours, colour, 3, 1)]
        labels += [(means[-1][1], f"{choice} {means[-1][1]:.0%}", colour)]
    return document(_LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + 36, [*parts, *_labels(labels)])


def _labels(labels: Iterable[tuple[float, str, str]]) -> Iterable[str]:
    """Beside the ends of the curves, one below the other."""
    above = 0.0
    for share, label, colour in sorted(labels, reverse=True):
        above = max(_y(share) + 4, above + 16)
        yield f'<g fill="{colour}">{text(_LEFT + _WIDTH + 8, round(above, 1), label)}</g>'


def main() -> None:
    """Run all, print, draw."""
    print("| seed | by chance | " + " | ".join(f"{choice} | hostile" for choice in Choice) + " |")
    print("|---|--:|" + "--:|--:|" * len(Choice))
    with ProcessPoolExecutor() as pool:
        runs = {(choice, seed): pool.submit(run, choice, seed) for seed in SEEDS for choice in Choice}
        for seed in SEEDS:
            some = [runs[choice, seed].result() for choice in Choice]
            cells = [f"{course.share:.1%} | {course.hostile}" for course in some]
            print(f"| {seed} | {some[0].by_chance:.1%} | {' | '.join(cells)} |", flush=True)
    PLOT.write_text(chart([one.result() for one in runs.values()]), "utf-8")


if __name__ == "__main__":
    main()
