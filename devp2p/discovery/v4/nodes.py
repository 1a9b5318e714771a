"""Nodes as discovery v4 speaks of them: what they say of themselves, and others of them (pure; discv4.md, "Neighbors Packet").

A node that has sent us a Ping is where the Ping came from, whatever it says; one that others tell of is where they say, if they may speak
of such an address at all. A record adds to that, but never says where a node takes datagrams: the endpoint that works is worth more.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

from devp2p.addresses import Address, Endpoint, pack_ip, relay_fault, unmapped, unpack_ip
from devp2p.discovery.table import BUCKET_SIZE, Contact, node_at
from devp2p.discovery.v4.packets import MAX_NEIGHBORS, Neighbor
from devp2p.errors import DecodingError
from devp2p.keys import PublicKey
from devp2p.records import ENODE_SCHEME, NodeRecord, Record

Node: TypeAlias = Contact[NodeRecord]
"""Its `seq` is that of the ENR in its `record`, 0 without one."""

_REMEMBERED = 4096  # nodes: a search is told of the same ones again and again


def contact_of(node: NodeRecord, ip_versions: Sequence[int] = (4, 6)) -> Node | None:
    """Make a contact of a node at the best of its UDP endpoints that is of one of the IP versions; None if it has none, as one by name."""
    for host, port in node.udp_endpoints:
        try:
            endpoint = Endpoint(pack_ip(host), port)
        except ValueError:
            continue
        if endpoint.version in ip_versions:
            return Contact(node.id, endpoint, node.enr.sequence if node.enr is not None else 0, node)
    return None


def contact_at(public_key: PublicKey, endpoint: Endpoint, tcp_port: int) -> Node:
    """Make a contact of a node at an endpoint, which takes TCP links at a port of the same address if that is not 0."""
    # Port 0 is kept as in an enode URL: whoever takes no links, or at an address that nobody told of, is still found at this endpoint.
    addresses = (Address(ENODE_SCHEME, str(unpack_ip(endpoint.ip)), tcp_port),)
    return Contact(public_key.node_id, endpoint, 0, NodeRecord(public_key, addresses, endpoint.port))


def add_record(contact: Node, record: Record) -> Node:
    """Add to what is known of a node what it says about itself, but for addresses that one in its place has no business to name."""
    node = node_at(contact.endpoint, record)
    node = node if node.addresses else replace(node, addresses=contact.record.addresses)
    return Contact(contact.id, contact.endpoint, record.sequence, node)


def judge_neighbor(neighbor: Neighbor, sender: bytes, ip_versions: Sequence[int] = (4, 6)) -> Node | None:
    """Make a contact of what a node at the address `sender` tells of.

    None if that is no key, an endpoint that it may not tell of, or one of an IP version that we cannot send to.
    """
    endpoint = Endpoint(unmapped(neighbor.ip), neighbor.udp)
    if endpoint.version not in ip_versions or relay_fault(sender, endpoint) is not None:
        return None
    try:
        return _named(neighbor.public_key, endpoint, neighbor.tcp)
    except DecodingError:
        return None


def make_neighbors(contacts: Iterable[Node], asker: Endpoint) -> Iterator[tuple[Neighbor, ...]]:
    """Take the first 16 nodes that one at the endpoint `asker` may hear of, as many at a time as a packet holds; at least one packet."""
    fit = (contact for contact in contacts if relay_fault(asker.ip, contact.endpoint) is None)
    told = [_neighbor(contact) for contact, _ in zip(fit, range(BUCKET_SIZE), strict=False)]
    for start in range(0, max(1, len(told)), MAX_NEIGHBORS):
        yield tuple(told[start : start + MAX_NEIGHBORS])


@lru_cache(maxsize=_REMEMBERED)
def _named(public_key: bytes, endpoint: Endpoint, tcp_port: int) -> Node:
    return contact_at(PublicKey.from_bytes(public_key), endpoint, tcp_port)


def _neighbor(contact: Node) -> Neighbor:
    host = str(unpack_ip(contact.endpoint.ip))
    tcp = next((address.port for address in contact.record.addresses if address.scheme == ENODE_SCHEME and address.host == host), None)
    return Neighbor(contact.endpoint.ip, contact.endpoint.port, tcp or 0, bytes(contact.record.public_key))
