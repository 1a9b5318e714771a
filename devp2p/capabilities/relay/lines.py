"""What waits to be sent of circuits to one peer: each circuit has a line, and they take turns.

A line holds at most one window of bytes, since nobody may send more without credit, and of everything else it has one of each kind. So
whoever floods a relay with messages fills nothing there.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import trio

from devp2p import RemoteProtocolError
from devp2p.capabilities.relay.messages import MOST_DATA, Close, Closing, Connect, Data, Incoming, Reserved, Status, Window

Message: TypeAlias = Reserved | Connect | Incoming | Status | Data | Window | Close
Opening: TypeAlias = Connect | Incoming | Status


class End(Protocol):
    """What takes the messages of a circuit that come from one peer. Each may raise RemoteProtocolError."""

    def answered(self, status: Status) -> None:
        """The answer to what opened the circuit."""

    def received(self, data: bytes) -> None:
        """Bytes of the circuit."""

    def granted(self, credit: int) -> None:
        """The peer takes so many bytes more."""

    def closed(self, code: int) -> None:
        """The peer sends nothing more; see `Closing`."""

    def lost(self) -> None:
        """The session with the peer is over."""


class Line:
    """What waits to be sent of one circuit to one peer."""

    def __init__(self, lines: "Lines", number: int) -> None:
        self.number: int = number
        self.data: bytearray = bytearray()
        self._lines = lines
        self._opening: Opening | None = None
        self._credit = 0
        self._code: int | None = None
        self._moved = trio.lowlevel.ParkingLot()
        self.is_over: bool = False
        """Whether its Close has gone, or nothing can go any more."""

    def open(self, message: Opening) -> None:
        """Send what opens the circuit, or answers that, before all else."""
        self._opening = message
        self._lines.wake(self)

    def put(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; the caller has credit for them."""
        if self._code is None:
            self.data += data
            self._lines.wake(self)

    def grant(self, credit: int) -> None:
        """Let the peer send more."""
        if self._code in {None, Closing.END}:
            self._credit += credit
            self._lines.wake(self)

    def close(self, code: int) -> None:
        """Send a Close behind the bytes that wait. Behind that of one direction there may come one of both."""
        if self._code in {None, Closing.END} and not (self.is_over and code == Closing.END):
            self._code, self.is_over = code, False
            self._lines.wake(self)

    def cut(self) -> None:
        """Send nothing more: the peer is gone, or wants no more."""
        self.data.clear()
        self._code = Closing.CLOSED
        self.is_over = True
        self._lines.forget(self)
        self._moved.unpark_all()

    async def wait_moved(self) -> None:
        """Wait until something of it has gone."""
        await self._moved.park()

    async def wait_over(self) -> None:
        """Wait until all has gone."""
        while not self.is_over:
            await self._moved.park()

    def next(self) -> Message | None:
        """Take what goes next."""
        if self._opening is not None:
            message, self._opening = self._opening, None
            return message
        if self._credit:
            credit, self._credit = self._credit, 0
            return Window(self.number, credit)
        if self.data:
            data = bytes(self.data[:MOST_DATA])
            del self.data[:MOST_DATA]
            return Data(self.number, data)
        if self._code is None or self.is_over:
            return None
        self.is_over = True
        return Close(self.number, self._code)

    def went(self) -> None:
        """What was taken is with the session."""
        self._moved.unpark_all()


class Lines:
    """The lines to one peer, and what else goes to it."""

    _MOST_REPLIES = 64  # beyond them the peer's messages wait unread

    def __init__(self, send: Callable[[Message], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: dict[Line, None] = {}
        self._replies: list[Message] = []
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._is_shut = False

    def wake(self, line: Line) -> None:
        """It has something to send."""
        if self._is_shut:
            line.cut()
        else:
            self._waiting[line] = None
            self._news.unpark()

    def forget(self, line: Line) -> None:
        """It sends nothing more."""
        self._waiting.pop(line, None)

    def reply(self, message: Message) -> None:
        """Send a message that belongs to no line."""
        self._replies.append(message)
        self._news.unpark()

    async def wait_room(self) -> None:
        """Wait until not too many replies wait."""
        while len(self._replies) >= self._MOST_REPLIES:
            await self._room.park()

    def shut(self) -> None:
        """The session is over: nothing goes any more."""
        self._is_shut = True
        for line in [*self._waiting]:
            line.cut()

    async def run(self) -> None:
        """Send what waits, for as long as the session lasts."""
        while True:
            while not self._waiting and not self._replies:
                await self._news.park()
            if self._replies:
                await self._send(self._replies.pop(0))
                self._room.unpark_all()
                continue
            line = next(iter(self._waiting))
            del self._waiting[line]
            message = line.next()
            if message is not None:
                self._waiting[line] = None  # behind the others; it may have more
                await self._send(message)
            line.went()


def require_credit(left: int) -> None:
    """RemoteProtocolError for a peer that has sent more than it might."""
    if left < 0:
        raise RemoteProtocolError("more bytes of a circuit than there was credit for")
