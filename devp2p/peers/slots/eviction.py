"""Which inbound peer has to go when all places are taken (pure), after Bitcoin Core's `SelectNodeToEvict`.

An attacker that wants all inbound places has to be better than the honest peers by several measures at once, of which at least one cannot
be bought: some networks are protected by a hash whose key is drawn at each start, the nearest peers by their round trip, the most
useful by what they brought last, some of those that somebody vouches for, and half of all others by how long they have been there. Of the
rest, the youngest of the network with the most members has to go.

The numbers fit a node with 34 inbound places, which is what 50 peers leave for them; with fewer places less is protected, or none
could be evicted. With fewer than eight none is, but for bad conduct: nothing would protect those that came first, and nodes would
push each other out for ever.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from devp2p.peers.slots.lineup import Lineup
from devp2p.peers.slots.values import SlotPeer

PROTECTED: Final = 4
"""By each of the hash of their network, their round trip, and a credential."""
USEFUL: Final = 2
"""For each capability, by what they brought last."""
VOUCHED_AFTER: Final = 3600.0
"""Seconds of tenure after which a credential protects."""

_PLACES_A_PROTECTION: Final = 8  # of inbound peers, for one protected peer by each measure


def choose_victim(lineup: Lineup, peers: Sequence[SlotPeer], secret: bytes, kept: Collection[bytes] = ()) -> SlotPeer | None:
    """The inbound peer to evict, or None if all are protected.

    `peers`: the inbound ones to choose from. `kept`: those that must stay for other reasons, such as a capability's minimum. A peer whose
    conduct is bad goes first, whatever protects it otherwise.
    """
    tenure = lineup.tenure
    bad = [peer for peer in peers if any(standing.bad for standing in peer.standings.values())]
    if bad:
        return min(bad, key=lambda peer: (tenure(peer), peer.id))
    count = min(PROTECTED, len(peers) // _PLACES_A_PROTECTION)
    if not count:
        return None
    rest = [peer for peer in peers if not peer.protected and peer.id not in kept]
    rest = _without(rest, _by_network(rest, secret, count))
    rest = _without(rest, sorted((peer for peer in rest if peer.rtt is not None), key=lambda peer: (peer.rtt, peer.id))[:count])
    for name in (spec.name for spec in lineup.specs):
        useful = [(when, peer.id) for peer in rest if name in peer.standings and (when := peer.standings[name].last_useful) is not None]
        rest = _without(rest, sorted(useful, reverse=True)[: min(USEFUL, count)])
    vouched = [peer for peer in rest if peer.intro and tenure(peer) > VOUCHED_AFTER]
    rest = _without(rest, sorted(vouched, key=lambda peer: (-tenure(peer), peer.id))[:count])
    rest = _without(rest, sorted(rest, key=lambda peer: (-tenure(peer), peer.id))[: (len(rest) + 1) // 2])
    if not rest:
        return None
    sizes = Counter(_group(peer) for peer in rest)
    youngest = {group: min(tenure(peer) for peer in rest if _group(peer) == group) for group in sizes}
    group = min(sizes, key=lambda group: (-sizes[group], youngest[group], group))
    return min(
        (peer for peer in rest if _group(peer) == group), key=lambda peer: (tenure(peer), lineup.selection.marginal(peer.id), peer.id)
    )


def _group(peer: SlotPeer) -> bytes:
    """The network of a peer; each without one is on its own."""
    return b"n" + peer.network if peer.network is not None else b"p" + peer.id


def _by_network(peers: Sequence[SlotPeer], secret: bytes, count: int) -> list[SlotPeer]:
    """One peer, the oldest, of each of the networks that the secret favours."""
    oldest: dict[bytes, SlotPeer] = {}
    for peer in sorted(peers, key=lambda peer: (peer.since, peer.id)):
        oldest.setdefault(_group(peer), peer)
    favoured = sorted(oldest, key=lambda group: hashlib.blake2b(group, key=secret[:64], digest_size=16).digest())
    return [oldest[group] for group in favoured[:count]]


def _without(peers: Sequence[SlotPeer], protected: Sequence[SlotPeer] | Sequence[tuple[float, bytes]]) -> list[SlotPeer]:
    ids = {entry.id if isinstance(entry, SlotPeer) else entry[1] for entry in protected}
    return [peer for peer in peers if peer.id not in ids]
