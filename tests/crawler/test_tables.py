"""CSV, NDJSON and Parquet: what goes in comes out, and nothing that a stranger wrote is active in them."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow.parquet
import pytest
from devp2p_crawler.exports import (
    COLUMNS,
    Type,
    cell_of,
    list_cell_of,
    row_of,
    tables,
    text_of,
    texts_of,
    write_csv,
    write_ndjson,
    write_parquet,
)
from devp2p_crawler.filters import Described
from devp2p_crawler.model import Kind, Outcome, Said
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.crawler.known_nodes import START, known

HOSTILE = (
    '=HYPERLINK("http://evil.example","x")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", "''", "\uff1d1", "\uff0b",
    "<script>alert(1)</script>", "</script>", "a,b", 'a"b', "a;=1", "a\r\nb", "a\u2028b", "\x1b]0;owned\x07", "\x00", "\x9b31m",
    "\u202egnp.exe", "\\x41", "\\", "\\\\x41", "x" * 256, "Geth/v1.14.0", "", " ", "'", "日本", "\ufeff", "'; DROP TABLE node; --",
)  # fmt: skip
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=40)
FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
NODE = replace(known(2), country="DE", asn=2**32 - 1, vantages=frozenset({"b", "a"}), outcomes=dict.fromkeys(Kind, Outcome.OK))


def saying(client, capabilities=()):
    return replace(NODE, said=Said(client=client, capabilities=tuple(capabilities), network_id=2**64 - 1, fork_hash=b"abcd", fork_next=7))


def made(write, nodes, **options):
    file = io.BytesIO()
    assert write(nodes, file, **options) == len(nodes)
    assert not file.closed
    return file.getvalue()


def rows(data):
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


@settings(max_examples=60)
@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_a_text_comes_back_from_a_cell_of_which_nothing_is_active(text, texts):
    for cell, back in ((cell_of(text), text), (list_cell_of(texts), texts)):
        assert (text_of(cell) if isinstance(back, str) else texts_of(cell)) == back
        assert not FORMULA.match(cell)
        assert cell.isprintable()
        assert ";" not in cell


@settings(max_examples=5)
@given(st.characters(categories=["Cs"]))
def test_half_of_a_pair_does_not_break_a_table(half):
    node = saying(half, [half])
    assert rows(made(write_csv, [node]))[0]["client"].startswith("\\ud")
    assert json.loads(made(write_ndjson, [node]))["client"] == half
    assert pyarrow.parquet.read_table(io.BytesIO(made(write_parquet, [node])))["client"].to_pylist() == ["?"]


@settings(max_examples=20)
@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, max_size=3)), max_size=3))
def test_tables_give_back_what_strangers_wrote(said):
    nodes = [saying(client, capabilities) for client, capabilities in said]
    data = made(write_csv, nodes)
    assert data.count(b"\r\n") == data.count(b"\n") == data.count(b"\r") == len(nodes) + 1
    assert [(text_of(row["client"]), texts_of(row["capabilities"])) for row in rows(data)] == said
    data = made(write_ndjson, nodes)
    assert data.isascii()
    assert not set(data) & {*b"<>&", *range(0x0A), *range(0x0B, 0x20), 0x7F}
    objects = [json.loads(line) for line in data.split(b"\n")[:-1]]
    assert [(each["client"], each["capabilities"]) for each in objects] == said
    table = pyarrow.parquet.read_table(io.BytesIO(made(write_parquet, nodes)))
    assert list(zip(table["client"].to_pylist(), table["capabilities"].to_pylist(), strict=True)) == said


def test_all_tables_say_the_same():
    node = saying("Geth/v1.14.0", ["eth/69"])
    (in_csv,) = rows(made(write_csv, [node]))
    in_json = json.loads(made(write_ndjson, [node]))
    table = pyarrow.parquet.read_table(io.BytesIO(made(write_parquet, [node])))
    assert table.column_names == list(in_csv) == list(in_json) == [column.name for column in COLUMNS]
    for column, value in zip(COLUMNS, row_of(Described(node)), strict=True):
        (in_parquet,) = table[column.name].to_pylist()
        if column.type is Type.TIME and isinstance(value, int):
            assert in_parquet == datetime.fromtimestamp(0, UTC) + timedelta(microseconds=value)
            assert datetime.fromisoformat(in_csv[column.name]) == datetime.fromisoformat(in_json[column.name]) == in_parquet
        else:
            assert in_parquet == in_json[column.name] == value
            assert in_csv[column.name] == ("" if value is None else " ".join(value) if isinstance(value, list) else str(value))
    assert in_csv["first_seen"] == "2026-09-21T14:13:20Z"
    assert in_json["network_id"] == 2**64 - 1
    assert in_json["vantages"] == ["a", "b"]


def test_a_node_of_which_nothing_is_known_is_a_row_too():
    bare = replace(
        NODE, record=None, said=None, said_at=None, first_ok=None, last_ok=None, last_visit=None, ip=b"", outcomes={}, rtt=None, asn=None
    )
    for write in (write_csv, write_ndjson, write_parquet):
        assert made(write, [bare])
    assert rows(made(write_csv, [bare]))[0]["record"] == ""
    assert rows(made(write_csv, [])) == []


@pytest.mark.parametrize(
    ("ip", "cut"),
    [
        (bytes([8, 8, 4, 4]), "8.8.4.0"),
        (bytes.fromhex("2a01000712345678" + "9a" * 8), "2a01:7:1234::"),
        (b"\0" * 10 + b"\xff\xff" + bytes([8, 8, 4, 4]), "8.8.4.0"),
    ],
)
@pytest.mark.parametrize("write", [write_csv, write_ndjson, write_parquet])
def test_private_tables_have_no_address(write, ip, cut):
    data = made(write, [replace(NODE, ip=ip)], private=True)
    if write is write_csv:
        row = rows(data)[0]
    else:
        row = json.loads(data) if write is write_ndjson else pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()[0]
    assert row["ip"] == cut
    assert not row["record"]
    assert row["record_sequence"] in {1, "1"}


def test_parquet_is_written_in_groups_of_rows(monkeypatch):
    monkeypatch.setattr(tables, "_ROWS", 10)
    monkeypatch.setattr(tables, "_BATCHES", 10)
    nodes = [replace(NODE, first_seen=START + number) for number in range(201)]
    file = pyarrow.parquet.ParquetFile(io.BytesIO(made(write_parquet, nodes)))
    assert file.metadata.num_row_groups == 3
    assert file.metadata.num_rows == 201
