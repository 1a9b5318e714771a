"""When a node searches anew for what is around it, in v4 and v5 alike (pure; ``now`` is passed in)."""

from typing import Final

INTERVAL: Final = 1800.0
"""Seconds between two rounds of searches that fill the table."""
YOUNG: Final = 60.0
"""Seconds from the first round to the next; they double each time, up to the above. Who came at the same time as we, or lost the few
datagrams that mattered, is found by the searches soon after the start."""


class Refreshing:
    """The times of the rounds."""

    def __init__(self, due: float) -> None:
        """`due`: when the first round is."""
        self.due: float = due
        """When the next round is."""
        self._pause = YOUNG

    @property
    def is_wide(self) -> bool:
        """Whether the round is also for random places, and not only for our own: at the start and every half hour."""
        return self._pause in {YOUNG, INTERVAL}

    def done(self, now: float, chance: float = 1.0) -> None:
        """A round has begun; the next one is due after so many times the usual pause."""
        self.due = now + self._pause * chance
        self._pause = min(2 * self._pause, INTERVAL)

    def lonely(self, now: float, within: float | None = None) -> None:
        """Nobody was found: begin anew, so many seconds from now at the latest; by default after the first pause."""
        self.due, self._pause = min(self.due, now + (YOUNG if within is None else within)), YOUNG
