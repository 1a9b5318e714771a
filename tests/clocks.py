"""A clock for tests with sockets and threads, which a busy machine does not make run ahead."""

from time import perf_counter, thread_time
from typing import Final

import trio

LOOK: Final = 0.02
"""Seconds after which the loop looks at its sockets again, at the latest."""


class FairClock(trio.abc.Clock, trio.abc.Instrument):
    """The time that the loop has computed and slept; that for which the machine had no turn for it does not count.

    No sleep counts for longer than it was meant to be, and none is long. So a deadline of 0.4 s passes only after the loop has looked at
    its sockets twenty times, and has done what was to be done: on a machine that stands still for a second, nobody comes too late. It is
    an instrument, too, and has to be passed to `trio.run` as both.
    """

    def start_clock(self) -> None:
        self._asleep = 0.0
        self._began = thread_time()

    def current_time(self) -> float:
        return self._asleep + thread_time() - self._began

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return min(deadline - self.current_time(), LOOK)

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002
        self._lay_down = perf_counter()

    def after_io_wait(self, timeout: float) -> None:
        self._asleep += min(perf_counter() - self._lay_down, timeout)
