"""Node Discovery Protocol v4, sans-IO: `Discv4` finds nodes, keeps a table of them, and tells others of it (discv4.md; EIP-868).

    receive_datagram(data, addr, now), handle_timer(now)        what happens to it
    datagrams_to_send(now), next_timer(), next_event()          what it wants, to be asked for after each of those
    ping, request_enr, lookup, resolve                          operations: each returns a number, and ends in an event with that number

``now`` is in seconds, of a clock that never goes back. Packets bear the time at which they expire: that is what `wall` is for.

Theory of operation. `Exchange` talks to single nodes, and knows of endpoint proofs and of what strangers may cost. Here is what is made of
that. A node that answered our Ping gets into the table, and counts there as one that came by itself if we know it from its own Ping only.
Those in the table are pinged now and then. Where a Pong names a newer record of its sender than we have, we ask for it, but at most once in
ten minutes. At the start and every half hour the table is refreshed by searches for ourselves and for three random places. Soon after the
start we search for ourselves more often, since then the few datagrams that mattered may have been lost. And every Pong says where its
sender sees us, which makes a vote on our own address.
"""

import enum
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeAlias

from devp2p.addresses import Endpoint, unmapped
from devp2p.bounded import Recent
from devp2p.discovery.external_address import AddressChanged, ExternalAddress
from devp2p.discovery.table import BUCKET_SIZE, Lookup, Refreshing, RoutingTable
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v4.events import ClockDoubtful, Event, LookupDone, PingResult, RecordFound
from devp2p.discovery.v4.exchange import Exchange, PublishesRecord
from devp2p.discovery.v4.nodes import Node, add_record, contact_of
from devp2p.discovery.v4.outcomes import Heard, NodesEnded, PingEnded, RecordEnded
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.records import NodeRecord, Record

RECORD_INTERVAL: Final = 600.0
"""Seconds between two requests for one node's record."""
SILENCES: Final = 32
"""Questions in a row without any answer that make the clock doubtful."""

_LONELY = 30.0  # seconds until the next refreshing while nobody is there
_WALKS = 3  # searches for random places in a refreshing
_RECORDS = 1024  # nodes for which it is remembered when they were asked
_TARGET = 64


class _Own(enum.Enum):
    """Why we ask, if the owner did not tell us to."""

    REVALIDATION = enum.auto()
    NEWS = enum.auto()


@dataclass(slots=True, eq=False)
class _Search:
    """A lookup, and what its result is for."""

    lookup: Lookup[NodeRecord]
    target: bytes
    operation: int | None
    """None for one that refreshes the table."""
    wanted: PublicKey | None = None
    """The node whose record is looked for."""
    over: bool = False


_Purpose: TypeAlias = int | _Own | _Search


class Discv4:
    """A node of discovery v4, without socket and clock. `table` is to be read."""

    def __init__(  # noqa: PLR0913  (all but the first two by name)
        self,
        local_record: PublishesRecord,
        key: PrivateKey,
        *,
        random: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        bootnodes: Sequence[NodeRecord] = (),
        seeds: Sequence[NodeRecord] = (),
        limits: Discv4Limits | None = None,
        tcp_port: int = 0,
        external_address: ExternalAddress | None = None,
        ip_versions: Sequence[int] = (4, 6),
        wall: Callable[[float], float] = float,
    ) -> None:
        """Be the node of `key`, whose record is in `local_record`.

        `random` gives numbers from 0 to below 1 and `random_bytes` so many bytes, which nobody else should be able to predict. `bootnodes`,
        and `seeds`, which one knew at another time, are left out if they have no IP address of `ip_versions`, those that can be sent to.
        Votes on where we are go into `external_address`, which may be shared with others. `wall` gives the time in seconds since 1970 that
        it is at ``now``, which is when it is called; by default that is the same.
        """
        if local_record.record.public_key != key.public_key:
            raise LocalProtocolError("the record is not that of the key")
        self._key = key
        self._id = key.public_key.node_id
        self._limits = limits or Discv4Limits()
        self.table: RoutingTable[NodeRecord] = RoutingTable(self._id, random, self._limits.table)
        self.external_address: ExternalAddress = external_address or ExternalAddress()
        self._random, self._random_bytes = random, random_bytes
        contacts = (contact_of(node, ip_versions) for node in (*bootnodes, *seeds))
        self._known = [contact for contact in contacts if contact is not None]
        self._exchange: Exchange[_Purpose] = Exchange(
            local_record, key, self._limits, self._nodes_to_tell, tcp_port=tcp_port, ip_versions=ip_versions, wall=wall
        )
        self._events: deque[Event] = deque()
        self._numbers = count(1)
        self._operations: set[int] = set()
        self._rounds = Refreshing(float("-inf"))
        self._refreshing = self._walks = 0
        self._asked: Recent[bytes, None] = Recent(_RECORDS, RECORD_INTERVAL)  # nodes that were asked for their records
        self._told: Recent[bytes, Record] = Recent(_RECORDS, RECORD_INTERVAL)  # and what they said
        self._silences = 0
        self._doubted = False

    def receive_datagram(self, data: bytes, addr: Endpoint, now: float) -> bool:
        """Take in what came from `addr`. False: it is not of discovery v4, and may be of another protocol on the same port."""
        known = self._exchange.receive(data, Endpoint(unmapped(addr.ip), addr.port), now)
        self._work(now)
        return known

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:  # noqa: ARG002  (the shape of all protocols here)
        """Take what is to be sent, in order, and where to. IPv4 addresses are 4 bytes, however they came in."""
        outgoing = list(self._exchange.outgoing)
        self._exchange.outgoing.clear()
        return outgoing

    def next_timer(self) -> float:
        """When to call `handle_timer`; in the past if that should be at once, as it should in the beginning."""
        timers = (self._rounds.due, self._exchange.next_timer(), self.table.next_timer())
        return min(timer for timer in timers if timer is not None)

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        self._exchange.handle_timer(now)
        self._work(now)
        while (entry := self.table.next_revalidation(now)) is not None:
            self._exchange.ping(entry.contact, now, _Own.REVALIDATION)
        if self._rounds.due <= now:
            self._refresh(now)
            self._work(now)

    def next_event(self) -> Event | None:
        """Take the oldest event."""
        return self._events.popleft() if self._events else None

    def ping(self, contact: Node, now: float) -> int:
        """Ask a node whether it is there: PingResult."""
        operation = self._begin()
        self._exchange.ping(contact, now, operation)
        return operation

    def request_enr(self, contact: Node, now: float) -> int:
        """Ask a node for its record: RecordFound. One that has just given it is not asked again for ten minutes."""
        operation = self._begin()
        self._request_record(contact, operation, now)
        return operation

    def lookup(self, target: PublicKey | bytes, now: float) -> int:
        """Search for the nodes closest to a target, which has the form of a key's 64 bytes, but need not be one: LookupDone."""
        raw = bytes(target)
        if len(raw) != _TARGET:
            raise LocalProtocolError(f"a target has {_TARGET} bytes, not {len(raw)}")
        operation = self._begin()
        self._search(raw, now, operation)
        self._work(now)
        return operation

    def resolve(self, public_key: PublicKey, now: float) -> int:
        """Find a node and its record: RecordFound."""
        operation = self._begin()
        entry = self.table.get(public_key.node_id)
        if entry is not None and entry.live:
            self._request_record(entry.contact, operation, now)
        else:
            self._search(bytes(public_key), now, operation, public_key)
            self._work(now)
        return operation

    def _begin(self) -> int:
        if len(self._operations) >= self._limits.operations:
            raise LocalProtocolError(f"more than {self._limits.operations} operations at a time")
        operation = next(self._numbers)
        self._operations.add(operation)
        return operation

    def _end(self, event: PingResult | RecordFound | LookupDone) -> None:
        self._operations.discard(event.operation)
        self._events.append(event)

    def _nodes_to_tell(self, target: bytes) -> list[Node]:
        """The closest nodes, and more of them than are wanted, since some may not be for everybody."""
        return self.table.closest(keccak256(target), 4 * BUCKET_SIZE)

    def _work(self, now: float) -> None:
        """Do what follows from the ends of questions, until nothing does."""
        while self._exchange.outcomes:
            match outcome := self._exchange.outcomes.popleft():
                case PingEnded():
                    self._count(answered=outcome.pong is not None, asked_for=not outcome.incoming)
                    self._on_ping_ended(outcome, now)
                case NodesEnded():
                    self._count(answered=outcome.nodes is not None)
                    self._on_nodes_ended(outcome, now)
                case RecordEnded():
                    self._count(answered=outcome.record is not None)
                    self._on_record_ended(outcome, now)
                case Heard(contact, sequence):
                    self.table.add(contact, now, incoming=True)
                    self._note_sequence(contact, sequence, now)

    def _count(self, *, answered: bool, asked_for: bool = True) -> None:
        """Doubt the clock if nobody answers, and what comes is too old. Strangers who made us ask with a forged Ping do not count.

        That nobody answers says nothing by itself: this machine may be offline. But when it no longer is, the clock is doubted, however
        long that was.
        """
        if answered:
            self._silences, self._exchange.expired, self._doubted = 0, 0, False
        elif asked_for:
            self._silences += 1
            if self._silences >= SILENCES and self._exchange.expired and not self._doubted:
                self._doubted = True
                self._events.append(ClockDoubtful(self._silences, self._exchange.expired))

    def _on_ping_ended(self, outcome: PingEnded[_Purpose], now: float) -> None:
        contact, pong = outcome.contact, outcome.pong
        if pong is not None:
            seen = Endpoint(pong.recipient.ip, pong.recipient.udp)
            if self.external_address.vote(contact.endpoint.ip, seen, now):
                self._events.append(AddressChanged(self.external_address.ipv4, self.external_address.ipv6))
        for purpose in outcome.purposes:
            if purpose is _Own.REVALIDATION:
                self.table.revalidated(contact.id, now, ok=pong is not None)
            elif isinstance(purpose, int):
                self._end(PingResult(purpose, contact, pong, outcome.rtt))
        if pong is not None:
            if _Own.REVALIDATION not in outcome.purposes:
                self._offer(contact, now, incoming=outcome.incoming)
            self._note_sequence(contact, pong.enr_sequence, now)

    def _on_nodes_ended(self, outcome: NodesEnded[_Purpose], now: float) -> None:
        contact, nodes = outcome.contact, outcome.nodes
        if nodes is not None:
            self._offer(contact, now)
        for node in nodes or ():
            self.table.add(node, now)
        self.table.queried(contact.id, now, useful=bool(nodes))
        for purpose in outcome.purposes:
            if isinstance(purpose, _Search):
                if nodes is None:
                    purpose.lookup.failed(contact, present=outcome.present)
                else:
                    purpose.lookup.answered(contact, nodes)
                self._continue(purpose, now)

    def _on_record_ended(self, outcome: RecordEnded[_Purpose], now: float) -> None:
        contact, record = outcome.contact, outcome.record
        if record is not None:
            contact = add_record(contact, record)
            self._told.set(contact.id, record, now)
            self._offer(contact, now)
        for purpose in outcome.purposes:
            if isinstance(purpose, int):
                self._end(RecordFound(purpose, contact, record))

    def _offer(self, contact: Node, now: float, *, incoming: bool = False) -> None:
        """A node has just answered: let the table know. One that came by itself remains one that nobody else has told us of."""
        entry = self.table.get(contact.id)
        self.table.add(contact, now, incoming=incoming if entry is None else entry.incoming, live=True)

    def _note_sequence(self, contact: Node, sequence: int | None, now: float) -> None:
        """A node has said the number of its record: ask for it if it is in the table with an older one, unless it was asked lately."""
        entry = self.table.get(contact.id)
        if entry is not None and sequence is not None and sequence > entry.contact.seq and not self._asked.has(contact.id, now):
            self._asked.set(contact.id, None, now)
            self._exchange.request_record(contact, now, _Own.NEWS)

    def _request_record(self, contact: Node, operation: int, now: float) -> None:
        told = self._told.get(contact.id, now)
        if told is not None:
            self._end(RecordFound(operation, add_record(contact, told), told))
        else:
            self._asked.set(contact.id, None, now)
            self._exchange.request_record(contact, now, operation)

    def _refresh(self, now: float) -> None:
        """Search for ourselves, which fills the close buckets, and then, at the start and every half hour, for other places."""
        for contact in self._known:
            self.table.add(contact, now)
        if not self._refreshing:
            self._walks = _WALKS if self._rounds.is_wide else 0
            self._refreshing = 1 + self._walks
            self._search(bytes(self._key.public_key), now)
        self._rounds.done(now, 0.9 + 0.2 * self._random())

    def _refreshed(self, now: float) -> None:
        """One of the searches is over."""
        self._refreshing -= 1
        walks, self._walks = self._walks, 0
        for _ in range(walks):
            self._search(self._random_bytes(_TARGET), now)
        if not self._refreshing:
            self.table.accepts_incoming = True
            if self._known and not self.table.statistics().live:
                self._rounds.lonely(now, _LONELY)

    def _search(self, target: bytes, now: float, operation: int | None = None, wanted: PublicKey | None = None) -> None:
        node_id = keccak256(target)
        seeds = self.table.closest(node_id, live_only=False) or self._known
        self._continue(_Search(Lookup(node_id, seeds, own_id=self._id), target, operation, wanted), now)

    def _continue(self, search: _Search, now: float) -> None:
        """Ask whom the search wants to ask, or end it."""
        for contact in search.lookup.queries():
            self._exchange.find_nodes(contact, search.target, now, search)
        if search.over or not search.lookup.done:
            return
        search.over = True
        found = search.lookup.result
        if search.operation is None:
            self._refreshed(now)
        elif search.wanted is None:
            self._end(LookupDone(search.operation, search.target, tuple(found)))
        elif (node := next((contact for contact in found if contact.id == search.wanted.node_id), None)) is not None:
            self._request_record(node, search.operation, now)
        else:
            self._end(RecordFound(search.operation, None, None))
