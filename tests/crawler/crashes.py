"""A process that writes a known stream, killed (SIGKILL) at random moments and resumed, again and again.

`python -m tests.crawler.crashes FILE --seed S --kills N` does it, and prints what it found as JSON. It starts its writers by fork, which
costs no imports, and therefore has no threads of its own. A writer puts the batches of `rows.stream` one after the other into a `Writer`,
beginning after those that the file has; before each it notes the time in a log. After each kill the file must hold exactly the
first so many batches, no less than what it held before, and all that were put a second or longer ago.
"""

import argparse
import json
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from devp2p_crawler.model import Batch
from devp2p_crawler.stores import SqliteStore, Writer

from tests.crawler import rows

_NOTE = struct.Struct("!d")  # when a batch was put, on the monotonic clock
_PAUSE = 0.005  # seconds between batches


@dataclass
class Kill:
    """One run of the writer, and what it left."""

    ran: float
    """Seconds for which it was let run after its first put."""
    put: int
    """Batches that it had put in all, with those of earlier runs."""
    kept: int
    """Batches that the file has."""
    in_flight: float
    """Seconds from the put of the first batch that is missing until the kill; 0 if none is missing."""
    starved: float
    """The longest time between two puts: how busy the machine was."""


class Tape:
    """The batches of a stream, made when they are first asked for."""

    def __init__(self, seed: int) -> None:
        self._stream = rows.stream(seed)
        self._batches = list[Batch]()
        self._numbers = {0: 0}  # visits in so many batches -> how many

    def part(self, first: int, last: int) -> list[Batch]:
        """The batches from `first` on, before `last`."""
        for batch in islice(self._stream, max(0, last - len(self._batches))):
            self._batches.append(batch)
            self._numbers[max(self._numbers) + len(batch.visits)] = len(self._batches)
        return self._batches[first:last]

    def batches_in(self, path: Path) -> int:
        """How many batches a file holds; AssertionError if it holds a part of one."""
        with SqliteStore.open_reading(path) as store:
            assert store.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            [(visits, keys)] = store.connection.execute("SELECT count(*), count(DISTINCT began) FROM visit").fetchall()
            crawls = len(list(store.crawls()))
        assert visits == keys, "a visit is there twice"
        assert visits in self._numbers, f"{visits} visits are no whole number of batches"
        return self._numbers[visits] if visits else crawls  # the first batch has but the crawl


def killed_writer(path: Path, batches: list[Batch], after: float) -> tuple[list[float], float]:
    """Let a process write batches, and kill it `after` seconds after its first put; when it put each, and when it was killed."""
    log = path.with_suffix(".log")
    log.write_bytes(b"")
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(_in_child(lambda: _write(path, batches, log, told)))
    os.close(told)
    os.read(ready, 1)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    killed = time.monotonic()
    _, status = os.waitpid(child, 0)
    os.close(ready)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    content = log.read_bytes()
    return [at for (at,) in _NOTE.iter_unpack(content[: len(content) // _NOTE.size * _NOTE.size])], killed


def _in_child(work: Callable[[], None]) -> int:
    try:
        work()
    except BaseException as error:  # a forked child must not go on as its parent  # noqa: BLE001
        sys.stderr.write(f"writer: {error!r}\n")
        return 1
    return 0


def _write(path: Path, batches: list[Batch], log: Path, told: int) -> None:
    notes = os.open(log, os.O_WRONLY | os.O_APPEND)
    with Writer([SqliteStore.create_or_open(path)]) as writer:
        for batch in batches:
            os.write(notes, _NOTE.pack(time.monotonic()))
            writer.put(batch)
            if batch is batches[0]:
                os.write(told, b"!")
            time.sleep(_PAUSE)


def run(path: Path, seed: int, kills: int, *, longest: float = 0.8) -> list[Kill]:
    """Kill a writer so many times, then let it come to its end; AssertionError if the file is ever wrong."""
    chance = random.Random(seed)
    tape = Tape(seed)
    found = list[Kill]()
    kept = 0
    SqliteStore.create_or_open(path).close()
    for _ in range(kills):
        after = chance.uniform(0, longest) ** 2 / longest  # short runs, in which the file is opened, more often than long ones
        batches = tape.part(kept, kept + round(longest / _PAUSE) + 1)
        times, killed = killed_writer(path, batches, after)
        before, put, kept = kept, kept + len(times), tape.batches_in(path)
        assert before <= kept <= put, f"{kept} batches are there, after {before} and {put}"
        found.append(
            Kill(
                ran=after,
                put=put,
                kept=kept,
                in_flight=0.0 if kept == put else killed - times[kept - before],
                starved=max((later - earlier for earlier, later in pairwise([*times, killed])), default=0.0),
            )
        )
    with Writer([SqliteStore.create_or_open(path)]) as writer:
        for batch in tape.part(kept, kept + 50):
            writer.put(batch)
    assert tape.batches_in(path) == kept + 50
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    sys.stderr.write(f"seed {options.seed}\n")
    sys.stdout.write(json.dumps([vars(kill) for kill in run(options.path, options.seed, options.kills)]))


if __name__ == "__main__":
    main()
