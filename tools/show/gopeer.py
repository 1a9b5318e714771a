"""A go-ethereum node among ours, where Go is installed: the test peer of tests/interop/geth, which is built first if need be."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import trio

from tools.show.board import Board, NodeState
from tools.show.children import ROOT, Child, start_child
from tools.show.reports import Event, NodeReport

NAME = "go"
BINARY = ROOT / "build" / "interop" / "testpeer"

_ASK_EVERY = 0.5
_ASK = {"cmd": "request", "protocol": "echo", "code": 2, "payload_size": 1024, "kind": "random", "count": 2, "timeout_ms": 10000}


async def prepare(board: Board) -> bool:
    """See to it that the program exists; False, with the reason in ``board.go``, if it cannot."""
    if BINARY.exists():
        return True
    if shutil.which("go") is None:
        board.go = "left out: Go is not installed"
        return False
    board.go = "building…"
    # Both cores are the show's own; what is built when it ends stays in Go's cache, and the next run goes on from there.
    command = [sys.executable, str(ROOT / "tests" / "interop" / "build.py"), "testpeer"]
    if nice := shutil.which("nice"):
        command = [nice, "-n", "10", *command]
    built = await trio.run_process(
        command,
        stdin=subprocess.DEVNULL,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        start_new_session=True,
        deliver_cancel=_kill_group,
    )
    if built.returncode != 0:
        lines = built.stderr.decode("utf-8", "replace").split("\n")
        board.go = f"left out: it could not be built: {next((line for line in reversed(lines) if line), '')}"
    return built.returncode == 0


async def _kill_group(process: trio.Process) -> None:
    """End a build with all the compilers that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class GoPeer:
    """Turns the test peer's events into those of our own nodes, and keeps it asking."""

    def __init__(self, board: Board, post: Callable[[str, Event], None]) -> None:
        self.node = NodeState(NAME, "go-ethereum")
        self.listening = trio.Event()
        self._board = board
        self._post_as = post
        self._peers: set[str] = set()
        self._messages = 0

    async def start(self, nursery: trio.Nursery) -> Child | None:
        """Start the process, which says later that it listens; None if it is no program for this machine."""
        self._board.add(self.node)
        child: Child | None = None
        with suppress(OSError):
            child = await start_child(nursery, [str(BINARY), "--protocols", "echo/1:8"], self._post)
            self.node.pid = child.pid
        return child

    async def ask_for_ever(self, child: Child) -> None:
        """Let it ask all its peers for digests, again and again."""
        while True:
            for peer in tuple(self._peers):
                await child.tell({**_ASK, "peer": peer})
            await trio.sleep(_ASK_EVERY)
            self._post_as(NAME, NodeReport(messages=self._messages).to_event())

    def _post(self, event: Event) -> None:
        board = self._board
        match event:
            case {"event": "listening", "enode": enode, "id": identity, "name": client}:
                self._post_as(NAME, {"event": "listening", "id": identity, "client": client, "enodes": [enode.partition("?")[0]]})
                self.listening.set()
            case {"event": "peer", "peer": peer, "name": client, "inbound": inbound}:
                self._peers.add(peer)
                board.go, board.go_joined = f"joined as {self.node.client}", True
                self._post_as(NAME, {"event": "connected", "peer": peer, "client": client, "inbound": inbound, "transport": "tcp4"})
            case {"event": "drop", "peer": peer, "reason": reason, "error": error}:
                self._peers.discard(peer)
                self._post_as(NAME, {"event": "dropped", "peer": peer, "reason": reason, "why": error})
            case {"event": "answered", "ok": ok, "error": error}:
                self._count(ok=ok, error=error)
            case {"event": "problem" | "complaint" | "stopped" | "gone"}:
                self.listening.set()
                self._post_as(NAME, event)
            case {"event": "connected", "ok": False, "error": error}:
                self._post_as(NAME, {"event": "dialled", "to": "", "error": error})
            case _:
                pass

    def _count(self, *, ok: bool, error: str | None) -> None:
        if not ok and not self._board.closing:
            self._post_as(NAME, {"event": "problem", "text": f"a request failed: {error}"})
            return
        self._messages += 2
