"""An end of a circuit as a byte stream."""

from collections.abc import Callable
from operator import index

import trio

from devp2p import RemoteProtocolError
from devp2p.capabilities.relay.lines import Line, require_credit
from devp2p.capabilities.relay.messages import MOST_DATA, WINDOW, Closing, Code, Status

_MOST_AHEAD = 2 * MOST_DATA  # bytes that may wait for the session, so that what is sent now does not wait for long

_WHY = {
    Code.NO_RESERVATION: "the node has no reservation there",
    Code.PERMISSION_DENIED: "the relay does not permit it",
    Code.LIMIT: "the relay, or the node behind it, has enough circuits",
    Code.FAILED: "the node behind the relay did not accept it",
}
_BROKEN = {
    Closing.LIMIT: "the relay grants no more time, or bytes, to this circuit",
    Closing.LOST: "the relay has lost the node at the other end",
}


class CircuitStream(trio.abc.HalfCloseableStream):
    """A circuit as a byte stream, and the `End` that takes its messages."""

    def __init__(self, line: Line, on_close: Callable[[int], None], *, is_open: bool = False) -> None:
        """`on_close` is told its number when no message of it counts any more; `is_open` if it is we who accept it."""
        self._line = line
        self._on_close = on_close
        self._answer = trio.Event()
        if is_open:
            self._answer.set()
        self._credit = WINDOW  # what we may send
        self._allowed = WINDOW  # what the peer may send
        self._taken = 0  # bytes that were received since it was told
        self._inbox = bytearray()
        self._ended = self._has_ended = False  # the peer sends no more; nor do we
        self._broken: str | None = None
        self._closed = False
        self._news = trio.lowlevel.ParkingLot()
        self._send_guard = trio.Lock()
        self._receive_guard = trio.Lock()

    async def wait_open(self) -> None:
        """Wait until the other end has accepted; ConnectionRefusedError that says why it did not."""
        await self._answer.wait()
        if self._broken is not None:
            raise ConnectionRefusedError(self._broken)

    # What comes from the peer: see `lines.End`

    def answered(self, status: Status) -> None:
        """See `End`."""
        if self._answer.is_set():
            raise RemoteProtocolError("a second Status for one circuit")
        self._answer.set()
        if status.code != Code.OK:
            self._break(_WHY[Code(status.code)] if status.code in set(Code) else f"it was refused with the code {status.code}")
            self._line.cut()

    def received(self, data: bytes) -> None:
        """See `End`."""
        self._allowed -= len(data)
        require_credit(self._allowed)
        self._inbox += data
        self._news.unpark_all()

    def granted(self, credit: int) -> None:
        """See `End`."""
        self._credit += credit
        if self._credit > WINDOW:
            raise RemoteProtocolError(f"credit for {self._credit} bytes of a circuit, where a window has {WINDOW}")
        self._news.unpark_all()

    def closed(self, code: int) -> None:
        """See `End`."""
        self._ended = True
        if code == Closing.END:
            self._look_if_over()
        else:
            self._break(_BROKEN.get(Closing(code)) if code in set(Closing) else f"it was closed with the code {code}")
            self._line.cut()
        self._news.unpark_all()

    def lost(self) -> None:
        """See `End`."""
        self._ended = True
        self._break("the session with the relay is over")
        self._line.cut()

    def _break(self, why: str | None) -> None:
        """No message of it counts any more. None: the other end has closed it, and what it sent before can be read."""
        self._broken = self._broken or why or "the node at the other end has closed it"
        self._forgives = why is None
        self._answer.set()
        self._news.unpark_all()
        self._on_close(self._line.number)

    _forgives = False

    # A byte stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See trio's SendStream."""
        try:
            self._send_guard.acquire_nowait()
        except trio.WouldBlock:
            raise trio.BusyResourceError("another task is sending over this circuit") from None
        try:
            await trio.lowlevel.checkpoint()
            self._check_send()
            left = memoryview(data).cast("B")
            while left:
                while not self._credit or len(self._line.data) >= _MOST_AHEAD:
                    await (self._line.wait_moved() if self._credit else self._news.park())
                    self._check_send()
                piece = left[: min(self._credit, MOST_DATA)]
                self._credit -= len(piece)
                self._line.put(piece)
                left = left[len(piece) :]
        finally:
            self._send_guard.release()

    async def wait_send_all_might_not_block(self) -> None:
        """See trio's SendStream."""
        await trio.lowlevel.checkpoint()
        self._check_send()
        while not self._credit:
            await self._news.park()
            self._check_send()

    async def send_eof(self) -> None:
        """See trio's HalfCloseableStream."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError("this circuit is closed")
        if not self._has_ended and self._broken is None:
            self._has_ended = True
            self._line.close(Closing.END)
            self._look_if_over()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See trio's ReceiveStream."""
        if max_bytes is not None and index(max_bytes) < 1:
            raise ValueError("max_bytes must be >= 1")
        try:
            self._receive_guard.acquire_nowait()
        except trio.WouldBlock:
            raise trio.BusyResourceError("another task is receiving over this circuit") from None
        try:
            await trio.lowlevel.checkpoint()
            while not self._inbox:
                if self._closed:
                    raise trio.ClosedResourceError("this circuit is closed")
                if self._broken is not None and not self._forgives:
                    raise trio.BrokenResourceError(self._broken)
                if self._ended:
                    return b""
                await self._news.park()
            if self._closed:
                raise trio.ClosedResourceError("this circuit is closed")
            size = len(self._inbox) if max_bytes is None else min(max_bytes, len(self._inbox))
            data = self._inbox[:size]
            del self._inbox[:size]
            self._give_back(size)
            return data
        finally:
            self._receive_guard.release()

    async def aclose(self) -> None:
        """Close both directions. What was sent before still goes."""
        self.abandon()
        await trio.lowlevel.checkpoint()

    def abandon(self) -> None:
        """The same at once."""
        if not self._closed:
            self._closed = True
            if self._broken is None and not (self._ended and self._has_ended):
                self._line.close(Closing.CLOSED)
                self._on_close(self._line.number)
            self._inbox.clear()
            self._news.unpark_all()

    def _check_send(self) -> None:
        if self._closed or self._has_ended:
            raise trio.ClosedResourceError("this circuit is closed" if self._closed else "send_eof was called")
        if self._broken is not None:
            raise trio.BrokenResourceError(self._broken)

    def _give_back(self, size: int) -> None:
        """Let the peer send more, in portions worth a message."""
        self._taken += size
        if self._taken >= WINDOW // 4 and not self._ended:
            self._line.grant(self._taken)
            self._allowed += self._taken
            self._taken = 0

    def _look_if_over(self) -> None:
        if self._ended and self._has_ended:
            self._on_close(self._line.number)
