"""What the parts of one crawl share."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import trio

from devp2p import Endpoint, NodeRecord
from devp2p_crawler.crawling.counts import Counts
from devp2p_crawler.crawling.faults import Faults
from devp2p_crawler.crawling.rows import Rows, packed, place_of, sighting_of
from devp2p_crawler.crawling.settings import CrawlSettings
from devp2p_crawler.frontier import Courtesy, Cover, Entry, Place, Queue, Standing, Teller
from devp2p_crawler.model import Kind, KnownNode, Outcome, Sighting, Visit

MICRO = 1_000_000
_WITH_SLEEP: Final = getattr(time, "CLOCK_BOOTTIME", None)
_LEFT = 24 * 3600 * MICRO
"""For how long a shared frontier is not asked again for a node that is not to be visited from here."""


def endpoint_of(node: NodeRecord) -> Endpoint | None:
    """Where a node is asked by UDP; None if that is unknown."""
    if not node.udp_endpoints:
        return None
    host, port = node.udp_endpoints[0]
    ip = packed(host)
    return Endpoint(ip, port) if ip else None


def wall() -> int:
    """Microseconds since 1970, UTC, as the system's clock has it."""
    return time.time_ns() // 1000


def asleep() -> float:
    """For how many seconds the machine has slept, meanwhile answers were missed; 0 where the system does not say so."""
    return time.clock_gettime(_WITH_SLEEP) - time.monotonic() if _WITH_SLEEP is not None else 0.0


@dataclass(slots=True, eq=False)
class Seen:
    """What this crawl knows of a node beside its entry."""

    first: int
    """Microseconds since 1970: when it was first named."""
    standing: Standing
    is_alive: bool = False
    was_visited: bool = False
    was_called: bool = False
    has_said: bool = False
    has_come: bool = False
    retries: int = 0
    owed: int = 0
    """Visits that were made only as it gave no record."""
    was_silent: bool = False
    """To the last visit."""
    times_came: int = 0
    """How often it asked us something though it had seemed silent."""
    sequence: int = -1
    """Of its record that was written."""
    round: int = 0
    """Of the samples, in which it was first named."""
    asked_by: Cover | None = None
    """It was named in answer to a further question of that one."""
    was_known: bool | None = None
    """It was named by chance, and had been known or not; None for one that was not, or is counted."""


@dataclass(slots=True, eq=False)
class State:
    """One crawl as it stands."""

    settings: CrawlSettings
    rows: Rows
    crawl: bytes
    own: bytes
    """Our node-ID."""
    covers: dict[int, Cover]
    """By the version of discovery."""
    queue: Queue = field(default_factory=Queue)
    courtesy: Courtesy = field(init=False)
    faults: Faults = field(init=False)
    counts: Counts = field(default_factory=Counts)
    tellers: dict[bytes, Teller] = field(default_factory=dict[bytes, Teller])
    sent: dict[Endpoint, int] = field(default_factory=dict[Endpoint, int])
    """Endpoints that are asked now -> datagrams that they were sent."""
    changed: trio.Event = field(default_factory=trio.Event)
    _others: Teller = field(default_factory=lambda: Teller(is_ours=True))
    """Who share a frontier, and are believed."""
    late: float = float("-inf")
    """When we were last so late that an answer may have been missed."""
    _on_sighted: Callable[[Sighting, Cover | None], bool] | None = None
    _on_visited: Callable[[bytes, int | None], None] | None = None

    def __post_init__(self) -> None:
        """Begin with nobody bothered."""
        self.courtesy = Courtesy(self.settings.politeness)
        self.faults = Faults(self.counts, strict=self.settings.strict)

    def share(self, on_sighted: Callable[[Sighting, Cover | None], bool], on_visited: Callable[[bytes, int | None], None]) -> None:
        """Let somebody else decide who is visited: new nodes are told there, and so is who was visited and is due when, or never."""
        self._on_sighted, self._on_visited = on_sighted, on_visited

    def wake(self) -> None:
        """Something is over, or new."""
        self.changed.set()

    def may_send(self, endpoint: Endpoint) -> bool:
        """Whether one more datagram may go to an endpoint; asked by discovery before each."""
        host = self.courtesy.host(endpoint.ip, endpoint.port)
        if not self.courtesy.may_send(host, trio.current_time()):
            return False
        if endpoint in self.sent:
            self.sent[endpoint] += 1
        return True

    def begin(self, endpoint: Endpoint, node: bytes) -> bool:
        """A node is visited at an endpoint; False if somebody is there already, as one answer could not be told from another's."""
        if endpoint in self.sent:
            return False
        self.sent[endpoint] = 0
        self.courtesy.visited(self.courtesy.host(endpoint.ip, endpoint.port), node, trio.current_time())
        return True

    def seen(self, entry: Entry) -> Seen:
        """What is known of a node."""
        if not isinstance(entry.memo, Seen):
            entry.memo = Seen(wall(), Standing(trio.current_time()))
        return entry.memo

    def refusal(self, node: NodeRecord) -> str | None:
        """Why a node is not to be visited."""
        return self.settings.unwanted(node.id, place_of(node)[0])

    def trusted(self, node: NodeRecord, *, due: float | None = None) -> None:
        """A source of our own names a node."""
        if node.id == self.own:
            return
        if self._on_sighted is not None:
            self._share(node, None)
            return
        entry = self.queue.trusted(node, due=due)
        if entry is not None:
            self._note(entry, None)
        self.wake()

    def restored(self, node: NodeRecord, known: KnownNode, due: float, *, alive: bool) -> Entry | None:
        """A node was visited before, and was alive or not; it is due again at a time, or never."""
        if node.id == self.own or (entry := self.queue.trusted(node, due=due)) is None:
            return None
        entry.was_judged = True
        entry.memo = Seen(
            known.first_seen,
            Standing(trio.current_time()),
            is_alive=alive,
            was_visited=True,
            was_called=Kind.RLPX in known.outcomes,
            has_said=known.said is not None,
            has_come=Kind.INBOUND in known.outcomes,
            sequence=-1 if known.record is None else known.record.sequence,
        )
        self.counts.alive += alive
        self.counts.failed += not alive
        self.counts.dialled += Kind.RLPX in known.outcomes
        self.counts.inbound += Kind.INBOUND in known.outcomes
        if known.said is not None:
            self.counts.hellos += 1
            self.counts.said(known.said.client, known.said.network_id)
        for version, cover in self.covers.items():
            cover.heard_of(node.id)
            if known.outcomes.get(Kind.V4 if version == 4 else Kind.V5) is Outcome.OK:
                cover.answered(node.id)
        return entry

    def named(self, teller: NodeRecord, nodes: tuple[NodeRecord, ...], asked_by: Cover | None = None, *, by_chance: bool = False) -> None:
        """A node has named others: its neighbours, or in answer to a further question of a cover, which may have been one by chance."""
        if not nodes:
            return
        endpoint = teller.udp_endpoints[0]
        host = self.courtesy.host(packed(endpoint[0]), endpoint[1])
        who = self.tellers.setdefault(host, Teller())
        for node in nodes:
            if node.id in (self.own, teller.id):
                continue
            known = self.queue.get(node.id)
            if by_chance and known is not None and self._on_sighted is None:
                self._sampled(self.seen(known), was_known=True)
            if self._on_sighted is not None and known is None:
                self._share(node, asked_by)
                continue
            entry = self.queue.named(node, who)
            if entry is not None:
                self._note(entry, asked_by)
                if by_chance:
                    self._sampled(self.seen(entry), was_known=False)
        if asked_by is not None:
            asked_by.count(len(nodes), 0)

    def answered(self, entry: Entry) -> None:
        """A node has shown that it is there."""
        seen = self.seen(entry)
        self.counts.last_answer = trio.current_time()
        if seen.is_alive:
            return
        if seen.was_visited:
            self.counts.failed -= 1
        seen.is_alive = True
        self.counts.alive += 1
        self.counts.since += seen.round == self.counts.rounds > 0
        if seen.was_known is not None:
            self._sampled(seen, was_known=seen.was_known)
        if seen.asked_by is not None:
            seen.asked_by.count(0, 1)

    def wrote(self, visits: Iterable[Visit]) -> None:
        """Visits are over."""
        for visit in visits:
            self.rows.visit(visit)
            self.counts.visited(visit)

    def visited(self, entry: Entry, outcome: Outcome, visits: Iterable[Visit]) -> None:
        """A round of visits to a node is over. They are written together with when the next is due, so that no crash can part these."""
        self.wrote(visits)
        seen, now = self.seen(entry), trio.current_time()
        if not seen.is_alive and not seen.was_visited:
            self.counts.failed += 1
        seen.was_visited = True
        seen.standing = seen.standing.after(outcome, now)
        self.rest(entry, seen.standing.next_visit(outcome, now))
        self.wake()

    def rest(self, entry: Entry, due: float | None) -> None:
        """Leave a node alone until a time, or for ever; only who monitors comes back to it by itself."""
        if due is not None and self.settings.monitor and self._on_visited is None:
            self.queue.rest(entry, due)
        else:
            self.queue.retire(entry)
        when = None if due is None else wall() + int((due - trio.current_time()) * MICRO)
        if when is not None:
            self.rows.due(entry.id, when)
        if self._on_visited is not None:
            self._on_visited(entry.id, when)

    def leave(self, entry: Entry) -> None:
        """Do not visit a node, for a reason that is ours."""
        self.queue.retire(entry)
        if self._on_visited is not None:
            self._on_visited(entry.id, wall() + _LEFT)

    def leased(self, node: NodeRecord, asked_by: Cover | None) -> bool:
        """A node is ours to visit, which may have been before; False if there is no room for it, or it is ourselves."""
        if node.id == self.own:
            return False
        entry = self.queue.named(node, self._others)
        if entry is not None:
            self._note(entry, asked_by)
        elif (entry := self.queue.get(node.id)) is None:
            return False
        elif entry.place is Place.RESTING:
            self.queue.rest(entry, trio.current_time())
        self.wake()
        return True

    def recorded(self, entry: Entry, node: NodeRecord) -> None:
        """Write a node's record, if it is news."""
        seen, record = self.seen(entry), node.enr
        if record is not None and record.sequence > seen.sequence:
            seen.sequence = record.sequence
            self.rows.record(node, wall())

    def _sampled(self, seen: Seen, *, was_known: bool) -> None:
        """A node was named by chance: it counts once it is known to be alive."""
        if seen.is_alive:
            self.counts.samples.append(was_known)
            seen.was_known = None
        elif seen.was_known is None and not seen.was_visited:
            seen.was_known = was_known

    def _note(self, entry: Entry, asked_by: Cover | None) -> None:
        seen = self.seen(entry)
        seen.asked_by, seen.round = asked_by, self.counts.rounds
        for cover in self.covers.values():
            cover.heard_of(entry.id)
        self.rows.sighted(entry.node, seen.first, seen.first)
        self.rows.due(entry.id, seen.first)

    def _share(self, node: NodeRecord, asked_by: Cover | None) -> None:
        now = wall()
        sighting = sighting_of(node, self.settings.vantage, now, now)
        if self._on_sighted is not None and self._on_sighted(sighting, asked_by):
            for cover in self.covers.values():
                cover.heard_of(node.id)
            self.rows.sighted(node, now, now)
