"""ClickHouse as a sink and a source, on ClickHouse's own engine behind its HTTP interface; and that all sinks agree."""

import random
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from devp2p_crawler.model import Batch
from devp2p_crawler.stores import Forwarder, SinkError, SqliteStore, merge, open_frontier, open_sink, open_source
from devp2p_crawler.stores.clickhouse import ClickHouseSink, ClickHouseSource
from devp2p_crawler.stores.clickhouse.connections import ClickHouseSettings

from tests.crawler import rows
from tests.crawler.conformance import Contents, SinkConformance, contents
from tests.interop import clickhouse, postgres

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]


@pytest.fixture(scope="module")
def server() -> Iterator[clickhouse.Server]:
    with clickhouse.running() as server:
        yield server


@pytest.fixture(scope="module")
def faulty() -> Iterator[clickhouse.Server]:
    with clickhouse.running(real=False) as server:
        yield server


class _Place:
    def __init__(self, url: str) -> None:
        self._url = url

    def open(self) -> ClickHouseSink:
        return ClickHouseSink.open(self._url)

    def read(self) -> Contents:
        with closing(ClickHouseSource(self._url)) as source:
            return contents(source.crawls(), source.sightings(), source.records(), source.visits(), source.due())


class TestClickHouseSink(SinkConformance):
    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server

    @contextmanager
    def place(self, tmp_path):  # noqa: ARG002
        yield _Place(self.server.database())


def server_query(url: str, statement: str) -> list[Any]:
    client = clickhouse.client(url)
    try:
        return list(client.query(statement).result_rows)
    finally:
        client.close()


def stream(seed: int, length: int) -> list[Batch]:
    print(f"seed {seed}")  # noqa: T201
    return [batch for batch, _ in zip(rows.stream(seed, crawls=3), range(length), strict=False)]


def test_an_insert_that_is_broken_off_is_written_again_with_nothing_lost_or_twice(faulty: clickhouse.Server) -> None:
    url, seed = faulty.database(), random.randrange(1000)
    batches, chance = stream(seed, 30), random.Random(seed)
    told = list[str]()
    sink = ClickHouseSink.open(url)
    for batch in batches:
        faulty.breaks(*chance.choices(clickhouse.FAULTS, weights=(2, 2, 2, 0.2, 8), k=3))
        while True:
            try:
                sink.write(batch)
            except SinkError as error:
                told.append(str(error))
            else:
                break
    sink.close()
    assert told
    assert "secret-word" not in " ".join(told)
    found = _Place(url).read()
    expected = contents([], [], [], [visit for batch in batches for visit in batch.visits], {})
    assert found.visits == expected.visits
    [(count,)] = server_query(url, "SELECT count() FROM visit FINAL")
    assert count == len(expected.visits)


def test_all_sinks_agree_on_a_random_stream(server: clickhouse.Server, tmp_path) -> None:
    batches = stream(random.randrange(1000), 60)
    with postgres.running() as database:
        urls = (database.database(), server.database())
        path = str(tmp_path / "crawl.db")
        with SqliteStore.create_or_open(path) as store, Forwarder(path, urls[0]), Forwarder(path, urls[1]):
            for batch in batches:
                store.write(batch)
        with SqliteStore.open_reading(path) as store:
            expected = contents(store.crawls(), store.sightings(), store.records(), store.visits(), {})
            nodes = list(store.nodes())
        for url in urls:
            with closing(open_source(url)) as source:
                assert contents(source.crawls(), source.sightings(), source.records(), source.visits(), {}) == expected
            pulled = tmp_path / f"pulled-{url.partition(':')[0]}.db"
            with SqliteStore.create_or_open(pulled) as store, closing(open_source(url)) as source:
                merge(store, source)
                assert list(store.nodes()) == nodes


def test_visits_lie_in_the_partition_of_their_month(server: clickhouse.Server) -> None:
    url, month = server.database(), 31 * 24 * 3600
    sink = ClickHouseSink.open(url)
    sink.write(Batch(visits=[rows.visit(1), rows.visit(1, month), rows.visit(1, 4000 * month)]))
    sink.close()
    parts = "SELECT DISTINCT partition FROM system.parts WHERE database = currentDatabase() AND table = 'visit' AND active ORDER BY 1"
    found = server_query(url, parts)
    assert found == [("0",), ("202311",), ("202312",)]


def test_errors_say_what_to_do_and_no_password(server: clickhouse.Server) -> None:
    url = server.database()
    for wrong, said in (
        (url.replace("test_", "nosuch_"), "nosuch_"),
        ("clickhouse://a:secret-word@127.0.0.1:1/x", "127.0.0.1:1"),
        ("clickhouse://a:secret-word@[::1", "cannot read the address"),
        ("clickhouse://a:secret-word@h/x/y", "cannot read the address"),
        ("clickhouse://a:secret-word/h@x/y", "cannot read the address"),
        (url.replace("crawler:", "crawler:wrong"), "516"),
    ):
        with pytest.raises(SinkError, match=said) as caught:
            ClickHouseSink.open(wrong)
        assert "secret-word" not in str(caught.value)
    assert "secret-word" not in repr(ClickHouseSettings.parse(url))
    with pytest.raises(SinkError, match="shares a frontier"):
        open_frontier(url)
    ClickHouseSink.open(url).close()
    server_query(url, "INSERT INTO meta SELECT 99")
    with pytest.raises(SinkError, match="version 99"):
        ClickHouseSink.open(url)


def test_without_the_driver_it_is_said_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "clickhouse_connect", None)
    with pytest.raises(SinkError, match=r"pip install 'devp2p-crawler\[clickhouse\]'"):
        open_sink("clickhouse://h/x")
