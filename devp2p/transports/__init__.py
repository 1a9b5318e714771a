"""What carries sessions: a `Transport` dials and listens, a `Link` is one connection to one peer."""

from devp2p.transports.links import Link, OnLink, StreamLink, Traits, Transport, naming
from devp2p.transports.memory import MemoryTransport
from devp2p.transports.sockets import accept_streams, file_limit, host_in, plain_socket
from devp2p.transports.tcp import TcpTransport, keep_busy
from devp2p.transports.unix import UnixTransport

__all__ = [
    "Link",
    "MemoryTransport",
    "OnLink",
    "StreamLink",
    "TcpTransport",
    "Traits",
    "Transport",
    "UnixTransport",
    "accept_streams",
    "file_limit",
    "host_in",
    "keep_busy",
    "naming",
    "plain_socket",
]
