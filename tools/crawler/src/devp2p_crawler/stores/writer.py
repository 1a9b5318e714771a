"""`Writer`: writes what a crawl finds, by threads of its own, so that the crawl waits for no disk and no server.

Each sink has a lane: a queue of rows with a bound, and a thread. A lane writes as soon as 1,000 rows wait or the first of them has waited
for 250 ms; while it writes, more come together, which are then written at once. If a sink fails, the lane keeps what it was about to write
and tries again, after 100 ms at first and 5 s at last; what the sink will never take is left out, and counted. When the queue is full,
further visits, sightings and records are left out, and counted; crawls and times of next visits are kept, as there is only one of each.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Self

from devp2p.terminal import warn
from devp2p_crawler.model import Batch, Crawl
from devp2p_crawler.stores.sinks import RowsRefusedError, Sink, SinkError

_logger = logging.getLogger(__name__)

_ROWS: Final = 1000  # that wait are written
_WAIT: Final = 0.25  # seconds that a row waits for others
_MOST_AT_ONCE: Final = 10_000  # rows of one transaction
_MOST_WAITING: Final = 100_000  # rows of a lane; about 50 MB
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_LAST_TRIES: Final = 10.0  # seconds that `close` gives a sink that fails


class Writer:
    """Takes batches by `put`, from one thread, and writes them to each of `sinks`. It is a context manager, whose end is `close`.

    `tell` gets a line when a sink begins to fail, when it is well again and when rows have to be left out, once each; the threads of the
    lanes call it. The sinks belong to the writer until it is closed, and are closed with it.
    """

    def __init__(self, sinks: Sequence[Sink], *, most: int = _MOST_WAITING, tell: Callable[[str], None] = warn) -> None:
        self._lanes = [_Lane(sink, most, tell) for sink in sinks]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def spooled(self) -> int:
        """How many rows wait to be written, of the lane in which most do."""
        return max((lane.waiting for lane in self._lanes), default=0)

    @property
    def lag(self) -> float:
        """For how many seconds the oldest row that is not written yet has waited."""
        return max((lane.lag for lane in self._lanes), default=0.0)

    @property
    def written(self) -> int:
        """How many rows were written, by the lane that wrote fewest."""
        return min((lane.written for lane in self._lanes), default=0)

    @property
    def lost(self) -> int:
        """How many rows were left out, for want of room or as a sink does not take them, by all lanes together."""
        return sum(lane.lost for lane in self._lanes)

    @property
    def trouble(self) -> str | None:
        """What is wrong with a sink now; None if all is well."""
        return next((lane.trouble for lane in self._lanes if lane.trouble is not None), None)

    def put(self, batch: Batch) -> None:
        """Have a batch written. It never waits and never fails; the batch is copied, and may be used again."""
        for lane in self._lanes:
            lane.put(batch)

    def close(self) -> None:
        """Write what waits, and close the sinks. It takes as long as that does; sinks that fail get ten seconds."""
        for lane in self._lanes:
            lane.end()
        for lane in self._lanes:
            lane.join()


class _Lane:
    """One sink, what waits for it, and the thread that writes it. What is changed under `_changed`, both threads change."""

    def __init__(self, sink: Sink, most: int, tell: Callable[[str], None]) -> None:
        self.waiting = 0
        self.written = 0
        self.lost = 0
        self.crowded = False
        self.trouble: str | None = None
        self._sink = sink
        self._most = most
        self._tell = tell
        self._queue = Batch()
        self._crawls = dict[bytes, Crawl]()
        self._since = 0.0  # when the first row of the queue came
        self._taken_since: float | None = None  # the same of what is being written
        self._refusals = 0
        self._told_of_crowd = False
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def put(self, batch: Batch) -> None:
        with self._changed:
            queue, before = self._queue, self._queued
            if self.waiting + len(batch) <= self._most:
                queue.sightings += batch.sightings
                queue.records += batch.records
                queue.visits += batch.visits
            else:
                self.lost += len(batch.sightings) + len(batch.records) + len(batch.visits)
                self.crowded = True
            queue.due.update(batch.due)
            self._crawls.update((crawl.id, crawl) for crawl in batch.crawls)
            now = self._queued
            self.waiting += now - before
            if not before and now:
                self._since = time.monotonic()
            if now and (not before or now >= _ROWS > before):
                self._changed.notify()

    def end(self) -> None:
        self._ending.set()
        with self._changed:
            self._changed.notify()

    def join(self) -> None:
        self._thread.join()

    @property
    def lag(self) -> float:
        with self._changed:
            oldest = self._taken_since if self._taken_since is not None else self._since if self._queued else None
        return 0.0 if oldest is None else time.monotonic() - oldest

    @property
    def _queued(self) -> int:
        return len(self._queue) + len(self._crawls)

    def _run(self) -> None:
        try:
            while (batch := self._next()) is not None:
                self._write(batch)
                self._taken_since = None
        finally:
            self._sink.close()

    def _next(self) -> Batch | None:
        """What is to be written now, as soon as it is; None at the end."""
        with self._changed:
            while not self._ending.is_set() and self._queued < _ROWS:
                wait = self._since + _WAIT - time.monotonic() if self._queued else None
                if wait is not None and wait <= 0:
                    break
                self._changed.wait(wait)
            queue, crawls = self._queue, list(self._crawls.values())
            self._taken_since = self._since if len(queue) or crawls else None
            self._crawls = {}
            self._queue = Batch()
            if len(queue) > _MOST_AT_ONCE:  # leave the rest of the visits, which are most of it, for the next time
                self._queue.visits = queue.visits[_MOST_AT_ONCE:]
                del queue.visits[_MOST_AT_ONCE:]
            queue.crawls = crawls
            return queue if len(queue) else None

    def _write(self, batch: Batch) -> None:
        """Write a batch, however long that takes; until the end has come, and the sink has failed for long enough since."""
        pause, patience = _FIRST_PAUSE, None
        while True:
            try:
                self._sink.write(batch)
            except RowsRefusedError as error:
                self._refused(batch, str(error))
                return
            except SinkError as error:
                self._fails(str(error))
            except Exception as error:  # a sink that fails as it must not is not to take the others with it
                _logger.warning("a sink failed in a way that was not foreseen", exc_info=error)
                self._refused(batch, f"{type(error).__name__}: {error}")
                return
            else:
                self._is_well(len(batch))
                return
            if self._ending.wait(pause):
                patience = patience or time.monotonic() + _LAST_TRIES
                if time.monotonic() > patience:
                    self._give_up()
                    return
                time.sleep(_FIRST_PAUSE)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _refused(self, batch: Batch, why: str) -> None:
        """Leave out the rows that the sink will never take, which are looked for by halves."""
        if len(batch) > 1:
            for half in halves(batch):
                self._write(half)
            return
        with self._changed:
            self.lost += 1
            self.waiting -= 1
        self._refusals += 1
        if str(self._refusals).strip("0") == "1":  # not for each, as there may be many
            self._tell(f"{self._refusals:,} row{'s' * (self._refusals > 1)} left out so far: {why}")

    def _fails(self, why: str) -> None:
        if self.trouble is None:
            self._tell(f"{why}. Up to {self._most:,} rows wait until it goes on")
        self.trouble = why
        self._tell_of_crowd()

    def _is_well(self, count: int) -> None:
        with self._changed:
            self.written += count
            self.waiting -= count
        if self.trouble is not None:
            self.trouble = None
            self._tell(f"writing goes on; {self.waiting:,} rows wait, {self.lost:,} had to be left out so far")
        self._tell_of_crowd()

    def _tell_of_crowd(self) -> None:
        if self.crowded and not self._told_of_crowd:
            self._told_of_crowd = True
            self._tell(f"more than {self._most:,} rows would wait to be written: rows are left out, and counted")

    def _give_up(self) -> None:
        with self._changed:
            self.lost += self.waiting
            self._tell(f"{self.waiting:,} rows could not be written: {self.trouble}")
            self.waiting, self._queue, self._crawls = 0, Batch(), {}


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """A batch of two or more rows as two, in order: that of crawls before all, since visits belong to them."""
    first, second, room = Batch(), Batch(), len(batch) // 2
    for name in ("crawls", "sightings", "records", "visits"):
        rows = getattr(batch, name)
        setattr(first, name, rows[:room])
        setattr(second, name, rows[room:])
        room -= min(room, len(rows))
    due = list(batch.due.items())
    first.due, second.due = dict(due[:room]), dict(due[room:])
    return first, second
