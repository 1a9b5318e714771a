"""Whom a book names to begin with, and whom it forgets: strangers who name many nodes gain little by it."""

import random
from collections import Counter

import pytest

from devp2p.book import Book, Source
from devp2p.book.book import _ANSWERED, _FORGET_LEAST
from devp2p.errors import LocalProtocolError
from tests.books import DAY, NOW, enode, fill, known


@pytest.fixture
def book():
    with Book.open(":memory:") as book:
        yield book


def test_seeds_are_nodes_that_answered_in_the_last_five_days(book):
    recent, old, never = enode(1), enode(2), enode(3)
    fill(book, [recent], NOW - 4.9 * DAY)
    fill(book, [old], NOW - 5.1 * DAY)
    fill(book, [never], None)
    assert book.seeds(now=NOW, random=random.random) == [recent]
    assert book.seeds(max_age=6 * DAY, now=NOW, random=random.Random(1).random) in ([recent, old], [old, recent])
    assert book.seeds(0, now=NOW, random=random.random) == []


def test_a_network_full_of_answering_nodes_has_two_seeds_at_most(book):
    flood = [enode(100 + number, f"6.6.6.{number}") for number in range(200)]
    flood6 = [enode(300 + number, f"2a02:666:{number}::1") for number in range(100)]  # a /48 each, out of one /32
    honest = [enode(number) for number in range(10)]
    fill(book, flood + flood6 + honest)
    seeds = book.seeds(now=NOW, random=random.Random(1).random)
    assert len(set(seeds)) == len(seeds) == 14
    assert len(set(seeds) & set(flood)) == len(set(seeds) & set(flood6)) == 2
    assert set(honest) < set(seeds)


def test_where_networks_are_many_each_is_as_likely_as_another_however_many_nodes_it_has(book):
    fill(book, [enode(100 + number, f"6.6.6.{number}") for number in range(200)] + [enode(number) for number in range(59)])
    chance = random.Random(5)
    counts = Counter(seed.id for _ in range(400) for seed in book.seeds(now=NOW, random=chance.random))
    assert sum(counts.values()) == 400 * 30
    flood = sum(count for node_id, count in counts.items() if node_id in {enode(100 + number).id for number in range(200)})
    assert 150 <= flood <= 250  # half of the 60 networks are drawn each time, so 200 are expected
    assert all(140 <= counts[enode(number).id] <= 260 for number in range(59))
    assert len({node_id for node_id in counts if node_id not in {enode(number).id for number in range(59)}}) > 100  # and any node of it


def test_local_addresses_are_as_many_as_there_is_room_for_but_come_last(book):
    """A node on this machine or its LAN counts for no network, but a record that names such an address costs nothing to make."""
    local = [enode(100 + number, f"10.0.0.{number}") for number in range(100)] + [enode(300, "node.example")]
    fill(book, local)
    assert len(book.seeds(now=NOW, random=random.random)) == 30
    public = [enode(number) for number in range(20)]
    fill(book, public)
    seeds = book.seeds(now=NOW, random=random.random)
    assert set(seeds[:20]) == set(public)
    assert set(seeds[20:]) < set(local)


# Bounds


def test_a_full_book_forgets_the_least_useful_nodes():
    with Book.open(":memory:", max_nodes=64) as book:  # when it is full, two are forgotten, and the new one gets the place of the third
        owned = enode(200)
        book.heard(owned, Source.STATIC, NOW - 9 * DAY)
        answered = [enode(number) for number in range(10)]
        for number, record in enumerate(answered):
            fill(book, [record], NOW - number)
        silent = [enode(10 + number) for number in range(53)]
        for number, record in enumerate(silent):
            book.heard(record, Source.V4, NOW - 100 + number)
        assert len(book) == 64
        newest = enode(100)
        book.heard(newest, Source.V4, NOW)
        assert len(book) == 62
        assert [record for record in silent if book.get(record.id) is None] == silent[
            :3
        ]  # longest unheard of among those that never answered
        assert all(book.get(record.id) for record in [owned, newest, *answered])
        fill(book, [enode(1000 + number) for number in range(56)])
        kept = [number for number in range(10) if book.get(answered[number].id) is not None]
        assert kept == list(range(len(kept)))  # gone are those that answered least recently
        assert 0 < len(kept) < 10
        assert book.get(owned.id) is not None
        assert book.get(silent[-1].id) is None


def test_a_book_never_holds_more_than_it_may():
    with Book.open(":memory:", max_nodes=40) as book:
        for number in range(200):
            book.heard(enode(number), Source.STATIC if number % 3 else Source.V4, NOW + number)
            assert len(book) == len(book._database.rows("SELECT id FROM nodes")) <= 40
    with pytest.raises(LocalProtocolError):
        Book.open(":memory:", max_nodes=0)


def test_what_nothing_was_heard_of_for_a_month_is_forgotten_unless_our_user_named_it(book):
    for number, (source, age) in enumerate([(Source.V4, 29), (Source.V4, 31), (Source.MANUAL, 31), (Source.V5, 31)]):
        book.heard(enode(number), source, NOW - age * DAY)
    book.answered(enode(3).id, NOW - DAY)
    assert book.forget_older(NOW) == 1
    assert [number for number in range(4) if book.get(enode(number).id)] == [0, 2, 3]
    assert len(book) == 3
    assert book.forget_older(NOW, max_age=DAY / 2) == 2
    assert len(book) == 1


def test_a_clock_that_was_ahead_leaves_no_node_that_is_new_for_ever(book):
    fill(book, [enode(1), enode(2)])
    book.answered(enode(1).id, NOW + 1000 * DAY)
    book.failed(enode(1).id, "refused", NOW + 1000 * DAY)
    assert book.forget_older(NOW) == 0
    entry = known(book, 1)
    assert (entry.last_seen, entry.last_answered, entry.last_failed, entry.last_dialled) == (NOW, NOW, NOW, None)
    assert book.forget_older(NOW + 31 * DAY) == 2


def test_seeds_and_what_is_to_be_forgotten_are_found_in_the_index(book):
    for statement, value in ((_ANSWERED, NOW), (_FORGET_LEAST, 10)):
        plan = [row[-1] for row in book._database.rows(f"EXPLAIN QUERY PLAN {statement}", value)]
        assert [step for step in plan if "INDEX nodes_by_worth" in step], plan
        assert not [step for step in plan if "TEMP B-TREE" in step or step == "SCAN nodes"], plan
