"""What carries sessions: a `Transport` dials and listens, a `Link` is one connection to one peer."""

from devp2p.transports.attempts import first_link, first_of
from devp2p.transports.carriers import Carriers
from devp2p.transports.connecting import Connect, Connection, connect_tcp
from devp2p.transports.defaults import DEFAULT_LISTEN, default_transports, known_schemes, read_address, transport_with, why_not_installed
from devp2p.transports.jump import SshJump
from devp2p.transports.links import (
    DIRECT,
    Arrival,
    ByteLink,
    Incoming,
    Link,
    LinkFacts,
    Listener,
    MuxLink,
    OnLink,
    SendsBare,
    StreamLink,
    Transport,
    facts_of,
    is_shown,
    naming,
    require_peer,
    scheme_of,
)
from devp2p.transports.memory import MemoryMuxTransport, MemoryTransport
from devp2p.transports.over_tcp import OverTcp
from devp2p.transports.preference import Preference, in_order, preference_of
from devp2p.transports.proxies import Proxy, proxy_of
from devp2p.transports.sharing import SharedSocket, Shares
from devp2p.transports.sockets import accept_streams, file_limit, host_in, plain_socket
from devp2p.transports.tcp import UNSENT, TcpTransport, keep_busy, keep_unsent, unsent_for
from devp2p.transports.udp import bound_everywhere, bound_socket, names_of
from devp2p.transports.unix import UnixTransport

__all__ = [
    "DEFAULT_LISTEN",
    "DIRECT",
    "UNSENT",
    "Arrival",
    "ByteLink",
    "Carriers",
    "Connect",
    "Connection",
    "Incoming",
    "Link",
    "LinkFacts",
    "Listener",
    "MemoryMuxTransport",
    "MemoryTransport",
    "MuxLink",
    "OnLink",
    "OverTcp",
    "Preference",
    "Proxy",
    "SendsBare",
    "SharedSocket",
    "Shares",
    "SshJump",
    "StreamLink",
    "TcpTransport",
    "Transport",
    "UnixTransport",
    "accept_streams",
    "bound_everywhere",
    "bound_socket",
    "connect_tcp",
    "default_transports",
    "facts_of",
    "file_limit",
    "first_link",
    "first_of",
    "host_in",
    "in_order",
    "is_shown",
    "keep_busy",
    "keep_unsent",
    "known_schemes",
    "names_of",
    "naming",
    "plain_socket",
    "preference_of",
    "proxy_of",
    "read_address",
    "require_peer",
    "scheme_of",
    "transport_with",
    "unsent_for",
    "why_not_installed",
]
