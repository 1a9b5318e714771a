"""A connection that a stranger began, before anything was computed for it."""

from typing import Final, Protocol

import trio

from devp2p.addresses import Address
from devp2p.transports.quic.conduit import SCHEME, Conduit, QuicLink
from devp2p.transports.quic.initial import Initial
from devp2p.transports.sockets import Name, address_in

QUEUED: Final = 8
"""Datagrams that are kept until somebody takes the connection up: a client's first flight has one to three."""
QUEUED_BYTES: Final = 12 * 1024


class Reception(Protocol):
    """The endpoint that it came to."""

    def respond(self, incoming: "QuicIncoming") -> Conduit:
        """Begin to shake hands."""
        ...

    def settled(self, incoming: "QuicIncoming", *, refused: bool) -> None:
        """It is a link now, or will be none."""


class QuicIncoming:
    """See `Incoming`: its peer has begun when it is handed on, and its handshake computes on a curve."""

    def __init__(self, reception: Reception, initial: Initial, name: Name, local: Address, *, original: bytes | None) -> None:
        """`original`: what the client first called the connection, if it has come again after a Retry."""
        self.initial: Initial = initial
        self.name: Name = name
        self.local: Address = local
        self.remote: Address = address_in(SCHEME, name)
        self.original: bytes = initial.destination if original is None else original
        self.retried: bytes | None = None if original is None else initial.destination
        self.conduit: Conduit | None = None
        """The connection, once it is taken up."""
        self.since: float = trio.current_time()
        self._reception = reception
        self._queued: list[bytes] = []
        self._size = 0
        self._link: QuicLink | None = None

    @property
    def key(self) -> tuple[bytes, Name]:
        """By what its datagrams are known before it has an id of ours."""
        return self.initial.destination, self.name

    @property
    def shown(self) -> bool:
        """Whether the client is where it says: it has sent back a token that it got there."""
        return self.retried is not None

    @property
    def has_begun(self) -> bool:
        """Whether it was taken up."""
        return self.conduit is not None

    def queue(self, data: bytes) -> None:
        """Keep one more datagram, if there is room."""
        if len(self._queued) < QUEUED and self._size + len(data) <= QUEUED_BYTES:
            self._queued.append(data)
            self._size += len(data)

    def take(self) -> list[bytes]:
        """What has come so far."""
        queued, self._queued = self._queued, []
        return queued

    async def hear(self) -> bool:
        """See `Incoming.hear`."""
        await trio.lowlevel.checkpoint()
        return True

    async def upgrade(self) -> QuicLink:
        """See `Incoming.upgrade`."""
        await trio.lowlevel.checkpoint()
        self.conduit = conduit = self._reception.respond(self)
        try:
            self._link = QuicLink(conduit, await conduit.wait_shaken())
        except BaseException:
            self.turn_away()
            raise
        self._reception.settled(self, refused=False)
        self.remote = conduit.remote
        return self._link

    async def aclose(self) -> None:
        """See `Incoming.aclose`."""
        self.turn_away()
        await trio.lowlevel.checkpoint()

    def turn_away(self) -> None:
        """The same without a checkpoint."""
        if self.conduit is not None:
            self.conduit.close()
        self._reception.settled(self, refused=True)
