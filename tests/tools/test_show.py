"""The demonstration: the whole of it as a user runs it, and the figures that it shows."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from rich.console import Console

from devp2p import Address
from devp2p.transports import Link, StreamLink
from devp2p.transports.memory import MemoryTransport
from tools.show import director
from tools.show.board import Board, Meter, NodeState, percentile
from tools.show.line import Line, MeasuredTransport
from tools.show.plain import JsonView, summary_lines
from tools.show.plan import FEWEST_NODES, MOST_NODES, NodePlan, plan_dials, plan_nodes
from tools.show.reports import Event, NodeReport, PeerReport, lines_of, read_line, write_line
from tools.show.screen import picture

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 60  # seconds after which a test gives up


# The whole show


def start_show(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tools.show", "--json", "--nodes", "3", "--no-go", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def watch_show(process: subprocess.Popen[str], until: str, act: Callable[[list[Event]], None]) -> list[Event]:
    """All events of a show; `act` is called with those so far at the first one called `until`."""
    assert process.stdout is not None
    events = []
    try:
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == until:
                act(events)
                break
        rest, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert errors == ""
    return events + [json.loads(line) for line in rest.splitlines()]


def pids_of(events: list[Event]) -> list[int]:
    return [event["pid"] for event in events if event["event"] == "listening"]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_everything_works_and_nothing_is_left_behind() -> None:
    process = start_show("--seconds", "2")
    events = watch_show(process, "progress", lambda _: None)
    summary = events[-1]
    assert process.returncode == 0, summary
    assert (summary["event"], summary["nodes"], summary["sessions"], summary["errors"]) == ("summary", 3, 3, 0)
    assert summary["messages"] > 0
    assert summary["chat"]["lines"] > 0
    assert summary["bulk"]["bytes"] > 0
    assert summary["bulk"]["wrong"] == 0
    assert summary["latency_ms"]["p50"] > 0
    assert summary["go_ethereum"] is False
    assert len(pids_of(events)) == 3
    assert not any(map(is_running, pids_of(events)))
    transports = {event["transport"] for event in events if event["event"] == "connected"}
    assert transports >= {"unix", "tcp4"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    process = start_show("--seconds", "600")
    events = watch_show(process, "progress", lambda _: process.send_signal(number))
    assert process.returncode == 0, events[-1]
    assert (events[-1]["event"], events[-1]["errors"]) == ("summary", 0)
    assert not any(map(is_running, pids_of(events)))


def test_a_node_that_dies_makes_it_fail() -> None:
    process = start_show("--seconds", "1")
    events = watch_show(process, "progress", lambda events: os.kill(pids_of(events)[0], signal.SIGKILL))
    assert process.returncode == 1
    assert any("ended with status -9" in problem for problem in events[-1]["problems"])


def test_nodes_that_cannot_start_make_it_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plans = [NodePlan(name, ("tcp://192.0.2.1:0",)) for name in ("ada", "slow")]  # an address of nobody (RFC 5737)
    monkeypatch.setattr(director, "plan_nodes", lambda *_, **__: plans)
    assert trio.run(director.run_show, director.Options(nodes=2, seconds=0.5, go=False), JsonView()) == 1
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["nodes"], summary["sessions"]) == (0, 0)
    assert any("OSError" in problem for problem in summary["problems"])


# Figures


def test_percentiles_are_values_that_were_there() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, percent) for percent in (0, 20, 50, 99, 100)] == [1, 1, 3, 5, 5]
    assert percentile([], 50) is None


def test_a_rate_is_that_of_the_last_seconds() -> None:
    meter = Meter()
    for now in range(10):
        meter.read(now, 100 * now)
    assert meter.rate == 100
    for now in range(10, 20):
        meter.read(now, 900)
    assert meter.rate == 0


def peer_report(peer: str, *, inbound: bool, **fields: object) -> PeerReport:
    base = {"client": "c", "transport": "tcp4", "capabilities": ("bulk/1", "chat/1")}
    return PeerReport(peer=peer, inbound=inbound, **{**base, **fields})  # type: ignore[arg-type]


def two_nodes() -> Board:
    """A board on which ada (``a1``) has dialled bela (``b2``)."""
    board = Board()
    for name, identity in (("ada", "a1"), ("bela", "b2")):
        board.add(NodeState(name))
        board.apply(name, {"event": "listening", "id": identity, "client": "c", "enodes": [f"enode://{identity}@127.0.0.1:1"]}, 0.0)
    board.apply("ada", {"event": "connected", "peer": "b2", "client": "c", "inbound": False, "transport": "tcp4"}, 0.5)
    board.apply("bela", {"event": "connected", "peer": "a1", "client": "c", "inbound": True, "transport": "tcp4"}, 0.5)
    board.show_began, board.show_ends = 1.0, 11.0
    return board


def test_the_summary_counts_each_thing_once() -> None:
    board = two_nodes()
    ada = NodeReport(messages=7, bulk_bytes=4_000_000, bytes_out=10, latencies_ms=(1.0, 9.0), peers=(peer_report("b2", inbound=False),))
    bela = NodeReport(messages=3, chat_requests=1, bytes_out=5, latencies_ms=(2.0,), peers=(peer_report("a1", inbound=True),))
    board.apply("ada", json.loads(write_line(ada.to_event())), 2.0)
    board.apply("bela", json.loads(write_line(bela.to_event())), 2.0)
    board.apply("bela", {"event": "chat", "text": "hello"}, 2.0)
    summary = board.summary(5.0)
    assert {name: summary[name] for name in ("nodes", "sessions", "messages", "bytes", "errors", "seconds")} == {
        "nodes": 2,
        "sessions": 1,
        "messages": 10,
        "bytes": 15,
        "errors": 0,
        "seconds": 4.0,
    }
    assert summary["chat"] == {"lines": 1, "requests": 1}
    assert summary["bulk"]["mb_per_s"] == 1.0
    assert summary["latency_ms"] == {"p50": 2.0, "p99": 9.0}
    assert [(row.dialler, row.dialled, row.seer) for row in board.rows()] == [("ada", "bela", "ada")]
    assert "half within 2.0 ms, 99 % within 9.0 ms" in "\n".join(summary_lines(summary))


def test_a_session_that_only_the_dialled_side_reports_is_shown_from_there() -> None:
    board = two_nodes()
    board.apply("bela", NodeReport(peers=(peer_report("a1", inbound=True),)).to_event(), 2.0)
    assert [(row.dialler, row.dialled, row.seer) for row in board.rows()] == [("ada", "bela", "bela")]


@pytest.mark.parametrize(
    ("event", "errors"),
    [
        ({"event": "dropped", "peer": "b2", "reason": 0, "why": "wanted"}, 0),
        ({"event": "dropped", "peer": "b2", "reason": 2, "why": "breach"}, 1),
        ({"event": "dialled", "to": "enode://", "error": None}, 0),
        ({"event": "dialled", "to": "enode://", "error": "refused"}, 1),
        ({"event": "refused", "address": "tcp://[::1]:1", "why": "bad MAC"}, 1),
        ({"event": "problem", "text": "ended with status 1"}, 1),
        (NodeReport(wrong=2).to_event(), 1),
    ],
)
def test_what_goes_wrong_is_counted_while_the_show_runs(event: Event, errors: int) -> None:
    board = two_nodes()
    board.apply("ada", event, 3.0)
    assert board.errors == errors == len(board.problems)


def test_sessions_that_end_with_the_show_are_no_errors() -> None:
    board = two_nodes()
    board.closing = True
    board.apply("ada", {"event": "dropped", "peer": "b2", "reason": 8, "why": "client quitting"}, 3.0)
    assert board.errors == 0


def test_a_traceback_is_one_problem() -> None:
    board = two_nodes()
    for text in ("Traceback (most recent call last):", '  File "x.py", line 1', "KeyError: 7"):
        board.apply("ada", {"event": "complaint", "text": text}, 3.0)
    assert (board.errors, board.problems) == (1, ["ada: Traceback (most recent call last): … KeyError: 7"])


# Plans


@pytest.mark.parametrize("count", range(FEWEST_NODES, MOST_NODES + 1))
def test_everybody_is_reached_and_no_pair_dials_twice(count: int) -> None:
    dials = plan_dials(count)
    pairs = [frozenset(dial) for dial in dials]
    assert all(len(pair) == 2 for pair in pairs)
    assert len(set(pairs)) == len(pairs)
    assert frozenset().union(*pairs) == set(range(count))


def test_nodes_listen_with_what_the_machine_has() -> None:
    full = plan_nodes(5, directory="/d", ipv6=True, unix=True)
    assert [plan.listen[-1].partition(":/")[0] for plan in full] == ["tcp", "tcp", "unix", "tcp", "tcp"]
    assert [("[::1]" in plan.listen[-1]) for plan in full] == [False, True, False, True, False]
    assert {plan.name for plan in full if plan.delay} == {"slow"}
    assert {plan.name for plan in full if plan.pace > 1} == {"fast"}
    assert all(plan.listen == ("tcp://127.0.0.1:0",) for plan in plan_nodes(5, directory="/d", ipv6=False, unix=False))


# Lines between the processes


def test_reports_survive_the_journey() -> None:
    report = NodeReport(messages=3, latencies_ms=(1.5,), peers=(peer_report("b2", inbound=True, chat_ms=2.5, useful=9),))
    event = read_line(write_line(report.to_event()))
    assert event is not None
    assert NodeReport.from_event(event) == report


@pytest.mark.parametrize("text", ["devp2p.py/ada: hello", "{broken", "[1]", ""])
def test_plain_text_is_no_event(text: str) -> None:
    assert read_line(text) is None


def test_lines_are_whole_however_they_arrive() -> None:
    async def main() -> list[str]:
        sender, receiver = trio.testing.memory_stream_one_way_pair()
        for part in (b"on", b"e\ntwo\n\xc3", b"\xa4\n", b"rest"):
            await sender.send_all(part)
        await sender.aclose()
        return [line async for line in lines_of(receiver)]

    assert trio.run(main) == ["one", "two", "ä", "rest"]


def test_a_line_counts_bytes_and_delays_them() -> None:
    async def main() -> tuple[Line, float]:
        line = Line(delay=2.0)
        transport = MeasuredTransport(MemoryTransport(), line)
        accepted: list[Link] = []

        async def on_link(link: Link) -> None:
            accepted.append(link)

        async with trio.open_nursery() as nursery:
            await nursery.start(transport.serve, Address("memory", "x"), on_link)
            dialled = await transport.dial(Address("memory", "x"), expect=None)
            ours = await dialled.open_stream()
            await trio.testing.wait_all_tasks_blocked()
            theirs = await accepted[0].accept_stream()
            await ours.send_all(b"12345")
            started = trio.current_time()
            assert await theirs.receive_some() == b"12345"
            nursery.cancel_scope.cancel()
            assert not isinstance(dialled, StreamLink)
            await trio.aclose_forcefully(ours)
            await trio.aclose_forcefully(theirs)
        return line, trio.current_time() - started

    line, seconds = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert (line.bytes_in, line.bytes_out) == (5, 5)
    assert seconds == 2.0


# The screen


def crowded(nodes: int) -> Board:
    """A board of nodes that all know one another."""
    board = Board()
    names = [plan.name for plan in plan_nodes(nodes, directory="/d", ipv6=True, unix=True)]
    for name in names:
        board.add(NodeState(name, pid=1234567))
        enode = f"enode://{name.encode().hex() * 20}@127.0.0.1:30303"
        board.apply(name, {"event": "listening", "id": name, "client": f"devp2p.py/{name}/v0.1.0", "enodes": [enode]}, 0.0)
    for index, name in enumerate(names):
        peers = [peer_report(other, inbound=False, client="client " * 9, bulk_ms=1234.5) for other in names[index + 1 :]]
        board.apply(name, NodeReport(messages=10**7, bytes_in=10**9, peers=tuple(peers)).to_event(), 1.0)
        board.problem(2.0, "something long " * 20)
    board.show_began, board.show_ends = 1.0, 20.0
    return board


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (200, 60)])
@pytest.mark.parametrize("nodes", [0, 5])
def test_the_picture_fits_the_terminal(width: int, height: int, nodes: int) -> None:
    console = Console(width=width, height=height, record=True, force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(picture(crowded(nodes), 4.0, width, height))
    lines = capture.get().splitlines()
    assert len(lines) <= height
    assert all(name in "\n".join(lines) for name in [plan.name for plan in plan_nodes(nodes, directory="", ipv6=True, unix=True)])


def test_sessions_that_do_not_fit_are_shown_in_turn() -> None:
    board = crowded(5)
    seen = set()
    for now in range(0, 60, 3):
        console = Console(width=80, height=24)
        with console.capture() as capture:
            console.print(picture(board, float(now), 80, 24))
        text = capture.get()
        seen |= {row for row in ((row.dialler, row.dialled) for row in board.rows()) if f"{row[0]} → {row[1]}" in text}
    assert len(seen) == len(board.rows()) == 10
