"""Rates, percentiles, and curves of a row of characters (pure)."""

import math
from collections import deque
from collections.abc import Sequence

_WINDOW = 2.0  # seconds over which a rate is taken
_CURVE = "▁▂▃▄▅▆▇█"


class Meter:
    """The rate of a total that grows, over the last seconds."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, float]] = deque()
        self.rate = 0.0
        """By the second."""

    def read(self, now: float, total: float) -> None:
        """Take the total of a moment."""
        self._readings.append((now, total))
        while len(self._readings) > 2 and now - self._readings[1][0] >= _WINDOW:
            self._readings.popleft()
        then, before = self._readings[0]
        self.rate = max(0.0, total - before) / (now - then) if now > then else 0.0


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that `percent` % of the values do not exceed (nearest rank); None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def mean(values: Sequence[float]) -> float:
    """The mean, or 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def curve(values: Sequence[float], highest: float) -> str:
    """One character for each value, from 0 up to `highest`."""
    return "".join(_CURVE[min(7, int(value / highest * 7.99))] if highest else _CURVE[0] for value in values)
