"""`devp2p-crawl crawl` as a process: over a few nodes, with readers and terminals that stop, with signals, and taken up again."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest
import trio
from devp2p_crawler.cli import main
from devp2p_crawler.stores import SqliteStore

from devp2p import PrivateKey
from devp2p.terminal import Exit
from tests.cli.processes import closed_port
from tools.crawler.pictures import simulated

pytestmark = pytest.mark.simulation  # each is a process of its own, or several
COMMAND = [sys.executable, "-m", "devp2p_crawler"]
PATIENCE = 120.0
NOBODY = f"enode://{bytes(PrivateKey.generate().public_key).hex()}@"


@pytest.fixture(scope="module")
def bootnode() -> Iterator[str]:
    """Of a small simulated network."""
    with simulated(30, 3) as enode:
        yield enode


@contextmanager
def running(*argv: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE) -> Iterator["subprocess.Popen[str]"]:
    line = [*COMMAND, *argv]
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_of(process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def summary_of(process: "subprocess.Popen[str]") -> dict[str, Any]:
    *_, last = lines_of(process)
    assert last["event"] == "summary"
    return last


def test_a_crawl_finds_the_network_and_says_so_in_its_last_line(bootnode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    db = str(tmp_path / "x.db")
    with running("crawl", "--db", db, "--bootnode", bootnode, "--no-dial", "--v4", "--for", "60", "--json") as process:
        events = list(lines_of(process))
        assert process.wait(PATIENCE) == 0
    assert [events[0]["event"], events[1]["event"], events[-1]["event"]] == ["begin", "progress", "summary"]
    last = events[-1]
    assert last["ended"] == "done"
    assert last["alive"] > 5
    assert last["found"] >= last["alive"]
    assert last["dialled"] == 0
    assert last["packets_sent"] > last["alive"]
    assert "recall_estimate" in last
    with SqliteStore.open_reading(db) as store:
        [crawl] = store.crawls()
        assert crawl.id.hex() == last["crawl"]
        assert crawl.ended is not None
        assert sum(node.last_ok is not None for node in store.nodes()) == last["alive"]
    assert main(["info", "--db", db]) == Exit.OK
    assert ", done; " in capsys.readouterr().out
    assert main(["resume", "--db", db]) == Exit.FAILED
    assert "is complete" in capsys.readouterr().err


def quiet(tmp_path: Path, *argv: str) -> list[str]:
    """A crawl that finds nobody, and goes on."""
    return ["crawl", "--db", str(tmp_path / "x.db"), "--bootnode", f"{NOBODY}{closed_port()}", "--listen", "127.0.0.1:0", *argv]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order_and_it_can_go_on(number: signal.Signals, bootnode: str, tmp_path: Path):
    db = str(tmp_path / "x.db")
    with running("crawl", "--db", db, "--bootnode", bootnode, "--no-dial", "--v4", "--json", "--vantage", "here") as process:
        for event in lines_of(process):
            if event["event"] == "progress" and event["found"] > 1:
                break
        process.send_signal(number)
        first = summary_of(process)
        assert process.wait(PATIENCE) == 0
    assert first["ended"] == "interrupted"
    with running("resume", "--db", db, "--json") as process:
        events = list(lines_of(process))
        assert process.wait(PATIENCE) == 0
    assert events[0]["resumed"]
    assert (events[-1]["crawl"], events[-1]["vantage"], events[-1]["ended"]) == (first["crawl"], "here", "done")
    with SqliteStore.open_reading(db) as store:
        [crawl] = store.crawls()
        assert json.loads(crawl.settings)["bootnode"] == [bootnode]


def test_at_a_hang_up_the_opt_out_list_is_read_anew_and_one_that_is_wrong_changes_nothing(tmp_path: Path):
    out = tmp_path / "no.txt"
    out.write_text("192.0.2.0/24\n")
    with running(*quiet(tmp_path, "--json", "--opt-out", str(out))) as process:
        events = lines_of(process)
        assert next(events)["event"] == "begin"
        for text, told in (("192.0.2.0/24\n198.51.100.7", "0 nodes and 2 networks"), ("nonsense\n", "the list of before is kept")):
            out.write_text(text)
            process.send_signal(signal.SIGHUP)
            message = next(event for event in events if event["event"] == "message")
            assert told in message["text"]
        process.send_signal(signal.SIGTERM)
        assert summary_of(process)["ended"] == "interrupted"
        assert process.wait(PATIENCE) == 0


def test_a_crawl_that_hears_nothing_says_why(tmp_path: Path):
    with running(*quiet(tmp_path, "--plain", "--v4")) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        assert process.wait(PATIENCE) == 0
    assert "1 node to begin with" in text
    assert "reaches only this machine" in text
    assert "may speak discovery v5 only: leave out --v4" in text


# Where nobody reads


def test_a_reader_that_stops_does_not_stop_the_crawl(bootnode: str, tmp_path: Path):
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"\n" * 4096)  # and now it is full
    db = tmp_path / "x.db"
    with running("crawl", "--db", str(db), "--bootnode", bootnode, "--no-dial", "--v4", "--json", stdout=writing) as process:
        os.close(writing)
        wait_until(lambda: db.exists() and any(crawl.ended for crawl in crawls(db)))
        assert process.poll() is None  # it waits to say the last line, and has closed its file
        with os.fdopen(reading) as rest:
            *_, last = (line for line in rest if line.strip())
        assert json.loads(last)["event"] == "summary"
        assert process.wait(PATIENCE) == 0


def crawls(db: Path) -> list[Any]:
    with suppress(Exception), SqliteStore.open_reading(db) as store:
        return list(store.crawls())
    return []


def wait_until(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_reader_that_leaves_ends_the_crawl_in_order(tmp_path: Path):
    with running(*quiet(tmp_path, "--json")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) == 128 + signal.SIGPIPE
    assert [crawl.ended for crawl in crawls(tmp_path / "x.db")] == [None]


class Terminal:
    """A terminal in which a command runs."""

    def __init__(self, *argv: str, size: tuple[int, int] = (90, 30)) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (size[1], size[0]))
        environment = {**os.environ, "TERM": "xterm-256color"}
        line = [*COMMAND, *argv]
        self.process = subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True)
        os.close(theirs)
        self.seen = ""

    def read_until(self, text: str) -> str:
        """What is shown until that comes."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, self.seen[-2000:]
            self.seen += os.read(self.ours, 1 << 16).decode(errors="replace")
        shown, _, self.seen = self.seen.partition(text)
        return shown + text

    def rest(self) -> str:
        """What is shown until its end."""
        with suppress(OSError):
            while data := os.read(self.ours, 1 << 16):
                self.seen += data.decode(errors="replace")
        return self.seen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


def test_on_a_terminal_there_is_a_screen_and_afterwards_the_summary(tmp_path: Path):
    with Terminal(*quiet(tmp_path)) as terminal:
        before = terminal.read_until("\x1b[?1049h")
        assert not before.removesuffix("\x1b[?1049h")
        first = terminal.read_until("\x1b[?2026l")
        assert "devp2p-crawl" in first
        termios.tcsetwinsize(terminal.ours, (20, 70))
        terminal.read_until("\x1b[?2026l")
        second = terminal.read_until("\x1b[?2026l").partition("\x1b[?2026h\x1b[H")[2].removesuffix("\x1b[?2026l")
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", second).split("\n")
        assert len(plain) == 20
        assert {len(line.rstrip("\r")) for line in plain} == {70}
        terminal.process.send_signal(signal.SIGINT)
        rest = terminal.rest()
        assert terminal.process.wait(PATIENCE) == 0
    assert "\x1b[?25h\x1b[?1049l" in rest
    assert "it was told to end" in rest.partition("\x1b[?1049l")[2]
    assert rest.rstrip().endswith(f"devp2p-crawl resume --db {tmp_path}/x.db")


def test_a_terminal_that_is_stopped_does_not_stop_the_crawl(bootnode: str, tmp_path: Path):
    db = tmp_path / "x.db"
    with Terminal("crawl", "--db", str(db), "--bootnode", bootnode, "--no-dial", "--v4", size=(200, 60)) as terminal:
        termios.tcflow(terminal.ours, termios.TCOOFF)  # as Ctrl-S does; and nobody reads what is shown
        wait_until(lambda: db.exists() and any(crawl.ended for crawl in crawls(db)))
        termios.tcflow(terminal.ours, termios.TCOON)
        rest = terminal.rest()
        assert terminal.process.wait(PATIENCE) == 0
    assert "everybody was visited" in rest


def test_what_is_logged_does_not_spoil_the_screen_and_is_told_afterwards(tmp_path: Path):
    with Terminal(*quiet(tmp_path, "--log-level", "debug")) as terminal:
        terminal.read_until("\x1b[?2026l")
        terminal.process.send_signal(signal.SIGINT)
        rest = terminal.rest()
        assert terminal.process.wait(PATIENCE) == 0
    shown = rest.partition("\x1b[?1049l")[0]
    assert " DEBUG " not in re.sub(r"\x1b\[\?2026h.*?\x1b\[\?2026l", "", shown, flags=re.DOTALL)


def test_a_second_ctrl_c_ends_it_at_once_and_gives_the_terminal_back(tmp_path: Path):
    program = (
        "import sys, time, devp2p_crawler.cli.running as r\n"
        "real = r.run_crawl\n"
        "async def slow(*a, until, **k):\n"
        "    await real(*a, until=until, **k)\n"
        "    while True: time.sleep(1)\n"
        "r.run_crawl = slow\n"
        "from devp2p_crawler.cli import main\n"
        "sys.exit(main())\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.COMMAND", [sys.executable, "-c", program])
        terminal = Terminal(*quiet(tmp_path))
    with terminal:
        terminal.read_until("\x1b[?2026l")
        terminal.process.send_signal(signal.SIGINT)
        wait_until(lambda: [crawl.updated > crawl.started for crawl in crawls(tmp_path / "x.db")] == [True])
        terminal.process.send_signal(signal.SIGINT)
        rest = terminal.rest()
        assert terminal.process.wait(PATIENCE) == 128 + signal.SIGINT
    assert rest.endswith("\x1b[?25h\x1b[?1049l")


@pytest.mark.real_clock
async def test_metrics_are_served_while_it_runs(tmp_path: Path):
    with running(*quiet(tmp_path, "--json", "--metrics", "0")) as process:
        begin = await trio.to_thread.run_sync(lambda: next(lines_of(process)))
        [url] = begin["metrics"]
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(PATIENCE):
                answer = b"".join([data async for data in stream])
        process.send_signal(signal.SIGTERM)
        await trio.to_thread.run_sync(process.wait)
    assert b"crawler_visits_total" in answer
