"""The file of a chain: which one is opened, what a full disk, a kill and damage leave, and who may read while another writes."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.store import (
    DamagedStoreError,
    Importer,
    ImportProgress,
    SqliteChain,
    StoreError,
    additions,
    database,
    importing,
    read_contents,
)
from tests.capabilities.chains import BuiltChain, build_chain

ROOT = Path(__file__).resolve().parents[3]
CHAIN = build_chain(10, 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole chain file, whose log is in it."""
    return CHAIN.store(tmp_path_factory.mktemp("file"))


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    path = tmp_path / "chain.db"
    path.write_bytes(made.read_bytes())
    return path


@pytest.fixture
def chain_file(tmp_path: Path) -> Path:
    path = tmp_path / "chain.rlp"
    path.write_bytes(CHAIN.chain_file())
    return path


def opened(path: Path) -> None:
    SqliteChain.open(path).close()


def imported_into(path: Path) -> Path:
    Importer.open(path, CHAIN.genesis).close()
    return path


def with_pragma(path: Path, pragma: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA {pragma}")
    connection.close()


# ----------------------------------------------------------------------------------------------------------- which files are opened


@pytest.mark.parametrize("use", [opened, imported_into])
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.mkdir(), "is a directory; name a file in it"),
        (lambda path: path.write_bytes(b"something else" * 20), "is no chain file, or its beginning is damaged"),
        (lambda path: with_pragma(path, "application_id = 7"), "is the database of another program"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close(), "is the database of another program"),
        (lambda path: with_pragma(imported_into(path), "user_version = 99"), "by a newer version of this program (schema 99"),
        (lambda path: with_pragma(imported_into(path), "user_version = -1"), "is damaged (schema -1)"),
    ],
)
def test_what_is_no_chain_file_is_refused_as_it_is(
    tmp_path: Path, use: Callable[[Path], object], make: Callable[[Path], object], told: str
):
    path = tmp_path / "file.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreError) as error:
        use(path)
    assert told in str(error.value)
    assert str(error.value).startswith(str(path))
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_what_is_not_there_is_told_with_what_makes_it(tmp_path: Path):
    path = tmp_path / "none.db"
    with pytest.raises(StoreError, match=r"there is no .*none\.db: devp2p chain import .* makes it"):
        opened(path)
    with pytest.raises(StoreError, match="its directory is missing"):
        imported_into(tmp_path / "nowhere" / "none.db")
    path.touch()
    with pytest.raises(StoreError, match="is empty: devp2p chain import fills it"):
        opened(path)
    imported_into(path)
    opened(path)


def test_what_may_not_be_written_is_refused(copy: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # root may write everything
    with pytest.raises(StoreError, match="cannot be written"):
        opened(copy)


OTHER = "import sqlite3, sys; other = sqlite3.connect(sys.argv[1]); print(*other.execute('SELECT head FROM chain')); other.close()"


@pytest.mark.parametrize("use", [opened, imported_into])
def test_opening_a_file_twice_keeps_the_locks_of_the_first(copy: Path, tmp_path: Path, use: Callable[[Path], object]):
    """A process that opens and closes a file itself loses its locks on it; another then takes itself for the last, and removes the log."""
    more = tmp_path / "more.rlp"
    more.write_bytes(CHAIN.branch(10, 2).chain_file())
    with Importer.open(copy) as importer:
        assert importer.blocks(more) == 2
        use(copy)
        subprocess.run([sys.executable, "-c", OTHER, str(copy)], check=True)
        assert Path(f"{copy}-wal").exists()
        assert importer.contents().head.number == 12


# ------------------------------------------------------------------------------------------------------------------- what goes wrong


def test_damage_is_told_when_it_is_met(copy: Path, chain_file: Path):
    data = bytearray(copy.read_bytes())
    data[8192:] = os.urandom(len(data) - 8192)
    copy.write_bytes(data)
    with pytest.raises(DamagedStoreError, match=r"is damaged \(.*\)\. Remove it, with .*-wal and .*-shm if they exist"):
        read_contents(copy)
    with pytest.raises(DamagedStoreError), Importer.open(copy) as importer:
        importer.blocks(chain_file)


@pytest.mark.parametrize("statement", ["UPDATE chain SET network = '{}'", "UPDATE chain SET network = '['", "DROP TABLE canonical"])
def test_a_file_whose_tables_are_not_ours_any_more_is_damaged(copy: Path, statement: str):
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute(statement)
    connection.close()
    with pytest.raises(DamagedStoreError, match="is damaged"):
        read_contents(copy)


@pytest.mark.real_clock
async def test_a_disk_that_fails_while_a_node_runs_is_an_error_of_the_chain(copy: Path):
    with SqliteChain.open(copy) as chain:
        assert len(await chain.headers(0, 3, skip=0, reverse=False, size=10**6)) == 3
        connection = sqlite3.connect(copy, isolation_level=None)
        connection.execute("DROP TABLE bodies")
        connection.close()
        with pytest.raises(StoreError):
            await chain.bodies([CHAIN.head.hash], size=1)
        assert chain.head.number == 10
        assert len(await chain.headers(0, 3, skip=0, reverse=False, size=10**6)) == 3


def test_a_full_disk_leaves_a_valid_chain_and_the_import_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importing, "BATCH", 4000)
    files = build_chain(40, 2).write(tmp_path)
    path = tmp_path / "chain.db"
    with Importer.open(path, CHAIN.genesis) as importer:
        [(pages,)] = importer._database.rows("PRAGMA page_count")
        importer._database.run(f"PRAGMA max_page_count = {pages + 7}")
        with pytest.raises(StoreError, match=r"cannot grow: the disk is full\. What it has stays valid; make room, and do the same again"):
            importer.blocks(files.chain)
        head = importer.contents().head.number
        assert 0 < head < 40
        with pytest.raises(StoreError, match="the disk is full"):
            importer.state(head, write(tmp_path / "dump", build_chain(40, 2).dump(head)))
    assert is_whole(path, build_chain(40, 2)) == head
    with Importer.open(path) as importer:
        assert importer.blocks(files.chain) == 40 - head


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def is_whole(path: Path, built: BuiltChain) -> int:
    """See that a file has a chain with nothing missing, up to the head, whose number is returned."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    statement = "SELECT headers.raw, bodies.raw FROM canonical JOIN headers USING (id) JOIN bodies USING (id) ORDER BY canonical.number"
    found = connection.execute(statement).fetchall()
    assert found == [(block.header.raw, block.body.raw) for block in built.blocks[: len(found)]]
    assert connection.execute("SELECT count(*) FROM headers").fetchone() == (len(found),)
    [(states, tries)] = connection.execute("SELECT (SELECT count(*) FROM states), (SELECT count(DISTINCT trie) FROM leaves)").fetchall()
    [kept] = connection.execute("SELECT count(*) FROM tries").fetchone()
    assert tries == kept >= states
    connection.close()
    return len(found) - 1


KILLED = """
import os, signal, sys
from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.store import Importer, additions, importing, state_building

database, chain, dump, where = sys.argv[1:]
module, name, calls = {"block": (additions, "add_block", 6), "state": (state_building, "_add_nodes", 2)}[where]
original, made = getattr(module, name), []

def counted(*arguments):
    made.append(original(*arguments))
    if len(made) == calls:
        os.kill(os.getpid(), signal.SIGKILL)
    return made[-1]

setattr(module, name, counted)
importing.BATCH = 2000
with Importer.open(database) as importer:
    importer.blocks(chain)
    importer.state(10, dump)
"""


@pytest.mark.parametrize(("where", "left"), [("block", range(1, 6)), ("state", range(10, 11))])
def test_a_kill_leaves_a_valid_chain_and_the_import_goes_on_later(tmp_path: Path, chain_file: Path, where: str, left: range):
    """It comes in the middle of a transaction, when SQLite has been given part of it."""
    path, dump = tmp_path / "chain.db", write(tmp_path / "dump.json", CHAIN.dump())
    imported_into(path)
    command = [sys.executable, "-c", KILLED, str(path), str(chain_file), str(dump), where]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    head = is_whole(path, CHAIN)
    assert head in left
    with Importer.open(path) as importer:
        assert importer.blocks(chain_file) == 10 - head
        assert importer.state(10, dump)
    assert is_whole(path, CHAIN) == 10


def test_another_writer_is_told_after_some_patience(copy: Path, chain_file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(database, "PATIENCE", 0.0)
    with Importer.open(copy) as first, Importer.open(copy) as second, first._database.changes():
        with pytest.raises(StoreError, match="is being written by another program; try again"):
            second.blocks(chain_file)
        assert read_contents(copy).head.number == 10


@pytest.mark.real_clock
async def test_who_reads_while_another_imports_sees_whole_batches_only(tmp_path: Path, chain_file: Path, monkeypatch: pytest.MonkeyPatch):
    """At each block, in the middle of a transaction, and between transactions."""
    monkeypatch.setattr(importing, "BATCH", 2500)
    add_block = additions.add_block
    path, seen = tmp_path / "chain.db", list[tuple[str, int]]()
    imported_into(path)

    with SqliteChain.open(path) as chain:

        async def look(when: str) -> None:
            head = chain.head
            assert head.hash == CHAIN.blocks[head.number].hash
            found = await chain.headers(0, 99, skip=0, reverse=False, size=10**6)
            assert list(found) == [block.header.raw for block in CHAIN.blocks[: head.number + 1]]
            assert len(await chain.bodies([block.hash for block in CHAIN.blocks], size=10**6)) == len(found)
            seen.append((when, head.number))

        def add_and_look(*arguments: object) -> bool:
            new = add_block(*arguments)  # type: ignore[arg-type]
            trio.from_thread.run(look, "within")
            return new

        def between(_: ImportProgress) -> None:
            trio.from_thread.run(look, "between")

        def work() -> None:
            with Importer.open(path, report=between) as importer:
                importer.blocks(chain_file)

        monkeypatch.setattr(additions, "add_block", add_and_look)
        await trio.to_thread.run_sync(work)
    heads = [number for _, number in seen]
    assert heads == sorted(heads)
    assert len({number for when, number in seen if when == "between"}) >= 3
    assert [number for when, number in seen if when == "within"][:2] == [0, 0]
    assert heads[-1] == 10


@pytest.mark.real_clock
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leaves SET value = x'00'",
        "UPDATE receipts SET raw = x'83c0'",
        "UPDATE chain SET head = 999",
        "UPDATE headers SET raw = x'c0'",
        "DELETE FROM tries",
    ],
)
async def test_rows_that_nobody_understands_are_damage_and_no_fault_of_who_asks(copy: Path, statement: str):
    with SqliteChain.open(copy) as chain:
        head = chain.head
    connection = sqlite3.connect(copy, isolation_level=None)
    keys = [key for (key,) in connection.execute("SELECT key FROM leaves JOIN states USING (trie)")]
    connection.execute(statement)
    connection.close()

    async def ask_all() -> None:
        with SqliteChain.open(copy) as chain:
            await chain.receipts([head.hash], size=10**6)
            (raw,) = await chain.headers(0, 1, skip=0, reverse=False, size=10**6)
            for key in keys:
                await chain.slots(Header.decode(raw).state_root, [key], bytes(32), b"\xff" * 32, size=1000)

    with pytest.raises(DamagedStoreError, match="is damaged"):
        await ask_all()
