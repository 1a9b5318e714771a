"""Figures: percentiles, slopes, and rows that compare two sides measured in the same run."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True)
class Row:
    """One line of the result; ``ours`` and ``peer`` are medians over the repeats."""

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    """How many times better than the peer we are: the median of the ratios of the repeats."""
    spread: tuple[float, float] | None
    """The smallest and the largest of those ratios."""

    def as_json(self) -> dict[str, Any]:
        """The row as build/bench.json has it, with figures of some five digits."""
        row = asdict(self)
        for key in ("ours", "peer", "ratio"):
            row[key] = rounded(row[key])
        row["spread"] = None if self.spread is None else [rounded(value) for value in self.spread]
        return row


def rounded(value: float | None) -> float | None:
    """Five significant digits."""
    return None if value is None else float(f"{value:.5g}")


def compare(name: str, unit: str, better: Literal["higher", "lower"], ours: Sequence[float], peer: Sequence[float]) -> Row:
    """The row for figures of which ``ours[i]`` and ``peer[i]`` were measured one after the other; `peer` is empty without a peer."""
    if not peer:
        return Row(name, median(ours), None, unit, None, None)
    pairs = zip(ours, peer, strict=True)
    ratios = [a / b if better == "higher" else b / a for a, b in pairs]
    return Row(name, median(ours), median(peer), unit, median(ratios), (min(ratios), max(ratios)))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` percent of the sorted values do not exceed (nearest rank)."""
    if not ordered:
        raise ValueError("no values")
    # Rounding before ceil: 99.9 % of 1,000 values are 999, whatever 99.9 / 100 is in binary.
    return ordered[max(0, math.ceil(round(share / 100 * len(ordered), 9)) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line that fits points (x, y) best (least squares)."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    square = sum((x - middle_x) ** 2 for x, _ in points)
    if not square:
        raise ValueError("a slope needs two different x")
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / square
