"""Nodes for tests of the table and of searches: an ID and a place, and nothing that talks."""

import random
from collections.abc import Iterable

from devp2p.addresses import Endpoint
from devp2p.discovery.table.contacts import ID_SIZE, Contact
from devp2p.discovery.table.kademlia import BUCKET_SIZE

Node = Contact[None]


def endpoint_of(number: int, port: int = 30303) -> Endpoint:
    """A public address, the only one of its /24."""
    return Endpoint((0x14000001 + 256 * number).to_bytes(4, "big"), port)


def make_nodes(number: int, chance: random.Random, *, first: int = 0) -> list[Node]:
    return [Contact(chance.randbytes(ID_SIZE), endpoint_of(first + place), 0, None) for place in range(number)]


def closest_of(nodes: Iterable[Node], target: bytes, number: int = BUCKET_SIZE) -> list[Node]:
    """What a perfect search finds."""
    aim = int.from_bytes(target)
    return sorted(nodes, key=lambda node: int.from_bytes(node.id) ^ aim)[:number]
