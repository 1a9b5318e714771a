"""What the measured processes share: options, payloads, the meter of a stream of messages, lines of JSON."""

import json
import os
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import trio

from devp2p import NodeRecord
from devp2p.limits import MAX_MESSAGE_SIZE
from tools.bench.figures import percentile

_PATTERN = 64  # bytes of the block that a compressible payload repeats


@dataclass(frozen=True)
class Options:
    """The command line of a measured process."""

    mode: str
    size: int
    seconds: float
    payload: str
    snappy: bool
    target: str
    beside: int
    stall: bool
    flows: str
    steps: bool
    transport: str = "tcp"
    relay: str = ""
    folder: str = ""

    @property
    def record(self) -> NodeRecord:
        """The other side."""
        return NodeRecord.parse(self.target)


@dataclass(frozen=True)
class Blob:
    """The typed message of all benchmarks: one field of bytes."""

    data: bytes
    max_size: ClassVar[int] = MAX_MESSAGE_SIZE


def make_payload(size: int, kind: str) -> bytes:
    """`size` bytes: ``random``, which snappy cannot compress, or ``pattern``, one random block over and over."""
    if kind == "random":
        return os.urandom(size)
    return (os.urandom(_PATTERN) * (size // _PATTERN + 1))[:size]


def emit(report: dict[str, Any]) -> None:
    """Write a line for the process that started this one."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


class Meter:
    """Times a stream of messages, from the first one after a warm-up to the last."""

    def __init__(self, seconds: float) -> None:
        self._warm_up = seconds / 5
        self._first = 0.0
        self._begin = (0.0, 0.0)
        self._last = (0.0, 0.0)
        self._count = 0

    def take(self, messages: int = 1) -> None:
        """Count messages that have just come."""
        now = time.perf_counter()
        if not self._first:
            self._first = now
        if now - self._first < self._warm_up or self._begin == (0.0, 0.0):
            self._begin = (now, time.process_time())
        else:
            self._count += messages
            self._last = (now, 0.0)

    def report(self) -> dict[str, Any]:
        """Messages, the seconds they took, and how much CPU time this process used meanwhile."""
        if not self._count:
            raise SystemExit("no message came after the warm-up")
        cpu = time.process_time() - self._begin[1]
        return {"messages": self._count, "seconds": self._last[0] - self._begin[0], "cpu": cpu}


class StepTimes(trio.abc.Instrument):
    """How long each step of a trio task kept the loop busy, in seconds."""

    def __init__(self) -> None:
        self.times: array[float] = array("d")
        self._start = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        """A task begins to run."""
        self._start = time.perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        """It has come to an await that suspends it."""
        if self._start:  # the step that adds the instrument has no beginning
            self.times.append(time.perf_counter() - self._start)

    def report(self) -> dict[str, Any]:
        """Percentiles in milliseconds."""
        times: Sequence[float] = sorted(self.times)
        shares = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
        return {"count": len(times), **{name: 1000 * percentile(times, share) for name, share in shares.items()}}
