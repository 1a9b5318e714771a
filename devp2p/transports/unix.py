"""Unix-domain stream sockets: ``unix:///run/node.sock``."""

import os
import stat
from pathlib import Path

import trio

from devp2p.keys import PublicKey
from devp2p.records import Address
from devp2p.transports import OnLink, StreamLink
from devp2p.transports.sockets import accept_links

_BACKLOG = 128


class UnixTransport:
    """Dials and accepts connections at a path of this machine."""

    schemes: frozenset[str] = frozenset({"unix"})

    async def dial(self, address: Address, *, expect: PublicKey | None) -> StreamLink:  # noqa: ARG002  (a socket proves nobody)
        """Connect to the socket at a path. Raises OSError if nobody listens there."""
        stream = await trio.open_unix_socket(address.host)
        return StreamLink(stream, local=address, remote=address, initiator=True)  # our own end has no name

    async def serve(
        self, address: Address, on_link: OnLink, *, task_status: trio.TaskStatus[tuple[Address, ...]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen until cancelled, and remove the socket then. A socket that a dead process left behind is replaced.

        Raises OSError if the path cannot be bound, or if somebody else is listening there.
        """
        path = trio.Path(address.host)
        await _remove_stale(path)
        sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        with sock:
            await sock.bind(os.fspath(path))
            try:
                sock.listen(_BACKLOG)
                task_status.started((address,))
                await accept_links(trio.SocketListener(sock), lambda stream: _link(stream, address), on_link)
            finally:
                Path(path).unlink(missing_ok=True)  # noqa: ASYNC240  (must not be cancelled, and takes no time)


def _link(stream: trio.SocketStream, address: Address) -> StreamLink:
    return StreamLink(stream, local=address, remote=address, initiator=False)


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
