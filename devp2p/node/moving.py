"""Links that succeed others: a session goes on over another link, where both sides have agreed to that.

A further link to a connected peer is a rival of the first (`sessions`), unless a capability has said that it is awaited: it does so after
it has agreed with the peer, over the session itself. So nobody else can bring a session to a link of theirs: the new link is opened as any
other, which proves the same key, and the session marks its last message on the old one, which nobody but the peer can.

Both sides have to mean the same link, or each would leave the session for another one. So only what has come to the door since it was
awaited counts: a link of an earlier attempt, which is over at the other end, may come to its Hello only now. Nor does a link that the peer
has dialled for a reason of its own take the place of one that was opened here.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio

from devp2p.addresses import HOST, Address
from devp2p.capability import Peer
from devp2p.errors import DisconnectReason, LocalProtocolError, PeerDisconnected, RemoteProtocolError
from devp2p.keys import NodeId
from devp2p.records import NodeRecord
from devp2p.session import LocalNode, RunningSession, Session, dial, open_session
from devp2p.transports import Arrival, Carriers, Link, SendsBare

Moved = Callable[[Peer, Session], None]
"""Told of a session that goes on over the link of another."""

_MOST_EXPECTED = 8
"""Links from one host, of all that its transports try in one attempt, that need not keep the time between two of a stranger."""


class Moving:
    """The sessions of a node that are about to move."""

    def __init__(self, local: LocalNode, carriers: Carriers, moved: Moved) -> None:
        self._local = local
        self._carriers = carriers
        self._moved = moved
        self._awaited: dict[NodeId, AwaitedLink] = {}

    def awaits(self, node_id: NodeId, came: float | None) -> "AwaitedLink | None":
        """Whether a further link to a node is to succeed the first; `came`: when it was accepted, if it was."""
        awaited = self._awaited.get(node_id)
        return awaited if awaited is not None and came is not None and came >= awaited.since and not awaited.has_own else None

    def lets_come(self, host: bytes) -> bool:
        """Whether a link is awaited from a host, so that it need not keep the time between two of a stranger."""
        return any(awaited.lets_come(host) for awaited in self._awaited.values())

    @asynccontextmanager
    async def successor(self, running: RunningSession) -> AsyncGenerator["AwaitedLink"]:
        """See `Peer.successor`."""
        peer = running.peer
        if peer.ended is not None:
            raise peer.ended.again()
        if peer.id in self._awaited:
            raise LocalProtocolError(f"{peer!r} is about to move already: one successor at a time")
        awaited = self._awaited[peer.id] = AwaitedLink(running, self._local, self._carriers, self._moved)
        try:
            yield awaited
        finally:
            del self._awaited[peer.id]
            await awaited.close()


class AwaitedLink:
    """See `capability.moving.Successor`."""

    def __init__(self, running: RunningSession, local: LocalNode, carriers: Carriers, moved: Moved) -> None:
        self._running = running
        self._local = local
        self._carriers = carriers
        self._moved = moved
        self._session: Session | None = None
        self._arrival = trio.Event()
        self._expected: Counter[bytes] = Counter()
        self.since: float = trio.current_time()
        """Since when it is awaited."""
        self.has_own: bool = False
        """Whether there is one that was opened here."""

    @property
    def peer(self) -> Peer:
        """The peer whose session is to move."""
        return self._running.peer

    async def dial(self, address: Address) -> Link:
        """See `Successor.dial`."""
        return await dial(NodeRecord(self.peer.public_key, (address,)), self._carriers, each=self._local.limits.dial_timeout)

    async def nudge(self, address: Address, data: bytes) -> None:
        """See `Successor.nudge`."""
        transport = self._carriers.transport(address)
        if not isinstance(transport, SendsBare):
            raise ValueError(f"{address} is of a transport without datagrams")  # noqa: TRY004  (it is the address that is wrong)
        await transport.send_bare(data, address)

    def expect(self, address: Address) -> None:
        """See `Successor.expect`."""
        self._expected[address.network(HOST)] = _MOST_EXPECTED

    def lets_come(self, host: bytes) -> bool:
        """Whether one more link of a host was expected."""
        if not self._expected[host]:
            return False
        self._expected[host] -= 1
        return True

    async def open(self, link: Arrival) -> None:
        """See `Successor.open`."""
        session = await open_session(link, self._local, expect=self.peer.public_key)
        try:
            await self.take(session)
        except BaseException:
            await session.close()
            raise
        self.has_own = True

    async def arrived(self) -> None:
        """See `Successor.arrived`."""
        await self._arrival.wait()

    async def take(self, session: Session) -> None:
        """Keep a session over a new link, which has proved its peer. Raises as `open` for one that is not this peer's, or unlike it."""
        if session.public_key != self.peer.public_key:
            await session.refuse(DisconnectReason.UNEXPECTED_IDENTITY)
            raise RemoteProtocolError("another node than the peer of the session has proved itself")
        ours = {capability.name: capability.version for capability in self.peer.capabilities}
        if {spec.name: spec.version for spec in session.connection.space.shared} != ours:
            await session.refuse(DisconnectReason.USELESS_PEER)
            raise PeerDisconnected(DisconnectReason.USELESS_PEER, by_remote=False, detail="other capabilities than those of the session")
        (before, self._session) = (self._session, session)
        self._arrival.set()
        if before is not None:
            await before.close()

    async def go_on(self) -> bool:
        """See `Successor.go_on`."""
        session, self._session = self._session, None
        if session is None:
            raise LocalProtocolError("there is no link to go on over: dial or open one, or wait until one has arrived")
        moved = await self._running.move(session)
        if moved:
            self._moved(self.peer, session)
        return moved

    async def close(self) -> None:
        """Close a link over which the session does not go on."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
