"""Steers the set of peers: keeps the ratings, asks the policy of slots, and dials, bans and ends sessions as it says.

The policy is `peers.slots`, which is pure; clock, randomness and its input are here. Every ten seconds all peers' conduct is
taken in, and at most one of them is replaced by a better one. In between, free places are filled as soon as a candidate is known for them.
A node without discovery is steered too: it dials nobody by itself, but rates its peers, drops those whose conduct is bad, and chooses
among those who come.
"""

import logging
import math
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from secrets import SystemRandom, token_bytes
from typing import TYPE_CHECKING, Final

import trio

from devp2p.capability import AnyCapability, Peer
from devp2p.conduct import RecentConduct
from devp2p.containment import unless_it_fails
from devp2p.errors import DisconnectReason
from devp2p.keys import PublicKey
from devp2p.node.census import Census, specs_of
from devp2p.node.dialer import Dialer
from devp2p.node.events import SlotDecision
from devp2p.node.links import Links
from devp2p.node.pace import PolicyClock
from devp2p.node.persistence import Memory
from devp2p.node.roster import Roster
from devp2p.peers import Ban, Bans, DialHistory, Pool, RatingRule, Ratings
from devp2p.peers.slots import TICK, Admit, Change, Dial, Drop, Evict, Graft, Refuse, SlotCandidate, Slots, SlotSpec, SlotsView, Swap
from devp2p.records import Address, NodeRecord
from devp2p.session import LocalNode
from devp2p.wire import printable

if TYPE_CHECKING:  # a node without discovery or a book does not import them
    from devp2p.book import Book
    from devp2p.discovery import Candidate

BETWEEN_DIALS: Final = 0.25
"""Seconds between two looks for somebody to dial."""
AT_ONCE: Final = 128
"""Nodes of the pool that are looked at in one step, which takes a millisecond."""
BETWEEN_NEWS: Final = 5.0
"""Seconds after which another candidate is asked for when the pool is full."""
BETWEEN_SAVES: Final = 60.0
"""Seconds between two times that ratings, bans and anchors are written into the book."""

_logger = logging.getLogger(__name__)


class Steering:
    """What a node does about its peers by itself. The policy lives by `clock`; sleeping and bans are on trio's."""

    def __init__(  # noqa: PLR0913  (made in one place, by the node)
        self,
        local: LocalNode,
        roster: Roster,
        links: Links,
        *,
        max_peers: int,
        wanted: Mapping[str, int],
        book: "Book | None",
        dials: bool,
        pace: float = 1.0,
    ) -> None:
        """`wanted`: slots of capabilities, where not what their classes say. `dials`: whether nodes that are found are dialled.

        LocalProtocolError for numbers that make no sense.
        """
        self.clock: PolicyClock = PolicyClock(pace)
        """What the policy's times are on."""
        self._capabilities = {capability.name: capability for capability in sorted(local.capabilities, key=lambda one: one.version)}
        self._specs = specs_of(self._capabilities, wanted, max_peers)
        self._roster = roster
        self._links = links
        self._dials = dials
        self._random = SystemRandom().random
        self._news = trio.Event()
        """Something has changed since the last look for somebody to dial."""
        self._to_be_kept = trio.Event()
        """Something has changed that is to be in the book before the next minute."""
        self._demands: list[tuple[str, int]] = []
        self._anchors: dict[str, tuple[bytes, ...]] = {}
        """As of the last tick: when the node ends, its peers go in any order, and some are gone before the last save."""
        metrics = {name: _metric_of(capability, strict=local.strict) for name, capability in self._capabilities.items()}
        rules = [RatingRule(name, metrics[name], capability.latency_target) for name, capability in self._capabilities.items()]
        self.ratings: Ratings = Ratings(rules)
        """How peers behaved."""
        self.bans: Bans = Bans()
        """Who is not let in."""
        self.pool: Pool = Pool()
        """Who may be dialled."""
        self.policy: Slots = Slots(self._specs, max_peers, secret=token_bytes(16), dialled_floor=None if dials else 0)
        """What decides."""
        history = DialHistory(limit_local_addresses=local.limits.limit_local_addresses)
        self.dialer: Dialer = Dialer(links.reach, history=history, book=book, over=self._dial_over, clock=self.clock)
        """What dials; its `statistics` are to be read."""
        self._memory = None if book is None else Memory(book, self.ratings, self.bans, self.pool, self.clock)
        self._census = Census(self._capabilities, roster, self.ratings, self.pool, links.is_outside, clock=self.clock, strict=local.strict)

    # What the node tells it

    @contextmanager
    def wish(self, key: PublicKey) -> Generator[None]:
        """The user wants a session with a node: while it lasts, the peer is protected. To be left by an exception if it cannot be had."""
        self._census.wished.add(key.node_id)
        try:
            yield
        except BaseException:
            self._census.wished.discard(key.node_id)
            raise

    def dialled(self, record: NodeRecord) -> None:
        """A node was reached at the addresses in its record."""
        self.pool.offer(record, "user", self._census.wanting(record)).served = True

    def admit(self, key: PublicKey, shared: Iterable[str], address: Address, *, inbound: bool) -> Refuse | None:
        """Why not to let in the node that has proved its key; None if it is let in, and then the peer that has to make room for it goes."""
        now, ban = self.clock.now(), self.bans.get(key.node_id, trio.current_time())
        newcomer = self._census.peer(key, shared, address, inbound=inbound, since=now, now=now)
        decision = self.policy.admit(newcomer, self._census.peers(now), now, ban=ban)
        if isinstance(decision, Refuse):
            self._tell(decision)
            return decision
        if decision.drop is not None:
            self._tell(decision)
            self._end(decision.drop, DisconnectReason.TOO_MANY_PEERS, decision.reason)
        return None

    def began(self, peer: Peer) -> None:
        """A session has begun."""
        self.ratings.proved(peer.id, [capability.name for capability in peer.capabilities], self.clock.now())
        if (known := self.pool.get(peer.id)) is not None:
            known.served = True

    def ended(self, peer: Peer) -> None:
        """A session is over."""
        now, node_id = self.clock.now(), peer.id
        self._census.observe(peer, now)
        if peer.ended is not None:
            self.ratings.ended(node_id, peer.ended, now)
        self._census.gone(node_id)
        self.dialer.ended(peer)
        self._news.set()

    # What the user asks of it

    def view(self) -> SlotsView:
        """The set of peers, explained."""
        now = self.clock.now()
        return self.policy.view(self._census.peers(now), now)

    def rating(self, node_id: bytes, name: str) -> float | None:
        """What the capability's metric says of a peer; None if it is not rated."""
        return self.ratings.standing(node_id, name, self.clock.now()).rating

    def ban(self, node_id: bytes, seconds: float, reason: str) -> Ban:
        """Let a node in no more, for some time, and end the session with it."""
        ban = self.bans.ban(node_id, trio.current_time(), seconds, reason)
        self._end(node_id, DisconnectReason.USELESS_PEER, f"banned: {reason}")
        self._to_be_kept.set()
        return ban

    async def request_peers(self, capability: type[AnyCapability], name: str, count: int) -> tuple[Peer, ...]:
        """Wait for `count` ready peers of a capability, and return the best so many. Meanwhile it has as many slots as that for sure.

        `name`: the capability's. Both are the node's, and so many peers can be had.
        """
        await trio.lowlevel.checkpoint()
        ready = self._roster.ready_peers(capability)
        with self._demand(name, count):
            while True:
                peers = [peer for peer in self._roster if capability in peer]
                if len(peers) >= count:
                    peers.sort(key=lambda peer: -(self.rating(peer.id, name) or 0.0))
                    return tuple(peers[:count])
                try:
                    await anext(ready)
                except StopAsyncIteration:
                    raise trio.ClosedResourceError("the node has ended") from None

    # Tasks

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Steer until cancelled."""
        if self._memory is not None:
            self._memory.load(self._recall, trio.current_time())
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.dialer.run)
                nursery.start_soon(self._steer)
                task_status.started()
                while True:
                    with trio.move_on_after(BETWEEN_SAVES):
                        await self._to_be_kept.wait()
                    self._to_be_kept = trio.Event()
                    await self._save()
        finally:
            self.save()

    def may_be_dialled(self, record: NodeRecord) -> bool:
        """Whether a node is a candidate at all; this is to be the filter of discovery's."""
        dialable = bool(record.addresses) and all(address.port or address.scheme != "tcp" for address in record.addresses)
        return dialable and bool(self._census.wanting(record))

    async def collect(self, candidates: "AsyncIterator[Candidate]") -> None:
        """Take candidates in, until there are no more."""
        async for candidate in candidates:
            self.pool.offer(candidate.record, candidate.source, self._census.wanting(candidate.record))
            self._news.set()
            if self.pool.is_full:
                await trio.sleep(self.clock.lasting(BETWEEN_NEWS))

    async def _steer(self) -> None:
        due = trio.current_time()
        while True:
            now = trio.current_time()
            if now >= due:
                await self._tick()
                due = now + self.clock.lasting(TICK)
            self._news = trio.Event()  # before the look, so that what comes while it lasts, or soon after it, is not missed
            await self._fill()
            await trio.sleep(self.clock.lasting(BETWEEN_DIALS))
            with trio.move_on_at(due):
                await self._news.wait()

    def _recall(self, capability: str, record: NodeRecord) -> None:
        """A node was one of our best before the restart."""
        if capability in self._capabilities and self.may_be_dialled(record):
            self.pool.offer(record, "anchor", self._census.wanting(record), anchor=True)

    async def _tick(self) -> None:
        now = self.clock.now()
        for peer in self._roster:
            self._census.observe(peer, now)
        for _ in self.ratings.refreshing(self.clock.now):
            await trio.lowlevel.checkpoint()
        candidates = await self._candidates()
        now = self.clock.now()
        for decision in await self._decide(candidates, now):
            self._tell(decision)
            match decision:
                case Drop():
                    self.bans.ban(decision.id, trio.current_time(), self.clock.lasting(decision.ban), decision.reason)
                    self._end(decision.id, decision.disconnect, decision.reason)
                case Evict():
                    self._end(decision.id, decision.disconnect, decision.reason)
                case Swap() | Graft():
                    self._dial(decision.id)
        if self._memory is not None:
            self._anchors = self.policy.anchors(self._census.peers(now), now)

    async def _decide(self, candidates: list[SlotCandidate], now: float) -> tuple[Change, ...]:
        steps = self.policy.deciding(self._census.peers(now), candidates, now, self._random)
        while True:
            await trio.lowlevel.checkpoint()
            try:
                next(steps)
            except StopIteration as decided:
                changes: tuple[Change, ...] = decided.value
                return changes

    async def _fill(self) -> None:
        """Dial for free places. Strangers name any number of nodes that cannot be reached, so others have their turn between two dials."""
        now = self.clock.now()
        if self.dialer.is_busy or not self._dials or not self.policy.may_dial(self._census.peers(now), self.dialer.dialling, now):
            return
        if not (candidates := await self._candidates()):
            return
        now = self.clock.now()
        choice = self.policy.choice(self._census.peers(now), candidates, now, self._random)
        while not self.dialer.is_busy:
            await trio.lowlevel.checkpoint()
            decision = self.policy.next_dial(choice, self.dialer.dialling)
            if decision is None:
                return
            known = self.pool.get(decision.id)
            choice.leave_out(decision.id)
            if known is not None and self._may_dial(known.record):  # else another node of its host is dialled, or it has come meanwhile
                self._tell(decision)
                self._dial(decision.id)

    def _dial(self, node_id: bytes) -> None:
        known = self.pool.get(node_id)
        if known is None or self.dialer.is_busy or not self._may_dial(known.record):
            self.policy.gave_up(node_id)
            return
        known.tries += 1
        known.anchor = False  # it has had its chance
        self.dialer.dial(known.record)

    def _dial_over(self, record: NodeRecord, peer: Peer | None) -> None:
        if peer is None:
            self.policy.gave_up(record.id)
        self._news.set()

    async def _candidates(self) -> list[SlotCandidate]:
        """The nodes of the pool that may be dialled now; others have their turn while they are gone through."""
        candidates: list[SlotCandidate] = []
        for place, known in enumerate(tuple(self.pool) if self._dials else ()):
            if place % AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            if self._may_dial(known.record):
                candidates.append(self._census.candidate(known, self.clock.now()))
        return candidates

    def _may_dial(self, record: NodeRecord) -> bool:
        banned = self.bans.get(record.id, trio.current_time()) is not None
        return not banned and self.dialer.may_dial(record) and self._links.is_wanted(record)

    def _end(self, node_id: bytes, reason: DisconnectReason, detail: str) -> None:
        for peer in self._roster:
            if peer.id == node_id:
                self._census.leaving.add(node_id)
                peer.disconnect(reason, detail)

    def _tell(self, decision: Dial | Swap | Graft | Drop | Evict | Admit | Refuse) -> None:
        _logger.info("%s %s: %s", type(decision).__name__.lower(), decision.id.hex()[:16], printable(decision.reason))
        self._roster.publish(SlotDecision(decision))

    @contextmanager
    def _demand(self, name: str, count: int) -> Generator[None]:
        demand = (name, count)
        self._demands.append(demand)
        self._respecify()
        try:
            yield
        finally:
            self._demands.remove(demand)
            self._respecify()

    def _respecify(self) -> None:
        """Let the policy know what is wanted, by the capabilities and by whoever waits for peers."""
        specs: list[SlotSpec] = []
        for spec in self._specs:
            least = max((count for name, count in self._demands if name == spec.name), default=0)
            specs.append(replace(spec, slots=max(spec.slots, least), minimum=max(spec.minimum, least)))
        self.policy.respecify(specs)
        self._news.set()

    async def _save(self) -> None:
        if self._memory is not None:
            for _ in self._memory.saving(self._anchors, trio.current_time):
                await trio.lowlevel.checkpoint()

    def save(self) -> None:
        """Write ratings, bans and anchors into the book, if there is one."""
        if self._memory is not None:
            self._memory.save(self._anchors, trio.current_time())


def _metric_of(capability: AnyCapability, *, strict: bool) -> Callable[[RecentConduct], float]:
    """A capability's metric; one that fails leaves a peer unrated, as one that cannot be computed does (see `peers.ratings`)."""
    if strict:
        return capability.metric

    def metric(conduct: RecentConduct) -> float:
        return float(capability.metric(conduct))

    return unless_it_fails(metric, math.nan, (ArithmeticError, ValueError))
