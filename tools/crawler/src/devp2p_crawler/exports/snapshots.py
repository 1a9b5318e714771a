"""A copy of a crawl's database as it is at one moment, also while a crawl writes it."""

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from devp2p_crawler.exports.files import beside
from devp2p_crawler.stores import SqliteStore


def write_snapshot(store: SqliteStore, path: Path) -> None:
    """Copy all that `store` holds into a file of its own, without a log beside it, which then takes the place of `path`.

    sqlite3.Error or OSError if that cannot be done; the old file is then as it was.
    """
    target = path.resolve()
    with beside(target) as new, _without_logs(new):
        # In one step, and so of one moment, whoever writes meanwhile. (VACUUM INTO would be shorter, and fails in SQLite 3.40 where a file
        # that is open for reading has generated columns.)
        with closing(sqlite3.connect(new, isolation_level=None)) as copy:
            store.connection.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode = DELETE")
        descriptor = os.open(new, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.replace(target)


@contextmanager
def _without_logs(path: Path) -> Generator[None]:
    """Remove what SQLite leaves beside a file where the disk was full."""
    try:
        yield
    finally:
        for suffix in ("-journal", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
