"""The last step of every link, dialled or accepted: it is admitted or refused, and what was admitted runs to its end.

Theory of operation. A link comes here when handshake and Hello are behind it: nothing is kept under a node-ID before that node has proved
itself by its Hello, the first valid frame. The policy says whether it is let in.

Two links to one node. An established session is never closed in favour of a second link, since we cannot know which of the two the
peer still believes in. The second link waits for the peer to choose: if the first ends meanwhile, the second takes its place. When
nobody chooses, the second is refused with ALREADY_CONNECTED. The node with the larger public key waits a second longer, so that two
nodes of this kind that dial each other at once never both close what the other keeps. One link waits in that way; any further one is
refused at once, or a connected node could have as many wait as it likes.

Two nodes that speak dpx/1 need not wait where each has dialled the other: both keep the link that the one with the smaller public key has
dialled, whichever came first. Only the node with the larger key ends the other link, when it has that one: it is who can refuse that
one for want of a place, so if both nodes ended links, both links could be gone. Which of them is kept has nothing to do with why the peer
is here: it is one that we dialled in any case, and the new link has the place of the old. But no link of a stranger ends that of a known
peer (`Trust.KNOWN`): whoever has but its key could end its sessions in this way.
"""

import logging
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final

import trio

from devp2p.capability import Peer
from devp2p.errors import DisconnectReason, PeerDisconnected
from devp2p.keys import NodeId
from devp2p.node.events import SlotDecision
from devp2p.node.introducing import Introducing
from devp2p.node.moving import Moving
from devp2p.node.policy import Policy
from devp2p.node.roster import Roster
from devp2p.peers.slots import Admit, Decision, Refuse
from devp2p.session import Farewell, LocalNode, RunningSession, Session, run_session, wait_for_choice, with_time
from devp2p.transports import Carriers
from devp2p.trust import Trust
from devp2p.wire import printable

_TIE_BREAK: Final = 1.0  # seconds that the node with the larger key waits longer for the other's choice between two links

_logger = logging.getLogger(__name__)


def _nothing() -> None:
    pass


class Sessions:
    """All sessions of a node. They run in its nursery."""

    def __init__(  # noqa: PLR0913, PLR0917  (made in one place, by open_node)
        self, local: LocalNode, policy: Policy, roster: Roster, introducing: Introducing, nursery: trio.Nursery, carriers: Carriers
    ) -> None:
        self._key = local.key.public_key
        self._limits = local.limits
        self._policy = policy
        self._roster = roster
        self._introducing = introducing
        self._nursery = nursery
        self._seconds: set[NodeId] = set()  # peers of which a second link waits to be chosen
        self._moving = Moving(local, carriers, self._moved)

    async def begin(
        self, session: Session, *, farewell: Farewell = with_time, on_wait: Callable[[], None] = _nothing, came: float | None = None
    ) -> Peer:
        """Admit a session, or refuse it by PeerDisconnected; returns once its capabilities run.

        `farewell` is entered when it is refused, and `on_wait` called before it waits to be chosen. `came`: when its link was accepted.
        """
        try:
            peer: Peer = await self._nursery.start(self._live, session, farewell, on_wait, came)
        except BaseException:  # also if the node has ended meanwhile
            await session.close()
            raise
        return peer

    def lets_come(self, host: bytes) -> bool:
        """See `Moving.lets_come`."""
        return self._moving.lets_come(host)

    def end(self, node_id: bytes, reason: DisconnectReason, detail: str) -> None:
        """End the session with a node, if there is one: from now on it counts no more."""
        for peer in self._roster:
            if peer.id == node_id:
                self._policy.leaves(peer)
                peer.disconnect(reason, detail)

    def announce(self, decision: Decision) -> None:
        """Let everybody know what was decided about a peer, and why."""
        _logger.info("%s %s: %s", type(decision).__name__.lower(), decision.id.hex()[:16], printable(decision.reason))
        self._roster.publish(SlotDecision(decision))

    async def _live(
        self, session: Session, farewell: Farewell, on_wait: Callable[[], None], came: float | None, *, task_status: trio.TaskStatus[Peer]
    ) -> None:
        """Admit a session and run it to its end, or let it succeed another."""
        if (awaited := self._moving.awaits(session.public_key.node_id, came)) is not None:
            await awaited.take(session)
            task_status.started(awaited.peer)
            return
        decision = await self._decide(session, on_wait)  # no await stands between this and the roster
        if isinstance(decision, Refuse):
            await session.refuse(decision.disconnect, farewell=farewell)
            raise PeerDisconnected(decision.disconnect, by_remote=False, detail=decision.reason)
        if decision.drop is not None:
            self.end(decision.drop, DisconnectReason.TOO_MANY_PEERS, decision.reason)
        peers: list[Peer] = []

        def begin(running: RunningSession) -> None:
            peers.append(peer := running.peer)
            peer.mover = partial(self._moving.successor, running)
            self._policy.began(peer)
            self._introducing.began(peer, session.pact)
            self._roster.add(peer)
            task_status.started(peer)

        try:
            await run_session(session, on_ready=self._roster.ready, on_start=begin)
        except Exception:
            if session.local.strict or not peers:
                raise
            _logger.exception("a session with %r failed within its link or its line, and has ended", peers[0])
        finally:
            for peer in peers:
                self._roster.remove(peer)
                self._introducing.ended(peer)
                self._policy.ended(peer)

    def _moved(self, peer: Peer, session: Session) -> None:
        """A session goes on over another link, and its conversation about introductions with it."""
        self._introducing.ended(peer)
        self._introducing.began(peer, session.pact)

    async def _decide(self, session: Session, on_wait: Callable[[], None]) -> Admit | Refuse:
        """Whether to let a session begin. PeerDisconnected if the peer has ended it meanwhile."""
        key, node_id = session.public_key, session.public_key.node_id
        if session.connection.farewell is not None and not session.connection.has_messages:
            raise PeerDisconnected(session.connection.farewell, by_remote=True)
        if key == self._key:
            return Refuse(node_id, "it is this node itself", DisconnectReason.CONNECTED_TO_SELF)
        if not session.connection.space.shared:
            return Refuse(node_id, "no capability is shared", DisconnectReason.USELESS_PEER)
        try:
            while (first := self._roster.get(key)) is not None:
                on_wait()
                if not await self._follows(session, first):
                    return Refuse(node_id, "there is a session with it already", DisconnectReason.ALREADY_CONNECTED)
            shared = [spec.name for spec in session.connection.space.shared]
            decision = self._policy.admit(key, shared, session.link.remote, inbound=session.inbound)
        finally:
            self._policy.give_place_back(node_id)
        if isinstance(decision, Refuse) or decision.drop is not None:
            self.announce(decision)
        return decision

    def _have_crossed(self, session: Session, first: Peer) -> bool:
        """Whether each side has dialled one of two links, and both know which is to be kept."""
        if session.pact is None or first.profile.protocol != session.profile.protocol or first.inbound == session.inbound:
            return False
        return session.profile.trust is Trust.KNOWN or first.trust is not Trust.KNOWN

    async def _follows(self, session: Session, first: Peer) -> bool:
        """A further link to a connected peer: whether the first has ended while this one waited. Only one waits."""
        node_id, limits = session.public_key.node_id, self._limits
        larger, crossed = bytes(self._key) > bytes(session.public_key), self._have_crossed(session, first)
        if larger and crossed:
            self._policy.chose(first)
        if node_id in self._seconds or (larger and crossed and not session.inbound):
            return False
        patience = limits.duplicate_wait + (_TIE_BREAK if larger else 0.0)
        if larger and crossed:
            self._policy.keep_place(first)
            self.end(node_id, DisconnectReason.ALREADY_CONNECTED, "both sides keep the link that the smaller key has dialled")
            patience = inf  # it is us who end the first
        elif crossed and not session.inbound:
            patience = max(patience, limits.handshake_timeout)  # it is the peer who ends the first, and may not have heard our Hello yet
        self._seconds.add(node_id)
        try:
            return await wait_for_choice(session, partial(self._roster.wait_left, session.public_key), patience)
        finally:
            self._seconds.discard(node_id)
