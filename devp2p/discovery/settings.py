"""What of discovery is to run, and where it listens."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from devp2p.addresses import Address, address_of
from devp2p.arguments import require

VERSIONS: Final[frozenset[int]] = frozenset({4, 5})
"""Those of the protocol that there are here."""

_UDP = "udp"


def udp_address(listen: str | Address | None, *, beside: Address | None = None) -> Address:
    """Take the address to listen at; None stands for the host and port `beside` which a node takes sessions, or for any port.

    ValueError for what is no address of UDP, TypeError for what is neither text nor an Address.
    """
    if listen is None:
        return Address(_UDP, "*", 0) if beside is None else replace(beside, scheme=_UDP)
    address = address_of(listen, "listen of discovery")
    if address.scheme != _UDP:
        raise ValueError(f"listen of discovery is udp://<host>:<port>, not {address}")
    return address


def check_versions(versions: Collection[int]) -> frozenset[int]:
    """Take the versions that are to run; ValueError if there is none, or one that is unknown, TypeError for no collection."""
    require(versions, Collection, "versions of discovery is a set such as {4, 5}")
    if not versions or not VERSIONS.issuperset(versions):
        raise ValueError(f"versions of discovery are 4 and 5, not {', '.join(map(repr, versions)) or 'none'}")
    return frozenset(versions)
