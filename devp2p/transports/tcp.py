"""TCP over IPv4 and IPv6.

``tcp://*:30303`` listens on every interface with one dual-stack socket where the system has IPv6; a peer that reaches it by IPv4 is
reported with its IPv4 address.
"""

import socket
from contextlib import suppress

import trio
from trio.abc import Stream

from devp2p.addresses import Address
from devp2p.keys import PublicKey
from devp2p.transports.connecting import Connect, Connection, connect_tcp, connection_of
from devp2p.transports.links import ByteLink
from devp2p.transports.sockets import BACKLOG, Name, SocketListener, bound_addresses, everywhere, family_of, plain_socket

_SILENT = 1  # seconds for which the system keeps a connection of which nothing comes to itself
UNSENT = 64 * 1024
"""Bytes that the kernel may hold before it asks for more: one chunk of a session's writer."""
LEAST_UNSENT = 4 * 1024
_MOMENT = 0.016  # seconds for which a slow line may be busy with what the kernel holds


class TcpTransport:
    """Dials and accepts TCP connections; ``tcp://host:port``."""

    schemes: frozenset[str] = frozenset({"tcp"})

    def __init__(self, connect: Connect = connect_tcp) -> None:
        """`connect`: how connections are made, such as by way of a proxy."""
        self._connect = connect

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:  # noqa: ARG002  (TCP proves nobody)
        """Connect, trying every address of a DNS name. Raises OSError if nobody answers."""
        return link_of(await self._connect(address), initiator=True)

    async def bind(self, address: Address) -> SocketListener:
        """Listen at an address, at every one that a DNS name has. Raises OSError if it cannot be bound."""
        sockets = await listening_sockets(address)
        return SocketListener(sockets, bound_addresses(sockets, address), _accepted)


async def listening_sockets(address: Address) -> list[socket.socket]:
    """Sockets of TCP that listen at the host and port of an address of any scheme. Raises OSError if it cannot be bound."""
    if address.host == "*":
        sockets = [everywhere(address.port or 0, _listen)]
    else:
        opened = await trio.open_tcp_listeners(address.port or 0, host=address.host, backlog=BACKLOG)
        sockets = [plain_socket(listener) for listener in opened]
    for sock in sockets:
        _defer(sock)
        let_dial_from(sock)
    return sockets


def let_dial_from(listener: socket.socket) -> None:
    """Let other sockets of this user dial from the port of a bound one, as punching holes through NATs takes (those ask for it as well).

    It is said after the binding, so that nobody else can listen at that port, and who tries hears that it is taken.
    """
    if hasattr(socket, "SO_REUSEPORT"):
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def link_of(connection: Connection, *, initiator: bool, peer: PublicKey | None = None) -> ByteLink:
    """The link that is a connection itself."""
    keep_busy(connection.stream)
    return ByteLink(
        connection.stream, local=connection.local, remote=connection.remote, initiator=initiator, peer=peer, path=connection.path
    )


def _accepted(stream: trio.SocketStream) -> ByteLink:
    return link_of(connection_of(stream, "tcp"), initiator=False)


def _listen(name: Name) -> socket.socket:
    family = family_of(name)
    sock = socket.create_server(name, family=family, backlog=BACKLOG, dualstack_ipv6=family == socket.AF_INET6)
    sock.setblocking(False)  # noqa: FBT003  (positional only)
    return sock


def _defer(listener: socket.socket) -> None:
    """Let the system tell of a connection when its first bytes are here (Linux), or after a second.

    Initiators speak first (RLPx, "Initial Handshake"), so an honest one loses nothing. One that only connects, and whose system has
    forgotten it after a second, as that of a program that makes packets by itself, never comes to us.
    """
    if hasattr(socket, "TCP_DEFER_ACCEPT"):
        with suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _SILENT)


def keep_busy(stream: Stream) -> None:
    """Let the kernel ask for more while it still has a chunk to send.

    What waits in the kernel can no longer be overtaken, so trio lets it ask only when 16 KiB are left (TCP_NOTSENT_LOWAT). That is gone
    before the next chunk is sealed, and a fast line would run dry each time.
    """
    keep_unsent(stream, UNSENT)


def keep_unsent(stream: Stream, size: int) -> None:
    """Let the kernel ask for more when it has less than `size` bytes to send.

    A stream that runs over another has that as its attribute ``under``. For streams that run over something else than TCP nothing happens.
    """
    while (under := getattr(stream, "under", None)) is not None:
        stream = under
    if isinstance(stream, trio.SocketStream) and hasattr(trio.socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            stream.setsockopt(socket.IPPROTO_TCP, trio.socket.TCP_NOTSENT_LOWAT, size)


def unsent_for(rate: float) -> int:
    """How much that had better be on a line of so many bytes a second: what it carries in a moment, as a power of two."""
    moment = min(rate * _MOMENT, UNSENT)
    return UNSENT if moment >= UNSENT else max(LEAST_UNSENT, 1 << int(moment).bit_length() - 1 if moment >= 1 else 0)
