"""The file of a book: who may open it, which version it has, what happens when it is damaged, and what counts as written.

Theory of operation. The file is in SQLite's WAL mode, so that a process that is killed leaves each transaction either complete or absent.
A commit is not flushed to the disk unless it is asked to be `durable`: when the power fails the last ones may be missing, in order, and
for what can be learnt again that is cheap. One connection at a time has the file, for as long as it is open; SQLite gives back the lock
when the process ends in whatever way.

SQLite's locks are POSIX locks, and those have a trap: a process that opens and closes a file by itself loses all locks that it has on it.
So nothing here ever opens a file that exists, except SQLite.
"""

import os
import sqlite3
import stat
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from devp2p.errors import BookError, DamagedBookError, LocalProtocolError

MEMORY: Final = ":memory:"
"""Instead of a path: a book that ends with the program."""

OnDamage: TypeAlias = Literal["refuse", "move-aside"]
Value: TypeAlias = bytes | str | int | float | None

_OLDEST_SQLITE: Final = (3, 37)  # the first with STRICT tables
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Database:
    """One open SQLite file, which no other connection can open meanwhile. Made by `open`; to be used by one thread at a time."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._closed = False
        self._durable = False

    @classmethod
    def open(cls, path: str, migrations: Sequence[Sequence[str]], application_id: int) -> "Database":
        """Open a file, or make one that only its owner may read, and bring it to the newest version; BookError if that cannot be."""
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise BookError(f"a book needs SQLite 3.37, and this Python has {sqlite3.sqlite_version}")
        if path != MEMORY:
            _create_private(path)
        try:
            connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _explained(path, error) from error
        self = cls(path, connection)
        try:
            self._set_up()
            self._require_ours(application_id)
            self._migrate(migrations, application_id)
            if path != MEMORY:
                _make_private(path)
        except BaseException:
            self.close()
            raise
        return self

    def rows(self, statement: str, *values: Value) -> list[tuple[Any, ...]]:
        """Run a statement and give what it finds."""
        return self._execute(statement, values).fetchall()

    def run(self, statement: str, *values: Value) -> int:
        """Run a statement and give the number of rows that it inserted, changed or deleted."""
        return self._execute(statement, values).rowcount

    def run_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run a statement with each of some rows of values."""
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.ProgrammingError as error:
            raise LocalProtocolError(f"{self.path}: {error}") from error
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    @contextmanager
    def changes(self, *, durable: bool = False) -> Generator[None, None, None]:
        """All changes in the block are made together, or, if it ends by an exception, none is. In such a block it is part of the outer one.

        `durable`: what was written survives a power failure too.
        """
        self._durable |= durable
        if self._in_transaction():
            yield
            return
        try:
            self.run("BEGIN IMMEDIATE")
            yield
            self.run("COMMIT")
            if self._durable:
                self.run("PRAGMA wal_checkpoint(FULL)")  # which flushes the log before, and the file after
        finally:
            self._durable = False
            if self._in_transaction():
                self.run("ROLLBACK")

    def close(self) -> None:
        """Give the file free. An open `changes` is undone; closing twice is no fault."""
        self._closed = True
        self._connection.close()

    def _in_transaction(self) -> bool:
        return not self._closed and self._connection.in_transaction

    def _execute(self, statement: str, values: Sequence[Value]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.ProgrammingError as error:
            raise LocalProtocolError(f"{self.path}: {error}") from error
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    def _set_up(self) -> None:
        self.run("PRAGMA trusted_schema = OFF")  # a file that somebody else has made cannot have us run functions of its choice
        self.run("PRAGMA cell_size_check = ON")
        self.run("PRAGMA locking_mode = EXCLUSIVE")
        self.run("PRAGMA journal_mode = WAL")
        self.run("PRAGMA synchronous = NORMAL")
        with self.changes():  # takes the lock, which then stays
            faults = [fault for (fault,) in self.rows("PRAGMA quick_check(1)") if fault != "ok"]
        if faults:
            raise _damaged(self.path, " ".join(faults[0].split()))

    def _require_ours(self, application_id: int) -> None:
        [(found,)] = self.rows("PRAGMA application_id")
        if found != application_id and (found or self.rows("SELECT 1 FROM sqlite_schema LIMIT 1")):
            raise BookError(f"{self.path} is the database of another program; name another file for the book")

    def _migrate(self, migrations: Sequence[Sequence[str]], application_id: int) -> None:
        [(version,)] = self.rows("PRAGMA user_version")
        if version > len(migrations):
            raise BookError(
                f"{self.path} was written by a newer version of this program (schema {version}, where this one knows up to"
                f" {len(migrations)}); use that one, or name another file for the book"
            )
        for number, statements in enumerate(migrations[version:], version + 1):
            with self.changes(durable=True):
                for statement in statements:
                    self.run(statement)
                self.run(f"PRAGMA application_id = {application_id}")
                self.run(f"PRAGMA user_version = {number}")


def move_aside(path: str) -> Path:
    """Give a damaged file another name, with the log that belongs to it; return that name."""
    number = 1
    while (target := Path(f"{path}.damaged-{number}")).exists():
        number += 1
    try:
        for end in ("-wal", "-shm", ""):  # the file last: without it, what follows would be a log without a file
            source = Path(path + end)
            if source.exists():
                source.rename(f"{target}{end}")
    except OSError as error:
        raise BookError(f"{path} is damaged, and cannot be moved aside: {error.strerror}") from error
    return target


def _create_private(path: str) -> None:
    """Make the file if there is none, so that it never exists with SQLite's own, more generous mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if Path(path).is_dir():
            raise BookError(f"{path} is a directory; name a file in it") from None
    except OSError as error:
        raise BookError(f"cannot make the book {path}: {error.strerror}") from error


def _make_private(path: str) -> None:
    """Take others' rights from a file that was there before."""
    try:
        for file in (Path(path), Path(path + "-wal")):
            if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(0o600)
    except OSError as error:
        raise BookError(f"others may read {path}, and this cannot be changed: {error.strerror}") from error


def _explained(path: str, error: sqlite3.Error) -> BookError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # above is the extended code
    if code in _BUSY:
        return BookError(f"{path} is in use: only one program can have a book open, and only once")
    if code in _DAMAGED:
        return _damaged(path, str(error))
    return BookError(f"{path}: {error}")


def _damaged(path: str, how: str) -> DamagedBookError:
    return DamagedBookError(
        f"{path} is damaged ({how}). Move it away, with {path}-wal if that exists: a new one will be made, and nodes are found again;"
        " what is lost is how they behaved, and the sequence number of our own record"
    )
