"""Who may knock (pure; ``now`` is passed in): caps on links that have not proved themselves, by network and by time.

An IPv4 network is a /24 for links that shake hands at once and a single address for the time between two links; an IPv6 network is a
/64 for both, since one host usually has a whole /64 to draw addresses from. Relayed links count for the relay's network, without a time
between two of them, as many nodes are behind one relay. Local addresses (loopback, private, link-local, and those
of transports inside this machine) are exempt unless `Limits.limit_local_addresses` says otherwise.

Whoever sends a datagram can write any address on it. So a link whose peer has not shown that it is where it says counts for no network,
or a stranger could keep out one that it only names. Its transport alone bounds how many there are of these, and the time between two links
is asked for when the peer has proved itself.

A node that listens by several transports is dialled by them all within a moment, and who dials cannot know which the node sees first. So in
the first seconds a host may come once by each.
"""

from collections import Counter
from typing import NamedTuple

from devp2p.addresses import HOST, SUBNET, Address
from devp2p.bounded import Recent
from devp2p.limits import Limits

MANY = 50
"""Different nodes at one local address that are hardly neighbours: where they come from is hidden by a proxy, or by a NAT."""
RACE = 3.0
"""Seconds in which the addresses of one node are dialled, the next before the one before has failed (RFC 8305)."""
_UNSHOWN = b"address not shown"
_NEIGHBOURS = 256  # local addresses that are looked at
_REMEMBERED = 16384  # networks whose last link is kept in mind; the oldest are forgotten first


class Caller(NamedTuple):
    """Whom an inbound link counts for."""

    host: bytes
    subnet: bytes
    """Whose links compete with each other."""
    exempt: bool
    """It is not held to the limits for addresses."""
    relayed: bool = False
    """It is a relay's address, behind which are many."""
    shown: bool = True
    """It is where it says, as far as its transport can tell."""


class Admission:
    """Counts the inbound links of a node that shake hands, and remembers when each network came last."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pending: Counter[bytes] = Counter()
        self._came: Recent[bytes, set[str]] = Recent(_REMEMBERED)
        """By which schemes each network came since it first did."""

    def identify(self, address: Address, *, shown: bool = True) -> Caller:
        """Tell whom a link from an address counts for; `shown`: whether the peer has shown that it is there."""
        exempt = address.limited_network(HOST, limit_local=self._limits.limit_local_addresses) is None
        if not shown and not exempt:
            return Caller(_UNSHOWN, _UNSHOWN, exempt=False, shown=False)
        return Caller(address.network(HOST), address.network(SUBNET), exempt, address.is_relayed)

    def knock(self, caller: Caller, now: float, scheme: str | None = "") -> str | None:
        """Let an inbound link stay until it speaks, or say why not.

        `scheme`: of its transport; None if its first bytes have to say that, and then `heard` is to be asked as well.
        """
        if caller.exempt or caller.relayed or not caller.shown:  # who takes relayed links bounds how many of them come
            return None
        last = self._came.when(caller.host)
        if last is None or now - last >= self._limits.inbound_retry:
            self._came.set(caller.host, set(), now)
        elif now - last >= RACE:
            return self._too_soon(now - last)
        return None if scheme is None else self.heard(caller, now, scheme)

    def heard(self, caller: Caller, now: float, scheme: str) -> str | None:
        """Let a link begin that has said by which transport it comes, or say why not."""
        schemes, last = self._came.get(caller.host), self._came.when(caller.host)
        if caller.exempt or caller.relayed or not caller.shown or schemes is None or last is None:
            return None
        if scheme in schemes:
            return self._too_soon(now - last)
        schemes.add(scheme)
        return None

    def _too_soon(self, seconds: float) -> str:
        return f"came again after {seconds:.1f} s, before the {self._limits.inbound_retry:g} s between two connections were over"

    def begin(self, caller: Caller) -> str | None:
        """Let a link begin its handshake, or say why not. Every one that begins must `release` later."""
        if caller.exempt or not caller.shown:
            return None
        if self._pending[caller.subnet] >= self._limits.pending_per_subnet:
            return f"{self._limits.pending_per_subnet} connections of its network are shaking hands already"
        self._pending[caller.subnet] += 1
        return None

    def release(self, caller: Caller) -> None:
        """A link that had begun shakes hands no more: it has become a session, or has failed."""
        if not caller.exempt and caller.shown:
            self._pending[caller.subnet] -= 1
            if not self._pending[caller.subnet]:
                del self._pending[caller.subnet]


class Neighbours:
    """Counts the different nodes that come from each local address."""

    def __init__(self) -> None:
        self._keys: Recent[bytes, set[bytes]] = Recent(_NEIGHBOURS)

    def note(self, host: bytes, key: bytes) -> bool:
        """A node has proved its key there. Says once for each address that there have been many."""
        keys = self._keys.get(host) or set[bytes]()
        self._keys.set(host, keys)
        if len(keys) >= MANY:
            return False
        keys.add(key)
        return len(keys) == MANY
