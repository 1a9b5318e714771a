"""The clock of discovery: seconds since 1970, which do not jump."""

import time
from typing import Final

import trio

TOLERANCE: Final = 1.0
"""Seconds that it may be behind the system's."""


class Clock:
    """The system's time when it was made, moved on by trio's clock: a system clock that is set must not make timers fire or stop."""

    def __init__(self) -> None:
        self._offset = time.time() - trio.current_time()

    def now(self) -> float:
        """The time."""
        return trio.current_time() + self._offset

    def to_trio(self, when: float) -> float:
        """A time as one of trio's clock."""
        return when - self._offset

    def catch_up(self) -> float:
        """Go forward to the system's time, if that is ahead; return by how many seconds it is, or was."""
        ahead = time.time() - self.now()
        if ahead > TOLERANCE:
            self._offset += ahead
        return ahead
