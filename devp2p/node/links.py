"""From addresses to sessions: dials and accepts links, shakes hands, admits or refuses, and runs what was admitted.

Theory of operation. Every link, dialled or accepted, goes the same way: handshake and Hello (`open_session`), then `Links._admit`, which
asks the `Judge`, then `run_session` until the end. Nothing is kept under a node-ID before that node has proved itself by
its Hello, the first valid frame. What accepted links may take up until then is in `door`.

Two links to one node. An established session is never closed in favour of a second link, since we cannot know which of the two the
peer still believes in. The second link waits for the peer to choose: if the first ends meanwhile, the second takes its place. When
nobody chooses, the second is refused with ALREADY_CONNECTED. The node with the larger public key waits a second longer, so that two
nodes of this kind that dial each other at once never both close what the other keeps. One link waits in that way; any further one is
refused at once, or a connected node could have as many wait as it likes.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn, Protocol

import trio

from devp2p.capability import Peer
from devp2p.errors import DialError, DisconnectReason, PeerDisconnected, PeerMismatch, RemoteProtocolError
from devp2p.keys import NodeId, PublicKey
from devp2p.node.door import Door, Visit
from devp2p.node.events import PeerRefused, told
from devp2p.node.roster import Roster
from devp2p.peers import MANY, Neighbours, kind_of
from devp2p.records import Address, NodeRecord
from devp2p.session import Farewell, LocalNode, Session, close_link, hear_auth, open_session, run_session, wait_for_choice, with_time
from devp2p.transports import Link, Transport, naming

if TYPE_CHECKING:  # the policy is imported when a node is opened
    from devp2p.peers.slots import Refuse

_TIE_BREAK = 1.0  # seconds that the node with the larger key waits longer for the other's choice between two links

_logger = logging.getLogger(__name__)


def require_dialable(record: NodeRecord, schemes: Collection[str]) -> None:
    """ValueError for a node that can never be dialled: it has no address, none with a transport, or a port 0."""
    if not record.addresses:
        raise ValueError(f"{record.enode} has no address to dial: add @<host>:<port>")
    if not any(address.scheme in schemes for address in record.addresses):
        known = ", ".join(sorted(schemes)) or "none"
        raise ValueError(f"no transport for {record.addresses[0]}: this node has {known}")
    if all(address.port == 0 for address in record.addresses):
        raise ValueError(f"{record.enode} says port 0: the node does not take connections")


class Judge(Protocol):
    """Who decides with whom there are sessions: `Steering`."""

    def admit(self, key: PublicKey, shared: Iterable[str], address: Address, *, inbound: bool) -> "Refuse | None":
        """Why not to let in who has proved to be the node with a key; None if it is let in."""
        ...

    def dialled(self, record: NodeRecord) -> None:
        """A node was reached at the addresses in its record."""

    def began(self, peer: Peer) -> None:
        """A session has begun."""

    def ended(self, peer: Peer) -> None:
        """It is over."""


class Links:
    """All links of a node. Its tasks run in the node's nursery."""

    judge: Judge
    """It is set before the first link."""

    def __init__(
        self, local: LocalNode, nursery: trio.Nursery, roster: Roster, transports: Sequence[Transport], outside: Iterable[NodeRecord]
    ) -> None:
        """`outside`: static and trusted nodes."""
        self._local = local
        self._key = local.key.public_key
        self._limits = local.limits
        self._nursery = nursery
        self._roster = roster
        self._outside = {record.id for record in outside}
        self._transports = {scheme: transport for transport in transports for scheme in transport.schemes}
        self._door = Door(local.limits)
        self._neighbours = Neighbours()
        self._seconds: set[NodeId] = set()  # peers of which a second link waits to be chosen
        self._dialling: dict[NodeId, trio.Event] = {}
        self._reaching: set[trio.CancelScope] = set()
        self._closed = False
        self.dials: int = 0
        """Attempts to reach a node, whoever wanted it."""
        self.dial_failures: Counter[str] = Counter()
        """Those of them that led to no session, by `peers.dial_history.kind_of`."""

    @property
    def handshakes(self) -> int:
        """Accepted links that are not sessions yet, nor refused."""
        return self._door.waiting

    @property
    def dialling(self) -> int:
        """Dials under way."""
        return len(self._dialling)

    def close(self) -> None:
        """The node ends: so do dials, those that a task outside of its nursery waits for among them."""
        self._closed = True
        for scope in self._reaching:
            scope.cancel()

    def is_outside(self, key: PublicKey) -> bool:
        """Whether a node is static or trusted: it stands outside of all slots."""
        return key.node_id in self._outside

    def is_wanted(self, record: NodeRecord) -> bool:
        """Whether a node that was found could be dialled now."""
        if record.public_key == self._key or record.id in self._outside or record.id in self._dialling:
            return False
        return self._roster.get(record.public_key) is None and all(address.scheme in self._transports for address in record.addresses)

    async def listen(self, address: Address) -> tuple[Address, ...]:
        """Listen at one more address; returns the bound ones. OSError that names it if not, ValueError without a transport for it."""
        transport = self._transport(address)
        with naming(address):
            bound: tuple[Address, ...] = await self._nursery.start(transport.serve, address, self._on_link)
        return bound

    def _transport(self, address: Address) -> Transport:
        try:
            return self._transports[address.scheme]
        except KeyError:
            known = ", ".join(sorted(self._transports))
            raise ValueError(f"no transport for {address}: this node has {known}") from None

    # Outbound

    async def reach(self, record: NodeRecord) -> Peer:
        """Dial a node, or find that it is connected, and return the peer with its capabilities running; else DialError."""
        if record.public_key == self._key:
            raise DialError("that is this node itself", target=record, reason=DisconnectReason.CONNECTED_TO_SELF)
        while (peer := self._roster.get(record.public_key)) is None and record.id in self._dialling:
            await self._dialling[record.id].wait()
        if peer is not None:
            await trio.lowlevel.checkpoint()
            return peer
        self._dialling[record.id] = trio.Event()
        self.dials += 1
        scope = trio.CancelScope()
        self._reaching.add(scope)
        try:
            with scope:
                if not self._closed:
                    return await self._connect(record)
        except DialError as error:
            self.dial_failures[kind_of(error)] += 1
            raise
        finally:
            self._reaching.discard(scope)
            self._dialling.pop(record.id).set()
        raise DialError("the node has ended", target=record)

    async def _connect(self, record: NodeRecord) -> Peer:
        link = await self._dial(record)
        try:
            peer = await self._begin(await open_session(link, self._local, expect=record.public_key))
        except PeerDisconnected as error:
            if (other := self._roster.get(record.public_key)) is not None:
                return other  # it dialled us at the same time, and that link was the one to stay
            hung_up = error.by_remote and error.reason == DisconnectReason.NETWORK_ERROR and error.detail  # and said nothing
            raise DialError(f"{record.enode}: {error.detail if hung_up else error}", target=record, reason=error.reason) from error
        except RemoteProtocolError as error:
            raise DialError(f"{record.enode}: {error}", target=record) from error
        except trio.TooSlowError:
            within = f"within {self._limits.handshake_timeout:g} s"
            raise DialError(f"{record.enode}: no handshake and Hello {within}", target=record) from None
        self.judge.dialled(record)
        return peer

    async def _dial(self, record: NodeRecord) -> Link:
        """Try each address of a node in turn."""
        problems: list[str] = []
        for address in record.addresses:
            try:
                with trio.fail_after(self._limits.dial_timeout):
                    return await self._transport(address).dial(address, expect=record.public_key)
            except trio.TooSlowError:
                problems.append(f"{address}: no answer within {self._limits.dial_timeout:g} s")
            except (OSError, ValueError, PeerMismatch) as error:
                problems.append(f"{address}: {error}")
        raise DialError("; ".join(problems) or f"{record.enode} has no address", target=record)

    # Inbound

    async def _on_link(self, link: Link) -> None:
        """Take an accepted link. It never waits, so that the listener need not."""
        try:
            visit = self._door.knock(link.remote)
        except RemoteProtocolError as error:
            self._roster.publish(PeerRefused(link.remote, told(error)))
            self._nursery.start_soon(close_link, link)
        else:
            self._nursery.start_soon(self._serve_link, link, visit)

    async def _serve_link(self, link: Link, visit: Visit) -> None:
        try:
            await self._begin(await self._hear(link, visit), visit)
        except (RemoteProtocolError, PeerDisconnected) as error:
            _logger.debug("link from %s failed: %s", link.remote, error)
            self._roster.publish(PeerRefused(link.remote, told(error)))
        finally:
            visit.leave()

    async def _hear(self, link: Link, visit: Visit) -> Session:
        """Shake hands with the caller, for as long as nobody else needs the place; RemoteProtocolError or PeerDisconnected else."""
        try:
            with visit.scope:
                heard = await hear_auth(link)
                await visit.begin()
                session = await open_session(link, self._local, heard=heard, farewell=visit.farewell)
                visit.proved()
                self._look_for_a_proxy(session, visit)
                return session
        except trio.TooSlowError:
            pass  # as if our own scope had ended first
        except BaseException:
            await close_link(link)
            raise
        await close_link(link)
        raise RemoteProtocolError(visit.turned_out)

    def _look_for_a_proxy(self, session: Session, visit: Visit) -> None:
        """Warn of an address that hides where strangers come from."""
        remote = session.link.remote
        if visit.caller.exempt and remote.port is not None and self._neighbours.note(visit.caller.host, session.public_key.node_id):
            _logger.warning(
                "%d different nodes came from the local address %s, which is exempt from the limits on addresses: if a proxy or NAT hides"
                " where they come from, let it keep their addresses, or set limit_local_addresses (devp2p node --limit-local-addresses)",
                MANY,
                remote.host,
            )

    # Both

    async def _begin(self, session: Session, visit: Visit | None = None) -> Peer:
        """Admit a session, or refuse it by PeerDisconnected; returns once its capabilities run."""
        try:
            peer: Peer = await self._nursery.start(self._live, session, visit)
        except BaseException:  # also if the node has ended meanwhile
            await session.close()
            raise
        return peer

    async def _live(self, session: Session, visit: Visit | None, *, task_status: trio.TaskStatus[Peer]) -> None:
        """Admit a session and run it to its end."""
        await self._admit(session, visit)
        peers: list[Peer] = []

        def begin(peer: Peer) -> None:
            peers.append(peer)
            self.judge.began(peer)
            self._roster.add(peer)
            task_status.started(peer)

        try:
            await run_session(session, on_ready=self._roster.ready, on_peer=begin)
        finally:
            for peer in peers:
                self._roster.remove(peer)
                self.judge.ended(peer)

    async def _admit(self, session: Session, visit: Visit | None) -> None:
        """Let a session begin, or refuse it: says so to the peer and raises PeerDisconnected. No await stands behind the last check."""
        farewell = with_time if visit is None else visit.farewell
        if session.connection.farewell is not None and not session.connection.has_messages:
            raise PeerDisconnected(session.connection.farewell, by_remote=True)
        if session.public_key == self._key:
            await _refuse(session, DisconnectReason.CONNECTED_TO_SELF, "it is this node itself", farewell)
        if not session.connection.space.shared:
            await _refuse(session, DisconnectReason.USELESS_PEER, "no capability is shared", farewell)
        while self._roster.get(session.public_key) is not None:
            if visit is not None:
                visit.leave()
            if not await self._is_chosen(session):
                await _refuse(session, DisconnectReason.ALREADY_CONNECTED, "there is a session with it already", farewell)
        shared = [spec.name for spec in session.connection.space.shared]
        refusal = self.judge.admit(session.public_key, shared, session.link.remote, inbound=session.inbound)
        if refusal is not None:
            await _refuse(session, refusal.disconnect, refusal.reason, farewell)

    async def _is_chosen(self, session: Session) -> bool:
        """A further link to a connected peer: whether the first has ended while this one waited. Only one waits."""
        node_id = session.public_key.node_id
        if node_id in self._seconds:
            return False
        larger = bytes(self._key) > bytes(session.public_key)
        patience = self._limits.duplicate_wait + (_TIE_BREAK if larger else 0.0)
        self._seconds.add(node_id)
        try:
            return await wait_for_choice(session, partial(self._roster.wait_left, session.public_key), patience)
        finally:
            self._seconds.discard(node_id)


async def _refuse(session: Session, reason: DisconnectReason, detail: str, farewell: Farewell) -> NoReturn:
    await session.refuse(reason, farewell=farewell)
    raise PeerDisconnected(reason, by_remote=False, detail=detail)
