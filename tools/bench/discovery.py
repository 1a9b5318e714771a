"""Discovery: single packets beside go-ethereum's, how many questions a core answers, and what a full table weighs."""

from collections.abc import Iterable, Iterator
from functools import partial

from tools.bench.endpoints.discovery import TABLES
from tools.bench.figures import Row, compare, slope
from tools.bench.footprint import memory
from tools.bench.plan import Benchmark, Plan
from tools.bench.sides import OURS, Side

_PATIENCE = 20.0  # seconds that a measured process may take longer than it was told to
PACKET_NAMES = ("discv4/encode", "discv4/decode", "discv5/handshake", "discv5/encode", "discv5/decode")
PAIR_NAMES = {"discv4/pairs": "pairs/s", "discv5/pairs": "messages/s"}
TABLE_NAME = "discovery/table_memory"


def time_each(side: Side, name: str, seconds: float) -> float:
    """Seconds for each time that a process does what the row of that name is about."""
    with side.run(name.replace("/", "-"), "--seconds", str(seconds)) as process:
        report = process.line(seconds + _PATIENCE)
    return float(report["seconds"] / report["messages"])


def packets(name: str, plan: Plan) -> Iterator[Row]:
    """Microseconds for a packet, without sockets."""
    seconds = plan.seconds(0.5, 0.2)
    mine, theirs = plan.alternate(OURS, lambda side: 1e6 * time_each(side, name, seconds))
    yield compare(name, "us", "lower", mine, theirs)


def pairs(name: str, plan: Plan) -> Iterator[Row]:
    """Questions and answers of two nodes in one process; go-ethereum's cannot be had without sockets and a goroutine for each of them."""
    seconds = plan.seconds(0.5, 0.2)
    mine = [1 / time_each(OURS, name, seconds) for _ in range(plan.repeats)]
    yield compare(name, PAIR_NAMES[name], "higher", mine, [])


def tables(plan: Plan) -> Iterator[Row]:  # noqa: ARG001  (a slope needs all of them)
    """How much the memory of a process grows with each table that is full."""
    points: list[tuple[float, float]] = []
    with OURS.run("discovery-tables") as process:
        while len(points) < TABLES:
            count = process.line(_PATIENCE)["tables"]
            points.append((count, memory(process.pid)))
            process.nudge()
    yield Row(TABLE_NAME, slope(points), None, "KiB", None, None)


def benchmarks() -> Iterable[Benchmark]:
    """All of them, in the order of the table."""
    yield from (Benchmark((name,), partial(packets, name)) for name in PACKET_NAMES)
    yield from (Benchmark((name,), partial(pairs, name)) for name in PAIR_NAMES)
    yield Benchmark((TABLE_NAME,), tables)
