"""A crawler that stands for all: it finds nodes by discovery, calls each, hears what it is, says goodbye, and keeps what it learned.

It imports nothing of the library but what the package root exports, which is the point.
"""

import socket
import textwrap
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

import devp2p
from devp2p import (
    Book,
    BookEntry,
    Candidate,
    Capability,
    Channel,
    DialError,
    DisconnectReason,
    Discovery,
    Hello,
    LocalNode,
    Node,
    NodeId,
    NodeRecord,
    NodeStatistics,
    Peer,
    PeerDisconnected,
    PrivateKey,
    Progress,
    RemoteProtocolError,
    Source,
    call,
    describe_reason,
    local_node,
    open_discovery,
    open_node,
)

pytestmark = pytest.mark.real_clock

README = Path(__file__).resolve().parent.parent / "README.md"
KEY = PrivateKey.generate()
AT_ONCE = 3


@dataclass(frozen=True)
class Note:
    text: str


class Notes(Capability[Note]):
    name, version = "notes", 3
    messages = {0: Note}

    async def run(self, peer: Peer, channel: Channel[Note]) -> None:  # noqa: ARG002
        async for _ in channel:
            pass


@dataclass
class Visit:
    """What came of one call."""

    record: NodeRecord
    progress: Progress
    problem: str = ""
    farewell: int | None = None
    is_over: bool = False

    @property
    def hello(self) -> Hello | None:
        return self.progress.hello


class Crawler:
    """Calls each node that discovery names, a few at once, and writes into the book what becomes of it."""

    def __init__(self, local: LocalNode, discovery: Discovery, book: Book) -> None:
        self.visits: dict[NodeId, Visit] = {}
        self._local = local
        self._discovery = discovery
        self._book = book
        self._places = trio.Semaphore(AT_ONCE)
        self._news = trio.Event()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            async for candidate in self._discovery.candidates():
                assert isinstance(candidate, Candidate)
                if candidate.record.id not in self.visits:
                    await self._places.acquire()
                    visit = self.visits[candidate.record.id] = Visit(candidate.record, Progress())
                    nursery.start_soon(self._visit, visit)

    async def wait_visited(self, count: int) -> None:
        while sum(visit.is_over for visit in self.visits.values()) < count:
            await self._news.wait()

    async def _visit(self, visit: Visit) -> None:
        self._book.heard(visit.record, Source.V4, time.time())
        self._book.dialled(visit.record.id, time.time())
        try:
            session = await call(visit.record, self._local, timeout=60, progress=visit.progress)
        except DialError:
            visit.problem = "unreachable"
        except PeerDisconnected as error:
            visit.problem = "hung up" if error.hung_up else describe_reason(error.reason)
        except RemoteProtocolError as error:
            visit.problem = f"broke the rules: {error}"
        except trio.TooSlowError:
            visit.problem = f"no {visit.progress.awaited} in time"
        else:
            visit.farewell = await session.refuse(DisconnectReason.CLIENT_QUITTING)
        if visit.hello is None:
            self._book.failed(visit.record.id, visit.problem, time.time())
        else:
            self._book.connected(visit.record.id, time.time())
        visit.is_over = True
        self._places.release()
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def network(count: int) -> AsyncIterator[list[Node]]:
    """Nodes that know the first of them."""
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for number in range(count):
            bootnodes = [node.record for node in nodes[:1]]
            name = f"notebook/{number}"
            opened = open_node(
                PrivateKey.generate(),
                [Notes()],
                listen=["tcp://127.0.0.1:0"],
                discovery=True,
                bootnodes=bootnodes,
                client_id=name,
                strict=True,
            )
            nodes.append(await stack.enter_async_context(opened))
        yield nodes


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def report(visits: Iterable[Visit], book: Book, discovery: Discovery, node: NodeStatistics) -> Iterator[str]:
    for visit in visits:
        entry = book.get(visit.record.id)
        assert isinstance(entry, BookEntry)
        times = ", ".join(f"{step} {1000 * seconds:.1f} ms" for step, seconds in visit.progress.seconds.items())
        yield f"{entry.id.hex()} by {entry.sources.name}: {visit.hello.client_id if visit.hello else visit.problem} ({times})"
    counts = discovery.statistics
    yield f"{counts.received} datagrams in, {counts.sent} out; {sum(counts.candidates.values())} nodes named"
    yield f"the first node: {node.dials} dials, {node.inbound} peers inbound, {node.outbound} outbound"


async def test_a_crawler_needs_the_package_root_alone(tmp_path: Path) -> None:
    dead = PrivateKey.generate()
    async with network(4) as nodes, AsyncExitStack() as stack:
        boot = [nodes[0].record]
        book = stack.enter_context(Book.open(tmp_path / "nodes.sqlite"))
        await stack.enter_async_context(
            open_discovery(dead, listen="udp://127.0.0.1:0", entries={"tcp": closed_port()}, bootnodes=boot, strict=True)
        )
        discovery = await stack.enter_async_context(open_discovery(KEY, listen="udp://127.0.0.1:0", bootnodes=boot, book=book, strict=True))
        crawler = Crawler(local_node(KEY, client_id="crawler/1.0"), discovery, book)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crawler.run)
            await crawler.wait_visited(5)
            nursery.cancel_scope.cancel()
        printed = [*report(crawler.visits.values(), book, discovery, nodes[0].statistics)]
    with Book.open(tmp_path / "nodes.sqlite") as again:
        entries = {node_id: entry for node_id in crawler.visits if (entry := again.get(node_id)) is not None}
    assert entries.keys() == crawler.visits.keys(), "what it learned is kept"
    lost = crawler.visits.pop(dead.public_key.node_id)
    assert (lost.problem, lost.hello, entries[lost.record.id].failure) == ("unreachable", None, "unreachable")
    assert [type(error) for error in lost.progress.failures.values()] == [ConnectionRefusedError]
    said = {
        visit.record.public_key: (visit.hello.client_id, [str(offer) for offer in visit.hello.capabilities])
        for visit in crawler.visits.values()
        if visit.hello is not None
    }
    assert said == {node.public_key: (f"notebook/{number}", ["notes/3"]) for number, node in enumerate(nodes)}
    for visit in crawler.visits.values():
        assert list(visit.progress.seconds) == ["connect", "handshake", "hello"]
        assert visit.farewell in {None, DisconnectReason.USELESS_PEER}, "None if it saw us leave first"
        assert entries[visit.record.id].last_connected is not None
    assert [line.count(" ms") for line in printed[:5]].count(3) == 4
    assert " datagrams in, " in printed[5]
    assert printed[6].startswith("the first node: ")


async def test_the_example_in_the_readme_runs_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    section = README.read_text("utf-8").partition("## Ask nodes what they are\n")[2].partition("\n## ")[0]
    example = textwrap.dedent("\n".join(line for line in section.splitlines() if line.startswith("    ")))
    names: dict[str, Any] = {name: getattr(devp2p, name) for name in devp2p.__all__} | {"suppress": suppress, "trio": trio}
    exec(example, names)  # noqa: S102
    async with network(2) as nodes, trio.open_nursery() as nursery:
        nursery.start_soon(names["crawl"], KEY, [nodes[0].record])
        heard: set[str] = set()
        while heard != {"notebook/0 notes/3", "notebook/1 notes/3"}:
            await trio.sleep(0.05)
            heard |= {*capsys.readouterr().out.splitlines()}
        nursery.cancel_scope.cancel()
