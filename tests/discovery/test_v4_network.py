"""Discovery v4 in simulated networks: real nodes and packets, and an event heap for a clock."""

import random
from functools import partial

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.events import Event, LookupDone
from devp2p.discovery.table.kademlia import BUCKET_SIZE
from devp2p.discovery.v4.protocol import Discv4
from tests.discovery.strangers import START, Stranger, endpoint_of, key_of, make_node, quiet, record_of
from tests.simulation.network import Network

Nodes = dict[Endpoint, Discv4]


def network_of(seed: int, loss: float) -> Network[bytes, Event]:
    network: Network[bytes, Event] = Network(seed, loss=loss)
    network.now = START
    return network


def settled(number: int, seed: int, loss: float, *, bonded: bool) -> tuple[Network[bytes, Event], Nodes]:
    """Nodes that have known of each other for long, with endpoint proofs or without."""
    network, nodes, chance = network_of(seed, loss), {}, random.Random(seed)
    contacts = [Stranger(key_of(place), endpoint_of(place)).contact for place in range(number)]
    for place in range(number):
        node, endpoint = make_node(place)
        quiet(node, START)
        for contact in chance.sample(contacts, number):
            node.table.add(contact, START, live=True)
            if bonded:
                node._exchange._bonds.prove(contact.id, contact.endpoint, START)
                node._exchange._bonds.serve(contact.id, contact.endpoint, START)
        nodes[endpoint] = node
        network.add(endpoint, node)
    return network, nodes


def joined(number: int, seed: int, loss: float, seconds: float) -> tuple[Network[bytes, Event], Nodes]:
    """Nodes that come one by one, know three bootnodes at first, and find each other."""
    network, nodes = network_of(seed, loss), {}
    boot = [record_of(make_node(place)[0]) for place in range(3)]
    for place in range(number):
        node, endpoint = make_node(place, bootnodes=boot[:place] + boot[place + 1 :])
        nodes[endpoint] = node
        network.at(START + place / 10, partial(network.add, endpoint, node))
    network.run_for(seconds)
    return network, nodes


def search(network: Network[bytes, Event], nodes: Nodes, searches: int, seconds: float = 20.0) -> tuple[float, float]:
    """Let as many nodes search at once; how often the closest was found, and how many of the 16 closest on average."""
    chance = random.Random(len(nodes))
    ids: list[bytes] = [node._id for node in nodes.values()]
    wanted: dict[tuple[Endpoint, int], list[bytes]] = {}
    for endpoint in chance.sample(sorted(nodes), searches):
        key = key_of(chance.randrange(len(nodes))).public_key
        operation = nodes[endpoint].lookup(key, network.now)
        network.touch(endpoint)
        aim = int.from_bytes(key.node_id)
        best = sorted(set(ids) - {nodes[endpoint]._id}, key=lambda each: int.from_bytes(each) ^ aim)[:BUCKET_SIZE]
        wanted[endpoint, operation] = best
    network.run_for(seconds)
    found = {(where, event.operation): event for _, where, event in network.events if isinstance(event, LookupDone)}
    assert found.keys() == wanted.keys()
    exact = hits = 0
    for search_key, best in wanted.items():
        ids_found = [contact.id for contact in found[search_key].contacts]
        exact += ids_found[:1] == best[:1]
        hits += len(set(ids_found) & set(best))
    return exact / searches, hits / BUCKET_SIZE / searches


def test_searches_among_a_hundred_nodes_find_the_closest():
    assert search(*settled(110, 1, 0.0, bonded=False), searches=12) == (1.0, 1.0)


@pytest.mark.parametrize(("loss", "least"), [(0.05, 0.99), (0.2, 0.93)])
def test_searches_among_nodes_that_know_each_other_bear_losses(loss, least):
    exact, hits = search(*settled(80, 2, loss, bonded=True), searches=12)
    assert exact >= 11 / 12
    assert hits >= least


@pytest.mark.simulation
def test_where_nobody_knows_anybody_who_lost_the_one_ping_back_is_lost_for_a_minute():
    # That ping-backs are rare is what keeps them from being abused, and this is the price: two datagrams that must both arrive, 0.95 ** 2.
    exact, hits = search(*settled(80, 2, 0.05, bonded=False), searches=12)
    assert exact >= 0.6
    assert hits >= 0.8


@pytest.mark.simulation
def test_nodes_that_know_three_others_find_all_that_are_near():
    network, nodes = joined(30, 3, 0.0, 30.0)
    exact, hits = search(network, nodes, 8)
    assert exact == 1.0
    assert hits >= 0.95
    assert all(node.table.accepts_incoming for node in nodes.values())
    assert sum(len(node.table) for node in nodes.values()) >= 20 * len(nodes)


@pytest.mark.simulation
def test_without_questions_to_others_there_would_be_nothing_to_find():
    network, nodes = joined(20, 3, 1.0, 5.0)
    assert search(network, nodes, 5) == (0.0, 0.0)


def test_the_dead_leave_the_tables():
    network, nodes = joined(12, 4, 0.0, 10.0)
    network.silence_share(0.5, spare=[endpoint_of(place) for place in range(3)])
    dead = {node._id for endpoint, node in nodes.items() if endpoint not in network.nodes}
    assert len(dead) == 6
    network.run_for(300)
    for endpoint in network.nodes:
        assert {entry.contact.id for entry in nodes[endpoint].table if entry.live} <= {node._id for node in nodes.values()} - dead


@pytest.mark.long
@pytest.mark.parametrize(("loss", "exact", "hits"), [(0.0, 0.97, 0.95), (0.05, 0.95, 0.93), (0.2, 0.8, 0.7)])
def test_searches_in_a_network_that_has_formed_itself_find_the_closest(loss, exact, hits):
    network, nodes = joined(150, 5, loss, 120.0)
    found = search(network, nodes, 60)
    assert found >= (exact, 0.0), found
    assert found[1] >= hits, found
