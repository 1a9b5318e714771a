"""A crawl of a small simulated network, over real sockets."""

import socket
from collections import Counter
from pathlib import Path

import pytest
import trio
from devp2p_crawler.crawling import Crawler, CrawlError, CrawlSettings, run_crawl
from devp2p_crawler.model import Kind, Outcome, Snapshot
from devp2p_crawler.stores import SqliteStore
from devp2p_crawler.visiting import UdpVisit, UdpVisitor

from devp2p import Address, NodeRecord, PrivateKey, call, local_node
from tools.crawler.simulated import running

pytestmark = pytest.mark.real_clock


@pytest.mark.parametrize("version", [4, 5])
async def test_a_crawl_finds_who_can_be_reached_and_bothers_nobody(version: int, tmp_path: Path) -> None:
    async with running(nodes=40, seed=7) as network:
        settings = CrawlSettings(
            strict=True,
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


async def test_a_visit_that_fails_as_nobody_foresaw_ends_no_crawl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    by_v4, failed = UdpVisitor.by_v4, set[bytes]()

    async def fail_once(self: UdpVisitor, node: NodeRecord) -> UdpVisit:
        if len(failed) < 2 and node.id not in failed and node.id != bootnode.id:
            failed.add(node.id)
            raise RuntimeError("nobody foresaw this")
        return await by_v4(self, node)

    monkeypatch.setattr(UdpVisitor, "by_v4", fail_once)
    async with running(nodes=20, seed=7, dead=0.0) as network:
        bootnode = NodeRecord.parse(network.enode)
        settings = CrawlSettings(
            key=PrivateKey.generate(),
            bootnodes=(bootnode,),
            versions=(4,),
            udp_listen=Address("udp", "127.0.0.1", 0),
            dial=False,
            duration=30,
        )
        last = await run_crawl(settings, SqliteStore.create_or_open(tmp_path / "crawl.db"))
        await network.end()
    assert len(failed) == 2
    assert last.skipped["our own fault"] == 2
    assert last.alive >= network.reachable - 2
    assert [record.message for record in caplog.records if record.exc_info] == [
        "a visit failed in a way that was not foreseen; further ones are counted"
    ]


@pytest.mark.simulation
async def test_a_crawl_that_was_broken_off_goes_on_where_it_was(tmp_path: Path) -> None:
    file, key = tmp_path / "crawl.db", PrivateKey.generate()
    async with running(nodes=80, seed=9) as network:
        bootnode = NodeRecord.parse(network.enr)

        async def crawl(resume: bytes | None, enough: int | None) -> Snapshot:
            settings = CrawlSettings(
                strict=True,
                key=key,
                bootnodes=(bootnode,),
                versions=(5,),
                udp_listen=Address("udp", "127.0.0.1", 0),
                duration=30,
                resume=resume,
            )
            until = trio.Event()

            async def watch(crawler: Crawler) -> None:
                while enough is not None:
                    await trio.sleep(0.01)
                    if crawler.snapshot().alive >= enough:
                        until.set()

            async with trio.open_nursery() as nursery:
                store = SqliteStore.create_or_open(file)
                last = await run_crawl(settings, store, until=until, on_start=lambda crawler: nursery.start_soon(watch, crawler))
                nursery.cancel_scope.cancel()
            return last

        first = await crawl(None, 20)
        with SqliteStore.open_reading(file) as store:
            [row] = store.crawls()
        assert row.ended is None
        assert not first.is_done
        last = await crawl(row.id, None)
        summary = await network.end()
    assert last.is_done
    assert last.alive >= first.alive >= 20
    assert last.dialled > first.dialled
    assert summary["recall"]["v5"] == 1.0
    assert summary["findings"] == []
    with SqliteStore.open_reading(file) as store:
        [row] = store.crawls()
        answered = Counter(visit.node for visit in store.visits() if visit.kind is Kind.V5 and visit.outcome is Outcome.OK)
        called = Counter(visit.node for visit in store.visits() if visit.kind is Kind.RLPX)
    assert row.ended is not None
    assert set(answered.values()) == {1}
    assert len(answered) == last.alive
    assert set(called.values()) == {1}
    assert len(called) >= last.dialled  # one that was broken off is none


async def test_nothing_to_begin_with_is_said(tmp_path: Path) -> None:
    settings = CrawlSettings(strict=True, key=PrivateKey.generate(), udp_listen=Address("udp", "127.0.0.1", 0))
    last = await run_crawl(settings, SqliteStore.create_or_open(tmp_path / "crawl.db"))
    assert last.silence is not None
    assert last.silence.starts == 0


async def test_where_nobody_can_listen_is_said(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        settings = CrawlSettings(strict=True, key=PrivateKey.generate(), udp_listen=Address("udp", "127.0.0.1", taken.getsockname()[1]))
        with pytest.raises(CrawlError, match=r"cannot listen at udp://127\.0\.0\.1"):
            await run_crawl(settings, SqliteStore.create_or_open(tmp_path / "crawl.db"))


async def test_who_calls_by_tcp_is_seen(tmp_path: Path) -> None:
    """A node behind NAT, of which nobody tells."""
    done = trio.Event()
    settings = CrawlSettings(
        strict=True,
        key=PrivateKey.generate(),
        contact="https://example.org/crawler",
        udp_listen=Address("udp", "127.0.0.1", 0),
        tcp_listen=Address("tcp", "127.0.0.1", 0),
        monitor=True,
    )
    async with trio.open_nursery() as nursery:

        async def come(crawler: Crawler) -> None:
            local = local_node(PrivateKey.generate(), client_id="behind/nat")
            enode = NodeRecord(settings.key.public_key, (crawler.accepting,)) if crawler.accepting else None
            assert enode is not None
            session = await call(enode, local)
            assert session.hello.client_id.endswith("(+https://example.org/crawler)")
            while not crawler.snapshot().inbound:  # noqa: ASYNC110  (no event)
                await trio.sleep(0.01)
            await session.close()
            done.set()

        last = await run_crawl(
            settings,
            SqliteStore.create_or_open(tmp_path / "crawl.db"),
            on_start=lambda crawler: nursery.start_soon(come, crawler),
            until=done,
        )
    assert (last.inbound, last.hellos, dict(last.clients)) == (1, 1, {"behind": 1})
