"""Node Discovery v5.1, sans-IO."""

from devp2p.discovery.v5 import events, messages, packets
from devp2p.discovery.v5.answers import Discv5Limits, TalkHandler, checked_handler
from devp2p.discovery.v5.events import Event
from devp2p.discovery.v5.protocol import Discv5
from devp2p.discovery.v5.sessions import Remote, Sessions

__all__ = ["Discv5", "Discv5Limits", "Event", "Remote", "Sessions", "TalkHandler", "checked_handler", "events", "messages", "packets"]
