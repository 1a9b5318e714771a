"""How requests read the file: each by a connection of its own, in a thread, within bounds; and what many requests share is read once."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final, TypeVar

import trio

from devp2p_crawler.figures import Findings, gather
from devp2p_crawler.stores import SinkError, SqliteStore

T = TypeVar("T")

_AT_ONCE: Final = 4
_MOST_WAITING: Final = 32
_STEPS: Final = 10_000  # of SQLite's virtual machine, between two looks at the clock: some microseconds each thousand


class BusyError(Exception):
    """The request is refused, since it takes too long or too many are under way; the text says which."""


class Reader:
    """Runs queries on a file that others may be writing."""

    def __init__(self, path: str, *, patience: float = 5.0) -> None:
        self._path = path
        self._patience = patience
        self._threads = trio.CapacityLimiter(_AT_ONCE)

    async def read(self, query: Callable[[sqlite3.Connection], T], *, patience: float | None = None) -> T:
        """Run a query in a thread. BusyError if it takes longer than `patience` seconds, or too many others wait; SinkError of the file."""
        if self._threads.statistics().tasks_waiting >= _MOST_WAITING:
            raise BusyError("too many requests are under way: try again later")
        return await trio.to_thread.run_sync(self._read, query, patience or self._patience, limiter=self._threads)

    def _read(self, query: Callable[[sqlite3.Connection], T], patience: float) -> T:
        deadline = time.monotonic() + patience
        with closing(SqliteStore.open_reading(self._path)) as store:
            connection = store.connection
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            try:
                return query(connection)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                    raise BusyError(f"this takes longer than {patience:g} s: ask for less, or of fewer nodes") from None
                raise SinkError(f"{self._path}: {error}") from None
            except sqlite3.Error as error:
                raise SinkError(f"{self._path}: {error}") from None


class Live:
    """The findings, and the report on them, no older than some seconds; computed once for all who ask meanwhile."""

    def __init__(
        self,
        reader: Reader,
        render: Callable[[Findings], str],
        *,
        gather: Callable[[sqlite3.Connection], Findings] = gather,
        fresh: float = 15.0,
        patience: float = 120.0,
    ) -> None:
        self._reader = reader
        self._render = render
        self._gather = gather
        self._fresh = fresh
        self._patience = patience
        self._lock = trio.Lock()
        self._found: tuple[float, Findings] | None = None
        self._page: tuple[Findings, str] | None = None

    async def findings(self) -> Findings:
        """What the file says, at most `fresh` seconds ago."""
        async with self._lock:
            return await self._newest()

    async def page(self) -> str:
        """The report on it."""
        async with self._lock:
            found = await self._newest()
            if self._page is None or self._page[0] is not found:
                self._page = found, await trio.to_thread.run_sync(self._render, found)
            return self._page[1]

    async def _newest(self) -> Findings:
        now = trio.current_time()
        if self._found is None or now - self._found[0] >= self._fresh:
            self._found = now, await self._reader.read(self._gather, patience=self._patience)
        return self._found[1]
