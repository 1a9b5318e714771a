"""A crawl of a small simulated network, over real sockets."""

from pathlib import Path

import pytest
from devp2p_crawler.crawling import CrawlSettings, run_crawl
from devp2p_crawler.model import Kind, Outcome
from devp2p_crawler.stores import SqliteStore

from devp2p import Address, NodeRecord, PrivateKey
from tools.crawler.simulated import running

pytestmark = pytest.mark.real_clock


@pytest.mark.parametrize("version", [4, 5])
async def test_a_crawl_finds_who_can_be_reached_and_bothers_nobody(version: int, tmp_path: Path) -> None:
    async with running(nodes=60, seed=7) as network:
        settings = CrawlSettings(
            key=PrivateKey.generate(),
            bootnodes=(NodeRecord.parse(network.enode if version == 4 else network.enr),),
            versions=(version,),
            udp_listen=Address("udp", "127.0.0.1", 0),
            dial=False,
            duration=30,
        )
        last = await run_crawl(settings, SqliteStore.create_or_open(tmp_path / "crawl.db"))
        summary = await network.end()
    assert last.is_done
    assert last.silence is None
    assert summary["recall"][f"v{version}"] == 1.0
    assert summary["findings"] == []
    assert summary["packets_received"] == last.packets_sent
    with SqliteStore.open_reading(tmp_path / "crawl.db") as store:
        nodes = list(store.nodes())
        visits = list(store.visits())
        [crawl] = store.crawls()
    assert len(nodes) == last.found
    alive = {visit.node for visit in visits if visit.outcome is Outcome.OK}
    assert len(alive) == last.alive >= network.reachable
    assert len([node for node in nodes if node.record is not None]) >= network.reachable  # some answer, but garbage
    assert {visit.kind for visit in visits} == {Kind.V4 if version == 4 else Kind.V5}
    assert sum(visit.asked for visit in visits) <= last.packets_sent
    assert crawl.ended is not None
