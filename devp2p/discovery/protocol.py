"""What discovery v4 and v5 have in common, sans-IO: a `Protocol` keeps a table of nodes and searches among them.

    receive_datagram(data, address, now), handle_timer(now)     what happens to it
    datagrams_to_send(now), next_timer(), next_event()          what it wants, to be asked for after each of those, and after an operation
    ping, request_enr, lookup, resolve                          operations: each returns a number, and ends in one event with that number

``now`` is in seconds, of a clock that never goes back.

Theory of operation. Each version has an *exchange*, which talks to single nodes: it asks, answers, and says what came of a question. What
is made of that is the same in both. A node that has answered gets into the table. Those in the table are pinged now and then
(`RoutingTable.next_revalidation`), and where a Pong names a newer record than we have, the node is asked for it, but at most once in ten
minutes. From time to time the table is filled by searches for ourselves and for random places (`Refreshing`). And every Pong says where its
sender sees us, which makes a vote on our own address.

Each question has a *purpose*, which comes back with its end: the number of an operation, a `Search`, or a reason of our own (`Upkeep`).
"""

import enum
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar
from typing import Protocol as Shape

from devp2p.addresses import Endpoint, unmapped
from devp2p.bounded import Recent
from devp2p.discovery.events import AddressChanged, Ended, Event, LookupDone, NodeHeard, Pong
from devp2p.discovery.external_address import ExternalAddress
from devp2p.discovery.own_record import PublishesRecord
from devp2p.discovery.table import ID_SIZE, Contact, Lookup, RoutingTable, TableLimits
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.records import NodeRecord, Record

INTERVAL: Final = 1800.0
"""Seconds between two rounds of searches that fill the table."""
YOUNG: Final = 60.0
"""Seconds from the first round to the next; they double each time, up to the above. Who came at the same time as we, or lost the few
datagrams that mattered, is found by the searches soon after the start."""
WALKS: Final = 3
"""Searches for random places in a round, beside the one for our own."""
RECORD_INTERVAL: Final = 600.0
"""Seconds between two requests for one node's record because of what its Pongs say."""

_RECORDS = 1024  # nodes for which it is remembered that they were asked for their records

R = TypeVar("R")
RandomBytes: TypeAlias = Callable[[int], bytes]
"""Gives so many bytes that nobody else can predict."""


# What a question is for


class Upkeep(enum.Enum):
    """Why we ask, if the owner did not tell us to."""

    REVALIDATION = enum.auto()
    """To see whether a node of the table is still there."""
    NEWS = enum.auto()
    """A node of the table has a newer record."""


@dataclass(slots=True, eq=False)
class Search(Generic[R]):
    """A lookup, and what its result is for."""

    lookup: Lookup[R]
    target: bytes
    operation: int | None
    """None for one that fills the table."""
    wanted: NodeRecord | None = None
    """The node whose record is looked for."""
    found: Record | None = None
    """The newest record of that node that others have named."""
    over: bool = False


class Refreshing:
    """The times of the rounds of searches that fill the table."""

    def __init__(self, spread: Callable[[], float] = lambda: 1.0) -> None:
        """`spread` gives by how much a pause is longer than usual. The first round is due at once."""
        self.due: float = float("-inf")
        """When the next round is."""
        self._spread = spread
        self._pause = YOUNG

    @property
    def is_wide(self) -> bool:
        """Whether the round is also for random places, and not only for our own: at the start and every half hour."""
        return self._pause in {YOUNG, INTERVAL}

    def done(self, now: float) -> None:
        """A round has begun; the next one is due after the usual pause."""
        self.due = now + self._pause * self._spread()
        self._pause = min(2 * self._pause, INTERVAL)

    def lonely(self, now: float, within: float | None = None) -> None:
        """Nobody was found: begin anew, so many seconds from now at the latest; by default after the first pause."""
        self.due, self._pause = min(self.due, now + (YOUNG if within is None else within)), YOUNG


class Asks(Shape):
    """What a `Protocol` needs of its exchange."""

    @property
    def outgoing(self) -> MutableSequence[tuple[bytes, Endpoint]]:
        """Datagrams that are to be sent, in order."""
        ...

    def receive(self, data: bytes, source: Endpoint, now: float) -> bool:
        """Take in a datagram; False if it is none of this protocol."""
        ...

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do."""
        ...

    def handle_timer(self, now: float) -> None:
        """Give up waiting for answers."""
        ...

    def ping(self, contact: Contact[Any], now: float, purpose: int | Upkeep, /) -> None:
        """Ask a node whether it is there."""
        ...


A = TypeVar("A", bound=Asks)


class Protocol(ABC, Generic[R, A]):
    """A node of one version of discovery, without socket and clock. `R` is what it keeps of another node, `A` what it asks through."""

    version: ClassVar[int]
    """Of discovery: 4 or 5."""
    target_sizes: ClassVar[tuple[int, ...]]
    """How many bytes a target of `lookup` may have; the first is the usual one."""
    table: RoutingTable[R]
    """The nodes that we know; for the owner to read."""
    external_address: ExternalAddress
    """Where others see us."""
    ip_versions: tuple[int, ...]
    """Those that can be sent to, the better first."""

    _exchange: A

    def __init__(  # noqa: PLR0913  (the two versions give it, and nobody else)
        self,
        own: PublishesRecord,
        key: PrivateKey,
        *,
        random: Callable[[], float],
        random_bytes: RandomBytes,
        known: Iterable[Contact[R]],
        external_address: ExternalAddress | None,
        ip_versions: Sequence[int],
        table: TableLimits,
        operations: int,
        rounds: Refreshing,
        maintains: bool = True,
        asks_only: bool = False,
    ) -> None:
        """Be the node of `key`, whose record is in `own`; the first `handle_timer`, due at once, begins to fill the table from `known`.

        The arguments are as those of `Discv4` and `Discv5`. At most so many `operations` are under way. Without `maintains` the table is
        left to the owner. With `asks_only` there is nothing in it, and nobody is asked but by the owner's operations.
        """
        if own.record.public_key != key.public_key:
            raise LocalProtocolError("the record is not that of the key")
        self._id = key.public_key.node_id
        self._own_target = bytes(key.public_key) if self.target_sizes[0] != ID_SIZE else self._id
        self._random_bytes = random_bytes
        self.ip_versions = tuple(ip_versions)
        self._known = list(known)
        self.table = RoutingTable(self._id, random, table)
        self.external_address = external_address or ExternalAddress()
        self._events: deque[Event] = deque()
        self._numbers = count(1)
        self._operations: set[int] = set()
        self._max_operations = operations
        self._rounds = rounds
        self._maintains = maintains and not asks_only
        self._asks_only = asks_only
        self._asked: Recent[bytes, None] = Recent(_RECORDS, RECORD_INTERVAL)  # nodes that were asked for their records

    # Input and output

    def receive_datagram(self, data: bytes, address: Endpoint, now: float) -> bool:
        """Take in a datagram. False: it is not of this protocol, or not to us, and may be of another on the same port."""
        is_ours = self._exchange.receive(data, Endpoint(unmapped(address.ip), address.port), now)
        self._conclude(now)
        return is_ours

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:  # noqa: ARG002  (the shape of all protocols here)
        """Take what is to be sent, in order, and where to. IPv4 addresses are 4 bytes, however they came in."""
        datagrams = list(self._exchange.outgoing)
        self._exchange.outgoing.clear()
        return datagrams

    def next_timer(self) -> float | None:
        """When to call `handle_timer`; in the past if that should be at once, as it should in the beginning. None: never."""
        timers = [self._exchange.next_timer(), *([self.table.next_timer(), self._rounds.due] if self._maintains else [])]
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Do what is due: give up on questions, check nodes, fill the table."""
        self._exchange.handle_timer(now)
        self._conclude(now)
        if not self._maintains:
            return
        while (entry := self.table.next_revalidation(now)) is not None:
            self._exchange.ping(entry.contact, now, Upkeep.REVALIDATION)
        if self._rounds.due <= now:
            for contact in self._known:
                self.table.add(contact, now)
            self._refresh(now)
            self._rounds.done(now)
            self._conclude(now)

    def next_event(self) -> Event | None:
        """Take the oldest event."""
        return self._events.popleft() if self._events else None

    # What the owner asks for

    @abstractmethod
    def contact_of(self, node: NodeRecord) -> Contact[R] | None:
        """Where a node is to be asked; None if that is unknown, or cannot be sent to."""

    @abstractmethod
    def record_of(self, contact: Contact[R]) -> NodeRecord:
        """What is known of a node that answered: how it can be dialled, and its ENR if there is one."""

    def ping(self, contact: Contact[R], now: float) -> int:
        """Ask a node whether it is there: PingResult."""
        operation = self._begin()
        self._exchange.ping(contact, now, operation)
        return operation

    @abstractmethod
    def request_enr(self, contact: Contact[R], now: float) -> int:
        """Ask a node for its record: RecordFound."""

    @abstractmethod
    def resolve(self, node: NodeRecord, now: float) -> int:
        """Find the newest record of a node: ask it where it is said to be, or else search: RecordFound."""

    def lookup(self, target: PublicKey | bytes, now: float) -> int:
        """Search for the nodes closest to a target of one of `target_sizes`: LookupDone.

        32 bytes are a node-ID; 64 have the form of a key, but need not be one.
        """
        raw = bytes(target)
        if len(raw) not in self.target_sizes:
            raise LocalProtocolError(f"a target has {' or '.join(map(str, self.target_sizes))} bytes, not {len(raw)}")
        operation = self._begin()
        self._search(raw, now, operation)
        self._conclude(now)
        return operation

    def _begin(self) -> int:
        if len(self._operations) >= self._max_operations:
            raise LocalProtocolError(f"more than {self._max_operations} operations at a time")
        operation = next(self._numbers)
        self._operations.add(operation)
        return operation

    def _end(self, event: Ended) -> None:
        self._operations.remove(event.operation)
        self._events.append(event)

    # What becomes of questions

    @abstractmethod
    def _conclude(self, now: float) -> None:
        """Do what follows from the ends of questions, until nothing does."""

    @abstractmethod
    def _fetch(self, contact: Contact[R], now: float) -> None:
        """Ask a node of the table for its record, for `Upkeep.NEWS`."""

    def _learn(self, contact: Contact[R], now: float, *, incoming: bool = False, live: bool = False, unasked: bool = False) -> None:
        """Offer a node to the table, as `RoutingTable.add`."""
        if not self._asks_only:
            self.table.add(contact, now, incoming=incoming, live=live, unasked=unasked)
        elif incoming:
            self._events.append(NodeHeard(contact))

    def _vote(self, contact: Contact[R], pong: Pong, now: float) -> None:
        """A Pong says where our Ping came from."""
        if self.external_address.vote(contact.endpoint.ip, pong.seen_as, now):
            self._events.append(AddressChanged(self.external_address.ipv4, self.external_address.ipv6))

    def _note_sequence(self, contact: Contact[R], sequence: int | None, now: float) -> None:
        """A node has said the number of its record: ask for it if it is in the table with an older one, unless it was asked lately."""
        entry = self.table.get(contact.id)
        if entry is not None and sequence is not None and sequence > entry.contact.seq and not self._asked.has(contact.id, now):
            self._asked.set(contact.id, None, now)
            self._fetch(contact, now)

    # Searches

    @abstractmethod
    def _find_nodes(self, contact: Contact[R], search: Search[R], now: float) -> None:
        """Ask a node for those that are close to the target of a search."""

    @abstractmethod
    def _refresh(self, now: float) -> None:
        """Begin a round of searches: for our own place and, if the round `is_wide`, for `WALKS` others."""

    @abstractmethod
    def _refreshed(self, search: Search[R], now: float) -> None:
        """One of these searches is over."""

    @abstractmethod
    def _located(self, operation: int, wanted: NodeRecord, search: Search[R], now: float) -> None:
        """A search for a node's record is over."""

    def _search(self, target: bytes, now: float, operation: int | None = None, wanted: NodeRecord | None = None) -> None:
        place = target if len(target) == ID_SIZE else keccak256(target)
        seeds = self.table.closest(place, live_only=False) or self._known
        self._continue(Search(Lookup(place, seeds, own_id=self._id), target, operation, wanted), now)

    def _answered(
        self, search: Search[R], contact: Contact[R], nodes: Sequence[Contact[R]] | None, now: float, *, present: bool = False
    ) -> None:
        """A node that was asked for a search has named others, or None; `present`: it is there all the same."""
        if nodes is None:
            search.lookup.failed(contact, present=present)
        else:
            search.lookup.answered(contact, nodes)
        self._continue(search, now)

    def _continue(self, search: Search[R], now: float) -> None:
        """Ask whom the search wants to ask, or end it."""
        for contact in search.lookup.queries():
            self._find_nodes(contact, search, now)
        if search.over or not search.lookup.done:
            return
        search.over = True
        if search.operation is None:
            self._refreshed(search, now)
        elif search.wanted is not None:
            self._located(search.operation, search.wanted, search, now)
        else:
            self._end(LookupDone(search.operation, search.target, tuple(search.lookup.result)))
