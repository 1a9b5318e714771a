"""Where candidates come from: walks, bootnodes, DNS trees and the book, on real sockets of this machine."""

import time

import pytest
import trio

from devp2p.book import Book, Source
from devp2p.discovery import DiscoveryLimits
from devp2p.discovery.table.kademlia import distance
from devp2p.keys import PrivateKey
from devp2p.records.node_record import NodeRecord
from tests.discovery.services import BOTH, TreeZone, eventually, found, network, running

pytestmark = pytest.mark.real_clock


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are told to others once they were checked, for which nobody here wants to wait three seconds."""
    monkeypatch.setattr("devp2p.discovery.table.kademlia._FAST", 0.3)


@BOTH
async def test_everybody_is_a_candidate_once(versions):
    async with network(5, versions=versions) as nodes:
        sources = await found(nodes[4], 4)
        assert sources.keys() == {node.record.id for node in nodes[:4]}
        assert sources[nodes[0].record.id] == "bootnode"
        assert set(sources.values()) <= {"bootnode", "v4", "v5"}
        assert sum(nodes[4].statistics.candidates.values()) == 4


async def test_v5_finds_nodes_of_a_small_network_that_are_close_to_each_other():
    first = PrivateKey.generate()
    close = next(key for key in iter(PrivateKey.generate, None) if distance(key.public_key.node_id, first.public_key.node_id) <= 247)
    async with running(key=first, versions={5}) as bootnode:
        named = [bootnode.record.text]
        async with running(key=close, bootnodes=named, versions={5}), running(bootnodes=named, versions={5}) as node:
            assert await found(node, 1, lambda record: record.id == close.public_key.node_id)


async def test_candidates_of_v4_come_with_their_records_so_that_filters_can_look_at_them():
    async with network(4, versions={4}) as nodes:
        nodes[1].update_record({"eth": b"\xc0"})
        sources = await found(nodes[3], 1, lambda node: node.enr is not None and node.enr.get("eth") is not None)
        assert sources == {nodes[1].record.id: "v4"}


async def test_v5_gets_the_records_of_bootnodes_that_were_named_without_through_v4():
    async with network(1) as [first], running(bootnodes=[NodeRecord.from_enr(first.record).enode]) as second:
        assert second.v5 is not None
        table = second.v5.protocol.table

        async def introduced() -> bool | None:
            await trio.lowlevel.checkpoint()
            return first.record.id in table or None

        assert await eventually(introduced)


async def test_nothing_is_searched_while_nobody_waits_for_candidates():
    async with network(2, versions={4}) as [_, second]:
        walks = []
        assert second.v4 is not None
        lookup = second.v4.lookup

        async def counted(target: bytes) -> list[NodeRecord]:
            walks.append(target)
            return await lookup(target)

        second.v4.lookup = counted  # type: ignore[method-assign]
        await trio.sleep(0.3)
        assert walks == []
        await found(second, 1)  # the bootnode, which needs no search
        await trio.sleep(0.1)
        assert walks == []
        candidates = second.candidates(lambda _: False)
        with trio.move_on_after(0.3):
            await anext(candidates)
        assert walks


async def test_a_dns_tree_and_a_book_give_candidates_too():
    local = DiscoveryLimits(local_addresses_in_dns=True)
    async with network(2) as nodes:
        zone = TreeZone(*nodes)
        with Book.open(":memory:") as book:
            async with running(trees=[zone.url], resolver=zone, book=book, limits=local) as node:
                sources = await found(node, 2)
                assert sources == {node.record.id: "dns" for node in nodes}
            assert book.dns_sequences() == {zone.url.identity: 3}
            entry = book.get(nodes[0].record.id)
            assert entry is not None
            assert Source.DNS in entry.sources
            book.answered(nodes[0].record.id, entry.last_seen)
            async with running(book=book) as node:
                assert await found(node, 1) == {nodes[0].record.id: "book"}


async def test_what_went_wrong_with_a_dns_tree_is_known():
    async with network(1) as nodes:
        zone = TreeZone(*nodes)
        zone.texts.clear()
        async with running(trees=[zone.url], resolver=zone) as node:
            assert node.statistics.dns_error == ""
            with trio.move_on_after(0.5):
                await found(node, 1)
            assert node.statistics.dns_error == "nodes.example.org: there is no such name"


async def test_a_dns_tree_cannot_make_us_dial_local_addresses():
    async with network(2) as nodes:
        zone = TreeZone(*nodes)
        async with running(trees=[str(zone.url)], resolver=zone) as node:
            with trio.move_on_after(0.5):
                await found(node, 1)
                raise AssertionError
            assert node.statistics.candidates.get("dns", 0) == 0


async def test_found_nodes_are_in_the_book_and_seeds_of_the_next_run():
    with Book.open(":memory:") as book:
        async with network(3) as nodes:
            async with running(bootnodes=[nodes[0].record.text], book=book) as node:
                await found(node, 3)
            seeds = book.seeds(now=time.time(), random=lambda: 0.5)
            assert {node.record.id for node in nodes[1:]} <= {record.id for record in seeds}
            async with running(book=book) as node:
                assert await node.lookup(nodes[0].record.public_key)
