"""The exchanges that the policy may make at a tick, each in the order in which it is looked for (pure).

None of these ends a session because of bad conduct: that is `peers.slots`'s, and not subject to what holds here.
"""

from collections.abc import Callable, Sequence
from typing import Final

from devp2p.peers.ratings import Standing
from devp2p.peers.slots.objective import Exchange, Item
from devp2p.peers.slots.state import State, item_of_candidate
from devp2p.peers.slots.values import Graft, SlotCandidate, SlotClass, SlotPeer, SlotSpec, Swap

TENURE: Final = 300.0
"""Seconds for which a peer is not exchanged for another."""
EXPLORE_TENURE: Final = 600.0
"""The same for one in an explore slot; then it can be rotated out."""

_DRAWN: Final = 4  # candidates that are tried, if the first ones are of networks that have enough peers

Random = Callable[[], float]
Margins = dict[bytes, float]
"""Who may be exchanged for another, and what that has to gain."""


def margins_of(state: State, taken: frozenset[bytes]) -> Margins:
    """Who may be exchanged at all, with the gain that it takes. `taken`: those whose exchange is under way."""
    only_dialled = state.selection.dialled >= state.rules.dialled_cap
    average = state.selection.value / max(1, state.rules.budget)
    return {
        peer.id: state.margin(peer.id, average)
        for peer in state.peers.values()
        if _may_go(state, peer) and peer.id not in taken and not (only_dialled and peer.inbound)
    }


def repair(state: State, items: Sequence[Item], margins: Margins) -> Swap | None:
    """What a capability lacks of its minimum is not bargained about."""
    found = state.selection.best_repair(items, margins, state.keeps_minimums)
    if found is None or found.leaves is None:
        return None
    lacks = state.selection.lacks()
    lacking = [spec.name for index, spec in enumerate(state.specs) if lacks >> index & 1]
    why = f"{', '.join(lacking)} has fewer peers than its minimum" if lacking else "too few peers are ones that we dialled"
    return Swap(found.enters.id, found.leaves.id, why, found.gain)


def better(state: State, items: Sequence[Item], margins: Margins) -> Swap | None:
    """An exchange that is clearly for the better."""
    found = state.selection.best_swap(items, margins, state.may_replace)
    if found is None or found.leaves is None:
        return None
    return Swap(found.enters.id, found.leaves.id, _why_better(state, found, found.leaves), found.gain)


def graft(  # noqa: PLR0913, PLR0917  (one call)
    state: State, spec: SlotSpec, candidates: Sequence[SlotCandidate], margins: Margins, free: int, random: Random
) -> Graft | None:
    """Somebody better for a capability whose peers are all poor: one that is known to be good, or else one of whom nothing is known.

    The slightly less poor come last: there are always some, if only by chance, and they would leave no place for anybody else.
    """
    median = state.median(spec.name)
    if median is None or median >= spec.floor:
        return None
    sharing = [candidate for candidate in candidates if spec.name in candidate.standings]
    rated = sorted(((rating, c) for c in sharing if (rating := c.standings[spec.name].rating) is not None), key=lambda pair: -pair[0])
    good = [candidate for rating, candidate in rated if rating >= spec.floor]
    fair = [candidate for rating, candidate in rated if median < rating < spec.floor]
    unknown = shuffled([candidate for candidate in sharing if candidate.standings[spec.name].rating is None], random)
    why = f"the median rating in {spec.name} is {median:.2f}, below {spec.floor:g}"
    for candidate in good[:_DRAWN] + unknown[:_DRAWN] + fair[:_DRAWN]:
        item = item_of_candidate(state.rules, candidate)
        if free > 0 and state.selection.has_room_for(item):
            return Graft(candidate.id, None, spec.name, why)
        poor = [peer for peer in state.peers.values() if peer.id in margins and _is_poor(peer.standings.get(spec.name), median)]
        for peer in sorted(poor, key=lambda peer: (state.selection.marginal(peer.id), peer.id)):
            leaves = state.selection.get(peer.id)
            if leaves is not None and state.selection.has_room_for(item, leaves) and state.keeps_minimums(item, leaves):
                return Graft(candidate.id, peer.id, spec.name, why)
    return None


def rotation(state: State, candidates: Sequence[SlotCandidate], margins: Margins, random: Random) -> Swap | None:
    """The worst of those whose time in an explore slot is over, for one that chance chooses.

    Who has been rated in all that it offers, and is worth less, is passed over: there is nothing to find out.
    """
    for spec in state.specs:
        slots, values = state.slots[spec.name], state.values[spec.name]
        explorers = [peer for peer in state.sharing[spec.name] if slots.get(peer.id) is SlotClass.EXPLORE]
        ripe = [
            peer
            for peer in explorers
            if peer.id in margins
            and state.tenure(peer) >= EXPLORE_TENURE
            and all(kind is SlotClass.EXPLORE for kind in state.slots_of(peer.id).values())
        ]
        if len(explorers) < spec.explore or not ripe:
            continue
        worst = min(ripe, key=lambda peer: (values[peer.id], peer.since, peer.id))
        leaves = state.selection.get(worst.id)
        for candidate in shuffled([c for c in candidates if spec.name in c.standings], random)[:_DRAWN]:
            item = item_of_candidate(state.rules, candidate)
            if leaves is None or _is_known_for_worse(state, candidate, item, leaves):
                continue
            if state.selection.has_room_for(item, leaves) and state.keeps_minimums(item, leaves):
                why = f"an explore slot of {spec.name} passes on after {state.tenure(worst) / 60:.0f} min"
                return Swap(candidate.id, worst.id, why, state.selection.swap_gain(item, leaves))
    return None


def shuffled(candidates: Sequence[SlotCandidate], random: Random) -> list[SlotCandidate]:
    """The same in an order that chance decides."""
    return sorted(candidates, key=lambda _: random())


def _may_go(state: State, peer: SlotPeer) -> bool:
    tenure = state.tenure(peer)
    if peer.protected or tenure < TENURE:
        return False
    return tenure >= EXPLORE_TENURE or SlotClass.EXPLORE not in state.slots_of(peer.id).values()


def _is_known_for_worse(state: State, candidate: SlotCandidate, enters: Item, leaves: Item) -> bool:
    return all(one.quantile is not None for one in candidate.standings.values()) and state.selection.swap_gain(enters, leaves) < 0


def _is_poor(standing: Standing | None, median: float) -> bool:
    return standing is None or standing.rating is None or standing.rating <= median


def _why_better(state: State, found: Exchange, leaves: Item) -> str:
    parts: list[str] = []
    for index, spec in enumerate(state.specs):
        if (found.enters.serves | leaves.serves) >> index & 1:
            parts.append(f"{spec.name} {leaves.values[index]:.2f} -> {found.enters.values[index]:.2f}")
    return f"it is expected to be worth {found.gain:.2f} more ({', '.join(parts)})"
