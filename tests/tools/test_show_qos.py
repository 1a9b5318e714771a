"""The demonstration of dpx/1: the whole of it as a user runs it, its line, its figures, and its pictures."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import trio
from rich.console import Console

from tests.tools.test_show import ROOT, watch_show
from tools.show.qos.board import QosBoard, duration, sentences, summary_of
from tools.show.qos.plan import LOAD, Side
from tools.show.qos.plot import write_plots
from tools.show.qos.relay import slow_line
from tools.show.qos.scatter import Series, large, scatter
from tools.show.qos.screen import ending, picture
from tools.show.reports import Event


def played(at: float = 14.0) -> QosBoard:
    """A board as after some time: with stock RLPx a question waits until the large message has gone, with dpx/1 25 ms."""
    board = QosBoard(LOAD, 20.0)
    board.began = 100.0
    for side in Side:
        board.apply(side, {"event": "ready", "profile": "RLPx" if side is Side.STOCK else "dpx/1 (mux)"})
    floods = [(5.0 * index, 5.0 * index + 4.1) for index in range(int(at / 5) + 1)]
    for side in Side:
        for now in (at / 2, at):
            done = sum(arrived <= now for _, arrived in floods)
            board.apply(side, report_of(side, now, now - at / 2, floods, done))
    return board


def report_of(side: Side, now: float, before: float, floods: list[tuple[float, float]], done: int) -> Event:
    questions = [index / 10 for index in range(int(now * 10))]

    def wait(asked: float) -> float:
        blocked = [arrived for queued, arrived in floods if queued <= asked < arrived]
        return 0.025 if side is Side.DPX or not blocked else blocked[0] - asked + 0.06

    return {
        "event": "report",
        "at": now,
        "answers": [(asked, wait(asked)) for asked in questions if before < asked + wait(asked) <= now],
        "open": [asked for asked in questions if asked + wait(asked) > now],
        "floods": [(queued, arrived if arrived <= now else None) for queued, arrived in floods if queued <= now],
        "flood_bytes": 4_000_000 * done,
        "bulk_bytes": 900_000 * done,
        "carried": int(now * 1e6),
    }


def start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tools.show", "--qos", "--out", str(directory / "out"), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_ends_the_whole_show_in_order_with_its_figures_and_pictures(tmp_path):
    process = start(tmp_path, "--json", "--seconds", "600")
    events = watch_show(process, lambda _: process.send_signal(signal.SIGINT))
    assert process.returncode == 0, events[-1]
    summary = events[-1]
    assert (summary["event"], summary["errors"], summary["problems"]) == ("summary", 0, [])
    for side in Side:
        assert summary["sides"][side]["carried_bytes"] > 0
        assert summary["sides"][side]["questions"] > 0
        assert summary["sides"][side]["profile"].startswith("RLPx" if side is Side.STOCK else "dpx/1 (")


# The line


def test_the_slow_line_carries_all_that_it_is_given_and_takes_its_time():
    sent, got = bytes(range(256)) * 40, bytearray()

    async def take(stream: trio.SocketStream) -> None:
        async for data in stream:
            got.extend(data)
        await stream.send_all(b"done")

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, take, listeners)
            async with slow_line(listeners[0].socket.getsockname()[1], 50_000.0) as line:
                began = trio.current_time()
                async with await trio.open_tcp_stream("127.0.0.1", line.port) as stream:
                    await stream.send_all(sent)
                    await stream.send_eof()
                    assert await stream.receive_some() == b"done"
                assert (bytes(got), line.carried.there, line.carried.back) == (sent, len(sent), 4)
                assert trio.current_time() - began >= len(sent) / 50_000 - 0.01  # it may make up for a hundredth of a second
            nursery.cancel_scope.cancel()

    trio.run(main)


# Figures


def test_a_question_without_an_answer_counts_for_as_long_as_it_has_waited():
    board = played(13.0)
    stock, dpx = board.sides[Side.STOCK], board.sides[Side.DPX]
    assert stock.waiting == pytest.approx(3.0)
    assert stock.wait_of(100) == pytest.approx(4.16)
    assert (len(stock.waits), len(dpx.waits)) == (130, 130)
    assert dpx.waiting == dpx.wait_of(100) == 0.025
    assert board.highest == 5.0


def test_the_sum_says_what_a_question_waits_and_what_the_others_got():
    lines = sentences(summary_of(played(13.0)))
    assert lines[0].startswith("stock RLPx  a question waits 1.7 s (median), 3.9 s (95 %), 4.2 s at most; flood 8.0 MB")
    assert lines[1].startswith("dpx/1       a question waits 25 ms (median), 25 ms (95 %)")
    assert [duration(seconds) for seconds in (None, 0.0213, 0.9994, 0.9996, 12.34)] == ["–", "21 ms", "999 ms", "1.0 s", "12.3 s"]  # noqa: RUF001


def test_a_process_that_ends_too_early_is_a_problem():
    board = played()
    board.apply(Side.DPX, {"event": "gone"})
    assert board.problems[-1] == "dpx/1: its process is gone"
    board.closing = True
    board.apply(Side.DPX, {"event": "gone"})
    assert board.errors == 1


# Pictures


@pytest.mark.parametrize(("width", "height"), [(40, 16), (60, 20), (80, 24), (120, 36), (200, 60)])
@pytest.mark.parametrize("at", [0.0, 13.0])
def test_the_picture_fits_the_terminal_and_says_how_long_the_chat_waits(width, height, at):
    board = played(at) if at else QosBoard(LOAD, 20.0)
    console = Console(width=width, height=height, force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(picture(board, 113.0, width, height))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capture.get()).splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert any("the chat waits" in line for line in lines)
    assert any(("RLPx ─" in line and "dpx/1 (mux)" in line) if at else line.count("connecting…") == 2 for line in lines)
    if at:
        assert any("7 s left" in line for line in lines)
        assert any("median 1.7 s" in line and "median 25 ms" in line for line in lines)


def test_what_stays_on_the_terminal_is_the_sum():
    board = played()
    console = Console(width=120, force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(ending(board, {**summary_of(board), "plots": ["build/show/qos.svg"], "notes": ["a note"]}))
    assert all(word in capture.get() for word in ("(median)", "qos.svg", "a note"))


def test_large_digits_are_three_lines_and_dots_lie_where_their_points_are():
    assert large("1.5 s") == ["▄█    █▀▀", " █    ▀▀█", "▀▀▀ ▀ ▀▀▀ s"]
    red, green = Series("red", [(0.0, 1.0), (0.9, 0.0)]), Series("green", [(0.0, 0.0), (0.9, 0.05)])
    cells = scatter([red, green], 2, 2)
    assert [[cell.character for cell in line] for line in cells] == [["⠁", " "], ["⡀", "⢀"]]
    assert [[cell.style for cell in line] for line in cells] == [["red", ""], ["green", "green"]]


def test_the_plot_is_a_whole_document_with_a_dot_for_each_answer(tmp_path):
    board = played(13.0)
    svg, html = write_plots(board, summary_of(board), tmp_path / "new")
    drawing = ET.fromstring(svg.read_text("utf-8"))  # noqa: S314  (we wrote it)
    dots = drawing.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == sum(len(state.answers) for state in board.sides.values())
    assert "median 25 ms" in svg.read_text("utf-8")
    assert "<td>wait p50 ms</td><td>1660.0</td><td>25.0</td>" in html.read_text("utf-8")
