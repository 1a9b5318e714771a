"""Networks of real nodes of discovery v4 or v5 that come one by one and know nobody but one bootnode, and searches in them."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from devp2p.addresses import Endpoint
from devp2p.discovery.events import Event, LookupDone
from devp2p.discovery.table.kademlia import BUCKET_SIZE
from devp2p.discovery.v4.protocol import Discv4
from devp2p.discovery.v5.protocol import Discv5
from devp2p.keys import keccak256
from tests.discovery.strangers import START, key_of, make_node, record_of
from tests.discovery.v5_wire import make_party
from tests.simulation.network import Network

Discovery: TypeAlias = Discv4 | Discv5
Made: TypeAlias = tuple[Endpoint, bytes, Discovery]
"""Where a node is, its ID, and itself."""

_APART = 10_000  # nodes of one seed


@dataclass(frozen=True)
class Survey:
    """What came of some searches."""

    exact: float
    """The share of them that found all of the 16 closest nodes."""
    recall: float
    """The share of all of those nodes that was found."""
    closest: float
    """The share of the searches that found the closest node of all."""
    seconds: float
    """What a search took; half of them less."""


class Grown:
    """A network, and all who have ever been in it."""

    def __init__(self, seed: int, loss: float, make: Callable[[int], Made]) -> None:
        """`make` makes the node of a number; number 0 is the bootnode of the others."""
        self.network: Network[bytes, Event] = Network(seed, loss=loss)
        self.network.now = START
        self.nodes: dict[Endpoint, Discovery] = {}
        self.ids: dict[Endpoint, bytes] = {}
        self._make = make

    def come(self) -> None:
        """One more node comes."""
        endpoint, node_id, node = self._make(len(self.nodes))
        self.nodes[endpoint], self.ids[endpoint] = node, node_id
        self.network.add(endpoint, node)

    def grow(self, number: int, each: float, then: float) -> "Grown":
        """So many nodes come, one after `each` seconds, and time passes for `then` seconds more."""
        for place in range(number):
            self.network.at(self.network.now + each * place, self.come)
        self.network.run_for(each * number + then)
        return self

    def churn(self, *, each: float, seconds: float) -> None:
        """Every `each` seconds on average one node goes without a word, but never the bootnode, and another comes."""
        first = next(iter(self.nodes))

        def swap() -> None:
            self.network.silence(self.network.random.choice(sorted(self.network.nodes.keys() - {first})))
            self.come()

        self.network.churn(each, self.network.now + seconds, swap)
        self.network.run_for(seconds)

    def lose(self, share: float) -> None:
        """So many of the nodes go at once, but never the bootnode."""
        self.network.silence_share(share, spare=[next(iter(self.nodes))])

    def survey(self, searches: int, seed: int, *, every: float = 0.25) -> Survey:
        """Let random nodes search for random places, one in `every` seconds."""
        chance = random.Random(f"{seed} survey")
        there = sorted(self.network.nodes)
        wanted: dict[tuple[Endpoint, int], tuple[list[bytes], float]] = {}
        self.network.events.clear()
        for endpoint in chance.choices(there, k=searches):
            node = self.nodes[endpoint]
            target = chance.randbytes(64 if isinstance(node, Discv4) else 32)
            place = keccak256(target) if isinstance(node, Discv4) else target
            others = (self.ids[other] for other in there if other != endpoint)
            operation = node.lookup(target, self.network.now)
            wanted[endpoint, operation] = closest_ids(others, place), self.network.now
            self.network.touch(endpoint)
            self.network.run_for(every)
        give_up = self.network.now + 60.0
        while self._over() < wanted.keys() and self.network.now < give_up:
            self.network.run_for(1.0)
        return self._judge(wanted)

    def _over(self) -> set[tuple[Endpoint, int]]:
        """Which searches have ended."""
        ends = ((endpoint, event) for _, endpoint, event in self.network.events)
        return {(endpoint, event.operation) for endpoint, event in ends if isinstance(event, LookupDone)}

    def _judge(self, wanted: dict[tuple[Endpoint, int], tuple[list[bytes], float]]) -> Survey:
        hits: list[int] = []
        took: list[float] = []
        closest = 0
        for then, endpoint, event in self.network.events:
            if isinstance(event, LookupDone) and (endpoint, event.operation) in wanted:
                right, began = wanted.pop((endpoint, event.operation))
                found = [contact.id for contact in event.contacts]
                hits.append(len(set(found) & set(right)))
                closest += found[:1] == right[:1]
                took.append(then - began)
        assert not wanted, f"{len(wanted)} searches have not ended"
        number = len(hits)
        return Survey(hits.count(BUCKET_SIZE) / number, sum(hits) / (BUCKET_SIZE * number), closest / number, sorted(took)[number // 2])


def closest_ids(ids: Iterable[bytes], place: bytes) -> list[bytes]:
    """What a perfect search finds."""
    aim = int.from_bytes(place)
    return sorted(ids, key=lambda node_id: int.from_bytes(node_id) ^ aim)[:BUCKET_SIZE]


def grow_v4(number: int, seed: int, *, loss: float, each: float = 0.1, then: float = 80.0) -> Grown:
    """So many nodes of discovery v4, half of whom have searched for themselves a second time in the end."""
    first = seed % 500 * _APART
    bootnode = record_of(make_node(first)[0])

    def make(place: int) -> Made:
        node, endpoint = make_node(first + place, bootnodes=[bootnode] if place else [])
        return endpoint, key_of(first + place).public_key.node_id, node

    return Grown(seed, loss, make).grow(number, each, then)


def grow_v5(number: int, seed: int, *, loss: float, each: float = 0.2, then: float = 120.0) -> Grown:
    """So many nodes of discovery v5."""
    first = seed % 500 * _APART
    bootnode = make_party(first).local.record

    def make(place: int) -> Made:
        party = make_party(first + place, maintains=True, bootnodes=[bootnode] if place else [])
        return party.endpoint, party.id, party.node

    return Grown(seed, loss, make).grow(number, each, then)
