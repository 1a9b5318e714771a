"""One simulated network, crawled by go-ethereum and by us: ``python -m tools.crawler.compare --nodes 2000``.

Discovery only. Each crawl has a network of its own that is the same to the last key, and begins with one bootnode. What is told is what the
network saw: when each node answered for its record, and how many packets came. go-ethereum's crawler writes its list at the end only, and
ends when it is told to; so it is stopped when the network has given so many records as were wanted, or the time is over.

go-ethereum's crawls wait most of the time, whatever their parallelism, so they may run side by side (``--together``). How busy the
simulators were says whether that was fair.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeAlias

import trio

from tools.bench.report import machine
from tools.crawler.simulated import Simulated, running

ROOT: Final = Path(__file__).resolve().parents[2]
DEVP2P: Final = ROOT / "build" / "interop" / "devp2p"
OURS: Final = Path(sys.executable).with_name("devp2p-crawl")
PARALLELISM: Final = (16, 64, 200)
_PATIENCE: Final = 15.0  # seconds that a crawler has to end
_TICKS: Final = os.sysconf("SC_CLK_TCK")

Command: TypeAlias = Callable[[Simulated, int, float, Path], list[str]]
"""(network, version, seconds, folder of its own) -> what to run."""


@dataclass(frozen=True)
class Crawled:
    """What came of one crawl. Packets are those that the crawler sent, as the network got them."""

    crawler: str
    """``ours``, or go-ethereum with its parallelism, such as ``geth 64``."""
    version: int
    seconds_to: dict[str, float | None]
    """By per cent of the reachable nodes; None for what was not reached."""
    packets_by: dict[str, int | None]
    """How many packets had come by then."""
    reachable: int
    recall: float
    seconds: float
    """How long it crawled."""
    packets: int
    cpu: float
    """Seconds of processor time of the crawler."""
    megabytes: float
    """The most memory that the crawler had."""
    busy: float
    """The greatest share of a core that the simulator used."""
    impolite: dict[str, int]
    void: str | None

    def packets_per_node(self, mark: str | None = None) -> float | None:
        """Packets for each node that gave its record, by some per cent, or in the whole."""
        if mark is None:
            return self.packets / max(1.0, self.recall * self.reachable)
        by = self.packets_by[mark]
        return None if by is None else by / (float(mark) / 100 * self.reachable)


async def crawl(name: str, version: int, command: Command, options: argparse.Namespace, limit: float) -> Crawled:
    """Crawl a network of its own until enough is reached, the crawler ends, or `limit` seconds are over."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(nodes=options.nodes, seed=options.seed, prepare=version) as network:
            line = command(network, version, limit, Path(folder))
            process = await trio.lowlevel.open_process(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            complaints, used = bytearray(), [0.0, 0.0]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_drain, process, complaints)
                with trio.move_on_after(limit):
                    await _any_of(lambda: network.reached(options.until / 100), process.wait, lambda: _watch(process.pid, used))
                await _stop(process)
            summary = await network.end()
    which, void = f"v{version}", summary["void"]
    if not summary["packets_received"]:
        void = f"void: it sent nothing, but said: {complaints.decode('utf-8', 'replace').strip()[-500:]}"
    return Crawled(
        name,
        version,
        summary["seconds_to"][which],
        summary["packets_by"],
        summary["reachable"],
        summary["recall"][which],
        summary["seconds"],
        summary["packets_received"],
        used[0],
        used[1],
        summary["busy"]["most"],
        summary["impolite"],
        void,
    )


def ours(network: Simulated, version: int, seconds: float, folder: Path) -> list[str]:
    """How our crawler is run."""
    bounds = ["--no-dial", "--for", f"{seconds:g}", "--json"]
    return [str(OURS), "crawl", "--db", str(folder / "crawl.db"), "--bootnode", network.enr, f"--v{version}", *bounds]


def geth(parallelism: int) -> Command:
    """How go-ethereum's is."""

    def command(network: Simulated, version: int, seconds: float, folder: Path) -> list[str]:
        where = ["--bootnodes", network.enr, "--addr", "127.0.0.1:0", str(folder / "nodes.json")]
        return [str(DEVP2P), f"discv{version}", "crawl", "--parallel", str(parallelism), "--timeout", f"{seconds:g}s", *where]

    return command


async def compare(options: argparse.Namespace, tell: Callable[[Crawled], None]) -> list[Crawled]:
    """All crawls: ours one after the other, and then go-ethereum's."""
    done: list[Crawled] = []
    at_once = trio.CapacityLimiter(len(options.versions) * len(options.parallelism) if options.together else 1)

    async def one(name: str, version: int, command: Command, limit: float) -> None:
        async with at_once:
            crawled = await crawl(name, version, command, options, limit)
        tell(crawled)
        done.append(crawled)

    for version in options.versions:
        await one("ours", version, ours, options.limit)
    async with trio.open_nursery() as nursery:
        for mine in [*done]:
            took = mine.seconds_to[f"{options.until:g}"]
            limit = options.limit if options.times is None or took is None else min(options.limit, options.times * took)
            for parallelism in options.parallelism:
                nursery.start_soon(one, f"geth {parallelism}", mine.version, geth(parallelism), limit)
    return sorted(done, key=lambda crawled: (crawled.version, crawled.crawler != "ours", len(crawled.crawler), crawled.crawler))


def table(crawls: Sequence[Crawled]) -> Iterator[str]:
    """Lines for a terminal."""
    heads = ("", "crawler", "50 %", "90 %", "95 %", "recall", "packets a node", "at 90 %", "at 95 %", "processor", "memory", "polite")
    rows = [heads, *(_cells(crawled) for crawled in crawls)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        yield "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
    for version in sorted({crawled.version for crawled in crawls if crawled.crawler != "ours"}):
        yield _verdict([crawled for crawled in crawls if crawled.version == version])
    yield from (f"v{crawled.version} {crawled.crawler}: {crawled.void}" for crawled in crawls if crawled.void)


def factor(crawls: Iterable[Crawled], mark: str) -> tuple[float, bool] | None:
    """How many times as fast as the best of go-ethereum's we reached some per cent, and whether it may be more: theirs did not get there.

    None if we did not get there.
    """
    crawls = list(crawls)
    mine = next(crawled.seconds_to[mark] for crawled in crawls if crawled.crawler == "ours")
    if not mine:
        return None
    theirs = [crawled for crawled in crawls if crawled.crawler != "ours"]
    reached = [found for crawled in theirs if (found := crawled.seconds_to[mark]) is not None]
    return min(reached or [crawled.seconds for crawled in theirs]) / mine, not reached


def _verdict(crawls: Sequence[Crawled]) -> str:
    told: list[str] = []
    for mark in ("90", "95"):
        times = factor(crawls, mark)
        told.append(
            f"{mark} %: not reached by ours" if times is None else f"{mark} %: {'more than ' if times[1] else ''}{times[0]:.1f} x as fast"
        )
    return f"v{crawls[0].version}: " + ", ".join(told) + ", beside the best of go-ethereum's"


def _cells(crawled: Crawled) -> tuple[str, ...]:
    marks = ("50", "90", "95")
    times = [f"> {crawled.seconds:.0f} s" if (time := crawled.seconds_to[mark]) is None else f"{time:.1f} s" for mark in marks]
    packets = [crawled.packets_per_node(mark) for mark in (None, "90", "95")]
    return (
        f"v{crawled.version}",
        crawled.crawler,
        *times,
        f"{crawled.recall:.1%}",
        *("-" if one is None else f"{one:.1f}" for one in packets),
        f"{crawled.cpu:.1f} s" if crawled.cpu else "-",
        f"{crawled.megabytes:.0f} MB" if crawled.megabytes else "-",
        "yes" if not crawled.impolite else "no: " + ", ".join(f"{rule} {count}" for rule, count in crawled.impolite.items()),
    )


async def _any_of(*waits: Callable[[], object]) -> None:
    async with trio.open_nursery() as nursery:
        for wait in waits:
            nursery.start_soon(_then_cancel, wait, nursery.cancel_scope)


async def _then_cancel(wait: Callable[[], object], scope: trio.CancelScope) -> None:
    await wait()  # type: ignore[misc]
    scope.cancel()


async def _drain(process: trio.Process, complaints: bytearray) -> None:
    assert process.stderr is not None  # noqa: S101  (it was opened so)
    async for data in process.stderr:
        complaints += data
        del complaints[:-10_000]


async def _stop(process: trio.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
        with trio.move_on_after(_PATIENCE):
            await process.wait()
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _watch(pid: int, used: list[float]) -> None:
    """Keep seconds of processor time, and the most memory in megabytes, where the system tells them."""
    while True:
        with suppress(OSError):
            stat = (await trio.Path(f"/proc/{pid}/stat").read_text("utf-8")).rpartition(")")[2].split()
            status = await trio.Path(f"/proc/{pid}/status").read_text("utf-8")
            peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
            used[:] = (int(stat[11]) + int(stat[12])) / _TICKS, max(used[1], peak / 1024)
        await trio.sleep(0.25)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.crawler.compare", description="Crawl one simulated network by go-ethereum, and by us."
    )
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--versions", type=int, nargs="+", choices=(4, 5), default=(4, 5), help="of discovery (default: both)")
    parser.add_argument("--parallelism", type=int, nargs="*", default=PARALLELISM, help="of go-ethereum's crawls (default: 16 64 200)")
    parser.add_argument("--limit", type=float, default=300.0, metavar="SECONDS", help="that a crawl may take (default: 300)")
    parser.add_argument("--until", type=float, default=95.0, metavar="PERCENT", help="recall at which a crawl is stopped (default: 95)")
    parser.add_argument("--times", type=float, metavar="N", help="give go-ethereum's at most N times as long as ours took to get there")
    parser.add_argument("--together", action="store_true", help="run go-ethereum's crawls side by side")
    parser.add_argument("--json", action="store_true", help="print JSON objects, one for each crawl")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 1 if something is missing, and 3 if a crawl is void."""
    options = parse(arguments)
    for needed, how in ((OURS, "make install"), (DEVP2P, "python tests/interop/build.py devp2p")):
        if shutil.which(needed) is None:
            sys.stderr.write(f"error: {needed} is missing: {how}\n")
            return 1
    crawls = trio.run(compare, options, _tell_json if options.json else _tell)
    if not options.json:
        print("\n".join([f"{options.nodes:,} nodes, seed {options.seed}. {machine()}", *table(crawls)]))
    return 3 if any(crawled.void for crawled in crawls) else 0


def _tell(crawled: Crawled) -> None:
    sys.stderr.write(
        f"v{crawled.version} {crawled.crawler}: {crawled.recall:.1%} after {crawled.seconds:.0f} s, {crawled.packets:,} packets\n"
    )


def _tell_json(crawled: Crawled) -> None:
    print(json.dumps(asdict(crawled)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
