"""Row D21 of THREATS.md: whoever answers for a domain brings back a tree that was replaced, with nodes of which some are his now.

The number of each tree is kept in the book, also of trees that others link to, so that it holds after a restart. A control runs the same
attack without what was kept, and there it must succeed.
"""

import logging
from collections.abc import Iterator
from unittest.mock import patch

import pytest
import trio

from devp2p.book import Book, BookError
from devp2p.discovery import DiscoveryLimits, opening
from devp2p.discovery.dns.source import DnsSource
from devp2p.discovery.known_nodes import KnownNodes
from tests.discovery.services import found, running
from tests.discovery.zones import DOMAIN, URL, Zone, assert_rate_kept, record, tree, url

LINKED = url("linked.org")


@pytest.fixture
def book() -> Iterator[Book]:
    with Book.open(":memory:") as book:
        yield book


def known_nodes(book: Book | None) -> KnownNodes:
    return KnownNodes([], book, lambda: 0.0)


def zone_of(sequence: int, *, named: int = 3) -> Zone:
    """A tree with a record that links to another one, whose number is given, and which has one record that depends on it."""
    zone = Zone()
    zone.publish(tree(1, named, [LINKED], start=0))
    zone.publish(tree(1, sequence, start=100 + sequence), LINKED.domain)
    return zone


async def read(zone: Zone, known: KnownNodes) -> set[bytes]:
    """Read all that there is, once, with what is known from before, and keep what there is to keep; which nodes were found."""
    source = DnsSource([URL], zone, sequences=known.tree_sequences(), once=True)
    nodes: set[bytes] = set()
    async for node in source:
        nodes.add(node.id)
        known.keep_tree_sequences(source.sequences)
    return nodes


async def test_d21_a_root_that_is_rolled_back_or_forged_does_not_disturb_what_is_read():
    zone = Zone()
    new, old = tree(50, 2), tree(10, 1, start=500)
    zone.publish(old)
    zone.publish(new)
    source = DnsSource([URL], zone)
    found = [await anext(source) for _ in range(50)]
    for lie in (old.root.text, new.root.text.replace("seq=2", "seq=3"), "enrtree-root:v1 "):
        zone.names[DOMAIN] = [lie]
        with trio.move_on_after(5000.0):
            await anext(source)
            pytest.fail("nothing is accepted from that root")
    assert {each.id for each in found} == {each.id for each in new.records}
    assert source.sequences == {URL.identity: 2}
    restarted = DnsSource([URL], zone, sequences=source.sequences, once=True)
    zone.names[DOMAIN] = [old.root.text]
    assert [each async for each in restarted] == []
    assert_rate_kept([time for time, _ in zone.asked])


async def test_d21_a_linked_tree_is_not_rolled_back_after_a_restart(book):
    assert await read(zone_of(7), known_nodes(book)) == {record(0).id, record(107).id}
    assert book.dns_sequences() == {URL.identity: 3, LINKED.identity: 7}
    assert await read(zone_of(6), known_nodes(book)) == {record(0).id}
    assert await read(zone_of(8), known_nodes(book)) == {record(0).id, record(108).id}
    assert book.dns_sequences() == {URL.identity: 3, LINKED.identity: 8}


async def test_d21_control_without_a_book_it_is():
    assert await read(zone_of(7), known_nodes(None)) == {record(0).id, record(107).id}
    assert await read(zone_of(6), known_nodes(None)) == {record(0).id, record(106).id}


@pytest.mark.real_clock
async def test_d21_what_the_book_has_of_trees_is_what_discovery_begins_with(book):
    zone = zone_of(7)
    limits = DiscoveryLimits(local_addresses_in_dns=True)
    with patch.object(opening, "DnsSource", wraps=DnsSource) as begun:
        async with running(trees=[URL], resolver=zone, book=book, limits=limits) as node:
            assert node.record.id not in await found(node, 2)
        async with running(trees=[URL], resolver=zone, book=book, limits=limits):
            pass
    assert [call.kwargs["sequences"] for call in begun.call_args_list] == [{}, {URL.identity: 3, LINKED.identity: 7}]


async def test_d21_the_book_holds_no_more_trees_than_are_remembered(book):
    """A tree can link to others for ever, to eight at a time."""
    known = known_nodes(book)
    for number in range(300):
        zone = Zone()
        zone.publish(tree(1, number, [url(f"n{number}.org")]))
        zone.publish(tree(1, 1, start=1), f"n{number}.org")
        await read(zone, known)
    kept = book.dns_sequences()
    assert len(kept) == 256
    assert kept[URL.identity] == 299
    assert url("n0.org").identity not in kept
    assert url("n299.org").identity in kept


async def test_d21_a_book_that_fails_is_told_and_the_reading_goes_on(book, caplog):
    with caplog.at_level(logging.WARNING), patch.object(book, "_database") as database:
        database.rows.side_effect = database.changes.side_effect = BookError("the disk is gone")
        assert len(await read(zone_of(7), known_nodes(book))) == 2
    assert "the sequence numbers of DNS trees, without which older trees cannot be told: the disk is gone" in caplog.text
    assert "the sequence numbers of DNS trees: the disk is gone" in caplog.text
