"""UDP sockets: where an address leads, and binding them, for transports and discovery."""

import socket
from contextlib import suppress
from typing import Final, cast

import trio

from devp2p.addresses import Address
from devp2p.transports.sockets import Name, everywhere, family_of

_BUFFER: Final = 4 << 20  # bytes that the kernel is asked to keep


async def names_of(address: Address) -> list[Name]:
    """Where an address leads, in the order in which to try. Raises OSError if there is no such host."""
    found = await trio.socket.getaddrinfo(address.host, address.port or 0, type=socket.SOCK_DGRAM)
    return [cast("Name", name) for *_, name in found]  # the system's, for the families that were asked for


def udp_socket(family: int) -> socket.socket:
    """A UDP socket that does not block."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)  # noqa: FBT003  (positional only)
    return sock


def enlarge(sock: socket.socket) -> None:
    """Have the kernel keep more of what comes and goes while we are busy, as much as it allows."""
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        with suppress(OSError):  # less will do
            sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER)


def bound_socket(name: Name, *, dual_stack: bool = False) -> socket.socket:
    """A UDP socket bound to a name; one of IPv6 takes IPv4 too if it is `dual_stack`. Raises OSError if that is impossible."""
    sock = udp_socket(family_of(name))
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
        sock.bind(name)
    except BaseException:
        sock.close()
        raise
    return sock


def bound_everywhere(port: int) -> socket.socket:
    """A UDP socket bound to every interface. Raises OSError if that is impossible."""
    return everywhere(port, lambda name: bound_socket(name, dual_stack=True))


async def bound_sockets(address: Address) -> list[socket.socket]:
    """UDP sockets bound at an address, at every one that a DNS name has, with one port. Raises OSError if that is impossible."""
    port = address.port or 0
    if address.host == "*":
        await trio.lowlevel.checkpoint()
        return [bound_everywhere(port)]
    sockets: list[socket.socket] = []
    try:
        for host, _, *rest in dict.fromkeys(await names_of(address)):
            sockets.append(bound_socket((host, port, *rest)))  # type: ignore[arg-type]
            port = port or sockets[0].getsockname()[1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets
