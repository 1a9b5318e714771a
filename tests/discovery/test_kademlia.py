import random
import tracemalloc

import pytest

from devp2p.discovery.kademlia import BUCKET_SIZE, CLOSEST, WAITING_SIZE, Addition, Contact, RoutingTable, distance
from devp2p.discovery.networks import Endpoint
from devp2p.errors import LocalProtocolError
from tests.discovery.tables import OWN, full_bucket, id_at, node, table_of
from tests.discovery.toy import Node, endpoint_of


def test_distances():
    assert distance(OWN, OWN) == 0
    assert distance(OWN, (1).to_bytes(32)) == 1
    assert distance(b"\xff" * 32, b"\x7f" + b"\xff" * 31) == 256
    assert distance(b"\x01" + bytes(31), bytes(32)) == 249


def test_what_is_no_node_id_is_our_fault():
    table = table_of()
    for wrong in (b"", bytes(31), bytes(64)):
        with pytest.raises(LocalProtocolError):
            table.get(wrong)
        with pytest.raises(LocalProtocolError):
            RoutingTable(wrong, random.random)


def test_we_are_not_in_our_own_table():
    table = table_of()
    assert table.add(Contact(OWN, endpoint_of(1), 0, None), 0.0) is Addition.REFUSED
    assert len(table) == 0


def test_a_full_bucket_remembers_ten_more():
    table = table_of()
    nodes = full_bucket(table)
    assert table.add(node(50), 1.0) is Addition.WAITING
    assert node(50).id not in table
    for number in range(51, 70):
        table.add(node(number), 1.0)
    statistics = table.statistics()
    assert (statistics.entries, statistics.waiting, statistics.buckets[-1]) == (16, 10, 16)
    assert {entry.contact for entry in table} == set(nodes)
    assert table.get(nodes[3].id) is not None


def test_every_distance_has_a_bucket():
    table = table_of()
    for away in range(17, 257):
        assert table.add(node(1, away), 0.0) is (Addition.ADDED if away > CLOSEST or away < 17 + BUCKET_SIZE else Addition.WAITING)
    assert table.statistics().buckets == (16, *[1] * 16)


# D7: what keeps a table from being filled by one attacker


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


def test_d20_one_address_that_many_nodes_claim_is_in_the_table_twice_a_bucket():
    table = table_of()
    victim = Endpoint(bytes([99, 1, 1, 1]), 30303)
    for number in range(100_000):
        table.add(Contact(random.Random(number).randbytes(32) if number < 2000 else id_at(250 + number % 7, number), victim, 0, None), 0.0)
    assert len(table) <= 10
    pings = 0
    for second in range(60):
        while (entry := table.next_revalidation(float(second))) is not None:
            pings += 1
            table.revalidated(entry.contact.id, float(second), ok=False)
    assert pings <= 10  # the silence of each ends it
    assert len(table) == 0


def test_a_full_table_is_small():
    chance = random.Random(1)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        table = table_of()
        for away in range(240, 257):
            for number in range(BUCKET_SIZE + WAITING_SIZE):
                own = Endpoint(chance.randbytes(3)[:0] + bytes([20 + number, away - 240, number, 1]), 30303)
                table.add(Contact(id_at(away, number), own, 0, None), 0.0, live=True)
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    statistics = table.statistics()
    assert (statistics.entries, statistics.waiting) == (17 * 16, 17 * 10)
    assert used < 400_000
