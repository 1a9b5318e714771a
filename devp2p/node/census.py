"""The peers that there are, the nodes that could be dialled, and what the capabilities want, as the policy of slots looks at them."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping

from devp2p.addresses import GROUP, Address
from devp2p.arguments import require, whole
from devp2p.capability import AnyCapability, Capability, Peer
from devp2p.containment import unless_it_fails
from devp2p.errors import LocalProtocolError
from devp2p.keys import NodeId, PublicKey
from devp2p.node.pace import PolicyClock
from devp2p.node.roster import Roster
from devp2p.peers import Introducers, Known, Ratings, standings_of
from devp2p.peers.slots import SlotCandidate, SlotPeer, SlotSpec
from devp2p.records import NodeRecord
from devp2p.trust import Trust

_logger = logging.getLogger(__name__)


def nobody(_: bytes) -> bool:
    """Whether a node is known where no sessions are resumed."""
    return False


class Census:
    """Counts who is there. Times are on the policy's clock."""

    def __init__(  # noqa: PLR0913  (made in one place, by the policy)
        self,
        capabilities: dict[str, AnyCapability],
        roster: Roster,
        ratings: Ratings,
        introducers: Introducers,
        *,
        outside: Iterable[NodeId],
        clock: PolicyClock,
        is_known: Callable[[bytes], bool] = nobody,
        strict: bool = False,
    ) -> None:
        """`capabilities`: ours, by name. `outside`: static and trusted nodes. `strict`: let stray exceptions of capabilities out.

        `is_known` tells by a node-ID whether the node was known at its last session (`Trust.KNOWN`).
        """
        self.leaving: set[bytes] = set()
        """The IDs of peers whose sessions are being ended: they count no more."""
        self.wished: set[bytes] = set()
        """The IDs of nodes that the user wants."""
        self.wishes: list[bytes] = []
        """Those of them to which a session is still to come, which may take the place of one that ends."""
        self.chosen: set[bytes] = set()
        """The IDs of peers that we have dialled as well as they us: they count as dialled, whichever link was kept."""
        self._kept: dict[bytes, SlotPeer] = {}
        self._wants = {name: one.wants if strict else unless_it_fails(one.wants, otherwise=False) for name, one in capabilities.items()}
        self._roster = roster
        self._ratings = ratings
        self._introducers = introducers
        self._is_known = is_known
        self._outside = frozenset(outside)
        self._clock = clock
        self._nearest: dict[bytes, float] = {}

    def peers(self, now: float) -> list[SlotPeer]:
        """All peers, and those whose place is kept."""
        return [*(self._seen(peer, now) for peer in self._roster if peer.id not in self.leaving), *self._kept.values()]

    def _seen(self, peer: Peer, now: float) -> SlotPeer:
        return self.peer(
            *(peer.public_key, [one.name for one in peer.active], peer.address),
            inbound=peer.inbound and peer.id not in self.chosen,
            since=self._clock.at(peer.since),
            now=now,
            trust=peer.trust,
        )

    def keep(self, peer: Peer, now: float) -> None:
        """The session with a peer is being ended for another link to it: its place is kept for that one."""
        if peer.id not in self.leaving:  # or else somebody has its place already
            self._kept[peer.id] = self._seen(peer, now)

    def give_back(self, node_id: bytes) -> SlotPeer | None:
        """The place that is kept for a node, if one is, is kept no longer."""
        return self._kept.pop(node_id, None)

    def peer(  # noqa: PLR0913  (of a peer, or of one who asks to be)
        self,
        key: PublicKey,
        shared: Iterable[str],
        address: Address,
        *,
        inbound: bool,
        since: float,
        now: float,
        trust: Trust = Trust.STRANGER,
    ) -> SlotPeer:
        """A peer, or one that asks to be."""
        node_id = key.node_id
        return SlotPeer(
            id=node_id,
            standings=standings_of(self._ratings, node_id, shared, now),
            inbound=inbound,
            since=since,
            network=address.limited_network(GROUP),
            rtt=self._nearest.get(node_id),
            outside=node_id in self._outside,
            protected=node_id in self.wished,
            intro=trust is Trust.KNOWN or self._introducers.is_protected(node_id),
        )

    def wanting(self, record: NodeRecord) -> tuple[str, ...]:
        """The capabilities that want a node, by what its record says."""
        return tuple(name for name, wants in self._wants.items() if wants(record))

    def observe(self, peer: Peer, now: float) -> None:
        """Take in how a peer has behaved."""
        node_id = peer.id
        for capability in peer.capabilities:
            self._ratings.observe(node_id, capability.name, peer.conduct(type(capability)), now)
        if peer.latency is not None:
            self._nearest[node_id] = min(peer.latency, self._nearest.get(node_id, math.inf))

    def gone(self, node_id: bytes) -> None:
        """A session is over."""
        self.leaving.discard(node_id)
        self.chosen.discard(node_id)
        if node_id not in self.wishes:
            self.wished.discard(node_id)
        self._nearest.pop(node_id, None)

    def candidate(self, known: Known, now: float) -> SlotCandidate:
        """A node that could be dialled. As long as its record is all that is known of it, the answer stays the same, and is kept."""
        node_id = known.record.id
        is_known = self._is_known(node_id)
        is_remembered = is_known or node_id in self._ratings
        if known.seen_as is not None and not is_remembered:
            return known.seen_as
        shared = self._ratings.shares(node_id)  # what its record may say, and what it turned out to have
        names = known.capabilities if shared is None else [name for name in known.capabilities if name in shared]
        seen = SlotCandidate(
            id=node_id,
            standings=standings_of(self._ratings, node_id, names, now),
            network=known.record.addresses[0].limited_network(GROUP),
            source=known.source,
            preferred=is_known or known.introduced,
            anchor=known.anchor,
            tries=known.tries,
        )
        known.seen_as = None if is_remembered else seen  # what is remembered fades, and is forgotten one day
        return seen


def specs_of(capabilities: Mapping[str, AnyCapability], wanted: Mapping[str, int], max_peers: int) -> tuple[SlotSpec, ...]:
    """What the capabilities want, or are `wanted` to have; LocalProtocolError for more than can be had."""
    whole(max_peers, "max_peers")
    require(wanted, Mapping, "slots is a dict of capabilities' names and numbers, such as {'chat': 8}")
    for name, slots in wanted.items():
        if name not in capabilities:
            raise LocalProtocolError(f"slots names {name!r}, which is none of this node's capabilities: {', '.join(capabilities)}")
        whole(slots, f"slots for {name!r}", 1)
        if slots > max_peers > 0:
            raise LocalProtocolError(f"slots for {name!r} is {slots}, more than max_peers, which is {max_peers}: raise that, or want fewer")
    specs = tuple(
        SlotSpec(
            name,
            slots=(slots := wanted.get(name, capability.slots)),
            minimum=min(capability.minimum, slots),
            weight=capability.weight,
            floor=capability.rating_floor,
        )
        for name, capability in capabilities.items()
    )
    for spec in specs:
        if spec.slots > max_peers > 0 and spec.slots != Capability.slots and spec.name not in wanted:
            # No error: it is what the class wishes for, whose author knows no node, and the usual number says nothing.
            _logger.warning("%s wants %d peers, more than max_peers, which is %d: it will have fewer", spec.name, spec.slots, max_peers)
    if sum(spec.minimum for spec in specs) > max_peers > 0:
        parts = " and ".join(f"{spec.minimum} for {spec.name}" for spec in specs if spec.minimum)
        raise LocalProtocolError(f"a minimum of {parts} is more than max_peers, which is {max_peers}: raise that, or lower a minimum")
    return specs
