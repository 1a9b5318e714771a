"""Large numbers, by `make long`: 10 million visits and a report of them, 20,000 rows a second, and a loop that goes on meanwhile.

Figures are of computing where they can be, since a machine that does other things makes any clock run fast.
"""

import gc
import statistics
import sys
import time
from itertools import islice

import pytest
import trio
from devp2p_crawler.cli import main
from devp2p_crawler.model import Batch
from devp2p_crawler.stores import Sink, SqliteStore, Writer

from tests.crawler import volume

VISITS = 10_000_000
A_SECOND = 20_000
TICK = 0.01  # seconds


class Nowhere:
    """A sink that keeps nothing: what the loop does without a store."""

    def write(self, batch: Batch) -> None:
        pass

    def close(self) -> None:
        pass


async def lags(sink: Sink, batches: list[Batch]) -> tuple[list[float], float, float]:
    """Put a batch at each tick; how late each tick was, the longest put, and the seconds of computing of other threads than this."""
    late, longest = list[float](), 0.0
    process, thread = time.process_time(), time.thread_time()
    with Writer([sink], most=1_000_000) as writer:
        for batch in batches:
            due = trio.current_time() + TICK
            await trio.sleep_until(due)
            began = time.perf_counter()
            late.append(trio.current_time() - due)
            writer.put(batch)
            longest = max(longest, time.perf_counter() - began)
    assert writer.lost == 0
    return late, longest, time.process_time() - process - (time.thread_time() - thread)


def quantile(late: list[float], part: int) -> float:
    return statistics.quantiles(late, n=100)[part - 1] * 1000


@pytest.mark.long
def test_a_loop_goes_on_while_twenty_thousand_rows_a_second_are_written(tmp_path):
    seconds = 20
    size = round(A_SECOND * TICK)
    all_visits = [visit for batch in islice(volume.batches(seconds * A_SECOND, 20_000), 5, None) for visit in batch.visits]
    batches = [Batch(visits=all_visits[at : at + size]) for at in range(0, len(all_visits), size)]
    gc.collect()
    gc.freeze()
    try:
        without, _, _ = trio.run(lags, Nowhere(), batches)
        late, longest, computing = trio.run(lags, SqliteStore.create_or_open(tmp_path / "crawl.db"), batches)
    finally:
        gc.unfreeze()
    told = f"late by {quantile(late, 50):.1f} ms, of 100 ticks one by {quantile(late, 99):.1f} ms, at most {max(late) * 1000:.0f} ms"
    control = f"{quantile(without, 50):.1f}, {quantile(without, 99):.1f} and {max(without) * 1000:.0f} ms without a store"
    rate = len(all_visits) / computing
    sys.stdout.write(
        f"{told} ({control}); longest put {longest * 1000:.1f} ms; {rate:,.0f} rows for each second of the writer's computing\n"
    )
    with SqliteStore.open_reading(tmp_path / "crawl.db") as store:
        assert store.connection.execute("SELECT count(*) FROM visit").fetchall() == [(len(all_visits),)]
    assert rate > A_SECOND
    assert quantile(late, 50) < quantile(without, 50) + 10
    assert quantile(late, 99) < quantile(without, 99) + 100


@pytest.mark.long
def test_ten_million_visits_are_written_in_bounded_memory_and_reported_within_thirty_seconds(tmp_path):
    path = tmp_path / "crawl.db"
    found = volume.fill(path, VISITS)
    rate = found["rows"] / found["computing"]
    sys.stdout.write(f"{found}: {rate:,.0f} rows for each second of computing\n")
    assert rate > A_SECOND
    assert found["memory"] < 400
    began = time.process_time()
    assert main(["report", "--db", str(path), str(tmp_path / "report.html")]) == 0
    report = time.process_time() - began
    began = time.process_time()
    with SqliteStore.open_reading(path) as store:
        nodes = sum(1 for _ in store.nodes())
        first = next(store.nodes()).node
        reading = time.process_time() - began
        began = time.process_time()
        visits = list(store.visits(node=first))
        chain = time.process_time() - began
    sys.stdout.write(
        f"report {report:.1f} s; {nodes:,} nodes read in {reading:.1f} s; {len(visits)} visits of one in {chain * 1000:.0f} ms\n"
    )
    assert report < 30
