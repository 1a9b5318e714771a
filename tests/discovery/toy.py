"""A model of node discovery, to try the table and the lookup in a simulated network: two questions, no cryptography, no encoding.

A datagram is a Python object, and a node is who it says it is. "Are you there?" stands for Ping, "who is near?" for FindNode; the answers
carry the number of the question. Everything else is as in the protocols: liveness before relaying, lookups, revalidation, refreshing.
"""

import random
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from devp2p.discovery.kademlia import BUCKET_SIZE, CLOSEST, ID_SIZE, Contact, RoutingTable, TableLimits
from devp2p.discovery.lookup import ATTEMPTS, PER_NETWORK, Lookup
from devp2p.discovery.networks import Endpoint
from tests.discovery.simulation import Network

TIMEOUT = 0.5  # seconds for an answer, as in discv4
REFRESH = 120.0

Node = Contact[None]


@dataclass(frozen=True, slots=True)
class Question:
    number: int
    sender: Node
    target: bytes | None
    """Who is near it? Or, without one: are you there?"""


@dataclass(frozen=True, slots=True)
class Answer:
    number: int
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A search is over."""

    lookup: Lookup[None]
    took: float


Datagram = Question | Answer


@dataclass(slots=True)
class Pending:
    node: Node
    due: float
    lookup: Lookup[None] | None
    """The search that it is part of; a revalidation if it is of none."""


def endpoint_of(number: int, port: int = 30303) -> Endpoint:
    """A public address, the only one of its /24."""
    return Endpoint((0x14000001 + 256 * number).to_bytes(4, "big"), port)


class Toy:
    """A node. It fills its table from `seeds`, and keeps it."""

    def __init__(
        self, node: Node, seed: int, seeds: Iterable[Node] = (), *, limits: TableLimits | None = None, refreshes: bool = True
    ) -> None:
        self.node = node
        self.random = random.Random(seed)
        self.table: RoutingTable[None] = RoutingTable(node.id, self.random.random, limits)
        self.seeds = list(seeds)
        self.refreshes = refreshes
        self.per_network: int | None = PER_NETWORK
        self.attempts = ATTEMPTS
        self.lookups: dict[int, tuple[Lookup[None], float]] = {}
        self.pending: dict[int, Pending] = {}
        self.outgoing: list[tuple[Datagram, Endpoint]] = []
        self.events: deque[Found] = deque()
        self._numbers = count()
        self._refresh_at = 0.0

    def lookup(self, target: bytes, now: float) -> Lookup[None]:
        seeds = self.table.closest(target, live_only=False) or self.seeds
        lookup: Lookup[None] = Lookup(target, seeds, own_id=self.node.id, attempts=self.attempts, per_network=self.per_network)
        self.lookups[id(lookup)] = lookup, now
        self._continue(lookup, now)
        return lookup

    def receive_datagram(self, data: Datagram, addr: Endpoint, now: float) -> None:
        match data:
            case Question(number, sender, target):
                nodes = () if target is None else tuple(self.table.closest(target))
                self.outgoing.append((Answer(number, nodes), addr))
                if sender.endpoint == addr:
                    self.table.add(sender, now, incoming=True)
            case Answer(number, nodes):
                pending = self.pending.get(number)
                if pending is not None and pending.node.endpoint == addr:
                    del self.pending[number]
                    self._answered(pending, nodes, now)

    def datagrams_to_send(self, _now: float) -> Iterator[tuple[Datagram, Endpoint]]:
        outgoing, self.outgoing = self.outgoing, []
        return iter(outgoing)

    def next_timer(self) -> float | None:
        timers = [self._refresh_at] if self.refreshes else []
        if self.refreshes and (due := self.table.next_timer()) is not None:
            timers.append(due)
        timers += [pending.due for pending in list(self.pending.values())[:1]]  # the oldest is due first
        return min(timers, default=None)

    def handle_timer(self, now: float) -> None:
        for number, pending in list(self.pending.items()):
            if pending.due > now:
                break
            del self.pending[number]
            if pending.lookup is None:
                self.table.revalidated(pending.node.id, now, ok=False)
            else:
                self.table.queried(pending.node.id, now, useful=False)
                pending.lookup.failed(pending.node)
                self._continue(pending.lookup, now)
        if not self.refreshes:
            return
        while (entry := self.table.next_revalidation(now)) is not None:
            self._ask(entry.contact, None, None, now)
        if self._refresh_at <= now:
            self._refresh_at = now + REFRESH * (0.5 + self.random.random())
            for seed in self.seeds:
                self.table.add(seed, now)
            self.lookup(self.node.id, now)
            self.lookup(self.random.randbytes(ID_SIZE), now)

    def next_event(self) -> Found | None:
        return self.events.popleft() if self.events else None

    def _ask(self, node: Node, target: bytes | None, lookup: Lookup[None] | None, now: float) -> None:
        number = next(self._numbers)
        self.pending[number] = Pending(node, now + TIMEOUT, lookup)
        self.outgoing.append((Question(number, self.node, target), node.endpoint))

    def _answered(self, pending: Pending, nodes: tuple[Node, ...], now: float) -> None:
        if pending.lookup is None:
            self.table.revalidated(pending.node.id, now, ok=True)
            return
        self.table.add(pending.node, now, live=True)
        self.table.queried(pending.node.id, now, useful=bool(nodes))
        for node in nodes:
            self.table.add(node, now)
        pending.lookup.answered(pending.node, nodes)
        self._continue(pending.lookup, now)

    def _continue(self, lookup: Lookup[None], now: float) -> None:
        for node in lookup.queries():
            self._ask(node, lookup.target, lookup, now)
        if lookup.done and id(lookup) in self.lookups:
            _, began = self.lookups.pop(id(lookup))
            self.events.append(Found(lookup, now - began))
            self.table.accepts_incoming = True


ToyNetwork = Network[Datagram, Found]


def make_nodes(number: int, chance: random.Random, *, first: int = 0) -> list[Node]:
    return [Contact(chance.randbytes(ID_SIZE), endpoint_of(first + place), 0, None) for place in range(number)]


def closest_of(nodes: Iterable[Node], target: bytes, number: int = 16) -> list[Node]:
    """What a perfect search finds."""
    aim = int.from_bytes(target)
    return sorted(nodes, key=lambda node: int.from_bytes(node.id) ^ aim)[:number]


def search(network: ToyNetwork, start: Endpoint, target: bytes) -> Found:
    """Let a node search, and time pass until it has found."""
    toy = network.nodes[start]
    assert isinstance(toy, Toy)
    lookup = toy.lookup(target, network.now)
    network.touch(start)
    while True:
        for _, _, event in network.events:
            if event.lookup is lookup:
                return event
        network.events.clear()
        network.run_for(0.25)


def settled(number: int, seed: int, *, loss: float = 0.0) -> tuple[ToyNetwork, list[Node]]:
    """A network whose nodes have known each other for long: each bucket holds up to 16 live nodes at random of those that belong there.

    The nodes stay as they are: they answer, and neither refresh nor check their tables.
    """
    network: ToyNetwork = Network(seed, loss=loss)
    chance = random.Random(seed)
    nodes = sorted(make_nodes(number, chance))
    for place, node in enumerate(nodes):
        toy = Toy(node, place, refreshes=False)
        for here in _by_bucket(nodes, node.id):
            for other in chance.sample(here, min(BUCKET_SIZE, len(here))):
                toy.table.add(nodes[other], 0.0, live=True)
        network.add(node.endpoint, toy)
    return network, nodes


def _by_bucket(nodes: list[Node], own_id: bytes) -> Iterator[range]:
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
