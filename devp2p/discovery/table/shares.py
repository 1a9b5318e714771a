"""How many places of a routing table the nodes of one network get (pure).

Keys cost nothing, and ports of one host hardly more; what costs an attacker something is addresses in many networks. So it is networks that
share the table out. A limit for each alone, as go-ethereum has it, bounds how many nodes of a network are there, but not their part of the
table: among 2,000 nodes no table has more than some 120, of which ten for each of sixteen networks are more than half. So the more networks
there are in a table, the fewer places each may have: about a hundred are shared evenly, and from 51 networks on each has one.

Networks count as soon as they are heard of, so whoever names addresses in many makes the shares smaller for a while: never less than one.
"""

from dataclasses import dataclass

from devp2p.addresses import PROVIDER, SITE, is_local, network_of
from devp2p.arguments import check_bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLimits:
    """How many nodes one network may have in the table, where a network is what `network_of` says."""

    per_bucket: int = 2
    """Of one IPv4 /24 or IPv6 /48 in one bucket, with those that wait."""
    per_table: int = 10
    """Of one IPv4 /24 or IPv6 /32 in the table, with those that wait, while there are few networks."""
    shared: int = 100
    """Places that all networks of the table share evenly: each may have so many divided by their number, but one at least."""
    incoming: int = 8
    """Nodes of a bucket that came by themselves; of those that wait, half may be such."""
    limit_local_addresses: bool = False
    """Hold loopback and private addresses to the limits too."""

    def __post_init__(self) -> None:
        check_bounds(self)


class Shares:
    """Counts the nodes of each network in the table, with those that wait. Each bucket has a count of its own beside, a dict."""

    def __init__(self, limits: TableLimits) -> None:
        self._limits = limits
        self._counts: dict[bytes, int] = {}

    def has_room(self, bucket: dict[bytes, int], ip: bytes, *, instead: bool = False) -> bool:
        """Whether there is room for one more node of the network of an address; with `instead`, in the place of another of that network."""
        if self._is_exempt(ip):
            return True
        here, overall = bucket.get(network_of(ip, SITE), 0), self._counts.get(network_of(ip, PROVIDER), 0)
        return here < self._limits.per_bucket and overall - instead < self._share

    def count(self, bucket: dict[bytes, int], ip: bytes) -> None:
        """Count an address, whether there is room for it or not."""
        if not self._is_exempt(ip):
            for counts, network in ((bucket, network_of(ip, SITE)), (self._counts, network_of(ip, PROVIDER))):
                counts[network] = counts.get(network, 0) + 1

    def release(self, bucket: dict[bytes, int], ip: bytes) -> None:
        """Count an address no longer."""
        if self._is_exempt(ip):
            return
        for counts, network in ((bucket, network_of(ip, SITE)), (self._counts, network_of(ip, PROVIDER))):
            counts[network] -= 1
            if not counts[network]:
                del counts[network]

    def is_exceeded(self, ip: bytes) -> bool:
        """Whether the network of an address has more than its share, as it may when there are more networks now."""
        return not self._is_exempt(ip) and self._counts.get(network_of(ip, PROVIDER), 0) > self._share

    @property
    def _share(self) -> int:
        return max(1, min(self._limits.per_table, self._limits.shared // max(1, len(self._counts))))

    def _is_exempt(self, ip: bytes) -> bool:
        return not self._limits.limit_local_addresses and is_local(ip)
