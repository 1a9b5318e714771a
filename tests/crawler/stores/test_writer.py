"""The thread that writes: nothing waits for it; what fails is tried again, and told once; what cannot be kept is counted."""

import json
import subprocess
import sys
import threading
from itertools import islice

import pytest
from devp2p_crawler.model import Batch, Visit
from devp2p_crawler.stores import RowsRefusedError, SinkError, SqliteStore, Writer, files, writer

from tests.crawler import rows

FULL_DISK = """
import json, resource, sys, time
from itertools import islice
from devp2p_crawler.stores import SqliteStore, Writer
from tests.crawler import rows

said = []
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, hard))
batches = list(islice(rows.stream(3), 40))
with Writer([SqliteStore.create_or_open(sys.argv[1])], tell=said.append) as writer:
    for batch in batches:
        writer.put(batch)
    while writer.trouble is None:
        time.sleep(0.01)
    waiting = writer.spooled
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    while writer.spooled:
        time.sleep(0.01)
print(json.dumps({"said": said, "waiting": waiting, "lost": writer.lost, "visits": sum(len(batch.visits) for batch in batches)}))
"""


class Memory:
    """A sink that keeps visits in memory, and fails as it is told to."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.visits = list[Visit]()
        self.batches = list[Batch]()
        self.refuses = set[Visit]()
        self.tries = threading.Semaphore(0)
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.is_closed = False

    def write(self, batch: Batch) -> None:
        self.tries.release()
        assert self.goes_on.wait(60)
        if self.fails is not None:
            raise self.fails
        if self.refuses.intersection(batch.visits):
            raise RowsRefusedError("no such visits")
        self.batches.append(batch)
        self.visits += batch.visits

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(writer, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(writer, "_LAST_TRIES", 0.05)
    monkeypatch.setattr(writer, "_WAIT", 0.01)


@pytest.fixture
def sink() -> Memory:
    return Memory()


@pytest.fixture
def said() -> list[str]:
    return []


def visits(*numbers: int) -> Batch:
    return Batch(visits=[rows.visit(number) for number in numbers])


def test_what_is_put_is_written(tmp_path):
    with Writer([SqliteStore.create_or_open(tmp_path / name) for name in ("one.db", "two.db")]) as writer:
        for batch in islice(rows.stream(7), 60):
            writer.put(batch)
    assert (writer.spooled, writer.lost, writer.lag, writer.trouble) == (0, 0, 0.0, None)
    expected = [visit for batch in islice(rows.stream(7), 60) for visit in batch.visits]
    for name in ("one.db", "two.db"):
        with SqliteStore.open_reading(tmp_path / name) as store:
            assert list(store.visits()) == expected
            assert list(store.crawls()) == [rows.crawl(vantage="place 1")]


def test_a_batch_may_be_used_again_after_it_was_put(sink):
    with Writer([sink]) as writer:
        batch = visits(1)
        writer.put(batch)
        batch.visits.clear()
    assert sink.visits == visits(1).visits
    assert sink.is_closed


def test_few_rows_are_written_soon_and_many_at_once(sink):
    with Writer([sink]) as writer:
        writer.put(visits(1))
        assert sink.tries.acquire(timeout=60)  # though nothing else comes
        sink.goes_on.clear()
        writer.put(visits(2))
        assert sink.tries.acquire(timeout=60)
        for number in range(3, 3 + 12_000):  # while one is being written
            writer.put(Batch(visits=[rows.visit(2, number)]))
        assert writer.spooled > 12_000
        assert writer.lag > 0
        sink.goes_on.set()
    assert [len(batch) for batch in sink.batches] == [1, 1, 10_000, 2000]
    assert [visit.began for visit in sink.visits[1:]] == sorted(visit.began for visit in sink.visits[1:])
    assert writer.written == 12_002


def test_a_sink_that_fails_is_tried_again_and_told_of_once(sink, said):
    sink.fails = SinkError("the disk is full; free some space")
    with Writer([sink], tell=said.append) as writer:
        writer.put(visits(1))
        for _ in range(5):
            assert sink.tries.acquire(timeout=60)
        writer.put(visits(2, 3))
        assert said == ["the disk is full; free some space. Up to 100,000 rows wait until it goes on"]
        assert str(writer.trouble) == "the disk is full; free some space"
        sink.fails = None
    assert sorted(visit.node for visit in sink.visits) == sorted(map(rows.node_id, (1, 2, 3)))
    assert said[1].startswith("writing goes on; ")
    assert (len(said), writer.lost) == (2, 0)


def test_while_one_sink_fails_others_are_written(sink, said):
    other = Memory()
    other.fails = SinkError("no server")
    writer = Writer([other, sink], tell=said.append)
    writer.put(visits(1))
    assert sink.tries.acquire(timeout=60)
    writer.close()
    assert sink.visits == visits(1).visits
    assert other.is_closed
    assert writer.lost == 1
    assert said[-1] == "1 rows could not be written: no server"


def test_rows_for_which_there_is_no_room_are_left_out_and_counted(sink, said):
    sink.fails = SinkError("no server")
    with Writer([sink], most=10, tell=said.append) as writer:
        writer.put(visits(*range(8)))
        assert sink.tries.acquire(timeout=60)
        writer.put(Batch(visits=[rows.visit(8), rows.visit(9), rows.visit(10)], crawls=[rows.crawl()], due={rows.node_id(8): 1}))
        for updated in range(50):
            writer.put(Batch(crawls=[rows.crawl(updated=updated)], due={rows.node_id(8): updated}))
        for _ in range(3):
            assert sink.tries.acquire(timeout=60)
        assert writer.spooled == 10  # what is one of its kind is kept, the last of it
        sink.fails = None
    assert sorted(visit.node for visit in sink.visits) == sorted(map(rows.node_id, range(8)))
    assert sink.batches[-1].crawls == [rows.crawl(updated=49)]
    assert sink.batches[-1].due == {rows.node_id(8): 49}
    assert writer.lost == 3
    assert sum("rows are left out" in line for line in said) == 1


def test_a_row_that_a_sink_never_takes_is_left_out_alone(sink, said):
    batch = next(islice(rows.stream(4), 40, None))
    sink.refuses = {batch.visits[0], batch.visits[-1]}
    with Writer([sink], tell=said.append) as writer:
        writer.put(batch)
    assert writer.lost == 2
    assert said == ["1 row left out so far: no such visits"]
    assert [visit for visit in batch.visits if visit not in sink.refuses] == sink.visits
    assert sum(len(written) for written in sink.batches) == len(batch) - 2


def test_a_sink_that_fails_as_none_may_does_not_stop_others(sink, said, caplog):
    broken = Memory()
    broken.fails = ZeroDivisionError("oh")
    with Writer([broken, sink], tell=said.append) as writer:
        writer.put(visits(1))
        writer.put(visits(2))
    assert len(sink.visits) == 2
    assert said == ["1 row left out so far: ZeroDivisionError: oh"]
    assert "not foreseen" in caplog.text


def test_a_file_that_may_not_grow_is_written_when_it_may_again(tmp_path, said):
    store = SqliteStore.create_or_open(tmp_path / "crawl.db")
    [(pages,)] = store.connection.execute("PRAGMA page_count")
    store.connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    expected = [visit for batch in islice(rows.stream(5), 30) for visit in batch.visits]
    told = threading.Event()

    def tell(line: str) -> None:
        said.append(line)
        told.set()

    with Writer([store], tell=tell) as writer:
        for batch in islice(rows.stream(5), 30):
            writer.put(batch)
        assert told.wait(60)
        assert "the disk is full; free some space" in said[0]
        store.connection.execute("PRAGMA max_page_count = 1000000")
    with SqliteStore.open_reading(tmp_path / "crawl.db") as reader:
        assert list(reader.visits()) == expected


def test_a_disk_that_takes_no_more_is_waited_for(tmp_path):
    """A real limit of the system's on the size of files, which is raised later."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path / "crawl.db"], capture_output=True, text=True, timeout=100, check=True)
    told = json.loads(done.stdout)
    assert "the disk is full or failing, or there is a limit on sizes of files" in told["said"][0]
    assert told["said"][1].startswith("writing goes on; ")
    assert (len(told["said"]), told["lost"]) == (2, 0)
    assert told["waiting"] > 0
    with SqliteStore.open_reading(tmp_path / "crawl.db") as reader:
        assert sum(1 for _ in reader.visits()) == told["visits"]
        assert reader.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_file_that_is_locked_or_deleted_meanwhile_is_written_in_the_end(tmp_path, said, monkeypatch):
    monkeypatch.setattr(files, "_PATIENCE", 0.01)
    path = tmp_path / "crawl.db"
    told = threading.Event()

    def tell(line: str) -> None:
        said.append(line)
        told.set()

    with Writer([SqliteStore.create_or_open(path)], tell=tell) as writer:
        writer.put(visits(1))
        while writer.spooled:
            pass
        other = files.open_writing(str(path))
        other.execute("BEGIN IMMEDIATE")
        writer.put(visits(2))
        assert told.wait(60)
        assert "another program has" in said[0]
        other.rollback()
        other.close()
        while writer.spooled:
            pass
        path.unlink()
        writer.put(visits(3))
    with SqliteStore.open_reading(path) as reader:
        assert sorted(visit.node for visit in reader.visits()) == sorted(map(rows.node_id, (1, 2, 3)))
    assert writer.lost == 0


def test_a_clock_that_jumps_loses_nothing_and_changes_no_order_of_times(tmp_path):
    """The wall clock goes back an hour within a visit, and later a day ahead: what is known follows from the times that were written."""
    back, ahead = rows.BEGIN - 3600_000_000, rows.BEGIN + 86_400_000_000
    during = rows.visit(1, 10, ended=back)
    after = [rows.visit(1, (back - rows.BEGIN) / 1e6 + second) for second in range(5)]
    late = [rows.visit(1, (ahead - rows.BEGIN) / 1e6 + second) for second in range(5)]
    with Writer([SqliteStore.create_or_open(tmp_path / "crawl.db")]) as writer:
        for visit in [rows.visit(1, 0), rows.visit(1, 5), during, *after, *late, rows.visit(1, 20)]:
            writer.put(Batch(visits=[visit]))
    with SqliteStore.open_reading(tmp_path / "crawl.db") as reader:
        found = list(reader.visits())
        assert len(found) == 14
        assert [visit.began for visit in found] == sorted(visit.began for visit in found)
        [node] = reader.nodes()
        assert (node.first_seen, node.first_ok, node.last_ok) == (back, back, ahead + 4_100_000)
        assert node.score == 14
        [(visits, alive)] = reader.connection.execute("SELECT sum(visits), min(alive) FROM spells").fetchall()
        assert (visits, alive) == (14, 1)
