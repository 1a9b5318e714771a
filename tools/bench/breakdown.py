"""Where the time of a 32-byte message goes, on its way through the public API.

A batch of messages, as many as an outbox holds, goes step by step through the functions that a session calls, all in this process. The
CPU time of each step is taken for the whole batch. Beside their sum stands what a message cost each process of ``api/message/32B`` in CPU
time; the difference, `rest`, belongs to no function: the loop, its switches between tasks, the calls of the one that asks.
"""

import os
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TypeVar

import trio

from devp2p import Channel, Limits, PrivateKey, rlp
from devp2p.capability import Budget, Inbox, Outbox
from devp2p.keys import Keccak256
from devp2p.session import CHUNK
from devp2p.wire import Connection, MessageReceived, Opening, base, compression
from devp2p.wire.rlpx import Entropy, Extension, FrameOpener, FrameSealer, Handshake, Secrets
from tools.bench.endpoints.api import Idle
from tools.bench.endpoints.basics import Blob
from tools.bench.figures import Row
from tools.bench.plan import Benchmark, Plan
from tools.bench.sides import OURS

SIZE = 32
SENDING = ("encode", "enqueue", "schedule", "compress", "seal", "send_all")
RECEIVING = ("receive_some", "open", "dispatch", "deliver", "take", "decompress", "decode")
_MICROSECONDS = 1e6
_T = TypeVar("_T")


@dataclass
class Stopwatch:
    """CPU seconds a message of each step, batch by batch."""

    batch: int
    laps: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, step: str, started: float) -> None:
        """A step of a batch has ended."""
        self.laps.setdefault(step, []).append((time.thread_time() - started) / self.batch)

    def each(self, step: str, function: Callable[[_T], object], items: Iterable[_T]) -> None:
        """Time a function that is called for each message of a batch."""
        started = time.thread_time()
        for item in items:
            function(item)
        self.add(step, started)

    def medians(self) -> dict[str, float]:
        """Microseconds a message."""
        return {step: _MICROSECONDS * median(laps) for step, laps in self.laps.items()}


def connected(extension: Callable[[], Extension | None] = lambda: None) -> tuple[Connection, Connection]:
    """Two connections, in memory, which have exchanged Hellos; each of the two handshakes has an extension of its own."""
    specs = [Idle.table().spec]
    keys = PrivateKey.generate(), PrivateKey.generate()
    hellos = [base.Hello("bench", (specs[0].offer,), key.public_key) for key in keys]
    recipient = Opening(hellos[1], specs, Handshake(keys[1], Entropy.draw(os.urandom), extension=extension()))
    calling = Handshake(keys[0], Entropy.draw(os.urandom), remote=keys[1].public_key, extension=extension())
    initiator = Opening(hellos[0], specs, calling)
    for _ in range(2):
        recipient.receive_data(initiator.data_to_send())
        initiator.receive_data(recipient.data_to_send())
    for opening in (initiator, recipient):
        while opening.next_event() is not None:
            pass
    assert initiator.connection is not None and recipient.connection is not None  # noqa: S101, PT018  (as each has said Hello)
    return initiator.connection, recipient.connection


def make_channel(outbox: Outbox, limits: Limits) -> Channel[Blob]:
    """A channel as a session makes it."""
    inbox = Inbox(limits.inbox_bytes, limits.inbox_messages, Budget(limits.total_inbox_bytes))
    return Channel(Idle.table(), outbox, inbox, limits, index=0, fits=lambda *_: True, request_timeout=10.0, ready_at_once=True)


def frame_pair() -> tuple[FrameSealer, FrameOpener]:
    """A sealer and an opener of one direction."""
    seed = os.urandom(32)
    secrets = Secrets(aes=bytes(32), mac=bytes(32), egress_mac=Keccak256(seed), ingress_mac=Keccak256(seed))
    return FrameSealer(secrets), FrameOpener(secrets, CHUNK)


@asynccontextmanager
async def tcp_pair() -> AsyncGenerator[tuple[trio.SocketStream, trio.SocketStream]]:
    """The two ends of a TCP connection over loopback."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    near = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
    far = await listener.accept()
    async with listener, near, far:
        yield near, far


class Pipeline:
    """Takes batches of messages through every step."""

    def __init__(self, near: trio.SocketStream, far: trio.SocketStream) -> None:
        limits = Limits()
        self.watch = Stopwatch(min(limits.outbox_messages, limits.inbox_messages))
        self._near, self._far = near, far
        self._outbox = Outbox([1], limits)
        self._channel = make_channel(self._outbox, limits)
        self._codec = rlp.codec(Blob)
        self._initiator, self._recipient = self._connected()
        self._sealer, self._opener = frame_pair()
        self._patience = limits.inbox_patience

    @staticmethod
    def _connected() -> tuple[Connection, Connection]:
        return connected()

    async def run(self) -> None:
        """One batch, there and back again."""
        received = await self._receive(await self._send())
        await self._take(received)

    async def _enqueue(self) -> None:
        """Send a batch of messages, as far as the outbox."""
        watch, payload = self.watch, os.urandom(SIZE)
        watch.each("encode", lambda data: self._codec.encode(Blob(data)), [payload] * watch.batch)
        started = time.thread_time()
        for _ in range(watch.batch):
            await self._channel.send(Blob(payload))
        watch.add("encode and enqueue", started)

    async def _send(self) -> bytearray:
        watch = self.watch
        await self._enqueue()
        started = time.thread_time()
        waiting = [self._outbox.get_nowait() for _ in range(watch.batch)]
        watch.add("schedule", started)
        messages = [message for message in waiting if message is not None]
        watch.each("compress", lambda message: compression.compress(message.data), messages)
        batch = bytearray()
        started = time.thread_time()
        for message in messages:
            for piece in self._initiator.framing.seal(message.capability, message.code, message.data):
                batch += piece
        watch.add("compress and seal", started)
        return batch

    async def _receive(self, batch: bytearray) -> list[MessageReceived]:
        chunks = await self._carry(batch)
        watch, received = self.watch, list[MessageReceived]()
        started = time.thread_time()
        for chunk in chunks:
            self._recipient.receive_data(chunk)
            while (event := self._recipient.next_event()) is not None:
                if isinstance(event, MessageReceived):
                    received.append(event)
        watch.add("open and dispatch", started)
        self._open_again(received)
        return received

    async def _carry(self, batch: bytearray) -> list[bytes | bytearray]:
        """Send a batch through the sockets."""
        watch, left = self.watch, len(batch)
        started = time.thread_time()
        await self._near.send_all(batch)
        watch.add("send_all", started)
        chunks: list[bytes | bytearray] = []
        started = time.thread_time()
        while left:
            chunks.append(await self._far.receive_some(CHUNK))
            left -= len(chunks[-1])
        watch.add("receive_some", started)
        return chunks

    def _open_again(self, received: list[MessageReceived]) -> None:
        """Time what opens frames alone, with the same data."""
        head = bytes([base.BASE_LENGTH])
        frames = b"".join(piece for message in received for piece in self._sealer.seal(head, message.data))
        started = time.thread_time()
        self._opener.receive_data(frames)
        while self._opener.next_frame() is not None:
            pass
        self.watch.add("open", started)

    async def _take(self, received: list[MessageReceived]) -> None:
        watch = self.watch
        started = time.thread_time()
        for message in received:
            self._channel.offer(message)
        watch.add("deliver", started)
        started = time.thread_time()
        for _ in received:
            await self._channel.receive()
        watch.add("take, decompress and decode", started)
        watch.each("decompress", lambda message: message.decompress(), received)
        encoded = [message.decompress() for message in received]
        watch.each("decode", self._codec.decode, encoded)


@dataclass(frozen=True)
class Split:
    """What is taken apart."""

    prefix: str
    """Of its rows' names."""
    level: str
    """Of the processes whose cost a message the steps are compared with."""
    pipeline: type[Pipeline]
    sending: tuple[str, ...] = SENDING
    receiving: tuple[str, ...] = RECEIVING

    @property
    def names(self) -> tuple[str, ...]:
        """Of its rows."""
        sides = (("send", self.sending), ("receive", self.receiving))
        return (*(f"{self.prefix}/{side}/{name}" for side, steps in sides for name in (*steps, "rest", "cpu")), f"{self.prefix}/wall")


async def time_steps(split: Split, seconds: float) -> dict[str, float]:
    """Microseconds a message of each step of a split."""
    async with tcp_pair() as streams:
        pipeline = split.pipeline(*streams)
        await pipeline.run()
        pipeline.watch.laps.clear()  # the first batch had caches to fill
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            await pipeline.run()
    steps = pipeline.watch.medians()
    steps["enqueue"] = steps["encode and enqueue"] - steps["encode"]
    steps["seal"] = steps["seal"] if "seal" in steps else steps["compress and seal"] - steps["compress"]
    steps["dispatch"] = steps["open and dispatch"] - steps["open"]
    steps["take"] = steps["take, decompress and decode"] - steps["decompress"] - steps["decode"]
    return steps


def breakdown(split: Split, plan: Plan) -> Iterator[Row]:
    """The steps on each side, their sum's difference to what a message costs that side's process, and that cost."""
    seconds = plan.seconds(1.0, 0.3)
    steps = trio.run(time_steps, split, seconds)
    totals: list[tuple[float, float, float]] = []
    for _ in range(plan.repeats):
        with OURS.pair(f"{split.level}-recv", f"{split.level}-send", "--size", str(SIZE), "--seconds", str(seconds)) as processes:
            receiver, sender = (process.line(seconds + 20) for process in processes)
        totals.append(
            (sender["cpu"] / sender["messages"], receiver["cpu"] / receiver["messages"], receiver["seconds"] / receiver["messages"])
        )
    sending, receiving, wall = (_MICROSECONDS * median(values) for values in zip(*totals, strict=True))
    for side, names, total in (("send", split.sending, sending), ("receive", split.receiving, receiving)):
        for name in names:
            yield Row(f"{split.prefix}/{side}/{name}", steps[name], None, "us", None, None)
        yield Row(f"{split.prefix}/{side}/rest", total - sum(steps[name] for name in names), None, "us", None, None)
        yield Row(f"{split.prefix}/{side}/cpu", total, None, "us", None, None)
    yield Row(f"{split.prefix}/wall", wall, None, "us", None, None)


STOCK = Split("breakdown", "api", Pipeline)


def benchmarks() -> Iterable[Benchmark]:
    """The only one."""
    yield Benchmark(STOCK.names, partial(breakdown, STOCK))
