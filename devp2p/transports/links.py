"""What carries sessions: a `Transport` dials and listens, a `Link` is one connection to one peer.

There are links of three kinds. A `StreamLink` is one byte stream; with ``peer`` None it proves nobody, and the session encrypts it by
RLPx, else its transport has proved the peer. A `MuxLink` has streams of its own, independent of each other, and has always proved the
peer. The session layer acts on what a link says of itself, never on what transport it came from.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, runtime_checkable

import trio
from trio.abc import HalfCloseableStream

from devp2p.addresses import Address
from devp2p.errors import PeerMismatch
from devp2p.keys import PublicKey

DIRECT: Final = "direct"
"""The path of a link with nothing on the way, see `LinkFacts.path`."""


class _Ends(Protocol):
    """What links of all kinds say of their two ends."""

    @property
    def local(self) -> Address:
        """Our own end."""
        ...

    @property
    def remote(self) -> Address:
        """The peer's, as observed from here."""
        ...

    @property
    def initiator(self) -> bool:
        """Whether this side plays the initiator of handshakes: a role, not necessarily who dialled."""
        ...

    async def aclose(self) -> None:
        """Close the link and all its streams at once, without waiting for the peer."""


@runtime_checkable
class StreamLink(_Ends, Protocol):
    """A link that is one byte stream. `ByteLink` is one ready made."""

    @property
    def peer(self) -> PublicKey | None:
        """The peer's key where the transport has proved it, so that nobody but this peer can read and write here; else None."""
        ...

    @property
    def stream(self) -> HalfCloseableStream:
        """The stream; whoever uses the link uses it alone."""
        ...


@runtime_checkable
class MuxLink(_Ends, Protocol):
    """A link with streams of its own: what waits in one does not delay the others. Its transport has proved the peer.

    When the peer closes the link, or loses it, its streams end or raise trio.BrokenResourceError.
    """

    @property
    def peer(self) -> PublicKey:
        """The peer's key, proved, so that nobody but this peer can read and write here."""
        ...

    async def open(self) -> HalfCloseableStream:
        """Open a stream, waiting while there are as many as the link allows.

        The peer accepts streams in the order in which we opened them; it may learn of one only when something is sent on it. Raises
        trio.BrokenResourceError if the peer is gone, trio.ClosedResourceError if we closed the link.
        """
        ...

    async def accept(self) -> HalfCloseableStream:
        """Wait for the next stream that the peer opens. Raises as `open` does, once all that were opened have been accepted."""
        ...


Link: TypeAlias = StreamLink | MuxLink
"""A connection to one peer; ``isinstance(link, MuxLink)`` tells of which kind."""


@runtime_checkable
class Incoming(Protocol):
    """An accepted connection that is no link yet, since its transport has a handshake of its own to do first.

    It is handed on before anything was read or computed, so that who takes it says how many may be at it, and for how long. One over
    datagrams whose peer need not be where it says, until the handshake is done, has an attribute ``shown`` that is False; see `is_shown`.
    """

    @property
    def local(self) -> Address:
        """Our own end."""
        ...

    @property
    def remote(self) -> Address:
        """The peer's, as observed from here."""
        ...

    async def hear(self) -> bool:
        """Wait until the peer has begun. Whether its handshake costs more than a link that proves nobody: computations on a curve.

        Raises as `upgrade`. Cancelled, it may be called again.
        """
        ...

    async def upgrade(self) -> Link:
        """Do the handshake, once, after `hear`.

        Raises HandshakeError for a peer that breaks its rules, trio.BrokenResourceError for one that is gone.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection at once, and the link that it has become."""


Arrival: TypeAlias = StreamLink | MuxLink | Incoming
"""What a listener hands on."""

OnLink = Callable[[Arrival], Awaitable[None]]
"""Takes ownership of what was accepted. A transport awaits it before it accepts the next one, so it must return soon, and may hold up
accepting by not returning."""


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What carries a session: the transport, what it does by itself, and the way it takes."""

    transport: str
    """The scheme of its addresses: ``tcp``, ``quic``."""
    native_auth: bool
    """Whether the transport has proved the peer, so that there was no RLPx handshake."""
    native_mux: bool
    """Whether each capability has a stream of the transport's own."""
    local: Address
    remote: Address
    """The peer's address as observed; of a relayed link, the relay with the peer behind it."""
    path: str
    """``direct``, or what is on the way: ``proxy socks5://127.0.0.1:9050``, ``relay enode://...``."""


def facts_of(link: Link) -> LinkFacts:
    """What a link is. One that has an attribute ``path`` says by it what is on its way."""
    path = getattr(link, "path", DIRECT)
    return LinkFacts(link.remote.scheme, link.peer is not None, isinstance(link, MuxLink), link.local, link.remote, str(path))


def is_shown(arrival: Arrival) -> bool:
    """Whether the peer is where it says, and has not merely written that address on a datagram."""
    return bool(getattr(arrival, "shown", True))


def scheme_of(arrival: Arrival) -> str | None:
    """The scheme of what was accepted; None if it is at a port that several share, and its first bytes have to say it (``undecided``)."""
    return None if getattr(arrival, "undecided", False) else arrival.remote.scheme


class Listener(Protocol):
    """Where a transport listens. Links that come before `serve` is called wait for it."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where that is, as the peer can dial it; a wildcard stays one."""
        ...

    async def serve(self, on_link: OnLink) -> None:
        """Hand on the links that come, until cancelled; then listening is over."""

    async def aclose(self) -> None:
        """Stop listening at once, cancelled or not; harmless if that is over already."""


class Transport(Protocol):
    """A way to reach nodes. Implement it to carry sessions over something new."""

    schemes: frozenset[str]
    """The address schemes it understands."""

    async def dial(self, address: Address, *, expect: PublicKey | None) -> Link:
        """Connect to `address`, where the node with the key `expect` should be; None if any node will do.

        Raises OSError if nobody answers, and, if the links of this transport prove the peer, PeerMismatch for another than `expect`
        (`require_peer` does so).
        """
        ...

    async def bind(self, address: Address) -> Listener:
        """Begin to listen at `address`; port 0 is any free one. Raises OSError if that is impossible."""
        ...


@runtime_checkable
class SendsBare(Protocol):
    """A `Transport` over datagrams, which can send one that is of no connection."""

    async def send_bare(self, data: bytes, to: Address) -> None:
        """Send it from the socket from which `to` would be dialled. OSError if there is no way."""


def require_peer(proved: PublicKey, expect: PublicKey | None, address: Address) -> None:
    """Raise PeerMismatch if another node than the expected one has proved itself at an address; None expects any."""
    if expect is not None and proved != expect:
        raise PeerMismatch(f"at {address} is the node with the key {bytes(proved).hex()}, not {bytes(expect).hex()}")


@contextmanager
def naming(address: Address) -> Generator[None]:
    """Let an OSError say which address could not be listened at: it is the ``filename``, and so in the message."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(address)
        raise


class ByteLink:
    """A link made of one byte stream: of TCP, a Unix socket, a pipe; with `peer` of a transport that has proved it, as TLS does."""

    def __init__(  # noqa: PLR0913  (what every link says of itself)
        self,
        stream: HalfCloseableStream,
        *,
        local: Address,
        remote: Address,
        initiator: bool,
        peer: PublicKey | None = None,
        path: str = DIRECT,
    ) -> None:
        self.stream = stream
        self.local = local
        self.remote = remote
        self.initiator = initiator
        self.peer = peer
        self.path = path
        """See `LinkFacts.path`."""

    async def aclose(self) -> None:
        """Close the stream without waiting for the peer."""
        await trio.aclose_forcefully(self.stream)
