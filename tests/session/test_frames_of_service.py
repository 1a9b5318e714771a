"""How messages share a slow line in dpx/1: frame by frame, so that nobody waits for a large message, under trio's mock clock."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import trio
from trio.abc import HalfCloseableStream

from devp2p import Address, Capability, Channel, Limits, Node, Peer, PrivateKey, PublicKey, open_node
from devp2p.testing import MemoryTransport
from devp2p.transports.links import ByteLink

NOISE = random.Random(1).randbytes(10 * 2**20)
RATE = 1e6  # bytes a second
_PIECE = 1024


class SlowStream(HalfCloseableStream):
    """A stream that takes so many bytes a second, and holds none."""

    def __init__(self, inner: HalfCloseableStream, rate: float) -> None:
        self._inner = inner
        self._rate = rate
        self._free_at = 0.0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        for at in range(0, len(data), _PIECE):
            piece = memoryview(data)[at : at + _PIECE]
            self._free_at = max(self._free_at, trio.current_time()) + len(piece) / self._rate
            await trio.sleep_until(self._free_at)
            await self._inner.send_all(piece)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


class SlowTransport(MemoryTransport):
    """Memory whose dialled links are slow in the direction of the listener."""

    rate = RATE

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        link = await super().dial(address, expect=expect)
        return ByteLink(SlowStream(link.stream, self.rate), local=link.local, remote=link.remote, initiator=True)


@dataclass(frozen=True)
class Load:
    data: bytes
    max_size: ClassVar[int] = 12 * 2**20


@dataclass(frozen=True)
class Note:
    data: bytes


class Sharing(Capability[Load | Note]):
    """Sends, and notes when something comes, in the order of what it was sent."""

    version = 1
    messages = {0: Load, 1: Note}
    urgent = {Note}

    def __init__(self) -> None:
        self.channel: Channel[Load | Note] | None = None
        self.came: list[tuple[float, Load | Note]] = []
        self.takes = trio.Event()
        self.takes.set()

    async def run(self, peer: Peer, channel: Channel[Load | Note]) -> None:  # noqa: ARG002
        self.channel = channel
        while True:
            await self.takes.wait()
            message = await channel.receive()
            self.came.append((trio.current_time(), message))

    async def send(self, message: Load | Note) -> float:
        """Send a message, and say when."""
        assert self.channel is not None
        began = trio.current_time()
        await self.channel.send(message)
        return began

    async def flood(self, size: int) -> None:
        while True:
            await self.send(Load(NOISE[:size]))

    @property
    def bytes(self) -> int:
        return sum(len(message.data) for _, message in self.came)


def sharing(name: str, **attributes: Any) -> Sharing:
    kind: type[Sharing] = type(name, (Sharing,), {"name": name, **attributes})
    return kind()


@asynccontextmanager
async def connected(ours: list[Sharing], rate: float = RATE, **options: Any) -> AsyncIterator[list[Sharing]]:
    """A session whose way from us to the other is slow; the other's capabilities."""
    theirs = [sharing(one.name) for one in ours]
    network = SlowTransport()
    network.rate = rate
    limits = Limits(ping_interval=10**6, outbox_messages=16)

    def node(capabilities: list[Sharing], **more: Any) -> Any:
        return open_node(PrivateKey.generate(), capabilities, transports=[network], limits=limits, strict=True, **options, **more)

    async with node(theirs, listen=["memory://b"]) as other, node(ours) as one, trio.open_nursery() as nursery:
        assert isinstance(one, Node)
        await one.connect(other.record)
        await trio.sleep(0.1)
        yield theirs
        nursery.cancel_scope.cancel()


async def latencies(ours: Sharing, theirs: Sharing, count: int) -> list[float]:
    """Send urgent messages of 512 bytes, one after the other has come."""
    found: list[float] = []
    for number in range(count):
        began = await ours.send(Note(number.to_bytes(2) * 256))
        while not theirs.came or theirs.came[-1][1].data[:2] != number.to_bytes(2):  # noqa: ASYNC110  (nothing has to tell it)
            await trio.sleep(0.001)
        found.append(theirs.came[-1][0] - began)
        await trio.sleep(0.037)
    return found


async def test_an_urgent_message_passes_messages_of_10_mib() -> None:
    """Three capabilities are busy at 1 MB/s: it waits for what is on its way, a round of 20 ms, and no message of ten seconds."""
    ours = [sharing(name) for name in ("a", "b", "c", "d")]
    async with connected(ours) as theirs, trio.open_nursery() as nursery:
        for one in ours[:3]:
            nursery.start_soon(one.flood, 10 * 2**20)
        await trio.sleep(3)
        found = sorted(await latencies(ours[3], theirs[3], 40))
        assert found[20] <= 0.025
        assert found[-1] <= 0.045, found
        nursery.cancel_scope.cancel()


async def test_control_in_a_stock_session_it_waits_for_them() -> None:
    ours = [sharing(name) for name in ("a", "b")]
    async with connected(ours, dpx=False) as theirs, trio.open_nursery() as nursery:
        nursery.start_soon(ours[0].flood, 10 * 2**20)
        await trio.sleep(3)
        assert (await latencies(ours[1], theirs[1], 1))[0] > 5
        nursery.cancel_scope.cancel()


async def test_urgent_messages_never_take_more_than_half_while_others_wait() -> None:
    """A flood of urgent messages and one large one: each has half of the line."""
    ours = [sharing("busy"), sharing("large")]
    async with connected(ours) as theirs, trio.open_nursery() as nursery:

        async def urgent() -> None:
            while True:
                await ours[0].send(Note(bytes(NOISE[:1000])))

        nursery.start_soon(urgent)
        await trio.sleep(1)
        began = await ours[1].send(Load(NOISE[: 2**20]))
        while not theirs[1].came:  # noqa: ASYNC110  (nothing has to tell it)
            await trio.sleep(0.1)
        assert 1.9 <= theirs[1].came[0][0] - began <= 2.5
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("size", [3000, 200_000])
async def test_weights_of_1_to_3_give_25_to_75_percent(size: int) -> None:
    ours = [sharing("a", weight=1), sharing("b", weight=3)]
    async with connected(ours, RATE / 4) as theirs, trio.open_nursery() as nursery:
        for one in ours:
            nursery.start_soon(one.flood, size)
        await trio.sleep(1)
        before = [one.bytes for one in theirs]
        await trio.sleep(10)
        got = [one.bytes - was for one, was in zip(theirs, before, strict=True)]
        assert abs(got[0] / sum(got) - 0.25) <= 0.02 + size / sum(got), got
        nursery.cancel_scope.cancel()


async def test_a_slow_consumer_slows_down_nobody_else() -> None:
    """One takes nothing for a minute: its sibling has the whole line meanwhile, and then both share it."""
    ours, rate = [sharing("slow"), sharing("quick")], RATE / 5
    async with connected(ours, rate) as theirs, trio.open_nursery() as nursery:
        theirs[0].takes = trio.Event()
        for one in ours:
            nursery.start_soon(one.flood, 20_000)
        await trio.sleep(20)  # it is sent what it may leave unread
        held, before = theirs[0].bytes, theirs[1].bytes
        await trio.sleep(10)
        assert theirs[0].bytes == held
        assert theirs[1].bytes - before >= 0.95 * 10 * rate
        theirs[0].takes.set()
        await trio.sleep(1)
        before, held = theirs[1].bytes, theirs[0].bytes
        await trio.sleep(10)
        assert abs((theirs[0].bytes - held) / (theirs[1].bytes - before) - 1) <= 0.1
        nursery.cancel_scope.cancel()


async def test_a_bulk_message_that_has_begun_gets_something_through_however_busy_the_others_are() -> None:
    """It gives way to all others; but the peer would refuse it if nothing came for a minute."""
    ours = [sharing("bulk", bulk={Load}), sharing("busy")]
    async with connected(ours, RATE / 50) as theirs, trio.open_nursery() as nursery:
        await ours[0].send(Load(NOISE[:200_000]))
        await trio.sleep(1)
        nursery.start_soon(ours[1].flood, 3000)
        await trio.sleep(150)
        assert not theirs[0].came
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(15)
        assert [message for _, message in theirs[0].came] == [Load(NOISE[:200_000])]
