"""The two sides of a comparison, ours and go-ethereum's, and how their processes are started, heard and ended."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
_GO_SOURCE = Path(__file__).resolve().parent / "geth"
_GO_BINARY = ROOT / "build" / "bench" / "gethbench"


class BenchError(Exception):
    """What to tell the user instead of a traceback."""


class Process:
    """A measured process, which speaks in lines of JSON."""

    def __init__(self, command: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self.command = command
        self._popen = subprocess.Popen(  # noqa: S603  (our own programs)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **environment}
        )
        if self._popen.stdin is None or self._popen.stdout is None:
            raise AssertionError("they are pipes")
        self._stdin, self._stdout = self._popen.stdin, self._popen.stdout

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def line(self, within: float) -> dict[str, Any]:
        """Its next line; BenchError if none comes in `within` seconds."""
        watchdog = threading.Timer(within, self._popen.kill)
        watchdog.start()
        text = self._stdout.readline()
        watchdog.cancel()
        if not text:
            raise BenchError(f"`{' '.join(self.command[-12:])}` ended, or said nothing for {within:g} s")
        report: dict[str, Any] = json.loads(text)
        return report

    def nudge(self) -> None:
        """Write it an empty line."""
        self._stdin.write("\n")
        self._stdin.flush()

    def end(self) -> None:
        """Kill it, if it still runs."""
        with self._popen:
            self._popen.kill()


@dataclass(frozen=True)
class Side:
    """How to start one side's processes."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    @contextmanager
    def run(self, *arguments: str) -> Iterator[Process]:
        """A process that does a job; it ends with the block."""
        process = Process((*self.command, *arguments), self.environment)
        try:
            yield process
        finally:
            process.end()

    @contextmanager
    def pair(self, first: str, second: str, *arguments: str) -> Iterator[tuple[Process, Process]]:
        """Two processes, of which the second is connected to the first; `first` and `second` are their modes."""
        with self.run(first, *arguments) as listener:
            target = listener.line(_START)["listening"]
            with self.run(second, *arguments, "--target", target) as dialler:
                yield listener, dialler


_START = 20.0  # seconds that a process may take to start

OURS = Side("devp2p", (sys.executable, "-m", "tools.bench.endpoints"))
OURS_PYCRYPTODOME = Side("devp2p with pycryptodome", OURS.command, {"DEVP2P_KECCAK": "pycryptodome"})
GETH = Side("go-ethereum", (str(_GO_BINARY),))


def build_geth() -> str | None:
    """Build go-ethereum's side; None once it is there, else why it cannot be."""
    go = shutil.which("go")
    if go is None:
        return "no `go` was found on the PATH"
    _GO_BINARY.parent.mkdir(parents=True, exist_ok=True)
    build = subprocess.run(  # noqa: S603  (the Go of the user)
        [go, "build", "-buildvcs=false", "-o", str(_GO_BINARY), "."], cwd=_GO_SOURCE, capture_output=True, text=True, check=False
    )
    if build.returncode:
        return f"`go build` failed: {build.stderr.strip().splitlines()[-1] if build.stderr.strip() else build.returncode}"
    return None
