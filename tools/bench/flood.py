"""What a flood of junk does to discovery: ``python -m tools.bench.flood`` (Linux, where all of 127.0.0.0/8 is this machine).

Three processes over loopback: a node; a crowd of two dozen others that search through it, by both protocols, all the time; and a flood
of `Junk`. The node holds local addresses to the limits for strangers, and each of the others has an address in a network of its own: so
everybody is treated as if they came from the internet. First nobody floods, which gives the figures to compare with.
"""

import argparse
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

import trio

from devp2p.discovery import Discovery, DiscoveryLimits, open_discovery
from devp2p.discovery.table import TableLimits
from devp2p.discovery.v4 import Discv4Limits
from devp2p.discovery.v4 import packets as v4_packets
from devp2p.discovery.v5 import Discv5Limits
from devp2p.keys import PrivateKey, PublicKey, recover
from devp2p.records import Record
from tools.bench import askers
from tools.bench.endpoints.basics import emit
from tools.bench.figures import Row, percentile
from tools.bench.footprint import cpu_time, memory
from tools.bench.junk import Junk
from tools.bench.plan import Benchmark
from tools.bench.sides import BenchError, Process, Side

STRICT: Final = DiscoveryLimits(
    v4=Discv4Limits(limit_local_addresses=True, table=TableLimits(limit_local_addresses=True)),
    v5=Discv5Limits(table=TableLimits(limit_local_addresses=True)),
)
"""Limits that hold for local addresses, too."""
NAMES: Final = (
    "flood/searches_that_succeed",
    "flood/search_p99",
    "flood/search_p99_without",
    "flood/loop_lag_p99",
    "flood/memory_growth",
    "flood/cpu",
    "flood/datagrams",
    "flood/recoveries",
)
OURS: Final = Side("devp2p", (sys.executable, "-m", "tools.bench.flood"))

_CROWD = 24  # more than one answer holds: after a shorter one of v4, more is awaited for a moment
_SEARCHES = 8.0  # a second, by all of the crowd together: each asks each other one at most once in three seconds
_SETTLING = 10.0  # seconds until the crowd has found each other
_LAG = 0.005  # seconds between two looks at the clock
_PATIENCE = 60.0
_MOST_HOSTS = 60_000  # of 127.0.0.0/8, two hundred and fifty in each second byte


@dataclass(frozen=True)
class Figures:
    """What was measured in one period."""

    searches: int
    """Those of the crowd."""
    success: float
    """Per cent of them that found the node closest to their target."""
    p50: float
    """Milliseconds of a search."""
    p99: float
    lag: float
    """Milliseconds by which the loop of the node was late: the 99th percentile."""
    resident: float
    """KiB that the node had at the end."""
    cpu: float
    """Per cent of a core that the node used."""
    received: float
    """Datagrams a second that the node took in."""
    recoveries: int
    """Signatures of which the node recovered the key."""


# The node


class Lag:
    """How late a task wakes up."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            due = trio.current_time() + _LAG
            await trio.sleep_until(due)
            self.times.append(trio.current_time() - due)


async def be_the_node() -> None:
    """Run discovery, and tell how it fares whenever a line comes."""
    recovered, lag = [0], Lag()

    def count(digest: bytes, signature: bytes) -> PublicKey:
        recovered[0] += 1
        return recover(digest, signature)

    setattr(v4_packets, "recover", count)  # noqa: B010  (a name that the module imports, for this process alone)
    stdin = trio.lowlevel.FdStream(0)
    async with open_discovery(PrivateKey.generate(), listen="udp://127.0.0.1:0", limits=STRICT) as node, trio.open_nursery() as nursery:
        nursery.start_soon(lag.run)
        emit({"record": node.record.text})
        while await stdin.receive_some(1):
            late = sorted(lag.times)
            lag.times.clear()
            emit({"lag": 1000 * percentile(late, 99), "received": node.statistics.received, "recovered": recovered[0]})
        nursery.cancel_scope.cancel()


# The crowd


@asynccontextmanager
async def crowd(bootnode: str, size: int) -> AsyncIterator[list[Discovery]]:
    """Nodes at 127.0.1.1, 127.0.2.1 and so on."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                open_discovery(PrivateKey.generate(), listen=f"udp://127.0.{number + 1}.1:0", bootnodes=[bootnode], limits=STRICT)
            )
            for number in range(size)
        ]


def closest(nodes: list[Record], target: PublicKey) -> Record:
    """The node that a search for a target should find."""
    place = int.from_bytes(target.node_id, "big")
    return min(nodes, key=lambda node: int.from_bytes(node.id, "big") ^ place)


async def be_the_crowd(bootnode: str) -> None:
    """Search, all the time, and tell how that went whenever a line comes."""
    took: list[float] = []
    failed = [0]
    stdin = trio.lowlevel.FdStream(0)

    async def search(node: Discovery, others: list[Record], version: int) -> None:
        target = PrivateKey.generate().public_key
        begun = trio.current_time()
        found = await node.lookup(target, version=version)
        took.append(trio.current_time() - begun)
        failed[0] += closest(others, target).id not in {each.id for each in found}

    async def search_for_ever(nodes: list[Discovery], nursery: trio.Nursery) -> None:
        records = [Record.parse(bootnode), *(node.record for node in nodes)]
        for turn, node in enumerate(cycle(nodes)):
            others = [record for record in records if record.id != node.record.id]
            nursery.start_soon(search, node, others, 4 + turn // _CROWD % 2)
            await trio.sleep(1 / _SEARCHES)

    async with crowd(bootnode, _CROWD) as nodes, trio.open_nursery() as nursery:
        await trio.sleep(_SETTLING)
        nursery.start_soon(search_for_ever, nodes, nursery)
        emit({"searching": True})
        while await stdin.receive_some(1):
            emit({"took": sorted(took), "failed": failed[0]})
            took.clear()
            failed[0] = 0
        nursery.cancel_scope.cancel()


# The flood


def be_the_flood(target: str, rate: float, hosts: int) -> None:
    """Send junk from so many hosts, for ever."""
    record = Record.parse(target)
    files = min(hosts + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    sockets: list[socket.socket] = []
    for number in range(hosts):
        sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sockets[-1].bind((f"127.{1 + number // 250}.{number % 250}.1", 0))
        sockets[-1].connect((str(record.ip), record.udp or 0))
    emit({"flooding": True})
    begun = time.perf_counter()
    for sent, (data, sock) in enumerate(zip(Junk(record.id), cycle(sockets), strict=False)):
        if sent % 16 == 0:
            time.sleep(max(0.0, begun + sent / rate - time.perf_counter()))
        sock.send(data)


# All together


@contextmanager
def watched(seconds: float, node: Process, searchers: Process) -> Iterator[list[Figures]]:
    """Measure for so many seconds, after the block has begun what there is to measure; the figures are in the list at its end."""
    figures: list[Figures] = []
    yield figures
    for process in (node, searchers):  # what was before does not count
        process.nudge()
    before = node.line(_PATIENCE)
    searchers.line(_PATIENCE)
    begun, cpu = time.perf_counter(), cpu_time(node.pid)
    time.sleep(seconds)
    passed = time.perf_counter() - begun
    used = cpu_time(node.pid) - cpu
    for process in (node, searchers):
        process.nudge()
    after, found = node.line(_PATIENCE), searchers.line(_PATIENCE)
    took = found["took"]
    figures.append(
        Figures(
            searches=len(took),
            success=100 * (1 - found["failed"] / len(took)),
            p50=1000 * percentile(took, 50),
            p99=1000 * percentile(took, 99),
            lag=after["lag"],
            resident=memory(node.pid),
            cpu=100 * used / passed,
            received=(after["received"] - before["received"]) / passed,
            recoveries=after["recovered"] - before["recovered"],
        )
    )


def measure(seconds: float = 60.0, rate: float = 20_000.0, hosts: int = 256) -> tuple[Figures, Figures]:
    """The figures without a flood, and those in one of so many datagrams a second from so many hosts."""
    with OURS.run("node") as node:
        record = node.line(_PATIENCE)["record"]
        with OURS.run("crowd", "--target", record) as searchers:
            searchers.line(_PATIENCE)
            with watched(min(seconds, 20.0), node, searchers) as quiet:
                pass
            with OURS.run("flood", "--target", record, "--rate", str(rate), "--hosts", str(hosts)) as flood:
                flood.line(_PATIENCE)
                with watched(seconds, node, searchers) as flooded:
                    pass
    return quiet[0], flooded[0]


def rows(seconds: float = 60.0, rate: float = 20_000.0, hosts: int = 256) -> list[Row]:
    """What row D3 of THREATS.md promises."""
    if not Path("/proc/self/status").exists():
        raise BenchError("the flood comes from many addresses of 127.0.0.0/8, and that is this machine on Linux only")
    quiet, flooded = measure(seconds, rate, hosts)
    figures = (
        (flooded.success, "%"),
        (flooded.p99, "ms"),
        (quiet.p99, "ms"),
        (flooded.lag, "ms"),
        ((flooded.resident - quiet.resident) / 1024, "MiB"),
        (flooded.cpu, "% of a core"),
        (flooded.received, "1/s"),
        (flooded.recoveries / seconds, "1/s"),
    )
    return [Row(name, value, None, unit, None, None) for name, (value, unit) in zip(NAMES, figures, strict=True)]


def benchmarks() -> Iterable[Benchmark]:
    """The flood, which takes two minutes, and single askers."""
    yield Benchmark(NAMES, lambda plan: rows(plan.seconds(60.0, 10.0)), variant=True)
    yield Benchmark(askers.NAMES, lambda _: askers.rows())


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line; wrong ones end the program with status 2."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.flood", description="A flood of junk against a node of discovery.")
    parser.add_argument(
        "job", nargs="?", choices=("all", "node", "crowd", "flood"), default="all", help="the others are for `all` to start"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to flood (default: 60)")
    parser.add_argument("--rate", type=float, default=20_000.0, help="datagrams a second (default: 20000)")
    parser.add_argument("--hosts", type=int, default=256, help="addresses that they come from (default: 256)")
    parser.add_argument("--target", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not 1 <= options.seconds <= 3600:
        parser.error("--seconds is 1 to 3600")
    if not 1 <= options.rate <= 1_000_000:
        parser.error("--rate is 1 to 1000000")
    if not 1 <= options.hosts <= _MOST_HOSTS:
        parser.error(f"--hosts is 1 to {_MOST_HOSTS}")
    if options.job in {"crowd", "flood"} and not options.target:
        parser.error(f"{options.job} needs the node's record: --target enr:...")
    return options


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    options = parse(arguments)
    if options.job == "node":
        trio.run(be_the_node)
    elif options.job == "crowd":
        trio.run(be_the_crowd, options.target)
    elif options.job == "flood":
        be_the_flood(options.target, options.rate, options.hosts)
    else:
        for row in (*rows(options.seconds, options.rate, options.hosts), *askers.rows()):
            print(f"{row.name:30} {row.ours:10.1f} {row.unit}")


if __name__ == "__main__":
    main()
