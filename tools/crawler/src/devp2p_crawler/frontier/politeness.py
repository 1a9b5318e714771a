"""How often one host and one node may be bothered (pure; ``now`` in seconds of a clock that never goes back)."""

from dataclasses import dataclass, field
from typing import Final

_LEAST_BURST: Final = 8  # datagrams that one visit by one protocol takes
_MINUTE: Final = 60.0
_SWEPT: Final = 4096  # hosts, after so many more of which those are forgotten that nothing happened to for long
_LOOPBACK: Final = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Politeness:
    """The bounds that a crawl holds itself to, for each host: an IPv4 address or an IPv6 /64.

    The defaults are what busy nodes take without complaint: reth ignores an address that sends more than 60 datagrams a minute.
    """

    packets_per_second: float = 1.0
    """Datagrams that one host is sent, over long."""
    burst: int = 20
    """How many of them may go at once, after a pause."""
    packets_per_minute: int = 60
    """The most in any minute, the burst included."""
    nodes_per_host: int = 3
    """Different nodes that are visited at one host in `window`."""
    dials_per_host: int = 3
    """Connections that are tried to one host in `window`, whichever nodes are said to be there."""
    dials_per_node: int = 1
    """The same to one node, at whichever hosts it is said to be."""
    window: float = 600.0
    """Seconds."""
    ports_are_hosts: bool = False
    """Take each port of a loopback address for a host of its own: for a network on one machine. Nobody else's host is meant then."""

    def __post_init__(self) -> None:
        """ValueError for what is below the least that lets a crawl go on."""
        for name in ("packets_per_second", "nodes_per_host", "dials_per_host", "dials_per_node", "window"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} of Politeness is greater than 0, not {getattr(self, name)}")
        if self.burst < _LEAST_BURST or self.packets_per_minute <= self.burst:
            raise ValueError(
                f"burst of Politeness is at least {_LEAST_BURST}, as one visit takes so many datagrams, and packets_per_minute is more: "
                f"not {self.burst} and {self.packets_per_minute}"
            )

    @property
    def rate(self) -> float:
        """Datagrams a second behind a burst, so that the burst and what follows keep within a minute's share, too."""
        return min(self.packets_per_second, (self.packets_per_minute - self.burst) / _MINUTE)


@dataclass(slots=True, eq=False)
class _Host:
    full: float = 0.0
    """When its share of datagrams is whole again."""
    visits: list[tuple[bytes, float]] = field(default_factory=list[tuple[bytes, float]])
    """Which nodes were visited there, and when last."""
    dials: list[tuple[bytes, float]] = field(default_factory=list[tuple[bytes, float]])


class Courtesy:
    """What was done to each host, and so what may be done to it."""

    def __init__(self, politeness: Politeness) -> None:
        self._bounds = politeness
        self._gap = 1 / politeness.rate
        self._hosts: dict[bytes, _Host] = {}
        self._calls: dict[bytes, list[float]] = {}
        self._sweep_at = _SWEPT

    def __len__(self) -> int:
        return len(self._hosts)

    def host(self, ip: bytes, port: int) -> bytes:
        """The host that an address of 4 or 16 bytes counts for."""
        if self._bounds.ports_are_hosts and (ip[0] == _LOOPBACK if len(ip) == 4 else ip == b"\0" * 15 + b"\1"):
            return ip + port.to_bytes(2, "big")
        return ip if len(ip) == 4 else ip[:8]

    def room(self, host: bytes, now: float) -> int:
        """How many datagrams the host may be sent at once now."""
        known = self._hosts.get(host)
        wait = 0.0 if known is None else max(0.0, known.full - now)
        return int(self._bounds.burst - wait / self._gap + _ROUNDING)

    def may_send(self, host: bytes, now: float) -> bool:
        """Take one datagram of the host's share, if there is one."""
        if self.room(host, now) < 1:
            return False
        known = self._at(host, now)
        known.full = max(known.full, now) + self._gap
        return True

    def sent(self, host: bytes, number: int, when: float) -> None:
        """So many datagrams went to the host before, around a time."""
        known = self._at(host, when)
        known.full = max(known.full, when) + min(number, self._bounds.packets_per_minute) * self._gap

    def when_to_visit(self, host: bytes, node: bytes, now: float) -> float:
        """When a node may be visited at a host: `now`, or later if too many others were visited there, or too much was sent."""
        known = self._hosts.get(host)
        if known is None:
            return now
        lately = [when for other, when in known.visits if when + self._bounds.window > now and other != node]
        if len(lately) >= self._bounds.nodes_per_host:
            return sorted(lately)[-self._bounds.nodes_per_host] + self._bounds.window
        short = _LEAST_BURST - self.room(host, now)
        return now + short * self._gap if short > 0 else now

    def visited(self, host: bytes, node: bytes, now: float) -> None:
        """A node is visited at a host."""
        known = self._at(host, now)
        known.visits = [(other, when) for other, when in known.visits if other != node and when + self._bounds.window > now]
        known.visits.append((node, now))

    def when_to_dial(self, host: bytes, node: bytes, now: float) -> float:
        """When a node may be called at a host: `now`, or later."""
        known = self._hosts.get(host)
        lately = [] if known is None else sorted(when for _, when in known.dials if when + self._bounds.window > now)
        own = [when for when in self._calls.get(node, ()) if when + self._bounds.window > now]
        due = now
        if len(lately) >= self._bounds.dials_per_host:
            due = lately[-self._bounds.dials_per_host] + self._bounds.window
        if len(own) >= self._bounds.dials_per_node:
            due = max(due, sorted(own)[-self._bounds.dials_per_node] + self._bounds.window)
        return due

    def dialled(self, host: bytes, node: bytes, now: float) -> None:
        """A node is called at a host."""
        known = self._at(host, now)
        known.dials = [(other, when) for other, when in known.dials if when + self._bounds.window > now]
        known.dials.append((node, now))
        self._calls[node] = [*(when for when in self._calls.get(node, ()) if when + self._bounds.window > now), now]

    def _at(self, host: bytes, now: float) -> _Host:
        known = self._hosts.get(host)
        if known is None:
            if len(self._hosts) >= self._sweep_at:
                self._sweep(now)
            known = self._hosts[host] = _Host()
        return known

    def _sweep(self, now: float) -> None:
        """Forget the hosts to which everything may be done again."""
        since = now - self._bounds.window
        self._hosts = {
            host: known
            for host, known in self._hosts.items()
            if known.full > now or any(when > since for _, when in known.visits) or any(when > since for _, when in known.dials)
        }
        self._calls = {node: calls for node, calls in self._calls.items() if any(when > since for when in calls)}
        self._sweep_at = 2 * len(self._hosts) + _SWEPT


_ROUNDING: Final = 1e-6
