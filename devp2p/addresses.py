"""Where nodes are (pure): addresses of any scheme, from where one can be reached, who may tell us of it, and which network it counts for.

An `Address` is what a transport listens at or dials. Discovery's packets, and all rules about IP addresses, speak of packed ones: 4 bytes
for IPv4, 16 for IPv6. An IPv4 address in IPv6 clothes (``::ffff:a.b.c.d``) counts as what it is.

Every address has a scope and counts for a network. Limits are for networks of several sizes (`HOST` to `GROUP`), since whoever has one
address has more of them near it: a host a whole /64 of IPv6, a provider's customer a /24 or a /48. A name of DNS counts for itself, as
does what has no IP address at all; what cannot leave this machine is local, as loopback is.

The tables of scopes are our own, from the IANA registries of special-purpose addresses: what `ipaddress` calls global changed between
Python versions, and includes addresses that lead somewhere else (NAT64, 6to4) or nowhere (multicast, site-local). For IPv6 they say what
is allowed: 2000::/3, from which all was taken that was ever given to anybody, less some exceptions.
"""

import enum
import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Final, NamedTuple, TypeAlias

from devp2p.arguments import require

LOWEST_PORT = 1025
"""The lowest UDP port of nodes that others tell us of: below are services that should not be sent what they never asked for."""
MAX_PORT: Final = 65535

_MAPPED = b"\0" * 10 + b"\xff\xff"
_REMEMBERED = 4096  # addresses, each of which is judged many times over: whenever it is named
_NO_HOST = frozenset(" /?#@[]")  # what neither a name nor an IP address has, so that a slip of the pen is found early
_WILDCARDS = frozenset({"*", "0.0.0.0", "::"})  # noqa: S104  (compared, not bound)
_PORTLESS = {"unix": "path", "memory": "name"}  # schemes that stay in this machine, and what stands in the place of host and port
_THROUGH_A_NODE = frozenset({"relay"})  # schemes that lead through another node, whose key may stand before its host
_KEY_DIGITS = 128
_HEX = frozenset("0123456789abcdefABCDEF")

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


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

_LOCAL = frozenset({Scope.LOOPBACK, Scope.LAN})


def _parse(version: int) -> list[tuple[int, int, Scope]]:
    """The mask, first address and scope of each network."""
    parsed = [(ipaddress.ip_network(text), scope) for scope, texts in _TABLES.items() for text in texts.split()]
    return [(int(network.netmask), int(network.network_address), scope) for network, scope in parsed if network.version == version]


_NETWORKS = {4: _parse(4), 16: _parse(6)}  # by the size of an address


def unmapped(ip: bytes) -> bytes:
    """Write an IPv4-mapped IPv6 address as the 4 bytes that it stands for, and leave others as they are."""
    return ip[12:] if len(ip) == 16 and ip.startswith(_MAPPED) else ip


def mapped(ip: bytes) -> bytes:
    """Write an IPv4 address as the IPv6 address that stands for it, and leave others as they are."""
    return _MAPPED + ip if len(ip) == 4 else ip


def pack_ip(address: IpAddress | str | None) -> bytes:
    """The 4 or 16 bytes of an address, or none for None, since some nodes that do not know their own send an empty one.

    ValueError if text is no address.
    """
    if isinstance(address, str):
        return _pack_text(address)
    return b"" if address is None else unmapped(address.packed)


@lru_cache(maxsize=_REMEMBERED)
def _pack_text(text: str) -> bytes:
    return unmapped(ipaddress.ip_address(text).packed)


def unpack_ip(packed: bytes) -> IpAddress | None:
    """The address in 4 or 16 bytes, or None in none; ValueError for other sizes."""
    require_ip_size(packed)
    return ipaddress.ip_address(unmapped(packed)) if packed else None


def require_ip_size(packed: bytes) -> None:
    """Raise ValueError for what is not the size of an address."""
    if len(packed) not in {0, 4, 16}:
        raise ValueError(f"an IP address of {len(packed)} bytes")


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
    """Whether an address is of this machine or of its own network."""
    return scope_of(ip) in _LOCAL


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


class Size(NamedTuple):
    """How wide a network is: so many bytes at the beginning of all its addresses."""

    ipv4: int
    ipv6: int


HOST: Final = Size(4, 8)
"""What one host has: an IPv4 address, or a whole /64 of IPv6, of which it can take a new address for every packet."""
SUBNET: Final = Size(3, 8)
"""The /24 of IPv4, or the /64 of IPv6."""
SITE: Final = Size(3, 6)
"""The /24 of IPv4, or the /48 of IPv6 that one site has."""
PROVIDER: Final = Size(3, 4)
"""The /24 of IPv4, or the /32 of IPv6 that one provider has. (A /24 of IPv6 would be more than one provider.)"""
GROUP: Final = Size(2, 4)
"""The /16 of IPv4, or the /32 of IPv6: what few hands are likely to hold."""


def network_of(ip: bytes, size: Size) -> bytes:
    """Name the network of some size that an address counts for, as the first bytes of the address."""
    ip = unmapped(ip)
    return ip[: size.ipv4 if len(ip) == 4 else size.ipv6]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a transport listens or dials: ``tcp://[::1]:30303``, ``unix:///run/node.sock``, ``memory://alice``.

    ``host`` is an IP address or DNS name without brackets, ``*`` for every interface, or a path or name where the scheme has no
    ports; ``port`` is then None. Port 0 asks a listener for any free one. Of a relayed address they are those of the relay, whose key (128
    hex digits) may stand before its host, as in ``relay://<key>@[::1]:30303``: there ``host`` is ``<key>@::1``.
    """

    scheme: str
    host: str
    port: int | None = None

    def __post_init__(self) -> None:
        """ValueError for what no address can be, TypeError for what is not even text or a number."""
        require(self.scheme, str, "the scheme of an address is text such as 'tcp'")
        require(self.host, str, "the host of an address is text")
        require(self.port, (int, NoneType), "the port of an address is a number, or None")
        if not is_scheme(self.scheme):
            raise ValueError(f"a scheme is a word such as 'tcp', not {self.scheme[:80]!r}; Address.parse(...) reads a whole address")
        if not self.host:
            raise ValueError(f"an address needs a host, or '*' for every interface: Address({self.scheme!r}, '')")
        if self.port is not None and not 0 <= self.port <= MAX_PORT:
            raise ValueError(f"a port is a number from 0 to {MAX_PORT}, not {self.port}")
        if self.is_relayed:
            _split_key(self.host)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``scheme://host:port`` or ``scheme://path``; ValueError says what is wrong with anything else."""
        require(text, str, "an address is text such as 'tcp://127.0.0.1:30303'")
        scheme, separator, rest = text.partition("://")
        if not separator or not is_scheme(scheme):
            raise ValueError(f"an address looks like tcp://127.0.0.1:30303, not {text[:80]!r}")
        if scheme in _PORTLESS:
            if not rest:
                raise ValueError(f"{scheme}:// wants a {_PORTLESS[scheme]} behind it")
            return cls(scheme, rest)
        key, rest = _split_key(rest) if scheme in _THROUGH_A_NODE else ("", rest)
        host, port = _split_host(rest)
        if scheme in _THROUGH_A_NODE and not host:
            raise ValueError(f"a relayed address wants the host of the relay: {scheme}://<key of the relay>@<host>:<port>")
        return cls(scheme, f"{key}@{host}" if key else host or "*", port)

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every interface: one can listen there, but not dial."""
        return self.host in _WILDCARDS

    @property
    def is_dialable(self) -> bool:
        """Whether a node can be called there; port 0 says that it takes no connections."""
        return self.port != 0

    @property
    def ip(self) -> bytes:
        """The packed IP address that its host is, without its zone; empty if it is none."""
        return _place_of(self.scheme, self.host)[0]

    @property
    def scope(self) -> Scope:
        """From where it can be reached. Whatever a name of DNS stands for is taken to be PUBLIC, but for ``localhost`` (RFC 6761)."""
        return _place_of(self.scheme, self.host)[1]

    @property
    def is_local(self) -> bool:
        """Whether it is of this machine or of its own network."""
        return self.scope in _LOCAL

    @property
    def is_public(self) -> bool:
        """Whether it can be reached from everywhere, as far as the address tells."""
        return self.scope is Scope.PUBLIC

    def network(self, size: Size) -> bytes:
        """Name the network of some size that it counts for; what has no IP address is one of its own, of any size."""
        if ip := self.ip:
            return network_of(ip, size)
        host = self.host.rpartition("@")[2] if self.is_relayed else self.host
        name = f"address {self}" if self.scheme in _PORTLESS else f"host name {host.lower().rstrip('.')}"
        return name.encode("utf-8", "surrogatepass")

    def limited_network(self, size: Size, *, limit_local: bool = False) -> bytes | None:
        """The network to which limits apply: None for a local address, which is exempt unless told otherwise."""
        return self.network(size) if limit_local or not self.is_local else None

    @property
    def via(self) -> str:
        """The key of the node through which a relayed address leads, in hex; empty where it says none, and for other addresses."""
        return _split_key(self.host)[0] if self.scheme in _THROUGH_A_NODE else ""

    @property
    def is_relayed(self) -> bool:
        """Whether it leads through another node, whose host and port it says."""
        return self.scheme in _THROUGH_A_NODE

    @property
    def where(self) -> str:
        """The address without its scheme: ``[::1]:30303``."""
        if self.port is None:
            return self.host
        key, host = _split_key(self.host) if self.is_relayed else ("", self.host)
        host = f"[{host}]" if ":" in host else host
        return f"{key}@{host}:{self.port}" if key else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.where}"


@lru_cache(maxsize=_REMEMBERED)
def _place_of(scheme: str, host: str) -> tuple[bytes, Scope]:
    """The packed IP address that a host is, or none, and its scope."""
    if scheme in _PORTLESS:
        return b"", Scope.LOOPBACK
    if scheme in _THROUGH_A_NODE:
        host = host.rpartition("@")[2]
    try:
        ip = pack_ip(host)
    except ValueError:
        if host in _WILDCARDS:
            return b"", Scope.SPECIAL
        return b"", Scope.LOOPBACK if host.lower() == "localhost" else Scope.PUBLIC
    return ip, scope_of(ip)


def address_of(address: str | Address, what: str = "an address") -> Address:
    """Take an address by its text, or as it is; ValueError for text that is none, TypeError for anything else."""
    require(address, (str, Address), f"{what} is text such as 'tcp://127.0.0.1:30303', or an Address")
    if isinstance(address, Address):
        return address
    try:
        return Address.parse(address)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def is_scheme(text: str) -> bool:
    """Whether text can be the scheme of an address."""
    return text.isascii() and text.isalnum()


def _split_key(text: str) -> tuple[str, str]:
    """The key before an @, in lower case, and what is behind it; ValueError for what is no key there."""
    key, at, rest = text.rpartition("@")
    if not at:
        return "", text
    if len(key) != _KEY_DIGITS or not _HEX.issuperset(key):
        raise ValueError(f"the key of a relay is {_KEY_DIGITS} hex digits, not {len(key)} characters: {key[:24]!r}")
    return key.lower(), rest


def _split_host(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, tail = text[1:].partition("]")
        if not bracket or not tail.startswith(":"):
            raise ValueError(f"an IPv6 address with its port looks like [::1]:30303, not {text[:80]!r}")
        return _check_ipv6(host), parse_port(tail[1:])
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(f"the port is missing in {text[:80]!r}: write <host>:<port>")
    if not host.isprintable() or not _NO_HOST.isdisjoint(host):
        raise ValueError(f"{host[:80]!r} is no host")
    if ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets, as in [::1]:30303: {text[:80]!r}")
    return host, parse_port(port)


def _check_ipv6(text: str) -> str:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text[:80]!r} is no IPv6 address") from None
    return text


def parse_port(text: str) -> int:
    """Read a port; ValueError for what is none."""
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > MAX_PORT:
        raise ValueError(f"a port is a number from 0 to {MAX_PORT}, not {text[:24]!r}")
    return int(text)
