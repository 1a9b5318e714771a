"""A crawl's part in a shared frontier: what it hands over and when, and what it does while the server is away."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import trio
from devp2p_crawler.crawling import CrawlSettings
from devp2p_crawler.crawling.fleet import Fleet
from devp2p_crawler.crawling.rows import Rows
from devp2p_crawler.crawling.state import State
from devp2p_crawler.model import Batch, Outcome, Sighting, Visit
from devp2p_crawler.stores import SinkError, Target

from devp2p import Address, NodeRecord, PrivateKey


class Memory:
    """A frontier in memory, which may be away."""

    seconds = 60.0

    def __init__(self) -> None:
        self.is_away = False
        self.due: dict[bytes, int] = {}
        self.targets: dict[bytes, Target] = {}
        self.leased: dict[bytes, float] = {}
        self.others = set[bytes]()

    def _look(self) -> None:
        if self.is_away:
            raise SinkError("the server is away")
        for node, until in list(self.leased.items()):
            if until < trio.current_time():
                del self.leased[node]

    async def sighted(self, sightings: Sequence[Sighting]) -> None:
        self._look()
        for one in sightings:
            self.due.setdefault(one.node, 0)
            self.targets[one.node] = Target(
                node=one.node,
                public_key=one.public_key,
                ip=one.ip,
                udp=one.udp,
                tcp=one.tcp,
                record=None,
                attempts=0,
                last_ok=None,
            )

    async def lease(self, count: int, *, before: int | None = None) -> list[Target]:
        self._look()
        free = [node for node, due in self.due.items() if due <= (before or 0) and node not in self.leased and node not in self.others][
            :count
        ]
        self.leased.update(dict.fromkeys(free, trio.current_time() + self.seconds))
        return [self.targets[node] for node in free]

    async def outstanding(self, *, before: int | None = None) -> int:
        self._look()
        return sum(due <= (before or 0) for due in self.due.values())

    async def settle(self, due: Mapping[bytes, int]) -> None:
        self._look()
        for node, when in due.items():
            if self.leased.pop(node, None) is not None:
                self.due[node] = when

    async def renew(self) -> None:
        self._look()
        self.leased = dict.fromkeys(self.leased, trio.current_time() + self.seconds)

    async def release(self) -> None:
        self._look()
        self.leased.clear()

    async def close(self) -> None:
        await self.release()


class Paper:
    """What writes, as slowly as it is told."""

    lag = 0.0

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def put(self, batch: Batch) -> None:
        self.batches.append(batch)


class Calls:
    def __init__(self) -> None:
        self.pending: set[bytes] = set()


class Crawl:
    """The parts of one crawl, without a network."""

    def __init__(self, frontier: Memory) -> None:
        self.paper, self.calls, self.told = Paper(), Calls(), list[str]()
        settings = CrawlSettings(strict=True, key=PrivateKey.generate())
        self.state = State(settings, Rows(self.paper, "here"), bytes(16), settings.key.public_key.node_id, {})
        self.frontier = frontier
        self.fleet = Fleet(self.state, frontier, self.paper, self.calls, room=lambda: 10, tell=self.told.append)  # type: ignore[arg-type]

    def visit_all(self) -> set[bytes]:
        """Visit who is queued; nobody is there."""
        done = set[bytes]()
        while (entry := self.state.queue.take(trio.current_time())) is not None:
            if self.fleet.holds(entry.id):
                self.state.queue.judge(entry, alive=False)  # so often that no host would be believed any more
                self.state.visited(entry, Outcome.SILENT, list[Visit]())
                done.add(entry.id)
            else:
                self.state.queue.retire(entry)
        return done


def some_nodes(count: int) -> list[NodeRecord]:
    return [NodeRecord(PrivateKey.generate().public_key, (Address("tcp", f"192.0.2.{one}", 30303),), 30303) for one in range(1, count + 1)]


@asynccontextmanager
async def crawling() -> AsyncGenerator[Crawl]:
    crawl = Crawl(Memory())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crawl.fleet.run, 0)
        yield crawl
        nursery.cancel_scope.cancel()


async def test_who_is_named_is_leased_visited_and_given_back() -> None:
    async with crawling() as crawl:
        nodes = some_nodes(30)
        for node in [*nodes, *nodes]:
            crawl.state.trusted(node)
        assert len(crawl.state.queue) == 0
        done = set[bytes]()
        with trio.fail_after(600):
            while not crawl.fleet.is_over:
                await trio.sleep(0.1)
                done |= crawl.visit_all()
        assert done == {node.id for node in nodes}
        assert not crawl.frontier.leased
        assert all(crawl.frontier.due.values())
        assert crawl.told == []


async def test_a_visit_is_told_once_it_is_written_and_its_call_is_over() -> None:
    async with crawling() as crawl:
        called, other = some_nodes(2)
        crawl.state.trusted(called)
        crawl.state.trusted(other)
        await trio.sleep(1)
        crawl.paper.lag = 1e9
        crawl.calls.pending = {called.id}
        assert crawl.visit_all() == {called.id, other.id}
        await trio.sleep(3)
        assert set(crawl.frontier.leased) == {called.id, other.id}
        crawl.paper.lag = 0.0
        await trio.sleep(1)
        assert set(crawl.frontier.leased) == {called.id}
        crawl.calls.pending = set()
        await trio.sleep(1)
        assert not crawl.frontier.leased
        assert crawl.fleet.is_over


async def test_while_the_server_is_away_leases_are_not_trusted_for_long_and_then_all_goes_on() -> None:
    async with crawling() as crawl:
        nodes = some_nodes(6)
        for node in nodes[:3]:
            crawl.state.trusted(node)
        await trio.sleep(1)
        crawl.frontier.is_away = True
        for node in nodes[3:]:
            crawl.state.trusted(node)
        await trio.sleep(20)
        assert crawl.fleet.holds(nodes[0].id)
        await trio.sleep(30)
        assert crawl.visit_all() == set()
        assert not crawl.fleet.is_over
        assert len(crawl.told) == 1
        assert crawl.told[0].startswith("the server is away.")
        crawl.frontier.is_away = False
        done = set[bytes]()
        with trio.fail_after(600):
            while not crawl.fleet.is_over:
                await trio.sleep(0.1)
                done |= crawl.visit_all()
        assert done == {node.id for node in nodes}
        assert len(crawl.told) == 2


async def test_it_is_not_over_while_somebody_else_has_a_node() -> None:
    async with crawling() as crawl:
        crawl.frontier.due[bytes(32)] = 0
        crawl.frontier.others.add(bytes(32))
        await trio.sleep(100)
        assert crawl.fleet.is_quiet
        assert not crawl.fleet.is_over


async def test_at_its_end_it_gives_back_what_it_has() -> None:
    async with crawling() as crawl:
        nodes = some_nodes(5)
        for node in nodes:
            crawl.state.trusted(node)
        await trio.sleep(1)
        assert len(crawl.frontier.leased) == 5
        entry = crawl.state.queue.take(trio.current_time())
        assert entry is not None
        crawl.state.visited(entry, Outcome.SILENT, [])
        await crawl.fleet.close()
        assert sum(due > 0 for due in crawl.frontier.due.values()) == 1


async def test_who_is_not_to_be_visited_from_here_is_left_for_a_day() -> None:
    async with crawling() as crawl:
        [node] = some_nodes(1)
        crawl.state.trusted(node)
        await trio.sleep(1)
        entry = crawl.state.queue.take(trio.current_time())
        assert entry is not None
        crawl.state.leave(entry)
        await trio.sleep(1)
        assert crawl.fleet.is_over
        assert crawl.frontier.due[node.id] > 0


async def test_a_node_that_is_due_again_is_visited_again() -> None:
    async with crawling() as crawl:
        [node] = some_nodes(1)
        crawl.state.trusted(node)
        await trio.sleep(1)
        assert crawl.visit_all() == {node.id}
        await trio.sleep(1)
        assert crawl.visit_all() == set()
        crawl.frontier.due[node.id] = 0
        await trio.sleep(1)
        assert crawl.visit_all() == {node.id}


async def test_nobody_is_given_back_before_those_whom_it_named_are_handed_over(monkeypatch) -> None:
    monkeypatch.setattr("devp2p_crawler.crawling.fleet._HANDED_AT_ONCE", 2)
    async with crawling() as crawl:
        first, *others = some_nodes(20)
        crawl.state.trusted(first)
        await trio.sleep(1)
        crawl.state.named(first, tuple(others))
        assert crawl.visit_all() == {first.id}
        while first.id in crawl.frontier.leased:  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert len(crawl.frontier.targets) == 20
