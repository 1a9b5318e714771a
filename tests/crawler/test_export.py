"""`devp2p-crawl filter` and `export`: what users type, what they get, and that no file is ever half written."""

import json
import re
import resource
import sqlite3
import sys
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import dns.rdatatype
import dns.zone
import pyarrow.parquet
import pytest
from devp2p_crawler.cli import export
from devp2p_crawler.cli import filter as filter_
from devp2p_crawler.exports import conditions, last_sequence, node_set_lines, read_node_set
from devp2p_crawler.model import Kind, Outcome, Said
from devp2p_crawler.stores import SqliteStore
from dns.rdtypes.ANY.TXT import TXT

from devp2p.cli import main as devp2p
from devp2p.terminal import Program, run_program
from tests.crawler.known_nodes import CLIENTS, START, crawled, known

PROGRAM = Program("devp2p-crawl", "0", "", "", {"filter": filter_, "export": export})
HOSTILE = '=HYPERLINK("http://evil.example")\r\n\x1b[31m<script>'
NODES = sorted(
    [
        *(known(number) for number in range(12)),
        replace(known(20), record=None, outcomes={Kind.V4: Outcome.OK}),
        replace(known(21), outcomes={Kind.V4: Outcome.SILENT}),
        replace(known(22), said=Said(client=HOSTILE, capabilities=("=1/1",))),
    ],
    key=lambda node: node.node,
)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return crawled(tmp_path_factory.mktemp("crawl") / "crawl.db", NODES)


@pytest.fixture
def run(capsysbinary):
    def run(*argv, status=0):
        ended: object = None
        try:
            ended = run_program(PROGRAM, [str(word) for word in argv])
        except SystemExit as left:
            ended = left.code
        out, err = capsysbinary.readouterr()
        assert ended == status, err
        assert b"Traceback" not in err
        return out, err.decode()

    return run


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "tree.key"
    path.write_text("07" * 32)
    path.chmod(0o600)
    return path


def ids(data):
    return [*json.loads(data)]


def test_a_nodes_json_has_those_who_answer_and_says_who_is_left_out(run, database, tmp_path):
    out, _ = run("export", "--db", database, "--format", "nodes.json", tmp_path / "nodes.json")
    assert b"left out  1 without a record, 1 not answering by UDP (--all takes them)" in out
    nodes = list(read_node_set(tmp_path / "nodes.json"))
    assert [node.node for node in nodes] == [node.node for node in NODES if node.record and node.outcomes[Kind.V4] is Outcome.OK]
    assert {(node.score, node.first_ok) for node in nodes} == {(4, START + 10**6)}
    data, err = run("export", "--db", database, "--format", "nodes.json", "--all", "-")
    assert ids(data) == [node.node.hex() for node in NODES]
    assert err == "devp2p-crawl: nodes 15\n"


def test_filter_prints_what_go_ethereum_would(run, database, tmp_path):
    path = tmp_path / "nodes.json"
    run("export", "--db", database, "--format", "nodes.json", path)
    for word in ("-ip", "--ip"):
        data, _ = run("filter", path, word, "8.0.4.0/22")
        assert ids(data) == [node.node.hex() for node in NODES if node.ip[2] in range(4, 8)]
    data, _ = run("filter", path)
    assert data == path.read_bytes()
    assert len(ids(run("filter", path, "-limit", "3", "--min-age", "480h", "-dialable")[0])) == 3
    assert run("filter", path, "-snap")[0] == run("filter", path, "-limit", "0")[0] == b"{}"


def test_filters_go_together_and_twice(run, database):
    data, _ = run("filter", database, "--client", "geth", "--version", ">=1.13,<1.14", "--caps", "eth/69,snap")
    wanted = [node.node.hex() for node in NODES if node.said and node.said.client == CLIENTS[1]]
    assert ids(data) == wanted
    assert ids(run("filter", database, "-ip", "8.0.0.0/16", "-ip", "9.0.0.0/8")[0]) == []
    assert len(ids(run("filter", database, "--min-uptime", "20d", "--proto", "rlpx", "--max-rtt", "40ms", "--seen-by", "1")[0])) == 13
    assert ids(run("filter", database, "--min-uptime", "21d")[0]) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--limt", "3"], "did you mean --limit?"),
        (["-min-agee", "3h"], "did you mean --min-age?"),
        (["-zzz"], "there are --all, --asn|there are --asn"),
        (["extra"], "'extra' is too much"),
        (["-ip", "x"], "such as 10.0.0.0/8"),
        (["-min-age", "5"], "such as 24h"),
        (["-eth-network", "ropsten"], "there are mainnet, sepolia"),
        (["-limit", "-1"], "a whole number from 0 up"),
        (["--version", "new"], "such as 1.14"),
        (["--min-uptime", "long"], "such as 24h"),
        (["--ip"], "expected one argument"),
    ],
)
def test_what_is_wrong_is_refused_with_what_to_write(run, database, words, told):
    _, err = run("filter", database, *words, status=2)
    assert any(part in err for part in told.split("|")), err
    _, err = run("export", "--db", database, "--format", "csv", "-", *words, status=2)
    assert any(part in err for part in told.split("|")), err


def test_files_that_are_not_what_they_should_be_are_refused(run, tmp_path):
    (tmp_path / "other.json").write_text("[1]")
    (tmp_path / "other.db").write_bytes(b"SQLite format 3\0" + bytes(100))
    for name, told, status in [
        ("none", "there is no file", 2),
        ("other.json", "is no nodes.json", 2),
        ("other.db", "is damaged or no database of a crawl", 1),
        (".", "cannot read", 2),
    ]:
        assert told in run("filter", tmp_path / name, status=status)[1]
        written, problem = run("export", "--db", tmp_path / name, "--format", "csv", "-", status=status)
        assert told in problem
        assert not written, "not even a header"


def test_a_nodes_json_has_no_uptime_and_is_no_database(run, tmp_path):
    path = tmp_path / "nodes.json"
    path.write_text("".join(node_set_lines(NODES)))
    assert "--min-uptime needs the database" in run("filter", path, "--min-uptime", "1h", status=2)[1]
    assert "is no database" in run("export", "--db", path, "--format", "sqlite", tmp_path / "x", status=2)[1]
    assert len(ids(run("filter", path, "--where", "first_ok > 0")[0])) == len(NODES)


# ---------------------------------------------------------------------------------------------------------------------------- --where


def test_a_condition_reads_nodes_and_the_tables_of_the_crawl(run, database):
    wanted = [node.node.hex() for node in NODES if node.said and (node.said.client or "").startswith("Geth/")]
    assert ids(run("filter", database, "--where", "client LIKE 'Geth/%' -- a comment")[0]) == wanted
    assert len(ids(run("filter", database, "--where", "node IN (SELECT lower(hex(id)) FROM node WHERE score = 0)")[0])) == 1
    most = "score >= (SELECT max(score) FROM nodes) AND EXISTS (SELECT 1 FROM json_each(capabilities) WHERE value = 'eth/69')"
    assert len(ids(run("filter", database, "--where", most, "--where", "rtt_us = 40000", "-limit", "5")[0])) == 5
    assert len(ids(run("filter", database, "--where", "first_seen > 0 AND ip GLOB '8.*'", "--client", "geth")[0])) == len(wanted)


@pytest.mark.parametrize(
    "condition",
    [
        "1); DELETE FROM node; --",
        "1; DELETE FROM node",
        "1) UNION SELECT load_extension('x') --",
        "load_extension('x.so')",
        "(SELECT 1 FROM pragma_database_list)",
        "fts3_tokenizer('x')",
        "ATTACH 'x' AS y",
        "writefile('/tmp/x', 'y')",
        "length(zeroblob(900000000)) > 0",
        "nosuch = 1",
        "'unfinished",
        "(",
        "",
        "1\x00",
        "raise(abort, 'x')",
    ],
)
def test_a_condition_can_do_nothing_but_read(run, database, condition):
    before = database.read_bytes()
    _, err = run("filter", database, "--where", condition, status=2)
    assert "devp2p-crawl: --where" in err
    assert "what would stand behind WHERE" in err or "the columns are" in err
    assert database.read_bytes() == before


def test_a_condition_cannot_run_for_ever(run, database, monkeypatch):
    monkeypatch.setattr(conditions, "PATIENCE", 0.2)
    forever = "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c) > 0"
    assert "it takes more than 0.2 s" in run("filter", database, "--where", forever, status=2)[1]


# ---------------------------------------------------------------------------------------------------------------------- files and tables


def test_tables_are_written_to_files_and_to_stdout(run, database, tmp_path):
    for form in ("csv", "ndjson", "parquet"):
        path = tmp_path / f"out.{form}"
        run("export", "--db", database, "--format", form, path)
        data, err = run("export", "--db", database, "--format", form, "-")
        assert data == path.read_bytes()
        assert err == "devp2p-crawl: nodes 15\n"
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").num_rows == 15
    assert HOSTILE in [json.loads(line)["client"] for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    assert b"\x1b" not in (tmp_path / "out.csv").read_bytes()
    assert b",=HYPERLINK" not in (tmp_path / "out.csv").read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["out.csv", "out.ndjson", "out.parquet"]


@pytest.mark.parametrize("form", ["nodes.json", "enrtree", "zone", "sqlite"])
def test_privacy_is_refused_where_it_would_be_a_lie(run, database, tmp_path, form):
    _, err = run("export", "--db", database, "--format", form, "--privacy", tmp_path / "out", status=2)
    assert f"--privacy cannot be had with {form}" in err
    assert "use it with csv, parquet or ndjson" in err
    assert not (tmp_path / "out").exists()


def test_private_tables_name_no_host(run, database):
    data, _ = run("export", "--db", database, "--format", "csv", "--privacy", "-")
    assert b"enr:" not in data
    assert b"8.0.5.0" in data
    assert b"8.0.5.9" not in data


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--size", "5"], "--size is for the formats enrtree and zone; others have filters, such as -limit"),
        (["--per-asn", "5"], "--per-asn is for the formats"),
        (["--no-age"], "--no-age is for the formats"),
        (["--all"], "--all is for the format nodes.json"),
        (["--nameserver", "a b"], "the name of a host|a host name alone is wanted"),
    ],
)
def test_options_that_would_do_nothing_are_refused(run, database, words, told):
    _, err = run("export", "--db", database, "--format", "csv", *words, "-", status=2)
    assert any(part in err for part in told.split("|")), err


@contextmanager
def small_files(size):
    """No file can grow beyond a size, as on a disk that is full. (Python ignores the signal that comes with it.)"""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("form", ["nodes.json", "csv", "ndjson", "parquet", "sqlite", "enrtree", "zone"])
def test_a_file_that_cannot_be_finished_leaves_the_old_one(run, database, tmp_path, key, form):
    out = tmp_path / "out"
    out.write_text("old")
    with SqliteStore.create_or_open(database), small_files(2000):  # it is open, so that reading it needs no new file
        signing = ["--key", key] if form in {"enrtree", "zone"} else []
        _, err = run("export", "--db", database, "--format", form, *signing, out, status=1)
    assert f"cannot write {out}: " in err
    assert "the old file is as it was" in err
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tree.key"]


def test_a_directory_that_cannot_be_finished_keeps_both_its_files(run, database, tmp_path, key):
    argv = ["export", "--db", database, "--format", "enrtree", "--key", key, "--domain", "x.org", f"{tmp_path / 'list'}/"]
    run(*argv)
    before = {path.name: path.read_bytes() for path in (tmp_path / "list").iterdir()}
    with SqliteStore.create_or_open(database), small_files(2000):
        assert "cannot write" in run(*argv, status=1)[1]
    assert {path.name: path.read_bytes() for path in (tmp_path / "list").iterdir()} == before


def test_a_link_stays_a_link_and_a_device_a_device(run, database, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    run("export", "--db", database, "--format", "csv", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").stat().st_size > 1000
    run("export", "--db", database, "--format", "csv", "/dev/null")
    assert Path("/dev/null").is_char_device()
    assert "no space left on device" in run("export", "--db", database, "--format", "csv", "/dev/full", status=1)[1]
    assert "cannot write" in run("export", "--db", database, "--format", "csv", tmp_path / "none" / "x", status=1)[1]


def test_a_stdout_that_takes_nothing_is_told(run, database, monkeypatch):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        _, err = run("export", "--db", database, "--format", "csv", "-", status=1)
    assert err == "devp2p-crawl: cannot write to stdout: no space left on device\n"


def test_a_copy_is_of_one_moment_while_a_crawl_writes(run, tmp_path):
    database = crawled(tmp_path / "crawl.db", NODES)
    with SqliteStore.create_or_open(database) as store:
        run("export", "--db", database, "--format", "sqlite", tmp_path / "copy.db")
        with closing(sqlite3.connect(database)) as other:
            other.execute("BEGIN IMMEDIATE")
            run("export", "--db", database, "--format", "sqlite", tmp_path / "copy.db")
        assert [*store.nodes()]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("copy")) == ["copy.db"]
    with SqliteStore.open_reading(tmp_path / "copy.db") as copy, SqliteStore.open_reading(database) as store:
        assert [*copy.nodes()] == [*store.nodes()]
        assert [*copy.visits()] == [*store.visits()]
    assert "no filter applies" in run("export", "--db", database, "--format", "sqlite", "-snap", tmp_path / "copy.db", status=2)[1]
    assert "cannot be written to stdout" in run("export", "--db", database, "--format", "sqlite", "-", status=2)[1]


# --------------------------------------------------------------------------------------------------------------------------- DNS lists


def test_a_list_is_signed_and_its_seed_told(run, database, tmp_path, key):
    argv = ["export", "--db", database, "--format", "enrtree", "--key", key, "--domain", "nodes.example.org"]
    out, _ = run(*argv, tmp_path / "list.json")
    told = dict(re.split(r"  +", line, maxsplit=1) for line in out.decode().splitlines())
    assert told["nodes"] == "13 of 15"
    assert told["left out"] == "unsigned 1 (they have no record), dialable 1 (--no-dialable)"
    assert told["sequence"] == "1"
    texts = json.loads((tmp_path / "list.json").read_text())
    assert next(iter(texts)) == "nodes.example.org"
    assert sum(text.startswith("enr:") for text in texts.values()) == 13
    again, _ = run(*argv, "--seed", "x", "--size", "4", "-")
    assert again == run(*argv, "--seed", "x", "--size", "4", "-")[0]
    assert again != run(*argv, "--seed", "y", "--size", "4", "-")[0]
    run(*argv, tmp_path / "list.json")
    assert last_sequence(tmp_path / "list.json") == 2


def test_a_list_of_nobody_says_which_rule_removed_how_many(run, tmp_path, key):
    database = crawled(tmp_path / "crawl.db", NODES, days=(0, 1))
    argv = ["export", "--db", database, "--format", "enrtree", "--key", key, "--domain", "x.org", tmp_path / "list"]
    _, err = run(*argv, status=1)
    assert "of 15 nodes these rules removed unsigned 1 (they have no record), dialable 1 (--no-dialable), age 13 (--no-age)" in err
    _, err = run(*argv, "--no-age", status=1)
    assert "handshakes 13 (--no-handshakes)" in err
    assert not (tmp_path / "list").exists()
    out, _ = run(*argv, "--list-age", "24h", "--list-handshakes", "2")
    assert b"13 of 15" in out
    assert "no node passed the filters" in run(*argv, "--client", "nobody", status=1)[1]


def test_without_a_key_one_is_made_once(run, database, tmp_path):
    out = tmp_path / "nodes.example.org"
    _, err = run("export", "--db", database, "--format", "enrtree", out)
    assert f"a new one is kept in {out}.key" in err
    assert (tmp_path / "nodes.example.org.key").stat().st_mode & 0o777 == 0o600
    assert next(iter(json.loads(out.read_text()))) == "nodes.example.org"
    _, err = run("export", "--db", database, "--format", "enrtree", out)
    assert err == ""
    assert "add --domain" in run("export", "--db", database, "--format", "enrtree", "-", status=2)[1]
    assert "add --key FILE" in run("export", "--db", database, "--format", "enrtree", "--domain", "x.org", "-", status=2)[1]
    assert "is not a domain" in run("export", "--db", database, "--format", "zone", "--domain", "a b", "--seq", "1", out, status=2)[1]


def test_a_directory_has_what_our_own_command_publishes(run, database, tmp_path, key, capsysbinary):
    out = f"{tmp_path / 'list'}/"
    argv = ["export", "--db", database, "--format", "enrtree", "--key", key, "--domain", "nodes.example.org", "--seed", "x"]
    for _ in range(2):
        run(*argv, out)
    assert sorted(path.name for path in Path(out).iterdir()) == ["enrtree-info.json", "nodes.json"]
    assert devp2p(["dns", "to-txt", out]) == 0
    published = json.loads(capsysbinary.readouterr().out)
    assert published == json.loads(run(*argv, "--seq", "2", "-")[0])
    assert published["nodes.example.org"].split(" seq=")[1].startswith("2 ")


@pytest.mark.parametrize("nameservers", [[], ["ns1.example.org", "ns2.example.org."]])
def test_a_zone_file_is_what_a_dns_library_reads(run, database, key, nameservers):
    words = [word for name in nameservers for word in ("--nameserver", name)]
    argv = ["--db", database, "--key", key, "--domain", "nodes.example.org", "--seed", "x", "--seq", "7"]
    text, _ = run("export", "--format", "zone", *words, *argv, "-")
    texts = json.loads(run("export", "--format", "enrtree", *argv, "-")[0])
    zone = dns.zone.from_text(text.decode(), check_origin=bool(nameservers))
    assert zone.origin is not None
    found = {}
    for name, ttl, data in zone.iterate_rdatas(dns.rdatatype.TXT):
        assert isinstance(data, TXT)
        assert all(len(part) <= 255 for part in data.strings)
        assert ttl == (1800 if name.to_text() == "@" else 28 * 86_400)
        found[name.derelativize(zone.origin).to_text().rstrip(".")] = b"".join(data.strings).decode()
    assert found == texts
    assert any(len(text) > 255 for text in texts.values())
    assert not nameservers or zone.get_soa().serial == 7
