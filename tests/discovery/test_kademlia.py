import random
import tracemalloc

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.table.contacts import Contact
from devp2p.discovery.table.kademlia import BUCKET_SIZE, CLOSEST, WAITING_SIZE, Addition, RoutingTable, distance
from devp2p.errors import LocalProtocolError
from tests.discovery.nodes import endpoint_of
from tests.discovery.tables import OWN, check, full_bucket, id_at, node, table_of


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


def test_a_node_that_may_not_move_stays_although_its_network_has_more_than_its_share():
    table = table_of()
    crowd = [node(number, 240 + number, place=7) for number in range(10)]
    for each in crowd:
        table.add(each, 0.0, live=True)
    for number in range(60):
        table.add(node(number, 256 - number % 16, place=1000 + number), 0.0, live=True)  # from now on each network has one
    mover = crowd[0]
    taken = node(0, 256, place=1000).endpoint
    assert table.add(mover._replace(seq=1, endpoint=taken), 1.0) is Addition.KNOWN
    assert mover.id in table
    for each in crowd:
        table.remove(each.id, 2.0)
    assert table.add(node(99, 250, place=7), 3.0, live=True) is Addition.ADDED


def test_with_more_networks_whoever_is_checked_goes_if_there_are_others_of_his():
    table = table_of()
    crowd = [node(number, 240 + number, place=7) for number in range(10)]
    for each in crowd:
        table.add(each, 0.0, live=True)
    for number in range(60):
        table.add(node(number, 256 - number % 16, place=1000 + number), 0.0, live=True)
    kept = [check(table, each, 10.0, ok=True) for each in crowd]
    assert kept == [False] * 9 + [True]


def test_whoever_has_answered_takes_the_place_of_a_farther_one_of_his_network():
    table = table_of()
    for number in range(10):
        table.add(node(number, 247 + number, place=7), 0.0, live=True)
    near = node(0, 244, place=7)
    assert table.add(near, 0.0) is Addition.REFUSED
    assert table.add(near, 0.0, live=True) is Addition.ADDED
    assert node(9, 256).id not in table
    assert table.add(node(1, 256, place=7), 0.0, live=True) is Addition.REFUSED


def test_every_distance_has_a_bucket():
    table = table_of()
    for away in range(17, 257):
        assert table.add(node(1, away), 0.0) is (Addition.ADDED if away > CLOSEST or away < 17 + BUCKET_SIZE else Addition.WAITING)
    assert table.statistics().buckets == (16, *[1] * 16)


def test_a_full_table_is_small():
    def used() -> int:
        """The bytes of a full table, and what other threads of the process do meanwhile."""
        before = tracemalloc.get_traced_memory()[0]
        table = table_of()
        for away in range(240, 257):
            for number in range(BUCKET_SIZE + WAITING_SIZE):
                own = Endpoint(bytes([20 + number, away - 240, number, 1]), 30303)
                table.add(Contact(id_at(away, number), own, 0, None), 0.0, live=True)
        after = tracemalloc.get_traced_memory()[0]
        statistics = table.statistics()
        assert (statistics.entries, statistics.waiting) == (17 * 16, 17 * 10)
        return after - before

    tracemalloc.start()
    try:
        assert min(used() for _ in range(3)) < 400_000
    finally:
        tracemalloc.stop()
