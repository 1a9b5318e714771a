"""``python -m tests.fuzz``: fuzz the targets, two at a time, each in a process of its own, and say what came of it.

The engine is atheris where it is installed, else the one in `mutation`. What runs find is kept in build/fuzz/<target>: `corpus`, which the
next run goes on from, `log`, and each input that broke something as `crash-...`; then the status is 1.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.fuzz import corpus, worker
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, run

GRACE: Final = 60
"""Seconds beyond its time after which a process that has not ended is killed."""
STATUS: Final = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+) corp: (\d+)/", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """What came of fuzzing one target."""

    target: str
    engine: str
    seconds: float
    executions: int
    coverage: int
    features: int
    corpus: int
    crashers: tuple[Path, ...]
    status: int
    log: Path

    def __str__(self) -> str:
        speed = int(self.executions / self.seconds)
        return (
            f"{self.target:<11} {self.engine:<8} {self.executions:>9,} executions {speed:>7,}/s  coverage {self.coverage:>5}  "
            f"features {self.features:>6}  corpus {self.corpus:>4}  {'FAILED' if self.status else 'nothing found'}"
        )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz what reads bytes of strangers.")
    parser.add_argument("targets", nargs="*", metavar="target", help=f"by default all: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for each target (default: 60)")
    parser.add_argument("--patience", type=int, default=5, metavar="N", help="seconds that one input may take (default: 5)")
    parser.add_argument("--seed", type=int, default=None, metavar="N", help="of the mutations (default: another each time, and printed)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="targets at a time (default: 2)")
    parser.add_argument("--engine", choices=["atheris", "mutation"], default=None, help="(default: atheris, if it is installed)")
    parser.add_argument("--keep", action="store_true", help="run nothing: take over what runs have found into tests/fuzz/corpus")
    parser.add_argument("--input", type=Path, metavar="FILE", help="give one file to one target, as a crasher's command does")
    parser.add_argument("--output", type=Path, default=corpus.BUILD, metavar="DIR", help="where results go (default: build/fuzz)")
    options = parser.parse_args(arguments)
    for name in options.targets:
        if name not in TARGETS and ":" not in name:
            parser.error(f"there is no target {name}: there are {', '.join(TARGETS)}")
    if options.input and len(options.targets) != 1:
        parser.error("--input wants one target")
    return options


def fuzz(target: str, engine: str, seed: int, options: argparse.Namespace) -> Run:
    """Fuzz one target in a process of its own."""
    seconds = options.seconds
    place = options.output.resolve() / target.replace(":", "-")
    place.mkdir(parents=True, exist_ok=True)
    known = worker.crashers(place)
    begin = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz.worker", target, engine, str(place), str(seconds), str(seed), str(options.patience)]
    log = place / "log"
    with log.open("w") as out:
        try:
            status = subprocess.run(
                command, stdout=out, stderr=subprocess.STDOUT, timeout=seconds + GRACE, cwd=corpus.ROOT, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            status = -1
            out.write("it did not end when its time was over\n")
    data = worker.last_input(place)
    if status and data is not None:
        (place / f"crash-{corpus.short_name(data)}").write_bytes(data)
    lines = STATUS.findall(log.read_text("utf-8", "replace"))
    executions, coverage, features, size = map(int, lines[-1]) if lines else (0, 0, 0, 0)
    crashers = tuple(sorted(worker.crashers(place) - known))
    return Run(target, engine, time.monotonic() - begin, executions, coverage, features, size, crashers, status, log)


def tell(result: Run) -> None:
    """Print a line for each run; of a finding, how to repeat it, and what was said at its end."""
    print(result, flush=True)
    if result.status:
        for path in result.crashers:
            print(f"    {path}; to repeat it:\n    {sys.executable} -m tests.fuzz {result.target} --input {path}")
        lines = result.log.read_text("utf-8", "replace").splitlines()
        print("    its log ends so:", *lines[-25:], sep="\n    ", flush=True)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    targets = options.targets or list(TARGETS)
    if options.input:
        worker.load(targets[0])[0](options.input.read_bytes())
        print(f"{targets[0]} finds no fault in {options.input}")
        return 0
    if options.keep:
        for name in targets:
            new = corpus.keep(name, partial(run, name), seeds(name))
            print(f"{name}: {len(new)} new of {len(corpus.read(corpus.KEPT / name))}")
        return 0
    there = importlib.util.find_spec("atheris") is not None
    engine = options.engine or ("atheris" if there else "mutation")
    seed = options.seed if options.seed is not None else int(time.time()) % 2**31 or 1
    missing = "" if there else " (atheris is not installed: it has wheels for CPython 3.11 to 3.14 on Linux, x86_64)"
    print(f"engine {engine}{missing}, seed {seed}, {options.seconds} s a target, {options.jobs} at a time", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        results = [pool.submit(fuzz, name, engine, seed, options) for name in targets]
        for result in results:
            tell(result.result())
    failed = [result.result().target for result in results if result.result().status]
    if failed:
        print(f"findings in {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
