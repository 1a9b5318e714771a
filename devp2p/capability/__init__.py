"""What a plugin author meets: `Capability`, `Peer`, `Channel`, messages; and the queues behind them."""

from devp2p.capability.budget import Arriving, Budget, HeldUp
from devp2p.capability.caps import NO_CAPS, Bandwidth, Direction, Gate, Share, Shares, urgency_of
from devp2p.capability.channel import Channel
from devp2p.capability.definition import AnyCapability, Capability, Peer, check_class
from devp2p.capability.messages import MessageTable, Request, Response
from devp2p.capability.moving import Mover, Successor
from devp2p.capability.queues import Inbox, Outbox, Turn
from devp2p.capability.traffic import Backlog, Traffic

__all__ = [
    "NO_CAPS",
    "AnyCapability",
    "Arriving",
    "Backlog",
    "Bandwidth",
    "Budget",
    "Capability",
    "Channel",
    "Direction",
    "Gate",
    "HeldUp",
    "Inbox",
    "MessageTable",
    "Mover",
    "Outbox",
    "Peer",
    "Request",
    "Response",
    "Share",
    "Shares",
    "Successor",
    "Traffic",
    "Turn",
    "check_class",
    "urgency_of",
]
