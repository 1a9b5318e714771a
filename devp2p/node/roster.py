"""The peers that a node has, and the news of them."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol
from weakref import WeakSet

import trio

from devp2p.capability import AnyCapability, Peer
from devp2p.keys import NodeId, PublicKey
from devp2p.node.events import Event, PeerConnected, PeerDropped, PeerReady

_BACKLOG = 4096  # events that a slow subscriber may fall behind; beyond it the oldest are lost


class Observer(Protocol):
    """Who hears what happens, at the moment that it happens. It is forgotten when nobody else holds it."""

    def put(self, event: Event) -> None:
        """Something happened."""

    def close(self) -> None:
        """Nothing more will."""


class Subscription:
    """Events from the moment of subscribing on, as an async iterator; it ends when the node does."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_BACKLOG)
        self._news = trio.lowlevel.ParkingLot()
        self._closed = False
        self.lost: int = 0
        """How many events were dropped, oldest first, because nobody took them."""

    def put(self, event: Event) -> None:
        """Add an event."""
        self.lost += len(self._events) == _BACKLOG
        self._events.append(event)
        self._news.unpark()

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._news.unpark_all()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Event:
        await trio.lowlevel.checkpoint()
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            await self._news.park()
        return self._events.popleft()


class Roster:
    """Peers by node-ID (bytes, whose hash no stranger can steer), and who wants to hear of them."""

    def __init__(self) -> None:
        self._peers: dict[NodeId, Peer] = {}
        self._subscriptions: WeakSet[Observer] = WeakSet()
        self._left = trio.lowlevel.ParkingLot()
        self._closed = False

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[Peer]:
        return iter(tuple(self._peers.values()))

    def get(self, key: PublicKey) -> Peer | None:
        """The peer with a key, if it is connected."""
        return self._peers.get(key.node_id)

    def add(self, peer: Peer) -> None:
        """A session begins."""
        self._peers[peer.id] = peer
        self.publish(PeerConnected(peer))

    def remove(self, peer: Peer) -> None:
        """Its session is over."""
        del self._peers[peer.id]
        self._left.unpark_all()
        assert peer.ended is not None  # noqa: S101  (run_session has returned)
        self.publish(PeerDropped(peer, peer.ended))

    def ready(self, peer: Peer, capability: AnyCapability) -> None:
        """A shared capability can be used with a peer."""
        self.publish(PeerReady(peer, capability))

    async def wait_left(self, key: PublicKey) -> None:
        """Wait until no peer with that key is connected."""
        await trio.lowlevel.checkpoint()
        while key.node_id in self._peers:
            await self._left.park()

    def publish(self, event: Event) -> None:
        """Tell every subscriber."""
        for subscription in self._subscriptions:
            subscription.put(event)

    def subscribe(self) -> Subscription:
        """Hear of what happens from now on, until the subscription is dropped."""
        subscription = Subscription()
        self.attach(subscription)
        return subscription

    def attach(self, observer: Observer) -> None:
        """Let somebody hear of what happens from now on, until nobody else holds it; after the end, that nothing more will."""
        self._subscriptions.add(observer)
        if self._closed:
            observer.close()

    def ready_peers(self, capability: type[AnyCapability]) -> "ReadyPeers":
        """Iterate the peers with which a capability can be used, until the iterator is dropped."""
        peers = ReadyPeers(capability, self)
        self.attach(peers)
        return peers

    def close(self) -> None:
        """The node has ended: let the subscriptions run out, those that are yet to come among them."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()


class ReadyPeers:
    """Peers with which a capability can be used: those that there are, then each as it becomes ready. An async iterator.

    Nobody is lost however slow the one who iterates is, and nobody comes twice; who has left meanwhile is passed over.
    """

    def __init__(self, capability: type[AnyCapability], present: Iterable[Peer]) -> None:
        self._capability = capability
        self._queue = {id(peer): peer for peer in present if capability in peer}
        self._known = WeakSet(self._queue.values())
        self._news = trio.lowlevel.ParkingLot()
        self._closed = False

    def put(self, event: Event) -> None:
        """Take in what happens."""
        if isinstance(event, PeerDropped):
            self._queue.pop(id(event.peer), None)
        elif isinstance(event, PeerReady) and isinstance(event.capability, self._capability) and event.peer not in self._known:
            self._known.add(event.peer)
            self._queue[id(event.peer)] = event.peer
            self._news.unpark()

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._news.unpark_all()

    def __aiter__(self) -> "ReadyPeers":
        return self

    async def __anext__(self) -> Peer:
        await trio.lowlevel.checkpoint()
        while True:
            while self._queue:
                peer = self._queue.pop(next(iter(self._queue)))
                if self._capability in peer:
                    return peer
            if self._closed:
                raise StopAsyncIteration
            await self._news.park()
