"""Who may knock (pure; ``now`` is passed in): caps on links that have not proved themselves, by network and by time.

An IPv4 network is a /24 for links that are pending at once and a single address for the time between two links; an IPv6 network is a
/64 for both, since one host usually has a whole /64 to draw addresses from. Local addresses (loopback, private, link-local, and
transports without IP addresses) are exempt unless `Limits.limit_local_addresses` says otherwise.
"""

import ipaddress
from collections import Counter, OrderedDict

from devp2p.limits import Limits
from devp2p.records import Address

_REMEMBERED = 16384  # networks whose last link is kept in mind; the oldest are forgotten first


class Admission:
    """Counts the inbound links of a node that are pending, and remembers when each network came last."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pending: Counter[bytes] = Counter()
        self._last: OrderedDict[bytes, float] = OrderedDict()

    def admit(self, address: Address, now: float) -> str | None:
        """Let an inbound link begin its handshake, or say why not. Every admitted one must `release` later."""
        networks = self._networks(address)
        if networks is None:
            return None
        host, subnet = networks
        last = self._last.get(host)
        if last is not None and now - last < self._limits.inbound_retry:
            return f"came again after {now - last:.1f} s, before the {self._limits.inbound_retry:g} s between two connections were over"
        if self._pending[subnet] >= self._limits.pending_per_subnet:
            return f"{self._limits.pending_per_subnet} connections of its network are shaking hands already"
        self._pending[subnet] += 1
        self._last[host] = now
        self._last.move_to_end(host)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        return None

    def release(self, address: Address) -> None:
        """An admitted link is no longer pending: it has become a session, or has failed."""
        networks = self._networks(address)
        if networks is not None:
            subnet = networks[1]
            self._pending[subnet] -= 1
            if not self._pending[subnet]:
                del self._pending[subnet]

    def _networks(self, address: Address) -> tuple[bytes, bytes] | None:
        """The (host, subnet) that an address counts for, as bytes; None if it is exempt."""
        try:
            ip = ipaddress.ip_address(address.host.partition("%")[0])
        except ValueError:
            return None
        if not self._limits.limit_local_addresses and (ip.is_private or ip.is_loopback or ip.is_link_local):
            return None
        packed = ip.packed
        return (packed, packed[:3]) if ip.version == 4 else (packed[:8], packed[:8])
