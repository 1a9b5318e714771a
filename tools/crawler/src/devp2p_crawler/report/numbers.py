"""Figures as text."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

NOTHING: Final = "\u2013"
"""Where there is no figure."""
_SECOND: Final = 1_000_000
_SPANS: Final = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("µs", 1))


def compact(count: int) -> str:
    """A count in four characters or so: 950, 1.2k, 35k, 10M."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + letter if count < 10 * size else f"{count // size}{letter}"
    return str(count)


def percent(part: int, whole: int) -> str:
    """What part of the whole this is: "12.3 %"; NOTHING of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else NOTHING


def ratio(value: float) -> str:
    """A share from 0 to 1 as "99.53 %"."""
    return f"{100 * value:.2f} %"


def moment(microseconds: int) -> str:
    """A time as "2026-11-30 15:04:05 UTC"; NOTHING where no calendar reaches."""
    try:
        return f"{datetime.fromtimestamp(microseconds // 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return NOTHING


def span(microseconds: int) -> str:
    """A span of time in its two largest units at most: "2 d 3 h", "1.5 s", "35 ms"."""
    for (unit, size), (lower, lower_size) in pairwise(_SPANS):
        if microseconds >= size:
            if size <= _SECOND:
                return f"{microseconds / size:.3g} {unit}"
            whole, rest = divmod(microseconds, size)
            return f"{whole} {unit} {rest // lower_size} {lower}" if rest >= lower_size else f"{whole} {unit}"
    return f"{max(microseconds, 0)} µs"
