"""Lengths of time as go-ethereum's commands read them: `90s`, `1h30m`, `1.5h`; and days, `7d`, which it does not know."""

import re
from fractions import Fraction
from typing import Final

_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
}
_PART: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(ns|us|µs|μs|ms|s|m|h|d)")
_LONGEST: Final = 2**63 - 1  # nanoseconds, some 292 years: so many has go-ethereum


def parse_duration(text: str) -> int:
    """Nanoseconds of a text such as `24h`; ValueError says what else to write."""
    if text == "0":
        return 0
    total, end = Fraction(0), 0
    while match := _PART.match(text, end):
        total += Fraction(match[1]) * _UNITS[match[2]]
        end = match.end()
    if not text or end != len(text):
        raise ValueError(f"a length of time is wanted, such as 24h, 1h30m, 150ms or 7d, not {text[:40]!r}")
    if total > _LONGEST:
        raise ValueError(f"{text[:40]!r} is longer than 292 years")
    return int(total)
