"""`SqliteStore`: a crawl in one SQLite file, written by one and read by many. The tables are described in schema.sql beside this file."""

import logging
import os
import sqlite3
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from devp2p_crawler.model import Batch, Crawl, Kind, KnownNode, Sighting, SignedRecord, Visit
from devp2p_crawler.stores import files, rows
from devp2p_crawler.stores.chains import settle
from devp2p_crawler.stores.holding import Hold
from devp2p_crawler.stores.known import known_nodes
from devp2p_crawler.stores.sinks import RowsRefusedError, SinkError

T = TypeVar("T")

_logger = logging.getLogger(__name__)

_LEAST: Final = -(2**63)
_SETTLED_AT_ONCE: Final = 1000  # nodes
_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)


class SqliteStore:
    """One open file; made by `for_crawl`, `create_or_open` or `open_reading`. It is a `Sink`. To be used by one thread at a time.

    What reads raises SinkError if the file cannot be read, and gives things as they are at one moment, even if they are written meanwhile.
    """

    def __init__(self, path: str, connection: sqlite3.Connection, *, writable: bool) -> None:
        self.path: str = path
        self._connection = connection
        self._writable = writable
        self._file = _file_at(path)
        self._defers = False
        self._hold: Hold | None = None

    @classmethod
    def for_crawl(cls, path: str | os.PathLike[str]) -> "SqliteStore":
        """Open a file to crawl into it, or make it, and keep other crawls off it until it is closed; SinkError if one has it already."""
        name = os.fspath(path)
        try:
            hold = Hold(name)
        except OSError as error:
            cls.create_or_open(name).close()  # which knows better what is wrong, if it is
            raise SinkError(f"cannot keep other crawls off {name}: {error.strerror or error}; name a file in another directory") from error
        try:
            store = cls.create_or_open(name)
        except BaseException:
            hold.release()
            raise
        store.hold(hold)
        return store

    @classmethod
    def create_or_open(cls, path: str | os.PathLike[str]) -> "SqliteStore":
        """Open a file to write it, or make it; SinkError says why that is not possible."""
        store = cls(os.fspath(path), files.open_writing(os.fspath(path)), writable=True)
        try:
            store.settle()  # a merge may have been killed
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open_reading(cls, path: str | os.PathLike[str]) -> "SqliteStore":
        """Open a file to read it, also while others write it; SinkError if there is none, or it is not ours."""
        return cls(os.fspath(path), files.open_reading(os.fspath(path)), writable=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """For SQL of your own, which only reads."""
        return self._connection

    def hold(self, hold: Hold) -> None:
        """Release this when the file is closed."""
        self._hold = hold

    def close(self) -> None:
        """Let go of the file; if nobody else has it open, all of it is then in the one file."""
        self._connection.close()
        if self._hold is not None:
            self._hold.release()

    # Writing

    def write(self, batch: Batch) -> None:
        """Write all of a batch or nothing; SinkError says why that failed. What was written survives the end of the process."""
        self._require_there()
        with self._explaining(), self._transaction():
            rows.insert_batch(self._connection, batch)
            if not self._defers:
                settle(self._connection)

    @contextmanager
    def deferring(self) -> Generator[None]:
        """Within this block, what follows from the order of visits is computed at its end, once, and not with each batch: for merges."""
        self._defers = True
        try:
            yield
        finally:
            self._defers = False
        self.settle()

    def settle(self) -> None:
        """Compute what is left over of that."""
        with self._explaining():
            more = True
            while more:
                with self._transaction():
                    more = settle(self._connection, most=_SETTLED_AT_ONCE) == _SETTLED_AT_ONCE

    # Reading

    def nodes(self) -> Iterator[KnownNode]:
        """All nodes of which anything is known, ordered by node-ID."""
        with self._explaining():
            yield from known_nodes(self._connection)

    def visits(
        self, *, since: int | None = None, until: int | None = None, kinds: Collection[Kind] = (), node: bytes | None = None
    ) -> Iterator[Visit]:
        """Visits that began at `since` or later and before `until` (microseconds since 1970), ordered by that; of a node, of some kinds."""
        wheres, values = list[str](), list[bytes | int]()
        if since is not None:
            wheres.append("visit.began >= ?")
            values.append(since)
        if until is not None:
            wheres.append("visit.began < ?")
            values.append(until)
        if kinds:
            wheres.append(f"visit.kind IN ({', '.join('?' * len(kinds))})")
            values += [int(kind) for kind in kinds]
        if node is not None:
            wheres.append(f"visit.no IN ({_OF_NODE})")
            values.append(node)
        where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
        return self._each(f"{rows.VISITS}{where} ORDER BY visit.began", values, rows.visit_of)

    def visits_after(self, number: int) -> Generator[tuple[int, Visit]]:
        """Visits in the order in which they were written, with their numbers, from the one after `number`: to send them on."""
        numbered = rows.VISITS.replace("SELECT ", "SELECT visit.no, ", 1)
        return self._each(f"{numbered} WHERE visit.no > ? ORDER BY visit.no", [number], lambda row: (int(row[0]), rows.visit_of(row[1:])))

    def records(self, *, since: int | None = None) -> Iterator[SignedRecord]:
        """Records, ordered by node-ID: all, or those that were first seen at a time or later."""
        return self._each(rows.RECORDS, [_LEAST if since is None else since], rows.record_of)

    def sightings(self, *, since: int | None = None) -> Iterator[Sighting]:
        """Sightings, ordered by node-ID: all, or those that were last seen at a time or later."""
        return self._each(rows.SIGHTINGS, [_LEAST if since is None else since], rows.sighting_of)

    def crawls(self) -> Iterator[Crawl]:
        """All crawls, the one that started first at first."""
        return self._each(rows.CRAWLS, [], rows.crawl_of)

    def frontier(self) -> dict[bytes, int]:
        """Node-ID -> when it is to be visited next, in microseconds since 1970, as the crawler left it."""
        with self._explaining():
            return dict(self._connection.execute("SELECT id, due_at FROM frontier JOIN node ON node.no = frontier.node"))

    def _each(self, statement: str, values: list[bytes | int], shape: Callable[[tuple[Any, ...]], T]) -> Generator[T]:
        with self._explaining(), closing(self._connection.execute(statement, values)) as cursor:
            for row in cursor:
                yield shape(row)

    @contextmanager
    def _explaining(self) -> Generator[None]:
        try:
            yield
        except OverflowError as error:
            raise RowsRefusedError(f"{self.path} does not take such rows: {error}") from error
        except _ERRORS as error:
            raise files.explained(self.path, error) from error

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _require_there(self) -> None:
        """See that what is written will be found, and not be gone with a file that somebody has deleted."""
        if not self._writable:
            raise SinkError(f"{self.path} was opened for reading only")
        found = _file_at(self.path)
        if found is None:
            self._restore()
        elif found != self._file:
            raise SinkError(f"another file has taken the place of {self.path}; move it away, and all that was written is put there again")

    def _restore(self) -> None:
        """Write all of the file anew, which was deleted or moved; as long as we have it open, it is still there for us."""
        copy = f"{self.path}.restored"
        Path(copy).unlink(missing_ok=True)
        try:
            self._connection.execute("VACUUM INTO ?", (copy,))
        except _ERRORS as error:
            raise SinkError(f"{self.path} was deleted or moved, and cannot be written anew ({files.explained(copy, error)})") from error
        self._connection.close()
        for log in ("-wal", "-shm"):  # of the file that is gone: SQLite would take them for those of the new one
            Path(self.path + log).unlink(missing_ok=True)
        Path(copy).rename(self.path)
        self._connection = files.open_writing(self.path)
        self._file = _file_at(self.path)
        _logger.warning("%s was deleted or moved while it was written; all of it was written there anew", self.path)


_OF_NODE: Final = (
    "WITH RECURSIVE chain (no, previous) AS ("
    " SELECT v.no, v.previous FROM node n JOIN visit v ON v.no = n.newest WHERE n.id = ?"
    " UNION ALL SELECT v.no, v.previous FROM chain JOIN visit v ON v.no = chain.previous) SELECT no FROM chain"
)


def _file_at(path: str) -> tuple[int, int] | None:
    """Which file a path names now."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
