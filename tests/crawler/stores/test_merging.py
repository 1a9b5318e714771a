"""Merging is a union: commutative, associative, idempotent; and what follows from the facts is the same however they came together."""

import random
import shutil
import tempfile
from itertools import islice
from pathlib import Path

import pytest
from devp2p_crawler.cli import main
from devp2p_crawler.model import Batch, Outcome
from devp2p_crawler.stores import SinkError, SqliteStore, merge, open_source
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.crawler import rows
from tests.crawler.conformance import contents

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # an example takes seven files: `make long` finds smaller ones
FOLLOWING = (  # all that follows from visits, in numbers that mean the same in every file
    "SELECT node.id, first_visit, score, scored_at, stale FROM node WHERE first_visit IS NOT NULL ORDER BY 1",
    "SELECT crawl.id, node.id FROM heard JOIN crawl ON crawl.no = heard.crawl JOIN node ON node.no = heard.node ORDER BY 1, 2",
    "SELECT crawl.id, hour, kind, outcome, visits FROM hourly JOIN crawl ON crawl.no = hourly.crawl ORDER BY 1, 2, 3, 4",
    "SELECT node.id, kind, number, began, ended, alive, visits FROM spells JOIN node ON node.no = spells.node ORDER BY 1, 2, 3",
    """SELECT node.id, kind, visits, answers, hellos, last_at, first_ok_at, ok_at, hello_at, status_at FROM standing
    JOIN node ON node.no = standing.node ORDER BY 1, 2""",
    """SELECT node.id, standing.kind, last.began, lc.id, ok.began, oc.id, hello.began, hc.id, status.began, sc.id FROM standing
    JOIN node ON node.no = standing.node JOIN visit last ON last.no = standing.last JOIN crawl lc ON lc.no = last.crawl
    LEFT JOIN visit ok ON ok.no = standing.ok LEFT JOIN crawl oc ON oc.no = ok.crawl
    LEFT JOIN visit hello ON hello.no = standing.hello LEFT JOIN crawl hc ON hc.no = hello.crawl
    LEFT JOIN visit status ON status.no = standing.status LEFT JOIN crawl sc ON sc.no = status.crawl ORDER BY 1, 2""",
)


def everything(path):
    """All of a file but when nodes are due, and the order of its rows."""
    with SqliteStore.open_reading(path) as store:
        facts = contents(store.crawls(), store.sightings(), store.records(), store.visits(), {})
        chains = [sorted(map(repr, store.visits(node=node.node))) for node in store.nodes()]
        return facts, list(store.nodes()), [store.connection.execute(query).fetchall() for query in FOLLOWING], chains


class Files:
    """Makes files in a directory, fast: by copies of an empty one."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._count = 0
        SqliteStore.create_or_open(self._directory / "empty.db").close()

    def new(self) -> Path:
        self._count += 1
        path = self._directory / f"{self._count}.db"
        shutil.copy(self._directory / "empty.db", path)
        return path

    def of(self, batches) -> Path:
        path = self.new()
        with SqliteStore.create_or_open(path) as store:
            for batch in batches:
                store.write(batch)
        return path

    def merged(self, *paths) -> Path:
        out = self.new()
        with SqliteStore.create_or_open(out) as store:
            for path in paths:
                with SqliteStore.open_reading(path) as source:
                    merge(store, source)
        return out


def union_laws_hold(parts, chance) -> None:
    with tempfile.TemporaryDirectory() as directory:
        files = Files(directory)
        one, two, three = map(files.of, parts)
        batches = [batch for part in parts for batch in part]
        chance.shuffle(batches)
        both = everything(files.merged(one, two))
        assert everything(files.merged(two, one)) == both
        assert everything(files.merged(one, one)) == everything(one)
        assert everything(files.merged(one, two, one, two)) == both
        left = everything(files.merged(files.merged(one, two), three))
        assert everything(files.merged(one, files.merged(two, three))) == left
        assert everything(files.of(batches)) == left


@settings(max_examples=3, phases=NO_SHRINKING)
@given(st.tuples(*[st.lists(rows.BATCHES, max_size=3)] * 3), st.randoms(use_true_random=False))
def test_merging_is_a_union(parts, chance):
    union_laws_hold(parts, chance)


@pytest.mark.long
@given(st.tuples(*[st.lists(rows.BATCHES, max_size=3)] * 3), st.randoms(use_true_random=False))
@settings(max_examples=2000)
def test_merging_is_a_union_in_many_cases(parts, chance):
    union_laws_hold(parts, chance)


def test_merging_streams_of_crawls_that_visit_the_same_nodes_is_a_union():
    chance = random.Random(3)
    parts = [list(islice(rows.stream(seed, crawls=1 + seed), 3)) for seed in range(3)]
    union_laws_hold(parts, chance)


@settings(max_examples=8, phases=NO_SHRINKING)
@given(st.lists(rows.visits(), max_size=8), st.randoms(use_true_random=False))
def test_what_follows_from_visits_does_not_depend_on_their_order(visits, chance):
    with tempfile.TemporaryDirectory() as directory:
        files = Files(directory)
        once = everything(files.of([Batch(visits=visits)]))
        chance.shuffle(visits)
        assert everything(files.of(Batch(visits=[visit]) for visit in visits)) == once


def test_files_are_merged_by_the_command(tmp_path, capsys):
    files = Files(str(tmp_path))
    one, two = (files.of(islice(rows.stream(seed), 4)) for seed in (1, 2))
    assert main(["merge", str(tmp_path / "out.db"), str(one), str(two)]) == 0
    assert capsys.readouterr().out.startswith(f"{one}: 1 crawls, ")
    assert everything(tmp_path / "out.db") == everything(files.merged(two, one))
    assert main(["merge", str(tmp_path / "out.db"), str(two), "--quiet"]) == 0
    assert everything(tmp_path / "out.db") == everything(files.merged(two, one))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{0}/out.db", "{0}/no.db"], "there is no file"),
        (["{0}/1.db", "{0}/1.db"], "is both what is read and what is written"),
        (["{0}/out.db", "nosql://here/there"], "nothing here reads nosql://"),
        (["{0}/no/out.db", "{0}/1.db"], "make it first"),
    ],
)
def test_what_cannot_be_merged_is_told_before_anything_is_written(tmp_path, capsys, arguments, told):
    Files(str(tmp_path)).of([])
    assert main(["merge", *(argument.format(tmp_path) for argument in arguments)]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out.db").exists()


def test_a_source_that_fails_on_the_way_is_told_of_and_what_was_read_stays(tmp_path, capsys, monkeypatch):
    files = Files(str(tmp_path))
    one = files.of(islice(rows.stream(1), 2))

    def visits(store, **_):
        yield rows.visit(1)
        raise SinkError(f"{store.path} is damaged")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "visits", visits)
        assert main(["merge", str(tmp_path / "out.db"), str(one)]) == 1
    assert "is damaged" in capsys.readouterr().err
    assert main(["merge", str(tmp_path / "out.db"), str(one), "--quiet"]) == 0
    assert everything(tmp_path / "out.db") == everything(one)


def test_a_merge_that_was_killed_leaves_a_file_that_tells_the_truth(tmp_path):
    """What follows from the order of visits is computed at a merge's end; until then, readers compute it themselves."""
    files = Files(str(tmp_path))
    out = files.new()
    visits = [rows.visit(1, number, outcome=outcome) for number, outcome in enumerate([Outcome.OK, Outcome.SILENT] * 4)]
    with SqliteStore.create_or_open(out) as store:
        store._defers = True
        for visit in reversed(visits):
            store.write(Batch(visits=[visit]))
        [node] = SqliteStore.open_reading(out).nodes()
        assert node.score == 0
        assert store.connection.execute("SELECT stale FROM node").fetchall() == [(1,)]
    with SqliteStore.create_or_open(out) as store:
        assert store.connection.execute("SELECT stale, score FROM node").fetchall() == [(0, 0)]
        assert store.connection.execute("SELECT count(*) FROM spells").fetchall() == [(8,)]


def test_a_path_is_a_source(tmp_path):
    one = Files(str(tmp_path)).of([Batch(visits=[rows.visit()])])
    source = open_source(str(one))
    assert list(source.visits()) == [rows.visit()]
    source.close()
