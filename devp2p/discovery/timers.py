"""What is due when, for many things of which most are called off (pure)."""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """Something that is due at a time, or never."""

    due: float | None


T = TypeVar("T", bound=Timed)


class Timers(Generic[T]):
    """Things by when they are due. To call one off, set its `due` to None; to put it off, `set` it again."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._numbers = count()

    def set(self, item: T, due: float) -> None:
        """Say when a thing is due."""
        item.due = due
        heapq.heappush(self._heap, (due, next(self._numbers), item))

    def next(self) -> float | None:
        """When the next thing is due, or None if nothing is."""
        while self._heap and self._heap[0][2].due != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[T]:
        """Take what is due, the earliest first."""
        while (due := self.next()) is not None and due <= now:
            item = heapq.heappop(self._heap)[2]
            item.due = None
            yield item
