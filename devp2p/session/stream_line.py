"""A line over one byte stream, in any framing that has a frame for each message: RLPx's, and plain ones.

Its tasks own what they touch, so there are no locks:

    send         sole owner of the sealing side and of send_all
    receive      sole owner of the opening side and of receive_some
    keep_alive   Ping, with a deadline for the Pong
"""

import math
from collections.abc import Awaitable, Callable
from functools import partial
from random import SystemRandom
from typing import NamedTuple

import trio

from devp2p import wire
from devp2p.capability import Gate, Turn
from devp2p.errors import DisconnectReason, PeerDisconnected, RemoteProtocolError
from devp2p.limits import Limits
from devp2p.session.egress import Egress
from devp2p.session.line import Incoming, Side, receiving, sending
from devp2p.session.opening import CHUNK, Session, close_link, hang_up
from devp2p.wire import base
from devp2p.wire.dpx import ShapingMode

_UNEVEN = 0.7, 1.1  # of the time between two Pings, where traffic is shaped
_CHANCE = SystemRandom()
_EXCUSED = 4  # ping timeouts for which messages excuse a Pong that has not come; OpenEthereum waits as long for it


class Pings:
    """How often the peer may ping us: a bucket, which lets come at once what was sent while we read nothing ourselves."""

    def __init__(self, limits: Limits) -> None:
        self._rate, self._burst = limits.ping_rate, limits.ping_burst
        self._tokens = float(self._burst)
        self._time = -math.inf

    def spend(self) -> None:
        """A Ping has come; RemoteProtocolError if that is too often."""
        self._earn(trio.current_time())
        if self._tokens < 1:
            raise RemoteProtocolError("too many pings")
        self._tokens -= 1

    def excuse(self, since: float) -> None:
        """Since some time we have read nothing."""
        self._earn(since)
        self._time = trio.current_time()
        self._tokens += (self._time - since) * self._rate

    def _earn(self, now: float) -> None:
        """Fill up to the brim; what is above that runs out as fast."""
        earned, brim = (now - self._time) * self._rate, self._burst
        tokens, self._time = self._tokens, now
        self._tokens = min(brim, tokens + earned) if tokens <= brim else max(brim, tokens - earned)


class Mark(NamedTuple):
    """The peer's mark of its last message on one stream."""

    number: int = 0
    frame: int = 0
    """The how-manieth frame it was."""

    def holds(self, frames: int) -> bool:
        """Whether it was not taken back, and nothing came behind it: so many `frames` have come by now."""
        return self.number > 0 and self.frame == frames


class StreamLine:
    """All messages over one byte stream, in any framing that has a frame for each.

    The stream is ordered and there is no credit, so a full inbox holds it up; if that takes too long, the session ends.
    """

    def __init__(self, session: Session, side: Side, *, gated: bool = True, holds_up_all: bool = True) -> None:
        """`gated`: whether bandwidth caps hold for the one stream; `holds_up_all`: whether those of single capabilities hold it up, too."""
        self._session = session
        self._stream = session.stream
        self._connection = session.connection
        self._framing = session.connection.framing
        self._side = side
        self._limits = side.limits
        self._egress = Egress(session.stream, side.limits.write_timeout)
        self._pinged = trio.Event()
        self._ponged = trio.Event()
        self._pings = Pings(side.limits)
        self._held_up = -math.inf
        """Until when the reader last waited for a full inbox; infinity while it does."""
        self._turn = Turn()  # the reader's
        self._outflow = side.shares.upload.gate(on_open=side.outbox.look_again) if gated else None
        self._inflow = side.shares.download.gate(own=holds_up_all) if gated else None
        self._incoming = Incoming(self._stream, self._connection, side, self._inflow)
        self._mark = Mark()
        self._marked = trio.lowlevel.ParkingLot()

    # Sending

    async def send(self) -> bool:
        """See `Line.send`."""
        outbox = self._side.outbox
        with sending(self._side):
            pauses = outbox.pauses
            get_nowait = partial(outbox.get_nowait, self._outflow)
            while (message := await outbox.get(pauses, self._outflow)) is not None:
                await self._send_batch(message, get_nowait)
            if outbox.is_ended:
                return False
            if outbox.is_paused:
                await self._send_batch(wire.Outgoing(base.LAST, base.encode_last(1)), outbox.get_nowait)
            return True
        return False

    async def _send_batch(self, message: wire.Outgoing | None, get_nowait: Callable[[], wire.Outgoing | None]) -> None:
        """Send a message, and with it what waits behind it."""
        await self._send_batch_over(self._framing, self._send_all, message, get_nowait, self._outflow)

    async def _send_batch_over(
        self,
        framing: wire.Framing,
        send_all: Callable[[bytearray], Awaitable[None]],
        message: wire.Outgoing | None,
        get_nowait: Callable[[], wire.Outgoing | None],
        gate: Gate | None = None,
    ) -> None:
        """The same over any stream: what it is sealed in, how it is sent, and what caps it."""
        seal, channel = framing.seal, self._side.channel
        batch = bytearray()
        while message is not None:
            code, data, index = message
            size = 0
            for piece in seal(index, code, data):
                size += len(piece)
                batch += piece if gate is None else await _send_quanta(gate, index, piece, batch, send_all, begun=size > len(piece))
                if len(batch) >= CHUNK:
                    await send_all(batch)
                    batch = bytearray()
            if index is not None:
                channel(index).traffic.sent(size)
            elif code == base.PING:
                self._pinged.set()
            message = get_nowait()
        if batch:
            await send_all(batch)

    async def _send_all(self, data: bytearray) -> None:
        await self._egress.send(data)

    # Receiving

    async def receive(self) -> None:
        """See `Line.receive`."""
        try:
            with receiving(self._side):
                await self._receive_all()
        finally:
            self._stop_receiving()

    async def _receive_all(self) -> None:
        """Receive until the session is over, or the peer has hung up."""
        while await self._take_events():
            if not (data := await self._receive_some()):
                await self._wait_moved()
                await self._wait_others()
                self._side.lost("the peer hung up")
                return
            try:
                self._connection.receive_data(data)
            except RemoteProtocolError:
                await self._take_events()  # what came before the fault still counts; it may be a farewell, or a fault of its own
                raise
            self._incoming.hold()

    async def _receive_some(self) -> bytes | bytearray:
        """Wait for data. While caps want nothing to be read, a Pong may wait unread, and Pings that will come all at once."""
        if self._inflow is not None and not self._inflow.is_paid:
            started, self._held_up = trio.current_time(), math.inf
            await self._inflow.wait_paid()
            self._held_up = trio.current_time()
            self._pings.excuse(started)
        return await self._incoming.receive()

    def _stop_receiving(self) -> None:
        self._connection.stop_receiving()
        self._incoming.close()

    @property
    def is_marked(self) -> bool:
        """Whether the peer has marked its last message, and sent none since."""
        return self._mark.holds(self._connection.frames)

    async def _wait_moved(self) -> None:
        """The link has ended. If the peer goes on over another one, as it said, wait until we do so, too; then this is cancelled."""
        if self.is_marked:
            await trio.sleep(self._limits.handshake_timeout)

    async def _take_events(self) -> bool:
        """Act on what has arrived; False once the session is over."""
        self._turn.begin()
        channel, inflow = self._side.channel, self._inflow
        while (event := self._connection.next_event()) is not None:
            match event:
                case wire.MessageReceived():
                    one = channel(event.capability)
                    one.traffic.received(event.wire_size)
                    if inflow is not None:
                        inflow.spent_own(event.capability, event.wire_size)
                    if not one.offer(event):
                        await self._deliver(event)
                case wire.PingReceived():
                    self._pong()
                case wire.PongReceived():
                    self._ponged.set()
                case wire.LastReceived(number, frames):
                    self._mark = Mark(number, frames)
                    self._marked.unpark_all()
                case wire.DisconnectReceived():
                    await self._wait_others()
                    await self._side.wait_taken()
                    self._side.end(PeerDisconnected(event.reason, by_remote=True))
                case _:
                    pass
        return not self._side.is_over

    def _pong(self) -> None:
        self._pings.spend()
        self._side.outbox.put_base(base.PONG, base.EMPTY_LIST)

    async def _wait_others(self) -> None:
        """The peer has left: wait for what it said before in another way, if there is one."""

    async def _deliver(self, message: wire.MessageReceived) -> None:
        """Deliver an answer, or to a capability whose inbox is full; that holds the stream up."""
        started = trio.current_time()
        if self._turn.is_over:
            await self._turn.end()
        while not await self._side.deliver(message, self._turn):
            self._held_up = math.inf
            if not await self._side.wait_room(message, self._limits.inbox_patience):
                break
        if self._held_up == math.inf:
            self._held_up = trio.current_time()
            self._pings.excuse(started)

    async def wait_last(self) -> None:
        """See `Line.wait_last`. If anything comes behind the mark, the peer has kept this line."""
        while not self.is_marked:
            await self._marked.park()

    @property
    def farewell(self) -> int | None:
        """See `Line.farewell`."""
        return self._connection.farewell

    # Keeping alive

    async def keep_alive(self) -> None:
        """See `Line.keep_alive`."""
        limits, is_shaped = self._limits, self._session.local.shaping.mode is not ShapingMode.OFF
        while True:
            # Pings at even times tell somebody on the way what this is; that much can be hidden with stock peers, too.
            await trio.sleep(limits.ping_interval * (_CHANCE.uniform(*_UNEVEN) if is_shaped else 1))
            self._pinged, self._ponged = trio.Event(), trio.Event()
            self._side.outbox.put_base(base.PING, base.EMPTY_LIST)
            await self._pinged.wait()  # it may have to stand behind a large message; writes have a deadline of their own
            if not await self._wait_ponged():
                detail = f"no pong within {limits.ping_timeout:g} s"
                self._side.end(PeerDisconnected(DisconnectReason.PING_TIMEOUT, by_remote=False, detail=detail))
                return

    async def _wait_ponged(self) -> bool:
        """Wait for the Pong as long as something excuses that it has not come: False if nothing does.

        It may stand behind messages that our own capability is slow to take, behind one large message that is still coming (both have
        limits of their own), and for a while behind others: many clients have one queue for all that they send.
        """
        asked, frames, excused = trio.current_time(), self._connection.frames, 0
        while True:
            with trio.move_on_after(self._limits.ping_timeout):
                await self._ponged.wait()
                self._side.alive(trio.current_time() - asked)
                return True
            before, frames = frames, self._connection.frames
            held_up = self._held_up + self._limits.ping_timeout > trio.current_time()
            if not held_up and not (self._connection.in_frame and frames == before):
                excused += 1
                if frames == before or excused >= _EXCUSED:
                    return False

    # The rest

    @property
    def always_fits(self) -> int:
        """See `Line.always_fits`."""
        return wire.ALWAYS_FITS

    def fits(self, index: int, code: int, data: bytes) -> bool:
        """See `Line.fits`."""
        return self._framing.fits(index, code, data)

    def credit(self, index: int) -> int | None:  # noqa: ARG002
        """See `Line.credit`: one stream has none."""
        return None

    @property
    def taken(self) -> Callable[[wire.MessageReceived], None] | None:
        """See `Line.taken`."""
        return None

    async def hang_up(self) -> None:
        """See `Line.hang_up`."""
        await hang_up(self._stream)

    async def aclose(self) -> None:
        """See `Line.aclose`."""
        await close_link(self._session.link)


async def _send_quanta(  # noqa: PLR0913  (one place, split off from the loop above)
    gate: Gate,
    index: int | None,
    piece: bytes,
    batch: bytearray,
    send_all: Callable[[bytearray], Awaitable[None]],
    *,
    begun: bool,
) -> bytes | memoryview:
    """Send a piece of a message behind what is in `batch`, as fast as a cap lets it; give the last part, which may go now.

    `begun`: whether it is not the first piece. The first part of all may go: it was asked for when the message was chosen.
    """
    if index is None:
        gate.spent(None, len(piece))
        return piece
    rest = memoryview(piece)
    while True:
        if begun:
            if batch:
                await send_all(batch)
                batch.clear()
            await gate.wait(index)
        part = rest[: gate.quantum]
        gate.spent(index, len(part))
        if len(part) == len(rest):
            return part
        batch += part
        rest, begun = rest[len(part) :], True
