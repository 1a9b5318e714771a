"""What a node counts, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass


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
