"""Which capability, and which of its lanes, sends how many bytes next (pure; dpx/1, section 6, "What to send next").

Theory of operation. Messages are cut into frames when they are sent, so the choice is made frame by frame. `Lane.URGENT` goes before
`Lane.NORMAL`, and `Lane.BULK` only when nothing else can be sent. Urgent messages may be ahead of normal ones by half a round at most
while these wait; so in the long run they never take more than half of the way, however many there are. A round is `Turns.window` bytes:
what the way carries in a moment.

Within a lane the capabilities take turns by deficit round robin (Shreedhar and Varghese, 1995): each turn adds a capability's part of a
round, by its weight, to what it may send; it sends while that is above 0. A frame may take more than is left, which is then owed. One that
is idle, or may not send, saves up and owes nothing; nor does one that is alone. Turns that only pay debts are counted, not taken.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from devp2p.errors import LocalProtocolError
from devp2p.wire.schedule import Lane

LEAST_WINDOW: Final = 8 * 1024
MOST_WINDOW: Final = 256 * 1024
_MOMENT: Final = 0.02  # seconds that a round takes
_MOST_HINT: Final = 255


def window_for(rate: float) -> int:
    """The bytes of one round where the way carries `rate` bytes a second."""
    return int(max(LEAST_WINDOW, min(rate * _MOMENT, MOST_WINDOW)))


class Turn(NamedTuple):
    """Who may send."""

    capability: int
    """Its index."""
    lane: Lane
    size: int
    """Bytes; a whole frame may be sent if one has begun."""


class _Fair:
    """Turns in one lane."""

    __slots__ = ("_before", "_last", "_left")

    def __init__(self, count: int) -> None:
        self._left = [0] * count  # bytes that each may send; below 0 it owes them
        self._before: list[int] = []  # those that could send when somebody was last chosen
        self._last = -1

    def choose(self, active: list[int], weights: Sequence[int], window: int) -> tuple[int, int]:
        """One of those that can send, and how much it may; `active` is sorted."""
        left = self._left
        if active != self._before:
            alone = self._before if len(self._before) == 1 else ()
            for index in {*active}.symmetric_difference(self._before).union(alone):
                left[index] = 0
            self._before = active
        if len(active) == 1:
            self._last = active[0]
            left[self._last] = 0
            return self._last, window
        if self._last not in active or left[self._last] <= 0:
            self._advance(active, weights, window)
        return self._last, left[self._last]

    def _advance(self, active: list[int], weights: Sequence[int], window: int) -> None:
        """Give turns, beginning behind the last one, until somebody may send."""
        left, first = self._left, bisect_right(active, self._last)
        order = active[first:] + active[:first]
        total = sum(weights[index] for index in order)
        parts = [max(1, window * weights[index] // total) for index in order]
        rounds = [max(1, -(-(1 - left[index]) // part)) for index, part in zip(order, parts, strict=True)]
        least = min(rounds)
        place = rounds.index(least)
        for at, (index, part) in enumerate(zip(order, parts, strict=True)):
            left[index] += part * (least if at <= place else least - 1)
        self._last = order[place]

    def spent(self, index: int, size: int) -> None:
        self._left[index] -= size


class Turns:
    """The choice for one session. What waits is somebody else's business; see `Turns.next`."""

    def __init__(self, weights: Sequence[int]) -> None:
        """`weights`: of each shared capability, in their order, a whole number from 1 up (LocalProtocolError for others)."""
        if any(weight < 1 for weight in weights):
            raise LocalProtocolError(f"a weight is a whole number from 1 up, not {min(weights)!r}")
        self.window: int = MOST_WINDOW
        """Bytes of one round; see `window_for`."""
        self._own = tuple(weights)
        self._weights = list(weights)
        self._lanes = [_Fair(len(weights)) for _ in Lane]
        self._blocked: list[set[int]] = [set() for _ in Lane]
        self._ahead = 0  # bytes by which urgent messages are ahead of normal ones that wait

    def weigh(self, index: int, hint: int) -> None:
        """The peer would like so many times more of a capability than we do by ourselves: a number from 1 to 255."""
        self._weights[index] = self._own[index] * max(1, min(hint, _MOST_HINT))

    def block(self, index: int, lane: Lane) -> None:
        """What a capability has in a lane may not be sent for now."""
        self._blocked[lane].add(index)

    def may(self, index: int, lane: Lane) -> bool:
        """Whether nothing of that kind is known."""
        return index not in self._blocked[lane]

    def unblock(self, index: int) -> None:
        """A capability may perhaps send again, whatever it was that it waited for."""
        for blocked in self._blocked:
            blocked.discard(index)

    def unblock_all(self) -> None:
        """All may perhaps send again."""
        for blocked in self._blocked:
            blocked.clear()

    def next(self, waiting: Callable[[Lane], Collection[int]]) -> Turn | None:
        """Say who sends next; None if nobody can. `waiting` tells who has something in a lane.

        Say by `spent` what was sent, or by `block` that nothing could be, before asking again.
        """
        normal = self._active(Lane.NORMAL, waiting)
        half = self.window // 2
        if not normal:
            self._ahead = 0
        if (urgent := self._active(Lane.URGENT, waiting)) and self._ahead < half:
            index, size = self._lanes[Lane.URGENT].choose(urgent, self._weights, self.window)
            return Turn(index, Lane.URGENT, min(size, half - self._ahead) if normal else size)
        if normal:
            index, size = self._lanes[Lane.NORMAL].choose(normal, self._weights, self.window)
            return Turn(index, Lane.NORMAL, min(size, half) if urgent else size)
        if bulk := self._active(Lane.BULK, waiting):
            index, size = self._lanes[Lane.BULK].choose(bulk, self._weights, self.window)
            return Turn(index, Lane.BULK, size)
        return None

    def spent(self, turn: Turn, size: int) -> None:
        """So many bytes were sent in a turn."""
        self._lanes[turn.lane].spent(turn.capability, size)
        if turn.lane is Lane.URGENT:
            self._ahead += size
        elif turn.lane is Lane.NORMAL:
            self._ahead = max(0, self._ahead - size)

    def _active(self, lane: Lane, waiting: Callable[[Lane], Collection[int]]) -> list[int]:
        found, blocked = waiting(lane), self._blocked[lane]
        if not found:
            return []
        return sorted(found) if not blocked else sorted(index for index in found if index not in blocked)
