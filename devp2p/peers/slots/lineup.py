"""The peers of one moment, and which slot each fills: core for the best, diverse for other networks, explore for random nodes (pure).

Core and diverse slots take at most `SlotSpec.inbound` peers that dialled us, explore slots none. A peer keeps its core slot unless
another one is clearly better: the same margin by which a peer would be replaced by another.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from statistics import median
from typing import Final

from devp2p.peers.slots.objective import Rules, Selection, clear_gain, item_of_peer
from devp2p.peers.slots.values import SlotClass, SlotPeer, SlotSpec

TENURE: Final = 300.0
"""Seconds for which a peer is not replaced by another."""
EXPLORE_TENURE: Final = 600.0
"""The same for one in an explore slot; then it can be rotated out."""


class Lineup:
    """All peers of one moment, and the slots that they fill."""

    def __init__(
        self,
        rules: Rules,
        peers: Iterable[SlotPeer],
        now: float,
        incumbents: Mapping[str, frozenset[bytes]],
    ) -> None:
        """`incumbents`: the peers that had a core slot before, in each capability."""
        self.rules: Rules = rules
        self.specs: tuple[SlotSpec, ...] = rules.specs
        self._now = now
        self.outside: tuple[SlotPeer, ...] = tuple(peer for peer in peers if peer.outside)
        self.peers: dict[bytes, SlotPeer] = {peer.id: peer for peer in peers if not peer.outside}
        self.selection: Selection = Selection(rules, (item_of_peer(rules, peer) for peer in self.peers.values()))
        self.inbound: int = len(self.peers) - self.selection.dialled
        self._incumbents = incumbents

    def tenure(self, peer: SlotPeer) -> float:
        """For how many seconds a peer has been there."""
        return max(0.0, self._now - peer.since)

    # What not every question needs

    @cached_property
    def sharing(self) -> dict[str, list[SlotPeer]]:
        """The peers that share each capability."""
        return {spec.name: [peer for peer in self.peers.values() if spec.name in peer.standings] for spec in self.specs}

    @cached_property
    def values(self) -> dict[str, dict[bytes, float]]:
        """What each peer is taken for in each capability."""
        worth = self.selection.worth
        return {spec.name: {peer.id: worth(peer.id, index) for peer in self.sharing[spec.name]} for index, spec in enumerate(self.specs)}

    @cached_property
    def slots(self) -> dict[str, dict[bytes, SlotClass]]:
        """Which slot each peer fills in each capability."""
        return {
            spec.name: _assign(
                spec,
                self.sharing[spec.name],
                self.values[spec.name],
                incumbents=self._incumbents.get(spec.name, frozenset()),
                is_new=lambda peer: self.tenure(peer) < EXPLORE_TENURE,
            )
            for spec in self.specs
        }

    @cached_property
    def core_networks(self) -> dict[str, frozenset[bytes | None]]:
        """The networks of the peers with core slots, for each capability."""
        return {
            name: frozenset(peer.network for peer in self.sharing[name] if slots.get(peer.id) is SlotClass.CORE)
            for name, slots in self.slots.items()
        }

    def slots_of(self, node_id: bytes) -> dict[str, SlotClass]:
        """Which slot a peer fills in which capability."""
        return {name: slots[node_id] for name, slots in self.slots.items() if node_id in slots}

    def filled(self, name: str) -> dict[SlotClass, int]:
        """How many slots of each class are taken in a capability."""
        taken = list(self.slots[name].values())
        return {kind: taken.count(kind) for kind in SlotClass}

    def median(self, name: str) -> float | None:
        """The median rating of the peers that have slots in a capability; None if none is rated."""
        slots = self.slots[name]
        ratings = [rating for peer in self.sharing[name] if peer.id in slots and (rating := peer.standings[name].rating) is not None]
        return median(ratings) if ratings else None


def _assign(
    spec: SlotSpec,
    peers: Sequence[SlotPeer],
    values: Mapping[bytes, float],
    *,
    incumbents: Collection[bytes],
    is_new: Callable[[SlotPeer], bool],
) -> dict[bytes, SlotClass]:
    """Give the slots of a capability to the peers that share it.

    `values`: what each is taken for, 0 to 1. `incumbents`: the peers that had a core slot before. `is_new`: whether a peer's time in an
    explore slot is not over yet.
    """
    best = sorted((values[peer.id] for peer in peers), reverse=True)[: spec.slots]
    average = sum(best) / len(best) if best else 0.0

    def worth(peer: SlotPeer) -> tuple[float, float, bytes]:
        value = values[peer.id]
        if peer.id in incumbents:
            value += clear_gain(average, value)
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
