"""S1: many invented nodes, of few networks, press into the table of a node that has just started.

Each simulation has a control in which the defence is off. There the attack must succeed, or the simulation proves nothing.
"""

import random
from collections.abc import Iterator

import pytest

from devp2p.discovery.kademlia import ID_SIZE, Contact, TableLimits
from devp2p.discovery.networks import Endpoint
from tests.discovery.toy import Answer, Datagram, Found, Node, Question, Toy, ToyNetwork, closest_of, endpoint_of, search, settled

HONEST = 300
NO_LIMITS = TableLimits(per_bucket=10**9, per_table=10**9)


class Sybil:
    """One of the attacker's IDs: it greets the victim again and again, is always there, and knows nobody but its like."""

    def __init__(self, node: Node, band: list[Node], victim: Endpoint, chance: random.Random) -> None:
        self.node, self.band, self.victim, self.chance = node, band, victim, chance
        self.outgoing: list[tuple[Datagram, Endpoint]] = []
        self.due = chance.uniform(0, 30)

    def receive_datagram(self, data: Datagram, addr: Endpoint, _now: float) -> None:
        if isinstance(data, Question):
            nodes = () if data.target is None else tuple(closest_of(self.band, data.target))
            self.outgoing.append((Answer(data.number, nodes), addr))

    def datagrams_to_send(self, _now: float) -> Iterator[tuple[Datagram, Endpoint]]:
        outgoing, self.outgoing = self.outgoing, []
        return iter(outgoing)

    def next_timer(self) -> float:
        return self.due

    def handle_timer(self, now: float) -> None:
        self.outgoing.append((Question(0, self.node, None), self.victim))
        self.due = now + self.chance.uniform(20, 40)

    def next_event(self) -> Found | None:
        return None


def besieged(networks: int, ids: int, seed: int, *, limits: TableLimits | None) -> tuple[ToyNetwork, Toy, list[Node], set[bytes]]:
    """Half an hour under attack from so many /24s, in which half of the honest nodes leave and others come."""
    network, honest = settled(HONEST, seed, loss=0.01)
    chance = random.Random(f"{seed} attack")
    victim: Node = Contact(chance.randbytes(ID_SIZE), endpoint_of(50_000), 0, None)
    band: list[Node] = []
    for number in range(ids):
        ip = bytes([90, 0, number % networks, 1 + number // networks % 254])
        band.append(Contact(chance.randbytes(ID_SIZE), Endpoint(ip, 30303 + number // networks // 254), 0, None))
    for node in band:
        network.add(node.endpoint, Sybil(node, band, victim.endpoint, chance))
    toy = Toy(victim, seed, chance.sample(honest, 8), limits=limits)
    if limits is NO_LIMITS:
        toy.per_network = None
    network.add(victim.endpoint, toy)

    def swap() -> None:
        leaver = honest.pop(chance.randrange(len(honest)))
        network.silence(leaver.endpoint)
        newcomer: Node = Contact(chance.randbytes(ID_SIZE), Endpoint(leaver.endpoint.ip, 40404), 0, None)
        peers = chance.sample(honest, 60)
        other = Toy(newcomer, chance.getrandbits(32), peers, refreshes=False)
        for peer in peers:
            other.table.add(peer, network.now, live=True)
            there = network.nodes[peer.endpoint]
            assert isinstance(there, Toy)
            there.table.add(newcomer, network.now, live=True)
        network.add(newcomer.endpoint, other)
        honest.append(newcomer)

    network.churn(1800 / (HONEST / 2), 1800, swap)
    network.run(1800)
    return network, toy, honest, {node.id for node in band}


def share_of(toy: Toy, band: set[bytes]) -> float:
    return sum(entry.contact.id in band for entry in toy.table) / len(toy.table)


def closest_found(network: ToyNetwork, toy: Toy, honest: list[Node], seed: int) -> float:
    """The share of searches whose result has the honest node closest to the target."""
    chance = random.Random(f"{seed} attack")
    hits = 0
    for _ in range(40):
        target = chance.randbytes(ID_SIZE)
        found = {node.id for node in search(network, toy.node.endpoint, target).lookup.result}
        hits += closest_of(honest, target)[0].id in found
    return hits / 40


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
def test_s1_one_network_gets_ten_places_however_many_ids_it_invents(seed):
    network, toy, honest, band = besieged(1, 1000, seed, limits=None)
    assert sum(entry.contact.id in band for entry in toy.table) <= 10
    assert share_of(toy, band) <= 0.15
    assert closest_found(network, toy, honest, seed) >= 0.95


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
def test_s1_control_without_limits_on_addresses_it_gets_half_of_the_table(seed):
    network, toy, honest, band = besieged(1, 1000, seed, limits=NO_LIMITS)
    assert share_of(toy, band) >= 0.45
    assert closest_found(network, toy, honest, seed) < 0.9


@pytest.mark.long
@pytest.mark.parametrize("networks", [2, 4, 8])
def test_s1_more_networks_get_ten_places_each(networks):
    _, toy, _, band = besieged(networks, 1000, 1, limits=None)
    assert sum(entry.contact.id in band for entry in toy.table) <= 10 * networks
