"""Whose turn it is (pure): nodes that were told of, and are visited in an order in which liars cannot get ahead of honest nodes.

Theory of operation. Whoever is asked for nodes may name any. So a name counts for as much as who tells it: a `Teller` whose names were
judged, a dozen of them and more, and less than a third of which was alive, is believed no more. Nodes are visited in this order:

    due          known ones whose time has come, and those that our own sources name
    confirmed    named by two hosts or more that are believed
    single       named by one: of each teller in turn, so that nobody's names delay the others'
    doubtful     named by nobody who is believed: at the end, as long as one in some of them is alive

The number of nodes is bounded; once it is reached, names of single tellers are left out.
"""

import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from math import inf
from typing import Final

from devp2p import NodeRecord

MOST_NODES: Final = 250_000
_JUDGED: Final = 12
_DEAD_FOR_ONE: Final = 2
_TELLERS: Final = 4  # of one node, that are kept
_OTHERS: Final = 2  # further addresses of one node, that are kept
_DOUBTFUL_FIRST: Final = 32  # doubtful nodes that are tried before it is judged whether it is worth it
_DOUBTFUL_ALIVE: Final = 0.05


@dataclass(slots=True, eq=False)
class Teller:
    """A host that names nodes, and what became of them."""

    alive: int = 0
    dead: int = 0
    is_ours: bool = False
    """It is no host, but what decides for us who is visited: it is believed whatever became of its names."""

    @property
    def is_believed(self) -> bool:
        """Whether its names are worth as much as others': a third of them is alive, but for a few."""
        return self.is_ours or self.dead < _JUDGED + _DEAD_FOR_ONE * self.alive


class Place(Enum):
    """Where a node is in its life here."""

    QUEUED = auto()
    SET_ASIDE = auto()
    """Doubtful."""
    UNDER_WAY = auto()
    RESTING = auto()
    """Until it is due."""


@dataclass(slots=True, eq=False)
class Entry:
    """A node."""

    node: NodeRecord
    """The best that is known of where it is."""
    others: list[NodeRecord] = field(default_factory=list[NodeRecord])
    """The same node at other addresses, which others have told."""
    tellers: list[Teller] = field(default_factory=list[Teller])
    place: Place = Place.QUEUED
    due: float = inf
    is_trusted: bool = False
    """Named by a source of our own, or known to be alive."""
    was_judged: bool = False
    memo: object = None
    """For whoever visits."""

    @property
    def id(self) -> bytes:
        """The node-ID."""
        return self.node.id


class Queue:
    """All nodes that are known."""

    def __init__(self, most: int = MOST_NODES) -> None:
        self._most = most
        self._entries: dict[bytes, Entry] = {}
        self._due: list[tuple[float, int, Entry]] = []
        self._numbers = count()
        self._first: deque[Entry] = deque()
        self._confirmed: deque[Entry] = deque()
        self._singles: OrderedDict[int, deque[Entry]] = OrderedDict()
        self._doubtful: deque[Entry] = deque()
        self._tried_doubtful = self._alive_doubtful = 0
        self.queued: int = 0
        """Nodes that may be visited now."""
        self.resting: int = 0
        """Nodes that are not due yet."""
        self.left_out: int = 0
        """Names that there was no room for."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, node: bytes) -> Entry | None:
        """What is known of a node-ID."""
        return self._entries.get(node)

    def trusted(self, node: NodeRecord, *, due: float | None = None) -> Entry | None:
        """A source of our own names a node, to be visited now or when it is `due`, which may be never. The entry, if the node is new."""
        entry = self._entries.get(node.id)
        if entry is not None:
            _merge(entry, node)
            if not entry.is_trusted:
                entry.is_trusted = True
                if entry.place in {Place.QUEUED, Place.SET_ASIDE}:
                    self._enter(entry, self._first)
            return None
        if len(self._entries) >= self._most:
            self.left_out += 1
            return None
        entry = self._entries[node.id] = Entry(node, is_trusted=True, place=Place.RESTING)
        if due is None:
            self._enter(entry, self._first)
        elif due == inf:
            self.retire(entry)
        else:
            self.rest(entry, due)
        return entry

    def named(self, node: NodeRecord, teller: Teller) -> Entry | None:
        """A teller has named a node. The entry, if the node is new."""
        known = self._entries.get(node.id)
        if known is None:
            if len(self._entries) >= self._most:
                self.left_out += 1
                return None
            new = self._entries[node.id] = Entry(node, tellers=[teller], place=Place.RESTING)
            own = self._singles.get(id(teller))
            if own is None:
                own = self._singles[id(teller)] = deque()
            self._enter(new, own)
            return new
        _merge(known, node)
        if teller not in known.tellers and len(known.tellers) < _TELLERS:
            known.tellers.append(teller)
            waits = known.place in {Place.QUEUED, Place.SET_ASIDE} and not known.is_trusted
            if waits and sum(one.is_believed for one in known.tellers) == 2:
                self._enter(known, self._confirmed)
        return None

    def take(self, now: float) -> Entry | None:
        """The next node to visit, which is then under way; None if nobody is due."""
        while self._due and self._due[0][0] <= now:
            due, _, rested = heapq.heappop(self._due)
            if rested.place is Place.RESTING and rested.due == due:
                self.resting -= 1
                self._enter(rested, self._first)
        while (entry := self._pop()) is not None:
            if not (entry.is_trusted or any(teller.is_believed for teller in entry.tellers)):
                entry.place = Place.SET_ASIDE
                self.queued -= 1
                self._doubtful.append(entry)
                continue
            return self._begin(entry)
        return None

    def take_doubtful(self) -> Entry | None:
        """A node that nobody told who is believed; None if there is none left, or too few of them were alive."""
        tried = self._tried_doubtful
        if tried >= _DOUBTFUL_FIRST and self._alive_doubtful < _DOUBTFUL_ALIVE * tried:
            return None
        while self._doubtful:
            entry = self._doubtful.popleft()
            if entry.place is Place.SET_ASIDE:
                self._tried_doubtful += 1
                self.queued += 1
                return self._begin(entry)
        return None

    def judge(self, entry: Entry, *, alive: bool) -> None:
        """A first visit has shown whether a node is there: so much for those who named it."""
        if entry.was_judged:
            return
        entry.was_judged = True
        if alive and not entry.is_trusted and not any(teller.is_believed for teller in entry.tellers):
            self._alive_doubtful += 1
        for teller in entry.tellers:
            if alive:
                teller.alive += 1
            else:
                teller.dead += 1
        entry.is_trusted |= alive

    def rest(self, entry: Entry, due: float) -> None:
        """Have a node visited again when it is due."""
        self.retire(entry)
        entry.due = due
        self.resting += 1
        heapq.heappush(self._due, (due, next(self._numbers), entry))

    def retire(self, entry: Entry) -> None:
        """A node is not visited any more."""
        if entry.place is Place.RESTING and entry.due < inf:
            self.resting -= 1
        entry.place, entry.due = Place.RESTING, inf

    def next_due(self) -> float | None:
        """When the next node is due; None if none rests."""
        while self._due and not (self._due[0][2].place is Place.RESTING and self._due[0][2].due == self._due[0][0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _enter(self, entry: Entry, where: deque[Entry]) -> None:
        if entry.place is not Place.QUEUED:
            self.queued += 1
        entry.place = Place.QUEUED
        where.append(entry)

    def _begin(self, entry: Entry) -> Entry:
        entry.place = Place.UNDER_WAY
        self.queued -= 1
        return entry

    def _pop(self) -> Entry | None:
        for where in (self._first, self._confirmed):
            while where:
                entry = where.popleft()
                if entry.place is Place.QUEUED:
                    return entry
        while self._singles:
            teller, own = next(iter(self._singles.items()))
            while own:
                entry = own.popleft()
                if entry.place is Place.QUEUED:
                    self._singles.move_to_end(teller)
                    return entry
            del self._singles[teller]
        return None


def _merge(entry: Entry, node: NodeRecord) -> None:
    """Take what is news of a node: a newer record is its own word, other addresses are somebody's."""
    known, told = entry.node.enr, node.enr
    if told is not None:
        if known is None or told.sequence > known.sequence:
            entry.node = node
    elif known is None and node.udp_endpoints not in {entry.node.udp_endpoints, ()}:
        if not entry.node.udp_endpoints:
            entry.node = node
        elif len(entry.others) < _OTHERS and all(node.udp_endpoints != other.udp_endpoints for other in entry.others):
            entry.others.append(node)
