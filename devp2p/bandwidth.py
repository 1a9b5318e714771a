"""Bandwidth that many share fairly (pure; ``now`` is passed in): how much may pass in a second, and who is next.

Theory of operation. A `Bucket` fills with tokens, one for each byte. Who may pass takes what it needs, once there is anything: so a
message that is larger than the bucket passes, and leaves a debt. A `Valve` is a bucket with those who wait for it. The most urgent goes
first; among equals start-time fair queueing decides (Goyal, Vin and Cheng, 1996): each has a tag, which grows with what it has sent, and
the lowest is next. One that was idle begins at the tag of those that were not, so that it saves up nothing.
"""

import math
from collections.abc import Callable
from typing import Final

_BURST: Final = 0.25  # seconds in which tokens add up while nobody wants them
_QUANTUM: Final = 0.02  # seconds for which one may go on before another has its turn
_LEAST_QUANTUM: Final = 2 * 1024
_MOST_QUANTUM: Final = 64 * 1024


class Bucket:
    """Tokens that come at a rate, up to a brim; below zero they are owed."""

    __slots__ = ("_time", "_tokens", "brim", "rate")

    def __init__(self, rate: float, brim: float) -> None:
        """It is full at first. `rate` in bytes a second, above zero; `brim` in bytes."""
        self.rate: float = rate
        self.brim: float = brim
        self._tokens = brim
        self._time = -math.inf

    def level(self, now: float) -> float:
        """How many tokens there are; not above 0 if nobody may pass."""
        if now > self._time:
            self._tokens = min(self.brim, self._tokens + (now - self._time) * self.rate)
            self._time = now
        return self._tokens

    def take(self, size: float, now: float) -> None:
        """Take tokens, owing what is not there."""
        self._tokens = self.level(now) - size

    def due(self, now: float, more_than: float = 0) -> float:
        """When there will be more than so many: now, if there are."""
        level = self.level(now)
        return now if level > more_than else now + (more_than + 1 - level) / self.rate


class Flow:
    """One of those who share a valve: a session, whose streams may wait side by side."""

    __slots__ = ("tag",)

    def __init__(self) -> None:
        self.tag: float = 0.0
        """How much it has had, as far as that counts."""


class Waiter:
    """Somebody of a flow who may have to wait. `wake` is called when it may have come to its turn: it should ask again."""

    __slots__ = ("flow", "number", "urgency", "wake")

    def __init__(self, flow: Flow, wake: Callable[[], None]) -> None:
        self.flow: Flow = flow
        self.wake: Callable[[], None] = wake
        self.urgency: int = 0
        self.number: int = 0


class Valve:
    """Lets through so many bytes a second, of those who ask; see above."""

    def __init__(self, rate: float) -> None:
        """`rate` in bytes a second, above zero."""
        self.rate: float = rate
        self.quantum: int = int(min(_MOST_QUANTUM, max(_LEAST_QUANTUM, rate * _QUANTUM)))
        """Bytes that one may pass in a row while others wait; larger writes should be cut to it."""
        self._bucket = Bucket(rate, max(self.quantum, rate * _BURST))
        self._waiting: dict[Waiter, None] = {}
        self._virtual = 0.0  # the tag of who went last
        self._numbers = 0
        self._crowded_since = math.nan
        self._crowded = 0.0

    def room(self, now: float) -> int:
        """How many bytes may pass without a debt."""
        return max(0, int(self._bucket.level(now)))

    def may_pass(self, waiter: Waiter, urgency: int, now: float) -> bool:
        """Whether it is somebody's turn, lower `urgency` first. Who may pass waits no more; who may not should `join`."""
        relents = urgency > waiter.urgency and waiter in self._waiting
        waiter.urgency = urgency
        waiter.flow.tag = max(waiter.flow.tag, self._virtual)
        if self._bucket.level(now) > self._worth(waiter) and not self._is_behind(waiter):
            self.leave(waiter, now)
            return True
        if relents:
            self._best().wake()  # which may be another now
        return False

    def join(self, waiter: Waiter, now: float) -> None:
        """It waits from now on, and is woken when it may have come to its turn; `due` says when it should ask by itself.

        Who waits holds up those that come later, so it must ask when it is woken, or `leave`.
        """
        if waiter not in self._waiting:
            if not self._waiting:
                self._crowded_since = now
            self._numbers += 1
            waiter.number = self._numbers
            self._waiting[waiter] = None

    def spend(self, flow: Flow, size: int, now: float) -> None:
        """So many bytes of a flow have passed."""
        self._bucket.take(size, now)
        flow.tag = max(flow.tag, self._virtual)
        self._virtual = max(self._virtual, min(flow.tag, self._least_tag()))
        flow.tag += size
        if self._waiting:
            self._best().wake()

    def due(self, waiter: Waiter, now: float) -> float:
        """When somebody should ask again; infinity for one that does not wait, or will be woken."""
        if waiter not in self._waiting or self._best() is not waiter:
            return math.inf
        return self._bucket.due(now, self._worth(waiter))

    def leave(self, waiter: Waiter, now: float) -> None:
        """It waits no more."""
        if waiter not in self._waiting:
            return
        del self._waiting[waiter]
        if self._waiting:
            self._best().wake()
        else:
            self._crowded += now - self._crowded_since

    def crowded(self, now: float) -> float:
        """In how many seconds so far somebody had to wait."""
        return self._crowded + (now - self._crowded_since if self._waiting else 0.0)

    def _worth(self, waiter: Waiter) -> float:
        """How much must be there for somebody to go on: one that waits does not come back for each small message, unless it is urgent."""
        return self.quantum / 2 if waiter.urgency and waiter in self._waiting else 0

    def _best(self) -> Waiter:
        return min(self._waiting, key=_order)

    def _least_tag(self) -> float:
        return min((waiter.flow.tag for waiter in self._waiting), default=math.inf)

    def _is_behind(self, waiter: Waiter) -> bool:
        """Whether another waits that comes first. One that is about to go on may be ahead by a quantum."""
        begun = waiter not in self._waiting
        own = (waiter.urgency, waiter.flow.tag - (self.quantum if begun else 0), 0 if begun else waiter.number)
        return any(other is not waiter and _order(other) < own for other in self._waiting)


def _order(waiter: Waiter) -> tuple[int, float, int]:
    return waiter.urgency, waiter.flow.tag, waiter.number
