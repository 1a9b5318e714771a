"""Which peers to have: the policy decides and never acts (pure)."""

from devp2p.peers.slots.policy import TICK, Slots
from devp2p.peers.slots.values import (
    Admit,
    Anchor,
    Change,
    Decision,
    Dial,
    Drop,
    Evict,
    Graft,
    PeerView,
    Refuse,
    SlotCandidate,
    SlotClass,
    SlotPeer,
    SlotSpec,
    SlotsView,
    Swap,
)

__all__ = [
    "TICK",
    "Admit",
    "Anchor",
    "Change",
    "Decision",
    "Dial",
    "Drop",
    "Evict",
    "Graft",
    "PeerView",
    "Refuse",
    "SlotCandidate",
    "SlotClass",
    "SlotPeer",
    "SlotSpec",
    "Slots",
    "SlotsView",
    "Swap",
]
