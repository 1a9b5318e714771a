"""A `devp2p node` in bad surroundings: strangers knock without end, and its output, disk, book and clock fail it one after the other.

Beside them an honest peer comes again and again, somebody scrapes the metrics, and somebody asks it by discovery: all of them have to be
served throughout.
"""

import fcntl
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from devp2p import NodeRecord, PrivateKey, open_node
from devp2p.discovery import Discovery, open_discovery
from devp2p.testing import ScriptedPeer
from tests.chat import Chat, GetTime
from tests.soak.town import _OVER, _RULES

STRANGERS: Final = 4
"""How many of each kind there are."""
PACE: Final = 0.05
"""Seconds that each waits until it comes again."""
PATIENCE: Final = 20.0
SETTLED: Final = 5.0
"""Seconds after which a clock that was set right has to do no more harm."""
JUMPS: Final = (3600.0, 0.0, -3600.0, 0.0, 6 * 86400.0, 0.0)
"""By how much the node's clock is off, in turn."""
_ROOT: Final = Path(__file__).resolve().parents[2]
_OWN_DISK: Final = 'mount -t tmpfs -o size=1m none "$1" && cd "$0" && disk=$1 && shift && exec "$@" > "$disk/out"'


@dataclass
class Figures:
    """What came of one node."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    connects: list[float] = field(default_factory=list)
    """Seconds until an honest peer had its answer."""
    failures: list[str] = field(default_factory=list)
    """What went wrong for those who should be served, with the second at which it did."""
    memory: list[int] = field(default_factory=list)
    files: int = 0
    """The most that were open."""
    ended: float = 0.0
    """Seconds from SIGTERM to the end."""
    status: int | None = None
    output: str = ""
    errors: str = ""

    def as_json(self) -> dict[str, object]:
        ordered = sorted(self.connects)
        return {
            "name": self.name,
            "counts": dict(self.counts),
            "connects": len(ordered),
            "connect_p50": ordered[len(ordered) // 2] if ordered else None,
            "connect_p95": ordered[len(ordered) * 95 // 100] if ordered else None,
            "connect_max": max(ordered, default=None),
            "failures": self.failures,
            "memory_first": self.memory[0] if self.memory else None,
            "memory_last": self.memory[-1] if self.memory else None,
            "memory_most": max(self.memory, default=None),
            "files_most": self.files,
            "ended": self.ended,
            "status": self.status,
        }


class Clock:
    """The clock of the node's machine, to be set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.off = 0.0
        self._since = -SETTLED
        self.set(0.0)

    def set(self, off: float) -> None:
        if not self.path.exists():
            self.path.write_bytes(struct.pack("d", off))
        with self.path.open("r+b") as file:
            file.write(struct.pack("d", off))
        self.off, self._since = off, time.monotonic()

    @property
    def is_right(self) -> bool:
        """Whether it is, and has been for long enough."""
        return not self.off and time.monotonic() - self._since >= SETTLED


class Besieged:
    """A node that runs, and all who want something of it."""

    def __init__(self, process: trio.Process, listening: dict[str, Any], clock: Clock, figures: Figures, seed: int) -> None:
        self.process = process
        self.clock = clock
        self.figures = figures
        self._record = NodeRecord.parse(listening["enode"])
        self._signed = NodeRecord.parse(listening["enr"])
        self._port = self._record.addresses[0].port or 0
        self._metrics = int(listening["metrics"][0].rpartition(":")[2].partition("/")[0])
        self._began = time.monotonic()
        self._dice = random.Random(seed)
        self._keys = [PrivateKey.generate() for _ in range(20)]

    async def run(self, seconds: float, trouble: "Callable[[Besieged, float], Awaitable[None]]") -> None:
        """Let all of them come for so long."""
        async with open_discovery(PrivateKey.generate(), listen="udp://127.0.0.1:0") as discovery, trio.open_nursery() as nursery:
            for stranger in (self._junk, self._silent, self._break_a_rule, self._datagrams):
                for _ in range(STRANGERS):
                    nursery.start_soon(self._again, stranger, PACE)
            nursery.start_soon(self._again, self._visit, 0.2)
            nursery.start_soon(self._again, self._scrape, 0.5)
            for version in (4, 5):
                nursery.start_soon(self._again, partial(self._ask, discovery, version), 1.0)
            nursery.start_soon(self._watch)
            nursery.start_soon(self._set_clock, seconds * 0.7 / len(JUMPS))
            nursery.start_soon(trouble, self, seconds)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()

    async def _again(self, act: Callable[[], Awaitable[None]], pause: float) -> None:
        while True:
            await act()
            await trio.sleep(pause)

    def fail(self, what: str) -> None:
        self.figures.failures.append(f"{time.monotonic() - self._began:.1f} s, clock off by {self.clock.off:.0f} s: {what}")

    # Whom it owes nothing

    async def _junk(self) -> None:
        self.figures.counts["junk links"] += 1
        with suppress(*_OVER), trio.move_on_after(1):
            async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
                await stream.send_all(self._dice.randbytes(self._dice.choice([1, 100, 307, 3000])))
                await stream.receive_some()

    async def _silent(self) -> None:
        self.figures.counts["silent links"] += 1
        with suppress(*_OVER), trio.move_on_after(0.5):
            async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
                await stream.receive_some()

    async def _break_a_rule(self) -> None:
        self.figures.counts["broken rules"] += 1
        with suppress(*_OVER), trio.move_on_after(2):
            async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
                peer = ScriptedPeer(stream, [Chat()], call=self._record.public_key, key=self._dice.choice(self._keys))
                await peer.begin()
                await self._dice.choice(_RULES)(peer)
                await peer.receive_disconnect()

    async def _datagrams(self) -> None:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            for _ in range(5):
                self.figures.counts["junk datagrams"] += 1
                await sock.sendto(self._dice.randbytes(self._dice.randrange(1, 1280)), ("127.0.0.1", self._port))

    # Whom it serves

    async def _visit(self) -> None:
        began = time.monotonic()
        try:
            with trio.fail_after(PATIENCE):
                async with open_node(PrivateKey.generate(), [Chat()]) as visitor:
                    peer = await visitor.connect(self._record)
                    await peer[Chat].request(GetTime("utc"))
        except (*_OVER, ExceptionGroup) as error:
            self.fail(f"an honest peer: {error!r}")
        else:
            self.figures.connects.append(time.monotonic() - began)

    async def _scrape(self) -> None:
        try:
            with trio.fail_after(PATIENCE):
                async with await trio.open_tcp_stream("127.0.0.1", self._metrics) as stream:
                    await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    answer = b"".join([data async for data in stream])
        except _OVER as error:
            self.fail(f"the metrics: {error!r}")
        else:
            self.figures.counts["scrapes"] += 1
            if not answer.startswith(b"HTTP/1.1 200"):
                self.fail(f"the metrics: {answer[:100]!r}")

    async def _ask(self, discovery: Discovery, version: int) -> None:
        right = self.clock.is_right
        answered = await discovery.ping(self._signed, version=version) is not None
        if right and self.clock.is_right:
            self.figures.counts[f"v{version} asked"] += 1
            self.figures.counts[f"v{version} answered"] += answered

    # The surroundings

    async def _watch(self) -> None:
        while True:
            here = Path(f"/proc/{self.process.pid}")
            self.figures.memory.append(int((here / "statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE"))
            self.figures.files = max(self.figures.files, sum(1 for _ in (here / "fd").iterdir()))
            await trio.sleep(1)

    async def _set_clock(self, every: float) -> None:
        for off in JUMPS:  # at the end it is right for a while
            await trio.sleep(every)
            self.clock.set(off)

    async def end(self) -> None:
        """Tell it to end, and see how long that takes."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            self.figures.status = await self.process.wait()
        self.figures.ended = time.monotonic() - began


def command(clock: Clock, book: Path) -> list[str]:
    argv = ["node", "--json", "--listen", "127.0.0.1:0", "--capability", "tests.chat:Chat", "--metrics", "0", "--book", str(book)]
    return [sys.executable, "-m", "tests.soak.jumping", str(clock.path), *argv, "--slots-every", "0.1", "--log-level", "debug"]


@asynccontextmanager
async def _started(argv: Sequence[str], **options: Any) -> AsyncIterator[trio.Process]:
    start = partial(trio.run_process, stdin=subprocess.DEVNULL, check=False, cwd=_ROOT)
    async with trio.open_nursery() as nursery:
        yield await nursery.start(partial(start, list(argv), **options))
        nursery.cancel_scope.cancel()


async def _first_line(read: Callable[[], Awaitable[bytes | bytearray]]) -> dict[str, Any] | None:
    """The first event; None if the node has ended without one."""
    text = b""
    with trio.fail_after(PATIENCE):
        while b"\n" not in text:
            data = await read()
            if not data:
                return None
            text += data
    found: dict[str, Any] = json.loads(text.partition(b"\n")[0])
    return found


async def unread(seconds: float, clock: Clock, book: Path) -> Figures:
    """A node whose output nobody reads; its book is damaged under its hands, and the whole machine sleeps for three seconds.

    If it does not begin, `Figures.errors` says what it said.
    """
    figures = Figures("output that nobody reads")
    async with _started(command(clock, book), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        listening = await _first_line(process.stdout.receive_some)
        if listening is None:
            figures.errors = b"".join([data async for data in process.stderr]).decode()
            figures.status = await process.wait()
            return figures
        for pipe in (process.stdout, process.stderr):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 4096)  # type: ignore[attr-defined]
        node = Besieged(process, listening, clock, figures, 1)

        async def trouble(_: Besieged, seconds: float) -> None:
            await trio.sleep(seconds * 0.45)
            process.send_signal(signal.SIGSTOP)
            await trio.sleep(3)
            process.send_signal(signal.SIGCONT)
            await trio.sleep(seconds * 0.2)
            damage(book, random.Random(2))

        await node.run(seconds, trouble)
        await node.end()
    return figures


async def on_a_full_disk(seconds: float, clock: Clock, place: Path) -> Figures:
    """A node whose output and book are on a disk of 1 MiB, which is full for half of the time."""
    figures = Figures("a full disk")
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    argv = [*namespace, "sh", "-c", _OWN_DISK, str(_ROOT), str(place), *command(clock, place / "book")]
    async with _started(argv, stderr=subprocess.PIPE) as process:
        disk = Path(f"/proc/{process.pid}/root{place}")

        async def read() -> bytes:
            await trio.sleep(0.05)
            with suppress(OSError):
                return (disk / "out").read_bytes() or b" "
            return b" "

        listening = await _first_line(read)
        assert listening is not None
        node = Besieged(process, listening, clock, figures, 3)

        async def trouble(_: Besieged, seconds: float) -> None:
            await trio.sleep(seconds / 4)
            with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                while True:
                    filler.write(bytes(512))
            figures.counts["bytes free when full"] = os.statvfs(disk).f_bavail
            await trio.sleep(seconds / 2)
            (disk / "out").open("wb").close()  # as somebody does who rotates it
            (disk / "filler").unlink()

        await node.run(seconds, trouble)
        figures.output = (disk / "out").read_bytes().decode(errors="replace")
        await node.end()
    return figures


def damage(book: Path, dice: random.Random) -> None:
    """Write nonsense into a fifth of a file."""
    with book.open("r+b") as file:
        size = book.stat().st_size
        for _ in range(max(1, size // 5 // 64)):
            file.seek(dice.randrange(size))
            file.write(dice.randbytes(64))


def move_away(book: Path) -> None:
    """What its owner does with a book that cannot be opened."""
    for path in book.parent.glob(f"{book.name}*"):
        path.rename(path.with_name(f"damaged {path.name}"))


async def hardship(seconds: float, place: Path) -> list[Figures]:
    """All troubles one after the other, a third of the time for each."""
    clock, book, disk = Clock(place / "clock"), place / "book", place / "disk"
    disk.mkdir()
    share = seconds / 3
    found = [await on_a_full_disk(share, clock, disk), await unread(share, clock, book)]
    damage(book, random.Random(4))
    again = await unread(share, clock, book)
    if not again.connects:  # the damaged book is refused, so it is moved away
        again.name = "a damaged book"
        found.append(again)
        move_away(book)
        again = await unread(share, clock, book)
    again.name = "a book that was damaged"
    return [*found, again]
