"""A peer's conduct in one capability, as the capability reports it: what it brought, how fast, and what was wrong.

A plugin calls ``channel.conduct.useful(...)``, ``.latency(...)`` and ``.invalid(...)``; requests that time out count by themselves. The
numbers stay local: no peer is told, and none is asked.

`Conduct` is the sum over one session. `peers.ratings` makes `RecentConduct` of several, in which older things count less, and from it a
*metric*, `default_metric` or the capability's own, computes the peer's rating: how good it is.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from devp2p.arguments import number, whole

WORST_SEVERITY = 4
_LATENCIES = 64  # of which the median is taken
_NO_LATENCIES: Final[deque[float]] = deque(maxlen=0)  # of all peers of which none was reported: a deque of its own takes 760 bytes
_MOST_WHY = 200  # characters of a reason that are kept: it may quote what the peer sent
_QUICKEST = 0.001  # seconds; what answers sooner is as good, and a logarithm wants more than zero


@dataclass(frozen=True, slots=True)
class Conduct:
    """What is known of one peer in one capability; ``latency`` is the median of the last answers, in seconds."""

    useful: float = 0.0
    latency: float | None = None
    invalid: int = 0
    timeouts: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class RecentConduct:
    """A peer's recent conduct in one capability. What is older counts less; faults of the base protocol are included."""

    useful: float = 0.0
    """What it brought in a minute of connection, in the capability's own currency."""
    latency: float | None = None
    """The median time of its latest answers in seconds; None if there were none."""
    target: float = 1.0
    """The latency in seconds that the capability wishes for."""
    timeouts: float = 0.0
    severity: float = 0.0
    """The sum over all that was invalid."""
    minutes: float = 0.0
    """For how long it was connected; not more than 14.4, as older minutes count less."""


def default_metric(conduct: RecentConduct) -> float:
    """How good a peer is: any number, more is better; below zero its faults outweigh its service."""
    speed = 0.0 if conduct.latency is None else math.log(max(conduct.latency, _QUICKEST) / conduct.target)
    return math.log1p(conduct.useful) - 0.5 * speed - conduct.timeouts - conduct.severity**2


class ConductReport:
    """Where a capability reports the conduct of the peer it talks to."""

    def __init__(self) -> None:
        self._useful = 0.0
        self._latencies: deque[float] = _NO_LATENCIES
        self._invalid = 0
        self._timeouts = 0
        self._why = ""

    def useful(self, amount: float, why: str = "") -> None:
        """The peer brought something of worth; `amount` is in the capability's own currency, 0 or more."""
        number(amount, "a useful amount", zero=True)
        self._useful += amount
        self._why = why[:_MOST_WHY] or self._why

    def latency(self, seconds: float) -> None:
        """The peer took so long to answer; `request` reports this by itself."""
        number(seconds, "a latency in seconds", zero=True)
        if self._latencies is _NO_LATENCIES:
            self._latencies = deque(maxlen=_LATENCIES)
        self._latencies.append(seconds)

    def invalid(self, severity: int, why: str = "") -> None:
        """The peer did wrong; `severity` is 1 (a slip) to 4 (malice)."""
        whole(severity, "a severity", 1, WORST_SEVERITY)
        self._invalid += severity
        self._why = why[:_MOST_WHY] or self._why

    def timed_out(self) -> None:
        """A request got no answer in time; `request` reports this by itself."""
        self._timeouts += 1

    @property
    def total(self) -> Conduct:
        """The sum over the session so far."""
        ordered = sorted(self._latencies)
        return Conduct(
            useful=self._useful,
            latency=ordered[len(ordered) // 2] if ordered else None,
            invalid=self._invalid,
            timeouts=self._timeouts,
            why=self._why,
        )
