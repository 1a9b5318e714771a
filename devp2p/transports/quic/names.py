"""Where datagrams go, as the system's sockets name it, and as our addresses do."""

import socket
from typing import Final, cast

import trio

from devp2p.addresses import Address
from devp2p.transports.sharing import Name
from devp2p.transports.sockets import host_in

_MAPPED: Final = "::ffff:"


def address_of(scheme: str, name: Name) -> Address:
    """The address in a name; one of IPv4 in IPv6 clothes is written as what it is."""
    return Address(scheme, host_in(name), name[1])


async def names_of(address: Address) -> list[Name]:
    """Where an address leads, in the order in which to try. Raises OSError if there is no such host."""
    found = await trio.socket.getaddrinfo(address.host, address.port or 0, type=socket.SOCK_DGRAM)
    return [_checked(name) for *_, name in found]


def name_for(family: int, name: Name) -> Name | None:
    """How a socket of a family names a place; None if it cannot reach it. One of IPv6 is taken to be dual-stack."""
    if family == socket.AF_INET:
        return name if len(name) == 2 else None
    if len(name) == 2:
        return _MAPPED + name[0], name[1], 0, 0
    return name


def is_loopback(name: Name) -> bool:
    """Whether a name is of this machine."""
    host = name[0].removeprefix(_MAPPED)
    return host == "::1" or host.startswith("127.")


def local_towards(name: Name, port: int) -> Name:
    """Our own address as a peer sees it without a NAT, for a socket that is bound to all of them; it is asked without sending anything."""
    family = socket.AF_INET if len(name) == 2 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(name)
            host = _checked(sock.getsockname())
        except OSError:  # there is no way to it now
            return ("0.0.0.0", port) if family == socket.AF_INET else ("::", port, 0, 0)  # noqa: S104  (it is only told)
    return (host[0], port) if len(host) == 2 else (host[0], port, host[2], host[3])


def bound_socket(name: Name, *, dual_stack: bool = False) -> socket.socket:
    """A UDP socket bound to a name. Raises OSError if that is impossible."""
    family = socket.AF_INET if len(name) == 2 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)  # noqa: FBT003  (positional only)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual_stack else 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER)  # the system gives what it allows
        sock.bind(name)
    except BaseException:
        sock.close()
        raise
    return sock


_BUFFER: Final = 4 << 20  # bytes


def _checked(name: object) -> Name:
    return cast("Name", name)  # the system's, for the families that were asked for
