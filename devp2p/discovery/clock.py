"""The clocks of discovery: one for how much time passes, by which timers go, and the system's, which packets and the book bear.

How much time passes has nothing to do with what the system's clock is set to: that may be wrong when we begin, and be set at any time. But
it passes, too, while the machine sleeps, when trio's clock stands still: whoever was known before has gone on without us.
"""

import sys
import time
from typing import Final

import trio

_NOTICED: Final = 1.0  # seconds of sleep; less may be the time between two readings


class Clock:
    """Seconds since any moment, that never go back, and the time."""

    def __init__(self) -> None:
        self._before = asleep()
        self._slept = 0.0

    def now(self) -> float:
        """How much time has passed, with that in which the machine slept."""
        slept = asleep() - self._before
        if slept > self._slept + _NOTICED:
            self._slept = slept
        return trio.current_time() + self._slept

    @staticmethod
    def wall() -> float:
        """The system's time, in seconds since 1970, which may jump."""
        return time.time()

    def to_trio(self, when: float) -> float:
        """A time of `now` as one of trio's clock."""
        return when - self._slept


def asleep() -> float:
    """For how many seconds the machine has slept, as far as its system says so. On Windows trio's clock goes on meanwhile."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC) - time.clock_gettime(time.CLOCK_UPTIME_RAW)
    return 0.0
