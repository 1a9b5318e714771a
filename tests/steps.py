"""How long the library keeps the event loop busy: its longest step, from one wait of a task to the next.

Figures taken with a clock are told at the end of a run and never asserted, for the machines that run tests are busy with other things.
"""

import tracemalloc
from time import perf_counter
from typing import NamedTuple

import trio


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
        self.test = ""
        """What runs now."""
        self._began = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        self._began = perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        seconds = perf_counter() - self._began
        if seconds > self.longest.seconds and task.name.startswith(self._of) and not tracemalloc.is_tracing():
            self.longest = Step(seconds, task.name, self.test)
