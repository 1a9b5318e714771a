"""Who is told to others, who is checked when, and what becomes of those that are silent or move."""

from collections import Counter

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.table.contacts import Contact
from devp2p.discovery.table.kademlia import Addition, distance
from devp2p.errors import LocalProtocolError
from tests.discovery.nodes import Node, closest_of
from tests.discovery.tables import OWN, check, full_bucket, id_at, node, table_of


def test_only_nodes_that_have_answered_are_told_to_others():
    table = table_of()
    nodes = full_bucket(table)
    assert table.closest(OWN) == []
    assert table.at_distances([256]) == []
    assert len(table.closest(OWN, live_only=False)) == 16
    assert check(table, nodes[5], 0.0, ok=True)
    assert table.closest(OWN) == table.at_distances([256]) == [nodes[5]]
    assert not check(table, nodes[6], 0.0, ok=False)


def test_closest_is_by_exact_distance():
    table = table_of()
    nodes = [node(number, away) for away in (200, 250, 255, 256) for number in range(5)]
    for each in nodes:
        table.add(each, 0.0, live=True)
    for target in (OWN, nodes[7].id, b"\xff" * 32):
        assert table.closest(target) == closest_of(nodes, target)
        assert table.closest(target, 3) == closest_of(nodes, target, 3)


def test_nodes_at_distances_are_at_these_distances():
    table = table_of()
    for away in (239, 240, 241, 255, 256):
        for number in range(5):
            table.add(node(number, away), 0.0, live=True)
    assert {distance(OWN, each.id) for each in table.at_distances([239])} == {239}  # of a bucket that holds others as well
    assert [distance(OWN, each.id) for each in table.at_distances([256, 241, 256])] == [256] * 5 + [241] * 5
    assert [distance(OWN, each.id) for each in table.at_distances([255, 256], 7)] == [255] * 5 + [256] * 2
    assert table.at_distances([0, 257, 2**70, -1]) == []
    orders = {tuple(table.at_distances([256])) for _ in range(20)}
    assert len(orders) > 1


def test_an_old_node_is_forgiven_more_than_a_new_one():
    for checks, forgiven in ((1, 0), (3, 1), (9, 2), (26, 2), (27, 3)):
        table = table_of()
        for _ in range(checks):
            table.add(node(1), 0.0, live=True)
        silences = 0
        while check(table, node(1), 0.0, ok=False):
            silences += 1
        assert silences == forgiven
        assert len(table) == 0
        assert table.next_timer() is None


def test_a_node_that_was_silent_is_soon_asked_again():
    table = table_of()
    for _ in range(9):
        table.add(node(1), 0.0, live=True)
    entry = table.get(node(1).id)
    assert entry is not None
    gaps = {True: 0.0, False: 0.0}
    now = 0.0
    for _ in range(200):
        entry.checks, began = 100, now
        ok = entry.agenda is table._fast
        due = table.next_timer()
        assert due is not None
        now = due
        assert table.next_revalidation(now) is entry
        table.revalidated(node(1).id, now, ok=ok)
        gaps[ok] = max(gaps[ok], now - began)
    assert 0 < gaps[True] <= 3.0 < gaps[False] <= 9.0


def test_a_dead_node_is_replaced_by_one_that_has_proved_itself():
    for seed in range(20):
        table = table_of(seed)
        nodes = full_bucket(table, 6)
        table.add(nodes[19], 1.0, live=True)
        assert check(table, nodes[2], 1.0, ok=False) is False
        assert nodes[19].id in table
        assert table.closest(OWN) == [nodes[19]]


def test_otherwise_it_is_replaced_by_anyone_so_that_nobody_can_arrange_to_be_next():
    waiting = {node(number) for number in range(16, 22)}
    replaced: set[Node] = set()
    for seed in range(40):
        table = table_of(seed)
        full_bucket(table, 6)
        check(table, node(2), 1.0, ok=False)
        replaced |= {entry.contact for entry in table} & waiting
    assert replaced == waiting


def test_what_is_heard_of_a_node_that_is_gone_changes_nothing():
    table = table_of()
    table.add(node(1), 0.0)
    entry = table.next_revalidation(10.0)
    assert entry is not None
    table.remove(node(1).id, 10.0)
    assert not table.revalidated(node(1).id, 11.0, ok=True)
    assert len(table) == 0
    with pytest.raises(LocalProtocolError):
        table.revalidated(node(1).id, 12.0, ok=True)


def test_a_node_is_checked_once_at_a_time():
    table = table_of()
    table.add(node(1), 0.0)
    entry = table.next_revalidation(10.0)
    assert entry is not None
    for later in range(20, 200, 10):
        assert table.next_revalidation(float(later)) is None
    table.revalidated(entry.contact.id, 200.0, ok=True)
    assert table.next_revalidation(300.0) is entry


def test_in_each_round_every_node_is_checked_once_in_another_order():
    table, now, orders = table_of(), 0.0, list[tuple[bytes, ...]]()
    nodes = full_bucket(table)
    for each in nodes:
        table.add(each, now, live=True)
    for _ in range(3):
        order = list[bytes]()
        while len(order) < len(nodes):
            now = max(now, table.next_timer() or 0.0)
            entry = table.next_revalidation(now)
            assert entry is not None
            order.append(entry.contact.id)
            assert table.revalidated(entry.contact.id, now, ok=True)
        assert len(set(order)) == len(nodes)
        orders.append(tuple(order))
    assert len(set(orders)) == 3
    newcomer = node(1, 255)
    table.add(newcomer, now, live=True)
    checked = list[bytes]()
    for _ in range(3):
        now = max(now, table.next_timer() or 0.0)
        entry = table.next_revalidation(now)
        assert entry is not None
        checked.append(entry.contact.id)
        table.revalidated(entry.contact.id, now, ok=True)
    assert checked.count(newcomer.id) <= 1, "who is new does not make up for the rounds that it has missed"


def test_new_nodes_are_checked_three_times_as_often():
    table = table_of()
    full_bucket(table)
    counts = Counter[bool]()
    now = 0.0
    for _ in range(2000):
        due = table.next_timer()
        assert due is not None
        assert now < due <= now + 9.0
        now = due
        while (entry := table.next_revalidation(now)) is not None:
            counts[entry.live] += 1
            table._asked.clear()
            if now > 20.0 and not entry.live and not table.statistics().live:
                table.add(entry.contact, now, live=True)
    assert 2.5 < counts[False] / counts[True] < 3.6
    assert 1.3 < now / counts[False] < 1.7  # seconds: on average half of the longest time


def test_the_answer_from_an_endpoint_that_was_left_proves_nothing():
    table = table_of()
    table.add(node(1, seq=1), 0.0)
    table.next_revalidation(10.0)
    moved = node(1, seq=2, place=77)
    assert table.add(moved, 11.0) is Addition.UPDATED
    assert table.revalidated(moved.id, 12.0, ok=True)
    assert table.closest(OWN) == []
    assert check(table, moved, 20.0, ok=True)
    assert table.closest(OWN) == [moved]


def test_a_node_cannot_move_into_a_network_that_has_enough():
    table = table_of()
    there = [Contact(id_at(256, number), Endpoint(bytes([66, 6, 6, number]), 30303), 0, None) for number in range(2)]
    for each in [*there, node(10, seq=1)]:
        table.add(each, 0.0, live=True)
    assert table.add(Contact(node(10).id, Endpoint(bytes([66, 6, 6, 9]), 30303), 2, None), 1.0) is Addition.KNOWN
    assert node(10, seq=1) in table.closest(OWN)
    # Within it, it may.
    moved = Contact(there[0].id, Endpoint(bytes([66, 6, 6, 9]), 30303), 2, None)
    assert table.add(moved, 1.0) is Addition.UPDATED


def test_five_fruitless_queries_in_a_row_cost_a_node_its_place():
    table = table_of()
    nodes = full_bucket(table, 1)
    for useful in (False, False, False, False, True, False, False, False, False):
        table.queried(nodes[0].id, 1.0, useful=useful)
    assert nodes[0].id in table
    table.queried(nodes[0].id, 1.0, useful=False)
    assert nodes[0].id not in table
    assert nodes[16].id in table
    few = table_of()
    for each in nodes[:3]:
        few.add(each, 0.0)
    for _ in range(20):
        few.queried(nodes[0].id, 1.0, useful=False)
    few.queried(nodes[9].id, 1.0, useful=False)
    assert len(few) == 3


def test_when_a_node_was_seen():
    table = table_of()
    table.add(node(1), 1.0)
    entry = table.get(node(1).id)
    assert entry is not None
    seen = [entry.seen]
    table.add(node(1), 2.0)  # hearsay
    seen.append(entry.seen)
    table.add(node(1), 3.0, incoming=True)
    seen.append(entry.seen)
    assert not entry.live
    table.add(node(1, place=9), 4.0, live=True)  # it answered from elsewhere
    seen.append(entry.seen)
    assert not entry.live
    check(table, node(1), 10.0, ok=True)
    assert seen == [None, None, 3.0, 3.0]
    assert entry.seen is not None
    assert entry.seen >= 10.0
    assert entry.added == 1.0
