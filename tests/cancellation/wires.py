"""A network in memory that sees what each node does with its streams, and can let the n-th operation of one of them fail.

What it reports as a violation: bytes written to a stream after a write that was cancelled or has failed. RLPx's cipher state has moved on
then, and half a frame may be out, so nothing may follow but the end.
"""

import errno
import itertools
from collections.abc import Callable

import trio
from trio.abc import HalfCloseableStream

from devp2p import Address, NodeRecord, PublicKey
from devp2p.transports.links import ByteLink, Listener
from devp2p.transports.memory import MemoryStream, MemoryTransport
from tests.network import Changed

SLOW = "slow"
"""A name at which it takes longer to connect than a race waits before it tries another address."""
KINDS = ("broken", "closed", "reset", "deaf")
"""How an operation fails. broken, closed: with these errors of trio's, and so do all after it. reset: as a socket's that was reset, a write
after half of its bytes. deaf: the other end takes nothing any more, but what it has sent can still be read."""


class Wires:
    """The streams of all nodes."""

    def __init__(self) -> None:
        self.hub = MemoryTransport()
        self.streams: list[WatchedStream] = []
        self.violations: list[str] = []
        self.operation: Callable[[str], str | None] = lambda _: None
        """Told of each operation by the name of its owner; answers how it is to fail, if at all."""
        self._numbers = itertools.count(1)

    @property
    def open_streams(self) -> list["WatchedStream"]:
        """Ends that nobody has closed."""
        return [stream for stream in self.streams if not stream.closed]

    @property
    def listeners(self) -> list[str]:
        """Names at which somebody listens."""
        return list(self.hub._names.listeners)

    async def dial(self, record: NodeRecord) -> ByteLink:
        """A link of nobody's, which is not watched; BrokenResourceError if nobody listens."""
        try:
            return await self.hub.dial(record.addresses[0], expect=record.public_key)
        except OSError as error:
            raise trio.BrokenResourceError from error

    def watch(self, link: ByteLink, owner: str) -> ByteLink:
        stream = WatchedStream(link.stream, owner, self)
        self.streams.append(stream)
        remote = Address("tcp", f"5.9.{next(self._numbers)}.7", 30303) if not link.initiator else link.remote
        return ByteLink(stream, local=link.local, remote=remote, initiator=link.initiator)


class Seat:
    """The transport of one node. Inbound links come from public addresses, so that the caps on networks count."""

    schemes: frozenset[str] = frozenset({"memory"})

    def __init__(self, wires: Wires, owner: str) -> None:
        self._wires = wires
        self._owner = owner

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        if self._wires.operation(self._owner) is not None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "injected")
        if address.host == SLOW:
            await trio.sleep(0.3)
        return self._wires.watch(await self._wires.hub.dial(address, expect=expect), self._owner)

    async def bind(self, address: Address) -> Listener:
        return Changed(await self._wires.hub.bind(address), lambda link: self._wires.watch(link, self._owner))


class WatchedStream(HalfCloseableStream):
    """One end of a link."""

    def __init__(self, inner: HalfCloseableStream, owner: str, wires: Wires) -> None:
        assert isinstance(inner, MemoryStream)
        self._inner = inner
        self._wires = wires
        self.owner = owner
        self.closed = False
        self._failed: str | None = None
        self._spoiled = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._spoiled and data:
            self._wires.violations.append(f"{self.owner} wrote {len(data)} bytes after a write that was cut off")
        try:
            if self._fails(sends=True):
                await self._fail(data)
            await self._inner.send_all(data)
        except BaseException:
            self._spoiled = True
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        if self._fails(sends=True):
            await self._fail()
        await self._inner.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._fails(sends=False):
            await self._fail()
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        self.closed = True
        await self._inner.aclose()

    def _fails(self, *, sends: bool) -> bool:
        kind = self._wires.operation(self.owner)
        if kind is not None and (kind != "deaf" or sends) and not self.closed:
            self._failed = kind
        return self._failed is not None and (self._failed != "deaf" or sends)

    async def _fail(self, data: bytes | bytearray | memoryview = b"") -> None:
        await trio.lowlevel.checkpoint()
        if self.closed:
            return
        if self._failed == "reset" and len(data) > 1:
            await self._inner.send_all(data[: len(data) // 2])
        self._inner._outgoing.end()
        if self._failed != "deaf":
            self._inner._incoming.break_()
        if self._failed == "closed":
            raise trio.ClosedResourceError("injected")
        raise trio.BrokenResourceError("injected") from ConnectionResetError(errno.ECONNRESET, "injected")
