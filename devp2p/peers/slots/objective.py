"""What a set of peers is worth, and which one change makes it worth most (pure; no time, no randomness).

The value of a set Y is

    F(Y) = sum over capabilities p of weight_p * (the slots_p best values of Y in p)  -  sum of costs

of which at most inbound_p of the best may be peers that dialled us. One connection can fill a slot in every capability that it shares, so
this is no matching; and if there are fewer places than slots it is NP-hard (with one slot each and values 0 and 1 it is maximum
coverage). But F is monotone and submodular, before costs: it is a sum of weighted matroid ranks. So taking the best addition
again and again, and then the best replacement of one for one until none helps, comes close to the best of all sets.

Bounds. A set has at most `budget` peers, and at most `network_cap` of one network. It is to have `dialled_floor` peers that we dialled, and
`minimum` for each capability: what it lacks of these is its shortfall, and less shortfall goes before more value.

Theory of operation. For each capability the peers are sorted once. From that follow, for each peer, its loss (how much less the
capability is worth without it) and the threshold that a newcomer has to pass if that peer leaves. There are four cases for a peer and a
capability, so few patterns of cases occur among the peers: the gain of a newcomer is computed once for each pattern, and then the peer with
the least loss is the one to leave.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Final

from devp2p.peers.ratings import Standing
from devp2p.peers.slots.values import SlotCandidate, SlotPeer, SlotSpec

NEWCOMER_INBOUND: Final = 0.25
"""What an inbound peer is taken for while it is not rated. Not more: new identities cost nothing."""
NEWCOMER_DIALLED: Final = 0.5
"""The same for one that we chose to dial: any peer."""
MARGIN_OF_SET: Final = 0.05
"""What is clearly better gains this part of what an average peer adds,"""
MARGIN_OF_PEER: Final = 0.10
"""and this part of what the peer adds that leaves, or whose slot is taken."""
EPSILON: Final = 1e-9
"""A difference in value below this is none."""


@dataclass(frozen=True, slots=True)
class Item:
    """One connection, or one that there might be."""

    id: bytes
    values: tuple[float, ...]
    """What it is worth to each capability, 0 or more, in the order of `Rules.specs`."""
    serves: int
    """Which capabilities it has, as bits in that order."""
    dialled: bool = True
    network: bytes | None = None
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Rules:
    """The bounds of a set."""

    specs: tuple[SlotSpec, ...]
    budget: int
    network_cap: int | None = None
    dialled_floor: int = 0
    inbound_quota: tuple[int, ...] | None = None
    """How many inbound peers count in each capability; by default all."""
    spare: int = 0
    """Places that the policy leaves free for inbound peers; of no concern here, as the next."""
    dialled_cap: int = 2**31
    """How many peers the policy dials at most."""

    def quota(self, index: int) -> int:
        """How many inbound peers count in a capability."""
        return self.specs[index].slots if self.inbound_quota is None else self.inbound_quota[index]


def expected(standing: Standing, *, inbound: bool) -> float:
    """What a peer is taken for in a capability, 0 to 1."""
    if standing.quantile is not None:
        return standing.quantile
    return NEWCOMER_INBOUND if inbound else NEWCOMER_DIALLED


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


def clear_gain(average: float, value: float) -> float:
    """By how much another one has to be better than a peer that adds `value`, lest peers change places for next to nothing.

    `average`: what one peer of the set adds.
    """
    return max(MARGIN_OF_SET * average, MARGIN_OF_PEER * value)


@dataclass(frozen=True, slots=True)
class Replacement:
    """One connection instead of another: what it brings."""

    enters: Item
    leaves: Item
    gain: float
    shortfall: int
    """By how much the shortfall grows; less than zero if it shrinks."""


class _Ladder:
    """One capability of a set: which peers count in it, and what it takes to count."""

    __slots__ = ("cases", "losses", "thresholds", "total")

    def __init__(self, index: int, items: Iterable[Item], slots: int, quota: int) -> None:
        bit = 1 << index
        ranked = sorted((-item.values[index], item.id, item.dialled) for item in items if item.serves & bit)
        top: list[tuple[float, bytes, bool]] = []  # those that count
        beyond: list[bytes] = []  # inbound ones that would count if a slot were free
        following = 0.0  # the best that has no slot, but could have one
        inbound, last_inbound, next_inbound = 0, inf if not quota else 0.0, 0.0
        for entry in ranked:
            value, node_id, dialled = entry
            if not dialled:
                if inbound == quota:
                    next_inbound = max(next_inbound, -value)
                    continue
                inbound += 1
                last_inbound = -value if inbound == quota else 0.0
            if len(top) < slots:
                top.append(entry)
            else:
                following = max(following, -value)
                if not dialled:
                    beyond.append(node_id)
        entry_value = -top[-1][0] if len(top) == slots else 0.0
        self.total = -sum(value for value, _, _ in top)
        # (for one that we dial, for one that dials us) if there leaves: one that does not count; an inbound one that has its share, but
        # no slot; a dialled one that counts; an inbound one that counts.
        freed = max(following, next_inbound)
        after = freed if len(top) == slots else 0.0  # with slots to spare, the next peer takes one, and there is another
        self.thresholds = (
            (entry_value, max(entry_value, last_inbound)),
            (entry_value, max(entry_value, next_inbound)),
            (following, max(following, last_inbound)),
            (after, max(after, next_inbound)),
        )
        self.cases: dict[bytes, int] = dict.fromkeys(beyond, 1)
        self.losses: dict[bytes, float] = {}
        for value, node_id, dialled in top:
            self.cases[node_id] = 2 if dialled else 3
            self.losses[node_id] = -value - (following if dialled else freed)


class Selection:
    """A set of connections."""

    def __init__(self, rules: Rules, items: Iterable[Item] = ()) -> None:
        self.rules = rules
        self._weights = [spec.weight for spec in rules.specs]
        self._items: dict[bytes, Item] = {item.id: item for item in items}
        self._networks = Counter(item.network for item in self._items.values() if item.network is not None)
        self.serving: list[int] = [sum(item.serves >> index & 1 for item in self._items.values()) for index in range(len(rules.specs))]
        """How many have each capability."""
        self.dialled: int = sum(item.dialled for item in self._items.values())
        """How many we dialled."""

    def __contains__(self, node_id: bytes) -> bool:
        return node_id in self._items

    def get(self, node_id: bytes) -> Item | None:
        """A connection of the set."""
        return self._items.get(node_id)

    def worth(self, node_id: bytes, index: int) -> float:
        """What a connection of the set is worth to a capability."""
        return self._items[node_id].values[index]

    @property
    def items(self) -> Collection[Item]:
        """All connections of the set."""
        return self._items.values()

    @cached_property
    def _ladders(self) -> list[_Ladder]:
        rules = self.rules
        return [_Ladder(index, self._items.values(), spec.slots, rules.quota(index)) for index, spec in enumerate(rules.specs)]

    # What it is worth

    @property
    def value(self) -> float:
        """F of the set."""
        totals = sum(weight * ladder.total for weight, ladder in zip(self._weights, self._ladders, strict=True))
        return totals - sum(item.cost for item in self._items.values())

    def value_in(self, index: int) -> float:
        """What one capability adds to it."""
        return self._weights[index] * self._ladders[index].total

    @property
    def shortfall(self) -> int:
        """What the set lacks of the dialled floor and of the minimums."""
        lacking = max(0, self.rules.dialled_floor - self.dialled)
        return lacking + sum(max(0, spec.minimum - count) for spec, count in zip(self.rules.specs, self.serving, strict=True))

    def marginal(self, node_id: bytes) -> float:
        """How much less the set is worth without a peer: F(Y) - F(Y without it)."""
        loss = sum(weight * ladder.losses.get(node_id, 0.0) for weight, ladder in zip(self._weights, self._ladders, strict=True))
        return loss - self._items[node_id].cost

    def gain(self, item: Item) -> float:
        """How much more the set is worth with one more: F(Y with it) - F(Y)."""
        side = 0 if item.dialled else 1
        return self._gain(item.values, [ladder.thresholds[0][side] for ladder in self._ladders]) - item.cost

    def lacks(self) -> int:
        """The capabilities that have less than their minimum, as bits."""
        return sum(1 << index for index, spec in enumerate(self.rules.specs) if self.serving[index] < spec.minimum)

    # What can be changed

    @property
    def is_crowded(self) -> bool:
        """Whether any network has as many peers as it may have."""
        cap = self.rules.network_cap
        return cap is not None and any(count >= cap for count in self._networks.values())

    def has_room_for(self, enters: Item, leaves: Item | None = None) -> bool:
        """Whether the network cap allows a change."""
        cap = self.rules.network_cap
        if cap is None or enters.network is None:
            return True
        return self._networks[enters.network] - (leaves is not None and leaves.network == enters.network) < cap

    def shortfall_by(self, enters: Item | None, leaves: Item | None) -> int:
        """By how much a change makes the shortfall grow."""
        came = enters.serves if enters is not None else 0
        left = leaves.serves if leaves is not None else 0
        grown = 0
        for index, spec in enumerate(self.rules.specs):
            count = self.serving[index]
            if spec.minimum and (came ^ left) >> index & 1:
                grown += -(count < spec.minimum) if came >> index & 1 else count <= spec.minimum
        dialled = (enters is not None and enters.dialled) - (leaves is not None and leaves.dialled)
        floor = self.rules.dialled_floor
        return grown + max(0, floor - self.dialled - dialled) - max(0, floor - self.dialled)

    def best_swap(
        self,
        candidates: Sequence[Item],
        margins: Mapping[bytes, float] | None = None,
        allowed: Callable[[Item, Item], bool] | None = None,
    ) -> Replacement | None:
        """The replacement of one for one that gains most without making the shortfall grow; or None.

        `margins`: which peers may leave, and what replacing one has to gain at least; by default all, for any gain. `allowed`: whether
        one may enter for one that leaves.
        """
        best: Replacement | None = None
        most = EPSILON
        for thresholds, members in self._patterns(margins):
            least = members[0][0]
            for item in candidates:
                if item.id in self._items:
                    continue
                worth = self._gain(item.values, thresholds[0 if item.dialled else 1]) - item.cost
                if worth - least <= most:
                    continue
                for loss, leaves in members:
                    gain = worth - loss
                    if gain <= most:
                        break
                    if margins is not None and gain < margins[leaves.id]:
                        continue
                    if not self.has_room_for(item, leaves) or self.shortfall_by(item, leaves) > 0:
                        continue
                    if allowed is not None and not allowed(item, leaves):
                        continue
                    best, most = Replacement(item, leaves, gain, 0), gain
                    break
        return best

    def best_repair(
        self, candidates: Iterable[Item], removable: Collection[bytes] | None = None, allowed: Callable[[Item, Item], bool] | None = None
    ) -> Replacement | None:
        """The replacement that makes the shortfall shrink most, and among those the one that is worth most; or None."""
        if not self.shortfall:
            return None
        best: Replacement | None = None
        for item in candidates:
            if item.id in self._items or self.shortfall_by(item, None) >= 0:
                continue
            for leaves in self._items.values():
                if removable is not None and leaves.id not in removable:
                    continue
                less = self.shortfall_by(item, leaves)
                if less >= 0 or (best is not None and less > best.shortfall) or not self.has_room_for(item, leaves):
                    continue
                found = Replacement(item, leaves, self.swap_gain(item, leaves), less)
                if (best is None or _is_better(found, best)) and (allowed is None or allowed(item, leaves)):
                    best = found
        return best

    def swap_gain(self, enters: Item, leaves: Item) -> float:
        """F(Y with one instead of the other) - F(Y)."""
        side = 0 if enters.dialled else 1
        thresholds = [ladder.thresholds[ladder.cases.get(leaves.id, 0)][side] for ladder in self._ladders]
        return self._gain(enters.values, thresholds) - enters.cost - self.marginal(leaves.id)

    def _patterns(self, margins: Mapping[bytes, float] | None) -> list[tuple[tuple[list[float], list[float]], list[tuple[float, Item]]]]:
        """The peers that may leave, least loss first, by what another one has to pass that comes instead (dialled, inbound)."""
        ladders = self._ladders
        groups: dict[tuple[int, ...], list[tuple[float, Item]]] = {}
        for item in self._items.values():
            if margins is None or item.id in margins:
                pattern = tuple([ladder.cases.get(item.id, 0) for ladder in ladders])
                groups.setdefault(pattern, []).append((self.marginal(item.id), item))
        found: list[tuple[tuple[list[float], list[float]], list[tuple[float, Item]]]] = []
        for pattern, members in groups.items():
            members.sort(key=lambda member: (member[0], member[1].id))
            both = [ladder.thresholds[case] for ladder, case in zip(ladders, pattern, strict=True)]
            found.append((([dialled for dialled, _ in both], [inbound for _, inbound in both]), members))
        found.sort(key=lambda group: group[1][0][0])
        return found

    def _gain(self, values: Sequence[float], thresholds: Sequence[float]) -> float:
        gain = 0.0
        for weight, value, threshold in zip(self._weights, values, thresholds, strict=True):
            if value > threshold:
                gain += weight * (value - threshold)
        return gain


def _is_better(new: Replacement, old: Replacement) -> bool:
    return (-new.shortfall, new.gain) > (-old.shortfall, old.gain)
