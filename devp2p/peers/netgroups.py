"""Whom the address of a peer counts for (pure)."""

from functools import lru_cache
from ipaddress import ip_address

from devp2p.addresses import is_local, unmapped
from devp2p.records import Address


def netgroup(address: Address) -> bytes | None:
    """Name the network that a peer counts for: the /16 of IPv4, the /32 of IPv6; None for local addresses, names, other transports."""
    return _netgroup_of(address.host)


@lru_cache(maxsize=4096)  # all candidates are looked at again and again
def _netgroup_of(host: str) -> bytes | None:
    try:
        ip = unmapped(ip_address(host).packed)
    except ValueError:
        return None
    if is_local(ip):
        return None
    return ip[:2] if len(ip) == 4 else ip[:4]
