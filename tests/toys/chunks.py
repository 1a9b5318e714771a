"""A toy: a line that sends messages in chunks of 1 KiB, those of all capabilities by turns, and no further one before the last was taken.

Frames, in the records of `records`, begin with what they are:

    0xf0 || capability (1) || total (4) || data     the first chunk of a message
    0xf1 || capability (1) || data                  a further one
    0xf2 || capability (1)                          control: a message of that capability was taken, so send the next

Others are whole messages, as in every framing: here those of the base protocol. All of it is in this file: nothing in the library knows of
it, but for the table `LINES`, in which a test enters it.
"""

from collections.abc import Iterator
from contextlib import suppress

import trio

from devp2p import rlp
from devp2p.errors import DecodingError, RemoteProtocolError
from devp2p.session import Session, Side, StreamLine
from devp2p.session.line import sending
from devp2p.testing import ScriptedPeer
from devp2p.wire import BASE_LENGTH, FrameFraming, MessageReceived, Outgoing, base, compression
from devp2p.wire.rlpx import Agreement
from tests.toys.records import RecordOpener, RecordSealer, pair_of

FIRST, MORE, TAKEN = 0xF0, 0xF1, 0xF2
CHUNK = 1024


class ChunkFraming(FrameFraming):
    """Puts together again what came in chunks; a message may also come in one frame, as those of the base protocol do."""

    def __init__(self, sealer: RecordSealer, opener: RecordOpener) -> None:
        super().__init__(sealer, opener)
        self._next_frame = self._whole
        self.kinds: list[tuple[int, int]] = []
        """What kinds of frames have come, and of which capability."""
        self.granted: list[int] = []
        """Capabilities of which the peer has taken a message, and that may send another."""
        self._parts: dict[int, tuple[int, bytearray]] = {}

    def _whole(self) -> bytes | memoryview | None:
        while (frame := self.opener.next_frame()) is not None:
            if frame[0] not in {FIRST, MORE, TAKEN}:
                return frame
            if (whole := self._take(bytes(frame))) is not None:
                return whole
        return None

    def _take(self, frame: bytes) -> bytes | None:
        kind, index = frame[0], frame[1]
        self.kinds.append((kind, index))
        if kind == TAKEN:
            self.granted.append(index)
            return None
        if kind == FIRST:
            total, data = int.from_bytes(frame[2:6]), bytearray(frame[6:])
            if total > self.opener.max_size:
                raise DecodingError(f"a message of {total} bytes in chunks, where {self.opener.max_size} are allowed")
        elif index in self._parts:
            total, data = self._parts.pop(index)
            data += frame[2:]
        else:
            raise RemoteProtocolError("a chunk of no message")
        if len(data) >= total:
            return bytes(data)
        self._parts[index] = total, data
        return None

    def whole(self, message: Outgoing) -> bytes:
        """A message of a capability, before it is cut."""
        assert message.capability is not None
        data = bytes(compression.compress(message.data)) if self.compressed else message.data
        return rlp.encode(self._offsets[message.capability] + message.code) + data

    def chunks(self, index: int, data: bytes) -> Iterator[bytes]:
        """The frames of a message of a capability."""
        head = bytes([FIRST, index]) + len(data).to_bytes(4)
        for at in range(0, len(data), CHUNK):
            yield b"".join(self._seal(head, data[at : at + CHUNK]))
            head = bytes([MORE, index])

    def taken(self, index: int) -> bytes:
        """The control frame that asks for another message of a capability."""
        return b"".join(self._seal(bytes([TAKEN, index])))

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

    def _count(self, message: MessageReceived) -> None:
        self._to_tell.append(message.capability)
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
                data = self.chunked.whole(message)
                self._sizes[index] = RecordOpener.wire_size(len(data))  # as who receives it counts it
                self._sending[index] = self.chunked.chunks(index, data)
        for index, chunked in list(self._sending.items()):
            chunk = next(chunked, None)
            if chunk is None:
                del self._sending[index]
                self._side.channel(index).traffic.sent(self._sizes.pop(index))
            else:
                await self._send_all(bytearray(chunk))
            sent = True
        return sent


class ChunkScript(ScriptedPeer):
    """A script that asks for the next message when it has received one."""

    async def receive(self) -> tuple[int, bytes]:
        code, data = await super().receive()
        if code >= BASE_LENGTH:
            framing = self._streams.first.framing
            assert isinstance(framing, ChunkFraming)
            with suppress(trio.BrokenResourceError):
                await self.stream.send_all(framing.taken(self.space.locate(code)[0]))
        return code, data
