"""What one may ask of discovery: which versions are to run, where it listens, and where others reach us."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from devp2p.addresses import Address, Endpoint, address_of, pack_ip
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


def parse_external(text: str) -> Endpoint:
    """Read ``203.0.113.5``, ``203.0.113.5:30303``, ``2001:db8::5`` or ``[2001:db8::5]:30303``, without a port as port 0.

    ValueError says what is wrong with anything else.
    """
    require(text, str, "an external address is text such as '203.0.113.5'")
    try:
        return Endpoint(pack_ip(text), 0)
    except ValueError:
        pass
    try:
        address = Address.parse(f"udp://{text}")
        return Endpoint(pack_ip(address.host), address.port or 0)
    except ValueError:
        raise ValueError(
            f"an external address is an IP address where others reach us, such as 203.0.113.5 or 203.0.113.5:30303, not {text[:80]!r}"
        ) from None


def parse_externals(texts: Iterable[str]) -> list[Endpoint]:
    """Read all addresses where others reach us, which are at most one of IPv4 and one of IPv6; ValueError for anything else."""
    found: dict[int, Endpoint] = {}
    for text in texts:
        endpoint = parse_external(text)
        if found.setdefault(len(endpoint.ip), endpoint) != endpoint:
            raise ValueError(f"external has two addresses of one kind, {text!r} is the second: give one of IPv4 and one of IPv6 at most")
    return list(found.values())
