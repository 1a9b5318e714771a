"""The crawler: one simulated network crawled by it and by go-ethereum's, and what its visits, its file and its report take."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from tools.bench.figures import Row, compare
from tools.bench.plan import Benchmark, Plan
from tools.bench.sides import ROOT, BenchError
from tools.crawler.compare import DEVP2P, OURS, Crawled, factor, parse
from tools.crawler.compare import compare as compare_crawls

NODES: Final = 2000
MARKS: Final = ("90", "95")
_TIMES: Final = 3.0  # so many times as long as ours took is go-ethereum's given
_LIMIT: Final = 60.0  # seconds that a crawl may take
_PATIENCE: Final = 300.0  # seconds for the other programs
_VISITS_IN_FILE: Final = (500_000, 100_000)  # usual, quick
FILE_NAMES: Final = ("crawl/rows_written", "crawl/report")


def names_of(version: int) -> tuple[str, ...]:
    """The rows of a crawl by one version of discovery."""
    return (*(f"crawl/v{version}/time_to_{mark}" for mark in MARKS), f"crawl/v{version}/packets_a_node")


def network(version: int, plan: Plan) -> Iterator[Row]:
    """Crawl the same network by both, once: ours, and then go-ethereum's with each parallelism side by side, of which the best counts."""
    if not OURS.is_file():
        raise BenchError(f"there is no {OURS.name}: make install")
    has_peer = plan.peer is not None and _is_built()
    beside = ("16", "64", "200") if has_peer else ()
    arguments = ["--versions", str(version), "--nodes", str(NODES), "--limit", f"{_LIMIT:g}", "--times", f"{_TIMES:g}", "--together"]
    crawls = trio.run(compare_crawls, parse([*arguments, "--parallelism", *beside]), _tell)
    void = [f"{crawled.crawler} is {crawled.void}" for crawled in crawls if crawled.void]
    if void:
        raise BenchError("; ".join(void))
    yield from rows(version, crawls)


def rows(version: int, crawls: Sequence[Crawled]) -> Iterator[Row]:
    """What crawls of one network show; ours is the first of them. BenchError if ours did not reach what is measured."""
    mine, theirs = crawls[0], crawls[1:]
    for mark, name in zip(MARKS, names_of(version), strict=False):
        took = mine.seconds_to[mark]
        if took is None:
            raise BenchError(f"ours reached {mine.recall:.1%} of the nodes in {mine.seconds:.0f} s, and not {mark} %")
        times = factor(crawls, mark) if theirs else None
        peer = [] if times is None else [times[0] * took]
        yield compare(name, "s (theirs: or more)" if times is not None and times[1] else "s", "lower", [took], peer)
    last = MARKS[-1]
    spent = mine.packets_per_node(last)
    if spent is None:
        raise BenchError(f"ours did not reach {last} %")
    # Who has reached fewer has spent less on each, as the last ones are the hardest; so this is go-ethereum's at its best.
    others = [packets for crawled in theirs if (packets := crawled.packets_per_node(last) or crawled.packets_per_node()) is not None]
    yield compare(names_of(version)[-1], "packets", "lower", [spent], [min(others)] if others else [])


def _is_built() -> bool:
    """Whether go-ethereum's crawler is there; it is built if it is not."""
    if not DEVP2P.is_file():
        built = subprocess.run([sys.executable, "tests/interop/build.py", "devp2p"], cwd=ROOT, capture_output=True, check=False)
        if built.returncode:
            sys.stderr.write(f"go-ethereum's crawler could not be built: {built.stderr.decode('utf-8', 'replace').strip()[-300:]}\n")
    return DEVP2P.is_file()


def _tell(crawled: Crawled) -> None:
    sys.stderr.write(f"  v{crawled.version} {crawled.crawler}: {crawled.recall:.1%} after {crawled.seconds:.0f} s\n")


def visits(plan: Plan) -> Iterator[Row]:
    """Visits with Hello and Status for each second of the crawler's processor time."""

    def once() -> float:
        told = _json("tools.bench.visits")
        if told["failed"]:
            raise BenchError(f"{told['failed']} of the visits failed")
        return float(told["visits"] / told["seconds"])

    yield compare("crawl/visits_by_rlpx", "visits/s", "higher", [once() for _ in range(plan.repeats)], [])


def file(plan: Plan) -> Iterator[Row]:
    """Rows written to a file, by the clock, and then the report on it, which is a process of its own."""
    made = _VISITS_IN_FILE[plan.quick]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crawl.db"
        told = _json("tests.crawler.volume", str(path), "--visits", str(made))
        yield Row(FILE_NAMES[0], told["rows"] / told["wall"], None, "rows/s", None, None)
        began = time.perf_counter()
        _output(str(OURS), "report", "--db", str(path), str(Path(folder) / "report.html"))
        yield Row(FILE_NAMES[1], time.perf_counter() - began, None, f"s for {made:,} visits", None, None)


def _json(*module: str) -> dict[str, Any]:
    """The line of JSON that a module of ours prints."""
    told: dict[str, Any] = json.loads(_output(sys.executable, "-m", *module))
    return told


def _output(*command: str) -> str:
    """What a program of ours prints."""
    shown = " ".join(command[:3])
    try:
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_PATIENCE)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise BenchError(f"`{shown}` took more than {_PATIENCE:g} s") from None
    if ran.returncode:
        raise BenchError(f"`{shown}` failed: {ran.stderr.strip()[-300:]}")
    return ran.stdout


def benchmarks() -> Iterable[Benchmark]:
    """All of them, in the order of the table."""
    yield from (Benchmark(names_of(version), partial(network, version), variant=True) for version in (4, 5))
    yield Benchmark(("crawl/visits_by_rlpx",), visits)
    yield Benchmark(FILE_NAMES, file, variant=True)
