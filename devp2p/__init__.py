"""ÐΞVp2p: encrypted sessions between peers, shared by capabilities of typed messages.

Write a capability (`Capability`), open a node (`open_node`), talk to peers (`Peer`, `Channel`). The guide is in the README, the layers in
ARCHITECTURE.md.

A program that asks other nodes without being one, as a crawler does, finds them by discovery (`open_discovery`), calls them (`call`, with
what `local_node` makes of a key), hears what they are (`Session.hello`) and keeps what it learned (`Book`). Discovery and the book are
imported when they are asked for.
"""

from typing import TYPE_CHECKING

from devp2p import rlp
from devp2p.addresses import HOST, SITE, Address, Endpoint
from devp2p.arguments import check_bounds
from devp2p.bounded import Throttle
from devp2p.capability import Capability, Channel, Peer, Request, Response, Successor, Traffic, Turn
from devp2p.conduct import Conduct, ConductReport, RecentConduct
from devp2p.deferred import deferred
from devp2p.errors import (
    BookError,
    DecodingError,
    Devp2pError,
    DialError,
    DisconnectReason,
    HandshakeError,
    LocalProtocolError,
    PeerDisconnected,
    PeerMismatch,
    RemoteProtocolError,
    describe_reason,
)
from devp2p.keys import NodeId, PrivateKey, PublicKey, keccak256, recover
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
    TrustRemoved,
    open_node,
)
from devp2p.records import PRESETS, Entries, NodeRecord, Record
from devp2p.session import LocalNode, Progress, Session, call, dial, listen, local_node, open_session, run_session
from devp2p.transports import Arrival, ByteLink, Incoming, Link, LinkFacts, Listener, MuxLink, StreamLink, Transport
from devp2p.trust import Profile, Trust
from devp2p.version import __version__
from devp2p.wire import Hello
from devp2p.wire.dpx import Shaping

if TYPE_CHECKING:
    from devp2p.book import Book, BookEntry, Source
    from devp2p.discovery import Candidate, Discovery, DiscoveryLimits, open_discovery
    from devp2p.discovery.dns import TreeUrl, make_tree
else:
    __getattr__ = deferred(
        __name__,
        {
            "Book": "book",
            "BookEntry": "book",
            "Candidate": "discovery",
            "Discovery": "discovery",
            "DiscoveryLimits": "discovery",
            "Source": "book",
            "TreeUrl": "discovery.dns",
            "make_tree": "discovery.dns",
            "open_discovery": "discovery",
        },
    )

__all__ = [
    "HOST",
    "PRESETS",
    "SITE",
    "Address",
    "Arrival",
    "Book",
    "BookEntry",
    "BookError",
    "ByteLink",
    "Candidate",
    "Capability",
    "Channel",
    "Conduct",
    "ConductReport",
    "DecodingError",
    "Devp2pError",
    "DialError",
    "DialFailed",
    "DisconnectReason",
    "Discovery",
    "DiscoveryLimits",
    "DiscoverySettings",
    "Endpoint",
    "Entries",
    "Event",
    "HandshakeError",
    "Hello",
    "Incoming",
    "Limits",
    "Link",
    "LinkFacts",
    "Listener",
    "LocalNode",
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
    "Profile",
    "Progress",
    "PublicKey",
    "RecentConduct",
    "Record",
    "RemoteProtocolError",
    "Request",
    "Response",
    "Session",
    "Shaping",
    "SlotDecision",
    "Source",
    "StreamLink",
    "Successor",
    "Throttle",
    "Traffic",
    "Transport",
    "TreeUrl",
    "Trust",
    "TrustRemoved",
    "Turn",
    "__version__",
    "call",
    "check_bounds",
    "describe_reason",
    "dial",
    "keccak256",
    "listen",
    "local_node",
    "make_tree",
    "open_discovery",
    "open_node",
    "open_session",
    "recover",
    "rlp",
    "run_session",
]
