"""Searches among tables as they come to be in a large network, without time and datagrams: `RoutingTable` and `Lookup`, and nothing else.

Each bucket of each table holds up to 16 nodes, at random among those that belong there, all of which have answered.
"""

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev

from devp2p.discovery.table.contacts import ID_SIZE
from devp2p.discovery.table.kademlia import BUCKET_SIZE, CLOSEST, RoutingTable
from devp2p.discovery.table.lookup import ATTEMPTS, Lookup
from tests.discovery.nodes import Node, closest_of, make_nodes


@dataclass(frozen=True)
class Ways:
    """What came of some searches."""

    exact: float
    """The share of them that found all of the 16 closest nodes."""
    recall: float
    """The share of all of those nodes that was found."""
    hops: float
    """Answers, one after the other, that led to the closest node found; on average."""
    hops_error: float
    """The standard error of that."""
    queries: float
    """Questions that a search took, on average."""


@dataclass
class Ideal:
    nodes: list[Node]
    """By ID."""
    tables: dict[bytes, RoutingTable[None]]

    def survey(self, searches: int, seed: int, *, loss: float = 0.0, attempts: int = ATTEMPTS, dead: Collection[bytes] = ()) -> Ways:
        """Let random nodes search for random places. A question or an answer is lost with probability `loss` each; the dead say nothing."""
        chance = random.Random(f"{seed} survey")
        alive = [node for node in self.nodes if node.id not in dead]
        hits, hops, queries = Counter[int](), list[int](), 0
        for _ in range(searches):
            start, target = chance.choice(alive), chance.randbytes(ID_SIZE)
            lookup: Lookup[None] = Lookup(target, self.tables[start.id].closest(target), own_id=start.id, attempts=attempts)
            while not lookup.done:
                for node in lookup.queries():
                    if node.id in dead or chance.random() < 1 - (1 - loss) ** 2:
                        lookup.failed(node)
                    else:
                        lookup.answered(node, self.tables[node.id].closest(target))
            right = closest_of((node for node in alive if node is not start), target)
            hits[len(set(right) & set(lookup.result))] += 1
            hops.append(lookup.hops)
            queries += lookup.asked
        found = sum(number * times for number, times in hits.items())
        error = stdev(hops) / searches**0.5
        return Ways(hits[BUCKET_SIZE] / searches, found / (BUCKET_SIZE * searches), fmean(hops), error, queries / searches)


@lru_cache(maxsize=2)
def ideal(number: int, seed: int) -> Ideal:
    """A network of so many nodes, each in a /24 of its own."""
    chance = random.Random(f"{seed} ideal")
    nodes = sorted(make_nodes(number, chance))
    tables: dict[bytes, RoutingTable[None]] = {}
    for node in nodes:
        table = tables[node.id] = RoutingTable(node.id, chance.random)
        for here in _by_bucket(nodes, node.id):
            for other in chance.sample(here, min(BUCKET_SIZE, len(here))):
                table.add(nodes[other], 0.0, live=True)
    return Ideal(nodes, tables)


def _by_bucket(nodes: Sequence[Node], own_id: bytes) -> Iterator[range]:
    """The places in sorted `nodes` of those in each bucket of `own_id`, the far half first: they share one bit less than the next do."""
    low, high = 0, len(nodes)
    own = int.from_bytes(own_id)
    for bits in range(256 - CLOSEST):
        middle = ((own >> (255 - bits)) | 1) << (255 - bits)  # where the half with the bit set begins
        split = bisect_left(nodes, middle.to_bytes(ID_SIZE), low, high, key=lambda node: node.id)
        inner = (split, high) if own >= middle else (low, split)
        yield range(low, split) if own >= middle else range(split, high)
        low, high = inner
    yield range(low, high)
