"""Discovery v4 and v5 as coroutines: each begins an operation of the sans-IO protocol and waits for the event that ends it.

Both have the same methods, and speak of nodes as `NodeRecord`. What a cancelled coroutine has begun goes on, and its end is passed over.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Generic, TypeVar

import trio

from devp2p.addresses import Endpoint, scope_fault
from devp2p.discovery.table import Contact, contact_of, contacts_told_by
from devp2p.discovery.v4 import Discv4
from devp2p.discovery.v4 import events as v4_events
from devp2p.discovery.v4 import nodes as v4_nodes
from devp2p.discovery.v5 import Discv5
from devp2p.discovery.v5 import events as v5_events
from devp2p.keys import keccak256
from devp2p.records import NodeRecord, Record

AT_ONCE: Final = 512
"""Operations of one protocol that are under way for coroutines; others wait."""

_FEW = 32  # nodes in the table, below which more is done to find others
_DISTANCES = 10  # that are asked for at once, beyond which some refuse to answer

End = TypeVar("End")
Clock = Callable[[], float]


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
class _Waiter(Generic[End]):
    ended: trio.Event = field(default_factory=trio.Event)
    event: End | None = None


class Operations(Generic[End]):
    """The operations of one protocol that somebody waits for."""

    def __init__(self, flush: Callable[[], None]) -> None:
        """`flush` sends what an operation has put out, and takes in its events."""
        self._flush = flush
        self._waiters: dict[int, _Waiter[End]] = {}
        self._places = trio.Semaphore(AT_ONCE)
        self._closed = False

    async def run(self, begin: Callable[[], int]) -> End:
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

    def end(self, operation: int, event: End) -> None:
        """An operation is over."""
        waiter = self._waiters.pop(operation)
        waiter.event = event
        waiter.ended.set()
        self._places.release()

    def close(self) -> None:
        """No operation will end any more."""
        self._closed = True
        for waiter in self._waiters.values():
            waiter.ended.set()


class AwaitedV4:
    """Discovery v4."""

    version: Final = 4
    source: Final = "v4"

    def __init__(
        self, protocol: Discv4, *, clock: Clock, flush: Callable[[], None], random_bytes: Callable[[int], bytes], ip_versions: Sequence[int]
    ) -> None:
        self.protocol = protocol
        self._clock = clock
        self._random_bytes = random_bytes
        self._ip_versions = ip_versions
        self.operations: Operations[v4_events.PingResult | v4_events.RecordFound | v4_events.LookupDone] = Operations(flush)

    def contact(self, node: NodeRecord) -> v4_nodes.Node | None:
        """Where a node is to be asked; None if that is unknown, or cannot be sent to."""
        return v4_nodes.contact_of(node, self._ip_versions)

    async def ping(self, node: NodeRecord) -> Pinged | None:
        """Ask a node whether it is there; None if it is silent, or nobody knows where it is."""
        contact = self.contact(node)
        if contact is None:
            return None
        end = await self.operations.run(lambda: self.protocol.ping(contact, self._clock()))
        if not isinstance(end, v4_events.PingResult) or end.pong is None:
            return None
        seen_as = Endpoint(end.pong.recipient.ip, end.pong.recipient.udp)
        return Pinged(4, contact.endpoint, seen_as, end.pong.enr_sequence, end.rtt)

    async def request_enr(self, node: NodeRecord) -> NodeRecord | None:
        """Ask a node for its record, which is then in `NodeRecord.enr`; None if it does not give it."""
        contact = self.contact(node)
        return None if contact is None else await self._record(lambda: self.protocol.request_enr(contact, self._clock()))

    async def resolve(self, node: NodeRecord) -> NodeRecord | None:
        """Ask a node for its record where it is said to be, or else search for it; None if it is not found, or does not answer."""
        found = await self.request_enr(node)
        return found or await self._record(lambda: self.protocol.resolve(node.public_key, self._clock()))

    async def lookup(self, target: bytes) -> list[NodeRecord]:
        """The nodes closest to a target of 64 bytes, closest first: those that answered."""
        end = await self.operations.run(lambda: self.protocol.lookup(target, self._clock()))
        assert isinstance(end, v4_events.LookupDone)  # noqa: S101  (a lookup ends so)
        return [contact.record for contact in end.contacts]

    async def walk(self) -> list[NodeRecord]:
        """Nodes close to a random place, with their records where they give them."""
        found = await self.lookup(self._random_bytes(64))

        async def complete(index: int) -> None:
            found[index] = await self.request_enr(found[index]) or found[index]

        async with trio.open_nursery() as nursery:
            for index, node in enumerate(found):
                if node.enr is None:
                    nursery.start_soon(complete, index)
        return found

    def proved(self) -> list[NodeRecord]:
        """The nodes in the table that have answered, and that others know, too."""
        return [entry.contact.record for entry in self.protocol.table if entry.live and not entry.incoming]

    async def _record(self, begin: Callable[[], int]) -> NodeRecord | None:
        end = await self.operations.run(begin)
        if not isinstance(end, v4_events.RecordFound) or end.record is None or end.contact is None:
            return None
        return end.contact.record


class AwaitedV5:
    """Discovery v5."""

    version: Final = 5
    source: Final = "v5"

    def __init__(
        self, protocol: Discv5, *, clock: Clock, flush: Callable[[], None], random_bytes: Callable[[int], bytes], ip_versions: Sequence[int]
    ) -> None:
        self.protocol = protocol
        self._clock = clock
        self._random_bytes = random_bytes
        self._ip_versions = ip_versions
        self.operations: Operations[
            v5_events.PingResult | v5_events.NodesFound | v5_events.TalkAnswered | v5_events.LookupDone | v5_events.Resolved
        ] = Operations(flush)

    def contact(self, node: NodeRecord) -> Contact[Record] | None:
        """Where a node is to be asked, as its own record says, or the one that we have of it; None if neither says so."""
        known = self.protocol.table.get(node.id)
        record = node.enr
        if known is not None and (record is None or known.contact.seq > record.sequence):
            return known.contact
        return None if record is None else contact_of(record, self._ip_versions)

    async def ping(self, node: NodeRecord) -> Pinged | None:
        """Ask a node whether it is there; None if it is silent, or nobody knows where it is."""
        contact = self.contact(node)
        if contact is None:
            return None
        since = trio.current_time()
        end = await self.operations.run(lambda: self.protocol.ping(contact, self._clock()))
        if not isinstance(end, v5_events.PingResult) or end.pong is None:
            return None
        seen_as = Endpoint(end.pong.recipient_ip, end.pong.recipient_port)
        return Pinged(5, contact.endpoint, seen_as, end.pong.enr_sequence, trio.current_time() - since)

    async def request_enr(self, node: NodeRecord) -> NodeRecord | None:
        """Ask a node for its record, which is then in `NodeRecord.enr`; None if it does not give it."""
        contact = self.contact(node)
        if contact is None:
            return None
        records = await self._find_node(contact, [0])
        return node_at(contact.endpoint, records[0]) if records else None

    async def resolve(self, node: NodeRecord) -> NodeRecord | None:
        """Ask a node for its record where it is said to be, or else search for it; None if it is not found."""
        known = self.contact(node)
        record = node.enr or (known.record if known is not None else None)
        if record is None:
            found = await self.lookup(node.id)
            return next((other for other in found if other.id == node.id), None)
        end = await self.operations.run(lambda: self.protocol.resolve(record, self._clock()))
        return NodeRecord.from_enr(end.record) if isinstance(end, v5_events.Resolved) and end.confirmed else None

    async def talk(self, node: NodeRecord, protocol: bytes, request: bytes) -> bytes | None:
        """Say something in another protocol, and return the response; None if the node is silent, or nobody knows where it is."""
        contact = self.contact(node)
        if contact is None:
            return None
        end = await self.operations.run(lambda: self.protocol.talk(contact, protocol, request, self._clock()))
        return end.response if isinstance(end, v5_events.TalkAnswered) else None

    async def lookup(self, target: bytes) -> list[NodeRecord]:
        """The nodes closest to a target, closest first: those that answered. One of 64 bytes stands for its hash."""
        place = target if len(target) == 32 else keccak256(target)
        end = await self.operations.run(lambda: self.protocol.lookup(place, self._clock()))
        assert isinstance(end, v5_events.LookupDone)  # noqa: S101  (a lookup ends so)
        return [node_at(contact.endpoint, contact.record) for contact in end.contacts]

    async def walk(self) -> list[NodeRecord]:
        """Nodes close to a random place; and while we know but few, some that one of them knows."""
        found = await self.lookup(self._random_bytes(32))
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
        return await _gather(partial(self._check, contact) for contact in contacts_told_by(teller.endpoint, records, self._ip_versions))

    async def _find_node(self, contact: Contact[Record], distances: Iterable[int]) -> Sequence[Record]:
        end = await self.operations.run(lambda: self.protocol.find_node(contact, distances, self._clock()))
        return end.records if isinstance(end, v5_events.NodesFound) else ()

    async def _check(self, contact: Contact[Record]) -> NodeRecord | None:
        end = await self.operations.run(lambda: self.protocol.ping(contact, self._clock()))
        answered = isinstance(end, v5_events.PingResult) and end.pong is not None
        return node_at(contact.endpoint, contact.record) if answered else None

    def proved(self) -> list[NodeRecord]:
        """The nodes in the table that have answered, and that others know, too."""
        contacts = [entry.contact for entry in self.protocol.table if entry.live and not entry.incoming]
        return [node_at(contact.endpoint, contact.record) for contact in contacts]


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


def node_at(endpoint: Endpoint, record: Record) -> NodeRecord:
    """What is to be made of the record of a node that answered at an endpoint: it cannot be dialled where one there cannot know a host."""
    node = NodeRecord.from_enr(record)
    own = tuple(address for address in node.addresses if scope_fault(endpoint.ip, address.ip) is None)
    return node if own == node.addresses else replace(node, addresses=own)
