"""`Forwarder`: sends what is in the file of a crawl on to a server, by a thread of its own, whenever the server is there.

Theory of operation. The crawl writes its file only. A forwarder reads the file by a connection of its own, and so needs little memory,
however long the server is away. Visits only grow: it sends those after a mark, which lies in a file beside, and is moved once the server
has taken them. Sightings, records and crawls may change: those that changed lately are sent each time, and all of them when it begins and
when it ends. What is sent twice, as the mark was lost or a connection broke, changes nothing. When nodes are due is left out: it is what
one crawler has in mind.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from devp2p.terminal import warn
from devp2p_crawler.model import Batch, Visit
from devp2p_crawler.stores.servers import open_sink, shown
from devp2p_crawler.stores.sinks import RowsRefusedError, Sink, SinkError
from devp2p_crawler.stores.sqlite import SqliteStore
from devp2p_crawler.stores.writer import halves

T = TypeVar("T")

_AT_ONCE: Final = 2000  # rows
_EVERY: Final = 1.0  # seconds between two looks for visits
_OTHERS_EVERY: Final = 10.0  # and for what else has changed
_LEAST: Final = -(2**63)
_OVERLAP: Final = 60_000_000  # microseconds by which changed rows are looked for again
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_LAST_TRIES: Final = 10.0  # seconds that `close` gives a server that fails

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Since:
    """What was sent of rows that may change: the newest times, less an overlap."""

    sightings: int = _LEAST
    records: int = _LEAST


class Forwarder:
    """Sends one file on to one server. It is a context manager, whose end is `close`.

    `tell` gets a line when the server begins to fail, and when it is well again; the thread calls it.
    """

    def __init__(self, path: str, url: str, *, tell: Callable[[str], None] = warn, opener: Callable[[str], Sink] = open_sink) -> None:
        """SinkError if the URL is none, or the file cannot be read."""
        self._path, self._tell = path, tell
        self._where = shown(url)
        self._sink = opener(url)
        self._store = SqliteStore.open_reading(path)
        self._file = _file_at(path)
        self._mark = _Mark(mark_path(path, url))
        self._since = _Since()
        self._after = self._mark.load(self._store)
        self._ending = threading.Event()
        self.trouble: str | None = None
        """What is wrong with the server now."""
        self.sent: int = 0
        """Visits that were sent."""
        self.refused: int = 0
        """Rows that the server does not take."""
        self._thread = threading.Thread(target=self._run, name="forwarder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Send what is left, and let go of everything. A server that fails gets ten seconds; the rest is sent by the next forwarder."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._forward()
        finally:
            self._store.close()
            with suppress(Exception):
                self._sink.close()

    def _forward(self) -> None:
        pause, others_at, patience = _FIRST_PAUSE, float("-inf"), float("inf")
        while True:
            is_last = self._ending.is_set()
            try:
                self._follow()
                if is_last:
                    self._since = _Since()
                if is_last or time.monotonic() > others_at + _OTHERS_EVERY:
                    self._send_others()
                    others_at = time.monotonic()
                self._send_visits()
            except SinkError as error:
                self._fails(str(error))
            except Exception as error:  # a driver that fails as it must not is tried again, too
                _logger.warning("forwarding to %s failed in a way that was not foreseen", self._where, exc_info=error)
                self._fails(f"{self._where}: {type(error).__name__}")
            else:
                self._is_well()
                pause, patience = _FIRST_PAUSE, float("inf")
                if is_last:
                    return
                self._ending.wait(_EVERY)
                continue
            if self._ending.is_set():
                patience = min(patience, time.monotonic() + _LAST_TRIES)
                if time.monotonic() > patience:
                    self._tell(f"{self._where} has not everything yet: {self.trouble}. The next crawl of {self._path} sends the rest")
                    return
                time.sleep(_FIRST_PAUSE)
            else:
                self._ending.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _follow(self) -> None:
        """Open the file anew if another has taken its place, as when it was deleted and written there again."""
        if (found := _file_at(self._path)) not in {None, self._file}:
            self._store.close()
            self._store, self._file = SqliteStore.open_reading(self._path), found
            self._after, self._since = self._mark.load(self._store), _Since()

    def _send_others(self) -> None:
        """Send crawls, and the sightings and records that are newer than what was sent."""
        since = self._since
        self._write(Batch(crawls=list(self._store.crawls())))
        newest_sighting, newest_record = since.sightings, since.records
        for sightings in _parts(self._store.sightings(since=since.sightings)):
            newest_sighting = max(newest_sighting, *(one.last for one in sightings))
            self._write(Batch(sightings=sightings))
        for records in _parts(self._store.records(since=since.records)):
            newest_record = max(newest_record, *(one.seen for one in records))
            self._write(Batch(records=records))
        self._since = _Since(max(_LEAST, newest_sighting - _OVERLAP), max(_LEAST, newest_record - _OVERLAP))

    def _send_visits(self) -> None:
        size = _AT_ONCE  # fewer about a row that is not taken, so that each step brings it nearer
        while True:
            with closing(self._store.visits_after(self._after)) as following:
                numbered = list(islice(following, size))  # no transaction stays open while they are sent
            if not numbered:
                return
            try:
                self._sink.write(Batch(visits=[visit for _, visit in numbered]))
            except RowsRefusedError as error:
                if len(numbered) > 1:
                    size = len(numbered) // 2
                    continue
                self._leave_out(error)
            self._after, newest = numbered[-1]
            self.sent += len(numbered)
            self._mark.save(self._after, newest)
            size = min(2 * size, _AT_ONCE)

    def _write(self, batch: Batch) -> None:
        if not len(batch):
            return
        try:
            self._sink.write(batch)
        except RowsRefusedError as error:
            if len(batch) == 1:
                self._leave_out(error)
                return
            for half in halves(batch):
                self._write(half)

    def _leave_out(self, error: RowsRefusedError) -> None:
        self.refused += 1
        if str(self.refused).strip("0") == "1":
            self._tell(f"{self.refused:,} row{'s' * (self.refused > 1)} left out so far: {error}")

    def _fails(self, why: str) -> None:
        if self.trouble is None:
            self._tell(f"{why}. It gets everything from {self._path} once it is there again")
        self.trouble = why

    def _is_well(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            self._tell(f"{self._where} has everything now")


def _file_at(path: str) -> tuple[int, int] | None:
    """Which file a path names now."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def mark_path(path: str, url: str) -> Path:
    """Where it is kept how much of a file a server has: beside the file. If it is deleted, all is sent once more."""
    return Path(f"{path}.sent-{hashlib.sha256(shown(url).encode()).hexdigest()[:16]}")


class _Mark:
    """The last visit that a server has, by its number and its name: in another file of the same path that number is somebody else's."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, store: SqliteStore) -> int:
        """The number after which visits are to be sent."""
        try:
            found: dict[str, Any] = json.loads(self._path.read_bytes())
            number, name = int(found["number"]), str(found["name"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        with closing(store.visits_after(number - 1)) as following:
            there = next(following, None)
        return number if there is not None and there[0] == number and _name(there[1]) == name else 0

    def save(self, number: int, visit: Visit) -> None:
        """Move the mark; where that is not possible, more is sent again later."""
        written = self._path.with_name(self._path.name + ".new")
        try:
            written.write_text(json.dumps({"number": number, "name": _name(visit)}), "ascii")
            written.replace(self._path)
        except OSError as error:
            _logger.info("cannot write %s: %s", self._path, error)


def _name(visit: Visit) -> str:
    return f"{visit.began} {visit.node.hex()} {int(visit.kind)} {visit.crawl.hex()}"


def _parts(rows: Iterator[T]) -> Iterator[list[T]]:
    while part := list(islice(rows, _AT_ONCE)):
        yield part
