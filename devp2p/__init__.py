"""ÐΞVp2p: encrypted sessions between peers, shared by capabilities of typed messages.

Write a capability (`Capability`), open a node (`open_node`), talk to peers (`Peer`, `Channel`). The guide is in the README, the layers in
ARCHITECTURE.md.
"""

from devp2p import rlp
from devp2p.capability import Capability, Peer
from devp2p.channel import Channel
from devp2p.errors import (
    DecodingError,
    Devp2pError,
    DialError,
    DisconnectReason,
    HandshakeError,
    LocalProtocolError,
    PeerDisconnected,
    RemoteProtocolError,
)
from devp2p.events import DialFailed, Event, PeerConnected, PeerDropped, PeerReady, PeerRefused, SlotDecision
from devp2p.keys import NodeId, PrivateKey, PublicKey
from devp2p.limits import Limits
from devp2p.meters import Traffic
from devp2p.node import Node, open_node
from devp2p.node_discovery import DiscoverySettings
from devp2p.rates import Conduct, Rate, Stats
from devp2p.records import Address, NodeRecord
from devp2p.requests import Request, Response
from devp2p.transports import Link, Traits, Transport
from devp2p.version import __version__

__all__ = [
    "Address",
    "Capability",
    "Channel",
    "Conduct",
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
    "LocalProtocolError",
    "Node",
    "NodeId",
    "NodeRecord",
    "Peer",
    "PeerConnected",
    "PeerDisconnected",
    "PeerDropped",
    "PeerReady",
    "PeerRefused",
    "PrivateKey",
    "PublicKey",
    "Rate",
    "RemoteProtocolError",
    "Request",
    "Response",
    "SlotDecision",
    "Stats",
    "Traffic",
    "Traits",
    "Transport",
    "__version__",
    "open_node",
    "rlp",
]
