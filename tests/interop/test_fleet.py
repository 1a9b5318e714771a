"""Several crawlers on one frontier, and what they found sent on to a server: real processes, real PostgreSQL, a simulated network."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
from devp2p_crawler.model import Kind
from devp2p_crawler.stores import SqliteStore
from devp2p_crawler.stores.postgres import PostgresSink, PostgresSource

from tests.interop.postgres import Server, running
from tools.crawler import simulated

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]
_PATIENCE = 150


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


class Crawler:
    """A crawler in a process of its own."""

    def __init__(self, db: Path, enode: str | None, *options: str, command: str = "crawl", **environment: str) -> None:
        self.db = db
        self.said = db.with_suffix(".out")
        begins = () if enode is None else ("--bootnode", enode)
        line = [sys.executable, "-m", "devp2p_crawler", command, "--db", str(db), *begins, "--v4", "--one-machine", "--json", *options]
        if command == "crawl":
            line += ["--listen", "127.0.0.1:0", "--vantage", db.stem]
        with self.said.open("ab") as out:
            self.process = subprocess.Popen(line, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment})

    def kill(self) -> None:
        """At once, if it has not ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    async def end(self) -> dict[str, Any]:
        try:
            with trio.fail_after(_PATIENCE):
                while self.process.poll() is None:  # noqa: ASYNC110
                    await trio.sleep(0.1)
        finally:
            self.kill()
        text = self.said.read_text()
        assert self.process.returncode == 0, text[-3000:]
        summary: dict[str, Any] = json.loads(text.splitlines()[-1])
        return summary

    def visits(self) -> int:
        """How many rows are in the file now."""
        try:
            with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as connection:
                return int(connection.execute("SELECT count(*) FROM visit").fetchone()[0])
        except sqlite3.Error:
            return 0

    async def reached(self, visits: int) -> None:
        with trio.fail_after(_PATIENCE):
            while self.visits() < visits:
                assert self.process.poll() is None, self.said.read_text()[-3000:]
                await trio.sleep(0.02)

    def visited(self) -> set[tuple[bytes, Kind]]:
        with SqliteStore.open_reading(self.db) as store:
            return {(visit.node, visit.kind) for visit in store.visits()}


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


async def test_two_crawlers_share_the_work_and_visit_no_node_twice(server: Server, tmp_path: Path) -> None:
    url = server.database()
    PostgresSink.open(url).close()
    async with simulated.running(nodes=300, seed=11) as network:
        with psycopg.connect(url) as connection:  # both wait for this one, so that neither has all of it before the other has begun
            connection.execute("LOCK TABLE devp2p_crawl.frontier")
            crawlers = [Crawler(tmp_path / f"{name}.db", network.enode, "--frontier", url) for name in ("east", "west")]
            waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
            with trio.fail_after(_PATIENCE):
                while query(url, waiting) != [(2,)]:  # noqa: ASYNC110
                    await trio.sleep(0.1)
        summaries = [await crawler.end() for crawler in crawlers]
        told = await network.end()
    by_crawler = [crawler.visited() for crawler in crawlers]
    assert not by_crawler[0] & by_crawler[1]
    assert all(by_crawler)
    assert {summary["ended"] for summary in summaries} == {"done"}
    assert told["recall"]["v4"] > 0.9
    [(left,)] = query(url, "SELECT count(*) FROM devp2p_crawl.frontier WHERE lease_by IS NOT NULL OR due_at = 0")
    assert left == 0
    for crawler in crawlers:
        assert b"secret-word" not in crawler.db.read_bytes()
        assert "secret-word" not in crawler.said.read_text()


async def test_what_a_crawler_that_is_killed_had_leased_is_visited_by_the_other(server: Server, tmp_path: Path) -> None:
    url = server.database()
    async with simulated.running(nodes=300, seed=12) as network:
        doomed = Crawler(tmp_path / "doomed.db", network.enode, "--frontier", url)
        await doomed.reached(60)
        doomed.kill()
        leased = {bytes(node) for (node,) in query(url, "SELECT node FROM devp2p_crawl.frontier WHERE lease_by IS NOT NULL")}
        other = Crawler(tmp_path / "other.db", network.enode, "--frontier", url)
        summary = await other.end()
        told = await network.end()
    [(left,)] = query(url, "SELECT count(*) FROM devp2p_crawl.frontier WHERE lease_by IS NOT NULL OR due_at = 0")
    assert left == 0
    assert summary["ended"] == "done"
    assert told["recall"]["v4"] > 0.9
    assert leased & {node for node, _ in other.visited()}
    in_frontier = {bytes(node) for (node,) in query(url, "SELECT node FROM devp2p_crawl.frontier")}
    assert in_frontier >= {node for node, _ in doomed.visited() | other.visited()}


async def test_a_server_that_is_away_while_a_crawler_is_killed_and_resumed_gets_everything(server: Server, tmp_path: Path) -> None:
    url, db = server.database(), tmp_path / "crawl.db"
    async with simulated.running(nodes=300, seed=13) as network:
        crawler = Crawler(db, network.enode, DEVP2P_CRAWL_SINK=url)
        await crawler.reached(30)
        server.stop(signal.SIGQUIT)
        try:
            await crawler.reached(crawler.visits() + 50)
            crawler.kill()
            resumed = Crawler(db, None, command="resume", DEVP2P_CRAWL_SINK=url)
            await resumed.reached(resumed.visits() + 20)
        finally:
            server.start()
        await resumed.end()
        await network.end()
    with SqliteStore.open_reading(db) as store, closing(PostgresSource(url)) as source:
        assert sorted(map(repr, source.visits())) == sorted(map(repr, store.visits()))
        assert sorted(map(repr, source.sightings())) == sorted(map(repr, store.sightings()))
        assert sorted(map(repr, source.records())) == sorted(map(repr, store.records()))
        assert list(source.crawls()) == list(store.crawls())
    assert "secret-word" not in resumed.said.read_text()
    assert b"secret-word" not in db.read_bytes()
