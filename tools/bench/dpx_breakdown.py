"""Where the time of a 32-byte message goes in a session of dpx/1; see `breakdown`, of whose steps some are others here.

`cut` is the sender's choice of the next frame: whose turn it is, whether there is credit, compression, and out of the outbox. `credit` is
what the receiver gives back for what its application took.
"""

import os
import time
from collections.abc import Iterable
from functools import partial

import trio

from devp2p.wire import Connection, MessageReceived
from devp2p.wire.dpx import Dpx, DpxFraming, RecordOpener, RecordSealer, Sender, Turns, window_for
from tools.bench.breakdown import Pipeline, Split, breakdown, connected
from tools.bench.endpoints.dpx import CIPHER
from tools.bench.plan import Benchmark

SENDING = ("encode", "enqueue", "cut", "seal", "send_all")
RECEIVING = ("receive_some", "open", "dispatch", "deliver", "take", "credit", "decompress", "decode")
_WHOLE = bytes([0xC1, 1])  # header-data of a whole message of the first capability


class DpxPipeline(Pipeline):
    """The same over dpx/1."""

    def __init__(self, near: trio.SocketStream, far: trio.SocketStream) -> None:
        super().__init__(near, far)
        self._sending, self._receiving = framing_of(self._initiator), framing_of(self._recipient)
        self._sender = Sender(
            self._outbox,
            Turns(self._outbox.weights),
            self._sending.ledgers.sending,
            max_frame=self._sending.max_frame,
            compressed=self._sending.compressed,
        )
        self._sender.turns.window = window_for(float("inf"))
        key = os.urandom(32)
        self._record_sealer, self._record_opener = RecordSealer(key, CIPHER), RecordOpener(key, CIPHER)

    @staticmethod
    def _connected() -> tuple[Connection, Connection]:
        return connected(lambda: Dpx(os.urandom))

    async def _send(self) -> bytearray:
        watch = self.watch
        await self._enqueue()
        started = time.thread_time()
        frames = [*self._sender.frames(2**20)]
        watch.add("cut", started)
        batch = bytearray()
        started = time.thread_time()
        for frame in frames:
            batch += self._sending.seal_frame(frame)
        watch.add("seal", started)
        return batch

    def _open_again(self, received: list[MessageReceived]) -> None:
        """See `Pipeline`."""
        records = b"".join(self._record_sealer.seal(_WHOLE, b"\0", message.data) for message in received)
        started = time.thread_time()
        self._record_opener.receive_data(records)
        while self._record_opener.next_record() is not None:
            pass
        self.watch.add("open", started)

    async def _take(self, received: list[MessageReceived]) -> None:
        """See `Pipeline`. The credit comes back by another way than the wire."""
        await super()._take(received)
        started = time.thread_time()
        for message in received:
            self._receiving.taken(message)
        told = [self._receiving.seal_control(control) for control in self._receiving.ledgers.controls(0.0)]
        self.watch.add("credit", started)
        self._initiator.receive_data(b"".join(told))
        self._sender.more_credit(None)


def framing_of(connection: Connection) -> DpxFraming:
    """What a connection speaks."""
    framing = connection.framing
    assert isinstance(framing, DpxFraming)  # noqa: S101  (as both have offered it)
    framing.begin(0.0)
    return framing


SPLIT = Split("dpx1/breakdown", "dpxapi", DpxPipeline, SENDING, RECEIVING)


def benchmarks() -> Iterable[Benchmark]:
    """The only one."""
    yield Benchmark(SPLIT.names, partial(breakdown, SPLIT))
