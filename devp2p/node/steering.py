"""Steers the set of peers: asks the policy, and dials, bans and ends sessions as it says.

Every ten seconds all peers' conduct is taken in, and at most one of them is replaced by a better one. In between, free places are filled as
soon as a candidate is known for them. A node without discovery is steered too: it dials nobody by itself, but rates its peers, drops those
whose conduct is bad, and chooses among those who come.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Final

import trio

from devp2p.capability import AnyCapability, Peer
from devp2p.errors import DisconnectReason
from devp2p.node.dialer import BackgroundDials, Dialer
from devp2p.node.events import Event, PeerDropped
from devp2p.node.persistence import StandingsKeeper
from devp2p.node.policy import Policy
from devp2p.node.roster import Roster
from devp2p.node.sessions import Sessions
from devp2p.peers import Ban
from devp2p.peers.slots import TICK, Change, Drop, Evict, Graft, SlotCandidate, Swap

if TYPE_CHECKING:  # a node without discovery or a book does not import them
    from devp2p.book import Book
    from devp2p.discovery import Candidate

BETWEEN_DIALS: Final = 0.25
"""Seconds between two looks for somebody to dial."""
AT_ONCE: Final = 128
"""Candidates that are looked at in one step, which takes a millisecond."""
BETWEEN_NEWS: Final = 5.0
"""Seconds after which another candidate is asked for when there are as many as are kept."""
BETWEEN_SAVES: Final = 60.0
"""Seconds between two times that ratings, bans and anchors are written into the book."""


class Steering:
    """What a node does about its peers by itself. It sleeps by trio's clock."""

    def __init__(  # noqa: PLR0913  (made in one place, when the node is opened)
        self,
        policy: Policy,
        roster: Roster,
        sessions: Sessions,
        dialer: Dialer,
        nursery: trio.Nursery,
        *,
        book: "Book | None",
        keeper: StandingsKeeper | None,
        dials: bool,
    ) -> None:
        """`dials`: whether candidates are dialled."""
        self._policy = policy
        self._roster = roster
        self._sessions = sessions
        self._dials = dials
        self._keeper = keeper
        self._news = trio.Event()
        """Something has changed since the last look for somebody to dial."""
        self._to_be_kept = trio.Event()
        """Something has changed that is to be in the book before the next minute."""
        self._anchors: dict[str, tuple[bytes, ...]] = {}
        """As of the last tick: when the node ends, its peers go in any order, and some are gone before the last save."""
        self.background: BackgroundDials = BackgroundDials(dialer.reach, policy, book, nursery, self._has_news)
        roster.attach(self)

    def put(self, event: Event) -> None:
        """Take in what happens to peers."""
        if isinstance(event, PeerDropped):
            self._has_news()

    def close(self) -> None:
        """Nothing more will happen."""

    def _has_news(self) -> None:
        self._news.set()

    # What the user asks of it

    def ban(self, node_id: bytes, seconds: float, reason: str) -> Ban:
        """Let a node in no more, for some time, and end the session with it."""
        ban = self._policy.ban(node_id, seconds, reason)
        self._sessions.end(node_id, DisconnectReason.USELESS_PEER, f"banned: {reason}")
        self._to_be_kept.set()
        return ban

    async def request_peers(self, capability: type[AnyCapability], name: str, count: int) -> tuple[Peer, ...]:
        """Wait for `count` ready peers of a capability, and return the best so many. Meanwhile it has as many slots as that for sure.

        `name`: the capability's. Both are the node's, and so many peers can be had.
        """
        await trio.lowlevel.checkpoint()
        ready = self._roster.ready_peers(capability)
        try:
            with self._policy.demand(name, count):
                self._has_news()
                while True:
                    peers = [peer for peer in self._roster if capability in peer]
                    if len(peers) >= count:
                        peers.sort(key=lambda peer: -(self._policy.rating(peer.id, name) or 0.0))
                        return tuple(peers[:count])
                    try:
                        await anext(ready)
                    except StopAsyncIteration:
                        raise trio.ClosedResourceError("the node has ended") from None
        finally:
            self._has_news()

    # Tasks

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Steer until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._steer)
                task_status.started()
                while True:
                    with trio.move_on_after(BETWEEN_SAVES):
                        await self._to_be_kept.wait()
                    self._to_be_kept = trio.Event()
                    await self._save()
        finally:
            self.save()

    async def collect(self, candidates: "AsyncIterator[Candidate]") -> None:
        """Take candidates in, until there are no more."""
        try:
            async for candidate in candidates:
                if not self._policy.candidates.offer(candidate.record, candidate.source):
                    continue
                self._has_news()
                if self._policy.candidates.pool.is_full:
                    await trio.sleep(self._policy.clock.lasting(BETWEEN_NEWS))
        finally:
            if isinstance(candidates, AsyncGenerator):
                await candidates.aclose()

    async def _steer(self) -> None:
        due = trio.current_time()
        while True:
            now = trio.current_time()
            if now >= due:
                await self._tick()
                due = now + self._policy.clock.lasting(TICK)
            self._news = trio.Event()  # before the look, so that what comes while it lasts, or soon after it, is not missed
            await self._fill()
            await trio.sleep(self._policy.clock.lasting(BETWEEN_DIALS))
            with trio.move_on_at(due):
                await self._news.wait()

    async def _tick(self) -> None:
        for _ in self._policy.refreshing():
            await trio.lowlevel.checkpoint()
        for decision in await self._decide(await self._candidates()):
            self._sessions.announce(decision)
            match decision:
                case Drop():
                    self._policy.ban(decision.id, self._policy.clock.lasting(decision.ban), decision.reason)
                    self._sessions.end(decision.id, decision.disconnect, decision.reason)
                case Evict():
                    self._sessions.end(decision.id, decision.disconnect, decision.reason)
                case Swap() | Graft():
                    self._dial(decision.id)
        if self._keeper is not None:
            self._anchors = self._policy.anchors()

    async def _decide(self, candidates: list[SlotCandidate]) -> tuple[Change, ...]:
        steps = self._policy.deciding(candidates)
        while True:
            await trio.lowlevel.checkpoint()
            try:
                next(steps)
            except StopIteration as decided:
                changes: tuple[Change, ...] = decided.value
                return changes

    async def _fill(self) -> None:
        """Dial for free places. Strangers name any number of nodes that cannot be reached, so others have their turn between two dials."""
        if self.background.is_busy or not self._dials or not self._policy.has_place_to_fill():
            return
        if not (candidates := await self._candidates()):
            return
        choice = self._policy.choice(candidates)
        while not self.background.is_busy:
            await trio.lowlevel.checkpoint()
            decision = self._policy.next_dial(choice)
            if decision is None:
                return
            choice.leave_out(decision.id)
            if self._policy.candidates.may_dial(decision.id):  # else another node of its host is dialled, or it has come meanwhile
                self._sessions.announce(decision)
                self._dial(decision.id)

    def _dial(self, node_id: bytes) -> None:
        known = self._policy.candidates.pool.get(node_id)
        if known is None or self.background.is_busy or not self._policy.candidates.may_dial(node_id):
            self._policy.give_up(node_id)
        else:
            self.background.begin(known.record)

    async def _candidates(self) -> list[SlotCandidate]:
        """The candidates that may be dialled now; others have their turn while they are gone through."""
        candidates: list[SlotCandidate] = []
        for place, known in enumerate(tuple(self._policy.candidates.pool) if self._dials else ()):
            if place % AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            if (candidate := self._policy.candidates.look_at(known)) is not None:
                candidates.append(candidate)
        return candidates

    async def _save(self) -> None:
        if self._keeper is not None:
            for _ in self._keeper.saving(self._anchors, trio.current_time):
                await trio.lowlevel.checkpoint()

    def save(self) -> None:
        """Write ratings, bans and anchors into the book, if there is one."""
        if self._keeper is not None:
            self._keeper.save(self._anchors, trio.current_time())
