"""Which peers to have: the policy decides and never acts (pure).

- policy:     `Slots`, which is asked: what to change at a tick, which node to dial, which peer to let in
- values:     what it is asked with, and what it decides
- objective:  what a set of peers is worth, what a newcomer is taken for, and what one peer instead of another brings
- lineup:     which peers there are at one moment, and which slot each fills
- changes:    the replacements of a tick, and what each needs
- dials:      which node to dial for a free place
- eviction:   which inbound peer makes room
- view:       all of it, explained for people
"""

from devp2p.peers.slots.dials import Choice
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
    Refuse,
    SlotCandidate,
    SlotClass,
    SlotPeer,
    SlotSpec,
    Swap,
)
from devp2p.peers.slots.view import CapabilityView, PeerView, SlotsView

__all__ = [
    "TICK",
    "Admit",
    "Anchor",
    "CapabilityView",
    "Change",
    "Choice",
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
