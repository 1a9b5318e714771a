"""Byte streams in the messages of an SCTP association (docs/spec/sctp.md): opening, credit, half-close, and the link that they make up.

Theory of operation. SCTP holds a sender back for all streams together, and aiortc's does not even do that. So each direction of each stream
has a credit of its own: what is not read holds up that stream alone, and nobody has to keep more than was granted. A stream that was opened
and not accepted yet has little; the rest is granted when it is.
"""

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Final, Protocol

import trio
from trio.abc import HalfCloseableStream

from devp2p.errors import RemoteProtocolError
from devp2p.transports.alone import Alone
from devp2p.transports.sctp.vetting import MOST_MESSAGE, STREAMS

OPEN, DATA, END, STOP, CREDIT, FREE = range(6)
"""The first byte of a message."""
FIRST_CREDIT: Final = 16 * 1024
"""Bytes that may be sent on a new stream in each direction before any credit has come."""
WINDOW: Final = 256 * 1024
"""Bytes that wait at most to be read from a stream."""
MOST_DATA: Final = 14 * 1160 - 1
"""Bytes of a stream in one message of ours: what fills fourteen packets."""

_PIECE: Final = 4096  # bytes; what comes in smaller pieces is put together, since each of them takes a few hundred bytes
_CLOSED: Final = "this end of the link is closed"
_NUMBER: Final = Struct("!L")
_WRAP: Final = 2**32


class Sender(Protocol):
    """What streams need of an `Association`."""

    @property
    def has_room(self) -> bool:
        """Whether another message may be given to `send`."""
        ...

    def send(self, stream: int, message: bytes) -> None:
        """Send a message."""


class SctpStream(HalfCloseableStream):
    """One stream of a link."""

    def __init__(self, streams: "Streams", number: int) -> None:
        self.number: int = number
        self._streams = streams
        self._sending = Alone("sending")
        self._receiving = Alone("receiving")
        self._changed = trio.lowlevel.ParkingLot()
        self._credit = FIRST_CREDIT
        self._granted = FIRST_CREDIT  # what the peer may still send
        self._consumed = 0  # of what it has sent, and was not granted again
        self._received = deque[bytearray | memoryview]()
        self._is_closed = False
        self._has_ended = False  # we have
        self._is_ended = False  # the peer has
        self._is_stopped = False  # the peer reads no more

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, waiting while the peer grants nothing, or others have their turn."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_sending()
            view = memoryview(data).cast("B")
            while view:
                await self._wait_sendable()
                piece = view[: min(MOST_DATA, self._credit)]
                self._credit -= len(piece)
                self._streams.say(self.number, b"\x01" + piece)
                view = view[len(piece) :]
                if self._streams.look_again() and view:
                    await self._wait_turn()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until something could be sent."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._is_closed:
                raise trio.ClosedResourceError("the stream is closed")
            if not (self._has_ended or self._is_stopped or self._streams.broken):
                await self._wait_sendable()
                self._streams.look_again()

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            if not self._has_ended:
                self._check_sending()
            self._end()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what is there, at least one byte; b"" when the peer has ended."""
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        with self._receiving:
            await trio.lowlevel.checkpoint()
            while not self._received:
                if self._is_closed:
                    raise trio.ClosedResourceError("the stream is closed")
                if self._is_ended:
                    return b""
                if self._streams.broken:
                    raise trio.BrokenResourceError(self._streams.broken)
                await self._changed.park()
            piece = self._received.popleft()
            if max_bytes is not None and len(piece) > max_bytes:
                self._received.appendleft(memoryview(piece)[max_bytes:])
                piece = piece[:max_bytes]
            self._consume(len(piece))
            return bytes(piece)

    async def aclose(self) -> None:
        """Close both directions; what was sent can still be read."""
        self.close_now()
        await trio.lowlevel.checkpoint()

    def close_now(self) -> None:
        """The same."""
        if self._is_closed:
            return
        self._is_closed = True
        self._received.clear()
        if not self._streams.broken:
            if not self._is_ended:
                self._streams.say(self.number, bytes((STOP,)))
            self._end()
        self._changed.unpark_all()
        self._streams.look_again()

    # What the link tells it

    def grant_all(self) -> None:
        """It is in use: let the peer send a window full."""
        self._consume(WINDOW - FIRST_CREDIT)

    def take(self, kind: int, message: bytes) -> None:
        """Take a message of the peer. RemoteProtocolError if it breaks the rules."""
        if kind == DATA:
            self._take_data(message)
        elif kind == END:
            if self._is_ended:
                raise RemoteProtocolError("a stream of SCTP that ends twice")
            self._is_ended = True
        elif kind == STOP:
            self._is_stopped = True
            if not self._streams.broken:
                self._end()
        else:
            self._credit += _number_in(message)
            if self._credit >= _WRAP:
                raise RemoteProtocolError("credit for more than 4 GiB in a stream of SCTP")
        self.look_again()

    def look_again(self) -> None:
        """Something has changed: let those who wait see whether it matters to them."""
        self._changed.unpark_all()

    def _take_data(self, message: bytes) -> None:
        size = len(message) - 1
        if self._is_ended:
            raise RemoteProtocolError("data behind the end of a stream of SCTP")
        if not 0 < size <= self._granted:
            raise RemoteProtocolError(f"{size} bytes in a stream of SCTP that may have 1 to {self._granted}")
        self._granted -= size
        if self._is_closed:
            self._consume(0)
        elif self._received and isinstance(last := self._received[-1], bytearray) and len(last) < _PIECE:
            last += memoryview(message)[1:]
        else:
            self._received.append(bytearray(message[1:]) if size < _PIECE else memoryview(message)[1:])

    @property
    def is_over(self) -> bool:
        """Whether both sides have ended it."""
        return self._has_ended and self._is_ended

    # Within

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._streams.say(self.number, bytes((END,)))
            self._changed.unpark_all()
        self._streams.forget_if_over(self)

    def _consume(self, size: int) -> None:
        """Grant what was read anew, in halves of a window."""
        self._consumed += size
        if self._consumed >= WINDOW // 2 and not (self._is_ended or self._is_closed or self._streams.broken):
            self._granted += self._consumed
            self._streams.say(self.number, bytes((CREDIT,)) + _NUMBER.pack(self._consumed))
            self._consumed = 0

    def _check_sending(self) -> None:
        if self._is_closed or (self._has_ended and not self._is_stopped):
            raise trio.ClosedResourceError("the stream is closed for sending")
        if self._is_stopped:
            raise trio.BrokenResourceError("the peer has closed the stream")
        if self._streams.broken:
            raise trio.BrokenResourceError(self._streams.broken)

    async def _wait_sendable(self) -> None:
        while True:
            while self._credit == 0:
                self._streams.look_again()
                await self._changed.park()
                self._check_sending()
            if self._streams.has_room:
                return
            await self._wait_turn()

    async def _wait_turn(self) -> None:
        """Wait behind those who wait already. Who is woken says something, or passes it on, by `Streams.look_again`."""
        await self._streams.room.park()
        try:
            self._check_sending()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._streams.look_again()
            raise


class Streams:
    """All streams of an association."""

    def __init__(self, sender: Sender, *, is_client: bool, on_said: Callable[[], None]) -> None:
        """`is_client`: of DTLS; it opens streams of even numbers. `on_said` is called when a message was given to `sender`."""
        self.broken: str = ""
        """Why nothing comes or goes any more."""
        self.room: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        """Those who wait for `has_room`."""
        self._sender = sender
        self._on_said = on_said
        self._ours = 0 if is_client else 1
        self._free = deque(range(self._ours, STREAMS, 2))
        self._streams = dict[int, SctpStream]()
        self._opened = 0
        self._accepted = 0
        self._waiting = dict[int, SctpStream]()
        """Streams that the peer has opened and we have not accepted, by how many it had opened before."""
        self._changed = trio.lowlevel.ParkingLot()
        self._is_closed = False

    async def open(self) -> SctpStream:
        """See `MuxLink.open`."""
        await trio.lowlevel.checkpoint()
        self._check()
        while not self._free:
            await self._changed.park()
            self._check()
        number = self._free.popleft()
        stream = self._streams[number] = SctpStream(self, number)
        self.say(number, bytes((OPEN,)) + _NUMBER.pack(self._opened % _WRAP))
        self._opened += 1
        stream.grant_all()
        return stream

    async def accept(self) -> SctpStream:
        """See `MuxLink.accept`."""
        await trio.lowlevel.checkpoint()
        while (stream := self._waiting.pop(self._accepted % _WRAP, None)) is None:
            self._check()
            await self._changed.park()
        self._accepted += 1
        if not self.broken:
            stream.grant_all()
        return stream

    def take(self, number: int, message: bytes) -> None:
        """Take a message of the peer. RemoteProtocolError if it breaks the rules."""
        kind = message[0]
        if len(message) > MOST_MESSAGE:
            raise RemoteProtocolError(f"a message of {len(message)} bytes in SCTP, where {MOST_MESSAGE} are allowed")
        if kind > FREE or (kind in {END, STOP, FREE} and len(message) != 1):
            raise RemoteProtocolError(f"a message of SCTP that is none: {message[:8].hex()}")
        if kind == OPEN:
            self._take_open(number, message)
            return
        stream = self._streams.get(number)
        if kind == FREE:
            if stream is None or number % 2 != self._ours or not stream.is_over:
                raise RemoteProtocolError(f"the stream {number} of SCTP is given back that is not over")
            del self._streams[number]
            self._free.append(number)
            self._changed.unpark_all()
        elif stream is not None:
            stream.take(kind, message)
            self.forget_if_over(stream)
        elif kind not in {STOP, CREDIT}:  # these may have crossed our end
            raise RemoteProtocolError(f"a message on the stream {number} of SCTP, which is not open")

    def _take_open(self, number: int, message: bytes) -> None:
        if number % 2 == self._ours or number in self._streams:
            raise RemoteProtocolError(f"the stream {number} of SCTP is opened that cannot be")
        serial = _number_in(message)
        if (serial - self._accepted) % _WRAP >= STREAMS or serial in self._waiting:
            raise RemoteProtocolError(f"a stream of SCTP is opened as number {serial}, which is not its turn")
        self._waiting[serial] = self._streams[number] = SctpStream(self, number)
        self._changed.unpark_all()

    def close(self, *, tell: bool) -> None:
        """End all by our will, and `tell` the peer where the streams end."""
        self._is_closed = True
        if not tell:
            self.broken = self.broken or _CLOSED
        for stream in tuple(self._streams.values()):
            stream.close_now()
        self.break_(_CLOSED)

    def break_(self, reason: str) -> None:
        """End all: nothing comes any more."""
        if not self.broken:
            self.broken = reason
        for stream in tuple(self._streams.values()):
            stream.look_again()
        self.room.unpark_all()
        self._changed.unpark_all()

    # What streams ask for

    @property
    def has_room(self) -> bool:
        """Whether a stream may say more data now."""
        return self._sender.has_room

    def say(self, number: int, message: bytes) -> None:
        """Send a message on a stream."""
        self._sender.send(number, message)
        self._on_said()

    def look_again(self) -> bool:
        """There may be room, or still be some: whether it is somebody else's turn, who waited longest."""
        if not self.room or not (self.broken or self.has_room):
            return False
        self.room.unpark(count=len(self.room) if self.broken else 1)
        return True

    def forget_if_over(self, stream: SctpStream) -> None:
        """Give a stream that both sides have ended back to the peer that opened it, and may still have to hear of credit."""
        if stream.is_over and stream.number % 2 != self._ours and self._streams.get(stream.number) is stream:
            del self._streams[stream.number]
            if not self.broken:
                self.say(stream.number, bytes((FREE,)))

    def _check(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError(_CLOSED)
        if self.broken:
            raise trio.BrokenResourceError(self.broken)


def _number_in(message: bytes) -> int:
    if len(message) != 1 + _NUMBER.size:
        raise RemoteProtocolError(f"a message of SCTP with {len(message) - 1} bytes, where a number of 4 is due")
    return int(_NUMBER.unpack_from(message, 1)[0])
