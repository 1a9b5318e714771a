"""How long sessions last: the estimate of Kaplan and Meier, which takes those into account that have not ended yet (right-censored)."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_Z: Final = 1.959963984540054
"""Of the normal distribution, for 95 %."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class SurvivalPoint:
    """How many last longer than `time`, from there to the next point."""

    time: int
    """In the unit of the observations."""
    survival: float
    """0 to 1."""
    low: float
    """Of the 95 % interval."""
    high: float
    at_risk: int
    """How many were observed to last until `time` at least."""
    ended: int
    """How many of those ended then."""


@dataclass(frozen=True, slots=True)
class Survival:
    """The curve: 1 before its first point."""

    points: tuple[SurvivalPoint, ...]
    observed: int
    """How many observations there were."""
    ended: int
    """How many of these ended."""

    def at(self, time: int) -> float:
        """What part lasts longer than `time`."""
        share = 1.0
        for point in self.points:
            if point.time > time:
                break
            share = point.survival
        return share

    @property
    def median(self) -> int | None:
        """The time that half of them do not outlast; None if more than half were still there at the end of what was observed."""
        return next((point.time for point in self.points if point.survival <= 0.5 + _ROUNDING), None)


def kaplan_meier(lifetimes: Iterable[tuple[int, bool]]) -> Survival:
    """Estimate from (how long it was observed to last, whether it ended then). ValueError for a time below 0.

    The intervals are from Greenwood's variance, on the scale of log(-log S), so that they stay within 0 and 1. Where the last one under
    observation ends, there is nothing to tell the upper end from, and it stays where it was.
    """
    ended, censored = Counter[int](), Counter[int]()
    for time, has_ended in lifetimes:
        if time < 0:
            raise ValueError(f"a lifetime is 0 or more, not {time}")
        (ended if has_ended else censored)[time] += 1
    total = at_risk = ended.total() + censored.total()
    points: list[SurvivalPoint] = []
    survival, variance, high = 1.0, 0.0, 1.0
    for time in sorted({*ended, *censored}):
        if events := ended[time]:
            survival *= 1 - events / at_risk
            if at_risk > events:
                variance += events / (at_risk * (at_risk - events))
                low, high = _interval(survival, variance)
            else:
                survival, low = 0.0, 0.0
            points.append(SurvivalPoint(time, survival, low, high, at_risk, events))
        at_risk -= events + censored[time]
    return Survival(tuple(points), total, ended.total())


def _interval(survival: float, variance: float) -> tuple[float, float]:
    """The 95 % interval; `variance` is Greenwood's sum, the variance of log S."""
    exponent = _Z * math.sqrt(variance) / math.log(survival)
    low, high = survival ** math.exp(-exponent), survival ** math.exp(exponent)
    return min(low, survival), max(high, survival)
