"""The sums by SQL are those that one gets by going through all nodes and visits."""

import sqlite3
from collections import Counter
from contextlib import closing
from types import SimpleNamespace

import pytest
from devp2p_crawler.analysis import Readiness, parse_client, standing_of
from devp2p_crawler.figures import gather
from devp2p_crawler.figures.runs import newest_runs
from devp2p_crawler.model import Batch, Crawl, Kind, Outcome, Sighting, Visit
from devp2p_crawler.stores import SqliteStore

from tests.crawler.generated import BEGAN, DAY, SECOND, Shape, batches


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file, read both ways."""
    path = tmp_path_factory.mktemp("crawls") / "crawl.db"
    with closing(SqliteStore.create_or_open(path)) as store:
        for batch in batches(Shape(nodes=80, rounds=4, hostile=0.1, seed=7)):
            store.write(batch)
        nodes, visits = list(store.nodes()), list(store.visits())
        crawls = {crawl.id: crawl for crawl in store.crawls()}
        return SimpleNamespace(found=gather(store.connection), nodes=nodes, visits=visits, crawls=crawls)


def test_the_headline(file):
    head = file.found.headline
    assert head.found == len(file.nodes)
    assert head.visited == len({visit.node for visit in file.visits})
    assert head.alive == sum(node.last_ok is not None for node in file.nodes)
    assert head.hellos == sum(node.said is not None and node.said.client is not None for node in file.nodes)
    assert head.statuses == sum(node.said is not None and node.said.eth_version is not None for node in file.nodes)
    assert head.visits == len(file.visits)
    assert head.recall is not None
    assert head.recall_run == file.found.runs[0]


def test_the_growth_adds_up_at_each_moment(file):
    moments = file.found.growth
    assert moments[-1].discovered == file.found.headline.found
    assert moments[-1].measured == file.found.headline.alive
    assert moments[-1].pending == 0
    asked = Counter[bytes]()
    for visit in sorted(file.visits, key=lambda visit: -visit.began):
        asked[visit.node] = visit.began
    for moment in moments:
        assert moment.measured + moment.pending + moment.failed + moment.queued == moment.discovered
        assert min(moment.measured, moment.pending, moment.failed, moment.queued) >= 0
        assert moment.discovered == sum(node.first_seen <= moment.at for node in file.nodes)
        assert moment.measured == sum(node.first_ok is not None and node.first_ok <= moment.at for node in file.nodes)
        assert moment.queued == sum(node.first_seen <= moment.at < asked.get(node.node, 2**63) for node in file.nodes)
    assert [moment.at for moment in moments] == sorted({moment.at for moment in moments})


def test_clients_versions_and_those_that_are_not_understood(file):
    names, versions, unparsed = Counter[str](), Counter[tuple[str, str]](), Counter[str]()
    for node in file.nodes:
        if node.said is None or node.said.client is None:
            continue
        client = parse_client(node.said.client)
        if client is None:
            unparsed[node.said.client] += 1
        else:
            names[client.name] += 1
            versions[client.name, client.version or ""] += 1
    found = file.found.clients
    assert {share.name: share.nodes for share in found.names} == names
    assert {(name, version): nodes for name, version, nodes in found.versions} == versions
    assert {share.name: share.nodes for share in found.samples} == unparsed
    assert (found.unparsed, found.unparsed_names) == (unparsed.total(), len(unparsed))


def test_networks_and_what_they_are_ready_for(file):
    chains, states = Counter[tuple[int, bytes]](), Counter[Readiness]()
    for node in file.nodes:
        judged = standing_of(node.said, file.found.as_of // SECOND) if node.said else None
        if node.said is not None and judged is not None:
            chains[node.said.network_id or 0, node.said.genesis or b""] += 1
            states[judged.readiness] += 1
    assert {(network.network_id, network.genesis): network.nodes for network in file.found.networks} == chains
    assert sum((Counter(network.readiness) for network in file.found.networks), Counter()) == states
    assert sum(group.nodes for group in file.found.forks) == states.total()


def test_capabilities(file):
    counts = Counter(each for node in file.nodes if node.said for each in set(node.said.capabilities))
    assert {share.name: share.nodes for share in file.found.capabilities} == {name.replace("\0", "\ufffd"): n for name, n in counts.items()}


def test_round_trips_are_those_of_the_latest_answers(file):
    latest = {(visit.node, visit.kind): visit for visit in sorted(file.visits, key=lambda visit: visit.ended) if visit.outcome.is_alive}
    pairs = [(int(visit.rtt), visit.node) for visit in latest.values() if visit.rtt is not None]
    least = {node: rtt for rtt, node in sorted(pairs, reverse=True)}
    times = sorted(least.values())
    assert file.found.rtts.nodes == len(times)
    assert file.found.rtts.quantiles[0] == (0.0, times[0])
    assert file.found.rtts.quantiles[50] == (0.5, times[(len(times) - 1) // 2])
    assert file.found.rtts.quantiles[-1] == (1.0, times[-1])


def test_errors(file):
    assert {(kind, outcome): n for kind, outcome, n in file.found.errors.table} == Counter(
        (visit.kind, visit.outcome) for visit in file.visits
    )
    assert all(not outcome.is_alive for outcome, _ in file.found.errors.by_outcome)


def test_overlap_and_difference(file):
    heard = Counter[bytes]()
    alive = {crawl: {visit.node for visit in file.visits if visit.crawl == crawl and visit.outcome.is_alive} for crawl in file.crawls}
    newest = {crawl.vantage: crawl.id for crawl in file.crawls.values()}
    for crawl in newest.values():
        heard.update(alive[crawl])
    found = file.found.overlap
    assert found is not None
    assert found.seen_by == (sum(n == 1 for n in heard.values()), sum(n == 2 for n in heard.values()))
    for row, a in zip(found.shared, found.vantages, strict=True):
        for both, b in zip(row, found.vantages, strict=True):
            assert both == len(alive[newest[a.name]] & alive[newest[b.name]])
    changed = file.found.difference
    assert changed is not None
    before, after = alive[changed.before.id], alive[changed.after.id]
    assert changed.before.vantage == changed.after.vantage
    assert (changed.stayed, changed.gone, changed.come) == (len(before & after), len(before - after), len(after - before))


def test_sessions_whose_beginning_was_seen_give_a_curve(file):
    found = file.found.lifetimes
    assert found is not None
    assert found.one_in == 1
    shares = [point.survival for point in found.curve.points]
    assert shares == sorted(shares, reverse=True)
    assert 0 < found.curve.ended < found.curve.observed
    assert found.curve.points[-1].time <= 2 * DAY


def test_a_node_that_was_only_visited_through_our_fault_is_queued(tmp_path):
    rows = Batch(
        crawls=[
            crawl := Crawl(id=bytes(16), vantage="x", started=BEGAN, updated=BEGAN, ended=None, program="", settings="", counters="[1]")
        ],
        sightings=[Sighting(node=bytes(32), public_key=bytes(64), vantage="x", ip=b"", udp=0, tcp=0, first=BEGAN, last=BEGAN)],
        visits=[Visit(crawl=crawl.id, node=bytes(32), kind=Kind.V4, began=BEGAN, ended=BEGAN, outcome=Outcome.OUR_FAULT)],
    )
    with closing(SqliteStore.create_or_open(tmp_path / "crawl.db")) as store:
        store.write(rows)
        found = gather(store.connection)
    assert found.growth[-1].queued == 1
    assert found.headline.visited == 0
    assert found.overlap is None
    assert found.difference is None
    assert found.lifetimes is None


@pytest.mark.parametrize(
    "counters", ["", "[]", "{", '{"recall": 1}', '{"recall": {"estimate": 2, "low": 0, "high": 1}}', '{"found": -1}', '{"found": "1"}']
)
def test_what_a_crawl_says_of_itself_may_be_anything(tmp_path, counters):
    with closing(SqliteStore.create_or_open(tmp_path / "crawl.db")) as store:
        store.write(
            Batch(crawls=[Crawl(id=bytes(16), vantage="x", started=0, updated=0, ended=None, program="", settings="", counters=counters)])
        )
        ((run,), _) = newest_runs(store.connection)
    assert (run.recall, run.found) == (None, None)


def test_a_file_that_is_none_is_an_error_of_sqlite():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection, pytest.raises(sqlite3.Error):
        gather(connection)
