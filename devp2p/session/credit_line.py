"""A line over one stream on which messages of all capabilities go in frames, each within the credit that the peer gives (dpx/1).

Theory of operation. What is sent next is chosen frame by frame (`wire.dpx.Sender`), as late as the stream takes it. A capability that takes
nothing gives the peer no credit, and so holds back what is sent to itself, and nothing else: whatever comes has its room, and the reader
never waits for a capability, but only if the node's budget is full. What is told the peer beside messages, credit above all, goes first,
but may take little of the way.

    send         as in `stream_line`; after the end it also hears whether there is credit for what is still to be sent
    receive      as there
    keep_alive   also looks every few seconds for messages that make no progress, on either side
    wait_last    sends credit while a move stops everything else
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from devp2p import wire
from devp2p.capability import Arriving, Gate, Outbox, Turn, urgency_of
from devp2p.errors import DisconnectReason, HandshakeError, LocalProtocolError, PeerDisconnected, RemoteProtocolError
from devp2p.session.line import Side, sending
from devp2p.session.opening import CHUNK, Session
from devp2p.session.shaped import PadWatch, Shaped
from devp2p.session.slowed_credit import SlowedCredit
from devp2p.session.stream_line import StreamLine
from devp2p.session.watch import Watch
from devp2p.wire import Lane, base
from devp2p.wire.dpx import DpxFraming, Sender, Turns, control, window_for

_MOST_FRAME: Final = 64 * 1024  # bytes of a frame of ours, if the peer takes as many; what is urgent waits for it
_CONTROLS_AT_ONCE: Final = 4 * 1024  # bytes of control messages that go before all others
_PART_OF_CONTROLS: Final = 20  # beyond that they have one part in so many of the way
_MOST_HEARD: Final = 2**20  # bytes that are read after the end, to find credit among them


class CreditLine(StreamLine):
    """See above."""

    def __init__(self, session: Session, side: Side) -> None:
        super().__init__(session, side, holds_up_all=False)
        framing, outbox = session.connection.framing, side.outbox
        assert isinstance(framing, DpxFraming)  # noqa: S101  (see LINES)
        self._dpx = framing
        self._ledgers = framing.ledgers
        self._shaped = Shaped.of(session.local, framing, outbox)
        self._padding = PadWatch(side, session.local.padding)
        most = min(framing.max_frame, _MOST_FRAME if self._shaped is None else self._shaped.max_frame)
        self._sender = Sender(outbox, Turns(outbox.weights), self._ledgers.sending, max_frame=most, compressed=framing.compressed)
        if self._outflow is not None:
            self._sender.may_send = partial(_may_send, self._outflow)
        self._slowed = SlowedCredit(side.shares.download, self._ledgers.receiving, outbox.look_again)
        self._tokens = float(_CONTROLS_AT_ONCE)
        self._goaway: control.GoAway | None = None
        self._is_mute = False
        self._is_telling = False
        self._told = trio.lowlevel.ParkingLot()
        self._received = trio.Event()  # nothing is received, for now or any more
        self._received.set()
        self._joining = Arriving(side.limits, side.budget, side.end)
        self._came = 0  # bytes of messages that have come; whatever else does makes none of them come sooner
        self._joined = 0  # how many times messages in chunks began to come when there were none
        self._watch = Watch(side, framing, outbox.look_again)
        self._preparing = Turn()
        framing.begin(trio.current_time())
        framing.pact.on_more = outbox.look_again

    # Sending

    async def send(self) -> bool:
        """See `Line.send`."""
        outbox = self._side.outbox
        while self._is_telling:
            await self._told.park()
        with sending(self._side):
            while not outbox.is_ended:
                if not await self._send_some():
                    if outbox.is_paused and not self._sender.has_begun:
                        await self._send_batch(wire.Outgoing(base.LAST, base.encode_last(1)), outbox.get_nowait)
                        return True
                    # Caps may hold up a message that has begun for longer than a peer waits for the rest of it.
                    is_held_up = self._outflow is not None and not (self._shaped and self._shaped.is_steady)
                    with trio.CancelScope(deadline=self._sender.due if is_held_up else math.inf):
                        await (outbox if self._shaped is None else self._shaped).wait_filled(self._outflow)
            if self._shaped is not None:
                self._shaped.shaper.is_over = True
            if not self._is_mute:
                await self._finish()
        return False

    async def _send_some(self) -> bool:
        """Send what is next; False if there is nothing that may be sent."""
        shaped = self._shaped
        if shaped is not None and shaped.is_steady:
            return await shaped.send_cell(self._gather, self._egress, self._outflow)
        if batch := self._gather():
            if self._outflow is not None:
                self._outflow.leave()
            await self._send_all(batch)
            return True
        if self._sender.is_preparing:
            self._prepare()
            await trio.lowlevel.checkpoint()
            return True
        return shaped is not None and await shaped.send_cover(self._egress, self._outflow)

    async def _send_all(self, data: bytearray) -> None:
        if self._shaped is not None:
            before, data = len(data), self._shaped.flush(data)
            if self._outflow is not None:
                self._outflow.spent(None, len(data) - before)
        await super()._send_all(data)

    def _gather(self) -> bytearray:
        """The next frames."""
        outbox, framing, sender, batch, gate = self._side.outbox, self._dpx, self._sender, bytearray(), self._outflow
        while (message := outbox.get_of_nowait(None)) is not None:
            for piece in framing.seal(None, message.code, message.data):
                batch += piece
            if message.code == base.PING:
                self._pinged.set()
        may_send = self._shaped is None or self._shaped.room > 0  # else only the base protocol may
        if self._tokens > 0 and may_send:
            self._add_controls(batch)
        if sender.is_preparing:
            self._prepare()
        if gate is not None:
            gate.spent(None, len(batch))
        sender.only_begun = outbox.is_paused
        sender.turns.window = window = window_for(self._egress.rate)
        room = min(window, CHUNK)
        if gate is not None:
            room = min(room, _room_at(gate, outbox, sender.turns))
            sender.turns.window = min(window, gate.quantum)
        if self._shaped is not None:
            room = min(room, self._shaped.room - len(batch))
            sender.turns.window = min(sender.turns.window, self._shaped.max_frame)
        before, channel, seal = len(batch), self._side.channel, framing.seal_frame
        try:
            for frame in sender.frames(room, trio.current_time()):
                batch += (sealed := seal(frame))
                if gate is not None:
                    gate.spent(frame.capability, len(sealed))
                if frame.message_size:
                    channel(frame.capability).traffic.sent(frame.message_size)
        except LocalProtocolError as error:
            self._side.end(PeerDisconnected(DisconnectReason.SUBPROTOCOL_ERROR, by_remote=False, detail=str(error)))
        if len(batch) == before:
            if may_send:
                self._add_controls(batch)
        else:
            self._tokens = min(_CONTROLS_AT_ONCE, self._tokens + (len(batch) - before) / _PART_OF_CONTROLS)
        return batch

    def _prepare(self) -> None:
        """Compress large messages that are to be sent, for a moment."""
        self._preparing.begin()
        while self._sender.is_preparing and not self._preparing.is_over:
            self._sender.prepare()

    def _add_controls(self, batch: bytearray) -> None:
        """What is told the peer beside messages."""
        before, seal, others = len(batch), self._dpx.seal_control, self._dpx.pact.to_send
        if self._ledgers.has_controls:
            for told in self._ledgers.controls(trio.current_time()):
                batch += seal(told)
        for told in others:
            batch += seal(told)
        others.clear()
        self._tokens -= len(batch) - before

    async def _finish(self) -> None:
        """After the end: send what is left, as far as there is credit for it soon, and the last word."""
        outbox = self._side.outbox
        deadline, heard = trio.current_time() + self._limits.closing_timeout / 2, 0
        while True:
            while await self._send_some():
                pass
            if not _has_more(self._side.outbox) or heard > _MOST_HEARD:
                break
            data: bytes | bytearray = b""
            with trio.CancelScope(deadline=deadline):
                await self._received.wait()
                data = await self._stream.receive_some(CHUNK)
                self._dpx.now = trio.current_time()
            if not self._hear(data):
                break
            heard += len(data)
        self._connection.stop_receiving()
        if self._goaway is not None:
            await self._send_all(bytearray(self._dpx.seal_control(self._goaway)))
        while (message := outbox.get_nowait()) is not None:
            if message.capability is None:
                await self._send_batch(message, lambda: None)

    def _hear(self, data: bytes | bytearray) -> bool:
        """Look for credit in what comes after the end, of which nothing else counts any more; whether more may come."""
        try:
            self._dpx.receive_data(data)
            while (message := self._dpx.next_message()) is not None:
                if isinstance(message, wire.BaseReceived) and message.code == base.DISCONNECT:
                    return False
        except (RemoteProtocolError, LocalProtocolError):
            return False
        self._take_controls()
        return bool(data)

    # Receiving

    async def receive(self) -> None:
        """See `Line.receive`. If the session has ended before it began, `send` may need the stream."""
        if not self._side.outbox.is_ended:
            self._received = trio.Event()
            await super().receive()

    async def _receive_all(self) -> None:
        try:
            await super()._receive_all()
        except HandshakeError:
            self._is_mute = not self._side.is_over  # a forger learns nothing from us, but for what came before it
            raise
        except RemoteProtocolError as error:
            self._goaway = control.GoAway(error.reason)
            raise

    def _stop_receiving(self) -> None:
        if not (self._side.outbox.is_ended and _has_more(self._side.outbox)):
            super()._stop_receiving()
        self._incoming.close()
        self._joining.close()
        self._received.set()

    async def _receive_some(self) -> bytes | bytearray:
        data = await super()._receive_some()
        self._dpx.now = trio.current_time()
        return data

    async def _take_events(self) -> bool:
        self._take_controls()
        came, held = sum(self._ledgers.receiving.came), self._ledgers.receiving.held
        self._joining.progressed(came - self._came, 0)
        self._came = came
        if held and not self._joining.size:
            self._joined += 1
        self._joining.patience(self._joined)
        self._joining.hold(held)
        going_on = await super()._take_events()
        if self._ledgers.has_controls:
            self._side.outbox.look_again()
        self._slowed.charge()
        self._watch.glance()
        return going_on

    async def _wait_others(self) -> None:
        """Wait for capabilities that are slow to take what came before the peer left, as long as one stream without credit would wait."""
        for index in range(len(self._side.outbox.weights)):
            await self._side.channel(index).wait_usual(self._limits.inbox_patience)

    def _take_controls(self) -> None:
        """Act on what has come beside messages."""
        framing, sender = self._dpx, self._sender
        for reset in framing.refused:
            sender.give_up(reset.capability - 1, reset.context)
        if framing.credited or framing.refused:
            for capability in framing.credited:
                sender.more_credit(capability - 1 if capability else None)
            framing.credited.clear()
            framing.refused.clear()
            self._side.outbox.look_again()
        while framing.given_up:
            self._side.channel(framing.given_up.pop()).conduct.timed_out()
        controls, framing.controls = framing.controls, []
        for message in controls:
            match message:
                case control.Weight(capability, weight):
                    if capability <= len(self._side.outbox.weights):
                        sender.turns.weigh(capability - 1, weight)
                case control.Pad(size):
                    self._padding.came(size)
                case control.Shape():
                    self._padding.announced(message)
                case control.GoAway() | control.Unknown():
                    pass  # who goes away says so again, by a Disconnect
                case _:
                    framing.pact.heard(message)
        self._padding.judge(framing.frames)

    async def wait_last(self) -> None:
        """See `Line.wait_last`. Meanwhile nothing is sent but what the peer needs in order to finish what it has begun."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell)
            await super().wait_last()
            nursery.cancel_scope.cancel()

    async def _tell(self) -> None:
        with sending(self._side):
            while not self._side.is_over:  # then `send` goes on by itself
                batch = bytearray()
                self._add_controls(batch)
                if not batch:
                    await self._side.outbox.wait_filled()
                    continue
                self._is_telling = True
                try:
                    with trio.CancelScope(shield=True):  # half a frame must be followed by the other half
                        await self._send_all(batch)
                finally:
                    self._is_telling = False
                    self._told.unpark_all()
                await trio.lowlevel.checkpoint_if_cancelled()

    # The rest

    async def keep_alive(self) -> None:
        """See `Line.keep_alive`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch.run)
            nursery.start_soon(self._slowed.run)
            await super().keep_alive()
            nursery.cancel_scope.cancel()

    async def aclose(self) -> None:
        """See `Line.aclose`."""
        self._dpx.pact.end()
        await super().aclose()

    @property
    def always_fits(self) -> int:
        """See `Line.always_fits`."""
        return self._dpx.always_fits

    def credit(self, index: int) -> int | None:
        """See `Line.credit`."""
        return self._ledgers.sending.room(index + 1)

    def fits(self, index: int, code: int, data: bytes) -> bool:
        """See `Line.fits`. A peer that has room for less than others ends its session by that: it is nobody's mistake here."""
        if self._dpx.fits(index, code, data):
            return True
        if len(data) <= wire.ALWAYS_FITS:
            detail = f"the peer takes no message of {len(data)} bytes"
            self._side.end(PeerDisconnected(DisconnectReason.USELESS_PEER, by_remote=False, detail=detail))
        return False

    @property
    def taken(self) -> Callable[[wire.MessageReceived], None]:
        """See `Line.taken`: so the peer may send more."""
        return self._count_taken

    def _count_taken(self, message: wire.MessageReceived) -> None:
        self._dpx.taken(message)
        if self._ledgers.has_controls:
            self._side.outbox.look_again()


def _room_at(gate: Gate, outbox: Outbox, turns: Turns) -> int:
    """How many bytes caps let through now, of what is most urgent; what the peer gives no credit for is not."""
    lane = next((lane for lane in Lane if any(_may_send(gate, at, lane) for at in outbox.waiting_in(lane) if turns.may(at, lane))), None)
    if lane is None or not gate.is_open(urgency_of(lane)):
        return 0
    return max(1, min(gate.room(), gate.quantum))


def _may_send(gate: Gate, index: int, lane: Lane) -> bool:
    return gate.may_pass(index, urgency_of(lane))


def _has_more(outbox: Outbox) -> bool:
    """Whether messages of capabilities are to be sent."""
    return any(outbox.waiting(index)[0] for index in range(len(outbox.weights)))
