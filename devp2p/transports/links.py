"""What carries sessions: a `Transport` dials and listens, a `Link` is one connection to one peer.

The session layer acts on what a link says of itself, never on what transport it came from. Every transport so far is a plain byte
stream, which gets RLPx encryption. `Traits`, `Link.peer` and datagrams are reserved for transports that prove the peer themselves or have
streams of their own; a link that claims one of them gets the same treatment until then.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import trio
from trio.abc import HalfCloseableStream

from devp2p.errors import LocalProtocolError
from devp2p.keys import PublicKey
from devp2p.records import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Facts about a kind of link."""

    native_auth: bool = False
    """The transport has proved ``link.peer``; no ECIES handshake is needed."""
    native_mux: bool = False
    """``open_stream`` and ``accept_stream`` make independent streams."""
    encrypted: bool = False
    datagrams: bool = False


class Link(Protocol):
    """One connection to one peer, ready to carry bytes."""

    traits: Traits
    local: Address
    remote: Address
    """As observed from here."""
    initiator: bool
    """Whether this side plays the handshake's initiator: a role, not necessarily who dialled."""
    peer: PublicKey | None
    """The peer's key where the transport has proved it, else None."""

    async def open_stream(self) -> HalfCloseableStream:
        """Open a stream; a link without native streams has one, which either side opens exactly once."""
        ...

    async def accept_stream(self) -> HalfCloseableStream:
        """Wait for the peer's next stream; see `open_stream` for links without native streams."""
        ...

    async def send_datagram(self, data: bytes) -> None:
        """Send an unordered, unreliable datagram; LocalProtocolError where ``traits.datagrams`` is False."""

    async def aclose(self) -> None:
        """Close the link and all its streams at once."""


OnLink = Callable[[Link], Awaitable[None]]
"""Takes ownership of an accepted link. A transport awaits it before it accepts the next one, so it must return soon, and may hold up
accepting by not returning."""


class Transport(Protocol):
    """A way to reach nodes. Implement it to carry sessions over something new."""

    schemes: frozenset[str]
    """The address schemes it understands."""

    async def dial(self, address: Address, *, expect: PublicKey | None) -> Link:
        """Connect to `address`, where the node with the key `expect` should be. Raises OSError if nobody answers."""
        ...

    async def serve(
        self, address: Address, on_link: OnLink, *, task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen at `address` until cancelled, reporting the bound addresses once it does. Raises OSError if it cannot."""


@contextmanager
def naming(address: Address) -> Generator[None]:
    """Let an OSError say which address could not be listened at: it is the ``filename``, and so in the message."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(address)
        raise


class StreamLink:
    """A link that is one plain byte stream: TCP, a Unix socket, a pipe."""

    traits: Traits = Traits()
    peer: PublicKey | None = None

    def __init__(self, stream: HalfCloseableStream, *, local: Address, remote: Address, initiator: bool) -> None:
        self.local = local
        self.remote = remote
        self.initiator = initiator
        self._stream = stream
        self._taken = False

    async def open_stream(self) -> HalfCloseableStream:
        """Take the stream; LocalProtocolError the second time."""
        await trio.lowlevel.checkpoint()
        if self._taken:
            raise LocalProtocolError(f"the link to {self.remote} has a single stream, which is in use")
        self._taken = True
        return self._stream

    accept_stream = open_stream

    async def send_datagram(self, data: bytes) -> None:
        """Raises LocalProtocolError: a byte stream has no datagrams."""
        await trio.lowlevel.checkpoint()
        raise LocalProtocolError(f"the link to {self.remote} carries no datagrams, so {len(data)} bytes were not sent")

    async def aclose(self) -> None:
        """Close the stream without waiting for the peer."""
        await trio.aclose_forcefully(self._stream)
