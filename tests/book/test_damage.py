"""A damaged book: whatever has become of its bytes, it is refused by an error that says what to do, or what is left of it works.

The damage is the same in each run. A node does with a book all that `live` does; where that raises anything but a BookError, a node would
end with a traceback.
"""

import contextlib
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from devp2p import Address, Node, NodeRecord
from devp2p.book import Book, BookError, DamagedBookError, Source, Standings
from devp2p.book.schema import APPLICATION_ID, MIGRATIONS
from devp2p.cli import main
from devp2p.node.persistence import StandingsKeeper
from devp2p.peers.bans import Ban, Bans
from devp2p.peers.candidates import Pool
from devp2p.peers.ratings import RatingRow, RatingRule, Ratings
from devp2p.peers.slots.values import Anchor
from devp2p.terminal.output import Exit
from tests.books import DAY, NOW, enode, signed
from tests.network import Network, running

RECORDS = [*(enode(number) for number in range(40)), *(signed(number, 1, f"9.{number}.0.1") for number in range(40, 50))]
PAGE = 4096


def write(path: Path) -> None:
    """A small book with something in every table."""
    with Book.open(path) as book:
        with book.changes():
            for number, record in enumerate(RECORDS):
                book.heard(record, Source.V4, NOW)
                book.answered(record.id, NOW - number)
            book.failed(RECORDS[3].id, "unreachable", NOW)
        rows = [
            RatingRow(record.id, name, NOW, NOW, 1, 2.0, 3.0, 0.1 if name else None, 0.0, 0.0, 0.0, 0.0, 1.0, observed=True)
            for record in RECORDS[:20]
            for name in ("", "eth")
        ]
        bans = [Ban(record.id, NOW, NOW + DAY, "garbage") for record in RECORDS[20:25]]
        anchors = [Anchor("eth", number, record.id, record.enode, NOW) for number, record in enumerate(RECORDS[:2])]
        book.standings = Standings(tuple(rows), tuple(bans), tuple(anchors))
        book.sequence = 7
        book.set_dns_sequence("enrtree://A@example.org", 3)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    path: Path = tmp_path_factory.mktemp("sound") / "book"
    write(path)
    return path.read_bytes()


def live(path: Path) -> None:
    """All that a node does with a book, each for itself: one that fails does not keep it from the others."""
    with Book.open(path) as book:
        works(book)
    with Book.open(path) as book:
        works(book)


def works(book: Book) -> None:
    ratings = Ratings([RatingRule("eth")])
    memory = StandingsKeeper(book, ratings, Bans(), Pool())
    memory.load(lambda *_: None, 5.0)
    one = RECORDS[1]

    def sequence() -> None:
        book.sequence = max(book.sequence, 8)

    def known() -> list[object]:
        return [book.get(record.id) for record in RECORDS]

    steps: list[Callable[[], object]] = [
        *(sequence, known, book.dns_sequences, lambda: len(book)),
        lambda: [node.enode for node in book.seeds(now=NOW, random=lambda: 0.3)],
        lambda: [book.heard(record, Source.V5, NOW + 1) for record in RECORDS],
        *(lambda: book.dialled(one.id, NOW), lambda: book.failed(one.id, "refused", NOW), lambda: book.connected(one.id, NOW)),
        *(lambda: book.answered(one.id, NOW), lambda: book.forget_older(NOW)),
        lambda: book.set_dns_sequence("enrtree://A@example.org", 4),
    ]
    for step in steps:
        try:
            step()
        except BookError as error:
            require_advice(error, book._database.path)
    ratings.proved(one.id, ["eth"], 6.0)
    memory.save({}, 6.0)


def require_advice(error: BookError, path: str) -> None:
    assert path in str(error)
    assert "\n" not in str(error)
    assert isinstance(error, DamagedBookError), error
    assert "Move it away" in str(error)


def damages(data: bytes, step: int) -> Iterator[tuple[str, bytes]]:
    """Bytes that are flipped, zeroed, set, and cut off, at every so many offsets, and more often in the header and those of pages."""
    heads = [page + offset for page in range(0, len(data), PAGE) for offset in range(0, 24, max(1, step // 40))]
    for place in sorted({*range(0, 100, max(1, step // 400)), *heads, *range(0, len(data), step)}):
        for how, byte in (("flipped", data[place] ^ 0xFF), ("one bit", data[place] ^ 0x10), ("zeroed", 0)):
            if byte != data[place]:
                yield f"{how} at {place}", data[:place] + bytes([byte]) + data[place + 1 :]
        if place % PAGE == 0 or step < 100:
            yield f"16 set at {place}", data[:place] + b"\xff" * 16 + data[place + 16 :]
            yield f"cut off at {place}", data[:place]


HEADER_OF_OTHERS = {*range(60, 64), *range(68, 72)}
"""Where one cannot tell damage from another program's file, or one of a newer version."""


def suffer(sound: bytes, folder: Path, step: int, caplog: pytest.LogCaptureFixture) -> dict[str, int]:
    outcomes = {"refused": 0, "works": 0}
    caplog.set_level(logging.CRITICAL)
    path = folder / "book"
    for what, data in damages(sound, step):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path.write_bytes(data)
        try:
            live(path)
            outcomes["works"] += 1
        except BookError as error:
            place = int(what.rpartition(" ")[2])
            elsewhere = HEADER_OF_OTHERS.isdisjoint(range(place, place + (16 if what.startswith("16") else 1)))
            if str(path) not in str(error) or (elsewhere and not isinstance(error, DamagedBookError)):
                raise AssertionError(f"{what}: {error}") from error
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    return outcomes


def test_whatever_is_damaged_the_book_is_refused_or_works(sound, tmp_path, caplog):
    outcomes = suffer(sound, tmp_path / "books", 4001, caplog)
    assert outcomes["refused"] > 20
    assert outcomes["works"] > 20


@pytest.mark.long
def test_whatever_is_damaged_the_book_is_refused_or_works_for_many_places(sound, tmp_path, caplog):
    outcomes = suffer(sound, tmp_path / "books", 11, caplog)
    assert sum(outcomes.values()) > 10_000


# Files that are not ours to change

FOREIGN = {
    "another program's": ["CREATE TABLE songs (name TEXT)"],
    "another program's, which says so": ["PRAGMA application_id = 77", "CREATE TABLE songs (name TEXT)"],
    "of a newer version": [
        *(line for step in MIGRATIONS for line in step),
        f"PRAGMA application_id = {APPLICATION_ID}",
        "PRAGMA user_version = 99",
    ],
}

LEAVE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = " + sys.argv[2])
for statement in sys.argv[3:]:
    connection.execute(statement)
connection.execute("PRAGMA wal_checkpoint(FULL)")
connection.execute("CREATE TABLE more (name TEXT)")
os._exit(0)
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("whose", FOREIGN)
def test_a_file_that_is_not_ours_is_refused_without_a_change_to_it_or_beside_it(tmp_path, whose, mode):
    """Also where its program was killed, and has left a log, which SQLite would take in at the first look."""
    path = tmp_path / "theirs"
    subprocess.run([sys.executable, "-c", LEAVE, path, mode, *FOREIGN[whose]], check=True)
    path.chmod(0o644)
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_mode) for file in tmp_path.iterdir()}
    assert len(before) == (1 if mode == "delete" else 3)
    for on_corrupt in ("refuse", "move-aside"):
        with pytest.raises(BookError, match=r"theirs (is the database of another program|was written by a newer version)"):
            Book.open(path, on_corrupt=on_corrupt)
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_mode) for file in tmp_path.iterdir()} == before


def test_a_look_at_a_file_takes_no_locks_away_that_others_in_this_process_have_on_it(tmp_path):
    path = tmp_path / "theirs"
    with closing(sqlite3.connect(path, isolation_level=None)) as theirs:
        theirs.execute("CREATE TABLE songs (name TEXT)")
        theirs.execute("BEGIN IMMEDIATE")
        with pytest.raises(BookError, match="another program"):
            Book.open(path)
        ask = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute('BEGIN IMMEDIATE')"
        other = subprocess.run([sys.executable, "-c", ask, path], capture_output=True, text=True, check=False)
        assert "database is locked" in other.stderr


def test_a_damaged_row_is_forgotten_and_said_and_the_others_remain(tmp_path, caplog):
    path = tmp_path / "book"
    write(path)
    text = str(RECORDS[7].addresses[0]).encode()
    path.write_bytes(path.read_bytes().replace(text, text[:-1] + b"\xff"))
    with Book.open(path) as book:
        assert len(book.seeds(100, now=NOW, random=lambda: 0.0)) == len(RECORDS) - 1
        assert len(book) == len(RECORDS) - 1
    assert "the node " + bytes(RECORDS[7].id).hex()[:16] + " was damaged, and is forgotten" in caplog.text


# While a node runs


@asynccontextmanager
async def node_with(book: Book | Path) -> AsyncIterator[Node]:
    async with running(Network(), book=book, candidates=nobody()) as node:
        yield node


async def nobody() -> AsyncIterator[NodeRecord]:
    await trio.sleep_forever()
    yield RECORDS[0]


def said(caplog: pytest.LogCaptureFixture, what: str) -> int:
    return sum(what in record.getMessage() for record in caplog.records)


async def dials(node: Node, count: int) -> None:
    """So many dials fail, each of which the book is told of, in two minutes."""
    for number in range(count):
        node.policy.candidates.pool.offer(
            NodeRecord(RECORDS[number].public_key, (Address("memory", f"nobody{number}", None),)), "v4", ("chat",)
        )
    node.policy.ratings.proved(bytes(RECORDS[0].id), ["chat"], trio.current_time())
    await trio.sleep(125)


def leaves_no_page_free(book: Book, _: Path) -> Callable[[], object]:
    book._database.run("PRAGMA max_page_count = 1")  # which is raised to what it has
    return lambda: book._database.run("PRAGMA max_page_count = 100000")


def makes_it_read_only(book: Book, _: Path) -> Callable[[], object]:
    book._database.run("PRAGMA query_only = ON")
    return lambda: book._database.run("PRAGMA query_only = OFF")


def moves_it(_: Book, path: Path) -> Callable[[], object]:
    path.rename(path.with_name("elsewhere"))
    return lambda: path.with_name("elsewhere").rename(path)


@pytest.mark.parametrize("harm", [leaves_no_page_free, makes_it_read_only, moves_it])
async def test_a_book_that_fails_while_a_node_runs_is_said_once_and_used_again_when_it_works(tmp_path, harm, caplog):
    path = tmp_path / "book"
    write(path)
    with Book.open(path) as book:
        async with node_with(book) as node:
            mend = harm(book, path)
            for number in range(200):
                node.policy.ratings.proved(number.to_bytes(32, "big"), ["chat"], trio.current_time())
            await dials(node, 10)
            assert said(caplog, "the book fails, and the node goes on without: what is known of peers: ") == 1
            assert said(caplog, "the book fails, and the node goes on without: what becomes of dials") <= 1
            assert str(path) in caplog.text
            mend()
            await trio.sleep(125)
            assert said(caplog, "the book works again: what is known of peers") == 1
            assert RECORDS[0].id in {row.id for row in book.standings.ratings}


async def test_pages_that_are_damaged_while_a_node_runs_do_not_end_it(tmp_path, caplog):
    path = tmp_path / "book"
    write(path)
    with Book.open(path) as book:
        async with node_with(book) as node:
            book._database.run("PRAGMA shrink_memory")
            with path.open("r+b") as file:
                file.seek(PAGE)
                file.write(b"\xa5" * (path.stat().st_size - PAGE))
            await dials(node, 10)
            assert node.statistics.place_dial_failures >= 10
            assert 1 <= said(caplog, "the book fails") <= 4
            assert "is damaged" in caplog.text


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can make a file system")
async def test_a_full_disk_does_not_end_a_node_and_what_it_could_not_write_is_written_when_there_is_room(disk, caplog):
    path = disk / "book"
    write(path)
    with Book.open(path) as book:
        async with node_with(book) as node:
            with contextlib.suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            for number in range(200):
                node.policy.ratings.proved(number.to_bytes(32, "big"), ["chat"], trio.current_time())
            await dials(node, 10)
            assert said(caplog, "the book fails, and the node goes on without: what is known of peers") == 1
            assert "disk is full" in caplog.text or "disk I/O error" in caplog.text
            (disk / "full").unlink()
            await trio.sleep(125)
            assert said(caplog, "the book works again: what is known of peers") == 1
    with Book.open(path) as book:
        assert len({row.id for row in book.standings.ratings}) >= 200


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can make a file system")
def test_a_book_that_cannot_be_written_is_refused_with_the_reason(disk):
    path = disk / "book"
    write(path)
    before = path.read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(BookError, match=r"book cannot be written \(read-only file, directory or file system\): a book needs a file and"):
        Book.open(path)
    with pytest.raises(BookError, match=r"cannot make the book .*: Read-only file system"):
        Book.open(disk / "another")
    assert path.read_bytes() == before


async def test_two_nodes_cannot_have_one_book(tmp_path):
    path = tmp_path / "book"
    with Book.open(path) as book:
        async with node_with(book):
            with pytest.raises(BookError, match="another node of this program has the book"):
                async with node_with(book):
                    raise AssertionError
            with pytest.raises(BookError, match="is in use"):
                async with node_with(path):
                    raise AssertionError
        async with node_with(book):  # one after the other they can
            pass
    with pytest.raises(BookError, match=r"is closed; it has to be open"):
        async with node_with(book):
            raise AssertionError


async def test_nodes_of_long_ago_are_forgotten_at_the_start_and_later_and_those_of_the_future_become_older(tmp_path, monkeypatch):
    path = tmp_path / "book"
    wall = [NOW + 20 * DAY]
    monkeypatch.setattr("devp2p.node.persistence.time.time", lambda: wall[0])
    with Book.open(path) as book, book.changes():
        for number, heard in enumerate((-400 * DAY, 0.0, 400 * DAY, 10 * DAY)):
            book.heard(enode(number), Source.V4, NOW + heard)
    with Book.open(path) as book:
        async with node_with(book):
            assert [number for number in range(4) if book.get(enode(number).id)] == [1, 2, 3]
            wall[0] += 15 * DAY
            await trio.sleep(7 * 3600)
            assert [number for number in range(4) if book.get(enode(number).id)] == [2, 3]


@pytest.mark.parametrize("wall", [1000.0, NOW + 400 * DAY])
async def test_a_clock_that_cannot_be_right_makes_nobody_forgotten(tmp_path, monkeypatch, wall):
    path = tmp_path / "book"
    write(path)
    monkeypatch.setattr("devp2p.node.persistence.time.time", lambda: wall)
    with Book.open(path) as book:
        async with node_with(book):
            await trio.sleep(7 * 3600)
        entry = book.get(RECORDS[1].id)
        assert entry is not None
        assert entry.last_seen == NOW - 1


def test_the_command_says_in_one_line_what_is_wrong_with_a_book(tmp_path, capsys):
    path = tmp_path / "book"
    path.write_bytes(b"junk")
    assert main(["node", "--capability", "tests.chat:Chat", "--listen", "127.0.0.1:0", "--book", str(path)]) == Exit.FAILED
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"devp2p: {path} is damaged (file is not a database). Move it away")
    assert err.count("\n") == 1
