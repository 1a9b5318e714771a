"""Links inside one process: ``memory://name``. Bounded like a socket, without one; for tests, simulations and examples.

Links of all three kinds: a byte stream, one with proof of the peer, and independent streams with proof. What proves the peer here is
that each node says its own key, and that nobody else is in the process.
"""

import itertools
import operator
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

import trio

from devp2p.addresses import Address
from devp2p.keys import PublicKey
from devp2p.transports.alone import Alone
from devp2p.transports.links import ByteLink, Link, require_peer

_CAPACITY = 64 * 1024  # bytes that wait in one direction before send_all blocks, about what a loopback socket takes
_STREAMS = 100  # open streams of one link that one side may have opened, as many as QUIC's libraries allow by default


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
        self._receiving = Alone("receiving")
        self._sending = Alone("sending")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, waiting while the peer's buffer is full."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            if self._outgoing.broken:
                raise trio.BrokenResourceError("the other end is closed")
            await self._outgoing.send(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            while len(self._outgoing.data) >= self._outgoing.capacity and not (self._outgoing.broken or self._outgoing.ended):
                await self._outgoing.changed.park()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            self._outgoing.end()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what is there, at least one byte; b"" when the peer has ended."""
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        with self._receiving:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            return await self._incoming.receive(max_bytes or _CAPACITY)

    async def aclose(self) -> None:
        """Close both directions."""
        self.close_now()
        await trio.lowlevel.checkpoint()

    def close_now(self) -> None:
        """Close both directions; what was sent can still be read."""
        if not self._closed:
            self._closed = True
            self._outgoing.end()
            self._incoming.break_()


def memory_stream_pair(capacity: int = _CAPACITY) -> tuple[MemoryStream, MemoryStream]:
    """Two connected streams; each direction holds at most `capacity` bytes."""
    one, other = _Pipe(capacity), _Pipe(capacity)
    return MemoryStream(one, other), MemoryStream(other, one)


class _MuxStream(MemoryStream):
    """One end of a stream of a `MemoryMuxLink`."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe, on_close: Callable[["_MuxStream"], None]) -> None:
        super().__init__(outgoing, incoming)
        self._on_close: Callable[[_MuxStream], None] | None = on_close  # it holds both ends

    def close_now(self) -> None:
        """Close both directions, and tell the link."""
        super().close_now()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close(self)


class _Side:
    """What one side of a link with streams of its own has."""

    def __init__(self) -> None:
        self.closed: bool = False
        self.arrived: deque[_MuxStream] = deque()
        """Streams that the other side has opened, and this one has not accepted yet."""
        self.streams: set[_MuxStream] = set()
        """Our ends of all streams."""
        self.opened: set[_Pipe] = set()
        """A pipe of each stream that we opened and that not both sides have closed."""
        self.changed: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()

    def close(self) -> None:
        self.closed = True
        self.arrived.clear()
        for stream in tuple(self.streams):
            stream.close_now()


class MemoryMuxLink:
    """One end of an in-memory link that has streams of its own and proves its peer; `memory_mux_pair` makes both ends."""

    def __init__(  # noqa: PLR0913  (the two sides, and what every link says of itself)
        self, own: _Side, other: _Side, *, local: Address, remote: Address, initiator: bool, peer: PublicKey, capacity: int
    ) -> None:
        self.local = local
        self.remote = remote
        self.initiator = initiator
        self.peer = peer
        self._own = own
        self._other = other
        self._capacity = capacity

    async def open(self) -> MemoryStream:
        """Open a stream, which the peer accepts at once; waits while 100 that we opened are not closed by both sides.

        Raises trio.BrokenResourceError if the peer has closed the link, trio.ClosedResourceError if we have.
        """
        await trio.lowlevel.checkpoint()
        self._check()
        while len(self._own.opened) >= _STREAMS:
            await self._own.changed.park()
            self._check()
        there, back = _Pipe(self._capacity), _Pipe(self._capacity)
        self._own.opened.add(there)

        def closed(stream: _MuxStream) -> None:
            for side in (self._own, self._other):
                side.streams.discard(stream)
            if ours not in self._own.streams and theirs not in self._other.streams:
                self._own.opened.discard(there)
                self._own.changed.unpark_all()

        ours, theirs = _MuxStream(there, back, closed), _MuxStream(back, there, closed)
        self._own.streams.add(ours)
        self._other.streams.add(theirs)
        self._other.arrived.append(theirs)
        self._other.changed.unpark_all()
        return ours

    async def accept(self) -> MemoryStream:
        """Wait for the next stream that the peer opens; raises as `open` does, but what the peer opened before it closed comes first."""
        await trio.lowlevel.checkpoint()
        while not self._own.arrived:
            self._check()
            await self._own.changed.park()
        return self._own.arrived.popleft()

    def _check(self) -> None:
        if self._own.closed:
            raise trio.ClosedResourceError("this end of the link is closed")
        if self._other.closed:
            raise trio.BrokenResourceError("the other end of the link is closed")

    async def aclose(self) -> None:
        """Close the link and all its streams; what was sent can still be read."""
        if not self._own.closed:
            self._own.close()
            self._own.changed.unpark_all()
            self._other.changed.unpark_all()
        await trio.lowlevel.checkpoint()


_ENDS = Address("memory", "initiator"), Address("memory", "recipient")


def memory_link_pair(
    keys: tuple[PublicKey, PublicKey] | None = None, *, ends: tuple[Address, Address] = _ENDS, capacity: int = _CAPACITY
) -> tuple[ByteLink, ByteLink]:
    """Both ends of a link that is one byte stream, the initiator's first; with the keys of both, in this order, they prove each other."""
    one, other = memory_stream_pair(capacity)
    first, second = keys or (None, None)
    return (
        ByteLink(one, local=ends[0], remote=ends[1], initiator=True, peer=second),
        ByteLink(other, local=ends[1], remote=ends[0], initiator=False, peer=first),
    )


def memory_mux_pair(
    keys: tuple[PublicKey, PublicKey], *, ends: tuple[Address, Address] = _ENDS, capacity: int = _CAPACITY
) -> tuple[MemoryMuxLink, MemoryMuxLink]:
    """Both ends of a link with streams of its own, the initiator's first, which prove each other's keys.

    Each direction of each stream holds at most `capacity` bytes.
    """
    one, other = _Side(), _Side()
    return (
        MemoryMuxLink(one, other, local=ends[0], remote=ends[1], initiator=True, peer=keys[1], capacity=capacity),
        MemoryMuxLink(other, one, local=ends[1], remote=ends[0], initiator=False, peer=keys[0], capacity=capacity),
    )


LinkT = TypeVar("LinkT", bound=Link)


class _Names(Generic[LinkT]):
    """Who listens where in one network, and how many have dialled."""

    def __init__(self) -> None:
        self.listeners: dict[str, tuple[PublicKey | None, trio.MemorySendChannel[LinkT]]] = {}
        self.dialled: itertools.count[int] = itertools.count(1)


class _Network(Generic[LinkT]):
    """A transport between the nodes that share its names."""

    schemes: frozenset[str] = frozenset({"memory"})

    def __init__(self, beside: "_Network[LinkT] | None", key: PublicKey | None) -> None:
        self._key = key
        self._names: _Names[LinkT] = _Names() if beside is None else beside._names  # noqa: SLF001  (one of our own kind)

    @abstractmethod
    def _connect(self, ends: tuple[Address, Address], keys: tuple[PublicKey, PublicKey] | None) -> tuple[LinkT, LinkT]:
        """Both ends of a new link, ours first; the keys are of both, if they prove them."""

    async def dial(self, address: Address, *, expect: PublicKey | None) -> LinkT:
        """Connect to the node that listens at a name.

        ConnectionRefusedError if none does, or if only one of the two has a key to prove; PeerMismatch if it proves another key than
        the expected one.
        """
        await trio.lowlevel.checkpoint()
        if address.host not in self._names.listeners:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        key, listener = self._names.listeners[address.host]
        if (key is None) != (self._key is None):
            raise ConnectionRefusedError(f"{'this node' if key is None else f'the node at {address}'} wants links that prove the peer")
        if key is not None:
            require_peer(key, expect, address)
        keys = None if self._key is None or key is None else (self._key, key)
        ours, theirs = self._connect((Address("memory", f"dialler-{next(self._names.dialled)}"), address), keys)
        listener.send_nowait(theirs)
        return ours

    async def bind(self, address: Address) -> "MemoryListener[LinkT]":
        """Listen at a name; OSError if the name is taken."""
        await trio.lowlevel.checkpoint()
        listeners = self._names.listeners
        if address.host in listeners:
            raise OSError(f"somebody listens at {address} already")
        sender, accepted = trio.open_memory_channel[LinkT](float("inf"))
        listeners[address.host] = self._key, sender
        return MemoryListener(address, accepted, partial(listeners.pop, address.host))


class MemoryListener(Generic[LinkT]):
    """A name at which a node listens."""

    def __init__(self, address: Address, accepted: trio.MemoryReceiveChannel[LinkT], on_close: Callable[[], object]) -> None:
        self.addresses: tuple[Address, ...] = (address,)
        self._accepted = accepted
        self._on_close: Callable[[], object] | None = on_close

    async def serve(self, on_link: Callable[[LinkT], Awaitable[None]]) -> None:
        """Hand on the links that come, until cancelled."""
        try:
            async for link in self._accepted:
                await on_link(link)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Give the name back, and close the links that nobody will accept."""
        if self._on_close is not None:
            self._on_close()
            self._on_close = None
        with trio.CancelScope(shield=True):
            while self._accepted.statistics().current_buffer_used:
                await self._accepted.receive_nowait().aclose()


class MemoryTransport(_Network[ByteLink]):
    """A network of its own: nodes that share one instance reach one another by ``memory://name``.

    With a `key`, links prove this key to the peer, and the peer's to us. Each node then has an instance of its own, and names one of
    the others that it is to be `beside`.
    """

    def __init__(self, beside: "MemoryTransport | None" = None, *, key: PublicKey | None = None) -> None:
        super().__init__(beside, key)

    def _connect(self, ends: tuple[Address, Address], keys: tuple[PublicKey, PublicKey] | None) -> tuple[ByteLink, ByteLink]:
        return memory_link_pair(keys, ends=ends)


class MemoryMuxTransport(_Network[MemoryMuxLink]):
    """A network as `MemoryTransport`, with links that prove the peer and have streams of their own."""

    def __init__(self, beside: "MemoryMuxTransport | None" = None, *, key: PublicKey) -> None:
        super().__init__(beside, key)

    def _connect(self, ends: tuple[Address, Address], keys: tuple[PublicKey, PublicKey] | None) -> tuple[MemoryMuxLink, MemoryMuxLink]:
        assert keys is not None  # noqa: S101  (nobody is in this network without)
        return memory_mux_pair(keys, ends=ends)
