"""Routing tables and nodes for tests."""

import random

from devp2p.discovery.table.contacts import Contact
from devp2p.discovery.table.kademlia import BUCKET_SIZE, RoutingTable
from devp2p.discovery.table.shares import TableLimits
from tests.discovery.nodes import Node, endpoint_of

OWN = bytes(32)


def table_of(seed: int = 1, *, limit_local_addresses: bool = False) -> RoutingTable[None]:
    table: RoutingTable[None] = RoutingTable(OWN, random.Random(seed).random, TableLimits(limit_local_addresses=limit_local_addresses))
    table.accepts_incoming = True
    return table


def id_at(away: int, number: int) -> bytes:
    """The number-th node-ID at a logarithmic distance from OWN (of 16 bits at least)."""
    return ((1 << away - 1) | number).to_bytes(32)


def node(number: int, away: int = 256, *, seq: int = 0, place: int | None = None, port: int = 30303) -> Node:
    return Contact(id_at(away, number), endpoint_of(away * 100 + number if place is None else place, port), seq, None)


def full_bucket(table: RoutingTable[None], extra: int = 0, *, incoming: bool = False, live: bool = False) -> list[Node]:
    nodes = [node(number) for number in range(BUCKET_SIZE + extra)]
    for each in nodes:
        table.add(each, 0.0, incoming=incoming, live=live)
    return nodes


def check(table: RoutingTable[None], contact: Node, now: float, *, ok: bool) -> bool:
    """Let a node be checked, whoever else is."""
    while True:
        now += 10.0
        while (entry := table.next_revalidation(now)) is not None:
            if entry.contact.id == contact.id:
                return table.revalidated(contact.id, now, ok=ok)
            table._asked.clear()
