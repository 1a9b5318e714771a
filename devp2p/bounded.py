"""What strangers must not make grow, and what is due when (pure; ``now`` is passed in)."""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from itertools import count
from math import inf
from typing import Generic, Protocol, TypeVar, cast

K = TypeVar("K")
V = TypeVar("V")


class _Moment(float):
    """When something was set, and what. Thousands of them are kept, so both are one object; where the value is None a plain float does."""

    __slots__ = ("value",)
    value: object


class Recent(Generic[K, V]):
    """A dict of the keys that were set last: at most `size` of them, and each for `lifetime` seconds.

    Strangers choose the keys, so these should be bytes, text, or tuples with such in them: Python salts their hashes, those of numbers it
    does not. Without a lifetime no time is looked at, and ``now`` may be left out everywhere.
    """

    __slots__ = ("_entries", "_lifetime", "_size")

    def __init__(self, size: int, lifetime: float = inf) -> None:
        self._size = size
        self._lifetime = lifetime
        self._entries: OrderedDict[K, float] = OrderedDict()  # the one that was set or touched longest ago first

    def __len__(self) -> int:
        """How many keys are held; `forget_old` first leaves none of them that is too old."""
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def get(self, key: K, now: float = 0.0) -> V | None:
        """The value of a key; None if it was never set, or is forgotten."""
        since = self._entries.get(key)
        return self._value(since) if since is not None and now - since < self._lifetime else None

    def has(self, key: K, now: float = 0.0) -> bool:
        """Whether a key was set, and is not forgotten."""
        since = self._entries.get(key)
        return since is not None and now - since < self._lifetime

    def when(self, key: K) -> float | None:
        """When a key was last set; None if it is not there. One that is too old may still be."""
        since = self._entries.get(key)
        return None if since is None else float(since)

    def set(self, key: K, value: V, now: float = 0.0) -> None:
        """Set the value of a key, from now on for its lifetime. Those that are too old go, and if there are too many, the first of all."""
        since = float(now)
        if value is not None:
            since = _Moment(now)
            since.value = value
        self._entries[key] = since
        self._entries.move_to_end(key)
        self.forget_old(now)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def touch(self, key: K) -> None:
        """A key was of use: others go before it when there are too many. It gets no older and no younger. KeyError if it is not there."""
        self._entries.move_to_end(key)

    def pop(self, key: K) -> V | None:
        """Forget a key, and give its value; None if it is not there."""
        since = self._entries.pop(key, None)
        return None if since is None else self._value(since)

    def forget_old(self, now: float) -> None:
        """Forget those that are too old, but for those that stand behind a younger one that was not touched since."""
        while self._entries and now - next(iter(self._entries.values())) >= self._lifetime:
            self._entries.popitem(last=False)

    def oldest(self) -> float | None:
        """When the key was last set that goes next; None if there is none."""
        return next((float(since) for since in self._entries.values()), None)

    def items(self) -> Iterator[tuple[K, V]]:
        """All keys with their values, the one that goes next first."""
        return ((key, self._value(since)) for key, since in self._entries.items())

    @staticmethod
    def _value(since: float) -> V:
        return cast("V", since.value if isinstance(since, _Moment) else None)


class Throttle:
    """How often strangers may ask: each key has ``burst`` tokens at once and ``rate`` more a second."""

    def __init__(self, rate: float, burst: float | None = None, *, remembered: int = 4096) -> None:
        """`burst` is one second's worth of tokens where it is not given. Of more than `remembered` keys the least recent are forgotten."""
        self._rate = rate
        self._burst = max(1.0, rate) if burst is None else burst
        self._fewer = self._burst - 1  # one object for all who come for the first time, as most of those in a flood do
        self._tokens: Recent[bytes, float] = Recent(remembered)  # so many as there were when they were set

    def __len__(self) -> int:
        return len(self._tokens)

    def allows(self, key: bytes, now: float) -> bool:
        """Take a token, if there is one."""
        tokens, then = self._tokens.get(key), self._tokens.when(key)
        tokens = self._burst if tokens is None or then is None else min(self._burst, tokens + (now - then) * self._rate)
        allowed = tokens >= 1
        if allowed:
            tokens = self._fewer if tokens == self._burst else tokens - 1
        self._tokens.set(key, tokens, now)
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
