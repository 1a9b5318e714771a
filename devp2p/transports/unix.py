"""Unix-domain stream sockets: ``unix:///run/node.sock``."""

import errno
import os
import socket
import stat
from functools import partial
from pathlib import Path

import trio

from devp2p.addresses import Address
from devp2p.keys import PublicKey
from devp2p.transports.links import ByteLink
from devp2p.transports.sockets import BACKLOG, SocketListener


class UnixTransport:
    """Dials and accepts connections at a path of this machine."""

    schemes: frozenset[str] = frozenset({"unix"})

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:  # noqa: ARG002  (a socket proves nobody)
        """Connect to the socket at a path. Raises OSError if nobody listens there, or this system has no Unix sockets."""
        _check_system()
        stream = await trio.open_unix_socket(address.host)
        return ByteLink(stream, local=address, remote=address, initiator=True)  # our own end has no name

    async def bind(self, address: Address) -> SocketListener:
        """Listen at a path; the socket is removed at the end. A socket that a dead process left behind is replaced.

        Raises OSError if the path cannot be bound, somebody else is listening there, or this system has no Unix sockets.
        """
        _check_system()
        path = trio.Path(address.host)
        await _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)  # noqa: FBT003  (positional only)
            sock.bind(os.fspath(path))
        except OSError:
            sock.close()
            raise
        listener = SocketListener([sock], (address,), partial(_link, address=address), partial(Path(path).unlink, missing_ok=True))
        try:
            sock.listen(BACKLOG)
        except OSError:
            await listener.aclose()
            raise
        return listener


def _check_system() -> None:
    if not hasattr(socket, "AF_UNIX"):  # Python has none on Windows
        raise OSError(errno.EAFNOSUPPORT, "this system has no Unix sockets; tcp://127.0.0.1:0 stays on this machine, too")


def _link(stream: trio.SocketStream, address: Address) -> ByteLink:
    return ByteLink(stream, local=address, remote=address, initiator=False)


async def _remove_stale(path: trio.Path) -> None:
    try:
        if not stat.S_ISSOCK((await path.stat()).st_mode):
            return  # bind will say that the path is taken
        stream = await trio.open_unix_socket(os.fspath(path))
    except ConnectionRefusedError:
        await path.unlink()
    except FileNotFoundError:
        return
    else:
        await stream.aclose()
