"""Many nodes of discovery v5 that lose datagrams: how they find each other, and what their tables become."""

import random
from functools import partial
from typing import Any

import pytest

from devp2p import rlp
from devp2p.addresses import Endpoint
from devp2p.discovery.events import AddressChanged, LookupDone
from devp2p.discovery.external_address import ExternalAddress
from devp2p.discovery.table.contacts import Contact, contact_of, endpoints_of
from devp2p.discovery.table.kademlia import RoutingTable
from devp2p.records.enr import Record
from tests.discovery.nodes import closest_of, endpoint_of
from tests.discovery.v5_wire import Party, Wire, key_of, make_party, record_of


def grown(nodes: int, seed: int, *, loss: float = 0.0) -> tuple[Wire, list[Party]]:
    """A network whose nodes came one after the other, and knew one that was there before."""
    chance = random.Random(seed)
    parties = [make_party(0, maintains=True)]
    for number in range(1, nodes):
        bootnodes = [chance.choice(parties).local.record for _ in range(2)]
        parties.append(make_party(number, maintains=True, bootnodes=bootnodes))
    wire = Wire(seed=seed, loss=loss, delay=(0.02, 0.12))
    for party in parties:
        wire.parties[party.endpoint] = party
        wire.at(0.2 * len(wire.parties), partial(wire.add, party.endpoint, party.node))
    wire.run(0.2 * nodes + 30)
    wire.log.clear()
    return wire, parties


def acquainted(nodes: int, seed: int, *, loss: float) -> tuple[Wire, list[Party]]:
    """A network whose nodes have known each other for long, and have no sessions."""
    chance = random.Random(seed)
    parties = [make_party(number) for number in range(nodes)]
    contacts = [party.contact for party in parties]
    for party in parties:
        for contact in chance.sample(contacts, nodes):
            party.node.table.add(contact, 0.0, live=True)
    return Wire(*parties, seed=seed, loss=loss, delay=(0.02, 0.12)), parties


@pytest.mark.simulation
def test_a_network_that_loses_datagrams_finds_whom_it_looks_for():
    wire, parties = acquainted(150, seed=1, loss=0.05)
    chance = random.Random(2)
    found = asked = 0
    for _ in range(40):
        party, target = chance.sample(parties, 2)
        number = wire.begin(party, partial(party.node.lookup, target.id))
        done = wire.result(party, number, LookupDone)
        wanted = closest_of([Contact(other.id, other.endpoint, 0, None) for other in parties if other is not party], target.id)
        assert done.contacts[0] == target.contact
        found += len({contact.id for contact in done.contacts} & {contact.id for contact in wanted})
        asked += len(wanted)
    assert found >= 0.95 * asked
    assert max(len(sent.data) for sent in wire.log) <= 1280
    assert wire.traffic.lost > 100


@pytest.mark.simulation
def test_a_network_grows_though_datagrams_are_lost():
    wire, parties = grown(40, seed=3, loss=0.05)
    live = [party.node.table.statistics().live for party in parties]
    assert min(live) >= 10
    assert sum(live) >= 25 * len(live)
    for party in parties[::8]:
        number = wire.begin(party, partial(party.node.lookup, parties[-1].id))
        assert wire.result(party, number, LookupDone).contacts[0] == parties[-1].contact


@pytest.mark.simulation
def test_dead_nodes_leave_the_tables_and_a_newer_record_reaches_them():
    wire, parties = grown(18, seed=3)
    gone, changed, *others = parties
    knew = [party for party in others if gone.id in party.node.table]
    assert len(knew) > 10
    wire.silence(gone.endpoint)
    changed.local.update({"x": rlp.encode(b"news")})
    wire.run_for(900)
    assert sum(gone.id in party.node.table for party in others) <= len(knew) / 10
    entries = [entry for party in others if (entry := party.node.table.get(changed.id)) is not None]
    assert len(entries) > 10
    assert sum(entry.contact.record == changed.local.record for entry in entries) >= 0.9 * len(entries)


def test_a_node_without_anybody_tries_its_bootnodes_again():
    late = make_party(2)
    early = make_party(1, maintains=True, bootnodes=[late.local.record])
    wire = Wire(early)
    wire.run_for(50)
    assert len(early.node.table) == 0
    wire.parties[late.endpoint] = late
    wire.add(late.endpoint, late.node)
    wire.run_for(80)
    entry = early.node.table.get(late.id)
    assert entry is not None
    assert entry.live


def test_nobody_gets_into_the_table_by_itself_before_the_first_search_is_over():
    bootnode, newcomer = make_party(2), make_party(3)
    node = make_party(1, maintains=True, bootnodes=[bootnode.local.record])
    wire = Wire(node, newcomer)  # the bootnode is silent
    wire.run_for(0.1)
    assert wire.ping(newcomer, node) is not None
    assert newcomer.id not in node.node.table
    wire.run_for(5)
    assert wire.ping(newcomer, node) is not None
    assert newcomer.id in node.node.table


def test_what_others_see_us_as_becomes_news():
    external = ExternalAddress()
    node = make_party(1, external_address=external)
    others = [make_party(number) for number in range(2, 14)]
    wire = Wire(node, *others)
    for other in others:
        assert wire.ping(node, other) is not None
    news = [event for _, _, event in wire.events if isinstance(event, AddressChanged)]
    assert news == [AddressChanged(node.endpoint, None)]


def test_a_young_node_searches_for_itself_again_soon_and_then_less_and_less_often(monkeypatch):
    node, other = make_party(1, maintains=True), make_party(2)
    wire = Wire(node, other)
    node.node.table.add(other.contact, 0.0, live=True)
    searches: list[tuple[float, bytes]] = []
    begin = node.node._search

    def noted(target: bytes, now: float, *rest: Any) -> None:
        searches.append((now, target))
        begin(target, now, *rest)

    monkeypatch.setattr(node.node, "_search", noted)
    wire.run(1860 + 1800)
    own = [now for now, target in searches if target == node.id]
    assert own == [0.0, 60.0, 180.0, 420.0, 900.0, 1860.0, 3660.0]
    others = [now for now, target in searches if target != node.id]
    assert others == [0.0] * 3 + [1860.0] * 3 + [3660.0] * 3


# Records and where their nodes are


def test_endpoints_of_a_record():
    both = Record.sign(key_of(1), 1, {"ip": "20.0.0.1", "udp": 9, "ip6": "2600::1", "udp6": 30303})
    four, six = Endpoint(bytes([20, 0, 0, 1]), 9), Endpoint(bytes.fromhex("2600" + "00" * 13 + "01"), 30303)
    assert endpoints_of(both) == (four, six)
    assert endpoints_of(both, (6, 4)) == (six, four)
    assert endpoints_of(both, (6,)) == (six,)
    assert endpoints_of(both, told_by=endpoint_of(1).ip) == (six,)  # of a low port nobody may tell
    contact = contact_of(both, at=six)
    assert contact == Contact(key_of(1).public_key.node_id, six, 1, both)
    assert contact_of(both, at=endpoint_of(3)) == Contact(both.id, four, 1, both)
    for entries in ({}, {"ip": "20.0.0.1"}, {"udp": 30303}, {"ip": "224.0.0.1", "udp": 30303}, {"ip": "20.0.0.1", "udp": 0}):
        assert contact_of(Record.sign(key_of(1), 1, entries)) is None
    mapped = Record.sign(key_of(1), 1, {"ip6": "::ffff:20.0.0.1", "udp": 9})
    assert endpoints_of(mapped) == (four,)
    assert contact_of(record_of(1, endpoint=Endpoint(bytes([10, 0, 0, 1]), 30303)), told_by=four.ip) is None


def recall(wire: Wire, parties: list[Party], chance: random.Random) -> float:
    """Which part of the 16 closest nodes searches for random places find."""
    found = wanted = 0
    for party in chance.sample(parties, 6):
        target = chance.randbytes(32)
        number = wire.begin(party, partial(party.node.lookup, target))
        done = wire.result(party, number, LookupDone)
        closest = closest_of([Contact(other.id, other.endpoint, 0, None) for other in parties if other is not party], target)
        found += len({contact.id for contact in done.contacts} & {contact.id for contact in closest})
        wanted += len(closest)
    return found / wanted


def came_together(nodes: int, seed: int, *, after: float) -> float:
    """Let nodes begin within a second that know the first of them only, and search after so many seconds."""
    chance = random.Random(seed)
    parties = [make_party(0, maintains=True)]
    parties += [make_party(number, maintains=True, bootnodes=[parties[0].local.record]) for number in range(1, nodes)]
    wire = Wire(seed=seed, delay=(0.02, 0.12))
    for party in parties:
        wire.parties[party.endpoint] = party
        wire.at(chance.random(), partial(wire.add, party.endpoint, party.node))
    wire.run(after)
    return recall(wire, parties, chance)


def test_those_who_come_together_are_found_within_seconds():
    """Each has answered the challenges of those that it asked, so it is told to others at once, and not when a check of theirs is due."""
    assert came_together(22, seed=1, after=5.0) >= 0.97


def test_if_they_had_to_wait_for_a_check_they_would_not_be(monkeypatch):
    add = RoutingTable.add
    monkeypatch.setattr(RoutingTable, "add", lambda *args, unasked=False, live=False, **kw: add(*args, live=live and not unasked, **kw))
    assert came_together(22, seed=1, after=5.0) < 0.6
