"""What is known when a crawl hears nothing: the facts, from which a screen makes an explanation."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Facts about a crawl in which nobody has answered for a while. A fact that is not known has its default."""

    seconds: float
    """For how long nothing has come."""
    starts: int = 0
    """Nodes to begin with: bootnodes, files, node lists in DNS, an earlier crawl."""
    without_address: int = 0
    """Those of them that have no address which could be asked by the protocols chosen."""
    versions: tuple[int, ...] = (4, 5)
    """Of discovery."""
    listening: str = ""
    """Where our UDP socket is, such as "127.0.0.1:30303"."""
    sent: int = 0
    """Datagrams since the beginning."""
    received: int = 0
    not_sent: int = 0
    """Datagrams that the system did not take."""
    send_error: str = ""
    """Why not, the last time."""
    undecoded: int = 0
    """Datagrams that came and were of neither protocol, or broken."""
    expired: int = 0
    """Messages of discovery v4 that came and were too old by our clock."""
    clock_skew: float | None = None
    """Seconds by which those were too old, the middle one; negative if from the future."""
    refused: int = 0
    """Nodes whose host said that nobody listens there (ICMP); of a few to begin with that were looked at more closely."""
    taking_calls: int = 0
    """Of those, the ones that take connections by TCP."""
    skipped: Mapping[str, int] = field(default_factory=dict[str, int])
    """Nodes that are not visited, by why, as in `Snapshot.skipped`."""
    dns_error: str = ""
    """What went wrong with a node list in DNS, the last time."""
