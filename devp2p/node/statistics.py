"""What a node counts, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from devp2p.node.roster import Roster
from devp2p.peers import KINDS, WhyNot
from devp2p.session import LocalNode

if TYPE_CHECKING:  # imported when a node is opened
    from devp2p.node.dialer import Dialer
    from devp2p.node.door import Door
    from devp2p.node.policy import Policy
    from devp2p.node.steering import Steering


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatistics:
    """Counts of a node as they are, and of what happened since it was opened: `Node.statistics`.

    The keys of the mappings are words out of lists in the source, never anything that a stranger chose.
    """

    inbound: int
    """Peers that dialled us."""
    outbound: int
    """Peers that we dialled."""
    handshakes: int
    """Accepted links that are not sessions yet, nor refused."""
    dialling: int
    """Dials under way."""
    dials: int
    """Attempts to reach a node, for whatever reason."""
    dial_failures: Mapping[str, int]
    """Those of them that led to no session, by why, such as ``unreachable``."""
    place_dials: int
    """Dials of nodes that the node itself chose for a free place."""
    place_dial_failures: int
    """Those of them that led to no session."""
    candidates: int
    """Nodes that could be dialled some day."""
    not_dialled: Mapping[str, int]
    """Those of them that were not to be dialled when they were looked at the last time, by why: words of `peers.WhyNot`."""
    turned_away: Mapping[str, int]
    """How often a node was named that can be no candidate, by why."""
    rated: Mapping[str, int]
    """Nodes that peers are compared with in each capability: connected now or within a day."""
    remembered: int
    """Nodes whose conduct is remembered."""
    bans: int
    """Nodes that are not let in."""
    padding_in: int
    """Bytes of padding that came in sessions whose peers shape what they send (dpx/1, section 10)."""
    padding_out: int
    """Bytes of padding that we sent, cover among it."""
    upload_caps: Mapping[str, float]
    """Bytes a second that may be sent, by the capability's name; that of the whole node has the empty name."""
    download_caps: Mapping[str, float]
    """The same for what is received."""
    upload_waits: Mapping[str, float]
    """Seconds in which somebody had to wait for each of these caps to send."""
    download_waits: Mapping[str, float]
    """The same for receiving."""


def count(  # noqa: PLR0913, PLR0917  (the parts of a node)
    local: LocalNode, policy: "Policy", roster: Roster, door: "Door", dialer: "Dialer", steering: "Steering"
) -> NodeStatistics:
    """Count what there is in the parts of a node."""
    candidates = policy.candidates
    ratings = policy.ratings
    inbound = sum(peer.inbound for peer in roster)
    return NodeStatistics(
        inbound=inbound,
        outbound=len(roster) - inbound,
        handshakes=door.waiting,
        dialling=len(candidates.reached_for),
        dials=dialer.dials,
        dial_failures=MappingProxyType({kind: dialer.failures[kind] for kind in KINDS}),
        place_dials=steering.background.begun,
        place_dial_failures=steering.background.failed,
        candidates=len(candidates.pool),
        not_dialled=MappingProxyType(candidates.not_dialled),
        turned_away=MappingProxyType({why.value: candidates.turned_away[why] for why in WhyNot}),
        rated=MappingProxyType({capability.name: ratings.population(capability.name) for capability in local.capabilities}),
        remembered=len(ratings),
        bans=len(policy.bans.active(trio.current_time())),
        padding_in=local.padding["in"],
        padding_out=local.padding["out"],
        upload_caps=local.bandwidth.upload.caps,
        download_caps=local.bandwidth.download.caps,
        upload_waits=local.bandwidth.upload.waits(),
        download_waits=local.bandwidth.download.waits(),
    )
