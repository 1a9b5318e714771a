"""A peer's conduct in one capability, as the capability reports it: what it brought, how fast, and what was wrong.

A plugin calls ``channel.rate.useful(...)``, ``.latency(...)`` and ``.invalid(...)``; requests that time out count by themselves. The
numbers stay local: no peer is told, and none is asked.
"""

from collections import deque
from dataclasses import dataclass

from devp2p.errors import LocalProtocolError

WORST_SEVERITY = 4
_LATENCIES = 64  # of which the median is taken


@dataclass(frozen=True, slots=True)
class Conduct:
    """What is known of one peer in one capability; ``latency`` is the median of the last answers, in seconds."""

    useful: float = 0.0
    latency: float | None = None
    invalid: int = 0
    timeouts: int = 0
    why: str = ""


class Rate:
    """Where a capability reports the conduct of the peer it talks to."""

    def __init__(self) -> None:
        self._useful = 0.0
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._invalid = 0
        self._timeouts = 0
        self._why = ""

    def useful(self, amount: float, why: str = "") -> None:
        """The peer brought something of worth; `amount` is in the capability's own currency, 0 or more."""
        if not 0 <= amount < float("inf"):
            raise LocalProtocolError(f"a useful amount is a finite number from 0 up, not {amount!r}")
        self._useful += amount
        self._why = why or self._why

    def latency(self, seconds: float) -> None:
        """The peer took so long to answer; `request` reports this by itself."""
        if not 0 <= seconds < float("inf"):
            raise LocalProtocolError(f"a latency is a finite number of seconds from 0 up, not {seconds!r}")
        self._latencies.append(seconds)

    def invalid(self, severity: int, why: str = "") -> None:
        """The peer did wrong; `severity` is 1 (a slip) to 4 (malice)."""
        if severity not in range(1, WORST_SEVERITY + 1):
            raise LocalProtocolError(f"a severity is 1 to {WORST_SEVERITY}, not {severity!r}")
        self._invalid += severity
        self._why = why or self._why

    def timed_out(self) -> None:
        """A request got no answer in time; `request` reports this by itself."""
        self._timeouts += 1

    @property
    def conduct(self) -> Conduct:
        """The sum so far."""
        ordered = sorted(self._latencies)
        return Conduct(
            useful=self._useful,
            latency=ordered[len(ordered) // 2] if ordered else None,
            invalid=self._invalid,
            timeouts=self._timeouts,
            why=self._why,
        )
