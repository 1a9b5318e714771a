"""A file that is crawled into again: who was visited lately is left alone, and a crawl goes on as what it was."""

import json
from collections import Counter
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
import trio
from devp2p_crawler.cli import main, resume
from devp2p_crawler.crawling import CrawlSettings, run_crawl
from devp2p_crawler.crawling.rows import Rows
from devp2p_crawler.crawling.sources import enter_known, remember_courtesy
from devp2p_crawler.crawling.state import MICRO, State, wall
from devp2p_crawler.frontier import Cover, Place
from devp2p_crawler.model import Batch, Kind, KnownNode, Outcome, Visit
from devp2p_crawler.stores import SqliteStore

from devp2p import Address, NodeRecord, PrivateKey, Record
from devp2p.terminal import Exit, Failure
from tests.cli.processes import closed_port
from tests.crawler.known_nodes import key, known
from tests.crawler.rows import crawl
from tools.crawler.simulated import running

MINUTE = 60 * MICRO
NOBODY = f"enode://{bytes(key(0).public_key).hex()}@"


class Nowhere:
    """Takes rows."""

    def put(self, batch: Batch) -> None:
        pass


def a_state(**settings: Any) -> State:
    chosen = CrawlSettings(strict=True, key=key(99), **settings)
    return State(chosen, Rows(Nowhere(), "local"), bytes(16), bytes(key(99).public_key.node_id), {4: Cover(lambda: 0.5)})


def visited(number: int, ago: float, **changes: Any) -> KnownNode:
    """A node that was visited some minutes ago, and answered."""
    when = wall() - round(ago * MINUTE)
    facts = {"last_visit": when, "last_ok": when, "outcomes": {Kind.V4: Outcome.OK, Kind.RLPX: Outcome.OK}}
    return known(number, **{**facts, **changes})


def due_in(state: State, node: KnownNode) -> float:
    """Seconds until it is visited; 0 for one that is queued, inf for one that is left alone."""
    entry = state.queue.get(node.node)
    assert entry is not None
    return 0.0 if entry.place is Place.QUEUED else entry.due - trio.current_time()


async def test_a_new_crawl_leaves_alone_who_was_visited_in_the_last_ten_minutes() -> None:
    lately, long_ago, never = visited(1, 9), visited(2, 11), known(3, last_visit=None, last_ok=None, outcomes={})
    silent = visited(4, 2, last_ok=None, outcomes={Kind.V4: Outcome.SILENT})
    came = visited(5, 1, outcomes={Kind.INBOUND: Outcome.OK})
    later = visited(6, -60 * 24 * 365)  # as a clock had it that was wrong
    uncalled = visited(7, 1, outcomes={Kind.V4: Outcome.OK})
    nodes = [lately, long_ago, never, silent, came, later, uncalled]
    state = a_state()
    left, again = enter_known(state, nodes, {node.node: wall() - 1 for node in nodes}, wall())
    assert [due_in(state, node) for node in nodes] == [inf, 0, 0, inf, 0, 0, inf]
    assert ([entry.id for entry in left], again) == ([uncalled.node], [])
    assert (state.counts.alive, state.counts.failed, state.counts.skipped["visited lately"]) == (2, 1, 3)
    for node in (lately, silent):  # whoever names them
        state.trusted(NodeRecord.from_enr(key_record(node)))
        assert due_in(state, node) == inf


def key_record(node: KnownNode) -> Record:
    assert node.record is not None
    return Record.decode(node.record.raw)


async def test_a_monitor_visits_each_node_when_it_is_due_whoever_visited_it_before() -> None:
    state = a_state(monitor=True)
    up, down, given_up = visited(1, 3), visited(2, 100, last_ok=0), visited(3, 4)
    wrong = visited(4, 0)
    due = {up.node: wall() + 2 * MINUTE, down.node: wall() + 300 * MINUTE, wrong.node: wall() + 10**9 * MINUTE}
    enter_known(state, [up, down, given_up, wrong], due, wall())
    assert due_in(state, up) == pytest.approx(120, abs=5)
    assert due_in(state, down) == pytest.approx(300 * 60, abs=5)
    assert due_in(state, given_up) == pytest.approx(360, abs=5)  # nothing is known of when, but ten minutes are always left
    assert due_in(state, wrong) == pytest.approx(24 * 3600, abs=5)
    assert (state.counts.alive, state.counts.failed) == (3, 1)


async def test_what_was_done_to_a_host_counts_whoever_did_it() -> None:
    """Calls and datagrams of earlier runs count: there is no fourth call to a host within ten minutes, and no second one to a node."""
    state, now = a_state(), wall()
    ip = bytes([8, 0, 0, 1])

    def before(number: int, minutes: float, kind: Kind = Kind.RLPX) -> Visit:
        began, node = now - round(minutes * MINUTE), bytes(key(number).public_key.node_id)
        visit = Visit(crawl=bytes([number]) * 16, node=node, kind=kind, began=began, ended=began, outcome=Outcome.OK)
        return replace(visit, ip=ip, port=30303, asked=8)

    remember_courtesy(state, [before(1, 11), before(2, 9), before(3, 5), before(4, 1), *(before(5, 0.1, Kind.V4) for _ in range(8))])
    host, clock = state.courtesy.host(ip, 30303), trio.current_time()
    for number in (1, 6):
        assert state.courtesy.when_to_dial(host, bytes(key(number).public_key.node_id), clock) == pytest.approx(clock + 60, abs=5)
    elsewhere = state.courtesy.host(bytes([9, 0, 0, 1]), 30303)
    assert state.courtesy.when_to_dial(elsewhere, bytes(key(4).public_key.node_id), clock) == pytest.approx(clock + 540, abs=5)
    assert state.courtesy.when_to_dial(elsewhere, bytes(key(6).public_key.node_id), clock) == clock
    assert not state.courtesy.may_send(host, clock)


@pytest.mark.real_clock
async def test_a_second_crawl_into_a_file_bothers_nobody_again(tmp_path: Path) -> None:
    file = tmp_path / "crawl.db"
    async with running(nodes=24, seed=5, dead=0.2) as network:
        settings = CrawlSettings(
            strict=True,
            key=PrivateKey.generate(),
            bootnodes=(NodeRecord.parse(network.enr),),
            versions=(5,),
            udp_listen=Address("udp", "127.0.0.1", 0),
            duration=20,
        )
        first = await run_crawl(settings, SqliteStore.for_crawl(file))
        second = await run_crawl(replace(settings, key=PrivateKey.generate()), SqliteStore.for_crawl(file))
        summary = await network.end()
    assert first.is_done
    assert second.is_done
    assert second.found >= first.found
    assert second.alive >= first.alive > 5
    assert second.skipped["visited lately"] >= first.alive
    assert summary["findings"] == []
    with SqliteStore.open_reading(file) as store:
        visits = Counter((visit.node, visit.kind) for visit in store.visits() if visit.outcome is Outcome.OK)
        crawls = list(store.crawls())
    assert set(visits.values()) == {1}
    assert len(crawls) == 2
    assert all(one.is_complete for one in crawls)


@pytest.mark.real_clock
async def test_a_crawl_whose_time_was_up_can_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = str(tmp_path / "x.db")
    settings = CrawlSettings(
        strict=True,
        key=PrivateKey.generate(),
        bootnodes=(NodeRecord.parse(f"{NOBODY}{closed_port()}"),),
        udp_listen=Address("udp", "127.0.0.1", 0),
        duration=0.1,
    )
    await run_crawl(settings, SqliteStore.for_crawl(db))
    found = resume.unfinished(db)
    assert found.ended is not None
    assert main(["info", "--db", db]) == Exit.OK
    out = capsys.readouterr().out
    assert ", out of time" in out
    assert f"to go on: devp2p-crawl resume --db {db}" in out
    last = await run_crawl(replace(settings, resume=found.id, duration=20), SqliteStore.for_crawl(db))
    assert last.is_done
    with pytest.raises(Failure, match="is complete, as everybody was visited: devp2p-crawl crawl --db"):
        resume.unfinished(db)


def test_a_monitor_goes_on_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db, sessions = str(tmp_path / "x.db"), str(tmp_path / "sessions.ndjson")
    where = ["--db", db, "--listen", "127.0.0.1:0", "--for", "0.2", "--json"]
    assert main(["monitor", *where, "--bootnode", f"{NOBODY}{closed_port()}", "--no-dial"]) == Exit.OK
    before = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert main(["resume", *where, "--sessions", sessions]) == Exit.OK
    after = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (before["ended"], after["ended"], after["crawl"]) == ("time", "time", before["crawl"])
    assert after["sessions"]["open"] == 0
    assert Path(sessions).exists()
    found = resume.unfinished(db)
    assert found.monitors
    assert json.loads(found.settings)["no-dial"] == ["true"]


def test_sessions_are_of_monitors_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with SqliteStore.create_or_open(tmp_path / "x.db") as store:
        store.write(Batch(crawls=[crawl()]))
    assert main(["resume", "--db", str(tmp_path / "x.db"), "--sessions", "y"]) == Exit.USAGE
    assert "--sessions is for monitors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ended", "counters", "expected"),
    [(None, '{"is_done": true}', False), (5, '{"is_done": true}', True), (5, '{"is_done": false}', False), (5, "{", True), (5, "[]", True)],
)
def test_a_crawl_is_complete_once_everybody_was_visited(ended: int | None, counters: str, expected: object) -> None:
    assert replace(crawl(ended=ended), counters=counters).is_complete is expected
