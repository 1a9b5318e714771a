"""Which node to dial for a free place (pure).

First those that were our best before a restart; then what a capability lacks of its minimum; then, at random, one for an explore slot;
then the one that promises most. Only here do candidates that were seldom tried get the benefit of the doubt (an upper
confidence bound). Inbound peers never do: new identities cost nothing, so it would reward those who make many.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from devp2p.peers.slots.lineup import Lineup
from devp2p.peers.slots.objective import EPSILON, NEWCOMER_DIALLED, Item, Rules, Selection, item_of_candidate
from devp2p.peers.slots.values import Dial, SlotCandidate, SlotClass

BEST: Final = 32
"""Candidates of each capability that are looked at."""
OPTIMISM: Final = 0.3
"""The factor of the bonus of candidates that were seldom tried."""


def shuffled(candidates: Sequence[SlotCandidate], random: Callable[[], float]) -> list[SlotCandidate]:
    """The same in random order."""
    return sorted(candidates, key=lambda _: random())


def ranked(rules: Rules, candidates: Sequence[SlotCandidate], random: Callable[[], float], count: int | None = None) -> list[list[int]]:
    """For each capability the candidates that may have it, best first, by their place in `candidates`; by default all of them.

    Among equals those go first that are worth more in all, and then at random.
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
    best = dict.fromkeys(number for some in ranked(rules, candidates, random, count) for number in some)  # in random order, too
    return {candidates[number].id: candidates[number] for number in best}


class Choice:
    """Peers and candidates as they were at one moment, from which one after the other is chosen to be dialled.

    To rank all candidates takes long if there are many, so it is done once, and not for each dial.
    """

    def __init__(self, lineup: Lineup, usable: Sequence[SlotCandidate], random: Callable[[], float]) -> None:
        if lineup.selection.is_crowded:
            usable = [c for c in usable if lineup.selection.has_room_for(item_of_candidate(lineup.rules, c))]
        self.lineup: Lineup = lineup
        """The peers."""
        self._awaited: tuple[Item, ...] = ()
        self._filled = lineup.selection  # the peers, and those of the nodes dialled that will probably come
        self._random = random
        self._left = {candidate.id: candidate for candidate in usable}
        self._anchors = [candidate for candidate in usable if candidate.anchor]
        self._ranked = [[usable[number] for number in some] for some in ranked(lineup.rules, usable, random)]

    def leave_out(self, node_id: bytes) -> None:
        """A candidate is not, or no longer, to be dialled."""
        self._left.pop(node_id, None)

    def item(self, node_id: bytes) -> Item:
        """A candidate that was not left out, as a connection of a set."""
        return item_of_candidate(self.lineup.rules, self._left[node_id])

    def next(self, waiting: int, awaited: Sequence[Item], dials: int) -> Dial | None:
        """Which node to dial, if any is of use. `dials`: all that there ever were.

        `waiting`: dials under way that will probably succeed; `awaited`: what is known of those. The slots that they will fill are not
        dialled for again.
        """
        lineup, random = self.lineup, self._random
        if self._awaited != (awaited := tuple(awaited)):
            self._awaited = awaited
            self._filled = Selection(
                lineup.rules, (*lineup.selection.items, *(item for item in awaited if item.id not in lineup.selection))
            )
        self._anchors = [candidate for candidate in self._anchors if candidate.id in self._left]
        if self._anchors:
            return Dial(shuffled(self._anchors, random)[0].id, "it was one of our best before the restart")
        best = self._best()
        items = {node_id: item_of_candidate(lineup.rules, candidate) for node_id, candidate in best.items()}
        lacking = self._filled.lacks()
        needed = [best[node_id] for node_id, item in items.items() if item.serves & lacking]
        if needed:
            return self._most_promising(needed, dials, "a capability has fewer peers than its minimum")
        for spec in lineup.specs:
            filled = lineup.filled(spec.name)
            full = filled[SlotClass.CORE] + filled[SlotClass.DIVERSE] >= spec.core + spec.diverse
            explores = full and filled[SlotClass.EXPLORE] + waiting < spec.explore
            drawn = [c for c in self._left.values() if spec.name in c.standings] if explores else []
            if drawn:
                return Dial(drawn[int(random() * len(drawn))].id, f"it was chosen at random for an explore slot of {spec.name}")
        gaining = [best[node_id] for node_id, item in items.items() if self._filled.gain(item) > EPSILON]
        if gaining:
            return self._most_promising(gaining, dials, "of the candidates it promises most")
        if best and lineup.selection.dialled + waiting < lineup.rules.dialled_floor:
            why = f"{lineup.rules.dialled_floor} peers are to be ones that we dialled"
            return self._most_promising(list(best.values()), dials, why)
        return None

    def _best(self) -> dict[bytes, SlotCandidate]:
        """The best of each capability, of those that are left."""
        best: dict[bytes, SlotCandidate] = {}
        for some in self._ranked:
            found = list(islice((candidate for candidate in some if candidate.id in self._left), BEST))
            best.update((candidate.id, candidate) for candidate in found)
        return best

    def _most_promising(self, candidates: Sequence[SlotCandidate], dials: int, why: str) -> Dial:
        tried = math.log(1 + dials)
        sources: Counter[str] = Counter(candidate.source for candidate in candidates)

        def promise(candidate: SlotCandidate) -> tuple[float, bool, int, float]:
            sessions = max((standing.sessions for standing in candidate.standings.values()), default=0)
            bonus = OPTIMISM * math.sqrt(tried / max(1, candidate.tries, sessions))
            gain = self._filled.gain(item_of_candidate(self.lineup.rules, candidate, bonus))
            return round(gain, 9), candidate.preferred, -sources[candidate.source], self._random()

        return Dial(max(candidates, key=promise).id, why)
