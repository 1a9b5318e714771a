"""Links of a way, made for a test: one side listens, the other dials, and each has the first stream."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
from trio.abc import HalfCloseableStream

from devp2p import Address, HandshakeError, Limits, Link, MuxLink, Node, PrivateKey, open_node
from devp2p.transports import Arrival, Incoming, Listener, Transport
from tests.chat import Chat
from tests.network import NO_PINGS
from tests.transports.ways import Case, Ground, open_ground

ALICE, BOB, CAROL = (PrivateKey.from_bytes(bytes([number]) * 32) for number in (1, 2, 3))
"""Who listens, who dials, and who is not there."""
PIECE = bytes(64 * 1024)
SOON = 20
"""Seconds in which whatever must come to an end does."""
ENDS = (trio.BrokenResourceError, trio.ClosedResourceError, HandshakeError, OSError)
"""What comes of a link whose peer breaks off."""


@dataclass
class End:
    """One end of a link, and its first stream."""

    link: Link
    stream: HalfCloseableStream

    async def receive(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        data = bytearray()
        while len(data) < size and (more := await self.stream.receive_some(size - len(data))):
            data += more
        return bytes(data)


async def first_of(link: Link) -> HalfCloseableStream:
    if isinstance(link, MuxLink):
        return await (link.open() if link.initiator else link.accept())
    return link.stream


async def upgraded(arrival: Arrival) -> Link:
    """The link that was accepted, after the handshake of its transport if it has one; closed if that fails."""
    if not isinstance(arrival, Incoming):
        return arrival
    try:
        await arrival.hear()
        return await arrival.upgrade()
    except BaseException:
        with trio.CancelScope(shield=True):
            await arrival.aclose()
        raise


class Linking:
    """Alice, who listens, and Bob, who dials."""

    def __init__(self, ground: Ground, listener: Listener, arrivals: trio.MemoryReceiveChannel[Any]) -> None:
        self.ground = ground
        self.address: Address = listener.addresses[0]
        self.arrivals = arrivals
        self.dialler: Transport = ground.transport(BOB)

    async def dial(self) -> End:
        """Dial, and say something on the first stream: some systems and transports tell of nothing before."""
        link = await self.dialler.dial(self.address, expect=ALICE.public_key)
        try:
            stream = await first_of(link)
            await stream.send_all(b"!")
        except BaseException:
            with trio.CancelScope(shield=True):
                await link.aclose()
            raise
        return End(link, stream)

    async def accept(self) -> End:
        """The end of whoever dials."""
        link = await upgraded(await self.arrivals.receive())
        try:
            end = End(link, await first_of(link))
            if await end.stream.receive_some(1) != b"!":
                raise trio.BrokenResourceError("whoever dialled is gone")
        except BaseException:
            with trio.CancelScope(shield=True):
                await link.aclose()
            raise
        return end

    @asynccontextmanager
    async def pair(self) -> AsyncGenerator[tuple[End, End]]:
        """Both ends of a new link, the dialler's first; they are closed at the end."""
        ours, theirs = await both(self.dial, self.accept)
        try:
            yield ours, theirs
        finally:
            with trio.CancelScope(shield=True):
                await ours.link.aclose()
                await theirs.link.aclose()


async def both(one: Callable[[], Awaitable[Any]], other: Callable[[], Awaitable[Any]]) -> tuple[Any, Any]:
    """What two calls at once return."""
    results: dict[int, Any] = {}

    async def run(number: int, call: Callable[[], Awaitable[Any]]) -> None:
        results[number] = await call()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, 0, one)
        nursery.start_soon(run, 1, other)
    return results[0], results[1]


@asynccontextmanager
async def open_linking(case: Case, folder: Path) -> AsyncGenerator[Linking]:
    """Open a way, and let Alice listen."""
    async with open_ground(case.way, case.text, folder) as ground, trio.open_nursery() as nursery:
        send, receive = trio.open_memory_channel[Any](1000)
        listener = await ground.transport(ALICE).bind(ground.address)
        nursery.start_soon(listener.serve, send.send)
        try:
            yield Linking(ground, listener, receive)
        finally:
            nursery.cancel_scope.cancel()


async def until_it_ends(end: End) -> None:
    """Read until the peer is gone, whichever way this is told."""
    with suppress(*ENDS):
        while await end.stream.receive_some(65536):
            pass


def open_files() -> int:
    """How many descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class _CancelAt(trio.abc.Instrument):
    def __init__(self, at: int) -> None:
        self.at = at
        self.steps = 0
        self.task: trio.lowlevel.Task | None = None
        self.scope = trio.CancelScope()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.steps += 1
            if self.steps == self.at:
                self.scope.cancel()


async def cancelled_at(step: int, call: Callable[[], Awaitable[Any]]) -> tuple[Any, int]:
    """Make a call, and cancel it when its task has made so many steps; 0 never does.

    What it returned, or None if it was cancelled, or its peer was, so that it raised one of `ENDS`; and how many steps it made.
    """
    instrument, results = _CancelAt(step), list[Any]()

    async def run() -> None:
        instrument.task = trio.lowlevel.current_task()
        with instrument.scope, suppress(*ENDS):
            results.append(await call())

    trio.lowlevel.add_instrument(instrument)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
    finally:
        trio.lowlevel.remove_instrument(instrument)
    return (results[0] if results else None), instrument.steps


def some_of(count: int, most: int) -> list[int]:
    """At most so many of 1 to `count`, two at the least: the first and the last."""
    most = max(most, 2)
    if count <= most:
        return list(range(1, count + 1))
    return sorted({1 + round(number * (count - 1) / (most - 1)) for number in range(most)})


async def flood(stream: trio.abc.SendStream) -> None:
    """Send without end."""
    while True:
        await stream.send_all(PIECE)


def node_of(
    ground: Ground, key: PrivateKey, chat: Chat, limits: Limits = NO_PINGS, *, listens: bool = False
) -> AbstractAsyncContextManager[Node]:
    """Open a node that is strict and sends no Pings, unless `limits` say otherwise."""
    listen = [ground.text] if listens else []
    return open_node(key, [chat], listen=listen, transports=[ground.transport(key)], limits=limits, strict=True)
