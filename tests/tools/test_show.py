"""The demonstration: the whole of it as a user runs it, and the figures that it shows."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from devp2p import Address
from devp2p.transports.links import Arrival, StreamLink
from devp2p.transports.memory import MemoryTransport
from tests.tools.boards import BAD, GOOD, POOR, report, session, small_board
from tools.show import worker
from tools.show.board import Board
from tools.show.line import Line, MeasuredTransport
from tools.show.meters import Meter, curve, percentile
from tools.show.plan import GO, Nature, NodePlan, plan_nodes
from tools.show.reports import Event, Experience, NodeReport, lines_of, read_line, write_line
from tools.show.summary import summary_lines, summary_of, usual_time

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 240  # seconds after which a test gives up


# The whole show


def start_show(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tools.show", "--json", "--no-go", "--seed", "1", "--out", str(directory / "out"), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def watch_show(process: subprocess.Popen[str], act: Callable[[list[Event]], None]) -> list[Event]:
    """All events of a show; `act` is called with those so far at the first one called ``progress``."""
    assert process.stdout is not None
    events = []
    try:
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "progress":
                act(events)
                break
        rest, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert errors == ""
    return events + [json.loads(line) for line in rest.splitlines()]


def pids_of(events: list[Event]) -> set[int]:
    return {event["pid"] for event in events if event["event"] == "listening"}


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.simulation  # the whole of it, with a crawl; those below begin and end a small one
def test_all_nodes_find_each_other_from_one_bootnode_and_nothing_is_left_behind(tmp_path):
    process = start_show(tmp_path, "--nodes", "13", "--seconds", "2")
    events = watch_show(process, lambda _: None)
    plan, summary = events[0], events[-1]
    assert process.returncode == 0, summary
    assert summary["crawl"]["alive"] >= 5, summary["notes"]
    assert "<html" in Path(summary["crawl"]["report"]).read_text("utf-8")[:1000]
    assert (plan["event"], len(plan["nodes"]), summary["event"], summary["errors"]) == ("plan", 13, "summary", 0)
    assert summary["connected"] == summary["nodes"] == 13
    assert {event["node"] for event in events if event["event"] == "met"} == {node["name"] for node in plan["nodes"]}
    # Nobody was told of anybody but the bootnode, by it or by the parent: the others were named by discovery, and dialled.
    assert set(summary["found_by"]) <= {"bootnode", "v4", "v5"}
    assert summary["found_by"]["bootnode"] == 12
    assert summary["dials"] - summary["failed_dials"] >= 12
    observed = {(event["node"], event["peer_name"]) for event in events if event["event"] == "connected"}
    assert {peer for _, peer in observed} > {plan["nodes"][0]["name"]}
    assert {name for name, _ in observed} == {node["name"] for node in plan["nodes"] if node["observer"]}
    assert 0 < summary["service_share_of_best"] <= 1
    assert summary["bulk"]["bytes"] + summary["echo"]["answers"] + summary["news"]["first"] > 0
    assert (summary["seed"], summary["go_ethereum"]) == (1, False)
    assert all(Path(path).stat().st_size > 0 for path in summary["plots"])
    assert [Path(path).suffix for path in summary["plots"]] == [".svg", ".html", ".png"][: 3 - len(summary["notes"])]
    assert len(pids_of(events)) == 2
    assert not any(map(is_running, pids_of(events)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(number, tmp_path):
    process = start_show(tmp_path, "--no-crawl", "--nodes", "3", "--seconds", "600")
    events = watch_show(process, lambda _: process.send_signal(number))
    assert process.returncode == 0, events[-1]
    assert (events[-1]["event"], events[-1]["errors"]) == ("summary", 0)
    assert not any(map(is_running, pids_of(events)))


def test_a_worker_that_dies_makes_it_fail(tmp_path):
    process = start_show(tmp_path, "--no-crawl", "--nodes", "3", "--seconds", "1")
    events = watch_show(process, lambda events: os.kill(pids_of(events).pop(), signal.SIGKILL))
    assert process.returncode == 1
    assert any("ended with status -9" in problem for problem in events[-1]["problems"])


def test_a_node_that_cannot_listen_is_a_problem_and_no_end(capsys):
    async def main() -> None:
        plan = NodePlan("ada", Nature.GOOD, 0, "tcp://192.0.2.1:0", ("127.0.0.1",), 8, qualities={"echo": 1.0})  # nobody's (RFC 5737)
        async with trio.open_nursery() as nursery:
            await worker._start(plan, [], 1.0, [], nursery)

    trio.run(main)
    board = Board(plan_nodes(3, 0, ipv6=False))
    board.apply({**json.loads(capsys.readouterr().out), "source": "worker 0"}, 0.0)
    assert board.errors == 1
    assert "did not start" in board.problems[0]


# Figures


def test_percentiles_are_values_that_were_there():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, percent) for percent in (0, 20, 50, 99, 100)] == [1, 1, 3, 5, 5]
    assert percentile([], 50) is None


def test_a_rate_is_that_of_the_last_seconds():
    meter = Meter()
    for now in range(10):
        meter.read(now, 100 * now)
    assert meter.rate == 100
    for now in range(10, 20):
        meter.read(now, 900)
    assert meter.rate == 0


def test_a_curve_goes_from_bottom_to_top():
    assert curve([0.0, 0.5, 1.0], 1.0) == "▁▄█"
    assert curve([0.0, 0.0], 0.0) == "▁▁"


# What the parent knows


def test_the_share_is_what_peers_truly_give_over_the_best():
    board = small_board()
    watched = board.nodes["dan"]
    assert board.share(watched) == 0.0
    report(board, NodeReport(sessions=(session(POOR), session(BAD))), 2.0)
    assert board.share(watched) == pytest.approx(0.05 / 1.3)  # the best two are ada and bob
    report(board, NodeReport(sessions=(session(POOR), session(GOOD))), 3.0)
    assert board.share(watched) == 1.0
    board.add(GO)
    board.apply({"event": "listening", "node": "geth", "id": "g", "client": "c", "enr": "", "enode": ""}, 3.0)
    assert board.share(watched) == pytest.approx(1.3 / 2.25)  # with go-ethereum's node there is a better second one
    assert 0 < board.chance(watched) < 1


def test_the_summary_counts_each_thing_once():
    board = small_board()
    experience = {"bulk": Experience(useful=100_000.0, invalid=3, why="brought 1 pieces")}
    report(board, NodeReport(peers=2, bytes_out=10, dials=4, failed_dials=1, found={"v4": 2, "dns": 0}), 2.0, "ada")
    first = NodeReport(bulk_bytes=4_000_000, bytes_out=5, latencies_ms=(1.0, 9.0), sessions=(session(GOOD, experience),))
    report(board, first, 2.0)
    report(board, NodeReport(bulk_bytes=8_000_000, bytes_out=5, latencies_ms=(2.0,), wrong=3, sessions=(session(BAD),)), 2.5)
    board.sample(3.0)
    summary = summary_of(board, 5.0)
    wanted = {"nodes": 4, "connected": 4, "bytes": 15, "dials": 4, "failed_dials": 1, "errors": 0, "wrong": 3, "hostile_in_slots": 1}
    assert {name: summary[name] for name in wanted} == wanted
    assert summary["found_by"] == {"v4": 2}
    assert summary["bulk"]["mb_per_s"] == 2.0
    assert summary["latency_ms"] == {"p50": 2.0, "p99": 9.0}
    assert summary["places_by_nature"] == {"good": 0, "slow": 0, "useless": 0, "hostile": 1}
    assert (summary["service_share_of_best"], summary["observers"][0]["service_share_of_best"]) == (0.0, 0.0)
    assert "1 of 2 places at the end" in "\n".join(summary_lines(summary))


def test_a_summary_of_nothing_is_one():
    board = Board(plan_nodes(3, 0, ipv6=False))
    summary = summary_of(board, 1.0)
    assert (summary["connected"], summary["service_share_of_best"]) == (0, None)
    assert usual_time(60.0, 300.0).endswith("as much steering as in 5.0 h at the usual one")
    assert usual_time(2.0, 60.0).endswith("as in 2 min at the usual one")
    assert "nothing was measured" in "\n".join(summary_lines(summary))


def test_rates_are_those_of_a_peer_in_a_capability():
    board = small_board()
    for now in range(2, 6):
        report(board, NodeReport(sessions=(session(GOOD, {"bulk": Experience(useful=1000.0 * now)}), session(POOR, {}, 9.0))), now)
    oldest, row = board.rows(board.nodes["dan"])
    assert oldest.plan is POOR
    assert (row.plan, row.rates) == (GOOD, {"bulk": 1000.0})


@pytest.mark.parametrize(
    ("event", "errors"),
    [
        ({"event": "dropped", "peer": "id of ada", "reason": 4, "why": "", "seconds": 1.0}, 0),
        ({"event": "dropped", "peer": "id of cal", "reason": 2, "why": "it broke the rules", "seconds": 1.0}, 0),
        ({"event": "dropped", "peer": "id of ada", "reason": 2, "why": "an honest one is said to have", "seconds": 1.0}, 1),
        ({"event": "problem", "text": "ended with status 1"}, 1),
        ({"event": "report", **NodeReport(wrong=2).to_event()}, 0),
    ],
)
def test_what_should_not_be_is_counted_while_the_show_runs(event, errors):
    board = small_board()
    board.apply({"node": "dan", "source": "worker 0", **event}, 3.0)
    assert board.errors == errors == len(board.problems)
    assert sum(board.drops.values()) == (event["event"] == "dropped")


def test_sessions_that_end_with_the_show_are_no_drops():
    board = small_board()
    board.closing = True
    board.apply({"event": "dropped", "node": "dan", "peer": "id of ada", "reason": 2, "why": "", "seconds": 1.0}, 3.0)
    assert (board.errors, sum(board.drops.values())) == (0, 0)


def test_a_traceback_is_one_problem():
    board = small_board()
    for text in ("Traceback (most recent call last):", '  File "x.py", line 1', "KeyError: 7"):
        board.apply({"event": "complaint", "source": "worker 0", "text": text}, 3.0)
    assert (board.errors, board.problems) == (1, ["worker 0: Traceback (most recent call last): … KeyError: 7"])


# Lines between the processes


def test_reports_survive_the_journey():
    seen = session(GOOD, {"bulk": Experience(9.0, 2.5, 3, 1, "why")})
    sessions = (replace(seen, slots={"bulk": "core"}, ratings={"bulk": 0.9}, value=0.4, why="core in bulk"),)
    sent = NodeReport(peers=3, found={"v4": 2}, latencies_ms=(1.5,), sessions=sessions)
    event = read_line(write_line({"node": "ada", **sent.to_event()}))
    assert event is not None
    assert NodeReport.from_event(event) == sent


@pytest.mark.parametrize("text", ["devp2p.py/ada: hello", "{broken", "[1]", ""])
def test_plain_text_is_no_event(text):
    assert read_line(text) is None


def test_lines_are_whole_however_they_arrive():
    async def main() -> list[str]:
        sender, receiver = trio.testing.memory_stream_one_way_pair()
        for part in (b"on", b"e\ntwo\n\xc3", b"\xa4\n", b"rest"):
            await sender.send_all(part)
        await sender.aclose()
        return [line async for line in lines_of(receiver)]

    assert trio.run(main) == ["one", "two", "ä", "rest"]


def test_a_line_counts_bytes():
    async def main() -> Line:
        line = Line()
        transport = MeasuredTransport(MemoryTransport(), line)
        accepted: list[StreamLink] = []

        async def on_link(link: Arrival) -> None:
            assert isinstance(link, StreamLink)
            accepted.append(link)

        async with trio.open_nursery() as nursery:
            nursery.start_soon((await transport.bind(Address("memory", "x"))).serve, on_link)
            dialled = await transport.dial(Address("memory", "x"), expect=None)
            await trio.testing.wait_all_tasks_blocked()
            (caller,) = accepted
            await dialled.stream.send_all(b"12345")
            assert await caller.stream.receive_some() == b"12345"
            nursery.cancel_scope.cancel()
            await dialled.aclose()
            await caller.aclose()
        return line

    line = trio.run(main)
    assert (line.bytes_in, line.bytes_out) == (5, 5)
