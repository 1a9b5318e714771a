"""A node: listeners, dials, admission, steering, and a session for each peer."""

from typing import TYPE_CHECKING

from devp2p.deferred import deferred
from devp2p.node.discovering import DiscoverySettings
from devp2p.node.events import DialFailed, Event, PeerConnected, PeerDropped, PeerReady, PeerRefused, SlotDecision, TrustRemoved
from devp2p.node.node import Node, open_node
from devp2p.node.roster import Subscription
from devp2p.node.statistics import NodeStatistics

if TYPE_CHECKING:
    from devp2p.node.persistence import StandingsKeeper
else:  # who opens no node need not wait until the policy is imported
    __getattr__ = deferred(__name__, {"StandingsKeeper": "persistence"})

__all__ = [
    "DialFailed",
    "DiscoverySettings",
    "Event",
    "Node",
    "NodeStatistics",
    "PeerConnected",
    "PeerDropped",
    "PeerReady",
    "PeerRefused",
    "SlotDecision",
    "StandingsKeeper",
    "Subscription",
    "TrustRemoved",
    "open_node",
]
