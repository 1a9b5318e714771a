"""The replacements that the policy may make at a tick, each in the order in which it is looked for (pure).

None of these ends a session because of bad conduct: that is `peers.slots`'s, and not subject to what holds here.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from devp2p.peers.ratings import Standing
from devp2p.peers.slots.dials import shuffled
from devp2p.peers.slots.lineup import EXPLORE_TENURE, TENURE, Lineup
from devp2p.peers.slots.objective import Item, Replacement, clear_gain, item_of_candidate
from devp2p.peers.slots.values import Graft, SlotCandidate, SlotClass, SlotPeer, SlotSpec, Swap

_DRAWN: Final = 4  # candidates that are tried, if the first ones are of networks that have enough peers

Random = Callable[[], float]
Margins = dict[bytes, float]
"""Which peers may be replaced, and what that has to gain."""


def margins_of(lineup: Lineup, taken: frozenset[bytes]) -> Margins:
    """Which peers may be replaced at all, with the gain that it takes. `taken`: those whose replacement is under way."""
    only_dialled = lineup.selection.dialled >= lineup.rules.dialled_cap
    average = lineup.selection.value / max(1, lineup.rules.budget)
    return {
        peer.id: clear_gain(average, lineup.selection.marginal(peer.id))
        for peer in lineup.peers.values()
        if _may_go(lineup, peer) and peer.id not in taken and not (only_dialled and peer.inbound)
    }


def keeps_minimums(lineup: Lineup, enters: Item | None, leaves: Item) -> bool:
    """Whether no capability is left with less than its minimum, or with still less; what another one gets does not make up for it."""
    kept = enters.serves if enters is not None else 0
    lost = leaves.serves & ~kept
    return not any(lost >> index & 1 and lineup.selection.serving[index] <= spec.minimum for index, spec in enumerate(lineup.specs))


def repair(lineup: Lineup, items: Sequence[Item], margins: Margins) -> Swap | None:
    """What a capability lacks of its minimum is not bargained about."""
    found = lineup.selection.best_repair(items, margins, partial(keeps_minimums, lineup))
    if found is None:
        return None
    lacks = lineup.selection.lacks()
    lacking = [spec.name for index, spec in enumerate(lineup.specs) if lacks >> index & 1]
    why = f"{', '.join(lacking)} has fewer peers than its minimum" if lacking else "too few peers are ones that we dialled"
    return Swap(found.enters.id, found.leaves.id, why, found.gain)


def better(lineup: Lineup, items: Sequence[Item], margins: Margins) -> Swap | None:
    """A replacement that is clearly for the better."""
    found = lineup.selection.best_swap(items, margins, partial(_keeps_diversity, lineup))
    if found is None:
        return None
    return Swap(found.enters.id, found.leaves.id, _why_better(lineup, found), found.gain)


def graft(  # noqa: PLR0913, PLR0917  (one call)
    lineup: Lineup, spec: SlotSpec, candidates: Sequence[SlotCandidate], margins: Margins, free: int, random: Random
) -> Graft | None:
    """A better peer for a capability whose peers are all poor: one that is known to be good, or else one of which nothing is known.

    The slightly less poor come last: there are always some, if only by chance, and they would leave no place for any other.
    """
    median = lineup.median(spec.name)
    if median is None or median >= spec.floor:
        return None
    sharing = [candidate for candidate in candidates if spec.name in candidate.standings]
    rated = sorted(((rating, c) for c in sharing if (rating := c.standings[spec.name].rating) is not None), key=lambda pair: -pair[0])
    good = [candidate for rating, candidate in rated if rating >= spec.floor]
    fair = [candidate for rating, candidate in rated if median < rating < spec.floor]
    unknown = shuffled([candidate for candidate in sharing if candidate.standings[spec.name].rating is None], random)
    why = f"the median rating in {spec.name} is {median:.2f}, below {spec.floor:g}"
    for candidate in good[:_DRAWN] + unknown[:_DRAWN] + fair[:_DRAWN]:
        item = item_of_candidate(lineup.rules, candidate)
        if free > 0 and lineup.selection.has_room_for(item):
            return Graft(candidate.id, None, spec.name, why)
        poor = [peer for peer in lineup.peers.values() if peer.id in margins and _is_poor(peer.standings.get(spec.name), median)]
        for peer in sorted(poor, key=lambda peer: (lineup.selection.marginal(peer.id), peer.id)):
            leaves = lineup.selection.get(peer.id)
            if leaves is not None and lineup.selection.has_room_for(item, leaves) and keeps_minimums(lineup, item, leaves):
                return Graft(candidate.id, peer.id, spec.name, why)
    return None


def rotation(lineup: Lineup, candidates: Sequence[SlotCandidate], margins: Margins, random: Random) -> Swap | None:
    """The worst of those whose time in an explore slot is over, for one chosen at random.

    One that has been rated in all that it offers, and is worth less, is passed over: there is nothing to find out.
    """
    for spec in lineup.specs:
        slots, values = lineup.slots[spec.name], lineup.values[spec.name]
        explorers = [peer for peer in lineup.sharing[spec.name] if slots.get(peer.id) is SlotClass.EXPLORE]
        ripe = [
            peer
            for peer in explorers
            if peer.id in margins
            and lineup.tenure(peer) >= EXPLORE_TENURE
            and all(kind is SlotClass.EXPLORE for kind in lineup.slots_of(peer.id).values())
        ]
        if len(explorers) < spec.explore or not ripe:
            continue
        worst = min(ripe, key=lambda peer: (values[peer.id], peer.since, peer.id))
        leaves = lineup.selection.get(worst.id)
        for candidate in shuffled([c for c in candidates if spec.name in c.standings], random)[:_DRAWN]:
            item = item_of_candidate(lineup.rules, candidate)
            if leaves is None or _is_known_for_worse(lineup, candidate, item, leaves):
                continue
            if lineup.selection.has_room_for(item, leaves) and keeps_minimums(lineup, item, leaves):
                why = f"an explore slot of {spec.name} passes on after {lineup.tenure(worst) / 60:.0f} min"
                return Swap(candidate.id, worst.id, why, lineup.selection.swap_gain(item, leaves))
    return None


def _keeps_diversity(lineup: Lineup, enters: Item, leaves: Item) -> bool:
    """Whether one that enters fills the diverse slots of the one that leaves."""
    for index, spec in enumerate(lineup.specs):
        if lineup.slots[spec.name].get(leaves.id) is SlotClass.DIVERSE:
            networks = lineup.core_networks[spec.name]
            if not enters.serves >> index & 1 or (enters.network is not None and enters.network in networks):
                return False
    return True


def _may_go(lineup: Lineup, peer: SlotPeer) -> bool:
    tenure = lineup.tenure(peer)
    if peer.protected or tenure < TENURE:
        return False
    return tenure >= EXPLORE_TENURE or SlotClass.EXPLORE not in lineup.slots_of(peer.id).values()


def _is_known_for_worse(lineup: Lineup, candidate: SlotCandidate, enters: Item, leaves: Item) -> bool:
    return all(one.quantile is not None for one in candidate.standings.values()) and lineup.selection.swap_gain(enters, leaves) < 0


def _is_poor(standing: Standing | None, median: float) -> bool:
    return standing is None or standing.rating is None or standing.rating <= median


def _why_better(lineup: Lineup, found: Replacement) -> str:
    parts: list[str] = []
    for index, spec in enumerate(lineup.specs):
        if (found.enters.serves | found.leaves.serves) >> index & 1:
            parts.append(f"{spec.name} {found.leaves.values[index]:.2f} -> {found.enters.values[index]:.2f}")
    return f"it is expected to be worth {found.gain:.2f} more ({', '.join(parts)})"
