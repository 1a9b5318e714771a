"""Where IP addresses lie (pure): from where one can be reached, who may tell us of it, and which network it counts for.

The tables are our own, from the IANA registries of special-purpose addresses: what `ipaddress` calls global changed between Python
versions, and includes addresses that lead somewhere else (NAT64, 6to4) or nowhere (multicast, site-local). For IPv6 they say what is
allowed: 2000::/3, from which all was taken that was ever given to anybody, less some exceptions.

Addresses are packed: 4 bytes for IPv4, 16 for IPv6. An IPv4 address in IPv6 clothes (``::ffff:a.b.c.d``) counts as what it is.
"""

import enum
import ipaddress
from functools import lru_cache
from typing import NamedTuple

LOWEST_PORT = 1025
"""The lowest UDP port of nodes that others tell us of: below are services that should not be sent what they never asked for."""

_MAPPED = b"\0" * 10 + b"\xff\xff"
_REMEMBERED = 4096  # addresses, each of which is judged many times over: whenever it is named


class Endpoint(NamedTuple):
    """Where a node takes datagrams: a packed IP address (4 or 16 bytes) and a UDP port."""

    ip: bytes
    port: int

    @property
    def version(self) -> int:
        """Of IP: 4 or 6."""
        return 4 if len(self.ip) == 4 else 6

    def __str__(self) -> str:
        if len(self.ip) not in {4, 16}:
            return f"[{self.ip.hex()}]:{self.port}"
        address = ipaddress.ip_address(self.ip)
        return f"{address}:{self.port}" if address.version == 4 else f"[{address}]:{self.port}"


class Scope(enum.IntEnum):
    """From where an address can be reached. The order matters: a host may speak of addresses of its own scope and of wider ones."""

    SPECIAL = 0
    """Not the address of one host that could be reached: reserved, multicast, documentation, a translation of another address."""
    LOOPBACK = 1
    LAN = 2
    """Private, link-local, and the space that providers share between their customers."""
    PUBLIC = 3


_TABLES = {
    Scope.LOOPBACK: "127.0.0.0/8 ::1/128",
    Scope.LAN: "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 100.64.0.0/10 fc00::/7 fe80::/10",
    Scope.SPECIAL: (
        "0.0.0.0/8 "  # this network
        "192.0.0.0/24 "  # protocol assignments: DS-Lite, PCP and TURN anycast, NAT64 discovery
        "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 "  # documentation
        "192.31.196.0/24 192.175.48.0/24 "  # AS112
        "192.52.193.0/24 "  # AMT
        "192.88.99.0/24 "  # 6to4 relays
        "198.18.0.0/15 "  # benchmarks
        "224.0.0.0/4 240.0.0.0/4 "  # multicast; reserved, and broadcast
        "2001::/23 "  # protocol assignments: Teredo, ORCHID, AMT, AS112, benchmarks
        "2001:db8::/32 3fff::/20 "  # documentation
        "2002::/16 "  # 6to4
        "2620:4f:8000::/48 "  # AS112
        "3ffe::/16"  # 6bone, given back
    ),
    Scope.PUBLIC: "0.0.0.0/0 2000::/3",
}


def _parse(version: int) -> list[tuple[int, int, Scope]]:
    """The mask, first address and scope of each network."""
    parsed = [(ipaddress.ip_network(text), scope) for scope, texts in _TABLES.items() for text in texts.split()]
    return [(int(network.netmask), int(network.network_address), scope) for network, scope in parsed if network.version == version]


_NETWORKS = {4: _parse(4), 16: _parse(6)}  # by the size of an address


def unmapped(ip: bytes) -> bytes:
    """Write an IPv4-mapped IPv6 address as the 4 bytes that it stands for, and leave others as they are."""
    return ip[12:] if len(ip) == 16 and ip.startswith(_MAPPED) else ip


@lru_cache(maxsize=_REMEMBERED)
def scope_of(ip: bytes) -> Scope:
    """Tell from where an address can be reached; what is not 4 or 16 bytes is SPECIAL too."""
    ip = unmapped(ip)
    number = int.from_bytes(ip, "big")
    for mask, start, scope in _NETWORKS.get(len(ip), ()):
        if number & mask == start:
            return scope
    return Scope.SPECIAL


def is_local(ip: bytes) -> bool:
    """Whether an address is of this host or of its own network."""
    return scope_of(ip) in {Scope.LOOPBACK, Scope.LAN}


def relay_fault(sender: bytes, endpoint: Endpoint) -> str | None:
    """Say why a node at the address `sender` may not tell us of a node at `endpoint`, or None if it may.

    A public host may tell of public addresses, one of a LAN of those of a LAN too, and one on this machine of those on this machine too.
    """
    if not LOWEST_PORT <= endpoint.port <= 65535:
        return f"port {endpoint.port} is not from {LOWEST_PORT} to 65535"
    return scope_fault(sender, endpoint.ip)


def scope_fault(sender: bytes, ip: bytes) -> str | None:
    """Say why a host at the address `sender` cannot know, or must not be believed, that there is a host at `ip`; None if it may."""
    scope = scope_of(ip)
    if scope is Scope.SPECIAL:
        return "not the address of a host"
    # A sender at a special address is a host behind some translation: it gets no more credit than a public one.
    if scope < (scope_of(sender) or Scope.PUBLIC):
        return f"a {scope.name} address from a host outside"
    return None


def network_of(ip: bytes, *, wide: bool = False) -> bytes:
    """Name the network that an address counts for, as the first bytes of the address.

    IPv4: the /24. IPv6: the /48 that one site has, or with `wide` the /32 that one provider has. (A /24 of IPv6 would be more than one
    provider, and a single host can take a new address of its /64 for every packet.)
    """
    ip = unmapped(ip)
    if len(ip) == 4:
        return ip[:3]
    return ip[:4] if wide else ip[:6]


def host_of(ip: bytes) -> bytes:
    """What one host has: an IPv4 address, or a whole /64 of IPv6, of which it can take a new address for every packet."""
    ip = unmapped(ip)
    return ip if len(ip) == 4 else ip[:8]
