"""The command as a process, and places where nobody is."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "devp2p.cli"]
PATIENCE = 120.0


class RunningNode:
    """A ``devp2p node --json``."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self._unread = bytearray()

    async def event(self, kind: str) -> dict[str, Any]:
        """The next event of a kind; those before it are passed over."""
        assert self.process.stdout is not None
        with trio.fail_after(PATIENCE):
            while True:
                line, newline, rest = self._unread.partition(b"\n")
                if newline:
                    self._unread = rest
                    found: dict[str, Any] = json.loads(line)
                    if found["event"] == kind:
                        return found
                else:
                    data = await self.process.stdout.receive_some()
                    assert data, f"no event {kind} before the end"
                    self._unread += data

    async def heeds(self, signum: int) -> None:
        """Wait until it would do something of its own if it got a signal."""
        with trio.fail_after(PATIENCE):
            while not self._caught() >> (signum - 1) & 1:  # noqa: ASYNC110  (it is another process)
                await trio.sleep(0.01)

    def _caught(self) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text("ascii").splitlines()
        return int(next(line for line in lines if line.startswith("SigCgt:")).split()[1], 16)

    async def end(self, signum: int) -> tuple[int, str]:
        """Ask it to end; its exit status, and what it wrote to stderr."""
        self.process.send_signal(signum)
        return await self.ended()

    async def ended(self) -> tuple[int, str]:
        """Wait for its end; its exit status, and what it wrote to stderr."""
        assert self.process.stderr is not None
        with trio.fail_after(PATIENCE):
            errors = b"".join([data async for data in self.process.stderr])
            return await self.process.wait(), errors.decode()


@asynccontextmanager
async def running_node(*argv: str, command: Sequence[str] = COMMAND) -> AsyncIterator[RunningNode]:
    """Run a node on a free port; it is killed if it has not ended by itself."""
    line = [*command, "node", "--json", "--listen", "127.0.0.1:0", *argv]
    start = partial(trio.run_process, line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(start, check=False, cwd=ROOT))
        try:
            yield RunningNode(process)
        finally:
            nursery.cancel_scope.cancel()


def write_secret(path: Path, text: str) -> Path:
    """A file that only we can read, as a key has to be."""
    path.touch(0o600)
    path.write_text(text)
    return path


def closed_port() -> str:
    """Host and port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"
