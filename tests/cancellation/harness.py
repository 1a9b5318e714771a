"""Plays a scenario again and again, each time with one thing going wrong at another point, until all points have been visited.

A point is a step of trio's scheduler: the moment at which some task, of any node or of the user, has run up to a checkpoint. There the
victim's scope (a node's, or that around the user's call) is cancelled, so that Cancelled is delivered at that very checkpoint. The other
kind of point is an operation on a stream, which fails. The order in which tasks run is made deterministic, so the n-th point of one run
is that of the next.
"""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from unittest.mock import patch

import outcome
import trio
from trio._core import _run as trio_internals
from trio.testing import MockClock, wait_all_tasks_blocked

from devp2p.capability import queues
from tests.cancellation.wires import KINDS
from tests.cancellation.world import PATIENCE, World

Part = Callable[[World], Awaitable[None]]
COUNTS: dict[tuple[str, str, str], int] = {}
"""Points that were visited, by scenario, kind of fault and victim; shown at the end of a test run."""
SETTLE = 20.0
"""Virtual seconds after which all must be quiet again."""
LONGEST = 120.0
"""Virtual seconds that a scenario may take by itself."""
_MOST_STEPS = 20_000


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What happens, in parts: what has to be there, what the user does while things go wrong, and whose session must work afterwards."""

    name: str
    prepare: Part
    user: Part
    works: tuple[str, str] = ("a", "b")
    victims: tuple[str, ...] = ("user", "a", "b")
    """Who is cancelled."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong: a victim is cancelled at a step, or an operation of its streams fails."""

    victim: str
    at: int
    kind: str = "cancel"


@dataclass
class Play:
    """How one run went."""

    faults: tuple[Fault, ...]
    steps: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    """Of each node."""
    hits: list[str] = field(default_factory=list)
    """The points at which something went wrong."""
    violations: list[str] = field(default_factory=list)


class Stepper(trio.abc.Instrument):
    """Counts the steps of all tasks but the one that plays, and lets things go wrong at some of them."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.world: World | None = None
        self.conductor: trio.lowlevel.Task | None = None
        self.cancelled: dict[str, float] = {}
        """When each victim was cancelled."""
        self.aborted: set[trio.lowlevel.Task] = set()
        self.outcomes: dict[trio.lowlevel.Task, Any] = {}

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.world is None or task is self.conductor:
            return
        self.play.steps += 1
        if self.play.steps == _MOST_STEPS:
            self.play.violations.append("it spins")
            self.world.user.cancel()
            for house in self.world.houses.values():
                house.scope.cancel()
        for fault in self.play.faults:
            if fault.kind == "cancel" and self.play.steps == fault.at:
                self._cancel(fault.victim, where(task), self.world)

    def _cancel(self, victim: str, point: str, world: World) -> None:
        scope = world.user if victim == "user" else world.houses[victim].scope
        blocked = {one for one in _tasks(scope) if one._abort_func is not None}
        scope.cancel()
        # A task that waits in a nursery is not woken, since it leaves it to the tasks in there.
        self.aborted |= {one for one in blocked if isinstance(one._next_send, outcome.Error)}
        self.cancelled.setdefault(victim, trio.current_time())
        self.play.hits.append(f"cancelled {victim} at step {self.play.steps}, {point}")

    def operation(self, owner: str) -> str | None:
        """An operation on a stream, or a dial."""
        if self.world is None:
            return None
        number = self.play.operations[owner] = self.play.operations.get(owner, 0) + 1
        for fault in self.play.faults:
            if (fault.victim, fault.at) == (owner, number) and fault.kind != "cancel":
                self.play.hits.append(f"{fault.kind} at operation {number} of {owner}")
                return fault.kind
        return None

    def check_nothing_was_swallowed(self, world: World) -> None:
        """Whoever was waiting when it was cancelled has ended by Cancelled; the user's own call, too."""
        for task in self.aborted:
            if task is world.user_task:
                if world.finished:
                    self.play.violations.append("the user's call came back although it was cancelled while it waited")
            elif not task.name.startswith("house "):
                ended = self.outcomes.get(task)
                if not isinstance(ended, outcome.Error) or not _has_cancelled(ended.error):
                    self.play.violations.append(f"{task.name} was cancelled while it waited, and ended with {ended}")


def play(scenario: Scenario, *faults: Fault) -> Play:
    """Run a scenario once."""
    result = Play(faults)
    stepper = Stepper(result)

    async def main() -> None:
        stepper.conductor = trio.lowlevel.current_task()
        before = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as nursery:
            world = World(nursery)
            await scenario.prepare(world)
            await wait_all_tasks_blocked()
            world.wires.operation = stepper.operation
            stepper.world = world
            nursery.start_soon(world.act, scenario.user, name="user")
            await _wait_until_over(world, stepper)
            await wait_all_tasks_blocked()
            stepper.world = None
            await trio.sleep(SETTLE)
            for victim, at in stepper.cancelled.items():
                world.check_gone(victim, at)
            world.check_quiet()
            await world.check_works(*scenario.works)
            await world.close()
            stepper.check_nothing_was_swallowed(world)
            result.violations += world.violations
        if (left := trio.lowlevel.current_statistics().tasks_living - before) != 0:
            result.violations.append(f"{left} tasks are left")

    with _deterministic(), _outcomes(stepper.outcomes):
        try:
            with patch.object(queues, "_TURN", -1.0):  # every turn is over at once, so that no busy machine changes their number
                trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[stepper])
        except BaseExceptionGroup as group:
            result.violations.append(f"it came to {group!r}")
    return result


async def _wait_until_over(world: World, stepper: Stepper) -> None:
    """Wait until the user's part is over, or was cancelled long enough ago."""
    started = trio.current_time()
    while not world.acted.is_set():
        await trio.sleep(0.01)
        if trio.current_time() > min([started + LONGEST, *(at + 2 * PATIENCE for at in stepper.cancelled.values())]):
            break
    if not world.acted.is_set() and not stepper.cancelled:
        world.user.cancel()
        stepper.play.violations.append("the scenario does not come to its end by itself")


@dataclass
class Sweep:
    """All runs of a scenario for one victim and one kind of fault."""

    points: int
    plays: list[Play]

    @property
    def violations(self) -> list[str]:
        return told(self.plays)


def told(plays: list[Play]) -> list[str]:
    """What was wrong in some runs, with what had been done to them."""
    return [f"{', '.join(play.hits) or 'undisturbed'}: {text}" for play in plays for text in play.violations]


def sweep(scenario: Scenario, victim: str, kind: str = "cancel", some: slice = slice(None), calm: Play | None = None) -> Sweep:
    """Play a scenario once for each of its points, or `some` of them, and once undisturbed, unless this was done: `calm`."""
    calm = calm or play(scenario)
    points = calm.steps if kind == "cancel" else calm.operations.get(victim, 0)
    plays = [calm]
    for at in range(1, points + 1)[some]:
        plays.append(play(scenario, Fault(victim, at, kind)))
        if not plays[-1].hits:
            plays[-1].violations.append(f"point {at} of {points} was not reached")
    COUNTS[scenario.name, kind, victim] = len(plays) - 1
    return Sweep(points, plays)


def pairs(scenario: Scenario, count: int, seed: int, calm: Play) -> list[Play]:
    """Play a scenario, of which `calm` was an undisturbed run, with two things going wrong at once, drawn at random."""
    dice = random.Random(f"{scenario.name} {seed}")
    points = [Fault(victim, at) for victim in scenario.victims for at in range(1, calm.steps + 1)]
    points += [Fault(owner, at, kind) for owner, many in calm.operations.items() for at in range(1, many + 1) for kind in KINDS]
    return [play(scenario, *dice.sample(points, 2)) for _ in range(count)]


def where(task: trio.lowlevel.Task) -> str:
    """The innermost line of ours at which a task waits."""
    frames = [f"{frame.f_code.co_qualname}:{line}" for frame, line in task.iter_await_frames() if "trio" not in frame.f_code.co_filename]
    return frames[-1] if frames else task.name


def _tasks(scope: trio.CancelScope) -> Iterator[trio.lowlevel.Task]:
    """The tasks in a scope, those of inner scopes among them."""
    waiting = [scope._cancel_status] if scope._cancel_status is not None else []
    while waiting:
        status = waiting.pop()
        yield from status._tasks
        waiting += status._children


def _has_cancelled(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_has_cancelled(inner) for inner in error.exceptions)
    return isinstance(error, trio.Cancelled)


@contextmanager
def _deterministic() -> Iterator[None]:
    """Let trio's scheduler choose the same order in each run, and let no task have a turn that lasts: it gives way wherever it may."""
    with (
        patch.object(trio_internals, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True),
        patch.object(queues, "perf_counter", count().__next__),
    ):
        state = trio_internals._r.getstate()
        trio_internals._r.seed(7)
        random.seed(7)
        try:
            yield
        finally:
            trio_internals._r.setstate(state)


@contextmanager
def _outcomes(outcomes: dict[trio.lowlevel.Task, Any]) -> Iterator[None]:
    """Note how each task ends, which instruments are not told."""
    original = trio_internals.Runner.task_exited

    def task_exited(runner: trio_internals.Runner, task: trio.lowlevel.Task, ended: Any) -> None:
        outcomes[task] = ended
        original(runner, task, ended)

    with patch.object(trio_internals.Runner, "task_exited", task_exited):
        yield
