"""The entries of an ENR that say by which transports a node can be reached, beside ``tcp`` (EIP-778) itself.

Each is called as the scheme is, and its value is a port, as with ``tcp``: ``quic`` as consensus clients have it, ``tls``, ``ws`` and so on;
with a 6 behind it, ``quic6``, for the IPv6 address. Where that is missing, the port of the other counts for both.

A record has 300 bytes, and capabilities want some of them, so these entries take at most 64 bytes: the first ones in the order of `SCHEMES`
that fit. Whoever reads takes no more than `MOST_ADDRESSES` of them, lest a record make many dials to somebody who is no node at all. A
value that is no port is as if it were not there: other networks may give the same key another meaning.
"""

from collections.abc import Callable, Iterable
from typing import Final

from devp2p.addresses import LOWEST_PORT, Address
from devp2p.errors import DecodingError
from devp2p.records.enr import Record
from devp2p.rlp import U16

SCHEMES: Final = ("quic", "tls", "wss", "ws", "ssh", "sctp", "mptcp")
"""Which transports are told of, the most useful first."""
MOST_ADDRESSES: Final = 6
"""How many addresses are taken from a record beside those of TCP."""
MOST_BYTES: Final = 64
"""What these entries may take up in our own record."""

_DATAGRAMS: Final = frozenset({"quic", "sctp"})
"""By UDP, where a packet to whom it was not meant for is one that it gets: services at low ports are left alone, as in discovery."""
_PORT_BYTES: Final = 3  # of an encoded port, at most


def transport_entries(addresses: Iterable[Address]) -> dict[str, object]:
    """The entries for where a node listens: of each scheme the first address, and the first of IPv6 if that has another port."""
    entries: dict[str, object] = {}
    left, bound = MOST_BYTES, tuple(addresses)
    for scheme in SCHEMES:
        ports = {len(one.ip) == 16 and not one.is_wildcard: one.port for one in reversed(bound) if one.scheme == scheme and one.port}
        if ports.get(True) == ports.get(False):
            ports.pop(True, None)
        for is_ipv6, port in sorted(ports.items()):
            key = f"{scheme}6" if is_ipv6 else scheme
            left -= 1 + len(key) + _PORT_BYTES
            if left >= 0:
                entries[key] = port
    return entries


def transport_addresses(record: Record, hosts: Callable[[int | None, int | None], Iterable[tuple[str, int]]]) -> tuple[Address, ...]:
    """The addresses in a record, but for those of TCP. `hosts` pairs the ports for IPv4 and IPv6 with the record's IP addresses."""
    found: list[Address] = []
    for scheme in SCHEMES:
        port = _port(record, scheme, scheme)
        port6 = _port(record, f"{scheme}6", scheme) if f"{scheme}6".encode() in record.entries else port
        found += (Address(scheme, host, number) for host, number in hosts(port, port6))
    return tuple(found[:MOST_ADDRESSES])


def _port(record: Record, key: str, scheme: str) -> int | None:
    try:
        port: int | None = record.get_as(key, U16)
    except DecodingError:
        return None
    return None if not port or (scheme in _DATAGRAMS and port < LOWEST_PORT) else port
