"""Whether something grows: a line through samples by least squares, and how sure its slope is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final

BLOCKS: Final = 24
"""Neighbouring samples are alike, and a test that takes each for news finds trends in noise. So they are put together by their mean."""
SURE: Final = 3.0
"""Standard errors by which a slope has to be above nothing, to be taken for one."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A line through samples."""

    mean: float
    per_hour: float
    error: float
    """Its standard error."""
    span: float
    """Seconds that were looked at."""

    @property
    def t(self) -> float:
        """The slope in standard errors."""
        if self.error:
            return self.per_hour / self.error
        return math.copysign(math.inf, self.per_hour) if self.per_hour else 0.0

    @property
    def growth(self) -> float:
        """How much it has grown in the time that was looked at; nothing as long as that may be chance."""
        return self.per_hour * self.span / 3600 if self.t > SURE else 0.0


def slope(times: Sequence[float], values: Sequence[float], warm_up: float) -> Slope:
    """The slope of what was sampled at times (seconds, ascending), but for those before `warm_up`. ValueError for too few samples."""
    samples = [(time, value) for time, value in zip(times, values, strict=True) if time >= warm_up]
    if len(samples) < BLOCKS:
        raise ValueError(f"{len(samples)} samples are too few for {BLOCKS} blocks")
    cuts = [len(samples) * number // BLOCKS for number in range(BLOCKS + 1)]
    xs = [fmean(time for time, _ in samples[first:end]) for first, end in pairwise(cuts)]
    ys = [fmean(value for _, value in samples[first:end]) for first, end in pairwise(cuts)]
    x, y = fmean(xs), fmean(ys)
    spread = sum((each - x) ** 2 for each in xs)
    per_second = sum((at - x) * (value - y) for at, value in zip(xs, ys, strict=True)) / spread
    rest = sum((value - y - per_second * (at - x)) ** 2 for at, value in zip(xs, ys, strict=True))
    error = math.sqrt(rest / (BLOCKS - 2) / spread)
    return Slope(y, per_second * 3600, error * 3600, samples[-1][0] - samples[0][0])
