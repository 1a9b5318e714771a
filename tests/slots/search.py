"""The best set of peers that can be found at once: what the sets that the policy comes to are compared with.

The policy goes the same way one step at a time: it adds whoever adds most, and then exchanges one for one. Where it ends, and where a
longer search ends, is compared with the best of all possible sets.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from devp2p.peers.slots.dials import shortlist
from devp2p.peers.slots.objective import EPSILON, Item, Rules, Selection, item_of_candidate
from devp2p.peers.slots.policy import Slots
from devp2p.peers.slots.values import SlotCandidate, SlotPeer

STARTS: Final = 32
"""With how many items a thorough search begins in turn."""


def climb(rules: Rules, items: Sequence[Item]) -> Selection:
    """Greedy, twice (first what is lacking, or first what is worth most), then exchanges of one for one until none helps.

    Less shortfall goes before more value; the better of both results counts.
    """
    reserve = _reserve(rules, items)
    found = [_improved(_filled(Selection(rules), items, reserve, by_need=by_need), items, reserve) for by_need in _ways(rules)]
    return max(found, key=_merit)


def solve(rules: Rules, items: Sequence[Item]) -> Selection:
    """The same, and to get out of dead ends, again without each member in turn, and beginning with each of `STARTS` others.

    This takes as many times longer as there are members and starts.
    """
    reserve = _reserve(rules, items)
    best = climb(rules, items)
    for item in list(best.items):
        trial = Selection(rules, (other for other in best.items if other is not item))
        trial = _improved(trial, [other for other in items if other is not item], reserve)
        best = max(best, _improved(trial, items, reserve), key=_merit)
    empty = Selection(rules)
    others = [item for item in items if item.id not in best and empty.has_room_for(item) and (item.dialled or rules.budget > reserve)]
    for item in heapq.nlargest(STARTS, others, key=lambda item: (-empty.shortfall_by(item, None), empty.gain(item))):
        for by_need in _ways(rules):
            trial = _filled(Selection(rules, [item]), items, reserve, by_need=by_need)
            best = max(best, _improved(trial, items, reserve), key=_merit)
    return best


def reachable(
    slots: Slots, peers: Sequence[SlotPeer], candidates: Sequence[SlotCandidate], now: float, random: Callable[[], float]
) -> float:
    """What the best set that can be found among peers and candidates is expected to be worth to a policy."""
    lineup = slots._lineup(peers, now)
    best = shortlist(slots.rules, slots._usable(lineup, candidates), random)
    items = [*lineup.selection.items, *(item_of_candidate(slots.rules, candidate) for candidate in best.values())]
    return climb(slots.rules, items).value


def exchanged(selection: Selection, enters: Item, leaves: Item | None) -> Selection:
    """The set after a change."""
    return Selection(selection.rules, (*(item for item in selection.items if item is not leaves), enters))


def _best_addition(selection: Selection, candidates: Iterable[Item], reserve: int, *, by_need: bool = True) -> Item | None:
    """The best candidate to add, if any adds something. `reserve`: places that inbound ones leave to those we dial."""
    best: Item | None = None
    most = (0, 0.0)
    places = selection.rules.budget - len(selection.items)
    for item in candidates if places > 0 else ():
        if item.id in selection or not selection.has_room_for(item):
            continue
        if not item.dialled and places <= reserve - selection.dialled:
            continue
        less, gain = -selection.shortfall_by(item, None) if by_need else 0, selection.gain(item)
        if (less > 0 or gain > EPSILON) and (best is None or (less, gain) > most):
            best, most = item, (less, gain)
    return best


def _ways(rules: Rules) -> tuple[bool, ...]:
    """Whether to take first what is lacking; both are tried where something can be."""
    return (True, False) if rules.dialled_floor or any(spec.minimum for spec in rules.specs) else (False,)


def _merit(selection: Selection) -> tuple[int, float]:
    return -selection.shortfall, selection.value


def _filled(selection: Selection, items: Sequence[Item], reserve: int, *, by_need: bool) -> Selection:
    while (best := _best_addition(selection, items, reserve, by_need=by_need)) is not None:
        selection = exchanged(selection, best, None)
    return selection


def _improved(selection: Selection, items: Sequence[Item], reserve: int) -> Selection:
    while True:
        if (added := _best_addition(selection, items, reserve)) is not None:
            selection = exchanged(selection, added, None)
        elif (found := selection.best_repair(items) or selection.best_swap(items)) is not None:
            selection = exchanged(selection, found.enters, found.leaves)
        else:
            return selection


def _reserve(rules: Rules, items: Iterable[Item]) -> int:
    """How many places are kept for dialled ones: no more than there can be."""
    networks = Counter(item.network for item in items if item.dialled)
    cap = rules.network_cap
    most = sum(count if network is None or cap is None else min(count, cap) for network, count in networks.items())
    return min(rules.dialled_floor, most)
