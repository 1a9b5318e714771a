"""A node's record as the routing table wants it: where the node takes datagrams (pure; enr.md, "Node Table" in discv5's theory)."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from devp2p.addresses import Endpoint, Scope, relay_fault, scope_of, unmapped
from devp2p.discovery.table.kademlia import Contact
from devp2p.records import Record

_REMEMBERED: Final = 4096  # records, of the same of which one is told again and again


def endpoints_of(record: Record, ip_versions: Sequence[int] = (4, 6), *, told_by: bytes | None = None) -> tuple[Endpoint, ...]:
    """Where a node takes datagrams, as its record says: at most one endpoint of each IP version, in the order of `ip_versions`.

    Addresses that are not those of one host are left out, and those that whoever gave us the record, at the address `told_by`, should
    not tell us of.
    """
    found: dict[int, Endpoint] = {}
    for endpoint in _named_by(record):
        bad = scope_of(endpoint.ip) is Scope.SPECIAL if told_by is None else relay_fault(told_by, endpoint) is not None
        if not bad:
            found.setdefault(endpoint.version, endpoint)
    return tuple(found[version] for version in ip_versions if version in found)


@lru_cache(maxsize=_REMEMBERED)
def _named_by(record: Record) -> tuple[Endpoint, ...]:
    """The endpoints that are in a record, whatever they are."""
    pairs = ((record.ip, record.udp), (record.ip6, record.udp6))
    return tuple(Endpoint(unmapped(address.packed), port) for address, port in pairs if address is not None and port)


def contact_of(
    record: Record, ip_versions: Sequence[int] = (4, 6), *, told_by: bytes | None = None, at: Endpoint | None = None
) -> Contact[Record] | None:
    """Make a contact of a record, or None where `endpoints_of` finds nothing.

    `at` is preferred where it is among the endpoints: from there the node was heard.
    """
    endpoints = endpoints_of(record, ip_versions, told_by=told_by)
    if not endpoints:
        return None
    return Contact(record.id, at if at is not None and at in endpoints else endpoints[0], record.sequence, record)


def contacts_told_by(sender: Endpoint, records: Iterable[Record], ip_versions: Sequence[int] = (4, 6)) -> list[Contact[Record]]:
    """Make contacts of the records that the node at `sender` gave us, without those that it should not tell us of."""
    contacts = (contact_of(record, ip_versions, told_by=sender.ip, at=sender) for record in records)
    return [contact for contact in contacts if contact is not None]
