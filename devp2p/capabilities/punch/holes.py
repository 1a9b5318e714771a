"""TCP connections that are made from the port at which the node listens, so that both sides may dial at once (RFC 5128, section 3.4).

The NAT in front of us keeps that port's place for the peer, and the peer's for us. If the two SYNs cross, each system makes one
connection of them (RFC 9293, section 3.5, simultaneous open), and neither side is the one that has accepted: so the role in the handshake
is agreed on, not observed.
"""

import socket
from collections.abc import Iterable

import trio

from devp2p import Address, ByteLink
from devp2p.capabilities.punch.targets import STREAMS

_PAUSE = 0.25  # seconds until an address that has refused is tried again: the peer may not have begun
_TRIES = 8


async def connect_from(listening: Iterable[Address], target: Address, *, initiator: bool) -> ByteLink:
    """Connect to an address from the port at which the node listens. Raises OSError if nobody answers, or it listens at none that fits."""
    own = next((one for one in listening if one.scheme in STREAMS and one.port and _fits(one, target)), None)
    if own is None:
        raise OSError(f"this node listens nowhere from where {target} can be dialled")
    for attempt in range(_TRIES):
        if attempt:
            await trio.sleep(_PAUSE)
        try:
            stream = await _connected(own, target)
        except ConnectionRefusedError:
            continue
        name = stream.socket.getsockname()
        return ByteLink(stream, local=Address(own.scheme, name[0].partition("%")[0], name[1]), remote=target, initiator=initiator)
    raise ConnectionRefusedError(f"{target} refuses connections")


def _fits(own: Address, target: Address) -> bool:
    return own.is_wildcard or len(own.ip) == len(target.ip)


async def _connected(own: Address, target: Address) -> trio.SocketStream:
    family = socket.AF_INET if len(target.ip) == 4 else socket.AF_INET6
    anywhere = "0.0.0.0" if family == socket.AF_INET else "::"  # noqa: S104  (it only dials)
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        await sock.bind((anywhere if own.is_wildcard else own.host, own.port))
        await sock.connect((target.host, target.port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)
