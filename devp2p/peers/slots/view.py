"""The set of peers, explained for people (pure)."""

from devp2p.peers.slots.state import State
from devp2p.peers.slots.values import CapabilityView, PeerView, SlotClass, SlotPeer, SlotsView


def view_of(state: State, *, changes: int, changes_allowed: int, min_tenure: float) -> SlotsView:
    """Say of every peer which slots it fills and why it is kept. `min_tenure`: before that a peer is not exchanged for another."""
    return SlotsView(
        peers=tuple(_view_of_peer(state, peer, min_tenure) for peer in (*state.outside, *state.peers.values())),
        capabilities=tuple(
            CapabilityView(
                spec=spec,
                filled=state.filled(spec.name),
                peers=len(state.sharing[spec.name]),
                median=state.median(spec.name),
                value=state.selection.value_in(index),
            )
            for index, spec in enumerate(state.specs)
        ),
        budget=state.rules.budget,
        dialled=state.selection.dialled,
        inbound=state.inbound,
        outside=len(state.outside),
        value=state.selection.value,
        changes=changes,
        changes_allowed=changes_allowed,
    )


def _view_of_peer(state: State, peer: SlotPeer, min_tenure: float) -> PeerView:
    slots = state.slots_of(peer.id)
    return PeerView(
        id=peer.id,
        inbound=peer.inbound,
        network=peer.network,
        tenure=state.tenure(peer),
        slots=slots,
        quantiles={name: values[peer.id] for name, values in state.values.items() if peer.id in values},
        marginal=0.0 if peer.outside else state.selection.marginal(peer.id),
        why=_why(state, peer, slots, min_tenure),
    )


def _why(state: State, peer: SlotPeer, slots: dict[str, SlotClass], min_tenure: float) -> str:
    if peer.outside:
        return "trusted or static: outside of all slots"
    if any(standing.bad for standing in peer.standings.values()):
        return "not kept: " + next(standing.bad for standing in peer.standings.values() if standing.bad)
    reasons: list[str] = []
    if peer.protected:
        reasons.append("protected")
    selection = state.selection
    shared = [(index, spec) for index, spec in enumerate(state.specs) if spec.name in peer.standings]
    needed = [spec.name for index, spec in shared if selection.serving[index] <= spec.minimum]
    if needed:
        reasons.append(f"needed for the minimum of {', '.join(needed)}")
    reasons.extend(f"{kind.value} in {name} ({_rank(state, peer, name)})" for name, kind in slots.items())
    if state.tenure(peer) < min_tenure:
        reasons.append(f"here for {state.tenure(peer):.0f} s, too short to judge")
    if not reasons:
        reasons.append("it has no slot, but its place is not needed" if not peer.inbound else "it has no slot, but an inbound place")
    return "; ".join(reasons)


def _rank(state: State, peer: SlotPeer, name: str) -> str:
    if peer.standings[name].quantile is None:
        return f"newcomer, taken for {state.values[name][peer.id]:.2f}"
    return f"better than {100 * state.values[name][peer.id]:.0f} %"
