"""Channels of an SSH connection (RFC 4254, section 5), each of which is a stream of trio's.

Theory of operation. What arrives waits in its channel, up to the window that was granted, and reading grants more; so a channel that is
not read holds back its own stream only. A channel that nobody has accepted yet has a small window. What is sent waits for the peer's
window and for room in the connection, and `send_all` returns when the connection has handed all of it on: whatever is closed then, it is
on its way. There is no queue for what is to be sent. All memory is bounded by the number of channels and their windows.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import trio
from asyncssh import ProtocolError
from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_RESOURCE_SHORTAGE,
    OPEN_UNKNOWN_CHANNEL_TYPE,
)
from asyncssh.packet import SSHPacket, String, UInt32
from trio.abc import HalfCloseableStream

from devp2p.transports.alone import Alone

HOST: Final = b"devp2p"
"""Where a channel leads, as SSH says it: the host of its request. Its port is any."""
STREAMS: Final = 32
"""Channels that may be open in one connection."""
WINDOW: Final = 512 * 1024
"""Bytes that may wait in a channel to be read."""
FIRST_WINDOW: Final = 64 * 1024
"""The same, as long as nobody has accepted it."""
PACKET: Final = 32 * 1024
"""Bytes of data in one packet, the least that everybody has to take (RFC 4253, section 6.1)."""
LEAST_PACKET: Final = 4 * 1024
"""A peer that takes no more in one packet is refused: it would have us make thousands of packets of one message."""

_TYPE: Final = b"direct-tcpip"
_PORT: Final = 30303  # of which nothing depends
_MOST_CREDIT: Final = (1 << 32) - 1


class Sending(Protocol):
    """What channels need of the connection that they are in."""

    closed: bool
    """Whether we have closed it."""
    lost: str | None
    """Why it is over, if it is."""

    def number(self, channel: "Channel") -> int:
        """Let packets for a channel come to it; our number for it."""
        ...

    def forget(self, number: int) -> None:
        """Nothing more is for a channel."""

    def send(self, kind: int, *parts: bytes) -> None:
        """Send a packet, now or as soon as keys have been exchanged. Without effect when the connection is over."""

    @property
    def has_room(self) -> bool:
        """Whether data may be sent now."""
        ...

    async def wait_room(self) -> None:
        """Wait until data may be sent, or the connection is over."""

    async def wait_sent(self) -> None:
        """Wait until everything so far is handed on, or the connection is over."""


class Channel(HalfCloseableStream):
    """One channel, as a stream."""

    def __init__(self, connection: Sending, window: int, on_over: Callable[["Channel"], None]) -> None:
        self.number: int = connection.number(self)
        self._connection = connection
        self._on_over = on_over
        self._theirs: int | None = None  # the peer's number for it, as soon as both know it
        self._credit = 0
        self._largest = 0
        self._window = window
        self._granted = window  # what the peer may still send
        self._received = bytearray()
        self._has_ended = False  # nothing more will come
        self._ended = False  # we have said so
        self._said_close = False
        self._closed = False  # by us
        self._fault: str | None = None  # why nothing can be sent
        self._changed = trio.lowlevel.ParkingLot()
        self._receiving = Alone("receiving")
        self._sending = Alone("sending")

    # What the user does

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, waiting for the peer to make room."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_sending()
            view = memoryview(data)
            while view:
                if not self._connection.has_room:
                    await self._connection.wait_room()
                elif (size := min(self._credit, self._largest, len(view))) > 0:
                    self._credit -= size
                    self._say(MSG_CHANNEL_DATA, String(bytes(view[:size])))
                    view = view[size:]
                else:
                    await self._changed.park()
                self._check_sending()
            await self._connection.wait_sent()
            self._check_sending(or_ended=False)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            while not self._credit and self._fault is None and not self._closed:
                await self._changed.park()
            await self._connection.wait_room()

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._closed or self._connection.closed:
                raise trio.ClosedResourceError("the stream is closed")
            if self._ended:
                return
            while self._theirs is None and self._fault is None:
                await self._changed.park()
            self._check_sending()
            self._ended = True
            self._say(MSG_CHANNEL_EOF)
            await self._connection.wait_sent()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what is there, at least one byte; b"" when the peer has ended."""
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        with self._receiving:
            await trio.lowlevel.checkpoint()
            while not self._received:
                if self._closed or self._connection.closed:
                    raise trio.ClosedResourceError("the stream is closed")
                if self._has_ended:
                    return b""
                if self._fault is not None:
                    raise trio.BrokenResourceError(self._fault)
                await self._changed.park()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            taken = bytes(self._received[:max_bytes])
            del self._received[:max_bytes]
            self._grant()
            return taken

    async def aclose(self) -> None:
        """Close both directions."""
        self.close_now()
        await trio.lowlevel.checkpoint()

    def close_now(self) -> None:
        """The same, without a checkpoint; what was sent can still be read."""
        if not self._closed:
            self._closed = True
            self._received.clear()
            self._say_close()
            self._changed.unpark_all()

    def accepted(self) -> None:
        """Somebody will read it."""
        self._window = WINDOW
        self._grant()

    # What happens

    def request(self) -> None:
        """Ask the peer to open it."""
        data = (String(_TYPE), UInt32(self.number), UInt32(self._window), UInt32(PACKET))
        self._connection.send(MSG_CHANNEL_OPEN, *data, String(HOST), UInt32(_PORT), String(HOST), UInt32(0))

    def open(self, theirs: int, credit: int, largest: int) -> None:
        """Both sides have it."""
        self._theirs, self._credit, self._largest = theirs, credit, min(largest, PACKET)
        if self._closed:
            self._say_close()
        self._changed.unpark_all()

    @property
    def is_requested(self) -> bool:
        """Whether the peer's answer to our request is still to come."""
        return self._theirs is None and self._fault is None

    def confirm(self) -> None:
        """Let the peer have it."""
        self._say(MSG_CHANNEL_OPEN_CONFIRMATION, UInt32(self.number), UInt32(self._window), UInt32(PACKET))

    def breaks(self, why: str) -> None:
        """It is over, for what comes from the peer too."""
        self._fault = self._fault or why
        self._changed.unpark_all()

    def process_packet(self, kind: int, _sequence: int, packet: SSHPacket) -> bool:
        """Take a packet for this channel, whose number was read from it."""
        if self._theirs is None:
            raise ProtocolError("a packet for a channel that is not open")
        match kind:
            case _ if kind == MSG_CHANNEL_DATA:
                self._take(packet.get_string())
            case _ if kind == MSG_CHANNEL_WINDOW_ADJUST:
                self._credit += packet.get_uint32()
                if self._credit > _MOST_CREDIT:
                    raise ProtocolError("a window of more than 2^32 - 1 bytes")
            case _ if kind == MSG_CHANNEL_EOF:
                self._has_ended = True
            case _ if kind == MSG_CHANNEL_CLOSE:
                packet.check_end()
                self._has_ended = True
                self._fault = self._fault or "the peer has closed the stream"
                self._say_close()
                self._on_over(self)
            case _ if kind == MSG_CHANNEL_REQUEST:
                packet.get_string()
                if packet.get_boolean():
                    self._say(MSG_CHANNEL_FAILURE)
                return True  # what else is in it depends on what is asked for
            case _:
                raise ProtocolError(f"packet {kind} for a channel that only carries data")
        packet.check_end()
        self._changed.unpark_all()
        return True

    def process_connection_close(self, _error: Exception | None) -> None:
        """Asyncssh says that the connection is over."""
        self.breaks(self._connection.lost or "the connection is over")

    def log_received_packet(self, *_: object) -> None:
        """Asyncssh would have it logged."""

    # Inside

    def _take(self, data: bytes) -> None:
        if self._has_ended:
            raise ProtocolError("data behind the end of a channel")
        if len(data) > self._granted:
            raise ProtocolError("more data than the window of a channel allows")
        self._granted -= len(data)
        if not self._closed:
            self._received += data

    def _grant(self) -> None:
        """Let the peer send more, if that is worth a packet."""
        more = self._window - self._granted - len(self._received)
        if more >= self._window // 2 and not (self._has_ended or self._said_close):
            self._granted += more
            self._say(MSG_CHANNEL_WINDOW_ADJUST, UInt32(more))

    def _say(self, kind: int, *parts: bytes) -> None:
        if self._theirs is not None and not self._said_close:
            self._connection.send(kind, UInt32(self._theirs), *parts)

    def _say_close(self) -> None:
        self._say(MSG_CHANNEL_CLOSE)
        self._said_close = self._theirs is not None

    def _check_sending(self, *, or_ended: bool = True) -> None:
        if self._closed or self._connection.closed or (or_ended and self._ended):
            raise trio.ClosedResourceError("the stream is closed for sending")
        if self._fault is not None:
            raise trio.BrokenResourceError(self._fault)


class Channels:
    """All channels of one connection."""

    def __init__(self, connection: Sending, most: int = STREAMS) -> None:
        self._connection = connection
        self.most = most
        self._open: dict[int, Channel] = {}
        self._arrived: deque[Channel] = deque()
        self._changed = trio.lowlevel.ParkingLot()

    async def open(self) -> Channel:
        """See `MuxLink.open`. The peer's answer is not waited for."""
        await trio.lowlevel.checkpoint()
        self._check()
        while len(self._open) >= self.most:
            await self._changed.park()
            self._check()
        channel = self._new(WINDOW)
        channel.request()
        return channel

    async def accept(self) -> Channel:
        """See `MuxLink.accept`."""
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            self._check()
            await self._changed.park()
        if self._connection.closed:
            self._check()
        channel = self._arrived.popleft()
        channel.accepted()
        return channel

    def breaks(self, why: str) -> None:
        """The connection is over."""
        for channel in [*self._open.values()]:
            channel.breaks(why)
        self._open.clear()
        self._changed.unpark_all()

    def process_open(self, packet: SSHPacket) -> None:
        """The peer asks for a channel."""
        kind, theirs, credit, largest = packet.get_string(), packet.get_uint32(), packet.get_uint32(), packet.get_uint32()
        if kind != _TYPE:
            self._refuse(theirs, OPEN_UNKNOWN_CHANNEL_TYPE, "there are only streams here: no shell, no commands, nothing is forwarded")
            return
        host, _, _, _ = packet.get_string(), packet.get_uint32(), packet.get_string(), packet.get_uint32()
        packet.check_end()
        if host != HOST:
            self._refuse(theirs, OPEN_ADMINISTRATIVELY_PROHIBITED, "nothing is forwarded: the host is devp2p, its port any")
        elif max(len(self._open), len(self._arrived)) >= self.most:
            self._refuse(theirs, OPEN_RESOURCE_SHORTAGE, f"no more than {self.most} streams")
        elif largest < LEAST_PACKET:
            self._refuse(theirs, OPEN_RESOURCE_SHORTAGE, f"packets of less than {LEAST_PACKET} bytes")
        else:
            channel = self._new(FIRST_WINDOW)
            channel.open(theirs, credit, largest)
            channel.confirm()
            self._arrived.append(channel)
            self._changed.unpark_all()

    def process_answer(self, kind: int, packet: SSHPacket) -> None:
        """The peer answers a request of ours."""
        channel = self._open.get(packet.get_uint32())
        if channel is None or not channel.is_requested:
            raise ProtocolError("an answer for a channel that was not asked for")
        if kind == MSG_CHANNEL_OPEN_FAILURE:
            self._over(channel)
            channel.breaks("the peer refuses another stream")
            return
        theirs, credit, largest = packet.get_uint32(), packet.get_uint32(), packet.get_uint32()
        packet.check_end()
        if largest < LEAST_PACKET:
            raise ProtocolError(f"a channel for packets of less than {LEAST_PACKET} bytes")
        channel.open(theirs, credit, largest)

    def _new(self, window: int) -> Channel:
        channel = Channel(self._connection, window, self._over)
        self._open[channel.number] = channel
        return channel

    def _over(self, channel: Channel) -> None:
        if self._open.pop(channel.number, None) is not None:
            self._connection.forget(channel.number)
            self._changed.unpark_all()

    def _refuse(self, theirs: int, code: int, reason: str) -> None:
        self._connection.send(MSG_CHANNEL_OPEN_FAILURE, UInt32(theirs), UInt32(code), String(reason), String("en"))

    def _check(self) -> None:
        if self._connection.closed:
            raise trio.ClosedResourceError("this end of the link is closed")
        if self._connection.lost is not None:
            raise trio.BrokenResourceError(self._connection.lost)
