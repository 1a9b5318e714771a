"""Where datagrams go, as the system's sockets name it."""

import socket
from typing import Final, cast

from devp2p.transports.sockets import Name, family_of

_MAPPED: Final = "::ffff:"


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
    family = family_of(name)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(name)
            host = cast("Name", sock.getsockname())
        except OSError:  # there is no way to it now
            return ("0.0.0.0", port) if family == socket.AF_INET else ("::", port, 0, 0)  # noqa: S104  (it is only told)
    return (host[0], port) if len(host) == 2 else (host[0], port, host[2], host[3])
