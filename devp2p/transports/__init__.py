"""What carries sessions: a `Transport` dials and listens, a `Link` is one connection to one peer."""

from devp2p.transports.carriers import Carriers
from devp2p.transports.defaults import DEFAULT_LISTEN, default_transports, read_address
from devp2p.transports.links import ByteLink, Link, Listener, MuxLink, OnLink, StreamLink, Transport, naming, require_peer
from devp2p.transports.memory import MemoryMuxTransport, MemoryTransport
from devp2p.transports.sockets import accept_streams, file_limit, host_in, plain_socket
from devp2p.transports.tcp import UNSENT, TcpTransport, keep_busy, keep_unsent, unsent_for
from devp2p.transports.unix import UnixTransport

__all__ = [
    "DEFAULT_LISTEN",
    "UNSENT",
    "ByteLink",
    "Carriers",
    "Link",
    "Listener",
    "MemoryMuxTransport",
    "MemoryTransport",
    "MuxLink",
    "OnLink",
    "StreamLink",
    "TcpTransport",
    "Transport",
    "UnixTransport",
    "accept_streams",
    "default_transports",
    "file_limit",
    "host_in",
    "keep_busy",
    "keep_unsent",
    "naming",
    "plain_socket",
    "read_address",
    "require_peer",
    "unsent_for",
]
