"""The routing table (pure): which nodes to remember, which to tell others of, and which to check next.

discv4, section "Kademlia Table"; discv5 theory, sections "Node Table" and "Table Maintenance In Practice".

Theory of operation. A bucket holds up to 16 nodes of one distance, and up to 10 more that wait for a place. The far half of the key space
is one bucket, the next quarter another, and so on for 16 buckets; a 17th takes every node that is closer than that. Even of a million
nodes only eight belong there, whereas keys for it can be ground out by trying: buckets for all 256 distances would hand hundreds of places
to whoever spends the time, and nothing to anyone else.

Nodes are checked in random order, one of the fast list (new ones, and those that were silent) at most every 3 s and one of the slow list
at most every 9 s. An answer adds one to a node's ``checks``; silence divides them by three, and at zero the node loses its place to one
that waits, at random and preferably to one that has proved itself. So an old node that answers is never displaced by a newcomer, and who
floods the table with fresh keys can only fill it up. Against that: few nodes of one network, in a bucket and in the whole table
(shares.py: one that has answered takes the place of a farther one, so that those are missing least that are near); at most half of a
bucket for nodes that came by themselves, and none of those before our own search has filled the table (`accepts_incoming`).

No node is told to others before it has answered from its endpoint, and one whose endpoint changes has to do so again.
"""

import enum
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic

from devp2p.addresses import PROVIDER, Endpoint, network_of
from devp2p.discovery.table.contacts import ID_SIZE, Contact, Record
from devp2p.discovery.table.shares import Shares, TableLimits
from devp2p.errors import LocalProtocolError

BUCKETS = 17
CLOSEST = 256 - BUCKETS + 1
"""The closest bucket takes every distance from 1 up to this."""
BUCKET_SIZE = 16
WAITING_SIZE = 10

_FAST, _SLOW = 3.0, 9.0  # seconds: the longest time between two checks of one list
_FORGIVENESS = 3  # what silence divides the checks by
_USELESS = 5  # fruitless queries in a row after which a node goes, unless its bucket would be nearly empty
_FEW = BUCKET_SIZE // 4


def distance(first: bytes, second: bytes) -> int:
    """The distance of two 32-byte node-IDs on the logarithmic scale: 0 for equal ones, 256 if already the first bit differs."""
    return (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).bit_length()


class Addition(enum.Enum):
    """What became of a node that was offered to the table."""

    ADDED = "added"
    """It has a place now, and may have waited for one before."""
    UPDATED = "updated"
    """It was there, and has a newer record now."""
    KNOWN = "known"
    """It was there, and what is kept of it has not changed."""
    WAITING = "waiting"
    """Its bucket has no place for it, but will remember it."""
    REFUSED = "refused"


@dataclass(slots=True, eq=False)
class Entry(Generic[Record]):
    """A node in the table. For others than the table it is to be read."""

    contact: Contact[Record]
    added: float
    """When the table first took it."""
    seen: float | None = None
    """When it last proved to be there, or None if it never did."""
    checks: int = 0
    """Answers from this endpoint, divided by three at each silence."""
    failures: int = 0
    """Queries in a row that it gave nothing for."""
    incoming: bool = False
    """It came by itself, and nobody else has told us of it."""
    live: bool = False
    """It has answered from this endpoint, so it may be told to others."""
    agenda: "_Agenda[Record] | None" = field(default=None, repr=False)
    turn: int = field(default=0, repr=False)
    """In which round of its agenda it is checked next."""


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """Counts of a table."""

    entries: int
    live: int
    incoming: int
    waiting: int
    buckets: tuple[int, ...]
    """Entries of each bucket, the closest first."""
    refused: int
    """Nodes that did not get in because of their network, since the beginning."""
    conflicts: int
    """Records with the sequence number of a kept one and another endpoint, since the beginning; the first one stays."""


class _Agenda(Generic[Record]):
    """Nodes to be checked one after the other, and when the next one is due.

    They come in rounds, in each of which every node is checked once, in random order: nobody can tell when, and nobody is left out.
    """

    __slots__ = ("_interval", "_random", "due", "entries")

    def __init__(self, interval: float, random: Callable[[], float]) -> None:
        self._interval = interval
        self._random = random
        self.due: float | None = None
        self.entries: list[Entry[Record]] = []

    def push(self, entry: Entry[Record], now: float) -> None:
        if entry.agenda is self:
            return
        if entry.agenda is not None:
            entry.agenda.remove(entry)
        entry.turn = min((other.turn for other in self.entries), default=0)
        self.entries.append(entry)
        entry.agenda = self
        if self.due is None:
            self.schedule(now)

    def remove(self, entry: Entry[Record]) -> None:
        self.entries.remove(entry)
        entry.agenda = None
        if not self.entries:
            self.due = None

    def next(self, busy: Container[bytes]) -> Entry[Record] | None:
        """Choose the next one of this round, or else of a later one, that is not `busy`."""
        free = [entry for entry in self.entries if entry.contact.id not in busy]
        turn = min((entry.turn for entry in free), default=0)
        left = [entry for entry in free if entry.turn == turn]
        if not left:
            return None
        chosen = left[int(self._random() * len(left))]
        chosen.turn += 1
        return chosen

    def schedule(self, now: float) -> None:
        self.due = now + self._interval * (1 - self._random())


class _Bucket(Generic[Record]):
    """The nodes of one distance, by ID and oldest first, and how many of them, with those that wait, each network has."""

    __slots__ = ("entries", "networks", "waiting")

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry[Record]] = {}
        self.waiting: dict[bytes, Entry[Record]] = {}
        self.networks: dict[bytes, int] = {}


class RoutingTable(Generic[Record]):
    """Nodes by their distance from our own. ``len()`` and iteration are over the entries, without those that wait."""

    accepts_incoming: bool
    """Whether nodes that come by themselves are let in; to be set once our own search has filled the table."""

    def __init__(self, own_id: bytes, random: Callable[[], float], limits: TableLimits | None = None) -> None:
        """`random` gives numbers from 0 to below 1, which nobody else should be able to predict."""
        self.accepts_incoming = False
        self._own_id = _checked(own_id)
        self._random = random
        self._limits = limits or TableLimits()
        self._buckets: tuple[_Bucket[Record], ...] = tuple(_Bucket() for _ in range(BUCKETS))
        self._shares = Shares(self._limits)
        self._fast: _Agenda[Record] = _Agenda(_FAST, random)
        self._slow: _Agenda[Record] = _Agenda(_SLOW, random)
        self._asked: dict[bytes, Endpoint] = {}
        self._refused = self._conflicts = 0

    def __len__(self) -> int:
        return sum(len(bucket.entries) for bucket in self._buckets)

    def __iter__(self) -> Iterator[Entry[Record]]:
        return iter([entry for bucket in self._buckets for entry in bucket.entries.values()])

    def __contains__(self, node_id: object) -> bool:
        return isinstance(node_id, bytes) and self.get(node_id) is not None

    def get(self, node_id: bytes) -> Entry[Record] | None:
        """The entry of a node, if it has a place in the table; waiting does not count."""
        return self._bucket(node_id).entries.get(node_id)

    def closest(self, target: bytes, count: int = BUCKET_SIZE, *, live_only: bool = True) -> list[Contact[Record]]:
        """The nodes closest to a 32-byte target, closest first. Others are told of live ones only; our own lookups may start from any."""
        number = int.from_bytes(target, "big")
        contacts = (entry.contact for bucket in self._buckets for entry in bucket.entries.values() if entry.live or not live_only)
        return sorted(contacts, key=lambda contact: int.from_bytes(contact.id, "big") ^ number)[:count]

    def at_distances(self, distances: Iterable[int], count: int = BUCKET_SIZE) -> list[Contact[Record]]:
        """Live nodes at exactly these distances, in the order of the distances and at random within each (discv5's FINDNODE).

        Distance 0, which asks for our own record, and distances that no node can have give nothing.
        """
        found: list[Contact[Record]] = []
        for wanted in dict.fromkeys(distances):
            if 0 < wanted <= 256 and len(found) < count:
                entries = self._buckets[max(0, wanted - CLOSEST)].entries.values()
                here = [entry.contact for entry in entries if entry.live and distance(self._own_id, entry.contact.id) == wanted]
                found += sorted(here, key=lambda _: self._random())
        return found[:count]

    def add(self, contact: Contact[Record], now: float, *, incoming: bool = False, live: bool = False, unasked: bool = False) -> Addition:
        """Offer a node to the table, or what is news of it.

        `incoming`: the node came by itself, and has proved that it is at that endpoint. `live`: it has just answered us from there;
        with `unasked` only a challenge, which it can bring about as often as it likes, so that this counts as an answer once.
        A node that is known keeps its endpoint and record unless `seq` is higher.
        """
        bucket = self._bucket(contact.id)
        if contact.id == self._own_id or (incoming and not self.accepts_incoming):
            return Addition.REFUSED
        entry = bucket.entries.get(contact.id) or bucket.waiting.get(contact.id)
        if entry is not None:
            outcome = self._update(bucket, entry, contact, now)
            entry.incoming = entry.incoming and incoming
        elif self._has_room(bucket, contact.endpoint.ip, now, live=live):
            entry = Entry(contact, now, incoming=incoming)
            self._shares.count(bucket.networks, contact.endpoint.ip)
            self._enqueue(bucket, entry)
            outcome = Addition.WAITING
        else:
            self._refused += 1
            return Addition.REFUSED
        if contact.endpoint == entry.contact.endpoint and (live or incoming):
            entry.seen = now
            if live and not (unasked and entry.live):
                self._proved(entry, now)
        waited = contact.id in bucket.waiting
        self._fill(bucket, now)
        return Addition.ADDED if waited and contact.id in bucket.entries else outcome

    def remove(self, node_id: bytes, now: float) -> None:
        """Forget a node; one that waits takes its place."""
        bucket = self._bucket(node_id)
        entry = bucket.entries.pop(node_id, None)
        if entry is not None and entry.agenda is not None:
            entry.agenda.remove(entry)
        entry = entry or bucket.waiting.pop(node_id, None)
        if entry is not None:
            self._shares.release(bucket.networks, entry.contact.endpoint.ip)
            self._fill(bucket, now)

    def next_timer(self) -> float | None:
        """When `next_revalidation` has something to do, or None if there are no nodes."""
        return min((agenda.due for agenda in (self._fast, self._slow) if agenda.due is not None), default=None)

    def next_revalidation(self, now: float) -> Entry[Record] | None:
        """Name a node that should be pinged now; call again until it is None. The outcome of each is to be told to `revalidated`."""
        for agenda in (self._fast, self._slow):
            if agenda.due is not None and agenda.due <= now:
                agenda.schedule(now)
                entry = agenda.next(self._asked)
                if entry is not None:
                    self._asked[entry.contact.id] = entry.contact.endpoint
                    return entry
        return None

    def revalidated(self, node_id: bytes, now: float, *, ok: bool) -> bool:
        """Take in whether a node of `next_revalidation` answered; return whether it is still in the table.

        What was asked of an endpoint that the node has left since, or of a node that is gone, changes nothing.
        """
        asked = self._asked.pop(node_id, None)
        if asked is None:
            raise LocalProtocolError("no revalidation of that node is under way")
        entry = self.get(node_id)
        if entry is None:
            return False
        if asked != entry.contact.endpoint:
            return True
        if ok:
            entry.seen = now
            self._proved(entry, now)
            if self._shares.is_exceeded(entry.contact.endpoint.ip):
                self.remove(node_id, now)
            return node_id in self
        entry.checks //= _FORGIVENESS
        if entry.checks:
            self._fast.push(entry, now)
            return True
        self.remove(node_id, now)
        return False

    def queried(self, node_id: bytes, now: float, *, useful: bool) -> None:
        """A node was asked for others, and named some or did not: five failures in a row cost it its place, except in a bucket of few."""
        bucket = self._bucket(node_id)
        entry = bucket.entries.get(node_id)
        if entry is not None:
            entry.failures = 0 if useful else entry.failures + 1
            if entry.failures >= _USELESS and len(bucket.entries) >= _FEW:
                self.remove(node_id, now)

    def statistics(self) -> TableStatistics:
        """Count."""
        entries = list(self)
        return TableStatistics(
            entries=len(entries),
            live=sum(entry.live for entry in entries),
            incoming=sum(entry.incoming for entry in entries),
            waiting=sum(len(bucket.waiting) for bucket in self._buckets),
            buckets=tuple(len(bucket.entries) for bucket in self._buckets),
            refused=self._refused,
            conflicts=self._conflicts,
        )

    def _bucket(self, node_id: bytes) -> _Bucket[Record]:
        return self._buckets[max(0, distance(self._own_id, _checked(node_id)) - CLOSEST)]

    def _choose(self, entries: list[Entry[Record]]) -> Entry[Record]:
        return entries[int(self._random() * len(entries))]

    def _proved(self, entry: Entry[Record], now: float) -> None:
        """A node has answered from its endpoint."""
        entry.live = True
        entry.checks += 1
        if entry.agenda is not None:
            self._slow.push(entry, now)

    def _update(self, bucket: _Bucket[Record], entry: Entry[Record], contact: Contact[Record], now: float) -> Addition:
        """Take a newer record of a node that has a place or waits for one."""
        old = entry.contact
        if contact.seq <= old.seq:
            self._conflicts += contact.seq == old.seq and contact.endpoint != old.endpoint
            return Addition.KNOWN
        if contact.endpoint.ip != old.endpoint.ip:
            self._shares.release(bucket.networks, old.endpoint.ip)
            moves = self._shares.has_room(bucket.networks, contact.endpoint.ip)
            self._shares.count(bucket.networks, contact.endpoint.ip if moves else old.endpoint.ip)
            if not moves:
                self._refused += 1
                return Addition.KNOWN
        entry.contact = contact
        if contact.endpoint != old.endpoint:
            entry.live, entry.checks = False, 0
            if entry.agenda is not None:
                self._fast.push(entry, now)
        return Addition.UPDATED

    def _enqueue(self, bucket: _Bucket[Record], entry: Entry[Record]) -> None:
        """Let a node wait for a place. If too many do, the oldest goes, or the oldest that came by itself if those are too many."""
        bucket.waiting[entry.contact.id] = entry
        waiting = list(bucket.waiting.values())
        incoming = [other for other in waiting if other.incoming]
        surplus = incoming[0] if entry.incoming and len(incoming) > WAITING_SIZE // 2 else None
        if surplus is None and len(waiting) > WAITING_SIZE:
            surplus = waiting[0]
        if surplus is not None:
            del bucket.waiting[surplus.contact.id]
            self._shares.release(bucket.networks, surplus.contact.endpoint.ip)

    def _fill(self, bucket: _Bucket[Record], now: float) -> None:
        """Give places that are free to nodes that wait."""
        while bucket.waiting and len(bucket.entries) < BUCKET_SIZE:
            full = sum(entry.incoming for entry in bucket.entries.values()) >= self._limits.incoming
            able = [entry for entry in bucket.waiting.values() if not (full and entry.incoming)]
            if not able:
                return
            entry = self._choose([entry for entry in able if entry.live] or able)
            del bucket.waiting[entry.contact.id]
            bucket.entries[entry.contact.id] = entry
            (self._slow if entry.live else self._fast).push(entry, now)

    def _has_room(self, bucket: _Bucket[Record], ip: bytes, now: float, *, live: bool) -> bool:
        """Whether the network of a new node has room for it: one that has answered makes a farther one of its network go."""
        if self._shares.has_room(bucket.networks, ip):
            return True
        if not live or not self._shares.has_room(bucket.networks, ip, instead=True):
            return False
        network = network_of(ip, PROVIDER)
        for other in reversed(self._buckets[self._buckets.index(bucket) + 1 :]):
            for entry in (*other.waiting.values(), *other.entries.values()):
                if network_of(entry.contact.endpoint.ip, PROVIDER) == network:
                    self.remove(entry.contact.id, now)
                    return True
        return False


def _checked(node_id: bytes) -> bytes:
    if len(node_id) != ID_SIZE:
        raise LocalProtocolError(f"a node-ID has {ID_SIZE} bytes, not {len(node_id)}")
    return node_id
