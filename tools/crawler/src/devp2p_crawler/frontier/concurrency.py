"""How many visits may be under way at a time (pure): more while all is well, fewer when answers are lost or we fall behind."""

from typing import Final

START: Final = 64
LEAST: Final = 16
_MORE: Final = 64
_FEWER: Final = 0.7
_SOME_LAG: Final = 0.15  # seconds; more visits would not make it better
_MOST_LAG: Final = 0.3  # the protocols wait for half a second or more
_MOST_LOSS: Final = 0.15
_SAMPLES: Final = 20


class Concurrency:
    """Additive increase, multiplicative decrease; until the first decrease it doubles."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._doubles = True
        self.limit: int = min(START, most)
        """Visits that may be under way."""

    def step(self, *, lost: int, answered: int, lag: float, was_full: bool) -> None:
        """Take in a moment of some tenths of a second.

        `lost` of `lost + answered` questions had no answer, asked of nodes that had just answered another: silence of others says nothing
        about the way there. `lag`: seconds by which the loop is late. `was_full`: as many visits were under way as might be.
        """
        asked = lost + answered
        if lag > _MOST_LAG or (asked >= _SAMPLES and lost > _MOST_LOSS * asked):
            self._doubles = False
            self.limit = max(min(LEAST, self._most), int(self.limit * _FEWER))
        elif was_full and lag < _SOME_LAG:
            self.limit = min(self._most, 2 * self.limit if self._doubles else self.limit + _MORE)
