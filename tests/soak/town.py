"""A node that is visited without end, over sockets of this machine: peers that come, talk and go, and a hundredth of rabble."""

import gc
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Final

import trio

from devp2p import Channel, DialError, Limits, Node, Peer, PeerDisconnected, PrivateKey, open_node, rlp
from devp2p.session.running import RunningSession
from devp2p.testing import ScriptedPeer
from devp2p.wire import base
from tests.chat import Blob, Chat, ChatMessage, GetTime, Say
from tests.soak.slopes import Slope, slope

SESSIONS: Final = 100
STAY: Final = 20.0
"""Seconds that a peer stays, on average. With `SESSIONS`, this makes five links a second."""
TALK: Final = 1.0
"""Seconds between two messages of a peer, on average."""
RABBLE: Final = 0.01
"""The share of messages that are malformed, and of links that bring no session."""
_OVER: Final = (
    DialError,
    PeerDisconnected,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.EndOfChannel,
    trio.TooSlowError,
    OSError,
)


@dataclass(slots=True)
class Sample:
    """What there is at one moment."""

    time: float
    memory: float
    """Resident bytes of the process, with both ends of all sessions in it."""
    files: int
    tasks: int
    sessions: int
    session_objects: int
    lag: float
    """Seconds by which the loop was late since the sample before, at most."""


@dataclass
class Report:
    """What came of it."""

    seconds: float
    warm_up: float
    counts: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    """What was still there after the end that had not been there before the beginning."""

    def slope(self, what: str) -> Slope:
        return slope([one.time for one in self.samples], [float(getattr(one, what)) for one in self.samples], self.warm_up)

    def slopes(self) -> dict[str, Slope]:
        return {what: self.slope(what) for what in ("memory", "files", "tasks", "session_objects")}

    def as_json(self) -> dict[str, object]:
        shown = {what: asdict(one) | {"t": one.t, "growth": one.growth} for what, one in self.slopes().items()}
        rest = {"seconds": self.seconds, "warm_up": self.warm_up, "counts": dict(self.counts), "left": self.left}
        return {**rest, "slopes": shown, "samples": [asdict(one) for one in self.samples]}


class Town:
    """The node that is visited, and all who visit it."""

    def __init__(self, node: Node, report: Report, nursery: trio.Nursery, seed: int) -> None:
        self._node = node
        self._port = node.addresses[0].port or 0
        self._counts = report.counts
        self._report = report
        self._nursery = nursery
        self._dice = random.Random(seed)
        self._rabble = [PrivateKey.generate() for _ in range(20)]
        self._lag = 0.0

    async def visit(self, key: PrivateKey) -> None:
        """One identity comes, talks and goes, again and again."""
        await trio.sleep(STAY * self._dice.random() / 4)
        while True:
            if self._dice.random() < RABBLE:
                await self._stray()
            async with open_node(key, [Chat()], limits=Limits(ping_interval=5.0)) as visitor:
                with suppress(*_OVER):
                    self._counts["links"] += 1
                    peer = await visitor.connect(self._node.record)
                    self._counts["sessions"] += 1
                    with trio.move_on_after(self._dice.expovariate(1 / STAY)):
                        await self._talk(peer[Chat])
            await trio.sleep(0.1)

    async def _talk(self, channel: Channel[ChatMessage]) -> None:
        noise = self._dice.randbytes(20_000)
        while True:
            await trio.sleep(self._dice.expovariate(1 / TALK))
            match self._dice.randrange(10):
                case 0:
                    await channel.send(Blob(noise))
                case 1 | 2 | 3:
                    await channel.request(GetTime("utc"))
                case _:
                    await channel.send(Say("something or other"))
            self._counts["messages"] += 1
            if self._dice.random() < RABBLE:
                await self._break_a_rule()

    async def _stray(self) -> None:
        """A link that never becomes a session."""
        self._counts["stray links"] += 1
        with suppress(*_OVER):
            async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
                await stream.send_all(self._dice.randbytes(self._dice.choice([1, 100, 307, 3000])))
                with trio.move_on_after(self._dice.random()):
                    await stream.receive_some()

    async def _break_a_rule(self) -> None:
        """A session that begins well, and in which something comes that no session bears."""
        self._counts["malformed messages"] += 1
        with suppress(*_OVER), trio.move_on_after(5):
            async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
                peer = ScriptedPeer(stream, [Chat()], call=self._node.public_key, key=self._dice.choice(self._rabble))
                await peer.begin()
                await self._dice.choice(_RULES)(peer)
                await peer.receive_disconnect()
                self._counts["told so"] += 1

    async def watch(self) -> None:
        """Take a sample each second."""
        started = trio.current_time()
        self._nursery.start_soon(self._measure_lag)
        while True:
            await trio.sleep(1)
            lag, self._lag = self._lag, 0.0
            alive = sum(type(one) is RunningSession for one in gc.get_objects()) if len(self._report.samples) % 5 == 0 else None
            last = self._report.samples[-1].session_objects if self._report.samples else 0
            sample = Sample(
                trio.current_time() - started,
                _resident(),
                len(_files()),
                trio.lowlevel.current_statistics().tasks_living,
                len(self._node.connected),
                last if alive is None else alive,
                lag,
            )
            self._report.samples.append(sample)

    async def _measure_lag(self) -> None:
        while True:
            before = perf_counter()
            await trio.sleep(0.05)
            self._lag = max(self._lag, perf_counter() - before - 0.05)


async def _bad_mac(peer: ScriptedPeer) -> None:
    frame = bytearray(peer.seal(b"\x02\x01\x00\xc0"))
    frame[20] ^= 1
    await peer.stream.send_all(bytes(frame))


async def _unknown_id(peer: ScriptedPeer) -> None:
    await peer.send(0x70)


async def _bad_snappy(peer: ScriptedPeer) -> None:
    await peer.send(0x10, b"\x05\xff\xff\xff", compress=False)


async def _bad_rlp(peer: ScriptedPeer) -> None:
    await peer.send(0x10, b"\xc2\x01")


async def _second_hello(peer: ScriptedPeer) -> None:
    await peer.say_hello()


async def _answer_to_nothing(peer: ScriptedPeer) -> None:
    await peer.send(0x12, rlp.encode([1, 2]))


async def _too_many_pings(peer: ScriptedPeer) -> None:
    for _ in range(20):
        await peer.send(base.PING)


_RULES: Final[tuple[Callable[[ScriptedPeer], Awaitable[None]], ...]] = (
    _bad_mac,
    _unknown_id,
    _bad_snappy,
    _bad_rlp,
    _second_hello,
    _answer_to_nothing,
    _too_many_pings,
)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _files() -> list[str]:
    return [entry.name for entry in Path("/proc/self/fd").iterdir()]


async def soak(seconds: float, *, seed: int = 1) -> Report:
    """Let a node be visited for so long."""
    report = Report(seconds, warm_up=seconds / 3)
    before = len(_files()), trio.lowlevel.current_statistics().tasks_living
    key, limits = PrivateKey.generate(), Limits(ping_interval=5.0)
    many = 2 * SESSIONS
    async with open_node(key, [Chat()], listen=["tcp://127.0.0.1:0"], max_peers=many, slots={"chat": many}, limits=limits) as node:
        async with trio.open_nursery() as nursery:
            town = Town(node, report, nursery, seed)
            for _ in range(SESSIONS):
                nursery.start_soon(town.visit, PrivateKey.generate())
            nursery.start_soon(town.watch)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()
        with trio.move_on_after(5):
            while node.connected:  # noqa: ASYNC110
                await trio.sleep(0.01)
        report.left["peers"] = len(node.connected)
    gc.collect()
    report.left["files"] = len(_files()) - before[0]
    report.left["tasks"] = trio.lowlevel.current_statistics().tasks_living - before[1]
    report.left["sessions"] = sum(type(one) is RunningSession for one in gc.get_objects())
    report.left["peer objects"] = sum(type(one) is Peer for one in gc.get_objects())
    return report
