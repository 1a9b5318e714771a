"""A WebSocket connection as a byte stream, on any trio stream, once its opening handshake is done.

Theory of operation. Frames are `ws_frames`' business; here is who may write them when.

Half-close. WebSocket has Close frames, one in each direction, and who has sent one sends no more data: so far that is a half-close. It has
no rule that the other side may go on: it SHOULD answer "as soon as practical" (RFC 6455, section 5.5.1). So `send_eof` sends Close, and
goes on reading until the peer's; and the peer's Close is the end of what it says, which we answer when we have nothing more to say, by
`send_eof` or `aclose`, and in a session that is within `Limits.closing_timeout`. Two of ours thus have a half-close. Other implementations
answer at once and throw away what they had not sent: there the last words of a session reach the peer, and its own may be lost.
A connection that ends without Close is broken, not at its end.

Pongs. The reader finds pings, and the writer may be at work on a frame. So a Pong goes in front of the next frame; or, if nobody is
writing, the reader sends it, provided that the system takes it at once: to read must never wait for a peer to read, and what is cancelled
must not leave half a frame behind. Only the last ping is answered, so pings take no memory.
"""

import selectors
from contextlib import suppress
from operator import index
from typing import Final

import trio
from trio.abc import HalfCloseableStream, Stream

from devp2p.transports.alone import Alone
from devp2p.transports.ws_frames import Code, FrameError, FrameReader, FrameWriter

_CHUNK: Final = 64 * 1024
_BATCH: Final = 256 * 1024  # bytes that are put in frames at once; a line gives somewhat more than a chunk, which is to go in one piece
_HEAD: Final = 14  # bytes that the head of a frame has at most
_MOMENT: Final = 1.0  # seconds that a control frame may take which nobody waits for
_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
_SELECTOR: Final = getattr(selectors, "PollSelector", selectors.SelectSelector)


class WsStream(HalfCloseableStream):
    """The stream. Errors of the peer are trio.BrokenResourceErrors that say what it did."""

    def __init__(self, stream: Stream, *, is_client: bool, data: bytes = b"") -> None:
        """`data` has come already, behind the opening handshake."""
        self._stream = stream
        self._reader = FrameReader(is_client=is_client)
        self._writer = FrameWriter(is_client=is_client)
        self._writing = trio.Lock()
        self._has_ended = False  # our Close is out, or on its way
        self._is_torn = False  # half a frame may be out: nothing can be behind it
        self._is_closed = False
        self._fault = ""
        self._sending = Alone("sending")
        self._receiving = Alone("receiving")
        if data:
            self._reader.feed(data)

    # Sending

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream.send_all`."""
        with self._sending:
            self._check_open(is_sending=True)
            await self._begin_writing()
            try:
                view = memoryview(data)
                for start in range(0, len(view), _BATCH):
                    await self._write(self._writer.data(view[start : start + _BATCH], self._pong()))
                if self._reader.ping is not None:
                    await self._write(self._pong())
            finally:
                self._writing.release()
            if not view:
                await trio.lowlevel.checkpoint()

    async def _begin_writing(self) -> None:
        """Take the lock, at once if it is free: a turn of the loop less for each piece of the stream."""
        if self._writing.locked():
            await self._writing.acquire()
        else:
            self._writing.acquire_nowait()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream.wait_send_all_might_not_block`."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Send Close; see the theory of operation. What the peer says until it answers can still be received."""
        with self._sending:
            self._check_open()
            async with self._writing:
                if not self._has_ended:
                    await self._write_close(Code.NORMAL)

    async def _write_close(self, code: Code) -> None:
        self._has_ended = True
        await self._write(self._writer.close(code, self._pong()))

    async def _write(self, frames: bytearray) -> None:
        """Write whole frames, or nothing any more."""
        if self._is_torn:
            raise trio.BrokenResourceError("a frame was not written to its end")
        self._is_torn = True
        await self._stream.send_all(frames)
        self._is_torn = False

    def _pong(self) -> bytearray:
        """The answer that is owed, if there is one."""
        payload, self._reader.ping = self._reader.ping, None
        return bytearray() if payload is None else self._writer.pong(payload)

    async def _write_now(self, code: Code | None = None) -> None:
        """Write a Pong, or a Close with a code, unless somebody else is writing or the system would not take it at once.

        That cannot be cancelled, or else half a frame might be out.
        """
        if self._has_ended or self._is_torn or self._writing.locked() or not _takes_more(self._stream):
            return
        self._writing.acquire_nowait()
        try:
            with trio.CancelScope(deadline=trio.current_time() + _MOMENT, shield=True), suppress(*_GONE):
                await (self._write(self._pong()) if code is None else self._write_close(code))
        finally:
            self._writing.release()

    # Receiving

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream.receive_some`: b"" after the peer's Close, trio.BrokenResourceError without one."""
        limit = _CHUNK if max_bytes is None else index(max_bytes)
        if limit < 1:
            raise ValueError("max_bytes must be at least 1")
        with self._receiving:
            self._check_open()
            if not self._reader.is_hungry or self._reader.is_closed:
                await trio.lowlevel.checkpoint()
            while not (data := await self._take(limit)) and not self._reader.is_closed:
                if not self._reader.is_hungry:
                    await trio.lowlevel.checkpoint()
                elif more := await self._stream.receive_some(min(limit + _HEAD, _CHUNK)):  # no stranger has us keep more than we want
                    self._reader.feed(more)
                else:
                    raise trio.BrokenResourceError("the peer hung up without a Close")
            return data

    async def _take(self, limit: int) -> bytes | bytearray:
        """Take what is there, and answer what has to be answered; nobody can cancel that."""
        try:
            if self._fault:
                raise trio.BrokenResourceError(self._fault)
            data = self._reader.take(limit, trio.current_time())
        except FrameError as error:
            self._fault = f"the peer breaks the rules of WebSocket: {error}"
            await self._write_now(error.code)
            raise trio.BrokenResourceError(self._fault) from None
        if self._reader.ping is not None:
            await self._write_now()
        return data

    # The end

    async def aclose(self) -> None:
        """Send Close if that is still to do and the system takes it at once, and close the connection without waiting for the peer's."""
        was_closed, self._is_closed = self._is_closed, True
        try:
            if not was_closed:
                await self._write_now(Code.NORMAL)
        finally:
            await self._stream.aclose()

    def _check_open(self, *, is_sending: bool = False) -> None:
        if self._is_closed or (is_sending and self._has_ended):
            raise trio.ClosedResourceError("the stream was closed" if self._is_closed else "Close was sent")


def _takes_more(stream: Stream) -> bool:
    """Whether a small frame is taken at once, as far as the system says; what is no socket is taken to be ready."""
    inner = getattr(stream, "transport_stream", stream)  # of TLS
    if not isinstance(inner, trio.SocketStream):
        return True
    with _SELECTOR() as selector:
        try:
            selector.register(inner.socket.fileno(), selectors.EVENT_WRITE)
        except ValueError:  # it is closed
            return False
        return bool(selector.select(0))
