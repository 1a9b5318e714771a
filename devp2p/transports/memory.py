"""Links inside one process: ``memory://name``. Bounded like a socket, without one; for tests, simulations and examples."""

import itertools
import operator

import trio

from devp2p.keys import PublicKey
from devp2p.records import Address
from devp2p.transports.links import OnLink, StreamLink

_CAPACITY = 64 * 1024  # bytes that wait in one direction before send_all blocks, about what a loopback socket takes


class _Pipe:
    """One direction of a stream: bytes that wait, and who waits for them."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.data: bytearray = bytearray()
        self.ended: bool = False
        self.broken: bool = False
        self.changed: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            if self.broken:
                raise trio.BrokenResourceError("the other end is closed")
            if self.ended:
                raise trio.ClosedResourceError("this end is closed for sending")
            room = self.capacity - len(self.data)
            if room > 0:
                self.data += view[:room]
                view = view[room:]
                self.changed.unpark_all()
            else:
                await self.changed.park()

    async def receive(self, max_bytes: int) -> bytes:
        while not self.data and not self.ended:
            if self.broken:
                raise trio.ClosedResourceError("this end is closed")
            await self.changed.park()
        taken = bytes(self.data[:max_bytes])
        del self.data[:max_bytes]
        self.changed.unpark_all()
        return taken

    def end(self) -> None:
        self.ended = True
        self.changed.unpark_all()

    def break_(self) -> None:
        self.broken = True
        self.data.clear()
        self.changed.unpark_all()


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of an in-memory byte stream."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._closed = False
        self._receiving = False
        self._sending = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, waiting while the peer's buffer is full."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending")
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            if self._outgoing.broken:
                raise trio.BrokenResourceError("the other end is closed")
            await self._outgoing.send(data)
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending")
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            while len(self._outgoing.data) >= self._outgoing.capacity and not (self._outgoing.broken or self._outgoing.ended):
                await self._outgoing.changed.park()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
        finally:
            self._sending = False

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending")
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError("the stream is closed")
        self._outgoing.end()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what is there, at least one byte; b"" when the peer has ended."""
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving")
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        self._receiving = True
        try:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            return await self._incoming.receive(max_bytes or _CAPACITY)
        finally:
            self._receiving = False

    async def aclose(self) -> None:
        """Close both directions."""
        if not self._closed:
            self._closed = True
            self._outgoing.end()
            self._incoming.break_()
        await trio.lowlevel.checkpoint()


def memory_stream_pair(capacity: int = _CAPACITY) -> tuple[MemoryStream, MemoryStream]:
    """Two connected streams; each direction holds at most `capacity` bytes."""
    one, other = _Pipe(capacity), _Pipe(capacity)
    return MemoryStream(one, other), MemoryStream(other, one)


class MemoryTransport:
    """A network of its own: nodes that share one instance reach one another by ``memory://name``."""

    schemes: frozenset[str] = frozenset({"memory"})

    def __init__(self) -> None:
        self._listeners: dict[str, trio.MemorySendChannel[StreamLink]] = {}
        self._dialled = itertools.count(1)

    async def dial(self, address: Address, *, expect: PublicKey | None) -> StreamLink:  # noqa: ARG002  (memory proves nobody)
        """Connect to the node that listens at a name; ConnectionRefusedError if none does."""
        await trio.lowlevel.checkpoint()
        listener = self._listeners.get(address.host)
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        ours, theirs = memory_stream_pair()
        local = Address("memory", f"dialler-{next(self._dialled)}")
        listener.send_nowait(StreamLink(theirs, local=address, remote=local, initiator=False))
        return StreamLink(ours, local=local, remote=address, initiator=True)

    async def serve(
        self, address: Address, on_link: OnLink, *, task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen at a name until cancelled; OSError if the name is taken."""
        if address.host in self._listeners:
            raise OSError(f"somebody listens at {address} already")
        accepted: trio.MemoryReceiveChannel[StreamLink]
        self._listeners[address.host], accepted = trio.open_memory_channel[StreamLink](float("inf"))
        try:
            task_status.started((address,))
            async for link in accepted:
                await on_link(link)
        finally:
            del self._listeners[address.host]
            with trio.CancelScope(shield=True):
                while accepted.statistics().current_buffer_used:  # nobody will accept them
                    await accepted.receive_nowait().aclose()
