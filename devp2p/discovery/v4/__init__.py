"""Node Discovery v4, sans-IO."""

from devp2p.discovery.v4 import events, nodes, packets
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v4.events import ClockDoubtful, Event
from devp2p.discovery.v4.nodes import contact_at
from devp2p.discovery.v4.protocol import Discv4

__all__ = ["ClockDoubtful", "Discv4", "Discv4Limits", "Event", "contact_at", "events", "nodes", "packets"]
