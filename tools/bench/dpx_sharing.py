"""Several capabilities in one dpx/1 session: urgent messages beside large ones, through a slow line, and the sibling of one never read."""

from collections.abc import Iterable, Iterator
from statistics import median
from typing import Final

from tools.bench.figures import Row, compare, percentile
from tools.bench.plan import KIB, MIB, Benchmark, Plan
from tools.bench.sides import OURS, Side

_PATIENCE: Final = 30.0
_PERCENTILES: Final = (50, 99)
BESIDE: Final = tuple(f"dpx1/qos/urgent_p{share}_beside_10MiB" for share in _PERCENTILES)
SLOW: Final = (*(f"dpx1/qos/one_way_p{share}_at_1MBps" for share in _PERCENTILES), "dpx1/qos/in_buffers_at_1MBps")
SIBLING: Final = ("dpx1/qos/sibling_of_unread",)


def beside(plan: Plan) -> Iterator[Row]:
    """Ping-pong with urgent messages of 512 bytes beside messages of 10 MiB; go-ethereum's pings overtake nothing."""
    seconds = plan.seconds(4.0, 1.0)

    def measure(side: Side) -> tuple[float, ...]:
        kind = "dpxqos" if side is OURS else "qos"
        with side.pair(f"{kind}-serve", f"{kind}-play", "--beside", str(10 * MIB), "--seconds", str(seconds)) as (_, player):
            waits = sorted(player.line(seconds + _PATIENCE)["waits"])
        return tuple(percentile(waits, share) / 1000 for share in _PERCENTILES)

    pairs = list(plan.alternate_many(OURS, measure))
    for index, name in enumerate(BESIDE):
        yield compare(name, "ms", "lower", [mine[index] for mine, _ in pairs], [theirs[index] for _, theirs in pairs if theirs])


def slow(plan: Plan) -> Iterator[Row]:
    """One way through a line of 1 MB/s, and how much of that the system's buffers hold already, which nothing can overtake."""
    seconds = plan.seconds(8.0, 2.0)
    found: list[tuple[float, ...]] = []
    for _ in range(plan.repeats):
        with OURS.run("dpxqos-slow", "--beside", str(10 * MIB), "--seconds", str(seconds)) as process:
            report = process.line(seconds + _PATIENCE)
        waits = sorted(report["waits"])
        found.append((*(percentile(waits, share) for share in _PERCENTILES), median(report["buffered"])))
    for index, name in enumerate(SLOW):
        yield Row(name, median(figures[index] for figures in found), None, "ms", None, None)


def sibling(plan: Plan) -> Iterator[Row]:
    """What a flow gets beside one that is never read, as a part of what it gets alone."""
    seconds, size = plan.seconds(2.0, 0.7), 16 * KIB
    parts: list[float] = []
    for _ in range(plan.repeats):
        got: list[float] = []
        for flows in (f"quick:{size}:1,unread:{size}:1", f"quick:{size}:1"):
            with OURS.pair("dpxshare-recv", "dpxshare-send", "--flows", flows, "--stall", "--seconds", str(seconds)) as (receiver, _):
                got.append(receiver.line(seconds + _PATIENCE)["bytes"]["quick"])
        parts.append(100 * got[0] / got[1])
    yield Row(SIBLING[0], median(parts), None, "%", None, None)


def benchmarks() -> Iterable[Benchmark]:
    """All of them, in the order of the table."""
    yield Benchmark(BESIDE, beside)
    yield Benchmark(SLOW, slow)
    yield Benchmark(SIBLING, sibling)
