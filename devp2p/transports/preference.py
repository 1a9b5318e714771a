"""In which order addresses of one node are dialled (pure; RFC 8305, section 4).

By transport first: one that proves the peer by itself and goes straight there, then TCP, then the others, and what leads by a relay last,
since that is slow, and costs somebody else. Within each, IPv6 and IPv4 in turn, beginning with whichever its first address has, so that a
network in which one of the two leads nowhere costs one step. Otherwise the order in which they were given, which is best first, stays.
"""

from collections.abc import Callable, Iterable
from enum import IntEnum

from devp2p.addresses import Address
from devp2p.transports.defaults import DEFAULT_LISTEN, proves_keys


class Preference(IntEnum):
    """Of transports, the lowest first."""

    PROVED = 0
    """It proves the peer, and goes straight there."""
    TCP = 1
    OTHER = 2
    RELAY = 3


def preference_of(address: Address) -> Preference:
    """What an address counts for, by its scheme."""
    if address.is_relayed:
        return Preference.RELAY
    if proves_keys(address.scheme):
        return Preference.PROVED
    return Preference.TCP if address.scheme == DEFAULT_LISTEN.scheme else Preference.OTHER


def in_order(addresses: Iterable[Address], preference: Callable[[Address], int] = preference_of) -> list[Address]:
    """The addresses, each once, as they are to be dialled."""
    ranks: dict[int, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        ranks.setdefault(preference(address), []).append(address)
    return [address for rank in sorted(ranks) for address in _interleaved(ranks[rank])]


def _interleaved(addresses: list[Address]) -> list[Address]:
    """IPv6 and what else there is (IPv4, names, paths) in turn."""
    first, second = list[Address](), list[Address]()
    for address in addresses:
        (first if _is_ipv6(address) is _is_ipv6(addresses[0]) else second).append(address)
    pairs = [address for pair in zip(first, second, strict=False) for address in pair]
    shorter = min(len(first), len(second))
    return pairs + first[shorter:] + second[shorter:]


def _is_ipv6(address: Address) -> bool:
    return len(address.ip) == 16
