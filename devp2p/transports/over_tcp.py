"""Transports that do a handshake of their own over TCP, and one TCP port that several of them share.

A transport of this kind derives from `OverTcp`, and writes the two sides of its handshake. It gets its connections from there, so a proxy,
a shared port and the limits on strangers are the same for all of them.

Theory of operation. Who connects speaks first, in all of these protocols and in RLPx; and the first byte says which it is: 0x16 TLS, ``S``
SSH, ``G`` an HTTP request, 0x00 to 0x08, 0x04 among them, an auth packet (its size, or in the old form its first point), 0xff the prelude
of dpx/1. It is looked at where it lies (MSG_PEEK), so the connection is handed on as it came.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import trio

from devp2p.addresses import Address
from devp2p.errors import HandshakeError
from devp2p.keys import PublicKey
from devp2p.transports.connecting import Connect, Connection, connect_tcp, connection_of
from devp2p.transports.links import Arrival, Link
from devp2p.transports.sockets import SocketListener, bound_addresses
from devp2p.transports.tcp import keep_busy, link_of, listening_sockets


class OverTcp(ABC):
    """A transport whose connections are TCP connections that begin with a handshake of its own."""

    schemes: frozenset[str]
    first_bytes: ClassVar[frozenset[int]]
    """What the first byte of a connection may be; no other transport has the same. One with schemes that differ writes `begins`."""
    computes: ClassVar[bool] = True
    """Whether the accepting side of the handshake computes on a curve; see `Incoming.hear`. As above, `costs`."""

    def __init__(self, connect: Connect = connect_tcp) -> None:
        """`connect`: how connections are made, such as by way of a proxy."""
        self.connect: Connect = connect
        """By which it dials."""

    def begins(self, scheme: str) -> frozenset[int]:
        """What the first byte of a connection for one of ``schemes`` may be. ValueError if we cannot listen for it, which says why."""
        del scheme
        return self.first_bytes

    def costs(self, scheme: str) -> bool:
        """Whether the accepting side of the handshake computes on a curve, for one of ``schemes``; see `Incoming.hear`."""
        del scheme
        return self.computes

    @abstractmethod
    async def initiate(self, connection: Connection, address: Address, expect: PublicKey | None) -> Link:
        """Do the handshake of a connection that we have dialled.

        Raises as `Transport.dial`, and HandshakeError for a peer that breaks the rules; the caller closes the connection then.
        """

    @abstractmethod
    async def respond(self, connection: Connection) -> Link:
        """Do the handshake of a connection that was accepted, for one of ``schemes``. Raises as `Incoming.upgrade`."""

    async def dial(self, address: Address, *, expect: PublicKey | None) -> Link:
        """See `Transport.dial`."""
        connection = await self.connect(address)
        keep_busy(connection.stream)
        try:
            return await self.initiate(connection, address, expect)
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(connection.stream)
            raise ConnectionResetError(f"the node hung up during the handshake of {address.scheme}: {error}") from None
        except BaseException:
            await trio.aclose_forcefully(connection.stream)
            raise

    async def bind(self, address: Address) -> SocketListener:
        """Listen at an address. Raises OSError if it cannot be bound."""
        return await listen_together([(address, self)])


class IncomingConnection:
    """An accepted TCP connection, whose first byte says what it is for."""

    def __init__(self, connection: Connection, kinds: Sequence[tuple[str, OverTcp | None]]) -> None:
        """`kinds`: the schemes that are listened for, with their transports; None stands for TCP itself."""
        self.local: Address = connection.local
        self.remote: Address = connection.remote
        self._connection = connection
        self._kinds = kinds
        self._kind: tuple[str, OverTcp | None] | None = None
        self._link: Link | None = None

    @property
    def undecided(self) -> bool:
        """See `links.scheme_of`."""
        return self._kind is None and len(self._kinds) > 1

    async def hear(self) -> bool:
        """See `Incoming.hear`."""
        first = await self._first_byte()
        for scheme, transport in self._kinds:
            if transport is not None and first in transport.begins(scheme):
                self._chosen(scheme, transport)
                return transport.costs(scheme)
        plain = next((scheme for scheme, transport in self._kinds if transport is None), None)
        if plain is None:
            wanted = " or ".join(scheme for scheme, _ in self._kinds)
            raise HandshakeError(f"a connection begins with the byte {first:#04x}, which is no beginning of {wanted}")
        self._chosen(plain, None)
        return False

    async def upgrade(self) -> Link:
        """See `Incoming.upgrade`."""
        assert self._kind is not None  # noqa: S101  (`hear` comes before)
        _, transport = self._kind
        if transport is None:
            self._link = link_of(self._connection, initiator=False)
        else:
            keep_busy(self._connection.stream)
            self._link = await transport.respond(self._connection)
        return self._link

    async def aclose(self) -> None:
        """See `Incoming.aclose`."""
        if self._link is None:
            await trio.aclose_forcefully(self._connection.stream)
        else:
            await self._link.aclose()

    def _chosen(self, scheme: str, transport: OverTcp | None) -> None:
        self._kind = scheme, transport
        self.local, self.remote = replace(self.local, scheme=scheme), replace(self.remote, scheme=scheme)
        self._connection = replace(self._connection, local=self.local, remote=self.remote)

    async def _first_byte(self) -> int:
        assert isinstance(self._connection.stream, trio.SocketStream)  # noqa: S101  (it was accepted)
        try:
            data = await self._connection.stream.socket.recv(1, socket.MSG_PEEK)
        except OSError as error:
            raise trio.BrokenResourceError(f"the connection broke: {error}") from None
        if not data:
            raise trio.BrokenResourceError("the peer hung up before it said anything")
        return data[0]


async def listen_together(wanted: Sequence[tuple[Address, OverTcp | None]]) -> SocketListener:
    """Listen at one host and port for several schemes; None stands for TCP itself.

    Raises OSError if that cannot be bound. ValueError if two of them begin with the same bytes, since nothing would tell them apart.
    """
    kinds = [(address.scheme, transport) for address, transport in wanted]
    taken: dict[int, str] = {}
    for scheme, transport in kinds:
        for first in () if transport is None else transport.begins(scheme):
            if first in taken:
                raise ValueError(f"{scheme} and {taken[first]} cannot share a port, as they begin alike: give one of them another")
            taken[first] = scheme
    sockets = await listening_sockets(wanted[0][0])
    addresses = tuple(bound for address, _ in wanted for bound in bound_addresses(sockets, address))

    def arrived(stream: trio.SocketStream) -> Arrival:
        return IncomingConnection(connection_of(stream, kinds[0][0]), kinds)

    return SocketListener(sockets, addresses, arrived)
