"""Visits by UDP where nodes lie of where they are: nobody is asked, or called, who has not been taken for it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import cast

import pytest
import trio
from devp2p_crawler.crawling import Crawler, CrawlSettings
from devp2p_crawler.crawling.asking import Asking
from devp2p_crawler.crawling.calling import Calling
from devp2p_crawler.crawling.rows import Rows
from devp2p_crawler.crawling.sources import node_of, remember_courtesy
from devp2p_crawler.crawling.state import State, endpoint_of, wall
from devp2p_crawler.frontier import Cover, Entry, Targets
from devp2p_crawler.model import Batch, Kind, Outcome, SignedRecord, Visit
from devp2p_crawler.stores import Writer
from devp2p_crawler.visiting import RlpxCaller

from devp2p import Address, Discovery, Endpoint, NodeRecord, PrivateKey, Record, keccak256
from tests.crawler.known_nodes import known

HERE, VICTIM = "203.0.114.9", "198.51.101.7"
KEY = PrivateKey.from_bytes(b"\x05" * 32)
ASKED = NodeRecord(KEY.public_key, (Address("tcp", HERE, 30303),))


def record(ip: str = HERE, sequence: int = 1, **more: int | str) -> Record:
    return Record.sign(KEY, sequence, {"ip": ip, "tcp": 30303, "udp": 30303, **more})


@dataclass
class Stub:
    """Discovery of a node that answers, and says what it is told to."""

    own: NodeRecord | None = None
    named: tuple[NodeRecord, ...] = ()
    asked: list[tuple[int, Endpoint | None]] = field(default_factory=list[tuple[int, Endpoint | None]])
    meanwhile: NodeRecord | None = None
    state: State | None = None

    def __post_init__(self) -> None:
        self.v4 = self.v5 = SimpleNamespace(protocol=SimpleNamespace(contact_of=self._contact_of))
        self.address = Address("udp", "127.0.0.1", 1)

    def _contact_of(self, node: NodeRecord) -> SimpleNamespace | None:
        endpoint = endpoint_of(node)
        return None if endpoint is None else SimpleNamespace(endpoint=endpoint)

    async def ping(self, node: NodeRecord, *, version: int) -> None:
        self.asked.append((version, endpoint_of(node)))
        await trio.sleep(0.01)

    async def request_enr(self, node: NodeRecord, *, version: int) -> NodeRecord | None:
        await self.ping(node, version=version)
        return self.own

    async def find_nodes(self, node: NodeRecord, around: Iterable[int] | bytes, *, version: int) -> tuple[NodeRecord, ...]:
        del around
        await self.ping(node, version=version)
        if self.meanwhile is not None and self.state is not None:
            self.state.trusted(self.meanwhile)
        own = (self.own,) if version == 5 and self.own is not None else ()
        return (*own, *self.named)


class Taken:
    """Rows that were handed over."""

    def __init__(self) -> None:
        self.records: list[SignedRecord] = []
        self.visits: list[Visit] = []

    def put(self, batch: Batch) -> None:
        self.records += batch.records
        self.visits += batch.visits


def make(stub: Stub) -> tuple[State, Asking, Calling, Taken]:
    taken = Taken()
    settings = CrawlSettings(strict=True, key=PrivateKey.from_bytes(b"\x01" * 32))
    covers = {version: Cover(lambda: 0.5) for version in (4, 5)}
    state = stub.state = State(settings, Rows(taken, "here"), b"\0" * 16, b"\0" * 32, covers)
    asking = Asking(state, cast("Discovery", stub), Targets(keccak256, bytes, 4))
    return state, asking, Calling(state, cast("RlpxCaller", None)), taken


async def visit(state: State, asking: Asking) -> Entry:
    state.trusted(ASKED)
    entry = state.queue.take(trio.current_time())
    assert entry is not None
    endpoint = endpoint_of(entry.node)
    assert endpoint is not None
    assert state.begin(endpoint, entry.id)
    await asking.visit(entry, endpoint)
    return entry


async def test_a_record_that_names_a_victim_leads_nobody_there() -> None:
    stub = Stub(own=NodeRecord.from_enr(record(VICTIM)))
    state, asking, calling, taken = make(stub)
    entry = await visit(state, asking)
    calling.add(entry)
    assert {endpoint for _, endpoint in stub.asked} == {endpoint_of(ASKED)}
    assert {address.host for address in entry.node.addresses} == {HERE}
    assert len(calling) == 1
    state.rows.flush()
    assert [one.raw for one in taken.records] == [record(VICTIM).encode()]  # it is written down all the same


async def test_a_record_with_a_second_address_is_called_where_it_answered() -> None:
    stub = Stub(own=NodeRecord.from_enr(record(ip6="2600::7", tcp6=30303, udp6=30303)))
    state, asking, _, _ = make(stub)
    entry = await visit(state, asking)
    assert entry.node.enr is not None
    assert {version for version, _ in stub.asked} == {4, 5}
    assert [address.host for address in entry.node.addresses] == [HERE]


@pytest.mark.parametrize("elsewhere", [record(VICTIM, 9), Record.sign(KEY, 9, {})])
async def test_what_others_tell_meanwhile_does_not_move_a_visit(elsewhere: Record) -> None:
    """A newer record comes while the node is visited: of another place, or of none."""
    stub = Stub(meanwhile=NodeRecord.from_enr(elsewhere), named=(NodeRecord(PrivateKey.from_bytes(b"\x06" * 32).public_key),))
    state, asking, _, taken = make(stub)
    await visit(state, asking)
    assert {endpoint for _, endpoint in stub.asked} == {endpoint_of(ASKED)}
    assert not state.sent
    state.rows.flush()
    assert [(one.kind, one.outcome) for one in taken.visits] == [(Kind.V4, Outcome.OK)]


def test_a_node_goes_on_where_it_answered() -> None:
    """One that was there under an address beside its record is neither asked nor called where that says."""
    key = bytes(KEY.public_key)
    answered = known(1, record(VICTIM), node=ASKED.id, public_key=key, ip=bytes([203, 0, 114, 9]), udp=30303, tcp=30303, last_ok=5)
    assert node_of(answered) == NodeRecord(KEY.public_key, (Address("tcp", HERE, 30303),), 30303)


async def test_what_was_sent_before_a_crawl_was_broken_off_counts() -> None:
    state, *_ = make(Stub())
    ip, now = bytes([203, 0, 114, 9]), wall()
    visit = Visit(crawl=b"\0" * 16, node=ASKED.id, kind=Kind.V4, began=now - 10_000, ended=now, outcome=Outcome.OK, ip=ip, port=30303)
    remember_courtesy(state, [replace(visit, asked=12), replace(visit, kind=Kind.V5, asked=5)])
    host, burst = state.courtesy.host(ip, 30303), state.settings.politeness.burst
    assert state.courtesy.room(host, trio.current_time()) == burst - 17
    assert state.courtesy.room(host, trio.current_time() + 60) == burst


async def test_one_host_that_comes_as_many_nodes_is_a_few() -> None:
    stub = Stub()
    state, *_ = make(stub)
    crawler = Crawler(state, cast("Discovery", stub), cast("RlpxCaller", None), cast("Writer", None))
    for number in range(100):
        node = NodeRecord(PrivateKey.from_bytes((number + 1).to_bytes(32, "big")).public_key, (Address("tcp", HERE, 30303),))
        crawler.heard(node, 4)
        entry = state.queue.take(trio.current_time())
        if entry is not None and (endpoint := endpoint_of(entry.node)) is not None:
            state.begin(endpoint, entry.id)
            del state.sent[endpoint]
    assert len(state.queue) == state.settings.politeness.nodes_per_host


async def test_a_silent_node_that_asks_us_twice_is_visited_once_more() -> None:
    stub = Stub()
    state, asking, *_ = make(stub)
    entry = await visit(state, asking)
    state.seen(entry).was_silent = True
    asking.came(entry)
    asking.came(entry)
    assert (state.queue.resting, state.queue.queued) == (1, 0)
    assert state.queue.take(trio.current_time()) is entry
    asking.came(entry)  # it is under way by now
    assert (state.queue.resting, state.queue.queued) == (0, 0)
