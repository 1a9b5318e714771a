"""The SQLite file as a sink, and what follows from what was written."""

from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from devp2p_crawler.model import Batch, Kind, Outcome, Said
from devp2p_crawler.stores import SqliteStore

from tests.crawler import rows
from tests.crawler.conformance import Contents, SinkConformance, contents


class SqlitePlace:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> SqliteStore:
        return SqliteStore.create_or_open(self.path)

    def read(self) -> Contents:
        with SqliteStore.open_reading(self.path) as store:
            return contents(store.crawls(), store.sightings(), store.records(), store.visits(), store.frontier())


class TestSqliteSink(SinkConformance):
    @contextmanager
    def place(self, tmp_path):
        yield SqlitePlace(tmp_path / "crawl.db")


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore.create_or_open(tmp_path / "crawl.db")) as store:
        yield store


def test_kinds_and_outcomes_of_the_file_are_those_of_the_model(store):
    assert store.connection.execute("SELECT no, name FROM kind").fetchall() == [(kind.value, kind.name) for kind in Kind]
    outcomes = [(outcome.value, outcome.name, outcome.is_alive) for outcome in Outcome]
    assert store.connection.execute("SELECT no, name, alive FROM outcome").fetchall() == outcomes
    store.write(Batch(visits=[rows.visit(outcome, outcome=outcome) for outcome in Outcome]))
    alive = store.connection.execute("SELECT DISTINCT outcome, alive FROM visit ORDER BY outcome").fetchall()
    assert alive == [(outcome.value, outcome.is_alive) for outcome in Outcome]


def test_a_node_is_known_by_all_that_was_written_of_it(store):
    hello = Said(client="Geth/v1", capabilities=("eth/69",), listen_port=0, reason=4)
    status = Said(client="old", eth_version=69, network_id=5)
    store.write(Batch(crawls=[rows.crawl(1, vantage="here"), rows.crawl(2, vantage="there")]))
    store.write(Batch(sightings=[rows.sighting(1, 0, 1, ip=b"told"), rows.sighting(1, 2, ip=b"\xc0\0\2\1", udp=9, tcp=8)]))
    store.write(Batch(records=[rows.record(1, 3), rows.record(1, 2**63, raw=b"\xc1\x01")]))
    store.write(
        Batch(
            visits=[
                rows.visit(1, 10, Outcome.SILENT),
                rows.visit(1, 20, rtt=5000),
                rows.visit(1, 30, kind=Kind.RLPX, said=status, port=30304, rtt=9000),
                rows.visit(1, 40, Outcome.TOO_MANY_PEERS, kind=Kind.INBOUND, said=hello, port=55555, of=2),
                rows.visit(1, 50, Outcome.SILENT, kind=Kind.RLPX),
                rows.visit(1, 60, Outcome.OUR_FAULT, kind=Kind.RLPX),
            ]
        )
    )
    [node] = store.nodes()
    second = 1_000_000
    assert node.node == rows.node_id(1)
    assert node.public_key == rows.public_key(node.node)
    assert (node.first_seen, node.last_seen) == (rows.BEGIN, rows.BEGIN + 40 * second + 100_000)
    assert (node.first_ok, node.last_ok) == (rows.BEGIN + 20 * second + 100_000, rows.BEGIN + 40 * second + 100_000)
    assert node.last_visit == rows.BEGIN + 50 * second + 100_000
    assert node.score == 1
    assert node.record == rows.record(1, 2**63, raw=b"\xc1\x01")
    assert (node.ip, node.udp, node.tcp) == (b"\xc0\0\2\1", 30303, 30304)
    assert node.said == Said(client="Geth/v1", capabilities=("eth/69",), listen_port=0, reason=4, eth_version=69, network_id=5)
    assert node.said_at == rows.BEGIN + 40 * second + 100_000
    assert node.outcomes == {Kind.V4: Outcome.OK, Kind.RLPX: Outcome.SILENT, Kind.INBOUND: Outcome.TOO_MANY_PEERS}
    assert (node.rtt, node.handshakes, node.vantages) == (5000, 2, {"here", "there"})


def test_a_node_of_which_only_is_said_when_it_is_due_is_not_known(store):
    store.write(Batch(due={rows.node_id(1): rows.BEGIN}, sightings=[rows.sighting(2)]))
    assert [node.node for node in store.nodes()] == [rows.node_id(2)]
    assert store.frontier() == {rows.node_id(1): rows.BEGIN}


def test_a_node_that_was_only_told_of_or_only_visited_is_known_too(store):
    store.write(Batch(sightings=[rows.sighting(1, 5, ip=b"old.", udp=1), rows.sighting(1, 6, ip=b"new.", udp=2)]))
    store.write(Batch(visits=[rows.visit(2, 7, Outcome.OUR_FAULT), rows.visit(3, 7, Outcome.SILENT)]))
    nodes = {node.node: node for node in store.nodes()}
    assert list(nodes) == sorted(nodes)
    told, unlucky, silent = (nodes[rows.node_id(number)] for number in (1, 2, 3))
    assert (told.ip, told.udp, told.first_ok, told.last_visit, told.outcomes) == (b"new.", 2, None, None, {})
    assert (unlucky.first_seen, unlucky.outcomes, unlucky.public_key) == (rows.BEGIN + 7_000_000, {}, b"")
    assert (silent.outcomes, silent.last_ok, silent.score) == ({Kind.V4: Outcome.SILENT}, None, 0)


@pytest.mark.parametrize("order", [1, -1])
def test_the_score_is_counted_as_go_ethereum_counts_it_in_whatever_order_visits_come(store, order):
    verdicts = "++++--+-+?"  # 1 2 3 4 2 1 2 1 2; a fault of ours does not count
    outcomes = {"+": Outcome.OK, "-": Outcome.SILENT, "?": Outcome.OUR_FAULT}
    visits = [rows.visit(1, number, outcomes[verdict], kind=Kind(1 + number % 2)) for number, verdict in enumerate(verdicts)]
    for visit in visits[::order]:
        store.write(Batch(visits=[visit]))
    store.write(Batch(visits=[rows.visit(1, 100, kind=Kind.RLPX)]))
    [node] = store.nodes()
    assert node.score == 2


@pytest.mark.parametrize("order", [1, -1])
def test_spells_are_runs_of_one_verdict(store, order):
    visits = [rows.visit(1, number, Outcome.OK if number % 5 else Outcome.SILENT) for number in range(11)]
    for visit in visits[::order]:
        store.write(Batch(visits=[visit]))
    spells = store.connection.execute("SELECT number, alive, visits, (ended - began) / 1000000 FROM spells ORDER BY number").fetchall()
    assert spells == [(0, 0, 1, 0), (1, 1, 4, 3), (2, 0, 1, 0), (3, 1, 4, 3), (4, 0, 1, 0)]


def test_visits_are_read_by_time_kind_and_node(store):
    store.write(Batch(visits=[rows.visit(number % 3, number, kind=Kind(1 + number % 2)) for number in range(12)]))
    store.write(Batch(visits=[rows.visit(1, 3.5)]))
    at = [(visit.began - rows.BEGIN) / 1_000_000 for visit in store.visits()]
    assert at == sorted(at)
    assert len(at) == 13
    since, until = rows.BEGIN + 3_000_000, rows.BEGIN + 6_000_000
    assert [visit.began - since for visit in store.visits(since=since, until=until)] == [0, 500_000, 1_000_000, 2_000_000]
    assert {visit.kind for visit in store.visits(kinds=[Kind.V5])} == {Kind.V5}
    of_one = [visit.began - rows.BEGIN for visit in store.visits(node=rows.node_id(1))]
    assert of_one == [1_000_000, 3_500_000, 4_000_000, 7_000_000, 10_000_000]
    assert list(store.visits(node=rows.node_id(99))) == []
    numbers = [number for number, _ in store.visits_after(0)]
    assert numbers == sorted(numbers)
    assert [visit for _, visit in store.visits_after(numbers[-2])] == [rows.visit(1, 3.5)]


def test_readers_see_one_moment_while_it_is_written(store, tmp_path):
    store.write(Batch(sightings=[rows.sighting(number) for number in range(300)]))
    with SqliteStore.open_reading(tmp_path / "crawl.db") as reader:
        nodes = reader.nodes()
        first = next(nodes)
        store.write(Batch(visits=[rows.visit(number) for number in range(400)]))
        rest = list(nodes)
        assert len(rest) == 299
        assert not any(node.outcomes for node in [first, *rest])
        assert len(list(reader.nodes())) == 400
