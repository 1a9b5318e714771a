"""What is counted of a node over time, beside what the node itself counts: sessions, decisions, and the traffic of sessions that are over.

Nothing is counted for each message: a session's channels have counted already, and when it ends their sums are added here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from devp2p.capability import Peer, Traffic
from devp2p.errors import DisconnectReason, PeerDisconnected
from devp2p.node import Event, PeerConnected, PeerDropped, PeerRefused, SlotDecision, TrustRemoved
from devp2p.peers.slots import Admit, Dial, Drop, Evict, Graft, Refuse, Swap
from devp2p.wire.dpx import FAILURES

DECISIONS = tuple(kind.__name__.lower() for kind in (Dial, Swap, Graft, Drop, Evict, Admit, Refuse))
"""All kinds of decisions. An `Admit` is reported only where a peer has to make room."""
REASONS = (*(reason.name.lower() for reason in DisconnectReason), "unknown")
"""All reasons for which sessions end: those that a peer makes up are one."""
DIRECTIONS = ("inbound", "outbound")
PROTOCOLS = ("RLPx", "dpx/1", "plain", "other")
"""What sessions speak; what a framing of the user's calls itself is one."""
LOSSES = {failure.value: failure.name.lower() for rows in FAILURES.values() for failure, row in rows.items() if row.is_news}
"""How nodes lose our trust (`devp2p.wire.dpx.FAILURES`): the words of the news, and those of the metric."""
BEGINNINGS = (*((protocol, "plain") for protocol in PROTOCOLS), ("dpx/1", "introduced"), ("dpx/1", "resumed"))
"""How sessions begin, by what they speak."""


class Tally:
    """Counts what happens from when it is attached to the node's roster on."""

    def __init__(self, present: Iterable[Peer]) -> None:
        """`present`: the sessions that there are."""
        present = tuple(present)
        self.opened: Counter[str] = Counter(map(direction_of, present))
        """Sessions by direction."""
        self.begun: Counter[tuple[str, str]] = Counter(map(beginning_of, present))
        """Sessions by what they speak, and how they began."""
        self.ended: Counter[tuple[str, str]] = Counter()
        """Sessions that are over, by which side ended them and why."""
        self.decisions: Counter[str] = Counter()
        self.distrusted: Counter[str] = Counter()
        """Sessions in which a node that was known is a stranger, by why."""
        self.refused: int = 0
        """Accepted links that did not become sessions."""
        self._traffic: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])

    def put(self, event: Event) -> None:
        """Count an event."""
        match event:
            case PeerConnected(peer):
                self.opened[direction_of(peer)] += 1
                self.begun[beginning_of(peer)] += 1
            case PeerDropped(peer, end):
                self.ended["remote" if end.by_remote else "local", reason_of(end)] += 1
                _add(self._traffic, peer)
            case PeerRefused():
                self.refused += 1
            case SlotDecision(decision):
                self.decisions[type(decision).__name__.lower()] += 1
            case TrustRemoved(why=why):
                self.distrusted[LOSSES[why]] += 1
            case _:
                pass

    def close(self) -> None:
        """The node has ended."""

    def traffic(self, present: Iterable[Peer]) -> dict[str, Traffic]:
        """What was exchanged in each capability in all, with the peers that are there and those that were."""
        sums = defaultdict(lambda: [0, 0, 0, 0], {name: list(counts) for name, counts in self._traffic.items()})
        for peer in present:
            _add(sums, peer)
        return {name: Traffic(*counts) for name, counts in sums.items()}


def _add(sums: defaultdict[str, list[int]], peer: Peer) -> None:
    for capability in peer.capabilities:
        found, counts = peer.traffic(type(capability)), sums[capability.name]
        for index, count in enumerate((found.messages_in, found.bytes_in, found.messages_out, found.bytes_out)):
            counts[index] += count


def direction_of(peer: Peer) -> str:
    """The direction of a session."""
    return DIRECTIONS[0] if peer.inbound else DIRECTIONS[1]


def protocol_of(peer: Peer) -> str:
    """What is spoken with a peer, in one of so many words."""
    protocol = peer.profile.protocol
    return protocol if protocol in PROTOCOLS else PROTOCOLS[-1]


def beginning_of(peer: Peer) -> tuple[str, str]:
    """That, and how the session began: one of `BEGINNINGS`."""
    found = protocol_of(peer), peer.profile.mode
    return found if found in BEGINNINGS else (found[0], "plain")


def reason_of(end: PeerDisconnected) -> str:
    """Why a session ended, in one of so many words."""
    return end.reason.name.lower() if isinstance(end.reason, DisconnectReason) else REASONS[-1]
