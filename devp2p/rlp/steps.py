"""Reading in steps: the caller can do other things in between, however many items there are."""

from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar, cast

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
"""It yields where a step ends, and returns what it has read."""

SLICE = 512
"""How many items are read in one step."""
_NEVER = -(2**62)


def budget_of(most: int) -> list[int]:
    """Make the budget of one decoding: how many items may still be made, and at how many of them the step ends, which is never."""
    return [most, _NEVER]


def begin_step(budget: list[int]) -> None:
    """Let the next step end after `SLICE` items; whoever takes steps does this before each."""
    budget[1] = max(budget[0] - SLICE, 0)


def run(steps: Steps[T]) -> T:
    """Take all steps at once."""
    try:
        while True:
            next(steps)
    except StopIteration as done:
        return cast("T", done.value)


def at_once(read_in_steps: Callable[[bytes, int, int, list[int]], Steps[T]]) -> Callable[[bytes, int, int, list[int]], T]:
    """Make a reader that takes all steps at once."""

    def read(data: bytes, at: int, end: int, budget: list[int], /) -> T:
        steps = read_in_steps(data, at, end, budget)
        try:  # as `run` does, whose call would cost time here
            while True:
                next(steps)
        except StopIteration as done:
            return cast("T", done.value)

    return read
