"""What a node decides about other nodes: which to let in, which to dial, which to have as peers. It knows no links and never acts.

All that the answers depend on is here: ratings, bans, the candidates, what became of earlier dials, the slots of the capabilities, and the
connected peers. Every question is answered at once, without waiting (pure; clock and randomness are passed in). The caller does what the
answer says.
"""

import logging
import math
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from devp2p.addresses import GROUP, Address
from devp2p.capability import AnyCapability, Peer
from devp2p.conduct import RecentConduct
from devp2p.containment import unless_it_fails
from devp2p.errors import DialError
from devp2p.keys import PublicKey
from devp2p.node.candidates import Candidates
from devp2p.node.census import Census, nobody, specs_of
from devp2p.peers import Ban, Bans, Introducers, RatingRule, Ratings, Referrals, is_fit, standings_of
from devp2p.peers.slots import Admit, Change, Choice, Dial, Refuse, SlotCandidate, Slots, SlotSpec, SlotsView
from devp2p.records import NodeRecord
from devp2p.trust import Trust

if TYPE_CHECKING:
    from devp2p.node.pace import PolicyClock
    from devp2p.node.roster import Roster
    from devp2p.session import LocalNode

_STEP: Final = 64  # peers that are looked at in one step, well within a millisecond

_logger = logging.getLogger(__name__)


class Policy:
    """One node's. Times are on `clock`, but for bans, which are on trio's."""

    def __init__(  # noqa: PLR0913  (made in one place, when the node is opened)
        self,
        local: "LocalNode",
        roster: "Roster",
        clock: "PolicyClock",
        *,
        outside: Iterable[NodeRecord],
        schemes: Collection[str],
        max_peers: int,
        wanted: Mapping[str, int],
        dials: bool,
        random: Callable[[], float],
        secret: bytes,
    ) -> None:
        """`outside`: static and trusted nodes. `schemes`: what can be dialled. `dials`: whether nodes that are found are.

        `wanted`: slots of capabilities, where not what their classes say. `random` and `secret`: as for `Slots`.
        LocalProtocolError for numbers that make no sense.
        """
        self.capabilities: dict[str, AnyCapability] = {one.name: one for one in sorted(local.capabilities, key=lambda one: one.version)}
        self.clock: PolicyClock = clock
        self._specs = specs_of(self.capabilities, wanted, max_peers)
        outside_ids = frozenset(record.id for record in outside)
        self._random = random
        self._roster = roster
        self._demands: list[tuple[str, int]] = []
        metrics = {name: _metric_of(capability, strict=local.strict) for name, capability in self.capabilities.items()}
        rules = [RatingRule(name, metrics[name], capability.latency_target) for name, capability in self.capabilities.items()]
        self.ratings: Ratings = Ratings(rules)
        """How peers behaved."""
        self.bans: Bans = Bans()
        """Nodes that are not let in."""
        self.slots: Slots = Slots(self._specs, max_peers, secret=secret, dialled_floor=None if dials else 0)
        """What decides between peers."""
        self.introducers: Introducers = Introducers()
        """Who may introduce others to us, and whom they have."""
        self.referrals: Referrals = Referrals()
        """Whom we introduce to others."""
        known = (self.capabilities, roster, self.ratings, self.introducers)
        is_known = nobody if local.dpx is None or local.dpx.resumption is None else local.dpx.resumption.is_known
        self._census = Census(*known, outside=outside_ids, clock=clock, is_known=is_known, strict=local.strict)
        self.candidates: Candidates = Candidates(
            local.key.public_key,
            roster,
            self._census,
            self.bans,
            clock,
            outside=outside_ids,
            schemes=schemes,
            limit_local_addresses=local.limits.limit_local_addresses,
        )
        """Nodes that may be dialled, and those that are."""

    # Which peers come, and go

    def admit(self, key: PublicKey, shared: Iterable[str], address: Address, *, inbound: bool) -> Admit | Refuse:
        """Whether to let in the node that has proved its key; `Admit.drop` is the peer that has to make room for it."""
        now, ban, census = self.clock.now(), self.bans.get(key.node_id, self.clock.trio()), self._census
        first = census.give_back(key.node_id)
        inbound = inbound and (first is None or first.inbound)
        newcomer = census.peer(key, shared, address, inbound=inbound, since=now, now=now)
        decision = self.slots.admit(newcomer, census.peers(now), now, ban=ban)
        if first is not None and isinstance(decision, Admit):  # the new link has the place of the old, and is here for the same reasons
            census.chosen.update(() if first.inbound else {first.id})
            census.wished.update({first.id} if first.protected else ())
        return decision

    def chose(self, peer: Peer) -> None:
        """A peer has dialled us and we have dialled it, and both links are proved: it counts as one that we dialled, whichever is kept."""
        self._census.chosen.add(peer.id)

    def keep_place(self, peer: Peer) -> None:
        """Another link to a peer will replace its session: nobody else gets its place meanwhile."""
        self._census.keep(peer, self.clock.now())

    def give_place_back(self, node_id: bytes) -> None:
        """The place of a node, if one is kept, is free: the other link has ended as well."""
        self._census.give_back(node_id)

    def began(self, peer: Peer) -> None:
        """A session has begun."""
        self.ratings.proved(peer.id, [capability.name for capability in peer.capabilities], self.clock.now())
        self.candidates.served(peer.id)
        names = [capability.name for capability in peer.capabilities]
        if peer.trust is Trust.KNOWN:
            self.introducers.grown(peer.id)
        elif peer.trust is Trust.INTRODUCED and not self.introducers.began(peer.id, self.slots_of(names), self.clock.trio()):
            peer.profile = replace(peer.profile, trust=Trust.STRANGER, why="too many peers are here by introduction")
        self._regard(peer)

    def leaves(self, peer: Peer) -> None:
        """Its session is being ended: it counts no more."""
        self._census.leaving.add(peer.id)

    def ended(self, peer: Peer) -> None:
        """A session is over: the node is left alone for a while, whichever side had dialled."""
        now = self.clock.now()
        self._census.observe(peer, now)
        if peer.ended is not None:
            self.ratings.ended(peer.id, peer.ended, now)
            self.candidates.history.ended(peer.id, peer.ended, now - self.clock.at(peer.since), now)
        self._census.gone(peer.id)
        self._regard(peer)
        self.introducers.ended(peer.id, self.clock.trio())

    def recall(self, capability: str, record: NodeRecord) -> None:
        """A node was one of the best in a capability before the restart."""
        if capability in self.capabilities:
            self.candidates.offer(record, "anchor", anchor=True)

    # Which peers to have

    def has_place_to_fill(self) -> bool:
        """Whether there is a free place to dial somebody for."""
        now = self.clock.now()
        return self.slots.may_dial(self._census.peers(now), self.candidates.dialling, now)

    def choice(self, candidates: Collection[SlotCandidate]) -> Choice:
        """The candidates between which `next_dial` chooses."""
        now = self.clock.now()
        return self.slots.choice(self._census.peers(now), tuple(candidates), now, self._random)

    def next_dial(self, choice: Choice) -> Dial | None:
        """Which node to dial for a free place; None if there is no such place, or no candidate for it."""
        return self.slots.next_dial(choice, self.candidates.dialling)

    def give_up(self, node_id: bytes) -> None:
        """A node that was to be dialled for another one's place is not dialled."""
        self.slots.gave_up(node_id)

    def dial_failed(self, record: NodeRecord, error: DialError) -> float:
        """A dial for a place has failed; return for how many seconds of trio's clock the node is left alone."""
        self.slots.gave_up(record.id)
        return self.clock.lasting(self.candidates.history.failed(record.id, error, self.clock.now()))

    def refreshing(self) -> Iterator[None]:
        """Take in how all peers have behaved, in steps between which others can have their turn."""
        now = self.clock.now()
        for peer in self._roster:
            self._census.observe(peer, now)
        yield from self.ratings.refreshing(self.clock.now)
        for number, peer in enumerate(self._roster):
            self._regard(peer)
            if number % _STEP == _STEP - 1:
                yield

    def deciding(self, candidates: Collection[SlotCandidate]) -> Generator[None, None, tuple[Change, ...]]:
        """What to change, to be asked each `TICK`; in such steps, too."""
        now = self.clock.now()
        return self.slots.deciding(self._census.peers(now), tuple(candidates), now, self._random)

    def anchors(self) -> dict[str, tuple[bytes, ...]]:
        """The peers of each capability to be dialled first after a restart."""
        now = self.clock.now()
        return self.slots.anchors(self._census.peers(now), now)

    def view(self) -> SlotsView:
        """The set of peers, explained."""
        now = self.clock.now()
        return self.slots.view(self._census.peers(now), now)

    def rating(self, node_id: bytes, name: str) -> float | None:
        """What the capability's metric says of a peer; None if it is not rated."""
        return self.ratings.standing(node_id, name, self.clock.now()).rating

    # Introductions

    def slots_of(self, names: Collection[str]) -> list[tuple[str, int]]:
        """Those of some capabilities that are ours, or all if none is, and how many slots each has."""
        specs = self.slots.rules.specs
        named = [spec for spec in specs if spec.name in names]
        return [(spec.name, spec.slots) for spec in named or specs]

    def _regard(self, peer: Peer) -> None:
        """See whether a peer may introduce others: only one that we know, and that is rated well."""
        standings = standings_of(self.ratings, peer.id, [one.name for one in peer.capabilities], self.clock.now())
        is_banned = self.bans.get(peer.id, self.clock.trio()) is not None
        if peer.trust is Trust.KNOWN and not is_banned and is_fit(standings.values()):
            self.introducers.fit(peer.id, peer.address.limited_network(GROUP), self.clock.trio())
        else:
            self.introducers.unfit(peer.id)

    # What the user wants

    @contextmanager
    def wish(self, key: PublicKey) -> Generator[None]:
        """The user wants a session with a node: while it lasts, the peer is protected. To be left by an exception if it cannot be had."""
        node_id, census = key.node_id, self._census
        census.wished.add(node_id)
        census.wishes.append(node_id)
        try:
            yield
        except BaseException:
            census.wished.discard(node_id)
            raise
        finally:
            census.wishes.remove(node_id)
        if self._roster.get(key) is None:  # it is over already
            census.wished.discard(node_id)

    def ban(self, node_id: bytes, seconds: float, reason: str) -> Ban:
        """Let a node in no more, for some seconds of trio's clock. Whoever has introduced it answers for it."""
        for introducer in self.introducers.banned(node_id, self.clock.trio()):
            self.ratings.blame(introducer, f"it introduced a node that is banned: {reason}", self.clock.now())
        self.introducers.unfit(node_id)
        return self.bans.ban(node_id, self.clock.trio(), seconds, reason)

    @contextmanager
    def demand(self, name: str, count: int) -> Generator[None]:
        """Somebody waits for so many peers of a capability: meanwhile it has as many slots for sure."""
        demand = (name, count)
        self._demands.append(demand)
        self._respecify()
        try:
            yield
        finally:
            self._demands.remove(demand)
            self._respecify()

    def _respecify(self) -> None:
        """Let the slots be as the capabilities and those who wait for peers want them."""
        specs: list[SlotSpec] = []
        for spec in self._specs:
            least = max((count for name, count in self._demands if name == spec.name), default=0)
            specs.append(replace(spec, slots=max(spec.slots, least), minimum=max(spec.minimum, least)))
        self.slots.respecify(specs)


def _metric_of(capability: AnyCapability, *, strict: bool) -> Callable[[RecentConduct], float]:
    """A capability's metric; one that fails leaves a peer unrated, as one that cannot be computed does (see `peers.ratings`)."""
    if strict:
        return capability.metric

    def metric(conduct: RecentConduct) -> float:
        return float(capability.metric(conduct))

    return unless_it_fails(metric, math.nan, (ArithmeticError, ValueError))
