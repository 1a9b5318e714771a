"""Node lists for tests, a DNS that is a dict and remembers when it was asked for what, and a reader without trio."""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TypeVar

import trio

from devp2p.discovery.dns.client import DnsClient, Query
from devp2p.discovery.dns.events import DnsLimits, Event, RecordFound
from devp2p.discovery.dns.source import LookupFailed
from devp2p.discovery.dns.tree import Root, Tree, TreeUrl, entry_name, hash_of, make_tree
from devp2p.keys import PrivateKey
from devp2p.records.enr import Record

T = TypeVar("T")

KEY = PrivateKey.from_bytes(bytes(31) + b"\x07")
DOMAIN = "nodes.example.org"
URL = TreeUrl(KEY.public_key, DOMAIN)
EAGER = DnsLimits(rate=1e6, burst=10**6)


@cache
def record(number: int, sequence: int = 1) -> Record:
    return Record.sign(PrivateKey.from_bytes((number + 1).to_bytes(32)), sequence, {"udp": 30303})


def records(count: int, start: int = 0) -> list[Record]:
    return [record(number) for number in range(start, start + count)]


def url(domain: str, key: PrivateKey = KEY) -> TreeUrl:
    return TreeUrl(key.public_key, domain)


def tree(count: int, sequence: int = 1, links: Iterable[TreeUrl] = (), *, start: int = 0) -> Tree:
    return make_tree(records(count, start), links, sequence, KEY)


class Zone:
    """A resolver of names that were published here."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.asked: list[tuple[float, str]] = []
        self.delay = 0.0

    def publish(self, tree: Tree, domain: str = DOMAIN) -> None:
        self.names |= {name: [text] for name, text in tree.to_txt(domain).items()}

    def add(self, text: str, domain: str = DOMAIN) -> bytes:
        """Publish one entry of any kind."""
        self.names[entry_name(hash_of(text), domain)] = [text]
        return hash_of(text)

    def sign(self, records: bytes, links: bytes, sequence: int = 1, *, domain: str = DOMAIN, key: PrivateKey = KEY) -> None:
        """Publish a root for entries that were added."""
        unsigned = Root(records, links, sequence)
        self.names[domain] = [Root(records, links, sequence, key.sign(unsigned.digest)).text]

    def answer(self, name: str) -> Sequence[str]:
        """What there is under a name; for those who lie to override."""
        if name not in self.names:
            raise LookupFailed("there is no such name")
        return self.names[name]

    async def txt(self, name: str) -> Sequence[str]:
        self.asked.append((trio.current_time(), name))
        await trio.sleep(self.delay)
        return self.answer(name)


def published(count: int, sequence: int = 1, links: Iterable[TreeUrl] = (), domain: str = DOMAIN, *, start: int = 0) -> Zone:
    zone = Zone()
    zone.publish(tree(count, sequence, links, start=start), domain)
    return zone


class Reading:
    """A client, and the clock and the zone that it lives with."""

    def __init__(self, zone: Zone, *urls: TreeUrl, limits: DnsLimits = EAGER, once: bool = True, seed: int = 1, **arguments) -> None:
        self.client = DnsClient(urls or [URL], random=random.Random(seed).random, limits=limits, once=once, **arguments)
        self.zone = zone
        self.now = 0.0
        self.asked: list[tuple[float, str]] = []
        self.events: list[Event] = []

    def ask(self) -> Query | None:
        query = self.client.next_query(self.now)
        if query is not None:
            self.asked.append((self.now, query.name))
        return query

    def answer(self, query: Query) -> None:
        if query.name in self.zone.names:
            self.client.answered(query, self.zone.names[query.name], self.now)
        else:
            self.client.failed(query, "there is no such name", self.now)
        while (event := self.client.next_event()) is not None:
            self.events.append(event)

    def run(self, until: float | Callable[[], bool] = float("inf")) -> "Reading":
        """Go on until the end, or a time, or until something is so."""
        while not self.client.done and not (callable(until) and until()):
            due = self.client.next_timer()
            assert due is not None
            if not callable(until) and due > until:
                self.now = until
                break
            self.now = max(self.now, due)
            query = self.ask()
            if query is not None:
                self.answer(query)
        return self

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def found(self) -> list[Record]:
        return [event.record for event in self.of(RecordFound)]

    def names(self) -> list[str]:
        return [name for _, name in self.asked]


def assert_rate_kept(times: Sequence[float], rate: float = 3.0, burst: int = 10) -> None:
    """At no time were there more queries than the rate and one burst allow."""
    # The first query of a window that breaks the limit, whichever it is, has the lowest bucket; so one walk through all finds any.
    level, then = 0.0, float("-inf")
    for time in times:
        level = max(0.0, level - (time - then) * rate) + 1
        then = time
        assert level <= burst + 1e-6
