"""TCP over IPv4 and IPv6.

``tcp://*:30303`` listens on every interface with one dual-stack socket where the system has IPv6; a peer that reaches it by IPv4 is
reported with its IPv4 address.
"""

import errno
import os
import socket
from contextlib import suppress
from functools import partial
from typing import cast

import trio
from trio.abc import Stream

from devp2p.addresses import Address
from devp2p.keys import PublicKey
from devp2p.transports.links import ByteLink
from devp2p.transports.sockets import BACKLOG, SocketListener, host_in, plain_socket

_SILENT = 1  # seconds for which the system keeps a connection of which nothing comes to itself
UNSENT = 64 * 1024
"""Bytes that the kernel may hold before it asks for more: one chunk of a session's writer."""
LEAST_UNSENT = 4 * 1024
_MOMENT = 0.016  # seconds for which a slow line may be busy with what the kernel holds


class TcpTransport:
    """Dials and accepts TCP connections; ``tcp://host:port``."""

    schemes: frozenset[str] = frozenset({"tcp"})

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:  # noqa: ARG002  (TCP proves nobody)
        """Connect, trying every address of a DNS name. Raises OSError if nobody answers."""
        try:
            stream = await trio.open_tcp_stream(address.host, address.port or 0)
        except OSError as error:
            raise _what_happened(error) from None
        try:
            return _link(stream, initiator=True)
        except OSError:
            await trio.aclose_forcefully(stream)
            raise

    async def bind(self, address: Address) -> SocketListener:
        """Listen at an address, at every one that a DNS name has. Raises OSError if it cannot be bound."""
        if address.host == "*":
            sockets = [_listen_everywhere(address.port or 0)]
        else:
            opened = await trio.open_tcp_listeners(address.port or 0, host=address.host, backlog=BACKLOG)
            sockets = [plain_socket(listener) for listener in opened]
        for sock in sockets:
            _defer(sock)
        bound = tuple(_bound_address(sock, address.host) for sock in sockets)
        return SocketListener(sockets, bound, partial(_link, initiator=False))


def _what_happened(error: OSError) -> OSError:
    """The system's own error where trio says only that all attempts have failed; of several different ones, all in words."""
    cause: object = error.__cause__
    if not isinstance(cause, ExceptionGroup):
        return error
    attempts = cast("ExceptionGroup[OSError]", cause).exceptions
    numbers = {cast("OSError", attempt).errno or 0 for attempt in attempts}
    reasons = [OSError(number, os.strerror(number)) for number in sorted(numbers)]
    return reasons[0] if len(reasons) == 1 else OSError("; ".join(reason.strerror or "" for reason in reasons))


def _listen_everywhere(port: int) -> socket.socket:
    try:
        sock = socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise
        sock = socket.create_server(("0.0.0.0", port), backlog=BACKLOG)  # noqa: S104  (every interface is what was asked for)
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


def _bound_address(listener: socket.socket, host: str) -> Address:
    bound = _address(listener.getsockname())
    return Address("tcp", "*", bound.port) if host == "*" else bound


def keep_busy(stream: trio.SocketStream) -> None:
    """Let the kernel ask for more while it still has a chunk to send.

    What waits in the kernel can no longer be overtaken, so trio lets it ask only when 16 KiB are left (TCP_NOTSENT_LOWAT). That is gone
    before the next chunk is sealed, and a fast line would run dry each time.
    """
    keep_unsent(stream, UNSENT)


def keep_unsent(stream: Stream, size: int) -> None:
    """Let the kernel ask for more when it has less than `size` bytes to send; for other streams than those of TCP nothing happens."""
    if isinstance(stream, trio.SocketStream) and hasattr(trio.socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            stream.setsockopt(socket.IPPROTO_TCP, trio.socket.TCP_NOTSENT_LOWAT, size)


def unsent_for(rate: float) -> int:
    """How much that had better be on a line of so many bytes a second: what it carries in a moment, as a power of two."""
    moment = min(rate * _MOMENT, UNSENT)
    return UNSENT if moment >= UNSENT else max(LEAST_UNSENT, 1 << int(moment).bit_length() - 1 if moment >= 1 else 0)


def _link(stream: trio.SocketStream, *, initiator: bool) -> ByteLink:
    keep_busy(stream)
    local, remote = _address(stream.socket.getsockname()), _address(stream.socket.getpeername())
    return ByteLink(stream, local=local, remote=remote, initiator=initiator)


def _address(name: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    return Address("tcp", host_in(name), name[1])
