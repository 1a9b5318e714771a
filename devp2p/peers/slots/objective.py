"""What a set of peers is worth, and which one change makes it worth most (pure; no time, no randomness).

The value of a set Y is

    F(Y) = sum over capabilities p of weight_p * (the slots_p best values of Y in p)  -  sum of costs

of which at most inbound_p of the best may be peers that dialled us. One connection can fill a slot in every capability that it shares, so
this is no matching; and if there are fewer places than slots it is NP-hard (with one slot each and values 0 and 1 it is maximum
coverage). But F is monotone and submodular, before costs: it is a sum of weighted matroid ranks. So taking the best addition
again and again, and then the best exchange of one for one until none helps, comes close (see `slot_search`).

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
from math import inf
from typing import Final

from devp2p.peers.slots.values import SlotSpec

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


@dataclass(frozen=True, slots=True)
class Exchange:
    """One change of a set: what it brings."""

    enters: Item
    leaves: Item | None
    gain: float
    shortfall: int
    """By how much the shortfall grows; less than zero if it shrinks."""


class _Ladder:
    """One capability of a set: who counts in it, and what it takes to count."""

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
        after = freed if len(top) == slots else 0.0  # with slots to spare, whoever is next takes one, and there is another
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
    """A set of connections that is changed one at a time."""

    def __init__(self, rules: Rules, items: Iterable[Item] = ()) -> None:
        self.rules = rules
        self._weights = [spec.weight for spec in rules.specs]
        self._items: dict[bytes, Item] = {}
        self._networks: Counter[bytes] = Counter()
        self.serving: list[int] = [0] * len(rules.specs)
        """How many have each capability."""
        self.dialled: int = 0
        """How many we dialled."""
        self._ladders: list[_Ladder] | None = None
        for item in items:
            self.add(item)

    def __len__(self) -> int:
        return len(self._items)

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

    def add(self, item: Item) -> None:
        """One more."""
        self._items[item.id] = item
        self._count(item, 1)

    def remove(self, node_id: bytes) -> None:
        """One less."""
        self._count(self._items.pop(node_id), -1)

    def _count(self, item: Item, one: int) -> None:
        self._ladders = None
        if item.network is not None:
            self._networks[item.network] += one
        self.dialled += one if item.dialled else 0
        for index in range(len(self.serving)):
            self.serving[index] += one if item.serves >> index & 1 else 0

    # What it is worth

    @property
    def value(self) -> float:
        """F of the set."""
        totals = sum(weight * ladder.total for weight, ladder in zip(self._weights, self._measured(), strict=True))
        return totals - sum(item.cost for item in self._items.values())

    def value_in(self, index: int) -> float:
        """What one capability adds to it."""
        return self._weights[index] * self._measured()[index].total

    @property
    def shortfall(self) -> int:
        """What the set lacks of the dialled floor and of the minimums."""
        lacking = max(0, self.rules.dialled_floor - self.dialled)
        return lacking + sum(max(0, spec.minimum - count) for spec, count in zip(self.rules.specs, self.serving, strict=True))

    def marginal(self, node_id: bytes) -> float:
        """How much less the set is worth without a peer: F(Y) - F(Y without it)."""
        ladders = self._measured()
        loss = sum(weight * ladder.losses.get(node_id, 0.0) for weight, ladder in zip(self._weights, ladders, strict=True))
        return loss - self._items[node_id].cost

    def gain(self, item: Item) -> float:
        """How much more the set is worth with one more: F(Y with it) - F(Y)."""
        side = 0 if item.dialled else 1
        return self._gain(item.values, [ladder.thresholds[0][side] for ladder in self._measured()]) - item.cost

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

    def best_addition(self, candidates: Iterable[Item], *, reserve: int = 0, by_need: bool = True) -> Exchange | None:
        """The best candidate to add, if any adds something. `reserve`: places that inbound ones leave to those we dial."""
        best: Exchange | None = None
        places = self.rules.budget - len(self._items)
        for item in candidates:
            if item.id in self._items or not self.has_room_for(item):
                continue
            if not item.dialled and places <= reserve - self.dialled:
                continue
            found = Exchange(item, None, self.gain(item), self.shortfall_by(item, None) if by_need else 0)
            if (found.shortfall < 0 or found.gain > EPSILON) and (best is None or _is_better(found, best)):
                best = found
        return best if places > 0 else None

    def best_swap(
        self,
        candidates: Sequence[Item],
        margins: Mapping[bytes, float] | None = None,
        allowed: Callable[[Item, Item], bool] | None = None,
    ) -> Exchange | None:
        """The exchange of one for one that gains most without making the shortfall grow; or None.

        `margins`: who may leave, and what an exchange for it has to gain at least; by default everybody, for any gain. `allowed`: whether
        one may enter for one that leaves.
        """
        best: Exchange | None = None
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
                    best, most = Exchange(item, leaves, gain, 0), gain
                    break
        return best

    def best_repair(
        self, candidates: Iterable[Item], removable: Collection[bytes] | None = None, allowed: Callable[[Item, Item], bool] | None = None
    ) -> Exchange | None:
        """The exchange that makes the shortfall shrink most, and among those the one that is worth most; or None."""
        if not self.shortfall:
            return None
        best: Exchange | None = None
        for item in candidates:
            if item.id in self._items or self.shortfall_by(item, None) >= 0:
                continue
            for leaves in self._items.values():
                if removable is not None and leaves.id not in removable:
                    continue
                less = self.shortfall_by(item, leaves)
                if less >= 0 or (best is not None and less > best.shortfall) or not self.has_room_for(item, leaves):
                    continue
                found = Exchange(item, leaves, self.swap_gain(item, leaves), less)
                if (best is None or _is_better(found, best)) and (allowed is None or allowed(item, leaves)):
                    best = found
        return best

    def swap_gain(self, enters: Item, leaves: Item) -> float:
        """F(Y with one instead of the other) - F(Y)."""
        side = 0 if enters.dialled else 1
        thresholds = [ladder.thresholds[ladder.cases.get(leaves.id, 0)][side] for ladder in self._measured()]
        return self._gain(enters.values, thresholds) - enters.cost - self.marginal(leaves.id)

    def _patterns(self, margins: Mapping[bytes, float] | None) -> list[tuple[tuple[list[float], list[float]], list[tuple[float, Item]]]]:
        """Those who may leave, least loss first, by what somebody has to pass who comes instead (dialled, inbound)."""
        ladders = self._measured()
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

    def _measured(self) -> list[_Ladder]:
        if self._ladders is None:
            rules = self.rules
            self._ladders = [_Ladder(index, self._items.values(), spec.slots, rules.quota(index)) for index, spec in enumerate(rules.specs)]
        return self._ladders


def _is_better(new: Exchange, old: Exchange) -> bool:
    return (-new.shortfall, new.gain) > (-old.shortfall, old.gain)
