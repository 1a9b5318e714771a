"""A capability for tests, whose ``run`` a test can replace, and small things that many tests need."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import trio

from devp2p import Capability, Channel, Peer, Request, Response


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class GetTime(Request["Time"]):
    zone: str


@dataclass(frozen=True)
class Time(Response):
    seconds: int


@dataclass(frozen=True)
class Blob:
    data: bytes
    max_size: ClassVar[int] = 12 * 2**20


@dataclass(frozen=True)
class Hint:
    data: bytes


ChatMessage = Say | GetTime | Time | Blob | Hint
Run = Callable[[Peer, Channel[ChatMessage]], Awaitable[None]]


async def serve(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
    """Answer requests and ignore the rest, for as long as the session lasts."""
    async for message in channel:
        if isinstance(message, GetTime):
            await channel.send(Time(message.request_id, len(message.zone)))


class Chat(Capability[ChatMessage]):
    name, version = "chat", 1
    messages = {0: Say, 1: GetTime, 2: Time, 3: Blob, 4: Hint}
    urgent = {Time, Hint}
    bulk = {Blob}

    def __init__(self, run: Run = serve) -> None:
        self._run = run

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:
        await self._run(peer, channel)


def chat(run: Run = serve, **attributes: Any) -> Chat:
    """A Chat with other class attributes: ``chat(serve, optional=True)``. Each call makes a class of its own."""
    made: Chat = type("Chat", (Chat,), attributes)(run)
    return made


def collect(seen: list[ChatMessage]) -> Run:
    """A ``run`` that puts what comes into a list."""

    async def run(_: Peer, channel: Channel[ChatMessage]) -> None:
        async for message in channel:
            seen.append(message)  # noqa: PERF401  (a comprehension would show nothing before the end)

    return run


async def echo(_: Peer, channel: Channel[ChatMessage]) -> None:
    """A ``run`` that sends each Blob back."""
    async for message in channel:
        if isinstance(message, Blob):
            await channel.send(message)


async def exchange(peer: Peer, came: list[ChatMessage], sizes: Sequence[int], *, within: float = 60) -> None:
    """Send blobs of these sizes to one that runs `echo`, and wait until all have come back to what has `collect(came)`."""
    await peer.ready(Chat)
    blobs = [Blob(number.to_bytes(1) * size) for number, size in enumerate(sizes)]
    for blob in blobs:
        await peer[Chat].send(blob)
    with trio.fail_after(within):
        while len(came) < len(blobs):  # noqa: ASYNC110
            await trio.sleep(0.001)
    assert came == blobs
