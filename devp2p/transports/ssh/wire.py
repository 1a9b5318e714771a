"""The bytes of one SSH connection: between a stream of trio's, and asyncssh.

Theory of operation. asyncssh gets what was received by a plain call, and writes into a buffer: no socket is in its hands, so a connection
may come through a proxy, and nothing is read for it that it cannot take yet. Two tasks move the bytes; they have a loop of asyncio around
them (`loop`), and end with the connection. What waits to be sent is bounded: data waits for room in its channel's `send_all`, and when a
peer does not take what asyncssh answers, nothing more is read from it.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final, Protocol

import asyncssh
import trio
from trio.abc import HalfCloseableStream

from devp2p.errors import HandshakeError
from devp2p.keys import PublicKey
from devp2p.transports.ssh.channels import Channel, Channels
from devp2p.transports.ssh.loop import start

LOGIN: Final = 30.0
"""Seconds for a handshake, and for each exchange of keys after it."""
UNPROVED: Final = 64 * 1024
"""Bytes that a peer may send before it has proved itself."""
REPLIES: Final = 2 * 1024 * 1024
"""Bytes that may wait to be sent before nothing more is read. Data alone cannot be so much, or two sides could wait for each other."""

_ROOM: Final = 128 * 1024  # bytes that wait to be sent before data has to wait
_CHUNK: Final = 64 * 1024
_PIECE: Final = 8 * 1024  # of it, that asyncssh gets at once, so that other tasks have their turn
_LAST_WORDS: Final = 1.0  # seconds for what is still to be sent when asyncssh ends the connection
_SHOWN: Final = 120  # characters of what a peer gives as its reason


class Machine(Protocol):
    """A connection of asyncssh's, as far as it is used here; see `connection`."""

    proved: PublicKey | None
    """The node key that the peer has proved."""
    exchanges: bool
    """Whether keys are being exchanged."""
    is_busy: bool
    """Whether it must not get more yet."""

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401  (asyncio has classes for what we only resemble)
        """Begin."""

    def data_received(self, data: bytes) -> None:
        """Take what came."""

    def connection_lost(self, exc: Exception | None = None) -> None:
        """There is no connection any more."""

    def add_channel(self, chan: Any) -> int:  # noqa: ANN401  (as above)
        """Give a channel its number."""
        ...

    def remove_channel(self, recv_chan: int) -> None:
        """Take it back."""

    def send_packet(self, pkttype: int, *args: bytes) -> None:
        """Send a packet."""


class Wire:
    """Between a stream of trio's and a connection of asyncssh's, whose transport it is."""

    def __init__(self, stream: HalfCloseableStream, make: Callable[[asyncio.AbstractEventLoop, "Wire"], "Machine"]) -> None:
        self.closed: bool = False
        self.lost: str | None = None
        self.channels: Channels = Channels(self)
        self.changed: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        self.patience: trio.CancelScope = trio.CancelScope(deadline=trio.current_time() + LOGIN)
        """What moves the bytes; its deadline is that of an exchange of keys."""
        self.is_up: bool = False
        """Whether both sides have proved what they are."""
        self.received: int = 0
        """Bytes."""
        self._stream = stream
        self._make = make
        self._ours: Machine | None = None
        self._fault: Exception | None = None
        self._out = bytearray()
        self._queued = self._written = 0
        self._is_ending = False  # as asyncssh wants it
        self._is_done = False  # nothing more is sent
        self._over = trio.Event()

    @property
    def peer(self) -> PublicKey | None:
        """The node that has proved itself, if it is one."""
        return None if self._ours is None else self._ours.proved

    @property
    def moved(self) -> int:
        """Bytes in both directions."""
        return self.received + self._written

    async def start(self) -> None:
        """Begin, and wait until both sides have proved themselves.

        HandshakeError for a peer that breaks the rules or cannot prove itself, trio.BrokenResourceError for one that is gone.
        """
        try:
            await start(self._drive)
            while not self.is_up:
                if self._fault is not None:
                    raise self._fault
                if self.closed:
                    raise trio.ClosedResourceError("the link is closed")
                if self.lost is not None:
                    raise trio.BrokenResourceError(self.lost)
                await self.changed.park()
        except BaseException as error:
            try:
                if isinstance(error, HandshakeError):
                    await self._wait_told()
            finally:
                with trio.CancelScope(shield=True):
                    await self.aclose()
            raise

    async def _wait_told(self) -> None:
        """Let the peer know why, if it takes it."""
        with trio.move_on_after(_LAST_WORDS):
            while self._written < self._queued and not self._is_done:
                await self.changed.park()

    async def aclose(self) -> None:
        """Close the connection and all its channels at once."""
        self.closed = True
        self._lose("the link is closed")
        self.patience.cancel()
        await trio.aclose_forcefully(self._stream)

    # For channels

    @property
    def has_room(self) -> bool:
        """See `channels.Sending`."""
        return len(self._out) < _ROOM and not (self._ours is not None and self._ours.exchanges)

    def number(self, channel: Channel) -> int:
        """See `channels.Sending`."""
        assert self._ours is not None  # noqa: S101  (channels come later)
        return self._ours.add_channel(channel)

    def forget(self, number: int) -> None:
        """See `channels.Sending`."""
        assert self._ours is not None  # noqa: S101  (as above)
        self._ours.remove_channel(number)

    def send(self, kind: int, *parts: bytes) -> None:
        """See `channels.Sending`."""
        if self._ours is not None and self.lost is None:
            try:
                self._ours.send_packet(kind, *parts)
            except asyncssh.DisconnectError as error:  # of our own bounds, in the task of whoever uses a channel
                self._lose(f"SSH: {_shown(error.reason)}")

    async def wait_room(self) -> None:
        """See `channels.Sending`."""
        while not self.has_room and self.lost is None:
            await self.changed.park()

    async def wait_sent(self) -> None:
        """See `channels.Sending`."""
        while self._ours is not None and self._ours.exchanges and self.lost is None:
            await self.changed.park()  # what was sent last may be waiting for new keys
        mark = self._queued
        while self._written < mark and self.lost is None:
            await self.changed.park()

    # For asyncssh, which takes this for a transport of asyncio's

    def write(self, data: bytes) -> None:
        """Send, as soon as there is time."""
        self._out += data
        self._queued += len(data)
        self.changed.unpark_all()

    def abort(self) -> None:
        """Asyncssh has ended the connection; what it said last is still sent, if the peer takes it."""
        self._is_ending = True
        self._hurry()
        self.changed.unpark_all()

    close = abort

    def is_closing(self) -> bool:
        """Whether it is over."""
        return self._is_ending or self.lost is not None

    def get_extra_info(self, _name: str, default: Any = None) -> Any:  # noqa: ANN401  (asyncio's)
        """There is no socket to show."""
        return default

    # What asyncssh says

    def came_up(self) -> None:
        """Both sides have proved themselves."""
        self.is_up = True
        self.relax()
        self.changed.unpark_all()

    def ended(self, error: Exception | None) -> None:
        """Asyncssh is done with the connection."""
        if isinstance(error, asyncssh.DisconnectError) and not isinstance(error, asyncssh.ConnectionLost):
            self._fault = self._fault or HandshakeError(f"SSH: {_shown(error.reason)}")
        elif error is not None and not isinstance(error, asyncssh.ConnectionLost | OSError):
            self._fault = self._fault or HandshakeError(f"SSH: bytes that make no sense ({type(error).__name__})")
        self._lose(str(self._fault or "the peer has ended the connection"))
        self._over.set()

    # Moving bytes

    async def _drive(self, loop: asyncio.AbstractEventLoop) -> None:
        """All that happens in the connection, until it is over."""
        try:
            with self.patience:
                if self.closed:
                    return
                self._ours = self._make(loop, self)
                self._ours.connection_made(self)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    await self._write()
                    nursery.cancel_scope.cancel()
            if self.patience.cancelled_caught and self.lost is None:
                self._fault = HandshakeError(f"SSH: no proof, or no new keys, within {LOGIN:g} s")
                self._lose(str(self._fault))
        finally:
            self._lose("the connection is over")
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
                if self._ours is not None:
                    self._ours.connection_lost(None)
                    with trio.move_on_after(_LAST_WORDS):
                        await self._over.wait()

    async def _read(self) -> None:
        try:
            while data := await self._stream.receive_some(_CHUNK if self.is_up else _PIECE):
                for begin in range(0, len(data), _PIECE):
                    if not await self._feed(data[begin : begin + _PIECE]):
                        return
            why = "the peer hung up"
        except trio.BrokenResourceError as error:
            why = f"the connection broke: {error}"
        except trio.ClosedResourceError:
            why = "the link is closed"
        self._lose(why)

    async def _feed(self, data: bytes | bytearray) -> bool:
        """Give asyncssh what came, as soon as it can take more; whether it goes on."""
        assert self._ours is not None  # noqa: S101  (`_drive` has made it)
        while self.lost is None and not self._is_ending and (self._ours.is_busy or len(self._out) > REPLIES):
            await self.changed.park()
        if self.lost is not None or self._is_ending:
            return False
        self.received += len(data)
        if not self.is_up and self.received > UNPROVED:
            self._fault = HandshakeError(f"SSH: more than {UNPROVED} bytes without a proof")
            self._lose(str(self._fault))
            return False
        self._ours.data_received(bytes(data))
        await trio.lowlevel.checkpoint()
        return True

    async def _write(self) -> None:
        try:
            while not self.closed:
                if self._out:
                    data, self._out = self._out, bytearray()
                    await self._stream.send_all(data)
                    self._written += len(data)
                    self.changed.unpark_all()
                elif self._is_ending or self.lost is not None:
                    return
                else:
                    await self.changed.park()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(f"the connection broke: {error}")
        finally:
            self._is_done = True
            self.changed.unpark_all()

    def _lose(self, why: str) -> None:
        if self.lost is None:
            self.lost = why
            self._hurry()
            self.channels.breaks(why)
            self.changed.unpark_all()

    def relax(self) -> None:
        """Nothing has to be done by a certain time any more."""
        if self.lost is None:
            self.patience.deadline = math.inf

    def _hurry(self) -> None:
        self.patience.deadline = min(self.patience.deadline, trio.current_time() + _LAST_WORDS)


def _shown(reason: str) -> str:
    """What a peer gives as its reason, without what could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in reason[:_SHOWN])
