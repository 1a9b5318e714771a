"""The set of peers, explained for people (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass

from devp2p.peers.slots.lineup import TENURE, Lineup
from devp2p.peers.slots.values import SlotClass, SlotPeer, SlotSpec


@dataclass(frozen=True, slots=True)
class PeerView:
    """Why one peer is there."""

    id: bytes
    inbound: bool
    network: bytes | None
    tenure: float
    """Seconds since its session began."""
    slots: Mapping[str, SlotClass]
    """Which slot it fills in which capability."""
    quantiles: Mapping[str, float]
    """Its place among all that are rated, or what a newcomer is taken for, in each capability that it shares."""
    ratings: Mapping[str, float]
    """What a capability's own metric says of it; a capability in which it is not rated (yet) is missing."""
    marginal: float
    """How much less the set of peers would be worth without it."""
    why: str


@dataclass(frozen=True, slots=True)
class CapabilityView:
    """How a capability fares."""

    spec: SlotSpec
    filled: Mapping[SlotClass, int]
    peers: int
    """How many peers share it, with a slot or without."""
    median: float | None
    """The median rating of those with slots, None if none is rated."""
    value: float
    """What it adds to the value of the set."""


@dataclass(frozen=True, slots=True)
class SlotsView:
    """The whole set of peers, explained. Frozen, and a snapshot: it does not change with what it describes."""

    peers: tuple[PeerView, ...]
    capabilities: tuple[CapabilityView, ...]
    budget: int
    dialled: int
    inbound: int
    outside: int
    value: float
    changes: int
    """Sessions ended for a better one within the last ten minutes."""
    changes_allowed: int


def view_of(lineup: Lineup, *, changes: int, changes_allowed: int) -> SlotsView:
    """Say of every peer which slots it fills and why it is kept."""
    return SlotsView(
        peers=tuple(_view_of_peer(lineup, peer) for peer in (*lineup.outside, *lineup.peers.values())),
        capabilities=tuple(
            CapabilityView(
                spec=spec,
                filled=lineup.filled(spec.name),
                peers=len(lineup.sharing[spec.name]),
                median=lineup.median(spec.name),
                value=lineup.selection.value_in(index),
            )
            for index, spec in enumerate(lineup.specs)
        ),
        budget=lineup.rules.budget,
        dialled=lineup.selection.dialled,
        inbound=lineup.inbound,
        outside=len(lineup.outside),
        value=lineup.selection.value,
        changes=changes,
        changes_allowed=changes_allowed,
    )


def _view_of_peer(lineup: Lineup, peer: SlotPeer) -> PeerView:
    slots = lineup.slots_of(peer.id)
    return PeerView(
        id=peer.id,
        inbound=peer.inbound,
        network=peer.network,
        tenure=lineup.tenure(peer),
        slots=slots,
        quantiles={name: values[peer.id] for name, values in lineup.values.items() if peer.id in values},
        ratings={name: standing.rating for name, standing in peer.standings.items() if standing.rating is not None},
        marginal=0.0 if peer.outside else lineup.selection.marginal(peer.id),
        why=_why(lineup, peer, slots),
    )


def _why(lineup: Lineup, peer: SlotPeer, slots: dict[str, SlotClass]) -> str:
    if peer.outside:
        return "trusted or static: outside of all slots"
    if any(standing.bad for standing in peer.standings.values()):
        return "not kept: " + next(standing.bad for standing in peer.standings.values() if standing.bad)
    reasons: list[str] = []
    if peer.protected:
        reasons.append("protected")
    selection = lineup.selection
    shared = [(index, spec) for index, spec in enumerate(lineup.specs) if spec.name in peer.standings]
    needed = [spec.name for index, spec in shared if selection.serving[index] <= spec.minimum]
    if needed:
        reasons.append(f"needed for the minimum of {', '.join(needed)}")
    reasons.extend(f"{kind.value} in {name} ({_rank(lineup, peer, name)})" for name, kind in slots.items())
    if lineup.tenure(peer) < TENURE:
        reasons.append(f"here for {lineup.tenure(peer):.0f} s, too short to judge")
    if not reasons:
        reasons.append("it has no slot, but its place is not needed" if not peer.inbound else "it has no slot, but an inbound place")
    return "; ".join(reasons)


def _rank(lineup: Lineup, peer: SlotPeer, name: str) -> str:
    if peer.standings[name].quantile is None:
        return f"newcomer, taken for {lineup.values[name][peer.id]:.2f}"
    return f"better than {100 * lineup.values[name][peer.id]:.0f} %"
