"""What it takes: memory and CPU of idle sessions, steps of the loop, the time of an import."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from tools.bench.endpoints.crowd import STEP
from tools.bench.figures import Row, compare, slope
from tools.bench.plan import MIB, Benchmark, Plan, size_name
from tools.bench.sides import OURS, ROOT, BenchError, Side

_PATIENCE = 30.0
_STEP_SIZE = 10 * MIB
_COMPILED = ROOT / "build" / "bench" / "pycache"
IDLE_NAMES = ("idle/memory_a_session", "idle/cpu_of_1000_sessions")
STEP_NAMES = tuple(f"loop/step_{share}_{what}_{size_name(_STEP_SIZE)}" for what in ("sending", "receiving") for share in ("p99.9", "max"))


def memory(pid: int) -> float:
    """Resident memory of a process in KiB."""
    fields = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return float(next(line for line in fields if line.startswith("VmRSS:")).split()[1])


def cpu_time(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(plan: Plan) -> Iterator[Row]:
    """A server with many idle sessions; the peers are this project's on both sides. A whole ping interval is watched."""
    if not Path("/proc/self/status").exists():
        raise BenchError("memory and CPU of another process are read from /proc, which this system does not have")
    sessions, seconds = (2 * STEP, 3.0) if plan.quick else (1000, 15.0)

    def measure(side: Side) -> tuple[float, ...]:
        points: list[tuple[float, float]] = []
        with side.run("idle-serve") as server:
            target = ("--target", server.line(_PATIENCE)["listening"])
            with OURS.run("idle-dial", "--snappy", "--size", str(sessions), *target) as crowd:
                while len(points) < sessions // STEP:
                    count = crowd.line(_PATIENCE)["sessions"]
                    time.sleep(0.1)  # for the server to be done with the last one
                    points.append((count, memory(server.pid)))
                    crowd.nudge()
                before = cpu_time(server.pid)
                time.sleep(seconds)
                # What is less than a tick of the system's clock counts as one.
                share = max(cpu_time(server.pid) - before, 1 / os.sysconf("SC_CLK_TCK")) / seconds
        return slope(points), 100 * share * 1000 / sessions

    ((mine, theirs),) = plan.alternate_many(OURS, measure, repeats=1)
    for index, (name, unit) in enumerate(zip(IDLE_NAMES, ("KiB", "% of a core"), strict=True)):
        yield compare(name, unit, "lower", [mine[index]], [theirs[index]] if theirs else [])


def steps(plan: Plan) -> Iterator[Row]:
    """How long one step keeps the loop busy in the process that sends 10 MiB messages, and in the one that receives them."""
    seconds = plan.seconds(4.0, 1.0)
    arguments = ("--steps", "--size", str(_STEP_SIZE), "--seconds", str(seconds))
    with OURS.pair("api-recv", "api-send", *arguments) as processes:
        receiver, sender = (process.line(seconds + _PATIENCE)["steps"] for process in processes)
    values = (sender["p99.9"], sender["max"], receiver["p99.9"], receiver["max"])
    for name, value in zip(STEP_NAMES, values, strict=True):
        yield Row(name, value, None, "ms", None, None)


def import_time(plan: Plan) -> Iterator[Row]:
    """How much longer a Python lives that imports devp2p than one that imports trio."""
    # Compiled files are written, whatever this process was told, but not beside the sources.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(_COMPILED), "PYTHONDONTWRITEBYTECODE": ""}

    def measure(module: str) -> float:
        command = [sys.executable, "-c", f"import {module}"]
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT, env=environment)  # noqa: S603  (our own interpreter)
        return time.perf_counter() - start

    measure("devp2p")  # now they are there
    differences = [measure("devp2p") - measure("trio") for _ in range(3 if plan.quick else 12)]
    yield Row("import/beyond_trio", 1000 * median(differences), None, "ms", None, None)


def benchmarks() -> Iterable[Benchmark]:
    """All of them, in the order of the table."""
    yield Benchmark(IDLE_NAMES, idle)
    yield Benchmark(STEP_NAMES, steps)
    yield Benchmark(("import/beyond_trio",), import_time)
