"""``python -m tools.bench``: measure, print a table, write build/bench.json."""

import argparse
import json
import sys
import time
from pathlib import Path

from tools.bench import (
    blockchain,
    breakdown,
    crawling,
    discovery,
    dpx,
    dpx_breakdown,
    dpx_sharing,
    flood,
    footprint,
    knocks,
    oracle,
    report,
    sharing,
    slots,
    streams,
    transports,
)
from tools.bench.figures import Row
from tools.bench.plan import Benchmark, Plan
from tools.bench.sides import GETH, BenchError, build_geth


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line; wrong ones end the program with status 2."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description="Benchmarks beside go-ethereum, over loopback.")
    parser.add_argument("--only", default="", metavar="PREFIX", help="rows whose names begin so, such as rlpx/ or qos/ping")
    parser.add_argument("--repeat", type=int, default=None, metavar="N", help="pairs of runs for each comparison (default: 3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="shorter runs, fewer of them, rougher figures")
    parser.add_argument("--json", action="store_true", help="print the result as JSON instead of a table")
    parser.add_argument(
        "--output", type=Path, default=report.RESULT, metavar="FILE", help="where the result goes (default: build/bench.json)"
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="measure nothing: put what FILE holds into docs/benchmarks.md (with --only: into the table of those rows)",
    )
    parser.add_argument("--list", action="store_true", help="measure nothing: print the names of the rows")
    options = parser.parse_args(arguments)
    if options.repeat is not None and options.repeat < 1:
        parser.error("--repeat is 1 or more")
    return options


def every_benchmark() -> list[Benchmark]:
    """All that there are, in the order of the table."""
    beside_geth = (streams, dpx, sharing, dpx_sharing, blockchain, discovery)
    parts = (*beside_geth, slots, footprint, breakdown, dpx_breakdown, oracle, flood, knocks, transports, crawling)
    return [benchmark for part in parts for benchmark in part.benchmarks()]


def choose(prefix: str, *, quick: bool) -> list[Benchmark]:
    """Those with a row whose name begins with `prefix`; BenchError if there are none."""
    chosen = [benchmark for benchmark in every_benchmark() if benchmark.matches(prefix)]
    if not chosen:
        raise BenchError(f"no row's name begins with {prefix!r}; --list prints them")
    return [benchmark for benchmark in chosen if not (quick and benchmark.variant)] or chosen


def measure(chosen: list[Benchmark], plan: Plan, prefix: str) -> list[Row]:
    """Run benchmarks one after the other; what fails is told and left out."""
    rows: list[Row] = []
    for number, benchmark in enumerate(chosen, 1):
        begin = time.monotonic()
        try:
            rows += [row for row in benchmark.measure(plan) if row.name.startswith(prefix)]
        except BenchError as error:
            sys.stderr.write(f"{benchmark.names[0]} was not measured: {error}\n")
        sys.stderr.write(f"{number}/{len(chosen)} {benchmark.names[0]} ({time.monotonic() - begin:.1f} s)\n")
    return rows


def run(options: argparse.Namespace) -> int:
    """Do what the command line says; the exit status is 1 if something that was to be measured was not."""
    if options.list:
        print("\n".join(name for benchmark in every_benchmark() for name in benchmark.names))
        return 0
    if options.write_docs:
        report.write_docs(report.load(options.output), options.only)
        return 0
    chosen = choose(options.only, quick=options.quick)
    missing = [(benchmark, benchmark.why_not()) for benchmark in chosen]
    chosen = [benchmark for benchmark, reason in missing if reason is None]
    sys.stderr.writelines(f"Left out: {reason}\n" for reason in sorted({reason for _, reason in missing if reason is not None}))
    problem = build_geth()
    if problem is not None:
        sys.stderr.write(f"Our figures only, none of go-ethereum: {problem}\n")
    plan = Plan(options.repeat or (1 if options.quick else 3), options.quick, None if problem else GETH)
    rows = measure(chosen, plan, options.only)
    report.save(rows, options.output)
    print(json.dumps([row.as_json() for row in rows]) if options.json else "\n".join(report.table(rows)))
    measured = {row.name for row in rows}
    return int(any(name.startswith(options.only) and name not in measured for benchmark in chosen for name in benchmark.names))


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    try:
        return run(parse(arguments))
    except BenchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
