"""One stream of a QUIC connection, as trio's streams are."""

from typing import Final, Protocol

import trio
from trio.abc import HalfCloseableStream

from devp2p.transports.alone import Alone
from devp2p.transports.quic.core import WINDOW, Core

CHUNK: Final = 64 * 1024
"""Bytes that are handed to the connection at once, and that may wait there to be sent: what waits can no longer be overtaken."""
_UNCONFIRMED: Final = 4 << 20  # bytes that the peer has not confirmed, whatever its window
_MOVED: Final = WINDOW // 4  # bytes that are read before the peer is told


class Carrier(Protocol):
    """The connection that a stream is of."""

    core: Core

    def flush(self) -> None:
        """Send what there is to be sent."""

    def why_not(self) -> Exception | None:
        """What a stream raises now that the connection has ended; None while it has not."""


class QuicStream(HalfCloseableStream):
    """One stream. What the peer sends is kept until it is read, within the window that it was given."""

    def __init__(self, carrier: Carrier, number: int) -> None:
        self.number = number
        self._carrier = carrier
        self._core = carrier.core
        self._buffer = bytearray()
        self._taken = 0
        self._told = 0
        """Of what was taken, what the peer knows of."""
        self._ended = False
        self._eof = False
        self._closed = False
        self._broken: str = ""
        """Why the peer's direction ended before its end."""
        self._stopped = False
        """The peer wants nothing more of ours."""
        self._readable = trio.lowlevel.ParkingLot()
        self._writable = trio.lowlevel.ParkingLot()
        self._sending = Alone("sending")
        self._receiving = Alone("receiving")

    # What the connection tells it

    def feed(self, data: bytes, *, ended: bool) -> None:
        """Take what the peer has sent."""
        if self._closed:
            return
        self._buffer += data
        self._ended = self._ended or ended
        self._readable.unpark_all()

    def reset_by_peer(self, code: int) -> None:
        """The peer has broken off its direction."""
        self._broken = f"the peer has reset the stream (code {code})"
        self._readable.unpark_all()

    def stopped_by_peer(self) -> None:
        """The peer reads no more."""
        self._stopped = True
        self._writable.unpark_all()

    def look_again(self) -> None:
        """Something may have been confirmed."""
        if self._writable and not self._is_full():
            self._writable.unpark_all()

    @property
    def is_over(self) -> bool:
        """Whether nobody uses it any more."""
        return self._closed

    def drop(self) -> None:
        """The link was closed, and it with it."""
        self._closed, self._buffer = True, bytearray()

    def gone(self) -> None:
        """The connection has ended."""
        self._readable.unpark_all()
        self._writable.unpark_all()

    def accepted(self) -> None:
        """Somebody will read it: give it a whole window."""
        if self._core.credit(self.number, self._taken + WINDOW):
            self._carrier.flush()

    # Sending

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send data; waits while too much of it has not gone out. trio.BrokenResourceError if the peer is gone, or reads no more."""
        with self._sending:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._check_sending()
            whole, waited = memoryview(data), False
            for begin in range(0, len(whole), CHUNK):
                while self._is_full():
                    await self._writable.park()
                    waited = True
                    self._check_sending()
                self._core.send_stream_data(self.number, bytes(whole[begin : begin + CHUNK]))
                self._carrier.flush()
            if not waited:
                await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the next piece could be sent at once."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_sending()
            while self._is_full():
                await self._writable.park()
                self._check_sending()

    async def send_eof(self) -> None:
        """End our direction, behind what was sent."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("this stream was closed")
            if not self._eof:
                self._check_sending()
                self._end()

    def _end(self) -> None:
        self._eof = True
        if self._carrier.why_not() is None and self._core.may_send(self.number):
            self._core.send_stream_data(self.number, b"", end_stream=True)
            self._carrier.flush()

    def _is_full(self) -> bool:
        unsent, held = self._core.unsent(self.number)
        return (unsent >= CHUNK or held >= _UNCONFIRMED) and not self._stopped and self._carrier.why_not() is None and not self._closed

    def _check_sending(self) -> None:
        if self._closed or self._eof:
            raise trio.ClosedResourceError("this stream was closed" if self._closed else "this direction of the stream was ended")
        if (gone := self._carrier.why_not()) is not None:
            raise gone
        if self._stopped or not self._core.may_send(self.number):
            raise trio.BrokenResourceError("the peer reads no more of this stream")

    # Receiving

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Wait for data; nothing means that the peer has ended its direction. trio.BrokenResourceError if it broke off, or is gone."""
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes is at least 1")
        with self._receiving:
            await trio.lowlevel.checkpoint()
            while not self._buffer:
                if self._closed:
                    raise trio.ClosedResourceError("this stream was closed")
                if self._ended:
                    return b""
                if self._broken:
                    raise trio.BrokenResourceError(self._broken)
                if (gone := self._carrier.why_not()) is not None:
                    raise gone
                await self._readable.park()
            if self._closed:
                raise trio.ClosedResourceError("this stream was closed")
            return self._take(max_bytes)

    def _take(self, max_bytes: int | None) -> bytearray:
        if max_bytes is None or max_bytes >= len(self._buffer):
            data, self._buffer = self._buffer, bytearray()
        else:
            data = self._buffer[:max_bytes]
            del self._buffer[:max_bytes]
        self._taken += len(data)
        if self._taken - self._told >= _MOVED:
            self._told = self._taken
            if self._core.credit(self.number, self._taken + WINDOW):
                self._carrier.flush()
        return data

    # Ending

    def reset(self, code: int = 0) -> None:
        """Break off our direction: what was not sent is lost."""
        self._eof = True
        if self._carrier.why_not() is None and self._core.may_send(self.number):
            self._core.reset_stream(self.number, code)
            self._carrier.flush()

    def close_now(self) -> None:
        """Close both directions; what was sent is on its way."""
        if self._closed:
            return
        if not self._eof:
            self._end()
        self._closed = True
        self._buffer = bytearray()
        if self._carrier.why_not() is None:
            self._core.stop(self.number)
            self._carrier.flush()
        self.gone()

    async def aclose(self) -> None:
        """Close both directions."""
        self.close_now()
        await trio.lowlevel.checkpoint()
