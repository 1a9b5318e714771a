"""ÐΞVp2p: encrypted sessions between peers, shared by capabilities of typed messages.

Write a capability (`Capability`), open a node (`open_node`), talk to peers (`Peer`, `Channel`). The guide is in the README, the layers in
ARCHITECTURE.md.
"""

from devp2p import rlp
from devp2p.addresses import Address
from devp2p.capability import Capability, Channel, Peer, Request, Response, Traffic
from devp2p.conduct import Conduct, ConductReport, RecentConduct
from devp2p.errors import (
    DecodingError,
    Devp2pError,
    DialError,
    DisconnectReason,
    HandshakeError,
    LocalProtocolError,
    PeerDisconnected,
    PeerMismatch,
    RemoteProtocolError,
)
from devp2p.keys import NodeId, PrivateKey, PublicKey
from devp2p.limits import Limits
from devp2p.node import (
    DialFailed,
    DiscoverySettings,
    Event,
    Node,
    NodeStatistics,
    PeerConnected,
    PeerDropped,
    PeerReady,
    PeerRefused,
    SlotDecision,
    open_node,
)
from devp2p.records import NodeRecord
from devp2p.transports import ByteLink, Link, Listener, MuxLink, StreamLink, Transport
from devp2p.version import __version__

__all__ = [
    "Address",
    "ByteLink",
    "Capability",
    "Channel",
    "Conduct",
    "ConductReport",
    "DecodingError",
    "Devp2pError",
    "DialError",
    "DialFailed",
    "DisconnectReason",
    "DiscoverySettings",
    "Event",
    "HandshakeError",
    "Limits",
    "Link",
    "Listener",
    "LocalProtocolError",
    "MuxLink",
    "Node",
    "NodeId",
    "NodeRecord",
    "NodeStatistics",
    "Peer",
    "PeerConnected",
    "PeerDisconnected",
    "PeerDropped",
    "PeerMismatch",
    "PeerReady",
    "PeerRefused",
    "PrivateKey",
    "PublicKey",
    "RecentConduct",
    "RemoteProtocolError",
    "Request",
    "Response",
    "SlotDecision",
    "StreamLink",
    "Traffic",
    "Transport",
    "__version__",
    "open_node",
    "rlp",
]
