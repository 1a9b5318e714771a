"""The table and the lookup at work in a network that loses datagrams and whose nodes die."""

import random
from collections import Counter
from functools import partial

import pytest

from devp2p.discovery.kademlia import ID_SIZE
from devp2p.discovery.networks import Endpoint
from tests.discovery.simulation import Network
from tests.discovery.toy import Found, Node, Toy, ToyNetwork, closest_of, endpoint_of, make_nodes, search, settled

# The driver itself


class Echo:
    """Sends each datagram back, one second later."""

    def __init__(self) -> None:
        self.log: list[tuple[float, str]] = []
        self.due: list[tuple[float, str, Endpoint]] = []
        self.ready: list[tuple[str, Endpoint]] = []

    def receive_datagram(self, data: str, addr: Endpoint, now: float) -> None:
        self.log.append((now, data))
        self.due.append((now + 1.0, data, addr))

    def datagrams_to_send(self, _now: float) -> list[tuple[str, Endpoint]]:
        ready, self.ready = self.ready, []
        return ready

    def next_timer(self) -> float | None:
        return min((due for due, _, _ in self.due), default=None)

    def handle_timer(self, now: float) -> None:
        self.ready += [(data, addr) for due, data, addr in self.due if due <= now]
        self.due = [each for each in self.due if each[0] > now]

    def next_event(self) -> None:
        return None


def two_echoes(loss: float = 0.0, delay: tuple[float, float] = (0.25, 0.25), datagrams: int = 1) -> tuple[Network[str, None], list[Echo]]:
    network: Network[str, None] = Network(7, loss=loss, delay=delay)
    echoes = [Echo(), Echo()]
    echoes[0].ready = [(f"{number:04}", endpoint_of(1)) for number in range(datagrams)]
    network.add(endpoint_of(1), echoes[1])
    network.add(endpoint_of(0), echoes[0])
    return network, echoes


def test_datagrams_take_their_time_and_timers_ring():
    network, (first, second) = two_echoes()
    network.run(4.0)
    assert second.log == [(0.25, "0000"), (2.75, "0000")]
    assert first.log == [(1.5, "0000"), (4.0, "0000")]
    assert network.now == 4.0


def test_datagrams_are_lost_and_overtake_as_the_seed_says():
    logs = []
    for _ in range(2):
        network, (_, second) = two_echoes(0.3, (0.1, 0.2), 1000)
        network.run(0.5)
        logs.append(second.log)
    assert logs[0] == logs[1]
    assert 650 < len(logs[0]) < 750
    assert [data for _, data in logs[0]] != sorted(data for _, data in logs[0])


def test_nothing_reaches_a_silenced_node_and_it_does_nothing():
    network, (first, second) = two_echoes()
    network.run(0.5)
    network.silence(endpoint_of(1))
    network.run(5.0)
    assert (len(second.log), first.log) == (1, [])
    network.add(endpoint_of(1), second)  # its timer is long due
    network.run(6.0)
    assert len(first.log) == 1


def test_churn_comes_as_often_as_told():
    network: Network[str, None] = Network(1)
    times: list[float] = []
    network.churn(2.0, 1000.0, lambda: times.append(network.now))
    network.run(2000.0)
    assert 400 < len(times) < 600
    assert times == sorted(times)
    assert max(times) < 1000


# Lookups


def grown(number: int, seed: int, *, loss: float, seconds: float) -> tuple[ToyNetwork, list[Node]]:
    """Nodes join one after the other, and know nobody but the first."""
    network: ToyNetwork = Network(seed, loss=loss)
    nodes = make_nodes(number, random.Random(seed))
    for place, node in enumerate(nodes):
        toy = Toy(node, place, nodes[:1] if place else [])
        network.at(place * 0.1, partial(network.add, node.endpoint, toy))
    network.run(seconds)
    return network, nodes


def searches(network: ToyNetwork, number: int, seed: int) -> tuple[float, float, list[Found]]:
    """Search from random nodes for random targets: how many results were exactly right, which part of the right nodes they had, and all."""
    toys = [node for node in network.nodes.values() if isinstance(node, Toy)]
    refreshing = [toy for toy in toys if toy.refreshes]
    for toy in refreshing:
        toy.refreshes = False  # what is measured is this state of the network, not what it becomes meanwhile
    chance = random.Random(seed)
    found: list[Found] = []
    right: Counter[int] = Counter()
    for _ in range(number):
        start, target = chance.choice(toys), chance.randbytes(ID_SIZE)
        true = closest_of((toy.node for toy in toys if toy is not start), target)
        found.append(search(network, start.node.endpoint, target))
        right[len(set(true) & set(found[-1].lookup.result))] += 1
    for toy in refreshing:
        toy.refreshes = True
        network.touch(toy.node.endpoint)
    return right[16] / number, sum(hits * times for hits, times in right.items()) / (16 * number), found


def test_lookups_reach_the_closest_nodes_with_loss_and_two_fifths_dead():
    network, _ = grown(300, 1, loss=0.05, seconds=150)
    exact, recall, _ = searches(network, 100, 1)
    assert exact >= 0.9
    assert recall >= 0.99
    network.silence_share(0.4)
    # The moment after: nodes name the 16 closest that they know, of which 40 % are dead, and nobody names those behind.
    _, recall, _ = searches(network, 100, 2)
    assert recall >= 0.9
    network.run_for(240)
    exact, recall, _ = searches(network, 200, 3)
    assert exact >= 0.95
    assert recall >= 0.99


def test_control_without_a_second_try_the_loss_shows():
    network, nodes = settled(300, 1, loss=0.05)
    exact, _, found = searches(network, 100, 1)
    assert exact >= 0.95
    for node in nodes:
        toy = network.nodes[node.endpoint]
        assert isinstance(toy, Toy)
        toy.attempts = 1
    hasty, _, found_hastily = searches(network, 100, 1)
    assert hasty <= 0.5
    assert sum(each.lookup.asked for each in found) < 1.3 * sum(each.lookup.asked for each in found_hastily)  # what the other tries cost


def hops_and_queries(number: int) -> tuple[float, float]:
    network, _ = settled(number, 7)
    exact, recall, found = searches(network, 100, 3)
    assert exact >= 0.95
    assert recall >= 0.99
    return sum(each.lookup.hops for each in found) / 100, sum(each.lookup.asked for each in found) / 100


def test_the_way_grows_as_the_logarithm_of_the_network():
    """Sixteen times as many nodes: at most one hop more, since whoever is asked knows 16 nodes on our side of the way that is left."""
    (hops, queries), (more_hops, more_queries) = hops_and_queries(60), hops_and_queries(960)
    assert hops + 0.2 < more_hops < hops + 1
    assert queries < more_queries < queries + 5


@pytest.mark.long
def test_ten_thousand_nodes():
    (hops, queries), (more_hops, more_queries) = hops_and_queries(625), hops_and_queries(10_000)
    assert hops + 0.2 < more_hops < hops + 1
    assert queries < more_queries < queries + 5


@pytest.mark.long
def test_ten_thousand_nodes_with_loss_and_two_fifths_dead():
    network, _ = settled(10_000, 1, loss=0.05)
    exact, recall, _ = searches(network, 100, 1)
    assert exact >= 0.95
    network.silence_share(0.4)
    _, recall, _ = searches(network, 100, 2)
    assert recall >= 0.85
