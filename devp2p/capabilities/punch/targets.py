"""Which addresses a node tells a peer, and which of a peer's it tries: those that are public, and not too many, nor too often."""

from collections.abc import Iterable, Sequence
from typing import Final

import trio

from devp2p import HOST, Address, Throttle
from devp2p.capabilities.punch.limits import PunchLimits
from devp2p.capabilities.punch.messages import MOST_ADDRESSES

STREAMS: Final = frozenset({"tcp"})
"""Schemes of which a hole is a TCP connection, made by hand from the port of the listener."""
DATAGRAMS: Final = frozenset({"quic"})
"""Schemes whose transports dial from where they listen, and send bare datagrams."""
_LOWEST_PORT = 1024  # below are services that should not be sent what they never asked for
_AT_ONCE = 16


def own_addresses(listening: Iterable[Address], observed: Sequence[tuple[Address, Address]]) -> tuple[Address, ...]:
    """Where a peer may reach us through our NAT, best first.

    `listening`: where the node listens. `observed`: our own end of some links, and where the other end sees it. Most NATs leave ports as
    they are as long as nobody else has them, so the port is that of the listener, at each IP address that others see.
    """
    found: dict[Address, None] = {}
    for own in listening:
        if own.scheme not in STREAMS | DATAGRAMS or not own.port:
            continue
        for local, seen in observed:
            if len(seen.ip) == 16 or own.is_wildcard or len(own.ip) == len(seen.ip):
                port = seen.port if local.port == own.port and local.scheme == own.scheme else own.port
                found[Address(own.scheme, seen.host, port)] = None
            if len(local.ip) == 16:  # most networks of IPv6 have a firewall and no translation
                found[Address(own.scheme, local.host, own.port)] = None
        if own.ip:
            found[own] = None
    return tuple(found)


class Targets:
    """Judges addresses, for all sessions of a node."""

    def __init__(self, limits: PunchLimits, *, anywhere: bool) -> None:
        """`anywhere`: private and special addresses too."""
        self._limits = limits
        self._anywhere = anywhere
        self._hosts = Throttle(limits.host_rate, limits.rounds)
        self._node = Throttle(limits.node_rate, _AT_ONCE, remembered=1)

    def told(self, addresses: Iterable[Address]) -> tuple[str, ...]:
        """What a peer is told of our addresses."""
        return tuple(str(address) for address in addresses if self._may_be(address))[:MOST_ADDRESSES]

    def tried(self, texts: Iterable[str]) -> tuple[Address, ...]:
        """Which of a peer's addresses are tried in this round, best first; the round counts against their hosts."""
        found: dict[Address, None] = {}
        hosts: dict[bytes, bool] = {}
        now = trio.current_time()
        for text in texts:
            try:
                address = Address.parse(text)
            except ValueError:
                continue
            if not self._may_be(address) or len(found) >= self._limits.addresses:
                continue
            host = address.network(HOST)
            if host not in hosts and len(hosts) < self._limits.hosts:
                hosts[host] = self._hosts.allows(host, now)
            if hosts.get(host):
                found[address] = None
        if found and not self._node.allows(b"", now):
            return ()
        return tuple(found)

    def _may_be(self, address: Address) -> bool:
        if address.scheme not in STREAMS | DATAGRAMS or not address.ip or (address.port or 0) < _LOWEST_PORT:
            return False
        return self._anywhere or address.is_public
