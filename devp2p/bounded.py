"""What strangers must not make grow, and what is due when (pure; ``now`` is passed in)."""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from itertools import count
from typing import Generic, Protocol, TypeVar


class Throttle:
    """How often strangers may ask: each key has ``burst`` tokens at once and ``rate`` more a second."""

    def __init__(self, rate: float, burst: float | None = None, *, remembered: int = 4096) -> None:
        """`burst` is one second's worth of tokens where it is not given. Of more than `remembered` keys the least recent are forgotten."""
        self._rate = rate
        self._burst = max(1.0, rate) if burst is None else burst
        self._remembered = remembered
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # key -> tokens, and when there were so many

    def __len__(self) -> int:
        return len(self._buckets)

    def allows(self, key: bytes, now: float) -> bool:
        """Take a token, if there is one."""
        tokens, then = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)
        return allowed


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
