"""Node Discovery Protocol v5.1 as one object: datagrams in, datagrams and events out (discv5-wire.md, discv5-theory.md). Sans-IO.

    receive_datagram(data, address, now)      a datagram came
    handle_timer(now)                         it is `next_timer()`
    datagrams_to_send(now), next_event()      to be drained after each of the two, and after an operation was begun
    ping, find_node, talk, lookup, resolve    begin an operation; its number comes back in an event (v5_events.py)

Theory of operation. v5_exchange.py asks and answers: with v5_sessions.py, which knows who has proved to be who, v5_requests.py, which knows
what was asked and not answered yet, and v5_answers.py, which knows what to tell others. kademlia.py knows which nodes there are, and
lookup.py whom to ask next. Here they are put together. The table is kept by pinging its nodes (`RoutingTable.next_revalidation`), by
searching for our own ID and for random ones every half hour (for our own more often in the beginning), and by fetching the records of
nodes whose Pong tells of a newer one. A node that comes by itself is offered to the table if its record names the very endpoint that it
proved itself from, by answering our challenge there.

Nothing that a stranger sends is answered by more bytes than it had, until the handshake has shown that the stranger is where it seems to
be. From then on a node, and all nodes of one host together, may ask some times a second.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import TypeAlias

from devp2p.addresses import Endpoint
from devp2p.bounded import Throttle
from devp2p.discovery.external_address import AddressChanged, ExternalAddress
from devp2p.discovery.table import ID_SIZE, Contact, Lookup, Refreshing, RoutingTable, contact_of, contacts_told_by, lookup_distances
from devp2p.discovery.v5.answers import MAX_TALK, Answers, Discv5Limits, TalkHandler
from devp2p.discovery.v5.events import Event, LookupDone, NodesFound, PingResult, Resolved, TalkAnswered
from devp2p.discovery.v5.exchange import Ended, Exchange, Heard, PublishesRecord
from devp2p.discovery.v5.messages import FindNode, Ping, Pong, TalkRequest, TalkResponse
from devp2p.discovery.v5.sessions import RandomBytes
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.records import Record

_RANDOM_SEARCHES = 3  # of a round, beside the one for our own ID
_FETCH_RATE = 1 / 600  # how often a second the record of one node is fetched
_REMEMBERED = 1024  # nodes whose records were fetched


@dataclass(frozen=True, slots=True)
class _ForOwner:
    """Asked for an operation."""

    operation: int


@dataclass(frozen=True, slots=True)
class _ToResolve:
    """The record of a node that the owner wants to know, asked from itself."""

    operation: int
    known: Record


@dataclass(frozen=True, slots=True)
class _Check:
    """Asks whether a node of the table is still there."""


@dataclass(frozen=True, slots=True)
class _Fetch:
    """A node of the table has a newer record."""


@dataclass(slots=True, eq=False)
class _Search:
    """A search: of the owner, or of our own for the table if it has no operation."""

    lookup: Lookup[Record]
    operation: int | None = None
    known: Record | None = None
    """Where the search is to `resolve` a node: its newest record so far."""
    confirmed: bool = False
    """Whether the search gave `known`."""


_Purpose: TypeAlias = _ForOwner | _ToResolve | _Check | _Fetch | _Search


class Discv5:
    """One node. Addresses are packed, IPv4 that came in IPv6 clothes as 4 bytes; ``now`` is seconds of a clock that never goes back."""

    table: RoutingTable[Record]
    """The nodes that we know; for the owner to read."""

    def __init__(  # noqa: PLR0913  (only the first four are needed)
        self,
        local_record: PublishesRecord,
        key: PrivateKey,
        *,
        random: Callable[[], float],
        random_bytes: RandomBytes,
        bootnodes: Iterable[Record] = (),
        talk: Mapping[bytes, TalkHandler] = MappingProxyType({}),
        external: ExternalAddress | None = None,
        ip_versions: Sequence[int] = (4, 6),
        limits: Discv5Limits | None = None,
        maintains: bool = True,
    ) -> None:
        """Make the node that holds `key`; its first `handle_timer`, due at once, begins to fill the table from `bootnodes`.

        `random` gives numbers from 0 to below 1, which others should not be able to predict, `random_bytes` so many bytes, which they must
        not. `talk` are the handlers of TALKREQ by protocol. `external` takes the votes on where we are. `ip_versions` are those that can
        be sent to, the better first. Without `maintains` the table is left to the owner.
        """
        limits = limits or Discv5Limits()
        self._local = local_record
        self._own_id = key.public_key.node_id
        if local_record.record.id != self._own_id:
            raise LocalProtocolError("the local record is not of this key")
        self._random_bytes = random_bytes
        self._bootnodes = tuple(bootnodes)
        self._external = external
        self._ip_versions = tuple(ip_versions)
        self._limits = limits
        self._maintains = maintains
        self.table = RoutingTable(self._own_id, random, limits.table)
        self._answers = Answers(self.table, limits, talk)
        self._exchange: Exchange[_Purpose] = Exchange(local_record, key, random_bytes, self.table, self._answers, limits)
        self._events: deque[Event] = deque()
        self._fetches = Throttle(_FETCH_RATE, 1, remembered=_REMEMBERED)
        self._operations = count(1)
        self._open_operations: set[int] = set()
        self._rounds = Refreshing(0.0)

    # What the owner asks for

    def ping(self, contact: Contact[Record], now: float) -> int:
        """Ask whether a node is there; ends in a PingResult."""
        operation = self._begin()
        self._exchange.ask(contact, self._make_ping, _ForOwner(operation), now)
        return operation

    def find_node(self, contact: Contact[Record], distances: Iterable[int], now: float) -> int:
        """Ask a node for those at some logarithmic distances (0 to 256) from it; ends in a NodesFound."""
        wanted = tuple(dict.fromkeys(distances))
        if not wanted or not all(0 <= distance <= 256 for distance in wanted):
            raise LocalProtocolError("distances are from 0 to 256, and at least one of them")
        operation = self._begin()
        self._find_node(contact, wanted, _ForOwner(operation), now)
        return operation

    def talk(self, contact: Contact[Record], protocol: bytes, request: bytes, now: float) -> int:
        """Say something in another protocol, at most `MAX_TALK` bytes with its name; ends in a TalkAnswered."""
        if len(protocol) + len(request) > MAX_TALK:
            raise LocalProtocolError(f"{len(protocol) + len(request)} bytes of talk, where {MAX_TALK} are allowed")
        operation = self._begin()
        self._exchange.ask(contact, lambda request_id: TalkRequest(request_id, protocol, request), _ForOwner(operation), now)
        return operation

    def on_talk(self, protocol: bytes, handler: TalkHandler | None) -> None:
        """Let `handler` answer the TALKREQs of a protocol from now on; None for nobody."""
        self._answers.on_talk(protocol, handler)

    def lookup(self, target: bytes, now: float) -> int:
        """Search for the nodes closest to a 32-byte target; ends in a LookupDone."""
        if len(target) != ID_SIZE:
            raise LocalProtocolError(f"a target has {ID_SIZE} bytes, not {len(target)}")
        operation = self._begin()
        self._search(target, now, operation)
        return operation

    def resolve(self, record: Record, now: float) -> int:
        """Find the newest record of a node: ask itself, or else those around it; ends in a Resolved."""
        operation = self._begin()
        entry = self.table.get(record.id)
        if entry is not None and entry.contact.seq > record.sequence:
            record = entry.contact.record
        contact = contact_of(record, self._ip_versions)
        if contact is None:
            self._search(record.id, now, operation, record)
        else:
            self._find_node(contact, [0], _ToResolve(operation, record), now)
        return operation

    # Input and output

    def receive_datagram(self, data: bytes, address: Endpoint, now: float) -> bool:
        """Take in a datagram; False if it is no packet of discovery v5 to us, so that other protocols on the port may look at it."""
        is_ours = self._exchange.receive_datagram(data, address, now)
        self._conclude(now)
        return is_ours

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:  # noqa: ARG002  (part of the shape of such objects)
        """What is to be sent, and where to."""
        datagrams = self._exchange.outbox[:]
        self._exchange.outbox.clear()
        return datagrams

    def next_timer(self) -> float | None:
        """When `handle_timer` is due."""
        timers = [self._exchange.next_timer(), *([self.table.next_timer(), self._rounds.due] if self._maintains else [])]
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Do what is due: give up on requests, check nodes, refresh the table."""
        self._exchange.handle_timer(now)
        self._conclude(now)
        if not self._maintains:
            return
        while (entry := self.table.next_revalidation(now)) is not None:
            self._exchange.ask(entry.contact, self._make_ping, _Check(), now)
        if self._rounds.due <= now:
            self._refresh(now)

    def next_event(self) -> Event | None:
        """The next piece of news, or None if there is none."""
        return self._events.popleft() if self._events else None

    # What becomes of our requests

    def _begin(self) -> int:
        if len(self._open_operations) >= self._limits.operations:
            raise LocalProtocolError(f"{self._limits.operations} operations are under way, and more are not allowed")
        operation = next(self._operations)
        self._open_operations.add(operation)
        return operation

    def _end(self, event: PingResult | NodesFound | TalkAnswered | LookupDone | Resolved) -> None:
        self._open_operations.remove(event.operation)
        self._events.append(event)

    def _find_node(self, contact: Contact[Record], distances: Iterable[int], purpose: _Purpose, now: float) -> None:
        self._exchange.ask(contact, lambda request_id: FindNode(request_id, tuple(distances)), purpose, now)

    def _make_ping(self, request_id: bytes) -> Ping:
        return Ping(request_id, self._local.record.sequence)

    def _conclude(self, now: float) -> None:
        """Draw the conclusions from what has come, or not come."""
        outcomes = self._exchange.outcomes
        while outcomes:
            outcome = outcomes.popleft()
            if isinstance(outcome, Ended):
                self._finish(outcome, now)
            else:
                self._met(outcome, now)

    def _finish(self, ended: Ended[_Purpose], now: float) -> None:
        """A request has been answered; or not, or not fully."""
        contact, answer, records = ended.request.contact, ended.answer, ended.records
        came = answer is not None or bool(records)
        if isinstance(ended.request.purpose, _Check):
            self.table.revalidated(contact.id, now, ok=came)
        elif came:
            self.table.add(contact, now, live=True)
        named = contacts_told_by(contact.endpoint, records, self._ip_versions)
        for found in named:
            self.table.add(found, now)  # to be told to others once it has answered us
        match ended.request.purpose:
            case _ForOwner(operation):
                self._tell(operation, ended)
            case _ToResolve(operation, known):
                if records and records[0].sequence >= known.sequence:
                    self._end(Resolved(operation, records[0], confirmed=True))
                else:
                    self._search(known.id, now, operation, known)
            case _Search() as search:
                self._searched(search, ended, named, now)
            case _Check() | _Fetch():
                pass
        if isinstance(answer, Pong):
            self._use_pong(contact, answer, now)

    def _tell(self, operation: int, ended: Ended[_Purpose]) -> None:
        """The owner asked this."""
        request, answer = ended.request, ended.answer
        match request.message:
            case Ping():
                self._end(PingResult(operation, request.contact, answer if isinstance(answer, Pong) else None))
            case FindNode():
                self._end(NodesFound(operation, request.contact, ended.records, complete=answer is not None))
            case TalkRequest():
                self._end(TalkAnswered(operation, request.contact, answer.response if isinstance(answer, TalkResponse) else None))

    def _met(self, heard: Heard, now: float) -> None:
        """A node came by itself: it may be in the table if its record says that it is where it was heard.

        It has answered our challenge from there, so it may be told to others at once, as v4 does with those that answered its Ping. If each
        had to wait for a check of ours, one in 1.5 s, twenty newcomers would not find each other for half a minute.
        """
        contact = contact_of(heard.record, self._ip_versions, at=heard.endpoint)
        if contact is not None and contact.endpoint == heard.endpoint:
            self.table.add(contact, now, incoming=True, live=True, unasked=True)

    def _use_pong(self, contact: Contact[Record], pong: Pong, now: float) -> None:
        """A Pong says where our Ping came from, and perhaps that its sender has a newer record than ours of it."""
        external = self._external
        if external is not None and external.vote(contact.endpoint.ip, Endpoint(pong.recipient_ip, pong.recipient_port), now):
            self._events.append(AddressChanged(external.ipv4, external.ipv6))
        entry = self.table.get(contact.id)
        if entry is not None and entry.contact.seq < pong.enr_sequence and self._fetches.allows(contact.id, now):
            self._find_node(entry.contact, [0], _Fetch(), now)

    # Searches

    def _refresh(self, now: float) -> None:
        """Search for ourselves and, at the start and every half hour, for other places."""
        for record in self._bootnodes:
            contact = contact_of(record, self._ip_versions)
            if contact is not None:
                self.table.add(contact, now)
        self._search(self._own_id, now)
        if self._rounds.is_wide:
            for _ in range(_RANDOM_SEARCHES):
                self._search(self._random_bytes(ID_SIZE), now)
        self._rounds.done(now)

    def _search(self, target: bytes, now: float, operation: int | None = None, known: Record | None = None) -> None:
        seeds = self.table.closest(target, live_only=False)
        if not seeds:
            seeds = [contact for record in self._bootnodes if (contact := contact_of(record, self._ip_versions)) is not None]
        self._continue(_Search(Lookup(target, seeds, own_id=self._own_id), operation, known), now)

    def _searched(self, search: _Search, ended: Ended[_Purpose], named: list[Contact[Record]], now: float) -> None:
        """Somebody was asked for a search, and has named others, or not."""
        contact, records = ended.request.contact, ended.records
        self.table.queried(contact.id, now, useful=bool(records))
        if ended.answer is None and not records:
            search.lookup.failed(contact)
        else:
            search.lookup.answered(contact, named)
        for record in records:
            if search.known is not None and record.id == search.known.id and record.sequence >= search.known.sequence:
                search.known, search.confirmed = record, True
        self._continue(search, now)

    def _continue(self, search: _Search, now: float) -> None:
        lookup = search.lookup
        for contact in lookup.queries():
            self._find_node(contact, lookup_distances(lookup.target, contact.id), search, now)
        if not lookup.done:
            return
        if search.operation is None:
            # Our own neighbourhood has its places now, before others come by themselves.
            self.table.accepts_incoming |= lookup.target == self._own_id
            if not self.table.statistics().live:
                self._rounds.lonely(now)
        elif search.known is not None:
            self._end(Resolved(search.operation, search.known, search.confirmed))
        else:
            self._end(LookupDone(search.operation, lookup.target, tuple(lookup.result)))
