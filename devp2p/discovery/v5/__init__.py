"""Node Discovery v5.1, sans-IO: `Discv5` is a node of it, `packets` what it sends, and `messages` what is sealed in them."""

from devp2p.discovery.v5 import messages, packets
from devp2p.discovery.v5.answers import Discv5Limits, TalkHandler, checked_handler
from devp2p.discovery.v5.protocol import Discv5, NodesFound, TalkAnswered
from devp2p.discovery.v5.sessions import PacketSessions, Remote

__all__ = [
    "Discv5",
    "Discv5Limits",
    "NodesFound",
    "PacketSessions",
    "Remote",
    "TalkAnswered",
    "TalkHandler",
    "checked_handler",
    "messages",
    "packets",
]
