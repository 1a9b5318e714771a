"""IP addresses as discovery packets write them: 4 or 16 bytes.

Some nodes that do not know their own address send an empty one (discv4's ``from``), so that is a value too: no address.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

IpAddress: TypeAlias = IPv4Address | IPv6Address


def pack_ip(address: IpAddress | str | None) -> bytes:
    """The 4 or 16 bytes of an address, or none for None; ValueError if text is no address."""
    return b"" if address is None else _unmapped(ip_address(address)).packed


def unpack_ip(packed: bytes) -> IpAddress | None:
    """The address in 4 or 16 bytes, or None in none; ValueError for other sizes.

    An IPv4 address in IPv6 clothes (``::ffff:1.2.3.4``) is given as what it is, lest it pass by rules about IPv4 addresses.
    """
    require_ip_size(packed)
    return _unmapped(ip_address(packed)) if packed else None


def require_ip_size(packed: bytes) -> None:
    """Raise ValueError for what is not the size of an address."""
    if len(packed) not in {0, 4, 16}:
        raise ValueError(f"an IP address of {len(packed)} bytes")


def _unmapped(address: IpAddress) -> IpAddress:
    return getattr(address, "ipv4_mapped", None) or address
