"""How much to measure, with whom, and what a benchmark is."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tools.bench.figures import Row
from tools.bench.sides import Side

KIB, MIB = 2**10, 2**20


@dataclass(frozen=True)
class Plan:
    """The size of a run."""

    repeats: int
    quick: bool
    peer: Side | None
    """go-ethereum, or None where it cannot be built."""

    def seconds(self, usual: float, quick: float) -> float:
        """How long to measure once."""
        return quick if self.quick else usual

    def alternate(self, ours: Side, measure: Callable[[Side], float], repeats: int | None = None) -> tuple[list[float], list[float]]:
        """Measure ours, theirs, ours, theirs ... one after the other; theirs stays empty without a peer."""
        pairs = list(self.alternate_many(ours, lambda side: (measure(side),), repeats))
        return [mine[0] for mine, _ in pairs], [theirs[0] for _, theirs in pairs if theirs]

    def alternate_many(
        self, ours: Side, measure: Callable[[Side], tuple[float, ...]], repeats: int | None = None
    ) -> Iterator[tuple[tuple[float, ...], tuple[float, ...]]]:
        """The same for several figures at once, as pairs (ours, theirs)."""
        for _ in range(repeats or self.repeats):
            yield measure(ours), measure(self.peer) if self.peer else ()


@dataclass(frozen=True)
class Benchmark:
    """Something to measure, which gives one row or more."""

    names: tuple[str, ...]
    """Names of its rows."""
    measure: Callable[[Plan], Iterable[Row]]
    variant: bool = False
    """Whether a quick run leaves it out unless asked for."""
    why_not: Callable[[], str | None] = lambda: None
    """What is missing on this machine before it can be measured, or None."""

    def matches(self, prefix: str) -> bool:
        """Whether a row of it may begin with `prefix`."""
        return any(name.startswith(prefix) for name in self.names)


def size_name(size: int) -> str:
    """32B, 16KiB, 10MiB."""
    for unit, factor in (("MiB", MIB), ("KiB", KIB)):
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"
