"""Names of sockets, binding at every interface, and accepting connections, whatever kind of socket they come from."""

import errno
import ipaddress
import logging
import math
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import trio

from devp2p.addresses import Address
from devp2p.transports.links import Arrival, OnLink

Name: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""The name of a socket of IPv4 or IPv6."""
BACKLOG = 4096
"""Connections that the system may keep until they are accepted; systems cut it down to what they allow."""

_AT_ONCE = 16  # connections that are accepted in one step: one at a time, a busy loop would fall behind
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_RESOURCE_PAUSE = 0.2  # seconds until accepting is tried again when the system is out of file descriptors or memory
_TOLD_EVERY = 60.0  # seconds between two warnings of that
# What Linux's accept tells of the connection that it would have returned: accept(2), "Error handling".
_GONE = frozenset(
    {
        errno.EPERM,
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
        errno.EAGAIN,
        errno.EWOULDBLOCK,
        getattr(errno, "ENONET", errno.EAGAIN),
    }
)

_logger = logging.getLogger(__name__)


def _nothing() -> None:
    pass


def file_limit() -> float:
    """How many files this process may have open, as far as the system says."""
    if sys.platform == "win32":
        return math.inf
    import resource  # noqa: PLC0415  (there is none on Windows)

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else soft


def family_of(name: Name) -> int:
    """Of which family a socket is that has, or reaches, a name."""
    return socket.AF_INET if len(name) == 2 else socket.AF_INET6


def everywhere(port: int, bind: Callable[[Name], socket.socket]) -> socket.socket:
    """Bind at every interface: a dual-stack socket where the system has IPv6, and one of IPv4 elsewhere."""
    try:
        return bind(("::", port, 0, 0))
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise
        return bind(("0.0.0.0", port))  # noqa: S104  (every interface is what was asked for)


def host_in(name: Name) -> str:
    """The IP address in a socket's name, as text.

    An IPv4 address in IPv6 clothes is written as what it is, and a link-local one with its interface, without which nobody can reach it
    (RFC 4007, section 11): ``fe80::1%eth0``.
    """
    host = name[0].partition("%")[0]
    if ":" not in host:
        return host
    ip = ipaddress.IPv6Address(host)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    zone = name[3] if len(name) == 4 else 0
    if not zone:
        return str(ip)
    try:
        return f"{ip}%{socket.if_indextoname(zone)}"
    except OSError:  # the interface is gone
        return f"{ip}%{zone}"


def address_in(scheme: str, name: Name) -> Address:
    """The address in the name of a socket."""
    return Address(scheme, host_in(name), name[1])


def bound_addresses(sockets: Iterable[socket.socket], address: Address) -> tuple[Address, ...]:
    """Where sockets listen that were bound for an address, with its scheme; a wildcard stays one."""
    bound = (address_in(address.scheme, sock.getsockname()) for sock in sockets)
    return tuple(Address(address.scheme, "*", one.port) if address.host == "*" else one for one in bound)


def plain_socket(listener: trio.SocketListener) -> socket.socket:
    """Take the socket out of a listener of trio's."""
    sock = socket.socket(fileno=listener.socket.detach())
    sock.setblocking(False)  # noqa: FBT003  (positional only)
    return sock


async def accept_streams(listener: socket.socket, on_stream: Callable[[trio.SocketStream], Awaitable[None]]) -> None:
    """Accept connections until cancelled, as fast as `on_stream` takes them, and some before other tasks get their turn."""
    told = -math.inf
    while True:
        await trio.lowlevel.wait_readable(listener)
        for _ in range(_AT_ONCE):
            try:
                sock, _ = listener.accept()
            except OSError as error:
                if error.errno in _GONE:
                    break
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                if trio.current_time() - told >= _TOLD_EVERY:
                    told = trio.current_time()
                    _logger.warning("cannot accept connections now: %s", error)
                await trio.sleep(_RESOURCE_PAUSE)
                break
            await on_stream(trio.SocketStream(trio.socket.from_stdlib_socket(sock)))


class SocketListener:
    """Sockets at which connections are accepted, each of which becomes a link, or what becomes one."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        addresses: tuple[Address, ...],
        make_link: Callable[[trio.SocketStream], Arrival],
        on_close: Callable[[], None] = _nothing,
    ) -> None:
        """`on_close` is called once when the sockets are closed."""
        self.addresses: tuple[Address, ...] = addresses
        self._sockets = tuple(sockets)
        self._make_link = make_link
        self._on_close = on_close

    async def serve(self, on_link: OnLink) -> None:
        """Hand on the links that come, until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                for sock in self._sockets:
                    nursery.start_soon(accept_links, sock, self._make_link, on_link)
        finally:
            self._close()

    async def aclose(self) -> None:
        """Stop listening."""
        self._close()
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        if self._sockets:
            for sock in self._sockets:
                sock.close()
            self._sockets = ()
            self._on_close()


async def accept_links(listener: socket.socket, make_link: Callable[[trio.SocketStream], Arrival], on_link: OnLink) -> None:
    """The same for links."""

    async def on_stream(stream: trio.SocketStream) -> None:
        try:
            link = make_link(stream)
        except OSError:  # gone again between the kernel's accept and ours
            await trio.aclose_forcefully(stream)
        else:
            await on_link(link)

    await accept_streams(listener, on_stream)
