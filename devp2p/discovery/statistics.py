"""What is counted while discovery runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from devp2p.discovery.table import TableStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counts since discovery began, and of the tables as they are."""

    received: int
    """Datagrams."""
    sent: int
    not_sent: int
    """Datagrams that the system did not take, as for an address without a route."""
    send_error: str
    """Why not, the last time."""
    expired: int
    """Packets of v4 that were too old by our clock, since anybody has answered by v4."""
    expired_by: float | None
    """Seconds by which the latest of them were too old, the middle one; None if there are none."""
    dns_error: str
    """What went wrong the last time when a node list in DNS was read."""
    withheld: int
    """Datagrams that `may_send` of `open_discovery` has refused."""
    unhandled: int
    """Datagrams that were of neither protocol."""
    tables: Mapping[int, TableStatistics]
    """The table of each version that runs."""
    candidates: Mapping[str, int]
    """Nodes that each source has named and that were news to somebody who wants candidates."""
