"""The file of a book: what survives a kill, who may read it, what happens to one that is damaged, foreign, in use, old or too new."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from devp2p.book import Book, BookError, DamagedBookError, Source
from devp2p.book.database import MEMORY, Database, move_aside
from devp2p.book.schema import APPLICATION_ID, MIGRATIONS
from devp2p.errors import LocalProtocolError
from tests.books import NOW, enode, signed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book"


def write(path: Path, count: int = 300) -> None:
    """A book of many pages."""
    with Book.open(path) as book, book.changes():
        for number in range(count):
            book.heard(enode(number), Source.V4, NOW)


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def ask(path: Path, question: str) -> list[tuple[object, ...]]:
    """Look into a file as any other program does."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


def test_what_was_written_is_there_after_the_next_start(path):
    with Book.open(path) as book:
        book.heard(signed(1, 7, "1.2.3.4"), Source.DNS, NOW)
        book.answered(signed(1, 7).id, NOW + 1)
        book.sequence = 9
        book.set_dns_sequence("example.org", 3)
        before = book.get(signed(1, 7).id)
    assert names(path) == ["book"]
    with Book.open(str(path)) as book:
        assert before is not None
        assert book.get(signed(1, 7).id) == before
        assert (len(book), book.sequence, book.dns_sequences(), book.moved_aside) == (1, 9, {"example.org": 3}, None)


def test_it_is_readable_for_its_owner_only(path):
    old = os.umask(0)
    try:
        with Book.open(path) as book:
            book.heard(enode(1), Source.V4, NOW)
            assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {"book": 0o600, "book-wal": 0o600}
        path.chmod(0o644)  # as a copy may be
        Book.open(path).close()
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600


def test_there_is_no_moment_at_which_others_could_open_it(path, monkeypatch):
    monkeypatch.setattr(Path, "chmod", lambda *_: pytest.fail("it was readable for others until now"))
    old = os.umask(0)
    Book.open(path).close()
    os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600


def test_our_own_sequence_number_is_in_the_file_at_once_and_not_only_in_its_log(path, tmp_path):
    """A commit alone is lost when the power fails, and then the others would ignore our next records."""
    with Book.open(path) as book:
        with book.changes():
            book.sequence = 5
        shutil.copy(path, tmp_path / "copy")
    with Book.open(tmp_path / "copy") as book:
        assert book.sequence == 5


# In use

HOLD = """
import sys
from devp2p.book import Book
with Book.open(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_that_the_book_is_in_use_until_the_first_is_gone(path):
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        for on_corrupt in ("refuse", "move-aside"):
            with pytest.raises(BookError, match=r"book is in use: only one program can have a book open, and only once$") as caught:
                Book.open(path, on_corrupt=on_corrupt)
            assert not isinstance(caught.value, DamagedBookError)
        holder.kill()
        holder.wait()
    Book.open(path).close()


def test_opening_it_twice_in_one_process_neither_works_nor_takes_the_lock_away(path):
    """A process that opens and closes a file loses its locks on it, so not even a failed attempt may do so."""
    with Book.open(path):
        for _ in range(2):
            with pytest.raises(BookError, match="is in use"):
                Book.open(path)
        second = subprocess.run([sys.executable, "-c", HOLD, path], input="", capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert "is in use" in second.stderr


# Killed

WRITE = """
import sys
from devp2p.book import Book, Source
from tests.books import NOW, enode
import os, signal
with Book.open(sys.argv[1]) as book:
    last = int(sys.argv[2])
    statements = 0
    def count(_):
        global statements
        statements += 1
        if statements == last:
            os.kill(os.getpid(), signal.SIGKILL)
    book._database._connection.execute("PRAGMA cache_size = 5")  # so that half of a transaction is in the file already
    book._database._connection.set_trace_callback(count)
    for batch in range(40):
        with book.changes():
            for number in range(25 * batch, 25 * (batch + 1)):
                book.heard(enode(number), Source.V4, NOW)
                book.answered(enode(number % 25).id, NOW + batch)
            book.sequence = batch + 1
        print(batch + 1, flush=True)
"""


@pytest.mark.parametrize("last", [1, 1003, *(pytest.param(more, marks=pytest.mark.simulation) for more in (2, 40, 500, 1777, 2500))])
def test_a_process_that_is_killed_leaves_each_batch_complete_or_absent(path, last):
    check_killed(path, subprocess.run([sys.executable, "-c", WRITE, path, str(last)], stdout=subprocess.PIPE, check=False), path.parent)


@pytest.mark.parametrize("batches", [7, *(pytest.param(other, marks=pytest.mark.simulation) for other in (1, 20))])
def test_a_process_that_is_killed_from_outside_leaves_each_batch_complete_or_absent(path, batches):
    with subprocess.Popen([sys.executable, "-c", WRITE, path, "0"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = b"".join(process.stdout.readline() for _ in range(batches))
        process.kill()
        said += process.stdout.read()
        process.wait()
    check_killed(path, subprocess.CompletedProcess([], process.returncode, said), path.parent)


def check_killed(path: Path, process: subprocess.CompletedProcess[bytes], directory: Path) -> None:
    assert process.returncode == -signal.SIGKILL
    assert (directory / "book-wal").exists()  # it did not come to close the file
    said = len(process.stdout.split())
    with Book.open(path) as book:
        assert book.sequence in {said, said + 1}  # a batch may be complete that the process could not tell of any more
        assert len(book) == 25 * book.sequence
        assert all(book.get(enode(number).id) is not None for number in range(len(book)))
        if book.sequence:
            assert {entry.last_answered for number in range(25) if (entry := book.get(enode(number).id))} == {NOW + book.sequence - 1}
        assert book._database.rows("PRAGMA integrity_check") == [("ok",)]
        book.heard(enode(5000), Source.V4, NOW)


# Damaged

DAMAGE = {
    "no database": lambda data: bytes(byte ^ 0xFF for byte in data),
    "a header that is overwritten": lambda data: bytes(100) + data[100:],
    "the second half is missing": lambda data: data[: len(data) // 2],
    "pages that are overwritten": lambda data: data[:8192] + b"\xa5" * 16384 + data[24576:],
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_book_is_refused_or_moved_aside(path, how):
    write(path)
    damaged = DAMAGE[how](path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(DamagedBookError, match=r"book is damaged \(.*\)\. Move it away") as caught:
        Book.open(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == damaged
    for number in (1, 2):
        with Book.open(path, on_corrupt="move-aside") as book:
            aside = path.with_name(f"book.damaged-{number}")
            assert book.moved_aside == aside
            assert aside.read_bytes() == damaged
            assert len(book) == 0
            book.heard(enode(1), Source.V4, NOW)
        with Book.open(path, on_corrupt="move-aside") as book:
            assert (len(book), book.moved_aside) == (1, None)
        path.write_bytes(damaged)


def test_the_log_of_a_damaged_book_goes_with_it(path):
    """Where SQLite has left it: beside a new file it would be taken for that one's."""
    for end in ("", "-wal"):
        Path(f"{path}{end}").write_text(f"damaged{end}")
    assert move_aside(str(path)) == path.with_name("book.damaged-1")
    assert names(path) == ["book.damaged-1", "book.damaged-1-wal"]
    assert path.with_name("book.damaged-1-wal").read_text() == "damaged-wal"


def test_damage_that_shows_later_is_told_as_such(path):
    write(path)
    book = Book.open(path)
    book._database.run("PRAGMA shrink_memory")  # lest it be read from memory
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    with pytest.raises(DamagedBookError, match="Move it away"):
        [book.get(enode(number).id) for number in range(300)]
    book.close()


def test_a_file_without_content_is_a_book_without_nodes(path):
    path.write_bytes(b"")
    with Book.open(path) as book:
        assert len(book) == 0


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("absent/book", r"^cannot make the book .*absent/book: No such file or directory$"),
        (".", "is a directory; name a file in it"),
    ],
)
def test_a_path_where_no_book_can_be_is_refused_with_a_reason(tmp_path, name, complaint):
    with pytest.raises(BookError, match=complaint):
        Book.open(tmp_path / name)


def test_an_empty_path_is_refused_with_what_to_write():
    with pytest.raises(LocalProtocolError, match="whose path is empty here; name one, or :memory: for none"):
        Book.open("")


def test_a_disk_that_is_full_is_an_error_of_the_book_and_leaves_it_as_it_was(path):
    with Book.open(path) as book:
        book.heard(enode(0), Source.V4, NOW)
        book._database.run("PRAGMA max_page_count = 12")
        with pytest.raises(BookError, match="book: database or disk is full"), book.changes():
            [book.heard(enode(number), Source.V4, NOW) for number in range(500)]
        assert len(book) == 1
        book.answered(enode(0).id, NOW)
        assert book._database.rows("SELECT count(*) FROM nodes") == [(1,)]


# Versions


def test_another_program_s_database_is_left_alone(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (name TEXT)")
    connection.close()
    for on_corrupt in ("refuse", "move-aside"):
        with pytest.raises(BookError, match="is the database of another program; name another file"):
            Book.open(path, on_corrupt=on_corrupt)
    assert ask(path, "SELECT name FROM sqlite_schema") == [("songs",)]


def test_a_newer_version_is_refused_and_left_alone(path):
    write(path, 1)
    Database.open(str(path), [*MIGRATIONS, ["CREATE TABLE songs (id BLOB) STRICT"]], APPLICATION_ID).close()
    for on_corrupt in ("refuse", "move-aside"):
        with pytest.raises(BookError, match=f"newer version of this program .schema {len(MIGRATIONS) + 1}, where this one knows up to"):
            Book.open(path, on_corrupt=on_corrupt)
    assert ask(path, "SELECT count(*), user_version FROM nodes, pragma_user_version") == [(1, len(MIGRATIONS) + 1)]


STEPS = (
    ("CREATE TABLE a (x INTEGER NOT NULL) STRICT", "INSERT INTO a VALUES (1)"),
    ("ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 2",),
    ("CREATE TABLE b (x INTEGER NOT NULL) STRICT", "INSERT INTO b SELECT x + y FROM a", "DROP TABLE a"),
)


@pytest.mark.parametrize("version", range(len(STEPS) + 1))
def test_each_earlier_version_is_brought_up_to_date_and_keeps_its_content(path, version):
    first = Database.open(str(path), STEPS[:version], 7)
    if version in {1, 2}:
        first.run("UPDATE a SET x = 40")
    first.close()
    for _ in range(2):
        database = Database.open(str(path), STEPS, 7)
        assert database.rows("SELECT x FROM b") == [(42 if version in {1, 2} else 3,)]
        assert database.rows("PRAGMA user_version") == [(3,)]
        assert database.rows("PRAGMA application_id") == [(7,)]
        database.close()


def test_a_step_that_fails_leaves_the_version_before_it(path):
    broken = [*STEPS[:2], ["INSERT INTO a VALUES (5, 6)", "INSERT INTO nowhere VALUES (1)"]]
    with pytest.raises(BookError, match="no such table: nowhere"):
        Database.open(str(path), broken, 7)
    database = Database.open(str(path), STEPS[:2], 7)
    assert database.rows("SELECT * FROM a") == [(1, 2)]
    database.close()


def test_a_migrated_book_is_like_a_new_one(path):
    """Whoever appends a step keeps this true for books without a file, and for those of every earlier version."""
    new = Database.open(MEMORY, MIGRATIONS, APPLICATION_ID)
    schema = new.rows("SELECT name, sql FROM sqlite_schema ORDER BY name")
    for version in range(len(MIGRATIONS)):
        file = str(path) + str(version)
        Database.open(file, MIGRATIONS[:version], APPLICATION_ID).close()
        migrated = Database.open(file, MIGRATIONS, APPLICATION_ID)
        assert migrated.rows("SELECT name, sql FROM sqlite_schema ORDER BY name") == schema
        migrated.close()
    new.close()


def test_an_old_sqlite_is_named(monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 9))
    with pytest.raises(BookError, match=r"needs SQLite 3\.37, and this Python has"):
        Book.open(MEMORY)


def test_a_misused_database_is_our_fault():
    database = Database.open(MEMORY, (), 7)
    with pytest.raises(LocalProtocolError, match="number of bindings"):
        database.run("SELECT ?")
    database.close()
