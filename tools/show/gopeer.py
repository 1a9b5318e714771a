"""A go-ethereum node among ours, where Go is installed: the test peer of tests/interop/geth, which is built first if need be.

It is told the bootnode, as ours are, and takes part in discovery by itself.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import trio

from tools.show.board import Board
from tools.show.children import ROOT, Child, start_child
from tools.show.plan import GO
from tools.show.reports import Event, NodeReport

BINARY = ROOT / "build" / "interop" / "testpeer"
TO_BUILD = [sys.executable, str(ROOT / "tests" / "interop" / "build.py"), "testpeer"]

_ASK_EVERY = 0.5
_ASK = {"cmd": "request", "protocol": "echo", "code": 2, "payload_size": 256, "kind": "random", "count": 1, "timeout_ms": 10000}


async def prepare(board: Board) -> bool:
    """See to it that the program exists; False, with the reason in ``board.go``, if it cannot."""
    if BINARY.exists():
        return True
    if shutil.which("go") is None:
        board.go = "left out: Go is not installed"
        return False
    board.go = "building…"
    # Both cores are the show's own; what is built when it ends stays in Go's cache, and the next run goes on from there.
    nice = shutil.which("nice")
    built = await trio.run_process(
        [nice, "-n", "10", *TO_BUILD] if nice else TO_BUILD,
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

    def __init__(self, board: Board, post: Callable[[Event], None]) -> None:
        self.listening = trio.Event()
        self._board = board
        self._post_on = post
        self._peers: set[str] = set()
        self._met = False
        self.obstacle = ""
        """What it said before it listened."""
        self._answers = 0
        self._wrong = 0

    async def start(self, nursery: trio.Nursery, bootnode: str) -> Child | None:
        """Start the process, which says later that it listens, or in `obstacle` why not; None if it is no program for this machine."""
        command = [str(BINARY), "--protocols", "echo/1:8", "--max-peers", str(GO.places), "--bootnodes", bootnode]
        child: Child | None = None
        with suppress(OSError):
            child = await start_child(nursery, command, self.take)
        return child

    async def ask_for_ever(self, child: Child) -> None:
        """Let it ask all its peers for digests, again and again."""
        while True:
            for peer in tuple(self._peers):
                await child.tell({**_ASK, "peer": peer})
            await trio.sleep(_ASK_EVERY)
            self._post(NodeReport(peers=len(self._peers), echo_answers=self._answers, wrong=self._wrong).to_event())

    def take(self, event: Event) -> None:
        """Take an event of the test peer."""
        match event:
            case {"event": "listening", "enode": enode, "id": identity, "name": client}:
                self._board.add(GO)
                self._post({"event": "listening", "id": identity, "client": client, "enr": "", "enode": enode})
                self.listening.set()
            case {"event": "peer", "peer": peer, "name": client, "inbound": inbound}:
                self._peers.add(peer)
                if not self._met:
                    self._met, self._board.go_joined = True, True
                    self._board.go = f"takes part, found by discovery: {self._board.nodes[GO.name].client}"
                    self._post({"event": "met", "peer": peer, "client": client, "inbound": inbound, "transport": "tcp4"})
            case {"event": "drop", "peer": peer}:
                self._peers.discard(peer)
            case {"event": "answered", "ok": True}:
                self._answers += 1
            case {"event": "answered", "error": "wrong digest"}:
                self._wrong += 1
            case {"event": "gone"}:
                self.listening.set()
            case {"event": "problem" | "complaint", "text": text} if not self.listening.is_set():
                self.obstacle = self.obstacle or text
            case {"event": "problem" | "complaint"}:
                self._post_on(event)
            case _:
                pass

    def _post(self, event: Event) -> None:
        self._post_on({"node": GO.name, **event})
