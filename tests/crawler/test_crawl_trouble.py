"""Crawls of a simulated network while something is amiss, such as liars, or a clock that jumps; and what recall is said to be."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from devp2p_crawler.crawling import Crawler, CrawlSettings, run_crawl, silence, state
from devp2p_crawler.model import Outcome, Recall, Snapshot
from devp2p_crawler.stores import SqliteStore

from devp2p import Address, NodeRecord, PrivateKey
from devp2p.discovery import clock
from tools.crawler.simulated import Simulated, running

pytestmark = [pytest.mark.real_clock, pytest.mark.simulation]

MARGIN = 0.03


async def crawl(  # noqa: PLR0913
    network: Simulated,
    path: Path,
    version: int,
    *,
    after: int = 0,
    then: Callable[[], None] | None = None,
    watch: Callable[[Snapshot], None] | None = None,
) -> Snapshot:
    """Crawl it; once `after` nodes are found alive, something happens."""
    settings = CrawlSettings(
        strict=True,
        key=PrivateKey.generate(),
        bootnodes=(NodeRecord.parse(network.enode if version == 4 else network.enr),),
        versions=(version,),
        udp_listen=Address("udp", "127.0.0.1", 0),
        dial=False,
        duration=200,
    )
    async with trio.open_nursery() as nursery:

        async def look(crawler: Crawler) -> None:
            happened = then is None
            while True:
                snapshot = crawler.snapshot()
                if then is not None and not happened and snapshot.alive >= after:
                    happened = True
                    then()
                if watch is not None:
                    watch(snapshot)
                await trio.sleep(0.05)

        last = await run_crawl(settings, SqliteStore.create_or_open(path), on_start=lambda crawler: nursery.start_soon(look, crawler))
        nursery.cancel_scope.cancel()
    return last


@pytest.mark.parametrize("version", [4, 5])
async def test_recall_is_what_it_is_said_to_be(version: int, tmp_path: Path) -> None:
    told: list[tuple[Recall, float]] = []
    async with running(nodes=800, seed=11) as network:

        def watch(snapshot: Snapshot) -> None:
            if snapshot.recall is not None:
                told.append((snapshot.recall, min(1.0, snapshot.alive / network.reachable)))

        last = await crawl(network, tmp_path / "crawl.db", version, watch=watch)
        summary = await network.end()
    truth = summary["recall"][f"v{version}"]
    assert truth >= 0.995
    assert last.recall is not None
    for recall, true in [*told, (last.recall, truth)]:
        assert recall.low - MARGIN <= true <= recall.high + MARGIN
    assert summary["findings"] == []


@pytest.mark.parametrize("version", [4, 5])
async def test_many_liars_cost_little(version: int, tmp_path: Path) -> None:
    """Each liar names nodes that are not there, with every answer others."""
    packets, seconds, void = list[float](), list[float](), list[str]()
    for liars in (0.0, 0.05):
        async with running(nodes=600, seed=12, liars=liars) as network:
            last = await crawl(network, tmp_path / f"{liars}.db", version)
            summary = await network.end()
        assert last.is_done
        assert summary["recall"][f"v{version}"] >= 0.99, (liars, last)  # of 348 nodes
        assert summary["findings"] == []
        packets.append(summary["packets_received"] / summary["reachable"])
        seconds.append(summary["seconds_to"][f"v{version}"]["95"])
        void += [summary["void"]] if summary["void"] else []
    assert packets[1] <= 2 * packets[0]
    assert void or seconds[1] <= 1.5 * seconds[0]  # where the machine was too busy, times mean nothing


@pytest.mark.parametrize("version", [4, 5])
async def test_a_machine_that_sleeps_takes_nobody_for_dead(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = 0.0
    awake, before = clock.asleep, state.asleep
    monkeypatch.setattr(clock, "asleep", lambda: awake() + slept)
    monkeypatch.setattr("devp2p_crawler.crawling.asking.asleep", lambda: before() + slept)

    def sleep() -> None:
        nonlocal slept
        slept += 600.0

    async with running(nodes=200, seed=13) as network:
        last = await crawl(network, tmp_path / "crawl.db", version, after=60, then=sleep)
        summary = await network.end()
    assert last.is_done
    assert summary["recall"][f"v{version}"] == 1.0
    assert last.alive >= summary["reachable"]
    assert summary["findings"] == []  # above all no burst


async def test_a_loop_that_stands_still_takes_nobody_for_dead(tmp_path: Path) -> None:
    async with running(nodes=200, seed=14) as network:
        last = await crawl(network, tmp_path / "crawl.db", 5, after=60, then=lambda: time.sleep(3))
        summary = await network.end()
    assert summary["recall"]["v5"] == 1.0
    assert last.alive >= summary["reachable"]
    assert summary["findings"] == []


@pytest.mark.parametrize("jump", [-7200, 7200])
async def test_a_clock_that_is_set_moves_rows_alone(jump: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offset = 0
    now, seconds = time.time_ns, time.time
    monkeypatch.setattr(time, "time_ns", lambda: now() + offset * 10**9)
    monkeypatch.setattr(time, "time", lambda: seconds() + offset)

    def jumps() -> None:
        nonlocal offset
        offset = jump

    began = now() // 1000
    async with running(nodes=200, seed=15) as network:
        last = await crawl(network, tmp_path / "crawl.db", 5, after=60, then=jumps)
        summary = await network.end()
    assert last.is_done
    assert last.elapsed < 200
    assert summary["recall"]["v5"] == 1.0
    assert summary["findings"] == []
    with SqliteStore.open_reading(tmp_path / "crawl.db") as store:
        visits = list(store.visits())
        [row] = store.crawls()
    assert {visit.began > began + 3600 * 10**6 or visit.began < began for visit in visits} == {True, False}
    assert all(0 <= visit.ended - visit.began < 200 * 10**6 for visit in visits)
    assert len({visit.node for visit in visits if visit.outcome is Outcome.OK}) == last.alive
    assert row.ended is not None


async def test_a_node_that_is_off_and_one_without_udp_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "AFTER", 0.2)
    key, told = PrivateKey.generate().public_key, trio.Event()
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, lambda stream: stream.aclose(), [listener])
        settings = CrawlSettings(
            strict=True,
            key=PrivateKey.generate(),
            bootnodes=(NodeRecord(key, (Address("tcp", "127.0.0.1", port),), port),),
            versions=(4,),
            udp_listen=Address("udp", "127.0.0.1", 0),
            monitor=True,
        )

        async def look(crawler: Crawler) -> None:
            while (found := crawler.snapshot().silence) is None or not (found.refused and found.taking_calls):  # noqa: ASYNC110
                await trio.sleep(0.02)
            told.set()

        with trio.fail_after(60):
            last = await run_crawl(
                settings,
                SqliteStore.create_or_open(tmp_path / "x.db"),
                until=told,
                on_start=lambda crawler: nursery.start_soon(look, crawler),
            )
        nursery.cancel_scope.cancel()
    assert last.silence is not None
    assert (last.silence.refused, last.silence.taking_calls) == (1, 1)
