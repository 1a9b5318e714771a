"""The SQLite file of a crawl: whose it is, which version it has, and what to tell of one that cannot be used.

Theory of operation. The file is in WAL mode: others read it while it is written, and a process that is killed leaves each transaction
either complete or absent. A commit is not flushed to the disk (`synchronous = NORMAL`): if the power fails, the last ones may be missing,
in order, and nothing is damaged. SQLite's locks are POSIX locks, which a process loses when it closes the file by itself; so nothing here
opens the file but SQLite.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import quote

from devp2p_crawler.stores.sinks import RowsRefusedError, SinkError

APPLICATION_ID: Final = 0x64703263
"""In the header of a file of ours: "dp2c"."""
MIGRATIONS: Final = ("schema.sql",)
"""What brings a file from each version to the next; it begins with version 0, an empty file."""

_OLDEST_SQLITE: Final = (3, 38)  # STRICT, generated columns, and upserts as triggers here use them
_PATIENCE: Final = 5.0  # seconds that another process may have the file locked
_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)  # the latter where SQLite's own message has bytes of a damaged file in it
_ONLY_READING: Final = (("ro", False), ("ro", True))
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


def open_writing(path: str) -> sqlite3.Connection:
    """Open a file for writing, made if there is none and brought to the newest version; SinkError if that cannot be."""
    place = Path(path)
    if not place.absolute().parent.is_dir():
        raise SinkError(f"cannot make {path}: there is no directory {place.absolute().parent}; make it first")
    if place.is_dir() or (place.exists() and place.stat().st_size):
        _look(path)
    try:
        connection = _connect(path, "rwc")
    except _ERRORS as error:
        raise explained(path, error) from error
    try:
        [(mode,)] = connection.execute("PRAGMA journal_mode = WAL")
        if mode != "wal":
            raise SinkError(
                f"the file system of {path} does not let processes share memory, as SQLite's log needs; name a file on a local disk"
            )
        for setting in ("synchronous = NORMAL", "wal_autocheckpoint = 4000", "journal_size_limit = 67108864", "recursive_triggers = OFF"):
            connection.execute(f"PRAGMA {setting}")
        _migrate(path, connection)
    except BaseException as error:
        connection.close()
        if isinstance(error, _ERRORS):
            raise explained(path, error) from error
        raise
    return connection


def open_reading(path: str) -> sqlite3.Connection:
    """Open a file for reading only, whether or not somebody writes it; SinkError if it is missing, or not ours."""
    if not Path(path).exists():
        raise SinkError(f"there is no file {path}; `devp2p-crawl crawl --db {path}` makes one")
    _look(path)
    # First in a way in which SQLite removes what it keeps beside the file when the last one closes it.
    return _open_first(path, (("rw", False), *_ONLY_READING))


def _open_first(path: str, ways: Sequence[tuple[str, bool]]) -> sqlite3.Connection:
    """Open a file for reading in the first way, of (mode, immutable), that its permissions allow."""
    for mode, immutable in ways:
        try:
            connection = _connect(path, mode, immutable=immutable)
            try:
                connection.execute("PRAGMA query_only = ON")
                require_ours(path, connection)
            except BaseException:
                connection.close()
                raise
        except _ERRORS as error:
            # In a directory that cannot be written SQLite cannot share a log; but if there is no log, the file is all there is.
            forbidden = getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
            if not forbidden or immutable or (_has_log(path) and mode == "ro"):
                raise explained(path, error) from error
        else:
            return connection
    raise AssertionError


def require_ours(path: str, connection: sqlite3.Connection) -> int:
    """The version of a file; SinkError if it is another program's, or of a newer version."""
    [(owner,)] = connection.execute("PRAGMA application_id")
    [(version,)] = connection.execute("PRAGMA user_version")
    if owner != APPLICATION_ID:
        if not owner and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall():
            raise SinkError(f"{path} is empty: no crawl was ever written to it")
        raise SinkError(f"{path} is the database of another program; name another file")
    if version > len(MIGRATIONS):
        raise SinkError(
            f"{path} was written by a newer version of devp2p-crawler (schema {version}, where this one knows up to {len(MIGRATIONS)});"
            " use that one"
        )
    return int(version)


def explained(path: str, error: sqlite3.Error | UnicodeDecodeError) -> SinkError:
    """What to tell of an error of SQLite: what is wrong, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    said = _line(str(error))
    if isinstance(error, UnicodeDecodeError) or code in _DAMAGED or said.startswith("no such"):
        return SinkError(
            f"{path} is damaged or no database of a crawl ({said}); name another file, or save what is left by `sqlite3 {path} .recover`"
        )
    if code in {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG} or isinstance(error, sqlite3.ProgrammingError):
        return RowsRefusedError(f"{path} does not take such rows: {said}")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return SinkError(f"another program has {path} locked for more than {_PATIENCE:g} s: see which, or wait until it has done")
    if code == sqlite3.SQLITE_FULL:
        return SinkError(f"no room to write {path}: the disk is full; free some space")
    if code == sqlite3.SQLITE_IOERR:
        return SinkError(f"cannot write {path}: the disk is full or failing, or there is a limit on sizes of files ({said})")
    if code == sqlite3.SQLITE_READONLY:
        return SinkError(f"{path} cannot be written ({said}): this user must be allowed to write the file and its directory")
    if code == sqlite3.SQLITE_CANTOPEN:
        return SinkError(f"cannot open {path}: {_how_unreadable(path)}")
    return SinkError(f"{path}: {said}")


def _connect(path: str, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
    # `uri`: a path is never taken for ":memory:", and nothing is made where only reading is asked for.
    address = f"file:{quote(str(Path(path).absolute()))}?mode={mode}{'&immutable=1' if immutable else ''}"
    connection = sqlite3.connect(address, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=256)
    for setting in ("trusted_schema = OFF", "cell_size_check = ON", "cache_size = -32768"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _look(path: str) -> None:
    """Refuse a file that is not ours, before anything in it is changed."""
    if Path(path).is_dir():
        raise SinkError(f"{path} is a directory; name a file in it")
    _open_first(path, _ONLY_READING).close()


def _migrate(path: str, connection: sqlite3.Connection) -> None:
    [(version,)] = connection.execute("PRAGMA user_version")
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        [(version,)] = connection.execute("PRAGMA user_version")  # somebody else may have done it meanwhile
        for number, name in enumerate(MIGRATIONS[version:], version + 1):
            for statement in _statements(files("devp2p_crawler.stores").joinpath(name).read_text("utf-8")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    require_ours(path, connection)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one, as all of them are to be one transaction, which `executescript` ends."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _has_log(path: str) -> bool:
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def _how_unreadable(path: str) -> str:
    if Path(path).exists() and not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        return "this user may not read it"
    if _has_log(path):
        return f"its directory cannot be written; copy {path} and {path}-wal together to one that can"
    return "its directory cannot be written, or too many files are open"


def _line(text: str) -> str:
    """What SQLite says, which may quote a damaged file, as one line."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())[:200]
