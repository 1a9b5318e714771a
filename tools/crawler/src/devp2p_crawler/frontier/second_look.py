"""Who seemed silent, and may have been missed: how many of them are asked once more (pure).

Answers get lost, on their way or because we are late, and nobody says which. So once all have been visited, some of the silent are visited
again, chosen by chance, or all of them if answers are known to be lost. If nobody among them is there, silence is believed. Otherwise all
the others are visited again, too, and then it begins anew with those that were silent again, a few times.
"""

from collections.abc import Callable
from typing import Final

from devp2p_crawler.frontier.queue import Entry

_PASSES: Final = 4
_PART: Final = 0.05  # of the silent, that is tried first,
_LATER_PART: Final = 0.25  # or later, once it is known that some were missed,
_LEAST: Final = 64  # and at least so many


class SecondLook:
    """The nodes that were silent, and those that are there and owe their record."""

    def __init__(self, chance: Callable[[], float]) -> None:
        """`chance` gives numbers from 0 to below 1."""
        self._chance = chance
        self._silent: list[Entry] = []
        self._owing: list[Entry] = []
        self._rest: list[Entry] = []
        self._passes = self._tried = self._there = 0
        self._is_sample = False
        self.is_done: bool = False
        """Whether silence is believed."""

    def silent(self, entry: Entry) -> None:
        """A visit to a node had no answer."""
        self._silent.append(entry)

    def owes(self, entry: Entry) -> None:
        """A node is there, and has not given its record."""
        self._owing.append(entry)

    def was_there(self) -> None:
        """A node that had been silent has answered a later visit."""
        self._there += 1

    @property
    def missed(self) -> float:
        """About how many of those that seem silent are there."""
        if self._is_sample:
            return self._there / max(1, self._tried) * len(self._rest)
        return float(self._there) if self._passes else 0.0

    def next(self, *, is_lossy: bool = False) -> list[Entry]:
        """Whom to visit once more, once all visits are over; nobody when it is enough.

        `is_lossy`: that answers got lost is known already, so that it begins with all.
        """
        again, self._owing = self._owing, []
        if self._is_sample and self._there and self._rest:
            self._is_sample = False
            self._tried += len(self._rest)
            again += self._rest
            self._rest = []
        elif self._passes < _PASSES and (self._there or not self._passes) and self._silent:
            self._passes += 1
            again += self._sample(1.0 if is_lossy and self._passes == 1 else _PART if self._passes == 1 else _LATER_PART)
        self.is_done = not again
        return again

    def _sample(self, part: float) -> list[Entry]:
        silent, self._silent = self._silent, []
        silent.sort(key=lambda _: self._chance())
        number = max(_LEAST, int(part * len(silent)))
        sample, self._rest = silent[:number], silent[number:]
        self._tried, self._there, self._is_sample = len(sample), 0, True
        return sample
