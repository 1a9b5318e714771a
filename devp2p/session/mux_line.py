"""A line over a link that has streams of its own: one for the base protocol, and one for each capability.

The first stream carries Hellos and the base protocol to the end. After the Hellos the initiator opens one stream for each shared
capability, in their order. In the initiator's direction it begins with a frame that names the capability, ``[name, version]`` as RLP; what
follows in both directions lies there as if no other capability were shared (`wire.messages.OwnIds`).

Theory of operation. A capability that takes nothing holds back its own stream, by the transport's means, and nobody else; so there is no
patience for it that could run out, here or at the peer's, and what waits is bounded by inbox and outbox; only when the node's budget is
full does a session end whose message has waited for long. Whether the peer is there is told by Pings, which stand behind no message of a
capability. Nor is there a schedule: each capability has a task of its own that sends, and the transport shares the line among them. What
was sent before a Disconnect comes on other streams than it: so the side that leaves ends those streams first, and the other waits for their
ends before it takes its leave; neither waits long.
"""

import math
from functools import partial
from typing import Final

import trio
from trio.abc import HalfCloseableStream

from devp2p import rlp, wire
from devp2p.capability import Gate, Turn
from devp2p.errors import DecodingError, RemoteProtocolError
from devp2p.session.egress import Egress
from devp2p.session.line import Incoming, Side, receiving, sending
from devp2p.session.opening import Session
from devp2p.session.stream_line import Mark, StreamLine
from devp2p.transports import MuxLink
from devp2p.wire import base

_PREFIX: Final = 3  # bytes that say how long a plain frame is
_MOST_NAMED: Final = 64  # bytes of the frame that names a capability; a name has 8 characters and a version 8 bytes at most


class _Own:
    """What one capability has: a stream, as soon as it is opened, and its framing."""

    def __init__(self, space: wire.MessageSpace, index: int, side: Side, *, compressed: bool) -> None:
        self.index: int = index
        self.name: wire.CapabilityVersion = space.shared[index].offer
        self.framing: wire.FrameFraming = wire.plain_framing()
        self.framing.agree(space.alone(index), compressed=compressed)
        self.stream: HalfCloseableStream | None = None
        self.egress: Egress | None = None
        self.outflow: Gate | None = side.shares.upload.gate(index, on_open=side.outbox.look_again)
        self.inflow: Gate | None = side.shares.download.gate(index)
        self.opened: trio.Event = trio.Event()
        self.drained: trio.Event = trio.Event()
        """Nothing more comes."""
        self.is_held_up: bool = False
        """Whether a message waits for the capability to take others."""
        self.mark: Mark = Mark()
        self.is_cut: bool = False
        """Whether a message of ours is on its way in part: if nothing sends the rest, nothing more can be sent here."""

    def begin(self, stream: HalfCloseableStream) -> None:
        """It has a stream now."""
        self.stream = stream
        self.egress = Egress(stream)
        self.opened.set()

    async def send(self, data: bytearray) -> None:
        """Send over the stream, which was waited for."""
        assert self.egress is not None  # noqa: S101  (as it says)
        await self.egress.send(data)

    def is_marked(self, number: int) -> bool:
        """Whether the peer has marked its last message here with a number, and sent none since."""
        return self.mark.number == number and self.mark.holds(self.framing.frames)


class MuxLine(StreamLine):
    """See above; the first stream, of the base protocol, is what a `StreamLine` has for all."""

    def __init__(self, session: Session, link: MuxLink, side: Side) -> None:
        super().__init__(session, side, gated=False)
        self._link = link
        self._is_cut = False
        space, compressed = session.connection.space, session.connection.framing.compressed
        self._own = [_Own(space, index, side, compressed=compressed) for index in range(len(space.shared))]

    # Sending

    async def send(self) -> bool:
        """See `Line.send`."""
        outbox = self._side.outbox
        pauses = outbox.pauses
        async with trio.open_nursery() as opening:
            opening.start_soon(self._open_all)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_base, pauses)
                hurry = trio.CancelScope()
                async with trio.open_nursery() as others:
                    nursery.start_soon(self._hurry, hurry, others.cancel_scope, pauses)
                    for own in self._own:
                        if not own.is_cut:
                            others.start_soon(self._send_own, own, pauses)
                hurry.cancel()
            if outbox.is_ended:
                opening.cancel_scope.cancel()
        if self._is_cut:
            return False  # a message of the base protocol is on its way in part
        if outbox.is_ended and outbox.pauses != pauses:
            return True  # one that had stopped for the pause may have got more to send
        with sending(self._side):
            if not outbox.is_ended:
                if outbox.is_paused:
                    await self._send_batch(_last(pauses), lambda: None)
                return True
            while (message := outbox.get_nowait()) is not None:  # the last; and what was meant for a stream that is broken
                if message.capability is None:
                    await self._send_batch(message, lambda: None)
        return False

    async def _send_base(self, pauses: int) -> None:
        outbox = self._side.outbox
        self._is_cut = True
        with sending(self._side):
            while (message := await outbox.get_of(None, pauses)) is not None:
                await self._send_batch(message, lambda: outbox.get_of_nowait(None))
            self._is_cut = False

    async def _hurry(self, scope: trio.CancelScope, others: trio.CancelScope, pauses: int) -> None:
        """After the end, do not wait long for the streams of capabilities: one that the peer takes nothing from does not keep our farewell.

        `others` is what sends over them; `scope` is cancelled when that is done.
        """
        outbox, limits = self._side.outbox, self._limits
        with scope:
            while not outbox.is_ended:
                await outbox.wait_filled()
            others.deadline = trio.current_time() + limits.closing_timeout / (2 if outbox.pauses == pauses else 4)

    async def _send_own(self, own: _Own, pauses: int) -> None:
        outbox, send_all = self._side.outbox, own.send
        with sending(self._side):
            get_nowait = partial(outbox.get_of_nowait, own.index, own.outflow)
            while (message := await outbox.get_of(own.index, pauses, own.outflow)) is not None:
                await self._wait_opened(own)
                own.is_cut = True
                await self._send_batch_over(own.framing, send_all, message, get_nowait, own.outflow)
                own.is_cut = False
            if outbox.is_ended:
                if own.stream is not None:
                    await own.stream.send_eof()
            elif outbox.is_paused:
                await self._wait_opened(own)
                await self._send_batch_over(own.framing, send_all, _last(pauses), lambda: None)

    async def _open_all(self) -> None:
        """Open the streams, or wait for the peer to do so.

        It is the sending side that does, which goes on after the end: what a capability says before it returns is sent in any case.
        """
        within = self._limits.handshake_timeout
        with receiving(self._side):
            with trio.move_on_after(within):
                for own in self._own:
                    if own.stream is None:
                        own.begin(await self._open(own))
            if (missing := next((own for own in self._own if own.stream is None), None)) is not None:
                raise RemoteProtocolError(f"no stream for {missing.name} within {within:g} s")

    async def _open(self, own: _Own) -> HalfCloseableStream:
        if not self._link.initiator:
            return await self._link.accept()
        stream = await self._link.open()
        await stream.send_all(_named(own.name))
        return stream

    async def _wait_opened(self, own: _Own) -> None:
        with trio.fail_after(self._limits.write_timeout):
            await own.opened.wait()

    # Receiving

    async def receive(self) -> None:
        """See `Line.receive`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(super().receive)
            for own in self._own:
                nursery.start_soon(self._receive_own, own)

    async def _take_events(self) -> bool:
        """Take those of the first stream, on which no capability may say anything."""
        if self._connection.has_messages:
            raise RemoteProtocolError("a message of a capability came on the first stream, which is of the base protocol")
        return await super()._take_events()

    async def _receive_own(self, own: _Own) -> None:
        await own.opened.wait()
        assert own.stream is not None  # noqa: S101  (that is what it waited for)
        incoming, turn = Incoming(own.stream, own.framing, self._side, own.inflow), Turn()
        try:
            with receiving(self._side):
                if not self._link.initiator:
                    await self._receive_name(own)
                while data := await incoming.receive():
                    turn.begin()
                    own.framing.receive_data(data)
                    await self._take_own(own, turn)
                    incoming.hold()
                    if own.inflow is not None:
                        await own.inflow.wait_paid()
        finally:
            own.framing.stop_receiving()
            incoming.close()
            own.drained.set()
            self._marked.unpark_all()

    async def _receive_name(self, own: _Own) -> None:
        """Read the frame that names the capability, byte by byte if it comes so, and nothing of what is behind it."""
        assert own.stream is not None  # noqa: S101  (as above)
        data, missing = b"", _PREFIX
        with trio.move_on_after(self._limits.handshake_timeout) as scope:
            while missing:
                more = await own.stream.receive_some(missing)
                if not more:
                    raise RemoteProtocolError(f"a stream that is to be of {own.name} ended before it was named")
                data += more
                missing = missing_of_name(data)
        if scope.cancelled_caught:
            raise RemoteProtocolError(f"a stream was not named {own.name} within {self._limits.handshake_timeout:g} s")
        if data != _named(own.name):
            raise RemoteProtocolError(f"a stream is not of {own.name}, as it should be")

    async def _take_own(self, own: _Own, turn: Turn) -> None:
        channel = self._side.channel(own.index)
        while (message := own.framing.next_message()) is not None:
            if isinstance(message, wire.MessageReceived):
                channel.traffic.received(message.wire_size)
                if own.inflow is not None:
                    own.inflow.spent_own(own.index, message.wire_size)
                if channel.offer(message):
                    continue
                if turn.is_over:
                    await turn.end()
                while not await self._side.deliver(message, turn):
                    own.is_held_up = True
                    await self._side.wait_room(message, math.inf)
                own.is_held_up = False
            elif message.code == base.LAST:
                number = base.decode_last(message.data, compressed=own.framing.compressed)
                own.mark = Mark(number, own.framing.frames)
                self._marked.unpark_all()
                if turn.is_over:
                    await turn.end()
            else:
                raise RemoteProtocolError(f"base protocol message {message.code:#x} came on the stream of {own.name}")

    async def _wait_others(self) -> None:
        """Wait for the ends of the capabilities' streams, on which the peer may have said something before it left.

        If nothing comes any more that is a moment; if it was said, and a capability is slow to take it, as long as one stream would wait.
        """
        limits = self._limits
        while pending := [own for own in self._own if not own.drained.is_set()]:
            frames = sum(own.framing.frames for own in pending)
            held_up = any(own.is_held_up for own in pending)
            with trio.move_on_after(limits.inbox_patience if held_up else limits.closing_timeout / 2) as scope:
                await pending[0].drained.wait()
            if scope.cancelled_caught and frames == sum(own.framing.frames for own in pending):
                return

    async def wait_last(self) -> None:
        """See `Line.wait_last`.

        Each stream has a mark of its own, which must have the number of the first stream's: another is of a move that came to nothing, and
        a message behind it may still be on its way.
        """
        while not (self.is_marked and all(own.is_marked(self._mark.number) for own in self._own)):
            await self._marked.park()

    def fits(self, index: int, code: int, data: bytes) -> bool:
        """See `Line.fits`."""
        return self._own[index].framing.fits(index, code, data)


def missing_of_name(received: bytes) -> int:
    """How many more bytes must come before a frame that begins so can be a name; DecodingError if it cannot be one."""
    size = int.from_bytes(received[:_PREFIX])
    if len(received) >= _PREFIX and not 0 < size <= _MOST_NAMED:
        raise DecodingError(f"a stream begins with a frame of {size} bytes, where 1 to {_MOST_NAMED} are allowed")
    return _PREFIX + (size if len(received) >= _PREFIX else 0) - len(received)


def _last(pauses: int) -> wire.Outgoing:
    """The mark on each stream, with a number that only this run of `send` has."""
    return wire.Outgoing(base.LAST, base.encode_last(pauses + 1))


def _named(name: wire.CapabilityVersion) -> bytes:
    """The frame that a capability's stream begins with."""
    data = rlp.encode([name.name, name.version])
    return len(data).to_bytes(3) + data
