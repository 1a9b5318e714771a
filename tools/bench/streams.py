"""Streams of messages between two processes, at the bare level and through the public API, and handshakes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from tools.bench.figures import Row, compare
from tools.bench.plan import KIB, MIB, Benchmark, Plan, size_name
from tools.bench.sides import OURS, OURS_PYCRYPTODOME, Side

_PATIENCE = 20.0  # seconds that a measured process may take longer than it was told to
_LARGE = 16 * KIB
SIZES = (32, 256, KIB, 16 * KIB, 256 * KIB, MIB)


def time_a_message(side: Side, level: str, seconds: float, *arguments: str) -> float:
    """Seconds a message, where the receiver sees them."""
    with side.pair(f"{level}-recv", f"{level}-send", "--seconds", str(seconds), *arguments) as (receiver, _):
        report = receiver.line(seconds + _PATIENCE)
    return float(report["seconds"] / report["messages"])


@dataclass(frozen=True)
class Stream:
    """One size of message and one kind of payload, at one level."""

    level: str
    size: int
    variant: str = ""
    """What is not plain about it, as the last part of the name."""
    arguments: tuple[str, ...] = ()
    ours: Side = OURS

    @property
    def name(self) -> str:
        """The name of its row: from 16 KiB on it gives MB/s, below that the time a message."""
        figure = "throughput" if self.size >= _LARGE else "message"
        return f"{self.level}/{figure}/{size_name(self.size)}" + (f"/{self.variant}" if self.variant else "")

    def measure(self, plan: Plan) -> Iterator[Row]:
        """Its one row."""
        seconds = plan.seconds(0.4, 0.15) if self.size < MIB else plan.seconds(0.6, 0.4)
        arguments = ("--size", str(self.size), *self.arguments)
        mine, theirs = plan.alternate(self.ours, lambda side: time_a_message(side, self.level, seconds, *arguments))
        if self.size >= _LARGE:
            speeds = [[self.size / 1e6 / value for value in values] for values in (mine, theirs)]
            yield compare(self.name, "MB/s", "higher", *speeds)
        else:
            times = [[1e6 * value for value in values] for values in (mine, theirs)]
            yield compare(self.name, "us", "lower", *times)


def handshakes(ours: Side, name: str, plan: Plan) -> Iterator[Row]:
    """From the TCP connection to the agreed keys, both sides' work together."""
    seconds = plan.seconds(0.5, 0.25)

    def measure(side: Side) -> float:
        with side.pair("rlpx-handshake", "rlpx-handshake", "--seconds", str(seconds)) as (_, initiator):
            report = initiator.line(seconds + _PATIENCE)
        return float(1000 * report["seconds"] / report["messages"])

    yield compare(name, "ms", "lower", *plan.alternate(ours, measure))


def benchmarks() -> Iterable[Benchmark]:
    """All of them, in the order of the table."""
    pattern = ("--payload", "pattern")
    streams = [
        *(Stream("rlpx", size) for size in SIZES),
        *(Stream("rlpx", size, "snappy", ("--snappy",)) for size in (32, KIB, 16 * KIB)),
        *(Stream("rlpx", size, "compressible", ("--snappy", *pattern)) for size in (KIB, 16 * KIB, 256 * KIB)),
        *(Stream("api", size) for size in SIZES),
        *(Stream("api", size, "compressible", pattern) for size in (KIB, 256 * KIB)),
        *(Stream("rlpx", size, "pycryptodome", ours=OURS_PYCRYPTODOME) for size in (32, KIB, 16 * KIB, MIB)),
        *(Stream("api", size, "pycryptodome", ours=OURS_PYCRYPTODOME) for size in (32, MIB)),
    ]
    for ours, name in ((OURS, "rlpx/handshake"), (OURS_PYCRYPTODOME, "rlpx/handshake/pycryptodome")):
        yield Benchmark((name,), partial(handshakes, ours, name), variant=ours is not OURS)
    yield from (Benchmark((stream.name,), stream.measure, variant=bool(stream.variant)) for stream in streams)
