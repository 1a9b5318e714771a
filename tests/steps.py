"""How long the library keeps the event loop to itself: its longest step, from one wait of a task to the next.

In CPU time of the thread, without the garbage collector's: so neither a busy machine nor a large test process changes it. What is left
is how fast the processor is, for which `LIMIT` leaves room.
"""

import gc
import tracemalloc
from math import inf
from time import thread_time
from typing import NamedTuple

import trio

LIMIT = 0.25
"""Seconds that no step of the library may take under an attack. Where this was written the longest took 0.027."""


class Step(NamedTuple):
    """One step of a task."""

    seconds: float = 0.0
    task: str = ""
    test: str = ""


class StepWatch(trio.abc.Instrument):
    """Notes the longest step of the tasks whose names begin in some way. Those that are traced do not count."""

    def __init__(self, of: str = "devp2p.") -> None:
        self._of = of
        self.longest = Step()
        """Of all."""
        self.longest_of_test = Step()
        """Of what runs now."""
        self.test = ""
        self._began = inf  # what runs when it begins to watch does not count
        self._collecting = 0.0
        gc.callbacks.append(self._collect)

    def begin_test(self, test: str) -> None:
        self.test, self.longest_of_test = test, Step()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count from the end of the step before: the little that trio does between two is less than to look at the clock twice."""
        ended = thread_time()
        seconds, self._began = ended - self._began, ended
        if seconds > self.longest_of_test.seconds and task.name.startswith(self._of) and not tracemalloc.is_tracing():
            self.longest_of_test = Step(seconds, task.name, self.test)
            self.longest = max(self.longest, self.longest_of_test)

    def _collect(self, phase: str, _: dict[str, int]) -> None:
        """Let the garbage collector's time not count."""
        if phase == "start":
            self._collecting = thread_time()
        else:
            self._began += thread_time() - self._collecting
