"""Hints about nodes: found in a file by SQL as by going through all that is stored, and shown by report, API and command line, inertly."""

import json
from collections import defaultdict
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from devp2p_crawler.analysis import Hint, SeenNode, find_sybils
from devp2p_crawler.cli import main
from devp2p_crawler.figures import Findings, gather
from devp2p_crawler.model import Batch, Outcome, SignedRecord
from devp2p_crawler.report.hints import MEANINGS, hints_section
from devp2p_crawler.stores import SqliteStore

from tests.crawler.generated import Shape, batches
from tests.crawler.rows import BEGIN, HOSTILE, crawl, node_id, sighting, visit
from tests.crawler.serving.test_api import Client

CROWDED, MOVING, RESTARTED = [1, 2, 3, 4], 5, 6


def odd_rows() -> Batch:
    """Four nodes at an address, one of which answers; one at six addresses; one whose records go from the largest number to the least."""
    sightings = [sighting(number, ip=b"\x0a\x00\x00\x01") for number in CROWDED]
    sightings += [sighting(MOVING, ip=bytes([20 + number, 0, 0, 1]), vantage=HOSTILE[6]) for number in range(6)]
    sightings += [sighting(RESTARTED, ip=b"")]
    records = [SignedRecord(node=node_id(RESTARTED), sequence=n, raw=b"x", seen=BEGIN + at) for at, n in enumerate((2**64 - 1, 1))]
    visits = [visit(1, ip=b"\x0a\x00\x00\x01"), visit(2, 1, Outcome.SILENT, ip=b"\x0a\x00\x00\x01")]
    return Batch(crawls=[replace(crawl(), vantage=HOSTILE[6])], sightings=sightings, records=records, visits=visits)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crawls") / "crawl.db"
    with closing(SqliteStore.create_or_open(path)) as store:
        for batch in (*batches(Shape(nodes=40, crawls=1, rounds=1, hostile=0.5)), odd_rows()):
            store.write(batch)
    return path


@pytest.fixture(scope="module")
def findings(database: Path) -> Findings:
    with closing(SqliteStore.open_reading(database)) as store:
        return gather(store.connection)


def test_a_file_gives_the_hints_of_all_that_is_in_it(database: Path, findings: Findings):
    addresses, sequences = defaultdict[bytes, set[bytes]](set), defaultdict[bytes, list[int]](list)
    with closing(SqliteStore.open_reading(database)) as store:
        nodes = [node.node for node in store.nodes()]
        for told in store.sightings():
            addresses[told.node] |= {told.ip} - {b""}
        for made in store.visits():
            addresses[made.node] |= {made.ip} - {b""} if made.outcome.is_alive else set()
        for record in sorted(store.records(), key=lambda record: record.seen):
            sequences[record.node].append(record.sequence)
    seen = [SeenNode(node=node, addresses=frozenset(addresses[node]), sequences=tuple(sequences[node])) for node in nodes]
    assert findings.oddities.flagged == {node: tuple(h for h in Hint if h in of) for node, of in find_sybils(seen).hints.items()}


def test_odd_nodes_are_counted_with_those_that_are_alive(findings: Findings):
    found = findings.oddities
    counts = {one.hint: (one.nodes, one.alive) for one in found.hints}
    assert list(counts) == list(Hint)
    assert counts[Hint.MANY_AT_ADDRESS] == (4, 1)
    assert counts[Hint.MANY_ADDRESSES] == (1, 0)
    assert counts[Hint.SEQUENCE_FELL] == (1, 0)
    assert found.flagged.keys() == {node_id(number) for number in (*CROWDED, MOVING, RESTARTED)}
    assert [(crowd.place, crowd.nodes) for crowd in found.crowds] == [("10.0.0.1", 4)]
    assert findings.headline.found == 46  # nobody is left out


def test_the_report_says_what_each_hint_is(findings: Findings):
    section = hints_section(findings)
    assert section.paragraphs[0].startswith("6 of 46 nodes have one hint or more, 1 of them alive.")
    assert [row[-1].text for row in section.tables[0].rows] == [MEANINGS[hint] for hint in Hint]
    assert [cell.text for cell in section.tables[1].rows[0]] == ["10.0.0.1", "4"]


def test_networks_and_clusters_are_written_as_people_read_them(tmp_path: Path):
    with closing(SqliteStore.create_or_open(tmp_path / "crawl.db")) as store:
        crowd = [sighting(number, ip=bytes([10, 9, 8, number])) for number in range(12)]
        crowd += [sighting(number, ip=bytes.fromhex("20010db8000000010000000000000000")[:15] + bytes([number])) for number in range(20, 32)]
        near = [
            replace(sighting(number), node=b"\xab" * 10 + node_id(number)[10:], ip=bytes([30, number, 0, 1])) for number in range(40, 45)
        ]
        store.write(Batch(sightings=[*crowd, *near]))
        found = gather(store.connection).oddities
    assert [(crowd.place, crowd.nodes) for crowd in found.crowds] == [("10.9.8.0/24", 12), ("2001:db8:0:1::/64", 12)]
    (cluster,) = found.clusters
    assert cluster.nodes == 5
    assert cluster.bits >= 80
    assert cluster.first == min(each.node for each in near)


def test_the_api_gives_pages_of_flagged_nodes(database: Path, findings: Findings):
    async def asks() -> None:
        client = Client(database)
        nodes, after = list[dict[str, object]](), dict[str, str]()
        while True:
            page = (await client.get("/api/hints", limit=4, **after)).json
            nodes += page["nodes"]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert {node["id"]: node["hints"] for node in nodes} == {
            node.hex(): [hint.name.lower() for hint in hints] for node, hints in findings.oddities.flagged.items()
        }
        assert page["flagged"] == len(nodes) == 6
        assert page["crowds"] == [{"place": "10.0.0.1", "nodes": 4}]
        assert {"hint": "many_at_address", "nodes": 4, "alive": 1} in page["hints"]
        assert (await client.get("/api/hints", after="zz")).status == 400

    trio.run(asks)


def test_info_tells_of_them_where_it_is_asked(database: Path, findings: Findings, capsys: pytest.CaptureFixture[str]):
    assert main(["info", "--db", str(database)]) == 0
    assert "hints" not in capsys.readouterr().out
    assert main(["info", "--db", str(database), "--sybils"]) == 0
    out = capsys.readouterr().out
    assert "6 nodes have hints that they may not be what they seem, 1 of them alive:\n  4  many nodes at its address\n" in out
    assert "  4 nodes at 10.0.0.1\n" in out
    assert "A hint proves nothing" in out
    assert main(["info", "--db", str(database), "--sybils", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["hints"]
    assert told == {node.hex(): [hint.name.lower() for hint in hints] for node, hints in findings.oddities.flagged.items()}
