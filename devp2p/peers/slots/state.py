"""The peers of one moment as the policy looks at them: their values, slots, and what an exchange would bring (pure)."""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from statistics import median

from devp2p.peers.slots.classes import MARGIN_OF_PEER, MARGIN_OF_SET, assign, core_networks
from devp2p.peers.slots.objective import Item, Rules, Selection
from devp2p.peers.slots.values import NEWCOMER_DIALLED, SlotCandidate, SlotClass, SlotPeer, SlotSpec, expected

BEST = 32
"""Candidates of each capability that are looked at."""


class State:
    """All peers that slots decide about, at one moment."""

    def __init__(
        self,
        rules: Rules,
        peers: Iterable[SlotPeer],
        *,
        tenure: Callable[[SlotPeer], float],
        explore_tenure: float,
        incumbents: Mapping[str, frozenset[bytes]],
    ) -> None:
        """`tenure`: how long a peer has been there. `explore_tenure`: how long it has an explore slot for sure."""
        self.rules: Rules = rules
        self.specs: tuple[SlotSpec, ...] = rules.specs
        self.tenure: Callable[[SlotPeer], float] = tenure
        self.outside: tuple[SlotPeer, ...] = tuple(peer for peer in peers if peer.outside)
        self.peers: dict[bytes, SlotPeer] = {peer.id: peer for peer in peers if not peer.outside}
        self.selection: Selection = Selection(rules, (item_of_peer(rules, peer) for peer in self.peers.values()))
        self.inbound: int = len(self.peers) - self.selection.dialled
        self._explore_tenure = explore_tenure
        self._incumbents = incumbents

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
            spec.name: assign(
                spec,
                self.sharing[spec.name],
                self.values[spec.name],
                incumbents=self._incumbents.get(spec.name, frozenset()),
                is_new=lambda peer: self.tenure(peer) < self._explore_tenure,
            )
            for spec in self.specs
        }

    @cached_property
    def core_networks(self) -> dict[str, frozenset[bytes | None]]:
        """The networks of the peers with core slots, for each capability."""
        return {name: core_networks(self.sharing[name], slots) for name, slots in self.slots.items()}

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

    def margin(self, node_id: bytes, average: float) -> float:
        """What an exchange has to gain for this peer to be dropped. `average`: the value of the set for each place of the budget."""
        return max(MARGIN_OF_SET * average, MARGIN_OF_PEER * self.selection.marginal(node_id))

    def may_replace(self, enters: Item, leaves: Item) -> bool:
        """Whether one may be exchanged for the other without a loss that no gain makes up for."""
        return self.keeps_diversity(enters, leaves)

    def keeps_minimums(self, enters: Item | None, leaves: Item) -> bool:
        """Whether no capability is left with less than its minimum, or with still less; what another one gets does not make up for it."""
        kept = enters.serves if enters is not None else 0
        lost = leaves.serves & ~kept
        return not any(lost >> index & 1 and self.selection.serving[index] <= spec.minimum for index, spec in enumerate(self.specs))

    def keeps_diversity(self, enters: Item, leaves: Item) -> bool:
        """Whether one who enters fills the diverse slots of the one who leaves."""
        for index, spec in enumerate(self.specs):
            if self.slots[spec.name].get(leaves.id) is SlotClass.DIVERSE:
                networks = self.core_networks[spec.name]
                if not enters.serves >> index & 1 or (enters.network is not None and enters.network in networks):
                    return False
        return True


def item_of_peer(rules: Rules, peer: SlotPeer) -> Item:
    """A peer as a connection of a set."""
    values = [expected(peer.standings[spec.name], inbound=peer.inbound) if spec.name in peer.standings else 0.0 for spec in rules.specs]
    serves = sum(1 << index for index, spec in enumerate(rules.specs) if spec.name in peer.standings)
    return Item(peer.id, tuple(values), serves, not peer.inbound, peer.network)


def item_of_candidate(rules: Rules, candidate: SlotCandidate, bonus: float = 0.0) -> Item:
    """A candidate as a connection of a set; `bonus` is added to what it is taken for."""
    known = candidate.standings
    values = [expected(known[spec.name], inbound=False) + bonus if spec.name in known else 0.0 for spec in rules.specs]
    serves = sum(1 << index for index, spec in enumerate(rules.specs) if spec.name in known)
    return Item(candidate.id, tuple(values), serves, dialled=True, network=candidate.network)


def ranked(rules: Rules, candidates: Sequence[SlotCandidate], random: Callable[[], float], count: int | None = None) -> list[list[int]]:
    """For each capability the candidates that may have it, best first, by their place in `candidates`; by default all of them.

    Among equals those go first that are worth more in all, and then chance decides.
    """
    entries: list[list[tuple[float, float, float, int]]] = [[] for _ in rules.specs]
    weights = [(index, spec.name, spec.weight) for index, spec in enumerate(rules.specs)]
    for number, candidate in enumerate(candidates):
        known = candidate.standings
        values: list[tuple[int, float]] = []
        total = 0.0
        for index, name, weight in weights:
            if name in known:
                quantile = known[name].quantile
                value = NEWCOMER_DIALLED if quantile is None else quantile
                values.append((index, value))
                total += weight * value
        chance = random()
        for index, value in values:
            entries[index].append((value, total, chance, number))
    best = [sorted(some, reverse=True) if count is None else heapq.nlargest(count, some) for some in entries]
    return [[number for _, _, _, number in some] for some in best]


def shortlist(
    rules: Rules, candidates: Sequence[SlotCandidate], random: Callable[[], float], count: int = BEST
) -> dict[bytes, SlotCandidate]:
    """The best candidates of each capability (see `ranked`)."""
    best = dict.fromkeys(number for some in ranked(rules, candidates, random, count) for number in some)  # the order is chance's too
    return {candidates[number].id: candidates[number] for number in best}
