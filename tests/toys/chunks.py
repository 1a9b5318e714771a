"""A toy: a line that sends messages in chunks of 1 KiB, those of all capabilities by turns, and no further one before the last was taken.

Frames, in the records of `records`, begin with what they are:

    0xf0 || capability (1) || code (2) || total (4) || data     the first chunk of a message
    0xf1 || capability (1) || data                              a further one
    0xf2 || capability (1)                                      control: a message of that capability was taken, so send the next

Others are messages of the base protocol, as in every framing. All of it is in this file: nothing in the library knows of it, but for the
table `LINES`, in which a test enters it.
"""

from collections.abc import Iterable, Iterator

import trio

from devp2p import rlp
from devp2p.errors import RemoteProtocolError
from devp2p.session import Session, Side, StreamLine
from devp2p.session.line import sending
from devp2p.wire import BaseReceived, FrameFraming, MessageReceived, Outgoing, base, compression
from devp2p.wire.rlpx import Agreement
from tests.toys.records import RecordOpener, RecordSealer, pair_of

FIRST, MORE, TAKEN = 0xF0, 0xF1, 0xF2
CHUNK = 1024


class ChunkFraming(FrameFraming):
    """Base messages in frames of their own, others in chunks, which it puts together again."""

    def __init__(self, sealer: RecordSealer, opener: RecordOpener) -> None:
        super().__init__(sealer, opener)
        self.kinds: list[tuple[int, int]] = []
        """What kinds of frames have come, and of which capability."""
        self.granted: list[int] = []
        """Capabilities of which the peer has taken a message, and that may send another."""
        self._parts: dict[int, tuple[int, int, bytearray]] = {}

    def next_message(self) -> MessageReceived | BaseReceived | None:
        while (frame := self._next_frame()) is not None:
            if frame[0] not in {FIRST, MORE, TAKEN}:
                code, start = rlp.split_uint(frame)
                self.frames += 1
                return BaseReceived(code, frame[start:])
            if (message := self._take(bytes(frame))) is not None:
                self.frames += 1
                return message
        return None

    def _take(self, frame: bytes) -> MessageReceived | None:
        if self._ids is None or frame[1] >= len(self._ids.shared):
            raise RemoteProtocolError("a chunk of no capability")
        kind, index = frame[0], frame[1]
        self.kinds.append((kind, index))
        if kind == TAKEN:
            self.granted.append(index)
            return None
        if kind == FIRST:
            code, total, data = int.from_bytes(frame[2:4]), int.from_bytes(frame[4:8]), bytearray(frame[8:])
        else:
            if index not in self._parts:
                raise RemoteProtocolError("a chunk of no message")
            code, total, data = self._parts.pop(index)
            data += frame[2:]
        _, relative, size = self._ids.locate(self._offsets[index] + code)
        if len(data) < total:
            self._parts[index] = code, total, data
            return None
        if compression.declared_size(data) > size:
            raise RemoteProtocolError(f"{self._ids.shared[index].offer} message {relative:#x} is too large")
        return MessageReceived(index, relative, bytes(data), size, self.compressed, total)

    def chunks(self, message: Outgoing) -> Iterator[bytes]:
        """The frames of a message of a capability."""
        assert message.capability is not None
        data = bytes(compression.compress(message.data))
        head = bytes([FIRST, message.capability]) + message.code.to_bytes(2) + len(data).to_bytes(4)
        for at in range(0, len(data), CHUNK):
            yield b"".join(self._seal(head, data[at : at + CHUNK]))
            head = bytes([MORE, message.capability])

    def taken(self, index: int) -> bytes:
        """The control frame that asks for another message of a capability."""
        return b"".join(self._seal(bytes([TAKEN, index])))

    def seal(self, capability: int | None, code: int, data: bytes) -> Iterable[bytes]:
        if capability is None:
            return super().seal(None, code, data)
        return self.chunks(Outgoing(code, data, capability))

    def fits(self, capability: int, code: int, data: bytes) -> bool:  # noqa: ARG002
        return True


def chunks(agreement: Agreement) -> ChunkFraming:
    return ChunkFraming(*pair_of(agreement))


class ChunkLine(StreamLine):
    """Takes turns chunk by chunk, and waits for each capability to have taken the last message before it sends the next."""

    def __init__(self, session: Session, side: Side) -> None:
        super().__init__(session, side)
        framing = session.connection.framing
        assert isinstance(framing, ChunkFraming)
        self.chunked: ChunkFraming = framing
        self._credit = [1] * len(session.connection.space.shared)
        self._sending: dict[int, Iterator[bytes]] = {}
        self._sizes: dict[int, int] = {}
        self._to_tell: list[int] = []

    @property
    def taken(self):
        return self._count

    def _count(self, index: int, size: int) -> None:  # noqa: ARG002
        self._to_tell.append(index)
        self._side.outbox.look_again()

    async def _take_events(self) -> bool:
        granted, self.chunked.granted = self.chunked.granted, []
        for index in granted:
            self._credit[index] += 1
            self._side.outbox.look_again()
        return await super()._take_events()

    async def send(self) -> bool:
        outbox, limits = self._side.outbox, self._limits
        with sending(self._side):
            while not outbox.is_ended:
                if not await self._send_some():
                    if outbox.is_paused:
                        await self._send_batch(Outgoing(base.LAST, base.encode_last(1)), lambda: None)
                        return True
                    await outbox.wait_filled()
            with trio.move_on_after(limits.closing_timeout / 2):
                while await self._send_some() or any(outbox.waiting(index)[0] for index in range(len(self._credit))):  # noqa: ASYNC110
                    await trio.sleep(0.01)  # there may be credit soon
            while (message := outbox.get_nowait()) is not None:
                if message.capability is None:
                    await self._send_batch(message, lambda: None)
        return False

    async def _send_some(self) -> bool:
        """One chunk of each message that is under way, and whatever else waits; False if there was nothing."""
        outbox, sent = self._side.outbox, False
        while (message := outbox.get_of_nowait(None)) is not None:
            await self._send_batch(message, lambda: None)
            sent = True
        while self._to_tell:
            await self._send_all(bytearray(self.chunked.taken(self._to_tell.pop(0))))
            sent = True
        for index in range(len(self._credit)):
            if index not in self._sending and self._credit[index] and (message := outbox.get_of_nowait(index)) is not None:
                self._credit[index] -= 1
                self._sending[index] = self.chunked.chunks(message)
        for index, chunked in list(self._sending.items()):
            chunk = next(chunked, None)
            if chunk is None:
                del self._sending[index]
                self._side.channel(index).traffic.sent(self._sizes.pop(index))
            else:
                self._sizes[index] = self._sizes.get(index, 0) + len(chunk)
                await self._send_all(bytearray(chunk))
            sent = True
        return sent
