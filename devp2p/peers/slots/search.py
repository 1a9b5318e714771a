"""The best set of peers that can be found at once, for judging the one that there is (pure).

The policy goes the same way one step at a time: it adds whoever adds most, and then exchanges one for one. Where it ends, and where a
longer search ends, is what the tests compare with the best of all possible sets.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from devp2p.peers.slots.objective import Item, Rules, Selection

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


def _ways(rules: Rules) -> tuple[bool, ...]:
    """Whether to take first what is lacking; both are tried where something can be."""
    return (True, False) if rules.dialled_floor or any(spec.minimum for spec in rules.specs) else (False,)


def _merit(selection: Selection) -> tuple[int, float]:
    return -selection.shortfall, selection.value


def _filled(selection: Selection, items: Sequence[Item], reserve: int, *, by_need: bool) -> Selection:
    while (best := selection.best_addition(items, reserve=reserve, by_need=by_need)) is not None:
        selection.add(best.enters)
    return selection


def _improved(selection: Selection, items: Sequence[Item], reserve: int) -> Selection:
    while True:
        best = selection.best_addition(items, reserve=reserve) or selection.best_repair(items) or selection.best_swap(items)
        if best is None:
            return selection
        if best.leaves is not None:
            selection.remove(best.leaves.id)
        selection.add(best.enters)


def _reserve(rules: Rules, items: Iterable[Item]) -> int:
    """How many places are kept for dialled ones: no more than there can be."""
    networks = Counter(item.network for item in items if item.dialled)
    cap = rules.network_cap
    most = sum(count if network is None or cap is None else min(count, cap) for network, count in networks.items())
    return min(rules.dialled_floor, most)
