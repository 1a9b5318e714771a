"""Sessions that are followed while a crawl goes on: the tracker, the sink that feeds it, and the command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devp2p_crawler.analysis import SessionState, SessionTracker, sessions_of, stretches_of
from devp2p_crawler.cli import main
from devp2p_crawler.cli.monitor import Sessions
from devp2p_crawler.crawling import SessionSink
from devp2p_crawler.model import Batch, Kind, Outcome, Visit
from devp2p_crawler.stores import SqliteStore
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.crawler.test_cli_crawl import lines_of, running
from tools.crawler.pictures import simulated

MINUTE = 60_000_000
OUTCOMES = [Outcome.OK, Outcome.SILENT, Outcome.TOO_MANY_PEERS, Outcome.OUR_FAULT, Outcome.REFUSED]
STEPS = st.tuples(st.integers(0, 3), st.sampled_from(OUTCOMES), st.sampled_from([Kind.V4, Kind.RLPX]), st.integers(1, 300))


def a_visit(minute: int, node: int = 0, outcome: Outcome = Outcome.OK, kind: Kind = Kind.V4) -> Visit:
    began = minute * MINUTE
    return Visit(crawl=bytes(16), node=bytes([node]) * 32, kind=kind, began=began, ended=began + 1000, outcome=outcome)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(OUTCOMES), st.sampled_from([Kind.V4, Kind.RLPX]), st.integers(1, 300)), max_size=60
    )
)
def test_sessions_are_the_same_whether_they_are_followed_or_computed_in_the_end(steps: list[tuple[int, Outcome, Kind, int]]):
    tracker, minute, visits, changes = SessionTracker(), 0, list[Visit](), 0
    for node, outcome, kind, pause in steps:
        minute += pause
        visits.append(a_visit(minute, node, outcome, kind))
        changes += tracker.take(visits[-1]) is not None
    sessions = [one for node in range(4) for one in sessions_of(stretches_of(v for v in visits if v.node == bytes([node]) * 32))]
    states = [one.state for one in sessions]
    counts = tracker.counts
    assert (counts.open, counts.pending) == (states.count(SessionState.OPEN), states.count(SessionState.PENDING))
    assert (counts.opened, counts.closed) == (len(sessions), states.count(SessionState.CLOSED))
    assert changes == counts.opened + counts.closed
    known = [one for one in sessions if one.known_start]
    survival = tracker.survival()
    assert (survival.observed, survival.ended) == (len(known), sum(one.state is SessionState.CLOSED for one in known))


def batch(*visits: Visit) -> Batch:
    return Batch(visits=[*visits])


def test_each_session_that_begins_or_ends_is_a_line(tmp_path: Path):
    path = tmp_path / "sessions.ndjson"
    sink = SessionSink(path)
    sink.write(batch(a_visit(0), a_visit(30), a_visit(31, 1, Outcome.SILENT)))
    sink.write(batch(a_visit(45, outcome=Outcome.SILENT), a_visit(50, 1)))
    sink.close()
    began, ended, other = map(json.loads, path.read_text("ascii").splitlines())
    assert (began["session"], began["node"], began["seconds"]) == ("began", "00" * 32, 0.001)
    assert ended == {
        "session": "ended",
        "node": "00" * 32,
        "began": "1970-01-01T00:00:00.000+00:00",
        "last_seen": "1970-01-01T00:30:00.001+00:00",
        "missed": "1970-01-01T00:45:00.000+00:00",
        "seconds": 1800.001,
        "known_start": False,
    }
    assert (other["session"], other["known_start"]) == ("began", True)
    again = SessionSink(path)
    again.write(batch(a_visit(0, 7)))
    again.close()
    assert len(path.read_text("ascii").splitlines()) == 4


def test_a_full_disk_costs_lines_and_no_count():
    sink = SessionSink(Path("/dev/full"))
    sink.write(batch(a_visit(0)))
    assert (sink.counts.open, sink.trouble, sink.lost) == (1, "No space left on device", 0)
    sessions = Sessions(sink)
    lines = [line for _ in range(60) for line in sessions.news()]
    assert lines == ["sessions cannot be written down: No space left on device; they wait"]
    sink.close()
    assert sink.lost == 1
    assert sessions.sum()["sessions"] == {"open": 1, "pending": 0, "began": 1, "ended": 0, "median_minutes": None, "lost_lines": 1}


def test_what_is_new_of_sessions_is_told_once_a_minute():
    sink = SessionSink()
    sessions = Sessions(sink)
    sink.write(batch(a_visit(0), a_visit(0, 1), a_visit(90, 1), a_visit(95, 1, Outcome.SILENT), a_visit(95, 0, Outcome.SILENT)))
    told = [[*sessions.news()] for _ in range(180)]
    assert [index for index, lines in enumerate(told) if lines] == [59]
    assert told[59] == ["sessions: 0 open, 1 doubtful; in the last minute 2 began and 1 ended"]


def test_without_anybody_to_begin_with_nothing_is_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "x.db"
    assert main(["monitor", "--db", str(path)]) == 1
    assert "there is no file" in capsys.readouterr().err
    SqliteStore.create_or_open(path).close()
    assert main(["monitor", "--db", str(path)]) == 1
    assert "there are no nodes in" in capsys.readouterr().err


@pytest.fixture(scope="module")
def bootnode() -> Iterator[str]:
    with simulated(30, 3) as enode:
        yield enode


@pytest.mark.simulation
def test_monitoring_follows_the_sessions_of_a_network(bootnode: str, tmp_path: Path):
    db, sessions = tmp_path / "x.db", tmp_path / "s.ndjson"
    told: list[dict[str, Any]] = []
    for start in (["--bootnode", bootnode], []):  # the second time it begins with what is known
        argv = ["monitor", "--db", str(db), *start, "--no-dial", "--v4", "--for", "5", "--json", "--sessions", str(sessions)]
        with running(*argv) as process:
            told.append([*lines_of(process)][-1])
            assert process.wait(60) == 0
    for summary in told:
        assert (summary["event"], summary["ended"]) == ("summary", "time")
        assert summary["alive"] > 5
    assert told[0]["sessions"]["open"] == told[0]["alive"]
    assert told[1]["sessions"]["open"] == 0  # nobody is visited twice within a minute
    lines = [json.loads(line) for line in sessions.read_text("ascii").splitlines()]
    assert len(lines) == sum(summary["sessions"]["began"] for summary in told)
