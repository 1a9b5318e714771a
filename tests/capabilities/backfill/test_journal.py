"""The file of a backfill: what is in it stays, whatever happens, and it is of one order."""

import sqlite3
from dataclasses import replace

import pytest

from devp2p import rlp
from devp2p.capabilities.backfill import Filled, Journal, JournalError, Order, Progress
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT
from tests.capabilities.backfill.chain import headers

CHAIN = headers(10)
ORDER = Order(2, 9, CHAIN[9].hash, bodies=True, receipts=True)


def test_it_goes_on_where_it_was_closed(tmp_path):
    path = tmp_path / "blocks.fetch"
    assert Journal.order_of(path) is None
    with Journal.open(path, ORDER) as journal:
        assert journal.edge == (9, CHAIN[9].hash)
        journal.add_headers(CHAIN[:4:-1])
        journal.add("body", [(8, b"\xc1\x08")])
        assert journal.progress == Progress(8, 5, 1, 0)
    assert Journal.order_of(path) == ORDER
    with Journal.open(path, ORDER) as journal:
        assert journal.progress == Progress(8, 5, 1, 0)
        assert journal.edge == (4, CHAIN[4].hash)
        assert journal.lacking("body", 10, 2) == ([CHAIN[9], CHAIN[7]], 7)
        assert journal.lacking("body", 7, 9) == ([CHAIN[6], CHAIN[5]], 5)
        journal.add("receipts", [(5, rlp.encode_list(b"\xc0\xc1\x05"))])
        assert next(journal.blocks()) == Filled(CHAIN[5].raw, None, (b"\xc0", b"\xc1\x05"))
        journal.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_header_says_to_be_empty_is_known(tmp_path):
    empty = replace(CHAIN[9], transactions_root=EMPTY_ROOT, receipts_root=EMPTY_ROOT)
    later = replace(empty, base_fee=7, withdrawals_root=EMPTY_ROOT)
    for header, body in ((empty, b"\xc2\xc0\xc0"), (later, b"\xc3\xc0\xc0\xc0")):
        with Journal.open(tmp_path / header.hash.hex(), replace(ORDER, anchor=header.hash)) as journal:
            journal.add_headers([header])
            assert journal.progress == Progress(8, 1, 1, 1)
            assert list(journal.blocks()) == [Filled(header.raw, body, ())]


def test_the_file_of_another_order_is_left_alone(tmp_path):
    path = tmp_path / "blocks.fetch"
    Journal.open(path, ORDER).close()
    with pytest.raises(JournalError, match=r"is of another fetch \(headers, bodies, receipts of the blocks 2 to 9, which is 0x"):
        Journal.open(path, replace(ORDER, first=3))
    assert Journal.order_of(path) == ORDER


def test_a_file_that_is_no_journal_is_left_alone(tmp_path):
    other, text = tmp_path / "other.db", tmp_path / "text"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE precious (x)")
    connection.close()
    before = other.read_bytes()
    text.write_text("no database, but a longer text" * 100)
    with pytest.raises(JournalError, match="is no journal of a fetch"):
        Journal.open(other, ORDER)
    assert other.read_bytes() == before
    with pytest.raises(JournalError, match=r"is no journal of a fetch \(file is not a database\)"):
        Journal.open(text, ORDER)
    assert text.read_text().startswith("no database")


def test_two_processes_do_not_write_one(tmp_path):
    path = tmp_path / "blocks.fetch"
    with Journal.open(path, ORDER), pytest.raises(JournalError, match="is in use by another process"):
        Journal.open(path, ORDER)


def test_a_full_disk_is_told_and_loses_nothing(tmp_path):
    with Journal.open(tmp_path / "blocks.fetch", ORDER) as journal:
        journal.add_headers(CHAIN[:7:-1])
        (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalError, match="database or disk is full"):
            journal.add("body", [(9, bytes(100_000))])
        assert journal.progress == Progress(8, 2, 0, 0)
        journal._connection.execute("PRAGMA max_page_count = 1000")
        journal.add("body", [(9, bytes(100_000))])


@pytest.mark.parametrize("change", ["DELETE FROM about", "UPDATE about SET about = '{}'", "UPDATE about SET about = '7'"])
def test_one_that_does_not_say_what_it_is_of_is_damaged(tmp_path, change):
    path = tmp_path / "blocks.fetch"
    Journal.open(path, ORDER).close()
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(JournalError, match=r"is damaged .*: remove it"):
        Journal.order_of(path)


@pytest.mark.parametrize("wrong", [{"first": 10}, {"first": -1}, {"last": 2**63}, {"anchor": b"short"}, {"genesis": b"short"}])
def test_an_order_is_of_blocks_that_there_can_be(wrong):
    with pytest.raises(ValueError, match="of an Order"):
        replace(ORDER, **wrong)
