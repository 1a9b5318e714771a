"""Files that cannot be used: each time a line that says what is wrong and what to do, and nothing is changed."""

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import pytest
from devp2p_crawler.model import Batch
from devp2p_crawler.stores import SinkError, SqliteStore, files

from tests.crawler import rows

OPENINGS = [SqliteStore.create_or_open, SqliteStore.open_reading]


@pytest.fixture
def path(tmp_path):
    with SqliteStore.create_or_open(tmp_path / "crawl.db") as store:
        store.write(Batch(visits=[rows.visit(number) for number in range(100)]))
    return tmp_path / "crawl.db"


@pytest.fixture
def public_path():
    """A file in a directory that other users may read."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    with SqliteStore.create_or_open(directory / "crawl.db") as store:
        store.write(Batch(visits=[rows.visit()]))
    yield directory / "crawl.db"
    directory.chmod(0o755)
    shutil.rmtree(directory)


@contextmanager
def nobody_in_particular() -> Iterator[None]:
    """As a user for whom permissions count; root, as whom containers run tests, may do all."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def refused(opening, path) -> str:
    before = Path(path).read_bytes() if Path(path).is_file() else None
    with pytest.raises(SinkError) as caught:
        opening(path).close()
    assert (Path(path).read_bytes() if Path(path).is_file() else None) == before
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_to_read_a_file_that_is_missing(tmp_path):
    assert refused(SqliteStore.open_reading, tmp_path / "no.db") == (
        f"there is no file {tmp_path / 'no.db'}; `devp2p-crawl crawl --db {tmp_path / 'no.db'}` makes one"
    )


def test_to_make_a_file_where_there_is_no_directory(tmp_path):
    assert "make it first" in refused(SqliteStore.create_or_open, tmp_path / "no" / "crawl.db")


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_directory(tmp_path, opening):
    (tmp_path / "there").mkdir()
    assert "is a directory; name a file in it" in refused(opening, tmp_path / "there")


def test_an_empty_file_is_taken_to_write_and_told_to_readers(tmp_path):
    (tmp_path / "empty.db").touch()
    assert "no crawl was ever written to it" in refused(SqliteStore.open_reading, tmp_path / "empty.db")
    SqliteStore.create_or_open(tmp_path / "empty.db").close()
    SqliteStore.open_reading(tmp_path / "empty.db").close()


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_another_programs_database(tmp_path, opening, mode):
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute("CREATE TABLE visit (no)")
    assert "another program; name another file" in refused(opening, tmp_path / "other.db")


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("text", [b"{}\n", bytes(5000), b"SQLite format 3\0", b"SQLite format 3\0" + bytes(range(256)) * 40])
def test_a_file_that_is_no_database(tmp_path, opening, text):
    (tmp_path / "no.db").write_bytes(text)
    assert "name another file" in refused(opening, tmp_path / "no.db")


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_file_of_a_newer_version(path, opening):
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    assert "(schema 99, where this one knows up to 1); use that one" in refused(opening, path)


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_damaged_file(tmp_path, opening):
    with SqliteStore.create_or_open(tmp_path / "crawl.db") as store:
        for batch in islice(rows.stream(1), 30):
            store.write(batch)
    content = bytearray((tmp_path / "crawl.db").read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    (tmp_path / "crawl.db").write_bytes(content)

    def use(path) -> None:
        with opening(path) as store:
            if opening == SqliteStore.create_or_open:
                store.write(Batch(visits=[rows.visit()]))
            list(store.nodes())

    with pytest.raises(SinkError, match=r"is damaged .* name another file, or save what is left by `sqlite3 .*recover`"):
        use(tmp_path / "crawl.db")


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_file_that_one_may_not_read(public_path, opening):
    public_path.chmod(0)
    with nobody_in_particular(), pytest.raises(SinkError, match="this user"):
        opening(public_path)


def test_a_directory_that_one_may_not_write(public_path):
    public_path.parent.chmod(0o555)
    with nobody_in_particular():
        with SqliteStore.open_reading(public_path) as store:
            assert len(list(store.visits())) == 1
        with pytest.raises(SinkError, match="be allowed to write the file and its directory"):
            SqliteStore.create_or_open(public_path)
        with pytest.raises(SinkError, match=r"cannot open .*new.db: its directory cannot be written"):
            SqliteStore.create_or_open(public_path.with_name("new.db"))


def test_a_directory_that_one_may_not_write_with_a_log_in_it(public_path):
    with SqliteStore.create_or_open(public_path) as store:
        store.write(Batch(visits=[rows.visit(2)]))
        copy = public_path.with_name("copy.db")
        for end in ("", "-wal"):
            shutil.copy(f"{public_path}{end}", f"{copy}{end}")
    public_path.parent.chmod(0o555)
    with nobody_in_particular(), pytest.raises(SinkError, match=r"copy .*copy.db and .*copy.db-wal together to one that can"):
        SqliteStore.open_reading(copy)


def test_a_file_that_another_program_has_locked(path, monkeypatch):
    monkeypatch.setattr(files, "_PATIENCE", 0.01)
    with closing(sqlite3.connect(path)) as other, SqliteStore.create_or_open(path) as store:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkError, match=r"another program has .* locked"):
            store.write(Batch(visits=[rows.visit(200)]))
        with SqliteStore.open_reading(path) as reader:
            assert len(list(reader.visits())) == 100
        other.rollback()
        store.write(Batch(visits=[rows.visit(200)]))
        assert len(list(store.visits())) == 101


@pytest.mark.parametrize("moved", [False, True])
def test_a_file_that_is_deleted_or_moved_while_it_is_written_is_written_anew(path, moved, caplog):
    with SqliteStore.create_or_open(path) as store:
        store.write(Batch(visits=[rows.visit(200)]))
        if moved:
            path.rename(path.with_name("moved.db"))
        else:
            path.unlink()
        store.write(Batch(visits=[rows.visit(201)]))
        store.write(Batch(visits=[rows.visit(202)]))
    assert "was deleted or moved while it was written; all of it was written there anew" in caplog.text
    with SqliteStore.open_reading(path) as reader:
        assert len(list(reader.visits())) == 103
        assert reader.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert [file.name for file in path.parent.glob("crawl.db*")] == ["crawl.db"]


def test_a_file_whose_place_another_one_has_taken_is_waited_for(path):
    with SqliteStore.create_or_open(path) as store:
        path.rename(path.with_name("moved.db"))
        path.write_bytes(b"something else")
        with pytest.raises(SinkError, match="another file has taken the place"):
            store.write(Batch(visits=[rows.visit(200)]))
        assert path.read_bytes() == b"something else"
        path.unlink()
        store.write(Batch(visits=[rows.visit(200)]))
    with SqliteStore.open_reading(path) as reader:
        assert len(list(reader.visits())) == 101


def test_a_file_that_is_gone_with_its_directory(path):
    with SqliteStore.create_or_open(path) as store:
        aside = path.parent.rename(path.parent.with_name("aside"))
        with pytest.raises(SinkError, match="was deleted or moved, and cannot be written anew"):
            store.write(Batch(visits=[rows.visit(200)]))
        aside.rename(path.parent)
        store.write(Batch(visits=[rows.visit(200)]))
        assert len(list(store.visits())) == 101


def test_a_path_with_characters_that_addresses_have_is_a_path(tmp_path):
    path = tmp_path / "100%? #1 'x'.db"
    with SqliteStore.create_or_open(path) as store:
        store.write(Batch(visits=[rows.visit()]))
    with SqliteStore.open_reading(path) as store:
        assert len(list(store.visits())) == 1
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_nothing_is_written_through_a_store_that_was_opened_to_read(path):
    with SqliteStore.open_reading(path) as store:
        with pytest.raises(SinkError, match="opened for reading only"):
            store.write(Batch(visits=[rows.visit(200)]))
        with pytest.raises(sqlite3.OperationalError):
            store.connection.execute("DELETE FROM visit")
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
