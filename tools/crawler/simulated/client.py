"""A simulated network for tests and benchmarks: it runs in a process of its own, whose JSON is read here."""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import trio

_ROOT: Final = Path(__file__).resolve().parents[3]
_PATIENCE: Final = 120.0  # seconds until the network is there, or has told its summary
Said: TypeAlias = dict[str, Any]


class Simulated:
    """A network that runs."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._ready = trio.Event()
        self._ended = trio.Event()
        self._changed = trio.Event()
        self.about: Said = {}
        """What it said when it was there: ``enode``, ``enr``, ``nodes``, ``reachable``, ``kinds``."""
        self.progress: Said = {"recall": 0.0, "packets_received": 0, "connections": 0}
        """The newest figures, a second old at most."""
        self.summary: Said | None = None
        """What it said at its end."""

    @property
    def enode(self) -> str:
        """A node to begin at, as go-ethereum's tools and discovery v4 want it."""
        return str(self.about["enode"])

    @property
    def enr(self) -> str:
        """The same node as a record, which discovery v5 needs."""
        return str(self.about["enr"])

    @property
    def reachable(self) -> int:
        """How many nodes answer who asks for their record."""
        return int(self.about["reachable"])

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    async def reached(self, recall: float) -> None:
        """Wait until this share of the reachable nodes, 0 to 1, has answered for its record."""
        while self.progress["recall"] < recall and not self._ended.is_set():
            await self._changed.wait()

    async def end(self) -> Said:
        """End it; returns its summary. RuntimeError if it ended without one."""
        assert self._process.stdin is not None  # noqa: S101  (it was opened so)
        await self._process.stdin.aclose()
        with trio.fail_after(_PATIENCE):
            await self._ended.wait()
        if self.summary is None:
            raise RuntimeError(f"the simulated network ended with status {self._process.returncode}, and said nothing")
        return self.summary

    async def wait_ready(self) -> None:
        """Wait until nodes answer; RuntimeError if they never will."""
        with trio.fail_after(_PATIENCE):
            await self._ready.wait()
        if not self.about:
            raise RuntimeError("the simulated network did not begin; what it said of that is on standard error")

    async def read(self) -> None:
        """Take in what it says, to its end."""
        assert self._process.stdout is not None  # noqa: S101
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(cast("Said", json.loads(line)))
        await self._process.wait()
        self._ended.set()
        self._ready.set()
        self._changed.set()

    def _take(self, said: Said) -> None:
        match said.pop("event"):
            case "ready":
                self.about = said
                self._ready.set()
            case "progress":
                self.progress = said
            case _:
                self.summary = said
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def running(*, nodes: int, seed: int, **options: object) -> AsyncGenerator[Simulated]:
    """Run a network while the block runs; `options` are those of the command, such as ``dead=0.4`` or ``prepare=(4, 5)``.

        async with running(nodes=200, seed=1) as network:
            ...  # crawl, from network.enode on
            summary = await network.end()

    Raises RuntimeError if it cannot begin.
    """
    command = [sys.executable, "-m", "tools.crawler.simulated", "--json", "--until-eof", "--nodes", str(nodes), "--seed", str(seed)]
    for name, value in options.items():
        values = cast("tuple[object, ...]", value if isinstance(value, tuple) else (value,))
        command += [f"--{name.replace('_', '-')}", *map(str, values)]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT)
    network = Simulated(process)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(network.read)
            await network.wait_ready()
            yield network
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await stream.aclose()
