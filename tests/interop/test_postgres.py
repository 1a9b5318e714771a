"""PostgreSQL as a sink, a source and a frontier, on a real server."""

import random
import threading
import time
from contextlib import closing, contextmanager
from functools import partial

import psycopg
import pytest
import trio
from devp2p_crawler.model import Batch, Kind
from devp2p_crawler.stores import SinkError, SqliteStore, Writer, merge, open_source
from devp2p_crawler.stores.postgres import PostgresFrontier, PostgresSettings, PostgresSink, PostgresSource

from tests.crawler import rows
from tests.crawler.conformance import Contents, SinkConformance, contents
from tests.interop.postgres import Server, running

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]


@pytest.fixture(scope="module")
def server():
    with running() as server:
        yield server


class _Place:
    def __init__(self, url: str) -> None:
        self._url = url

    def open(self) -> PostgresSink:
        return PostgresSink.open(self._url)

    def read(self) -> Contents:
        source = PostgresSource(self._url)
        try:
            with psycopg.connect(self._url) as connection:
                due = connection.execute("SELECT node, due_at FROM devp2p_crawl.frontier").fetchall()
            return contents(source.crawls(), source.sightings(), source.records(), source.visits(), dict(due))
        finally:
            source.close()


def keys_at(url: str) -> set[tuple[bytes, Kind, int, bytes]]:
    with closing(PostgresSource(url)) as source:
        return {(visit.node, visit.kind, visit.began, visit.crawl) for visit in source.visits()}


class TestPostgresSink(SinkConformance):
    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server

    @contextmanager
    def place(self, tmp_path):  # noqa: ARG002
        yield _Place(self.server.database())


def test_the_file_and_the_server_agree_on_what_was_written(server: Server, tmp_path) -> None:
    url, seed = server.database(), random.randrange(1000)
    print(f"seed {seed}")  # noqa: T201
    with Writer([SqliteStore.create_or_open(tmp_path / "spool.db"), PostgresSink.open(url)]) as writer:
        for batch, _ in zip(rows.stream(seed, crawls=3), range(60), strict=False):
            writer.put(batch)
    with SqliteStore.create_or_open(tmp_path / "pulled.db") as pulled:
        source = open_source(url)
        merge(pulled, source)
        source.close()
    with SqliteStore.open_reading(tmp_path / "spool.db") as spool, SqliteStore.open_reading(tmp_path / "pulled.db") as pulled:
        assert [*pulled.nodes()] == [*spool.nodes()]
        assert contents(pulled.crawls(), pulled.sightings(), pulled.records(), pulled.visits(), {}) == contents(
            spool.crawls(), spool.sightings(), spool.records(), spool.visits(), {}
        )


def test_visits_lie_in_the_partition_of_their_month_and_those_of_mad_clocks_in_one_of_their_own(server: Server) -> None:
    url = server.database()
    sink = PostgresSink.open(url)
    month = 31 * 24 * 3600
    sink.write(Batch(visits=[rows.visit(1), rows.visit(1, month), rows.visit(1, 4000 * month)]))
    sink.close()
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT tableoid::regclass::text, count(*) FROM devp2p_crawl.visit GROUP BY 1 ORDER BY 1").fetchall()
    assert found == [("devp2p_crawl.visit_2023_11", 1), ("devp2p_crawl.visit_2023_12", 1), ("devp2p_crawl.visit_odd", 1)]


def test_rows_of_a_month_that_was_too_far_ahead_get_their_partition_when_it_has_come(server: Server) -> None:
    url = server.database()
    sink = PostgresSink.open(url)
    ahead = (time.time_ns() // 1000 - rows.BEGIN) / 1_000_000 + 100 * 24 * 3600
    sink.write(Batch(visits=[rows.visit(1, ahead)]))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM devp2p_crawl.visit_odd").fetchone() == (1,)
        connection.execute("SET search_path = devp2p_crawl")
        connection.execute("SELECT make_month(%s)", (rows.visit(1, ahead).began,))
        connection.commit()
        assert connection.execute("SELECT count(*) FROM visit_odd").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM visit").fetchone() == (1,)
    sink.write(Batch(visits=[rows.visit(1, ahead)]))
    sink.close()


def test_a_server_that_goes_away_and_comes_back_gets_everything(server: Server) -> None:
    url, told = server.database(), list[str]()
    batches = [batch for batch, _ in zip(rows.stream(7, crawls=1), range(40), strict=False)]
    with Writer([PostgresSink.open(url)], tell=told.append) as writer:
        for number, batch in enumerate(batches):
            if number == 10:
                server.stop()
            if number == 30:
                server.start()
            writer.put(batch)
            time.sleep(0.02)
    written = {(visit.node, visit.kind, visit.began) for batch in batches for visit in batch.visits}
    assert {(node, kind, began) for node, kind, began, _ in keys_at(url)} == written
    assert "secret-word" not in " ".join(told)


def test_errors_say_what_to_do_and_no_password(server: Server) -> None:
    url = server.database()
    for wrong, said in (
        (url.replace("/test", "/nosuch"), "nosuch"),
        ("postgresql://a:secret-word@127.0.0.1:1/x", "127.0.0.1:1"),
        ("postgresql://a:secret-word@[::1", "cannot read the address"),
    ):
        with pytest.raises(SinkError, match=said) as caught:
            PostgresSink.open(wrong)
        assert "secret-word" not in str(caught.value)
        assert "secret-word" not in repr(PostgresSettings(wrong))
    with psycopg.connect(url) as connection:
        PostgresSink.open(url).close()
        connection.execute("UPDATE devp2p_crawl.meta SET version = 99")
        connection.commit()
    with pytest.raises(SinkError, match="version 99"):
        PostgresSink.open(url)


async def test_two_crawlers_lease_no_node_twice_and_one_that_dies_gives_its_leases_back(server: Server) -> None:
    url = server.database()
    one, other = PostgresFrontier(url, lease=2.0), PostgresFrontier(url)
    sightings = [rows.sighting(number) for number in range(200)]
    await one.sighted(sightings)
    await other.sighted(sightings)
    taken: list[set[bytes]] = [set(), set()]

    async def take(frontier: PostgresFrontier, into: set[bytes]) -> None:
        while targets := await frontier.lease(7):
            assert not into & {target.node for target in targets}
            into |= {target.node for target in targets}

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, one, taken[0])
        nursery.start_soon(take, other, taken[1])
    assert not taken[0] & taken[1]
    assert len(taken[0] | taken[1]) == 200
    assert taken[0]
    far = 2**60
    await other.settle(dict.fromkeys(taken[1], far))
    with trio.fail_after(30):  # `one` is silent from now on: it does not renew
        again = set[bytes]()
        while again != taken[0]:
            again |= {target.node for target in await other.lease(1000)}
            await trio.sleep(0.1)
    await one.settle(dict.fromkeys(taken[0], 5))  # too late: they are not its own any more
    await other.settle(dict.fromkeys(again, far))
    assert await one.lease(1000) == []
    await one.close()
    await other.close()


async def test_a_crawler_that_renews_keeps_its_leases_and_one_that_closes_gives_them_back(server: Server) -> None:
    url = server.database()
    one, other = PostgresFrontier(url, lease=1.5), PostgresFrontier(url)
    await one.sighted([rows.sighting(number) for number in range(10)])
    assert len(await one.lease(10)) == 10
    for _ in range(6):
        await trio.sleep(0.5)
        await one.renew()
        assert await other.lease(10) == []
    await one.close()
    assert len(await other.lease(10)) == 10
    await other.close()


def test_many_crawlers_may_write_the_same_nodes_at_once(server: Server) -> None:
    url, failures = server.database(), list[BaseException]()
    batches = [batch for batch, _ in zip(rows.stream(3, crawls=2), range(30), strict=False)]

    def work(order: list[Batch]) -> None:
        sink = PostgresSink.open(url)
        try:
            for batch in order:
                sink.write(batch)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
        finally:
            sink.close()

    threads = [threading.Thread(target=partial(work, order)) for order in (batches, batches[::-1], batches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    written = {(visit.node, visit.kind, visit.began, visit.crawl) for batch in batches for visit in batch.visits}
    assert keys_at(url) == written
