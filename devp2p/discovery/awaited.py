"""The operations of a `Protocol` as coroutines: each begins one and waits for the event that ends it.

They speak of nodes as `NodeRecord`. What a cancelled coroutine has begun goes on, and its end is passed over.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

import trio

from devp2p.addresses import Endpoint
from devp2p.discovery.events import Ended, LookupDone, PingResult, RecordFound
from devp2p.discovery.protocol import Protocol, RandomBytes
from devp2p.discovery.table import Contact, contacts_told_by, endpoints_of, node_at
from devp2p.discovery.v4 import Discv4, NodesNamed
from devp2p.discovery.v5 import Discv5, NodesFound, TalkAnswered
from devp2p.keys import PublicKey
from devp2p.records import NodeRecord, Record

_FEW = 32  # nodes in the table, below which more is done to find others
_DISTANCES = 10  # that are asked for at once, beyond which some refuse to answer

Clock = Callable[[], float]
P = TypeVar("P", bound=Protocol[Any, Any])


@dataclass(frozen=True, slots=True)
class Pinged:
    """A node has answered a Ping."""

    version: int
    """Of discovery: 4 or 5."""
    endpoint: Endpoint
    """Where it was asked."""
    seen_as: Endpoint
    """Where it says that the Ping came from: its IP address is empty if it does not know."""
    sequence: int | None
    """Of its record; None if it did not say."""
    rtt: float
    """Seconds until the answer; with the time for a handshake, if there was one."""


@dataclass(slots=True, eq=False)
class _Waiter:
    ended: trio.Event = field(default_factory=trio.Event)
    event: Ended | None = None


class Operations:
    """The operations of one protocol that somebody waits for."""

    def __init__(self, flush: Callable[[], None], at_once: int) -> None:
        """At most `at_once` are under way, and others wait. `flush` sends what an operation has put out, and takes in its events."""
        self._flush = flush
        self._waiters: dict[int, _Waiter] = {}
        self._places = trio.Semaphore(at_once)
        self._closed = False

    async def run(self, begin: Callable[[], int]) -> Ended:
        """Begin an operation and wait for its end; ClosedResourceError if discovery ends before it does."""
        await self._places.acquire()
        try:
            if self._closed:
                raise trio.ClosedResourceError("discovery has ended")
            operation = begin()
        except BaseException:
            self._places.release()
            raise
        waiter = self._waiters[operation] = _Waiter()
        self._flush()
        await waiter.ended.wait()
        if waiter.event is None:
            raise trio.ClosedResourceError("discovery has ended")
        return waiter.event

    def end(self, event: Ended) -> None:
        """An operation is over."""
        waiter = self._waiters.pop(event.operation)
        waiter.event = event
        waiter.ended.set()
        self._places.release()

    def close(self) -> None:
        """No operation will end any more."""
        self._closed = True
        for waiter in self._waiters.values():
            waiter.ended.set()
            self._places.release()  # others wait for them, who are told in their turn
        self._waiters.clear()


class Awaited(Generic[P]):
    """One version of discovery. `protocol` is to be read."""

    def __init__(self, protocol: P, *, clock: Clock, flush: Callable[[], None], random_bytes: RandomBytes, at_once: int = 512) -> None:
        self.protocol: P = protocol
        self.version: int = protocol.version
        self.source: str = f"v{protocol.version}"
        """What candidates say that it has named."""
        self.operations: Operations = Operations(flush, at_once)
        self._clock = clock
        self._random_bytes = random_bytes

    async def ping(self, node: NodeRecord) -> Pinged | None:
        """Ask a node whether it is there; None if it is silent, or nobody knows where it is."""
        contact = self.protocol.contact_of(node)
        if contact is None:
            return None
        end = await self.operations.run(lambda: self.protocol.ping(contact, self._clock()))
        if not isinstance(end, PingResult) or end.pong is None:
            return None
        return Pinged(self.version, contact.endpoint, end.pong.seen_as, end.pong.sequence, end.rtt)

    async def request_enr(self, node: NodeRecord) -> NodeRecord | None:
        """Ask a node for its record, which is then in `NodeRecord.enr`; None if it does not give it."""
        contact = self.protocol.contact_of(node)
        return None if contact is None else await self._record(lambda: self.protocol.request_enr(contact, self._clock()))

    async def resolve(self, node: NodeRecord) -> NodeRecord | None:
        """Ask a node for its record where it is said to be, or else search for it; None if it is not found, or does not answer."""
        return await self._record(lambda: self.protocol.resolve(node, self._clock()))

    async def lookup(self, target: bytes) -> list[NodeRecord]:
        """The nodes closest to a target, closest first: those that answered."""
        end = await self.operations.run(lambda: self.protocol.lookup(target, self._clock()))
        assert isinstance(end, LookupDone)  # noqa: S101  (a lookup ends so)
        return [self.protocol.record_of(contact) for contact in end.contacts]

    async def walk(self) -> list[NodeRecord]:
        """Nodes close to a random place, with their records where they give them."""
        found = await self.lookup(self._random_bytes(self.protocol.target_sizes[0]))

        async def complete(index: int) -> None:
            found[index] = await self.request_enr(found[index]) or found[index]

        async with trio.open_nursery() as nursery:
            for index, node in enumerate(found):
                if node.enr is None:
                    nursery.start_soon(complete, index)
        return found

    def proved(self) -> list[NodeRecord]:
        """The nodes in the table that have answered, and that others know, too."""
        return [self.protocol.record_of(entry.contact) for entry in self.protocol.table if entry.live and not entry.incoming]

    async def _record(self, begin: Callable[[], int]) -> NodeRecord | None:
        end = await self.operations.run(begin)
        if not isinstance(end, RecordFound) or end.record is None:
            return None
        return NodeRecord.from_enr(end.record) if end.contact is None else self.protocol.record_of(end.contact)


class AwaitedV4(Awaited[Discv4]):
    """Discovery v4, which can ask one node for those that it knows around any target."""

    async def find_nodes(self, node: NodeRecord, target: PublicKey | bytes) -> tuple[NodeRecord, ...] | None:
        """The nodes that one node names, closest to the target first; None if it does not answer, or nobody knows where it is."""
        contact = self.protocol.contact_of(node)
        if contact is None:
            return None
        end = await self.operations.run(lambda: self.protocol.find_nodes(contact, target, self._clock()))
        if not isinstance(end, NodesNamed) or end.nodes is None:
            return None
        return tuple(self.protocol.record_of(named) for named in end.nodes)


class AwaitedV5(Awaited[Discv5]):
    """Discovery v5, which can say things in other protocols, and ask one node for others at any distance."""

    async def talk(self, node: NodeRecord, protocol: bytes, request: bytes) -> bytes | None:
        """Say something in another protocol, and return the response; None if the node is silent, or nobody knows where it is."""
        contact = self.protocol.contact_of(node)
        if contact is None:
            return None
        end = await self.operations.run(lambda: self.protocol.talk(contact, protocol, request, self._clock()))
        return end.response if isinstance(end, TalkAnswered) else None

    async def find_nodes(self, node: NodeRecord, distances: Iterable[int]) -> tuple[NodeRecord, ...] | None:
        """The nodes at some distances from one node, as it names them; None if it does not answer, or nobody knows where it is."""
        contact = self.protocol.contact_of(node)
        if contact is None:
            return None
        end = await self.operations.run(lambda: self.protocol.find_node(contact, distances, self._clock()))
        if not isinstance(end, NodesFound) or not (end.complete or end.records):
            return None
        # What is at distance 0 it says of itself. Of others nobody is named who would be asked where it has no business to send us.
        own = [node_at(contact.endpoint, record) for record in end.records if record.id == contact.id]
        others = [record for record in end.records if record.id != contact.id]
        named = contacts_told_by(contact.endpoint, others, self.protocol.ip_versions)
        return (*own, *(_as_told(one.record) for one in named if one.endpoint == endpoints_of(one.record, self.protocol.ip_versions)[0]))

    async def walk(self) -> list[NodeRecord]:
        """Nodes close to a random place; and while we know but few, some that one of them knows."""
        found = await super().walk()
        return found if len(self.protocol.table) >= _FEW else found + await self._ask_around({node.id for node in found})

    async def _ask_around(self, known: Collection[bytes]) -> list[NodeRecord]:
        """Ask one node for nodes at any distance, and give those that answer.

        A search asks each node for three distances around its target, which in a small network misses nodes that are close to others: of
        two nodes of which 12 bits are the same, few random targets are as close to either.
        """
        entries = list(self.protocol.table)
        if not entries:
            return []
        teller = entries[self._random_bytes(1)[0] % len(entries)].contact
        records: list[Record] = []
        for farthest in (256, 256 - _DISTANCES):  # closer ones there are only in large networks
            told = await self._find_node(teller, range(farthest, farthest - _DISTANCES, -1))
            records += [record for record in told if record.id not in known]
        return await _gather(
            partial(self._check, contact) for contact in contacts_told_by(teller.endpoint, records, self.protocol.ip_versions)
        )

    async def _find_node(self, contact: Contact[Record], distances: Iterable[int]) -> Sequence[Record]:
        end = await self.operations.run(lambda: self.protocol.find_node(contact, distances, self._clock()))
        return end.records if isinstance(end, NodesFound) else ()

    async def _check(self, contact: Contact[Record]) -> NodeRecord | None:
        end = await self.operations.run(lambda: self.protocol.ping(contact, self._clock()))
        return self.protocol.record_of(contact) if isinstance(end, PingResult) and end.pong is not None else None


@lru_cache(maxsize=4096)
def _as_told(record: Record) -> NodeRecord:
    return NodeRecord.from_enr(record)


async def _gather(calls: Iterable[Callable[[], Awaitable[NodeRecord | None]]]) -> list[NodeRecord]:
    """What calls give that are made at once, without None."""
    results: list[NodeRecord] = []

    async def collect(call: Callable[[], Awaitable[NodeRecord | None]]) -> None:
        if (result := await call()) is not None:
            results.append(result)

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(collect, call)
    return results
