"""Whether a crawler is polite (pure): what it may send to one host and to one node, and what it did that is more.

    packets      to one IP address: 20 at once, else one a second; and at most 60 in any minute, beyond which reth drops them
    dials        of one node: one in ten minutes
    connections  to one IP address: three in ten minutes, whoever is said to be there. It is what a victim of lies is hit by
    nodes        at one IP address: three in ten minutes that are sent anything or dialled

What counts is when something arrived. Between the crawler's clock and ours lies a busy machine, so half a second more or less is nobody's
fault (`JITTER`).
"""

from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

RATE: Final = 1.0
"""Packets a second, sustained, to one host."""
BURST: Final = 20
MINUTE: Final = 60.0
MOST_A_MINUTE: Final = 60
LONG: Final = 600.0
"""Seconds that the other rules are about."""
MOST_DIALS: Final = 1
MOST_CONNECTIONS: Final = 3
MOST_NODES: Final = 3
JITTER: Final = 0.5
"""Seconds by which something may seem to have come earlier or later than it was sent."""
_MOST_EXAMPLES = 20
_WHAT: Final = {
    "packets": "packets in a minute",
    "dials": "dials of one node in ten minutes",
    "connections": "connections in ten minutes",
    "nodes": "nodes at one host in ten minutes",
}


@dataclass(frozen=True)
class Finding:
    """Something that a polite crawler does not do."""

    rule: str
    """``packets``, ``dials``, ``connections`` or ``nodes``."""
    host: str
    at: float
    """Seconds on the clock of who asks the auditor."""
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.host} at {self.at:.1f} s: {self.detail}"


class _Packets:
    __slots__ = ("at", "recent", "tokens")

    def __init__(self, now: float) -> None:
        self.tokens = BURST + RATE * JITTER
        self.at = now
        self.recent: deque[float] = deque()


class Auditor:
    """Sees every datagram and every connection, in the order in which they come."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        """The first of them; `counts` has all."""
        self.counts: Counter[str] = Counter()
        """Findings by rule."""
        self.most: Counter[str] = Counter()
        """The most that was seen of what each rule is about, in its span of time."""
        self._packets: dict[bytes, _Packets] = {}
        self._nodes: dict[bytes, dict[Hashable, float]] = {}
        self._dials: dict[Hashable, deque[float]] = {}
        self._connections: dict[Hashable, deque[float]] = {}

    def datagram(self, now: float, ip: bytes, node: Hashable | None) -> None:
        """A datagram came to a host; `node` is anything that stands for the node that it is for, None if nobody can tell."""
        seen = self._packets.get(ip)
        if seen is None:
            seen = self._packets[ip] = _Packets(now)
        seen.tokens = min(BURST + RATE * JITTER, seen.tokens + (now - seen.at) * RATE)
        seen.at = now
        if seen.tokens < 1:
            self._find("packets", ip, now, f"more than {BURST} at once, and then more than one a second")
        else:
            seen.tokens -= 1
        seen.recent.append(now)
        while now - seen.recent[0] > MINUTE - JITTER:
            seen.recent.popleft()
        self._weigh("packets", len(seen.recent), MOST_A_MINUTE, ip, now)
        if node is not None:
            self._meet(now, ip, node)

    def connection(self, now: float, ip: bytes, node: Hashable) -> None:
        """A connection came to a host, for `node`."""
        self._meet(now, ip, node)
        self._weigh("dials", _within(self._dials, node, now), MOST_DIALS, ip, now)
        self._weigh("connections", _within(self._connections, ip, now), MOST_CONNECTIONS, ip, now)

    def _meet(self, now: float, ip: bytes, node: Hashable) -> None:
        nodes = self._nodes.setdefault(ip, {})
        is_new = node not in nodes
        nodes[node] = now
        if is_new:
            for old in [other for other, last in nodes.items() if now - last > LONG - JITTER]:
                del nodes[old]
            self._weigh("nodes", len(nodes), MOST_NODES, ip, now)

    def _weigh(self, rule: str, count: int, most: int, ip: bytes, now: float) -> None:
        self.most[rule] = max(self.most[rule], count)
        if count > most:
            self._find(rule, ip, now, f"{count} {_WHAT[rule]}, where {most} are polite")

    def _find(self, rule: str, ip: bytes, now: float, detail: str) -> None:
        self.counts[rule] += 1
        if len(self.findings) < _MOST_EXAMPLES:
            self.findings.append(Finding(rule, ".".join(map(str, ip)), now, detail))


def _within(seen: dict[Hashable, deque[float]], key: Hashable, now: float) -> int:
    """How often something came in the last ten minutes, with this time."""
    times = seen.setdefault(key, deque())
    times.append(now)
    while now - times[0] > LONG - JITTER:
        times.popleft()
    return len(times)
