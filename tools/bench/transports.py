"""Sessions over each transport, beside connections of py-libp2p and go-libp2p over theirs.

Within each repeat all that is compared runs one after the other: ours, py-libp2p, go-libp2p. Rows that end in a name of those compare with
it; the row without has our figure alone.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from devp2p.transports.defaults import why_not_installed
from tools.bench.endpoints.transports import STEP
from tools.bench.figures import Row, compare, slope
from tools.bench.footprint import memory
from tools.bench.libp2p import GO_LIBP2P, PY_LIBP2P, why_not
from tools.bench.plan import KIB, MIB, Benchmark, Plan, size_name
from tools.bench.sides import OURS, BenchError, Process, Side

_START = 30.0  # seconds that a process may take to start
_PATIENCE = 60.0  # seconds that a measured process may take longer than it was told to
_SETTLE = 0.1  # seconds for a server to be done with the last of a crowd
_MPTCP = 262  # its number as a protocol


@dataclass(frozen=True)
class Group:
    """Our transports that stand beside one of libp2p's."""

    ours: tuple[str, ...]
    theirs: str = ""
    peers: tuple[Side, ...] = ()

    def why_not(self) -> str | None:
        """What is missing here before ours can be measured, or None."""
        (first, *_) = self.ours
        if first == "sctp" and (missing := why_not_installed(first)) is not None:
            return f"transport/sctp {missing}, or `make .venv/.installed-interop`"
        if first == "mptcp" and not _has_mptcp():
            return "transport/mptcp needs a Linux with Multipath TCP"
        return None


BOTH = (PY_LIBP2P, GO_LIBP2P)
GROUPS = (
    Group(("tcp", "tls"), "tcp", BOTH),
    Group(("quic",), "quic", BOTH),
    Group(("ws",), "ws", (GO_LIBP2P,)),
    *(Group((scheme,)) for scheme in ("wss", "ssh", "sctp", "mptcp", "relay", "unix")),
)


def _has_mptcp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, _MPTCP).close()
    except OSError:
        return False
    return True


@contextmanager
def surroundings(side: Side, transport: str) -> Iterator[tuple[str, ...]]:
    """The arguments by which both ends find what they share: of ours a folder, and the relay between."""
    with ExitStack() as stack:
        arguments: tuple[str, ...] = ("--transport", transport)
        if side is OURS:
            arguments += ("--folder", stack.enter_context(TemporaryDirectory()))
        if transport == "relay":
            relay = stack.enter_context(side.run("link-relay"))
            arguments += ("--relay", relay.line(_START)["listening"])
        yield arguments


@contextmanager
def two_ends(side: Side, transport: str, listener: str, dialler: str, *arguments: str) -> Iterator[tuple[Process, Process]]:
    """The process that listens and the one that dials it, by their modes."""
    with surroundings(side, transport) as shared, side.run(f"link-{listener}", *shared, *arguments) as first:
        target = first.line(_START)["listening"]
        with side.run(f"link-{dialler}", *shared, *arguments, "--target", target) as second:
            yield first, second


def throughput(size: int, side: Side, transport: str, plan: Plan) -> float:
    """MB/s of messages in one direction, where the receiver sees them."""
    seconds = plan.seconds(1.0, 0.4)
    with two_ends(side, transport, "recv", "send", "--size", str(size), "--seconds", str(seconds)) as (receiver, _):
        report = receiver.line(seconds + _PATIENCE)
    return float(size / 1e6 * report["messages"] / report["seconds"])


def each(factor: float, modes: tuple[str, str], side: Side, transport: str, plan: Plan) -> float:
    """What something takes that the dialling side does again and again: seconds times `factor`."""
    seconds = plan.seconds(1.0, 0.3)
    with two_ends(side, transport, *modes, "--seconds", str(seconds)) as (_, second):
        report = second.line(seconds + _PATIENCE)
    return float(factor * report["seconds"] / report["messages"])


def idle_memory(side: Side, transport: str, plan: Plan) -> float:
    """KiB by which the listening process grows with each idle session: the slope over a crowd."""
    if not Path("/proc/self/status").exists():
        raise BenchError("memory of another process is read from /proc, which this system does not have")
    count = (2 if plan.quick else 4) * STEP
    points: list[tuple[float, float]] = []
    with surroundings(side, transport) as shared, side.run("link-idle", *shared) as server:
        target = server.line(_START)["listening"]
        with side.run("link-crowd", *shared, "--size", str(count), "--target", target) as crowd:
            while len(points) < count // STEP:
                sessions = crowd.line(_PATIENCE)["sessions"]
                time.sleep(_SETTLE)
                points.append((sessions, memory(server.pid)))
                crowd.nudge()
    return slope(points)


@dataclass(frozen=True)
class Figure:
    """Something that is measured of each transport."""

    name: str
    unit: str
    better: Literal["higher", "lower"]
    measure: Callable[[Side, str, Plan], float]
    once: bool = False
    """Whether one run says enough."""


IDLE = Figure("idle_memory", "KiB", "lower", idle_memory, once=True)
FIGURES = (
    *(Figure(f"throughput/{size_name(size)}", "MB/s", "higher", partial(throughput, size)) for size in (16 * KIB, MIB)),
    Figure("there_and_back/32B", "us", "lower", partial(each, 1e6, ("pong", "ping"))),
    Figure("handshake", "ms", "lower", partial(each, 1e3, ("idle", "shake"))),
    IDLE,
)


def names(group: Group, figure: Figure) -> Iterator[str]:
    """Of the rows of one figure."""
    for scheme in group.ours:
        name = f"transport/{scheme}/{figure.name}"
        yield from (name, *(f"{name}/{peer.name}" for peer in group.peers))


def measure(group: Group, figure: Figure, plan: Plan) -> Iterator[Row]:
    """Its rows; those beside somebody who is not here say so in place of their unit."""
    peers = {peer: why_not(peer) is None for peer in group.peers}
    runs = [(OURS, scheme) for scheme in group.ours] + [(peer, group.theirs) for peer, here in peers.items() if here]
    values: dict[tuple[Side, str], list[float]] = {run: [] for run in runs}
    for _ in range(1 if figure.once else plan.repeats):
        for side, transport in runs:
            values[side, transport].append(figure.measure(side, transport, plan))
    for scheme in group.ours:
        ours, name = values[OURS, scheme], f"transport/{scheme}/{figure.name}"
        yield compare(name, figure.unit, figure.better, ours, [])
        for peer, here in peers.items():
            unit = figure.unit if here else f"{figure.unit} (no {peer.name} here)"
            yield compare(f"{name}/{peer.name}", unit, figure.better, ours, values.get((peer, group.theirs), []))


def benchmarks() -> Iterable[Benchmark]:
    """All of them, in the order of the table."""
    for group in GROUPS:
        for figure in FIGURES:
            if group.ours == ("relay",) and figure.name == IDLE.name:
                continue  # a node takes no crowd through one relay, but 16 circuits
            yield Benchmark(tuple(names(group, figure)), partial(measure, group, figure), why_not=group.why_not)
