"""The corpus: small inputs that reach everything known to be reachable, one directory for each target.

What is in the repository stays there, for it is what the tests replay. Runs keep what they find in build/fuzz; `keep` takes over what
reaches anything new, cut down to what it needs for that.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.fuzz.tracing import Arc, Tracer

ROOT: Final = Path(__file__).resolve().parents[2]
KEPT: Final = ROOT / "tests" / "fuzz" / "corpus"
BUILD: Final = ROOT / "build" / "fuzz"
MOST_FOUND: Final = 18
"""How many inputs of one target the repository takes over from runs, beside the seeds."""
TRIALS: Final = 300
"""How often one input is tried with something cut out of it."""


def short_name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def read(directory: Path) -> list[bytes]:
    """The inputs of a directory, short ones first; none if it is not there."""
    return sorted({path.read_bytes() for path in directory.glob("*") if path.is_file()}, key=lambda data: (len(data), data))


def write(directory: Path, data: bytes) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / short_name(data)
    path.write_bytes(data)
    return path


def cuts(data: bytes) -> Iterator[bytes]:
    """The same with something left out, large pieces first."""
    size = max(1, len(data) // 2)
    while data and size:
        yield from (data[:at] + data[at + size :] for at in range(0, len(data), size))
        size //= 2


def shrink(data: bytes, is_good: Callable[[bytes], bool]) -> bytes:
    """Leave out of an input what `is_good` does not miss."""
    trials = TRIALS
    going = True
    while going:
        going = False
        for shorter in cuts(data):
            trials -= 1
            if not trials:
                return data
            if is_good(shorter):
                data, going = shorter, True
                break
    return data


def choose(run: Callable[[bytes], None], kept: Iterable[bytes], found: Iterable[bytes], room: int) -> list[bytes]:
    """At most `room` of the inputs found, cut down, each of which reaches what neither those that are kept nor those before it do."""
    tracer = Tracer()

    def reach(data: bytes) -> frozenset[Arc]:
        try:
            return tracer.arcs(lambda: run(data))
        except Exception:  # noqa: BLE001  (a finding: it becomes a test, not a seed)
            return frozenset()

    seen = {arc for data in kept for arc in reach(data)}
    chosen: list[bytes] = []
    for data in found:
        new = reach(data) - seen
        if new and len(chosen) < room:
            small = shrink(data, lambda shorter, new=new: new <= reach(shorter))  # type: ignore[misc]
            seen |= reach(small)
            chosen.append(small)
    return chosen


def keep(name: str, run: Callable[[bytes], None], seeds: Iterable[bytes]) -> list[Path]:
    """Write the seeds of a target, and what its runs have found, into the repository's corpus; the new files."""
    directory = KEPT / name
    before = set(directory.glob("*"))
    first = {write(directory, seed) for seed in seeds}
    kept = read(directory)
    room = MOST_FOUND - (len(kept) - len(first))
    for data in choose(run, kept, read(BUILD / name / "corpus"), room):
        write(directory, data)
    return sorted(set(directory.glob("*")) - before)
