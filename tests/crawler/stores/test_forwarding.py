"""What is in a file, sent on to a server: here another file, or one that fails when it is told to."""

import random
import time
from pathlib import Path

import pytest
from devp2p_crawler.cli import main
from devp2p_crawler.model import Batch
from devp2p_crawler.stores import Forwarder, RowsRefusedError, SinkError, SqliteStore, open_sink, open_source, shown
from devp2p_crawler.stores.forwarding import mark_path
from devp2p_crawler.stores.servers import SINKS

from tests.crawler import rows
from tests.crawler.conformance import Contents, contents

URL = "postgresql://crawler:secret-word@db.example/crawls?sslpassword=secret-word"


def told_of(path: Path) -> Contents:
    with SqliteStore.open_reading(path) as store:
        return contents(store.crawls(), store.sightings(), store.records(), store.visits(), {})


class Failing:
    """A server that takes rows only now and then, and sometimes fails after it has taken them."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self._store, self._chance = SqliteStore.create_or_open(path), chance
        self.is_away = False
        self.visits = 0

    def write(self, batch: Batch) -> None:
        luck = self._chance.random()
        if self.is_away or luck < 0.2:
            raise SinkError("it is away")
        if any(visit.asked == 13 for visit in batch.visits):
            raise RowsRefusedError("nobody takes that")
        self._store.write(batch)
        self.visits += len(batch.visits)
        if luck > 0.8:
            raise SinkError("it went away in between")

    def close(self) -> None:
        self._store.close()


def test_everything_gets_there_however_often_it_fails_and_a_row_that_nobody_takes_is_left_out(tmp_path, monkeypatch) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201
    monkeypatch.setattr("devp2p_crawler.stores.forwarding._FIRST_PAUSE", 0.001)
    monkeypatch.setattr("devp2p_crawler.stores.forwarding._EVERY", 0.001)
    server, told = Failing(tmp_path / "server.db", random.Random(seed)), list[str]()
    batches = [batch for batch, _ in zip(rows.stream(seed, crawls=2), range(20), strict=False)]
    path = str(tmp_path / "crawl.db")
    with SqliteStore.create_or_open(path) as store, Forwarder(path, URL, tell=told.append, opener=lambda _: server) as forwarder:
        for batch in batches:
            store.write(batch)
        store.write(Batch(visits=[rows.visit(1, 10_000, asked=13)]))
        store.write(Batch(visits=[rows.visit(1, 10_001)]))
    assert forwarder.refused >= 1
    found, expected = told_of(tmp_path / "server.db"), told_of(tmp_path / "crawl.db")
    assert found.visits == [visit for visit in expected.visits if visit.asked != 13]
    assert (found.crawls, found.sightings, found.records) == (expected.crawls, expected.sightings, expected.records)
    assert "secret-word" not in " ".join(told)


def test_what_a_server_missed_is_sent_by_the_next_forwarder_and_no_more_visits_than_that(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("devp2p_crawler.stores.forwarding._LAST_TRIES", 0.0)
    monkeypatch.setattr("devp2p_crawler.stores.forwarding._FIRST_PAUSE", 0.001)
    path, told = str(tmp_path / "crawl.db"), list[str]()

    def forward(*, is_away: bool = False) -> int:
        server = Failing(tmp_path / "server.db", random.Random(0))
        server.is_away = is_away
        monkeypatch.setattr(server._chance, "random", lambda: 0.5)
        with Forwarder(path, URL, tell=told.append, opener=lambda _: server):
            pass
        return server.visits

    with SqliteStore.create_or_open(path) as store:
        store.write(Batch(crawls=[rows.crawl()], visits=[rows.visit(number) for number in range(10)]))
        assert forward() == 10
        store.write(Batch(visits=[rows.visit(number, 1) for number in range(5)], sightings=[rows.sighting()]))
        assert forward(is_away=True) == 0
        assert "has not everything yet: it is away" in told[-1]
        assert forward() == 5
        assert forward() == 0
    assert told_of(tmp_path / "server.db") == told_of(tmp_path / "crawl.db")
    mark_path(path, URL).write_text("{")  # a disk was full
    assert forward() == 15
    for end in ("", "-wal", "-shm"):
        Path(path + end).unlink(missing_ok=True)
    with SqliteStore.create_or_open(path) as store:  # another file has its name
        store.write(Batch(visits=[rows.visit(number, 7) for number in range(30)]))
        assert forward() == 30


def test_a_file_that_is_deleted_and_written_anew_at_its_place_is_followed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("devp2p_crawler.stores.forwarding._EVERY", 0.001)
    path, server = str(tmp_path / "crawl.db"), Failing(tmp_path / "server.db", random.Random(0))
    monkeypatch.setattr(server._chance, "random", lambda: 0.5)
    with SqliteStore.create_or_open(path) as store:
        with Forwarder(path, URL, opener=lambda _: server):
            store.write(Batch(visits=[rows.visit(1)]))
            while not server.visits:
                time.sleep(0.001)
            Path(path).unlink()
            store.write(Batch(visits=[rows.visit(2)]))
        assert server.visits == 2
    assert told_of(tmp_path / "server.db") == told_of(tmp_path / "crawl.db")


def test_a_file_is_sent_by_a_command(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("devp2p_crawler.stores.forwarding._LAST_TRIES", 0.0)
    monkeypatch.setattr("devp2p_crawler.stores.forwarding._FIRST_PAUSE", 0.001)
    path, server = tmp_path / "crawl.db", Failing(tmp_path / "server.db", random.Random(0))
    monkeypatch.setattr(server._chance, "random", lambda: 0.5)
    monkeypatch.setitem(SINKS, "postgresql", lambda _: server)
    with SqliteStore.create_or_open(path) as store:
        store.write(Batch(crawls=[rows.crawl()], visits=[rows.visit(number) for number in range(10)]))
    assert main(["send", "--db", str(path), URL]) == 0
    assert told_of(tmp_path / "server.db") == told_of(path)
    shown_url = "postgresql://crawler@db.example/crawls"
    assert capsys.readouterr().out == f"{shown_url}: 10 visits sent, 0 rows not taken\n"
    server = Failing(tmp_path / "server.db", random.Random(0))
    server.is_away = True
    assert main(["send", "--db", str(path), URL]) == 1
    assert main(["send", "--db", str(tmp_path / "gone.db"), URL]) == 2
    assert main(["send", "--db", str(path), "crawl.db"]) == 2
    assert "secret-word" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, "postgresql://crawler@db.example/crawls"),
        ("postgresql://a:b:c@d@h:1/x", "postgresql://a@h:1/x"),
        ("clickhouses://:p%40q@h/x?a=1&password=p", "clickhouses://h/x?a=1"),
        ("postgresql://h/x", "postgresql://h/x"),
        ("crawl@home.db", "crawl@home.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, expected: str) -> None:
    assert shown(url) == expected


@pytest.mark.parametrize("opener", [open_sink, open_source])
def test_urls_that_are_none_are_refused_without_their_passwords(opener) -> None:
    for url in ("mysql://a:secret-word@h/x", "postgresql://a:secret-word@[::1"):
        with pytest.raises(SinkError) as caught:
            opener(url)
        assert "secret-word" not in str(caught.value)
