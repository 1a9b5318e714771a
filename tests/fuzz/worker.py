"""The process in which one target is fuzzed, with bounds on memory and on the time of an input; `__main__` starts it and reads its log.

What ends it is in the file of the crasher: the input that raised, took too long or too much memory. Nothing of `devp2p` is imported at
the top, because atheris instruments modules as they are imported.
"""

import contextlib
import importlib
import mmap
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from tests.fuzz import corpus

MEMORY: Final = 2**30
"""The bytes of address space that a process may have."""
CRASHERS: Final = ("crash-", "timeout-", "oom-")
"""How the files begin in which libFuzzer leaves what broke something."""


class TooSlowError(BaseException):
    """An input took longer than it may."""


def load(name: str) -> tuple[Callable[[bytes], None], int]:
    """A target, and the most bytes of its inputs; ``module:function`` is one that is in no list."""
    module, _, function = name.partition(":")
    if function:
        return getattr(importlib.import_module(module), function), 1400
    targets = importlib.import_module("tests.fuzz.targets")
    return lambda data: targets.run(name, data), targets.MAX_SIZE


def on_alarm(_signal: int, _frame: object) -> NoReturn:
    raise TooSlowError


@contextlib.contextmanager
def time_bound(seconds: float) -> Iterator[None]:
    """Raise TooSlowError in what computes for longer, whatever else the machine does meanwhile."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def under_atheris(name: str, seconds: int, seed: int, patience: int, place: Path) -> NoReturn:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["devp2p"]):
        run, max_size = load(name)
    found = place / "corpus"
    options = {
        "max_total_time": seconds,
        "seed": seed,
        "max_len": max_size,
        "timeout": patience,
        "rss_limit_mb": MEMORY >> 20,
        "artifact_prefix": f"{place}/",
        "print_final_stats": 1,
        "verbosity": 1,
    }
    kept = [str(corpus.KEPT / name)] if (corpus.KEPT / name).is_dir() else []
    atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(found), *kept], run)
    atheris.Fuzz()
    raise SystemExit


def under_mutation(name: str, seconds: int, seed: int, patience: int, place: Path) -> None:
    mutation: Any = importlib.import_module("tests.fuzz.mutation")
    run, max_size = load(name)
    signal.signal(signal.SIGPROF, on_alarm)
    # If the process dies of an input, the file still has it: its size in four bytes, and it.
    current = place / "current"
    current.write_bytes(bytes(4 + max_size))
    with current.open("r+b") as file, mmap.mmap(file.fileno(), 4 + max_size) as last:

        def run_noted(data: bytes) -> None:
            last[: 4 + len(data)] = len(data).to_bytes(4, "big") + data
            with time_bound(patience):
                run(data)

        known = [data[:max_size] for data in corpus.read(corpus.KEPT / name) + corpus.read(place / "corpus")]
        search = mutation.Search(run_noted, known, lambda data: corpus.write(place / "corpus", data))
        print(search.go_on(mutation.Mutator(seed, max_size), seconds))
    current.unlink()


def last_input(place: Path) -> bytes | None:
    """What the fallback engine ran when its process ended too early."""
    current = place / "current"
    if not current.exists():
        return None
    data = current.read_bytes()
    current.unlink()
    return data[4 : 4 + int.from_bytes(data[:4], "big")]


def crashers(place: Path) -> set[Path]:
    """What broke a target, in this run or an earlier one."""
    return {path for path in place.glob("*-*") if path.name.startswith(CRASHERS)}


def main(name: str, engine: str, place: str, *numbers: str) -> None:
    """Fuzz one target; the numbers are how many seconds, the seed, and how many seconds one input may take."""
    seconds, seed, patience = map(int, numbers)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    (Path(place) / "corpus").mkdir(parents=True, exist_ok=True)
    (under_atheris if engine == "atheris" else under_mutation)(name, seconds, seed, patience, Path(place))


if __name__ == "__main__":
    main(*sys.argv[1:])
