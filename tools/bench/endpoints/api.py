"""The public API: two nodes and a capability with one typed message, as anybody would write it."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio

from devp2p import Capability, Channel, Limits, Node, Peer, PeerDisconnected, PrivateKey, open_node
from devp2p.capability import AnyCapability
from tools.bench.endpoints.basics import Blob, Meter, Options, StepTimes, emit, make_payload

MAX_PEERS = 1200


class Bench(Capability[Blob]):
    """Sends messages for a time, or meters those that come."""

    name, version = "bench", 1
    messages = {0: Blob}

    def __init__(self, options: Options) -> None:
        self.ended = trio.Event()
        self.meter = Meter(options.seconds)
        self.sent: dict[str, Any] = {}
        self._options = options

    async def run(self, peer: Peer, channel: Channel[Blob]) -> None:  # noqa: ARG002
        """One session."""
        with suppress(PeerDisconnected):
            await (self._send(channel) if self._options.target else self._receive(channel))
        self.ended.set()

    async def _receive(self, channel: Channel[Blob]) -> None:
        size, take = self._options.size, self.meter.take
        async for message in channel:
            assert len(message.data) == size  # noqa: S101  (of two processes of one program)
            take()

    async def _send(self, channel: Channel[Blob]) -> None:
        payload = make_payload(self._options.size, self._options.payload)
        begin, cpu, messages = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() < begin + self._options.seconds:
            await channel.send(Blob(payload))
            messages += 1
        self.sent = {"messages": messages, "seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}


class Idle(Capability[Blob]):
    """Says nothing."""

    name, version = "bench", 1
    messages = {0: Blob}

    async def run(self, peer: Peer, channel: Channel[Blob]) -> None:  # noqa: ARG002
        """One session."""
        async for _ in channel:
            pass


@asynccontextmanager
async def node(options: Options, *capabilities: AnyCapability, limits: Limits | None = None) -> AsyncGenerator[tuple[Node, Peer | None]]:
    """A node that listens and says where, or one that is connected to the target; it speaks dpx/1 in modes that are named so."""
    listen, dpx = () if options.target else ("tcp://127.0.0.1:0",), options.mode.startswith("dpx")
    async with open_node(PrivateKey.generate(), capabilities, listen=listen, max_peers=MAX_PEERS, limits=limits, dpx=dpx) as opened:
        if options.target:
            peer = await opened.connect(options.target)
            assert (peer.profile.protocol == "dpx/1") == dpx  # noqa: S101  (of two processes of one program)
            yield opened, peer
        else:
            emit({"listening": opened.enode})
            yield opened, None


async def stream(options: Options) -> dict[str, Any]:
    """``api-send`` and ``api-recv``."""
    steps, bench = StepTimes(), Bench(options)
    if options.steps:
        trio.lowlevel.add_instrument(steps)
    async with node(options, bench) as (_, peer):
        await bench.ended.wait()
        if peer is not None:
            await peer.wait_ended()
    report = bench.sent if options.target else bench.meter.report()
    return report | ({"steps": steps.report()} if options.steps else {})


async def idle(options: Options) -> dict[str, Any]:
    """``idle-serve``: accept sessions on which nothing happens, until killed."""
    async with node(options, Idle()):
        await trio.sleep_forever()
