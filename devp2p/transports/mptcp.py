"""MPTCP (RFC 8684): TCP that may go by several paths at a time; ``mptcp://host:port``.

The kernel does it all: which addresses of ours it adds is said by ``ip mptcp endpoint``. Where the other side, or somebody on the way,
knows only TCP, the kernel goes on with that alone, and `LinkFacts.path` says so.
"""

import socket
from typing import ClassVar, Final

import trio

from devp2p.addresses import Address
from devp2p.transports.connecting import Connection
from devp2p.transports.kernel import KernelTransport
from devp2p.transports.links import DIRECT

TCP_ONLY: Final = f"{DIRECT} (TCP only)"
"""The path of a connection that is not MPTCP after all."""

# Of Linux; Python has no names for the last two.
_SOL_MPTCP, _MPTCP_INFO = 284, 1
_FALLBACK: Final = 1  # of the flags of struct mptcp_info, which stand behind eight bytes of counts
_FLAGS: Final = slice(8, 12)


class MptcpTransport(KernelTransport):
    """Dials and accepts connections of MPTCP."""

    schemes: frozenset[str] = frozenset({"mptcp"})
    protocol: ClassVar[int] = getattr(socket, "IPPROTO_MPTCP", 262)
    missing: ClassVar[str] = "this kernel has no MPTCP: it takes Linux 5.6 or newer, and `sysctl net.mptcp.enabled=1`"

    def path_of(self, sock: trio.socket.SocketType) -> str:
        """See `KernelTransport.path_of`; `TCP_ONLY` of a connection that is not MPTCP after all."""
        try:
            info = sock.getsockopt(_SOL_MPTCP, _MPTCP_INFO, _FLAGS.stop)
        except OSError:  # what the kernel says of a socket of TCP
            return TCP_ONLY
        return TCP_ONLY if info[_FLAGS] and info[_FLAGS.start] & _FALLBACK else DIRECT


async def connect_mptcp(address: Address) -> Connection:
    """Connect by MPTCP to the host and port of an address of any scheme: for transports over TCP, ``TlsTransport(key, connect_mptcp)``."""
    return await MptcpTransport().connect(address)
