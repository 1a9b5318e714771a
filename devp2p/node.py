"""A node: `open_node` owns the root nursery, and with it the listeners, the dials and a session for each peer.

Theory of operation. Every link, dialled or accepted, goes the same way: handshake and Hello (`open_session`), then `Node._admit`, which is
where the node's rules stand, then `run_session` until the end. Nothing is kept under a node-ID before that node has proved itself by
its Hello, the first valid frame.

Two links to one node. An established session is never closed in favour of a second link, since we cannot know which of the two the
peer still believes in. The second link waits for the peer to choose: if the first ends meanwhile, the second takes its place. When
nobody chooses, the second is refused with ALREADY_CONNECTED. The node with the larger public key waits a second longer, so that two
nodes of this kind that dial each other at once never both close what the other keeps.
"""

import logging
import os
import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from devp2p.capability import AnyCapability, Peer
from devp2p.errors import DialError, DisconnectReason, LocalProtocolError, PeerDisconnected, RemoteProtocolError
from devp2p.events import PeerRefused, told
from devp2p.keys import PrivateKey, PublicKey
from devp2p.limits import Limits
from devp2p.node_discovery import DIAL_RATIO, DiscoveryPlan, DiscoverySettings, opened, own_record
from devp2p.peers.admission import Admission
from devp2p.peers.dial_history import DialHistory
from devp2p.peers.dialer import Dialer, keep_connected
from devp2p.queues import Budget
from devp2p.records import Address, NodeRecord
from devp2p.roster import ReadyPeers, Roster, Subscription
from devp2p.session import LocalNode, Session, close_link, open_session, run_session
from devp2p.transports import Link, Transport
from devp2p.transports.tcp import TcpTransport
from devp2p.transports.unix import UnixTransport
from devp2p.version import __version__

if TYPE_CHECKING:  # imported when it is used: see node_discovery
    from devp2p.discovery.service import Discovery
    from devp2p.peers.book import Book

_TIE_BREAK = 1.0  # seconds that the node with the larger key waits longer for the other's choice between two links

_logger = logging.getLogger(__name__)


def default_client_id() -> str:
    """What we call ourselves in Hello unless told otherwise."""
    return f"devp2p.py/v{__version__}/{sys.platform}/python{sys.version_info.major}.{sys.version_info.minor}"


@asynccontextmanager
async def open_node(  # noqa: PLR0913  (keyword arguments are the configuration)
    key: PrivateKey,
    capabilities: Iterable[AnyCapability],
    *,
    listen: Iterable[str | Address] = (),
    static_peers: Iterable[str | NodeRecord] = (),
    bootnodes: Iterable[str | NodeRecord] = (),
    dns_trees: Iterable[str] = (),
    discovery: bool | DiscoverySettings | None = None,
    book: "Book | str | os.PathLike[str] | None" = None,
    max_peers: int = 50,
    client_id: str | None = None,
    limits: Limits | None = None,
    transports: Sequence[Transport] | None = None,
    strict: bool = False,
    handshake_extra: tuple[bytes, ...] = (),
) -> AsyncGenerator["Node"]:
    """Run a node for the length of an ``async with`` block.

    `listen`: addresses such as ``tcp://0.0.0.0:30303``, ``tcp://*:0`` (all interfaces, IPv4 and IPv6, any port) or ``unix:///run/node.sock``.
    `static_peers`: nodes to stay connected to, beside `max_peers`. `transports`: by default TCP and Unix sockets. `strict`: let a
    capability's stray exception end the node, as tests want it, instead of that one session. `handshake_extra`: encoded RLP items to append
    to auth and ack (EIP-8).

    `bootnodes` and `dns_trees` (``enrtree://...``) say where to begin to look for others. With either of them, or if `discovery` is True or
    has settings, the node takes part in discovery, at the UDP port of the same number as its first TCP port, and dials what is found until
    a third of `max_peers` are nodes that it has dialled; if it is False, it does not. `book`: what is known of nodes, or a file to keep it.

    Raises ValueError for what cannot be understood, LocalProtocolError for a capability that is not right, BookError for a book that cannot
    be opened, OSError if an address cannot be listened at. An exception that leaves the block arrives in an ExceptionGroup, as from any
    trio nursery.
    """
    limits = limits or Limits()
    addresses = [Address.parse(item) if isinstance(item, str) else item for item in listen]
    static = [NodeRecord.parse(item) if isinstance(item, str) else item for item in static_peers]
    local = LocalNode(
        key=key,
        client_id=client_id or default_client_id(),
        capabilities=tuple(capabilities),
        limits=limits,
        listen_port=next((address.port or 0 for address in addresses if address.scheme == "tcp"), 0),
        strict=strict,
        handshake_extra=handshake_extra,
        budget=Budget(limits.total_inbox_bytes),
    )
    local.check()
    plan = DiscoveryPlan.of(discovery, bootnodes, dns_trees, addresses)
    roster = Roster()
    obstacle: Exception | None = None
    try:
        async with opened(book) as known, trio.open_nursery() as nursery:
            node = Node(local, nursery, roster, static, max_peers, (TcpTransport(), UnixTransport()) if transports is None else transports)
            obstacle = await node.begin(addresses, plan, known)
            if obstacle is None:
                yield node
            nursery.cancel_scope.cancel()
    finally:
        roster.close()
    if obstacle is not None:
        raise obstacle


class Node:
    """A running node; `open_node` makes it."""

    def __init__(  # noqa: PLR0913, PLR0917  (made in one place, above)
        self,
        local: LocalNode,
        nursery: trio.Nursery,
        roster: Roster,
        static: Sequence[NodeRecord],
        max_peers: int,
        transports: Sequence[Transport],
    ) -> None:
        self.roster: Roster = roster
        """The connected peers and the news of them."""
        self.max_peers: int = max_peers
        self.addresses: tuple[Address, ...] = ()
        """Where the node listens."""
        self._local = local
        self._limits = local.limits
        self._nursery = nursery
        self._static = {bytes(record.public_key): record for record in static}
        self._transports = {scheme: transport for transport in transports for scheme in transport.schemes}
        self._admission = Admission(local.limits)
        self._pending = trio.Semaphore(local.limits.pending_inbound)
        self._dialling: dict[bytes, trio.Event] = {}
        self._reserved = 0
        self.discovery: Discovery | None = None
        """Discovery, where the node takes part in it."""
        self.dialer: Dialer | None = None
        """What dials the nodes that discovery finds; its `statistics` are to be read."""

    @property
    def public_key(self) -> PublicKey:
        """This node's key."""
        return self._local.key.public_key

    @property
    def record(self) -> NodeRecord:
        """How others name this node, with its ENR if that says where it is.

        Otherwise a wildcard address is written as loopback: which of the real ones peers reach is not known here.
        """
        return own_record(self._local.key, self.addresses, self.discovery)

    @property
    def enode(self) -> str:
        """`record` as text."""
        return self.record.enode

    @property
    def enr(self) -> str | None:
        """The node's own record (EIP-778) as text, ``enr:...``; None without discovery."""
        return None if self.discovery is None else self.discovery.record.text

    @property
    def connected(self) -> tuple[Peer, ...]:
        """All peers with a session."""
        return tuple(self.roster)

    def peers(self, capability: type[AnyCapability]) -> ReadyPeers:
        """Iterate the peers with which a capability can be used: those that there are, then each as it becomes ready."""
        return self.roster.ready_peers(capability)

    def events(self) -> Subscription:
        """Iterate what happens to peers from now on: see `devp2p.events`."""
        return self.roster.subscribe()

    async def connect(self, target: str | NodeRecord) -> Peer:
        """Dial a node that one knows and return the peer with its capabilities running, or the peer that is connected already.

        Raises ValueError for text that is no node record, and DialError if the node cannot be reached, fails the handshake, or either
        side does not admit the other.
        """
        record = NodeRecord.parse(target) if isinstance(target, str) else target
        key = bytes(record.public_key)
        if record.public_key == self.public_key:
            raise DialError("that is this node itself", target=record, reason=DisconnectReason.CONNECTED_TO_SELF)
        if self.roster.closed:
            raise DialError("the node has ended", target=record)
        while (peer := self.roster.get(record.public_key)) is None and key in self._dialling:
            await self._dialling[key].wait()
        if peer is not None:
            await trio.lowlevel.checkpoint()
            return peer
        self._dialling[key] = trio.Event()
        try:
            return await self._connect(record)
        finally:
            self._dialling.pop(key).set()

    async def listen(self, address: Address) -> tuple[Address, ...]:
        """Listen at one more address; returns the bound ones. OSError if that is impossible, ValueError without a transport for it."""
        transport = self._transport(address)
        bound: tuple[Address, ...] = await self._nursery.start(transport.serve, address, self._on_link)
        self.addresses += bound
        return bound

    async def begin(self, addresses: Iterable[Address], plan: DiscoveryPlan | None, book: "Book | None") -> Exception | None:
        """Listen, take part in discovery, and dial the static peers; `open_node` does this. Returns what stands in the way."""
        try:
            for address in addresses:
                await self.listen(address)
            if plan is not None:
                if plan.settings.dials:
                    wanted = max(1, self.max_peers // DIAL_RATIO)
                    history = DialHistory(limit_local_addresses=self._limits.limit_local_addresses)
                    self._reserved = max(0, min(wanted, self.max_peers - 1))
                    self.dialer = Dialer(self.connect, wanted, is_wanted=self._is_wanted, history=history, book=book)
                self.discovery = await self._nursery.start(plan.run, self._local.key, self.addresses, book, self.dialer)
        except (OSError, ValueError, LocalProtocolError) as error:
            return error
        for record in self._static.values():
            self._nursery.start_soon(keep_connected, record, self.connect, self.roster.publish)
        return None

    def _transport(self, address: Address) -> Transport:
        try:
            return self._transports[address.scheme]
        except KeyError:
            known = ", ".join(sorted(self._transports))
            raise ValueError(f"no transport for {address}: this node has {known}") from None

    # Outbound

    def _is_wanted(self, record: NodeRecord) -> bool:
        """Whether to dial a node that was found."""
        key = bytes(record.public_key)
        if record.public_key == self.public_key or key in self._static or key in self._dialling:
            return False
        if self.roster.get(record.public_key) is not None or any(address.scheme not in self._transports for address in record.addresses):
            return False
        return any(capability.wants(record) for capability in self._local.capabilities)

    async def _connect(self, record: NodeRecord) -> Peer:
        link = await self._dial(record)
        try:
            return await self._establish(link, record.public_key)
        except PeerDisconnected as error:
            if (peer := self.roster.get(record.public_key)) is not None:
                return peer  # it dialled us at the same time, and that link was the one to stay
            raise DialError(f"{record.enode}: {error}", target=record, reason=error.reason) from error
        except RemoteProtocolError as error:
            raise DialError(f"{record.enode}: {error}", target=record) from error
        except trio.TooSlowError:
            within = f"within {self._limits.handshake_timeout:g} s"
            raise DialError(f"{record.enode}: no handshake and Hello {within}", target=record) from None

    async def _dial(self, record: NodeRecord) -> Link:
        """Try each address of a node in turn."""
        problems: list[str] = []
        for address in record.addresses:
            try:
                with trio.fail_after(self._limits.dial_timeout):
                    return await self._transport(address).dial(address, expect=record.public_key)
            except trio.TooSlowError:
                problems.append(f"{address}: no answer within {self._limits.dial_timeout:g} s")
            except (OSError, ValueError) as error:
                problems.append(f"{address}: {error}")
        raise DialError("; ".join(problems) or f"{record.enode} has no address", target=record)

    # Inbound

    async def _on_link(self, link: Link) -> None:
        """Take an accepted link; waits while too many are shaking hands, and with it the listener waits."""
        refusal = self._admission.admit(link.remote, trio.current_time())
        if refusal is not None:
            self.roster.publish(PeerRefused(link.remote, RemoteProtocolError(refusal)))
            await close_link(link)
            return
        try:
            await self._pending.acquire()
        except trio.Cancelled:
            await close_link(link)
            raise
        self._nursery.start_soon(self._serve_link, link)

    async def _serve_link(self, link: Link) -> None:
        try:
            await self._establish(link, None)
        except (RemoteProtocolError, PeerDisconnected) as error:
            _logger.debug("link from %s failed: %s", link.remote, error)
            self.roster.publish(PeerRefused(link.remote, told(error)))
        except trio.TooSlowError:
            late = RemoteProtocolError(f"no handshake and Hello within {self._limits.handshake_timeout:g} s")
            self.roster.publish(PeerRefused(link.remote, late))
        finally:
            self._pending.release()
            self._admission.release(link.remote)

    # Both

    async def _establish(self, link: Link, expect: PublicKey | None) -> Peer:
        """Make a session of a link; returns once its capabilities run. Raises what `open_session` raises."""
        session = await open_session(link, self._local, expect=expect)
        try:
            peer: Peer = await self._nursery.start(self._live, session)
        except BaseException:  # also if the node has ended meanwhile
            await session.close()
            raise
        return peer

    async def _live(self, session: Session, *, task_status: trio.TaskStatus[Peer]) -> None:
        """Admit a session and run it to its end."""
        await self._admit(session)
        peers: list[Peer] = []

        def begin(peer: Peer) -> None:
            peers.append(peer)
            self.roster.add(peer)
            task_status.started(peer)

        try:
            await run_session(session, publish=self.roster.publish, on_peer=begin)
        finally:
            for peer in peers:
                self.roster.remove(peer)

    async def _admit(self, session: Session) -> None:
        """Let a session begin, or refuse it: says so to the peer and raises PeerDisconnected. No await stands behind the last check."""
        if session.connection.farewell is not None:
            raise PeerDisconnected(session.connection.farewell, by_remote=True)
        if session.public_key == self.public_key:
            await self._refuse(session, DisconnectReason.CONNECTED_TO_SELF, "it is this node itself")
        if not session.connection.space.shared:
            await self._refuse(session, DisconnectReason.USELESS_PEER, "no capability is shared")
        while self.roster.get(session.public_key) is not None:
            await self._wait_for_choice(session)
        if bytes(session.public_key) in self._static:
            return
        others = [peer for peer in self.roster if bytes(peer.public_key) not in self._static]
        if len(others) >= self.max_peers:
            await self._refuse(session, DisconnectReason.TOO_MANY_PEERS, f"all {self.max_peers} places are taken")
        # Who comes by himself does not get the places of those whom we choose: so nobody can surround us.
        places = self.max_peers - self._reserved
        if session.inbound and sum(peer.inbound for peer in others) >= places:
            await self._refuse(session, DisconnectReason.TOO_MANY_PEERS, f"all {places} places for inbound peers are taken")

    async def _wait_for_choice(self, session: Session) -> None:
        """A second link to a connected peer: return when the first has ended; refuse this one if the peer does not choose it."""
        larger = bytes(self.public_key) > bytes(session.public_key)
        patience = self._limits.duplicate_wait + (_TIE_BREAK if larger else 0.0)
        lost: list[Exception] = []

        async def watch_second(scope: trio.CancelScope) -> None:
            try:
                await session.wait_farewell()
            except (PeerDisconnected, RemoteProtocolError) as error:  # caught here, since a nursery would wrap it in a group
                lost.append(error)
                scope.cancel()

        with trio.move_on_after(patience) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_second, nursery.cancel_scope)
                await self.roster.wait_left(session.public_key)
                nursery.cancel_scope.cancel()
        if lost:
            raise lost[0]
        if scope.cancelled_caught:
            await self._refuse(session, DisconnectReason.ALREADY_CONNECTED, "there is a session with it already")

    async def _refuse(self, session: Session, reason: DisconnectReason, detail: str) -> None:
        await session.refuse(reason)
        raise PeerDisconnected(reason, by_remote=False, detail=detail)
