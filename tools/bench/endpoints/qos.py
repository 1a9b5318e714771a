"""Several capabilities on one connection: ping-pong beside large messages or beside one that never reads, and fair shares of the line."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import trio

from devp2p import Capability, Channel, Peer, PeerDisconnected, rlp
from tools.bench.endpoints.api import node
from tools.bench.endpoints.basics import Blob, Options, make_payload

_MOST_PINGS = 20_000
_PATIENCE = 20.0  # seconds
_URGENT = 508  # bytes of padding that make a message of 512


@dataclass(frozen=True)
class Ping:
    """A question."""

    number: rlp.U64


@dataclass(frozen=True)
class Pong:
    """Its answer."""

    number: rlp.U64


@dataclass(frozen=True)
class Ask:
    """A question of 512 bytes, in `dpxqos` modes."""

    number: rlp.U64
    padding: bytes = bytes(_URGENT)


@dataclass(frozen=True)
class Reply:
    """Its answer."""

    number: rlp.U64
    padding: bytes = bytes(_URGENT)


class PingPong(Capability[Ping | Pong]):
    """Answers pings, or plays and times each pong in microseconds. Its messages overtake nothing: all are ordinary."""

    name, version = "ping", 1
    messages: ClassVar[Mapping[int, type[Any]]] = {0: Ping, 1: Pong}
    ask: ClassVar[Callable[[int], Any]] = Ping
    reply: ClassVar[Callable[[int], Any]] = Pong

    def __init__(self, options: Options) -> None:
        self.waits: list[int] = []
        self.end: PeerDisconnected | None = None
        self.stuck = False
        self.done = trio.Event()
        self._options = options

    async def run(self, peer: Peer, channel: Channel[Ping | Pong]) -> None:  # noqa: ARG002
        """One session."""
        try:
            await (self._play(channel) if self._options.target else self._answer(channel))
        except PeerDisconnected as error:
            self.end = error
        self.done.set()

    async def _answer(self, channel: Channel[Ping | Pong]) -> None:
        async for message in channel:
            await channel.send(type(self).reply(message.number))

    async def _play(self, channel: Channel[Ping | Pong]) -> None:
        # Beside a receiver that never reads, the seconds say how long a pong is waited for; else, how long to play.
        stall, seconds = self._options.stall, self._options.seconds
        begin = time.perf_counter()
        warm, end = (begin, math.inf) if stall else (begin + seconds / 10, begin + seconds)
        number = 0
        while (asked := time.perf_counter()) < end and len(self.waits) < _MOST_PINGS:
            with trio.move_on_after(seconds if stall else _PATIENCE) as scope:
                await channel.send(type(self).ask(number))
                answer = await channel.receive()
                assert answer == type(self).reply(number)  # noqa: S101  (of two processes of one program)
            if scope.cancelled_caught:
                self.stuck = True
                return
            if asked >= warm:
                self.waits.append(round(1e6 * (time.perf_counter() - asked)))
            number += 1


class Urgent(PingPong):
    """The same with messages that may overtake all others."""

    messages: ClassVar[Mapping[int, type[Any]]] = {0: Ask, 1: Reply}
    urgent = {Ask, Reply}
    ask: ClassVar[Callable[[int], Any]] = Ask
    reply: ClassVar[Callable[[int], Any]] = Reply


def ping_pong(options: Options) -> PingPong:
    """The kind that a mode wants."""
    return Urgent(options) if options.mode.startswith("dpx") else PingPong(options)


class Load(Capability[Blob]):
    """Sends large messages without pause; its receiver takes them, or never reads."""

    name, version = "load", 1
    messages = {0: Blob}

    def __init__(self, options: Options) -> None:
        self.sent = 0
        self.unread = 0
        self._options = options

    async def run(self, peer: Peer, channel: Channel[Blob]) -> None:  # noqa: ARG002
        """One session."""
        if self._options.target:
            payload = make_payload(self._options.beside, "random")
            while payload:
                await channel.send(Blob(payload))
                self.sent += len(payload)
            await trio.sleep_forever()
        while self._options.stall:
            await trio.sleep(0.02)
            self.unread = max(self.unread, channel.unread_bytes)
        async for _ in channel:
            pass


async def serve(options: Options) -> dict[str, Any]:
    """Answer pings for ever; beside a capability that never reads, until the session ends, and say how it did."""
    ping, load = ping_pong(options), Load(options)
    async with node(options, ping, load):
        await ping.done.wait()
    return {"unread": load.unread, "ended": str(ping.end)}


async def play(options: Options) -> dict[str, Any]:
    """Play ping-pong beside our own load, for a time or until it cannot go on."""
    ping, load = ping_pong(options), Load(options)
    begin = time.perf_counter()
    async with node(options, ping, load):
        await ping.done.wait()
    ended = None if ping.end is None else str(ping.end)
    return {"waits": ping.waits, "sent": load.sent, "stuck": ping.stuck, "ended": ended, "seconds": time.perf_counter() - begin}


UNREAD = "unread"
"""The flow whose receiver never reads, with ``--stall``."""


class Flow(Capability[Blob]):
    """One of several capabilities that all send as fast as they can."""

    messages = {0: Blob}

    def __init__(self, payload: bytes, *, sends: bool, reads: bool = True) -> None:
        self.count = 0
        self.reads = reads
        self.began = trio.Event()
        self._payload = payload
        self._sends = sends

    async def run(self, peer: Peer, channel: Channel[Blob]) -> None:  # noqa: ARG002
        """One session."""
        with suppress(PeerDisconnected):
            while self._sends:
                await channel.send(Blob(self._payload))
            while not self.reads:  # noqa: ASYNC110  (until it is killed)
                await trio.sleep(1)
            async for message in channel:
                self.count += len(message.data)
                self.began.set()


def make_flows(options: Options) -> dict[str, Flow]:
    """The capabilities that ``--flows name:size:weight,...`` names."""
    flows: dict[str, Flow] = {}
    for entry in options.flows.split(","):
        name, size, weight = entry.split(":")
        kind = type(f"Flow_{name}", (Flow,), {"name": name, "version": 1, "weight": int(weight)})
        reads = not (options.stall and name == UNREAD)
        flows[name] = kind(make_payload(int(size), "random"), sends=bool(options.target), reads=reads)
    return flows


async def share(options: Options) -> dict[str, Any]:
    """Send on all flows until killed, or count the bytes of each for a time, from when all flow."""
    flows = make_flows(options)
    async with node(options, *flows.values()):
        if options.target:
            await trio.sleep_forever()
        for flow in flows.values():
            if flow.reads:
                await flow.began.wait()
        before = {name: flow.count for name, flow in flows.items()}
        await trio.sleep(options.seconds)
        taken = {name: flow.count - before[name] for name, flow in flows.items()}
    return {"bytes": taken}
