"""Where candidates come from, on trio: `Finder` has the sources work while somebody waits for candidates, and no longer.

A source is a coroutine function that runs for as long as discovery does, and begins each round with ``await finder.wanted()``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self
from weakref import WeakSet

import trio

from devp2p.addresses import Scope
from devp2p.discovery.awaited import Awaited, AwaitedV5
from devp2p.discovery.candidates import Candidate, Filter, Mixer
from devp2p.discovery.dns import DnsSource
from devp2p.discovery.v4 import Discv4
from devp2p.records import NodeRecord

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0
"""Seconds between two rounds of a source: they double while it gives nothing new."""
_BETWEEN_SEEDS: Final = 120.0
_BETWEEN_INTRODUCTIONS: Final = 30.0


class Candidates:
    """Nodes that one could dial, as an async iterator that ends when discovery does. Each has buffers of its own."""

    def __init__(self, finder: "Finder", filters: Iterable[Filter]) -> None:
        self._finder = finder
        self._mixer = Mixer(tuple(filters))
        self._news = trio.lowlevel.ParkingLot()

    def offer(self, candidate: Candidate) -> bool:
        """A source has named a node; return whether that is news here."""
        fresh = self._mixer.offer(candidate, trio.current_time())
        if fresh:
            self._news.unpark_all()
        return fresh

    def close(self) -> None:
        """No more will come."""
        self._news.unpark_all()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Candidate:
        await trio.lowlevel.checkpoint()
        while (candidate := self._mixer.take(trio.current_time())) is None:
            if self._finder.closed:
                raise StopAsyncIteration
            with self._finder.waiting():
                await self._news.park()
        return candidate


class _Waiting:
    def __init__(self, finder: "Finder") -> None:
        self._finder = finder

    def __enter__(self) -> None:
        self._finder.add_waiter(1)

    def __exit__(self, *_: object) -> None:
        self._finder.add_waiter(-1)


class Finder:
    """The iterators that there are, and who waits at them."""

    def __init__(self, known: Mapping[str, Callable[[], Iterable[NodeRecord]]]) -> None:
        """`known` gives nodes from before, by the name of the source: they come first, and again from time to time."""
        self.closed: bool = False
        self._known = dict(known)
        self.found: dict[str, int] = {}
        """How many nodes each source has named that were news to somebody."""
        self._iterators: WeakSet[Candidates] = WeakSet()
        self._waiters = 0
        self._demand = trio.lowlevel.ParkingLot()

    def candidates(self, filters: Iterable[Filter]) -> Candidates:
        """Begin an iteration."""
        iterator = Candidates(self, filters)
        self._iterators.add(iterator)
        self.offer_known()
        return iterator

    def waiting(self) -> _Waiting:
        """A context in which somebody waits for candidates."""
        return _Waiting(self)

    def add_waiter(self, number: int) -> None:
        """One more waits, or one less."""
        self._waiters += number
        if self._waiters:
            self._demand.unpark_all()

    async def wanted(self) -> None:
        """Wait until somebody waits for candidates."""
        await trio.lowlevel.checkpoint()
        while not self._waiters:
            await self._demand.park()

    def offer(self, source: str, nodes: Iterable[NodeRecord]) -> int:
        """A source has found nodes; return how many are news to somebody."""
        fresh = 0
        for candidate in (Candidate(node, source) for node in nodes):
            fresh += any([iterator.offer(candidate) for iterator in self._iterators])  # noqa: C419  (to all of them)
        self.found[source] = self.found.get(source, 0) + fresh
        return fresh

    def offer_known(self) -> None:
        """Offer the nodes from before."""
        for source, nodes in self._known.items():
            self.offer(source, nodes())

    def close(self) -> None:
        """End all iterations."""
        self.closed = True
        for iterator in self._iterators:
            iterator.close()


async def walk(protocol: Awaited[Any], finder: Finder, note: Callable[[list[NodeRecord]], None]) -> None:
    """Offer what random walks find, and who is in the table. `note` gets all that walks find, news or not."""
    pause = FIRST_PAUSE
    while True:
        await finder.wanted()
        found = await protocol.walk()
        note(found)
        pause = FIRST_PAUSE if finder.offer(protocol.source, [*found, *protocol.proved()]) else min(LONGEST_PAUSE, 2 * pause)
        await trio.sleep(pause)


async def repeat_known(finder: Finder) -> None:
    """Offer nodes from before again, in case they are there now: if nobody else is, they are the only way back."""
    while True:
        await trio.sleep(_BETWEEN_SEEDS)
        await finder.wanted()
        finder.offer_known()


async def read_trees(trees: DnsSource, finder: Finder, note: Callable[[NodeRecord], None], *, local: bool) -> None:
    """Offer the nodes of DNS trees; those with local addresses only if that is wanted, since anybody can have such a record in a tree."""
    while True:
        await finder.wanted()
        node = NodeRecord.from_enr(await anext(trees))
        if local or all(address.scope is Scope.PUBLIC for address in node.addresses):
            note(node)
            finder.offer("dns", [node])


async def introduce(v4: Awaited[Discv4], v5: AwaitedV5, nodes: Sequence[NodeRecord]) -> None:
    """Get v5 to know nodes that were named without their records: v4 asks them for these. Until v5 knows anybody."""
    while not len(v5.protocol.table):
        for node in nodes:
            found = await v4.request_enr(node) if node.enr is None else None
            if found is not None:
                await v5.ping(found)
        await trio.sleep(_BETWEEN_INTRODUCTIONS)
