"""dpx/1 beside go-ethereum's stock RLPx: streams of messages at the bare level and through the public API, handshakes, and the floors.

What is compared is what each side has: go-ethereum knows nothing of dpx/1. Beside each stream stands, from the same run, how fast the same
bytes go through the socket alone and through the cipher alone, and how much of what these two allow is reached.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

from tools.bench.figures import Row, compare
from tools.bench.plan import KIB, MIB, Benchmark, Plan, size_name
from tools.bench.sides import OURS, Side
from tools.bench.streams import time_a_message

_PATIENCE = 20.0  # seconds that a measured process may take longer than it was told to
_LARGE = 16 * KIB
FLOORS = ("socket_alone", "cipher_alone", "share_of_floor")
SIZES = (32, KIB, 16 * KIB, 256 * KIB, MIB)


def time_a_seal(seconds: float, *arguments: str) -> float:
    """Seconds that the cipher alone takes for a message on one side."""
    with OURS.run("aead-seal", "--seconds", str(seconds), *arguments) as process:
        report = process.line(seconds + _PATIENCE)
    return float(report["seconds"] / report["messages"])


@dataclass(frozen=True)
class Stream:
    """One size of message at the bare level."""

    size: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of its rows: the stream itself, the two floors, and how much of them is reached."""
        name = f"dpx1/{'throughput' if self.size >= _LARGE else 'message'}/{size_name(self.size)}"
        return (name, *(f"{name}/{what}" for what in FLOORS))

    def measure(self, plan: Plan) -> Iterator[Row]:
        """Its rows."""
        seconds = plan.seconds(0.4, 0.15) if self.size < MIB else plan.seconds(0.6, 0.4)
        arguments = ("--size", str(self.size))
        mine: list[float] = []
        theirs: list[float] = []
        sockets: list[float] = []
        ciphers: list[float] = []
        for _ in range(plan.repeats):
            mine.append(time_a_message(OURS, "dpx", seconds, *arguments))
            if plan.peer:
                theirs.append(time_a_message(plan.peer, "rlpx", seconds, *arguments))
            sockets.append(time_a_message(OURS, "socket", seconds, *arguments))
            ciphers.append(time_a_seal(seconds / 4, *arguments))
        for name, ours, peers in zip(self.names, (mine, sockets, ciphers), (theirs, [], []), strict=False):
            yield per_message(name, self.size, ours, peers)
        shares = [100 * (socket + cipher) / value for value, socket, cipher in zip(mine, sockets, ciphers, strict=True)]
        yield Row(self.names[3], median(shares), None, "%", None, None)


def per_message(name: str, size: int, mine: list[float], theirs: list[float]) -> Row:
    """The row for seconds a message: MB/s for large ones, microseconds for small ones."""
    if size >= _LARGE:
        return compare(name, "MB/s", "higher", *([size / 1e6 / value for value in values] for values in (mine, theirs)))
    return compare(name, "us", "lower", *([1e6 * value for value in values] for values in (mine, theirs)))


def api(size: int, plan: Plan) -> Iterator[Row]:
    """A stream of messages through two whole nodes; `api/` are the same nodes over stock RLPx."""
    name, seconds = api_name(size), plan.seconds(0.4, 0.15) if size < MIB else plan.seconds(0.6, 0.4)
    mine, theirs = plan.alternate(
        OURS, lambda side: time_a_message(side, "dpxapi" if side is OURS else "api", seconds, "--size", str(size))
    )
    yield per_message(name, size, mine, theirs)


def api_name(size: int) -> str:
    """The name of its row."""
    return f"dpx1/api/{'throughput' if size >= _LARGE else 'message'}/{size_name(size)}"


def handshakes(mode: str, name: str, plan: Plan) -> Iterator[Row]:
    """From the TCP connection to the keys of records, both sides' work together; beside it go-ethereum's stock handshake."""
    seconds = plan.seconds(0.5, 0.25)

    def measure(side: Side) -> float:
        level = mode if side is OURS else "rlpx-handshake"
        with side.pair(level, level, "--seconds", str(seconds)) as (_, initiator):
            report = initiator.line(seconds + _PATIENCE)
        return float(1000 * report["seconds"] / report["messages"])

    yield compare(name, "ms", "lower", *plan.alternate(OURS, measure))


def benchmarks() -> Iterable[Benchmark]:
    """All of them, in the order of the table."""
    for mode, name in (("dpx-handshake", "dpx1/handshake/full"), ("dpx-resume", "dpx1/handshake/resumed")):
        yield Benchmark((name,), partial(handshakes, mode, name))
    for size in SIZES:
        stream = Stream(size)
        yield Benchmark(stream.names, stream.measure)
    for size in SIZES:
        yield Benchmark((api_name(size),), partial(api, size))
