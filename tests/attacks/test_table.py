"""Rows D7, D9 and D20 of THREATS.md: strangers who want places in the routing table, for themselves or for a victim's address.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed. How these rules do in a
network under siege is for the simulations to show.
"""

import random
from unittest.mock import patch

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.table.contacts import Contact
from devp2p.discovery.table.kademlia import WAITING_SIZE, Addition, RoutingTable
from devp2p.discovery.table.shares import TableLimits
from devp2p.discovery.v5.messages import Ping
from tests.discovery.nodes import Node, endpoint_of
from tests.discovery.tables import OWN, full_bucket, id_at, node, table_of
from tests.discovery.v5_wire import Stranger, make_party, record_of

OPEN = TableLimits(per_bucket=10**9, per_table=10**9, shared=10**12, incoming=10**9)


def test_d7_two_of_a_slash_24_in_a_bucket_and_ten_in_the_table():
    table = table_of()
    outcomes = [
        [table.add(Contact(id_at(away, number), Endpoint(bytes([66, 6, 6, number]), 30303), 0, None), 0.0) for number in range(5)]
        for away in range(250, 257)
    ]
    assert outcomes == [[Addition.ADDED] * 2 + [Addition.REFUSED] * 3] * 5 + [[Addition.REFUSED] * 5] * 2
    assert table.statistics().refused == 5 * 3 + 2 * 5


def test_d7_two_of_an_ipv6_slash_48_in_a_bucket_and_ten_of_a_slash_32_in_the_table():
    def at(away: int, number: int, provider: int, site: int) -> Node:
        ip = bytes([0x26, 0, provider, 0]) + site.to_bytes(2) + number.to_bytes(10)
        return Contact(id_at(away, number), Endpoint(ip, 30303), 0, None)

    table = table_of()
    assert [table.add(at(256, number, 1, 1), 0.0) for number in range(3)] == [Addition.ADDED, Addition.ADDED, Addition.REFUSED]
    assert [table.add(at(256, 10 + site, 1, site), 0.0) for site in range(2, 12)] == [Addition.ADDED] * 8 + [Addition.REFUSED] * 2
    assert table.add(at(256, 30, 2, 1), 0.0) is Addition.ADDED  # another provider, though of the same /24 as IPv4 would count it


def test_d7_those_that_wait_count_too():
    table = table_of()
    full_bucket(table)
    sybils = [Contact(id_at(256, 100 + number), Endpoint(bytes([66, 6, 6, number]), 30303), 0, None) for number in range(5)]
    assert [table.add(sybil, 0.0) for sybil in sybils] == [Addition.WAITING] * 2 + [Addition.REFUSED] * 3


def test_d7_those_that_wait_no_longer_do_not_count():
    table = table_of()
    full_bucket(table)
    sybils = [Contact(id_at(256, 100 + number), Endpoint(bytes([66, 6, 6, number]), 30303), 0, None) for number in range(4)]
    outcomes = [table.add(sybil, 0.0) for sybil in sybils[:2]]
    for number in range(50, 60):
        table.add(node(number), 1.0)
    outcomes += [table.add(sybil, 2.0) for sybil in sybils[2:]]
    assert outcomes == [Addition.WAITING] * 4


@pytest.mark.parametrize("ip", ["7f000001", "c0a80001", "0a000001", "fd" + "00" * 15, "00" * 10 + "ffff" + "c0a80001"])
def test_d7_local_addresses_are_exempt_unless_told_otherwise(ip):
    nodes = [Contact(id_at(256, number), Endpoint(bytes.fromhex(ip), 30303 + number), 0, None) for number in range(5)]
    table = table_of()
    assert [table.add(each, 0.0) for each in nodes] == [Addition.ADDED] * 5
    table = table_of(limit_local_addresses=True)
    assert [table.add(each, 0.0) for each in nodes] == [Addition.ADDED] * 2 + [Addition.REFUSED] * 3


def test_d7_nobody_comes_in_before_our_own_search_has_filled_the_table():
    table = table_of()
    table.accepts_incoming = False
    assert table.add(node(1), 0.0, incoming=True) is Addition.REFUSED
    assert table.add(node(2), 0.0) is Addition.ADDED
    table.accepts_incoming = True
    assert table.add(node(1), 0.0, incoming=True) is Addition.ADDED


def test_d7_those_that_come_by_themselves_get_half_a_bucket():
    table = table_of()
    nodes = full_bucket(table, 20, incoming=True)
    statistics = table.statistics()
    assert (statistics.entries, statistics.incoming, statistics.waiting) == (8, 8, 5)
    for number in range(100, 108):
        assert table.add(node(number), 0.0) is Addition.ADDED
    assert (table.statistics().incoming, len(table)) == (8, 16)
    # One that others tell us of as well no longer counts as such. In its stead one of those that wait might come, but the bucket is full.
    table.add(nodes[0], 1.0)
    assert (table.statistics().incoming, len(table)) == (7, 16)


def test_d7_one_that_waits_for_being_uninvited_comes_in_when_others_tell_of_it():
    table = table_of()
    nodes = full_bucket(table, incoming=True)
    assert nodes[15].id not in table
    assert table.add(nodes[15], 1.0) is Addition.ADDED
    assert nodes[15].id in table
    assert len(table) == 9


def test_d7_a_flood_of_new_nodes_displaces_none_that_answers():
    table = table_of()
    nodes = full_bucket(table, live=True)
    for number in range(100, 5000):
        table.add(node(number), 1.0, incoming=number % 2 == 0)
    assert {entry.contact for entry in table} == set(nodes)
    assert table.statistics().waiting == WAITING_SIZE


def pings_to_a_victim(limits: TableLimits | None, claims: int) -> int:
    """Offer so many nodes that are all said to be at one address; how often that is asked whether anybody is there, in a minute."""
    table: RoutingTable[None] = RoutingTable(OWN, random.Random(1).random, limits)
    victim = Endpoint(bytes([99, 1, 1, 1]), 30303)
    for number in range(claims):
        table.add(Contact(random.Random(number).randbytes(32) if number < 2000 else id_at(250 + number % 7, number), victim, 0, None), 0.0)
    if limits is None:
        assert len(table) <= 10
    pings = 0
    for second in range(60):
        while (entry := table.next_revalidation(float(second))) is not None:
            pings += 1
            table.revalidated(entry.contact.id, float(second), ok=False)
    return pings


def test_d20_one_address_that_many_nodes_claim_is_asked_ten_times():
    assert pings_to_a_victim(None, 100_000) <= 10  # the silence of each ends it


def test_d20_control_without_limits_on_networks_it_is_asked_all_the_time():
    with patch("devp2p.discovery.table.kademlia._FAST", 0.1):
        assert pings_to_a_victim(OPEN, 5000) > 50
        assert pings_to_a_victim(None, 5000) <= 10


# D7, in numbers; and D9


def places(limits: TableLimits | None, hosts: int, *, incoming: bool) -> int:
    """Have as many nodes as one likes on so many hosts, each in a /24 of its own, all of them answering; how many get a place."""
    table: RoutingTable[None] = RoutingTable(OWN, random.Random(1).random, limits)
    table.accepts_incoming = True
    chance = random.Random(2)
    for number in range(10_000):
        node_id = id_at(240 + number % 17, chance.getrandbits(200))
        endpoint = Endpoint(bytes([66, 6, number % hosts, 6]), 1025 + number)
        table.add(Contact(node_id, endpoint, 0, None), 0.0, incoming=incoming, live=True)
    return len(table)


@pytest.mark.parametrize(("hosts", "most"), [(1, 10), (2, 20), (16, 96), (100, 100), (200, 200)])
def test_d7_each_network_gets_ten_places_or_its_share_of_a_hundred(hosts, most):
    assert 0.6 * most <= places(None, hosts, incoming=False) <= most


def test_d7_control_ten_places_for_each_network_are_most_of_the_table_for_twenty():
    assert places(TableLimits(shared=10**12), 20, incoming=False) >= 120


def test_d7_control_without_limits_one_host_gets_all():
    assert places(OPEN, 1, incoming=True) == 17 * 16


def test_d7_control_without_a_share_for_those_who_come_they_get_all():
    """From as many networks as there are nodes: nothing but the share holds them back."""
    placed = []
    for limits in (TableLimits(), TableLimits(incoming=10**9)):
        table: RoutingTable[None] = RoutingTable(OWN, random.Random(1).random, limits)
        table.accepts_incoming = True
        full_bucket(table, 20, incoming=True)
        placed.append(len(table))
    assert placed == [8, 16]


def besieged(limits: TableLimits | None) -> tuple[int, int]:
    """A day in which two hosts offer ever new nodes, which all answer, and of 120 honest ones now and then one leaves and another comes.

    How many of either are in the table at its end.
    """
    chance = random.Random(1)
    table: RoutingTable[None] = RoutingTable(OWN, random.Random(2).random, limits)
    table.accepts_incoming = True
    honest: dict[bytes, Node] = {}
    for now in range(0, 86_400, 12):
        while len(honest) < 120:
            newcomer: Node = Contact(chance.randbytes(32), endpoint_of(chance.randrange(60_000)), 0, None)
            honest[newcomer.id] = newcomer
        for other in chance.sample(list(honest.values()), 3):
            table.add(other, now, live=chance.random() < 0.5)
        for port in range(1025, 1029):
            sybil: Node = Contact(chance.randbytes(32), Endpoint(bytes([66, 6, port % 2, 6]), port), 0, None)
            table.add(sybil, now, incoming=chance.random() < 0.5, live=True)
        while (entry := table.next_revalidation(now)) is not None:
            answers = entry.contact.id in honest or entry.contact.endpoint.ip[0] == 66
            table.revalidated(entry.contact.id, now, ok=answers)
        if now % 240 == 0:
            del honest[chance.choice(list(honest))]
    sybils = sum(entry.contact.endpoint.ip[0] == 66 for entry in table)
    return sybils, sum(entry.contact.id in honest for entry in table)


def test_d9_two_hosts_have_four_places_at_most_after_a_day():
    sybils, honest = besieged(None)
    assert sybils <= 4
    assert honest > 2 * sybils


def test_d9_control_without_limits_they_have_most():
    sybils, honest = besieged(OPEN)
    assert sybils > 2 * honest


# D7: not by a name that is not one's own


def test_d7_who_comes_by_itself_must_be_where_its_record_says():
    victim = make_party(1)
    victim.node.table.accepts_incoming = True
    for number, told, known in ((2, endpoint_of(2), True), (3, endpoint_of(33), False), (4, Endpoint(endpoint_of(4).ip, 1), False)):
        stranger = Stranger(number, victim)
        stranger.record = record_of(number, endpoint=told)
        assert stranger.say(Ping(b"", 1))
        assert (stranger.id in victim.node.table) is known


def checks_after_asking(times: int) -> int:
    victim = make_party(1)
    victim.node.table.accepts_incoming = True
    stranger = Stranger(2, victim)
    for second in range(times):
        assert stranger.say(Ping(b"", 1), float(second))
    entry = victim.node.table.get(stranger.id)
    assert entry is not None
    assert entry.live
    return entry.checks


def test_d7_whoever_asks_a_thousand_times_counts_as_having_answered_once():
    """Silence divides the answers of a node by three: if what it asks counted, it could be away for long and keep its place."""
    assert checks_after_asking(1000) == 1


def test_d7_control_if_what_it_asks_counted_as_answers_it_would_outlast_six_silences(monkeypatch):
    add = RoutingTable.add
    monkeypatch.setattr(RoutingTable, "add", lambda *args, **kw: add(*args, **{**kw, "unasked": False}))
    assert checks_after_asking(1000) > 3**6
