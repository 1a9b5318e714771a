"""A node: listeners, dials, admission, steering, and a session for each peer."""

from devp2p.node.discovering import DiscoverySettings
from devp2p.node.events import DialFailed, Event, PeerConnected, PeerDropped, PeerReady, PeerRefused, SlotDecision
from devp2p.node.node import Node, open_node
from devp2p.node.persistence import Memory
from devp2p.node.roster import Subscription

__all__ = [
    "DialFailed",
    "DiscoverySettings",
    "Event",
    "Memory",
    "Node",
    "PeerConnected",
    "PeerDropped",
    "PeerReady",
    "PeerRefused",
    "SlotDecision",
    "Subscription",
    "open_node",
]
