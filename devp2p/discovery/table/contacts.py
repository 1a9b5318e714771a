"""Contacts (pure): what one needs to talk to a node, and how they are made of records (enr.md; discv5 theory, "Node Table").

A record says where its node takes datagrams, and where it can be dialled. Not all of that is believed: nobody may name an address that he
cannot know of, whether as his own or as another's (`scope_fault`, `relay_fault`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final, Generic, NamedTuple, TypeVar

from devp2p.addresses import Endpoint, Scope, pack_ip, relay_fault, scope_fault, scope_of, unmapped
from devp2p.records import NodeRecord
from devp2p.records import Record as Enr

ID_SIZE: Final = 32

_REMEMBERED: Final = 4096  # records, of the same of which one is told again and again

Record = TypeVar("Record")


class Contact(NamedTuple, Generic[Record]):
    """What one needs to talk to a node: its 32-byte ID, its endpoint, and whatever record of it the protocol keeps.

    ``seq`` is the record's sequence number, 0 where there is none.
    """

    id: bytes
    endpoint: Endpoint
    seq: int
    record: Record


def endpoints_of(record: Enr, ip_versions: Sequence[int] = (4, 6), *, told_by: bytes | None = None) -> tuple[Endpoint, ...]:
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
def _named_by(record: Enr) -> tuple[Endpoint, ...]:
    """The endpoints that are in a record, whatever they are."""
    pairs = ((record.ip, record.udp), (record.ip6, record.udp6))
    return tuple(Endpoint(unmapped(address.packed), port) for address, port in pairs if address is not None and port)


def contact_of(
    record: Enr, ip_versions: Sequence[int] = (4, 6), *, told_by: bytes | None = None, at: Endpoint | None = None
) -> Contact[Enr] | None:
    """Make a contact of a record, or None where `endpoints_of` finds nothing.

    `at` is preferred where it is among the endpoints: from there the node was heard.
    """
    endpoints = endpoints_of(record, ip_versions, told_by=told_by)
    if not endpoints:
        return None
    return Contact(record.id, at if at is not None and at in endpoints else endpoints[0], record.sequence, record)


def contacts_told_by(sender: Endpoint, records: Iterable[Enr], ip_versions: Sequence[int] = (4, 6)) -> list[Contact[Enr]]:
    """Make contacts of the records that the node at `sender` gave us, without those that it should not tell us of."""
    contacts = (contact_of(record, ip_versions, told_by=sender.ip, at=sender) for record in records)
    return [contact for contact in contacts if contact is not None]


def may_be_asked(endpoint: Endpoint, node: NodeRecord) -> bool:
    """Whether a node that was heard at an endpoint may be asked where it says it is: nobody outside leads us into our own network."""
    return all(scope_fault(endpoint.ip, pack_ip(host)) is None for host, _ in node.udp_endpoints)


def node_at(endpoint: Endpoint, record: Enr) -> NodeRecord:
    """What is to be made of the record of a node that answered at an endpoint: it cannot be dialled where one there cannot know a host."""
    node = NodeRecord.from_enr(record)
    own = tuple(address for address in node.addresses if scope_fault(endpoint.ip, address.ip) is None)
    return node if own == node.addresses else replace(node, addresses=own)
