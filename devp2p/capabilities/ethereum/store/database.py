"""One connection to a chain file: which files are opened, what failures mean, and what is read or written as one.

Theory of operation. The file is in SQLite's WAL mode: whoever reads sees the state at its first look until it ends its `snapshot`, while
one other writes, and a process that is killed leaves each transaction either complete or absent. A commit is not flushed to the disk: when
the power fails, the last ones may be missing, in order, and can be imported again.

SQLite changes a file by looking at it, if that has a log beside it, and the file may be another program's, or of a newer version. So its
header is read first. SQLite's locks are POSIX locks, which a process loses as soon as it closes the file anywhere; so files that are
already open here (`_HELD`) are not looked at again, and what another program's file was read through is never closed.
"""

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from devp2p import DecodingError
from devp2p.capabilities.ethereum.chain import ChainError
from devp2p.capabilities.ethereum.store.schema import APPLICATION_ID, MIGRATIONS

Value: TypeAlias = bytes | str | int | None

PATIENCE: Final = 10.0
"""Seconds for which a writer waits for another to end."""
_OLDEST_SQLITE: Final = (3, 37)  # the first with STRICT tables
_HELD: Final = Counter[tuple[int, int]]()
"""How many connections of this process a file (device and inode) has."""
_HOLDING: Final = threading.Lock()
_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 108  # bytes: that of the file, and that of its first page
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED: Final = {
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
    # Our statements fit our tables: if one does not, the tables are not ours any more.
    *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_FORMAT),
}


class StoreError(ChainError):
    """A chain file cannot be opened, read or written, or what should go into it does not fit. The message says what, and why."""


class DamagedStoreError(StoreError):
    """The file is no database, or no longer one."""


class Database:
    """One connection to a chain file, for one thread at a time. Made by `open`."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._file = _file_at(path)
        self._closed = False
        self._hold(1)

    @classmethod
    def open(cls, path: str, *, create: bool = False) -> "Database":
        """Open a chain file, or, if it may `create` one and there is none, make it; StoreError says what hinders it."""
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreError(f"a chain file needs SQLite 3.37, and this Python has {sqlite3.sqlite_version}")
        _look(path, create=create)
        try:
            connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _explained(path, error) from error
        self = cls(path, connection)
        try:
            self._set_up(create=create)
        except BaseException:
            self.close()
            raise
        return self

    def rows(self, statement: str, *values: Value) -> list[tuple[Any, ...]]:
        """Run a statement and return all that it finds, which is to be bounded by the statement."""
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    def row(self, statement: str, *values: Value) -> tuple[Any, ...] | None:
        """Run a statement that finds one row, or none."""
        found = self.rows(statement, *values)
        return found[0] if found else None

    def each(self, statement: str, *values: Value) -> Iterator[tuple[Any, ...]]:
        """Run a statement and yield what it finds, one row after another, none before it is asked for."""
        try:
            with closing(self._connection.execute(statement, values)) as cursor:
                yield from cursor
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    def run(self, statement: str, *values: Value) -> int:
        """Run a statement and return the rowid of what it inserted."""
        try:
            return self._connection.execute(statement, values).lastrowid or 0
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    def run_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run a statement with each of some rows of values."""
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    @contextmanager
    def changes(self) -> Generator[None, None, None]:
        """All changes in the block are made together, or, if it ends by an exception, none is."""
        yield from self._transaction("BEGIN IMMEDIATE")

    @contextmanager
    def snapshot(self) -> Generator[None, None, None]:
        """All that the block reads is of one moment, whatever others write. What nobody understands is damage, and no peer's fault."""
        try:
            yield from self._transaction("BEGIN")
        except (DecodingError, ValueError, TypeError) as error:
            raise damaged(self.path, str(error)) from error

    @property
    def changed(self) -> int:
        """A number that is another one after somebody else has written."""
        [(version,)] = self.rows("PRAGMA data_version")
        return int(version)

    def close(self) -> None:
        """Close the connection; closing twice is no fault."""
        if not self._closed:
            self._closed = True
            self._connection.close()
            self._hold(-1)

    def _hold(self, more: int) -> None:
        with _HOLDING:  # connections are opened in threads
            _HELD[self._file] += more

    def _transaction(self, begin: str) -> Generator[None, None, None]:
        self.run(begin)
        try:
            yield
            self.run("COMMIT")
        finally:
            if self._connection.in_transaction:  # SQLite itself ends some that fail
                self._connection.rollback()

    def _set_up(self, *, create: bool) -> None:
        self.run("PRAGMA trusted_schema = OFF")  # a file that somebody else has made cannot have us run functions of its choice
        self.run("PRAGMA cell_size_check = ON")
        [(found,)] = self.rows("PRAGMA application_id")
        if found != APPLICATION_ID:
            if found or self.row("SELECT 1 FROM sqlite_schema LIMIT 1"):
                raise _foreign(self.path)
            if not create:
                raise StoreError(f"{self.path} is empty: devp2p chain import fills it")
        [(version,)] = self.rows("PRAGMA user_version")
        if not 0 <= version <= len(MIGRATIONS):
            raise _newer(self.path, version) if version > 0 else damaged(self.path, f"schema {version}")
        if create:
            self.run("PRAGMA journal_mode = WAL")
            self._migrate()
        self.run("PRAGMA synchronous = NORMAL")

    def _migrate(self) -> None:
        with self.changes():
            [(version,)] = self.rows("PRAGMA user_version")  # read again, now that nobody else can bring it up to date
            for statement in (statement for step in MIGRATIONS[version:] for statement in step):
                self.run(statement)
            if version < len(MIGRATIONS):
                self.run(f"PRAGMA application_id = {APPLICATION_ID}")
                self.run(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _file_at(path: str) -> tuple[int, int]:
    """Which file a path names now."""
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def _look(path: str, *, create: bool) -> None:
    """Refuse a file that is not a chain of ours, or of a version that is not known yet, without a change to it; see above."""
    try:
        if Path(path).is_dir():
            raise StoreError(f"{path} is a directory; name a file in it")
        if create and not Path(path).exists():
            with suppress(FileExistsError), Path(path).open("xb"):
                pass
        if _HELD[_file_at(path)]:
            return
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        header = os.read(descriptor, _HEADER)
    except FileNotFoundError:
        hint = "its directory is missing" if create else f"devp2p chain import {path} --genesis GENESIS.json CHAIN.rlp makes it"
        raise StoreError(f"there is no {path}: {hint}") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot open {path}: {getattr(error, 'strerror', None) or error}") from error
    found = int.from_bytes(header[68:72], "big")
    version = int.from_bytes(header[60:64], "big", signed=True)
    has_tables = len(header) == _HEADER and any(header[103:105])
    if header.startswith(_MAGIC) and found != APPLICATION_ID and (found or has_tables):
        raise _foreign(path)
    if found == APPLICATION_ID and version > len(MIGRATIONS):
        raise _newer(path, version)
    os.close(descriptor)
    if header and not header.startswith(_MAGIC):
        raise DamagedStoreError(f"{path} is no chain file, or its beginning is damaged: name one that devp2p chain import has made")
    if not (os.access(path, os.W_OK) and os.access(Path(path).absolute().parent, os.W_OK)):
        raise _read_only(path, "read-only file, directory or file system")


def _explained(path: str, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return StoreError(f"{path} is being written by another program; try again when that has ended")
    if code in _DAMAGED:
        return damaged(path, _line(str(error)))
    if code == sqlite3.SQLITE_READONLY:
        return _read_only(path, str(error))
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"{path} cannot grow: the disk is full. What it has stays valid; make room, and do the same again")
    return StoreError(f"{path}: {_line(str(error))}")


def _line(text: str) -> str:
    """What SQLite says, which may quote a damaged file, as one line."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())[:200]


def _read_only(path: str, how: str) -> StoreError:
    return StoreError(f"{path} cannot be written ({how}): a chain file and its directory must be writable, for the log beside it")


def _foreign(path: str) -> StoreError:
    return StoreError(f"{path} is the database of another program; name another file for the chain")


def _newer(path: str, version: int) -> StoreError:
    return StoreError(
        f"{path} was written by a newer version of this program (schema {version}, where this one knows up to {len(MIGRATIONS)});"
        " use that one, or name another file for the chain"
    )


def damaged(path: str, how: str) -> DamagedStoreError:
    """What to say of a file that is damaged."""
    return DamagedStoreError(f"{path} is damaged ({how}). Remove it, with {path}-wal and {path}-shm if they exist, and import it again")
