"""A crawl of nodes that are at ``::1`` alone, or say so, over real sockets."""

from pathlib import Path

import pytest
import trio
from devp2p_crawler.crawling import CrawlSettings, run_crawl
from devp2p_crawler.model import Kind, Outcome
from devp2p_crawler.stores import SqliteStore

from devp2p import Address, NodeRecord, PrivateKey
from tests.discovery.services import running

pytestmark = [pytest.mark.real_clock, pytest.mark.simulation]

HERE = bytes(15) + b"\1"


@pytest.mark.parametrize("versions", [(4,), (4, 5)], ids=["v4", "both"])
async def test_nodes_are_found_whose_ipv6_address_alone_is_told(versions: tuple[int, ...], tmp_path: Path) -> None:
    """The first node knows one at 127.0.0.1, from where it came and has no TCP port to tell of, whose record says ::1."""
    async with running(listen="udp://*:0", external=["127.0.0.1", "::1"]) as first:
        known = {"bootnodes": [first.record.text]}
        said = {"external": ["::1"], "entries": {}}
        async with running(listen="udp://*:0", **said, **known) as one, running(listen="udp://[::1]:0", **known) as other:
            with trio.fail_after(60):
                while first.statistics.tables[4].live < len((one, other)):  # noqa: ASYNC110  (no event here)
                    await trio.sleep(0.02)
            settings = CrawlSettings(
                strict=True,
                key=PrivateKey.generate(),
                bootnodes=(NodeRecord.parse(first.record.text),),
                versions=versions,
                udp_listen=Address("udp", "*", 0),
                dial=False,
                duration=20,
            )
            last = await run_crawl(settings, SqliteStore.create_or_open(tmp_path / "crawl.db"))
            nodes = {one.record.id, other.record.id}
    assert (last.found, last.alive) == (3, 3)
    with SqliteStore.open_reading(tmp_path / "crawl.db") as store:
        found = {node.node: node for node in store.nodes()}
    assert all(found[node].outcomes[Kind.V4] is Outcome.OK for node in nodes)
    assert found[other.record.id].ip == HERE
    record = found[one.record.id].record
    assert record is not None
    assert record.raw == one.record.encode()
