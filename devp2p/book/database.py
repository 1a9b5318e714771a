"""The file of a book: who may open it, which version it has, what happens when it is damaged, and what counts as written.

Theory of operation. The file is in SQLite's WAL mode, so that a process that is killed leaves each transaction either complete or absent.
A commit is not flushed to the disk unless it is asked to be `durable`: when the power fails the last ones may be missing, in order, and
for what can be learnt again that is cheap. One connection at a time has the file, for as long as it is open; SQLite gives back the lock
when the process ends in whatever way.

SQLite's locks are POSIX locks, and those have a trap: a process that opens and closes a file by itself loses all locks that it has on it.
But SQLite changes a file by looking at it, if that has a log beside it, and the file may be another program's, or of a newer version. So
its header is read before SQLite gets to see the file, and only if no book of this process has it (`_HELD`); and where that shows that the
file is somebody else's, what it was read through is never closed, since some other part of this process may have locks on it.
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
_HELD: Final[set[tuple[int, int]]] = set()
"""The files (device and inode) that this process has open as books."""
_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 108  # bytes: that of the file, and that of its first page
_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)  # the latter where SQLite's own message has bytes of a damaged file in it
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED: Final = {
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
    # Our statements fit our tables: if one does not, the tables are not ours any more.
    *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_TOOBIG),
}
_DAMAGED_INDEX: Final = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID}


class Database:
    """One open SQLite file, which no other connection can open meanwhile. Made by `open`; to be used by one thread at a time."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._closed = False
        self._durable = False
        self._file = _file_at(path)
        self._log = f"{os.path.realpath(path)}-wal"  # SQLite has it beside the file itself, wherever a link to that is

    @classmethod
    def open(cls, path: str, migrations: Sequence[Sequence[str]], application_id: int) -> "Database":
        """Open a file, or make one that only its owner may read, and bring it to the newest version; BookError if that cannot be."""
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise BookError(f"a book needs SQLite 3.37, and this Python has {sqlite3.sqlite_version}")
        if path != MEMORY and not _create_private(path):
            _look(path, application_id, len(migrations))
        try:
            connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        except _ERRORS as error:
            raise _explained(path, error) from error
        connection.text_factory = _decode
        self = cls(path, connection)
        if self._file is not None:
            _HELD.add(self._file)
        try:
            self._require_ours(application_id)
            self._set_up()
            self._migrate(migrations, application_id)
            if path != MEMORY:
                _make_private(path)
        except BaseException:
            self.close()
            raise
        return self

    def rows(self, statement: str, *values: Value) -> list[tuple[Any, ...]]:
        """Run a statement and give what it finds."""
        try:
            return self._execute(statement, values).fetchall()
        except _ERRORS as error:
            raise _explained(self.path, error) from error

    @property
    def is_there(self) -> bool:
        """Whether the file is still where it was: if not, what is written is lost when the program ends."""
        return self.path == MEMORY or self._file == _file_at(self.path)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def run(self, statement: str, *values: Value) -> int:
        """Run a statement and give the number of rows that it inserted, changed or deleted."""
        return self._execute(statement, values).rowcount

    def run_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run a statement with each of some rows of values."""
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.ProgrammingError as error:
            raise LocalProtocolError(f"{self.path}: {error}") from error
        except _ERRORS as error:
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

    def flush(self) -> None:
        """See that what was committed survives a power failure too; OSError if it does not.

        Unlike a durable change it may be called by another thread, so that nobody has to wait for a disk: it asks the system, by a file of
        its own, and not SQLite, none of whose locks are on the log.
        """
        if self.path == MEMORY:
            return
        try:
            log = os.open(self._log, os.O_RDONLY)
        except FileNotFoundError:
            return  # all of it is in the file, which SQLite has flushed
        try:
            os.fsync(log)
        finally:
            os.close(log)

    def close(self) -> None:
        """Give the file free. An open `changes` is undone; closing twice is no fault."""
        if self._closed:
            return
        self._closed = True
        try:
            self._connection.close()
        except _ERRORS as error:
            raise _explained(self.path, error) from error
        finally:
            if self._file is not None:
                _HELD.discard(self._file)

    def _in_transaction(self) -> bool:
        return not self._closed and self._connection.in_transaction

    def _execute(self, statement: str, values: Sequence[Value]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.ProgrammingError as error:
            raise LocalProtocolError(f"{self.path}: {error}") from error
        except _ERRORS as error:
            raise _explained(self.path, error) from error

    def _set_up(self) -> None:
        self.run("PRAGMA journal_mode = WAL")
        self.run("PRAGMA synchronous = NORMAL")
        with self.changes():  # takes the lock, which then stays
            faults = [fault for (fault,) in self.rows("PRAGMA integrity_check(1)") if fault != "ok"]
        if faults:
            raise damaged(self.path, _line(faults[0]))

    def _require_ours(self, application_id: int) -> None:
        self.run("PRAGMA trusted_schema = OFF")  # a file that somebody else has made cannot have us run functions of its choice
        self.run("PRAGMA cell_size_check = ON")
        self.run("PRAGMA locking_mode = EXCLUSIVE")
        [(found,)] = self.rows("PRAGMA application_id")
        if found != application_id and (found or self.rows("SELECT 1 FROM sqlite_schema LIMIT 1")):
            raise _foreign(self.path)

    def _migrate(self, migrations: Sequence[Sequence[str]], application_id: int) -> None:
        [(version,)] = self.rows("PRAGMA user_version")
        if version > len(migrations):
            raise _newer(self.path, version, len(migrations))
        if version < 0:
            raise damaged(self.path, f"schema {version}")
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


def _create_private(path: str) -> bool:
    """Make the file if there is none, so that it never exists with SQLite's own, more generous mode; tell whether there was none."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if Path(path).is_dir():
            raise BookError(f"{path} is a directory; name a file in it") from None
        return False
    except OSError as error:
        raise BookError(f"cannot make the book {path}: {error.strerror}") from error
    except ValueError as error:
        raise BookError(f"cannot make the book {path!r}: {error}") from None
    return True


def _file_at(path: str) -> tuple[int, int] | None:
    """Which file a path names now."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _look(path: str, application_id: int, newest: int) -> None:
    """Refuse a file that is not a book of ours, or of a version that is not known yet, without a change to it; see above."""
    if _file_at(path) in _HELD:
        raise _in_use(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        header = os.read(descriptor, _HEADER)
    except OSError as error:
        raise BookError(f"cannot read the book {path}: {error.strerror}") from error
    found = int.from_bytes(header[68:72], "big")
    version = int.from_bytes(header[60:64], "big", signed=True)
    has_tables = len(header) == _HEADER and any(header[103:105])
    if header.startswith(_MAGIC) and found != application_id and (found or has_tables):
        raise _foreign(path)
    if found == application_id and version > newest:
        raise _newer(path, version, newest)
    os.close(descriptor)
    if header and not header.startswith(_MAGIC):
        raise damaged(path, "file is not a database")
    if header and not {1, 2}.issuperset(header[18:20]):  # SQLite would open it for reading only
        raise damaged(path, "file format is unknown")
    if not (os.access(path, os.W_OK) and os.access(Path(path).absolute().parent, os.W_OK)):
        raise _read_only(path, "read-only file, directory or file system")


def _make_private(path: str) -> None:
    """Take others' rights from a file that was there before."""
    try:
        for file in (Path(path), Path(path + "-wal")):
            if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(0o600)
    except OSError as error:
        raise BookError(f"others may read {path}, and this cannot be changed: {error.strerror}") from error


def _decode(text: bytes) -> str:
    """A text as it is in the file, whatever has become of it: who reads it, looks whether it can be."""
    return text.decode("utf-8", "replace")


def _explained(path: str, error: sqlite3.Error | UnicodeDecodeError) -> BookError:
    if isinstance(error, UnicodeDecodeError):
        return damaged(path, "its schema is unreadable")
    extended = getattr(error, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if code in _BUSY:
        return _in_use(path)
    if path != MEMORY and (code in _DAMAGED or extended in _DAMAGED_INDEX):
        return damaged(path, _line(str(error)))
    if code == sqlite3.SQLITE_READONLY:
        return _read_only(path, str(error))
    return BookError(f"{path}: {error}")


def _line(text: str) -> str:
    """What SQLite says, which may quote a damaged file, as one line."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())[:200]


def _in_use(path: str) -> BookError:
    return BookError(f"{path} is in use: only one program can have a book open, and only once")


def _read_only(path: str, how: str) -> BookError:
    return BookError(f"{path} cannot be written ({how}): a book needs a file and a directory that this user may write")


def _foreign(path: str) -> BookError:
    return BookError(f"{path} is the database of another program; name another file for the book")


def _newer(path: str, version: int, newest: int) -> BookError:
    return BookError(
        f"{path} was written by a newer version of this program (schema {version}, where this one knows up to"
        f" {newest}); use that one, or name another file for the book"
    )


def damaged(path: str, how: str) -> DamagedBookError:
    """What to say of a file that is damaged."""
    return DamagedBookError(
        f"{path} is damaged ({how}). Move it away, with {path}-wal if that exists: a new one will be made, and nodes are found again;"
        " what is lost is how they behaved, and the sequence number of our own record"
    )
