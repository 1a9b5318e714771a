"""`devp2p-crawl info`: what is in a file, whether it is whole, and what can be gone on with."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from devp2p_crawler.cli import info, main, resume
from devp2p_crawler.model import Batch, Kind, Outcome
from devp2p_crawler.stores import SqliteStore

from devp2p.terminal import Exit, Failure
from tests.crawler.rows import crawl, node_id, sighting, visit


@pytest.fixture
def db(tmp_path: Path) -> str:
    path = str(tmp_path / "crawl.db")
    with_it = SqliteStore.create_or_open(path)
    with with_it as store:
        store.write(
            Batch(
                crawls=[crawl(1, ended=None), crawl(2, vantage="away", ended=1_700_000_100_000_000)],
                sightings=[sighting(number) for number in range(1, 5)],
                visits=[visit(1), visit(2, 5, Outcome.SILENT), visit(1, 9, kind=Kind.RLPX), visit(3, 60, kind=Kind.V5, of=2)],
                due={node_id(4): 1},
            )
        )
    return path


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> Iterator[str]:
    assert main(["info", *argv]) == Exit.OK
    yield from capsys.readouterr().out.splitlines()


def test_what_is_in_a_file_is_told(db: str, capsys: pytest.CaptureFixture[str]):
    lines = dict(line.split(None, 1) for line in told(capsys, "--db", db) if line and not line.startswith(" "))
    assert lines["whole"] == "yes"
    assert lines["nodes"] == "4, of which 3 were visited and 2 answered; 0 said who they are"
    assert lines["visits"] == "2 by v4, 1 by v5, 1 by rlpx"
    assert lines["time"] == "from 2023-11-14T22:13:20Z to 2023-11-14T22:14:20Z"
    assert lines["vantages"] == "away, local"
    assert lines["frontier"].startswith("1 nodes")
    assert lines["to"] == f"go on: devp2p-crawl resume --db {db}"


def test_the_same_for_programs(db: str, capsys: pytest.CaptureFixture[str]):
    [line] = told(capsys, "--db", db, "--json", "--check")
    found = json.loads(line)
    assert found["nodes"] == 4
    assert found["damage"] == []
    assert [one["state"] for one in found["crawls"]] == ["interrupted", "done"]
    assert found["resumable"] == found["crawls"][0]["id"] == (1).to_bytes(16, "big").hex()
    assert found["crawls"][1]["seconds"] == 100.0


def test_a_crawl_that_was_written_lately_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = str(tmp_path / "crawl.db")
    with SqliteStore.create_or_open(path) as store:
        store.write(Batch(crawls=[crawl(1, updated=int(time.time() * 1e6))]))
    text = "\n".join(told(capsys, "--db", path))
    assert "from local, running" in text
    assert "to go on" not in text
    assert "nobody was visited yet" in text


def test_a_damaged_file_is_told_of(db: str, capsys: pytest.CaptureFixture[str]):
    data = bytearray(Path(db).read_bytes())
    data[4096 * 3 : 4096 * 12] = b"\xff" * 4096 * 9
    Path(db).write_bytes(data)
    assert main(["info", "--db", db]) == Exit.FAILED
    out = capsys.readouterr()
    assert "damaged" in out.err or "whole     no: " in out.out


@pytest.mark.parametrize("name", ["gone.db", "text.db", "."])
def test_what_is_no_file_of_a_crawl_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("This is a text that is no database at all. " * 100)
    assert main(["info", "--db", name]) == Exit.FAILED
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("devp2p-crawl: ")
    assert out.err.count("\n") == 1


def test_times_and_counters_that_cannot_be_are_nothing():
    assert info._iso(2**62) is None
    assert info._iso(None) is None
    assert info._object("[1]") == info._object("{") == {}


# Which crawl can go on


def test_the_last_crawl_that_has_no_end_goes_on(db: str):
    assert resume.unfinished(db).id == (1).to_bytes(16, "big")


@pytest.mark.parametrize(("ended", "message"), [(5, "as everybody was visited: devp2p-crawl crawl --db"), (None, "no crawl in")])
def test_where_nothing_can_go_on_it_is_said_what_can_be_done(ended: int | None, message: str, tmp_path: Path):
    path = str(tmp_path / "crawl.db")
    with SqliteStore.create_or_open(path) as store:
        if ended is not None:
            store.write(Batch(crawls=[crawl(1, ended=ended)]))
    with pytest.raises(Failure, match=message):
        resume.unfinished(path)
