"""Which slot each peer fills in a capability: core for the best, diverse for other networks, explore for chance (pure).

Core and diverse slots take at most `SlotSpec.inbound` peers that dialled us, explore slots none. Who has a core slot keeps it unless
another one is clearly better: the same margin by which a peer would be exchanged for another.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from devp2p.peers.slots.values import SlotClass, SlotPeer, SlotSpec

MARGIN_OF_SET = 0.05
"""An exchange has to gain this part of what an average peer adds,"""
MARGIN_OF_PEER = 0.10
"""and this part of what the peer that leaves adds."""


def assign(
    spec: SlotSpec,
    peers: Sequence[SlotPeer],
    values: Mapping[bytes, float],
    *,
    incumbents: Collection[bytes],
    is_new: Callable[[SlotPeer], bool],
) -> dict[bytes, SlotClass]:
    """Give the slots of a capability to the peers that share it.

    `values`: what each is taken for, 0 to 1. `incumbents`: who had a core slot before. `is_new`: whether a peer's time in an explore slot
    is not over yet.
    """
    best = sorted((values[peer.id] for peer in peers), reverse=True)[: spec.slots]
    average = sum(best) / len(best) if best else 0.0

    def worth(peer: SlotPeer) -> tuple[float, float, bytes]:
        value = values[peer.id]
        if peer.id in incumbents:
            value += max(MARGIN_OF_SET * average, MARGIN_OF_PEER * value)
        return -value, peer.since, peer.id

    slots: dict[bytes, SlotClass] = {}
    ranked = sorted(peers, key=worth)
    inbound = 0
    core: set[bytes | None] = set()
    for peer in ranked:
        if len(slots) < spec.core and (not peer.inbound or inbound < spec.inbound):
            slots[peer.id] = SlotClass.CORE
            inbound += peer.inbound
            core.add(peer.network)
    diverse = 0
    for peer in ranked:
        if peer.id in slots or diverse == spec.diverse or (peer.network is not None and peer.network in core):
            continue
        if not peer.inbound or inbound < spec.inbound:
            slots[peer.id] = SlotClass.DIVERSE
            inbound += peer.inbound
            diverse += 1
    rest = [peer for peer in ranked if peer.id not in slots and not peer.inbound]
    rest.sort(key=lambda peer: not is_new(peer))  # stable: by worth among equals
    slots.update(dict.fromkeys([peer.id for peer in rest[: spec.explore]], SlotClass.EXPLORE))
    return slots


def core_networks(peers: Sequence[SlotPeer], slots: Mapping[bytes, SlotClass]) -> frozenset[bytes | None]:
    """The networks of the peers with core slots."""
    return frozenset(peer.network for peer in peers if slots.get(peer.id) is SlotClass.CORE)
