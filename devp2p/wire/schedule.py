"""What to send next (pure): the base protocol first, then urgent messages, then the rest shared fairly, bulk last.

Theory of operation. One frame carries one message on the stock wire, so the choice is made message by message and as late as
possible. Every capability has three lanes. `Lane.URGENT` is served before all other lanes, `Lane.BULK` only when nothing else waits.
Within a lane the capabilities take turns by deficit round robin (Shreedhar and Varghese, 1995): a turn adds a capability's weight in
bytes to its credit, and it sends while its credit covers its next message. Two capabilities that both always have something to send
get bytes in the ratio of their weights, whatever the sizes of their messages; one that is idle saves up nothing. The turns that lead up
to a large message are counted, not taken one by one, so that the choice takes as long for 16 MiB as for 16 bytes.
"""

import enum
from collections import deque
from collections.abc import Collection, Container, Sequence
from typing import Final, NamedTuple

from devp2p.errors import LocalProtocolError

QUANTUM = 16 * 1024
"""Bytes that one turn gives a capability of weight 1."""
_OVERHEAD = 64  # charged for each message beside its bytes: header, MACs and padding
_NEVER_USED: Final[deque["Outgoing"]] = deque(maxlen=0)  # for all queues in which nothing ever was: an empty one takes 760 bytes


class Lane(enum.IntEnum):
    """How a message waits beside the others."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


class Outgoing(NamedTuple):
    """A message that waits: its id, its encoded and uncompressed data, and the capability that it belongs to, and that pays for it.

    ``capability`` is the index into the shared capabilities, to which the id is relative, or None for the base protocol.
    """

    code: int
    data: bytes
    capability: int | None = None


class _FairQueue:
    """One lane: a queue for each capability, served by deficit round robin."""

    __slots__ = ("_credit", "_queues", "_turns", "_weights")

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights
        self._queues: list[deque[Outgoing]] = [_NEVER_USED] * len(weights)
        self._credit = [0] * len(weights)
        self._turns: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._turns)

    def push(self, index: int, message: Outgoing) -> None:
        queue = self._queues[index]
        if not queue:
            if queue is _NEVER_USED:
                queue = self._queues[index] = deque()
            self._turns.append(index)
            self._credit[index] = 0
        queue.append(message)

    def pop(self) -> Outgoing:
        turns, credit = self._turns, self._credit
        if len(turns) > 1 and self._lacks(turns[0]) > 0:
            self._advance()
        index = turns[0]
        queue = self._queues[index]
        message = queue.popleft()
        # One that is alone sends without credit, and must not owe it to those that come later.
        credit[index] = max(0, credit[index] - len(message.data) - _OVERHEAD)
        if not queue:
            del turns[0]
        elif self._lacks(index) > 0 and len(turns) > 1:
            turns.append(turns.pop(0))
        return message

    def pop_among(self, indexes: Container[int]) -> Outgoing | None:
        """The same among these capabilities; None if none of them waits. The others keep their turns, and their credit."""
        held_back = [index for index in self._turns if index not in indexes]
        if len(held_back) == len(self._turns):
            return None
        for index in held_back:
            self._turns.remove(index)
        message = self.pop()
        self._turns.extend(held_back)
        return message

    def pop_of(self, index: int) -> Outgoing | None:
        """Take the next message of one capability, whoever's turn it is; it pays nothing."""
        queue = self._queues[index]
        if not queue:
            return None
        message = queue.popleft()
        if not queue:
            self._turns.remove(index)
        return message

    def count(self, index: int) -> int:
        """How many messages of one capability are here."""
        return len(self._queues[index])

    def waiting(self) -> Collection[int]:
        """Who has something here."""
        return self._turns

    def first(self, index: int) -> Outgoing | None:
        """The next message of one capability, which stays where it is."""
        queue = self._queues[index]
        return queue[0] if queue else None

    def _lacks(self, index: int) -> int:
        """How much credit a capability lacks for its next message, in bytes; not above 0 if it lacks none."""
        return len(self._queues[index][0].data) + _OVERHEAD - self._credit[index]

    def _advance(self) -> None:
        """Give turns until a capability, then at the front, can send its next message; all that wait lack credit."""
        turns, credit = self._turns, self._credit
        quanta = [QUANTUM * self._weights[index] for index in turns]
        needed = [-(-self._lacks(index) // quantum) for index, quantum in zip(turns, quanta, strict=True)]
        rounds = min(needed)
        first = needed.index(rounds)
        for place, (index, quantum) in enumerate(zip(turns, quanta, strict=True)):
            credit[index] += quantum * (rounds if place <= first else rounds - 1)
        turns[:] = turns[first:] + turns[:first]


class Schedule:
    """The messages of one session that wait to be sent."""

    def __init__(self, weights: Sequence[int]) -> None:
        """`weights`: of each shared capability, in their order, a whole number from 1 up (LocalProtocolError for others)."""
        if any(weight < 1 for weight in weights):
            raise LocalProtocolError(f"a weight is a whole number from 1 up, not {min(weights)!r}")
        self._base: deque[Outgoing] = _NEVER_USED
        self._lanes = [_FairQueue(weights) for _ in Lane]

    def add(self, message: Outgoing, lane: Lane = Lane.NORMAL) -> None:
        """Queue a message; those of one capability and lane keep their order, those of the base protocol go first."""
        if message.capability is None:
            if self._base is _NEVER_USED:
                self._base = deque()
            self._base.append(message)
        else:
            self._lanes[lane].push(message.capability, message)

    def next(self) -> Outgoing | None:
        """Take the message that is to be sent next, or None."""
        if self._base:
            return self._base.popleft()
        for lane in self._lanes:
            if lane:
                return lane.pop()
        return None

    def counts(self, index: int) -> tuple[int, int, int]:
        """How many messages a capability has in each lane, urgent ones first."""
        urgent, normal, bulk = self._lanes
        return urgent.count(index), normal.count(index), bulk.count(index)

    def waiting(self, lane: Lane) -> Collection[int]:
        """The capabilities that have a message in a lane."""
        return self._lanes[lane].waiting()

    def first(self, index: int, lane: Lane) -> Outgoing | None:
        """The next message that a capability has in a lane, which stays where it is; None if it has none."""
        return self._lanes[lane].first(index)

    def take(self, index: int, lane: Lane) -> Outgoing | None:
        """Take that message, whoever's turn it is here: somebody else has chosen."""
        return self._lanes[lane].pop_of(index)

    def queued(self) -> dict[int, Lane]:
        """The capabilities of which messages wait, each with its most urgent lane."""
        return {index: lane for lane in reversed(Lane) for index in self._lanes[lane].waiting()}

    def next_among(self, indexes: Container[int]) -> Outgoing | None:
        """Take the message that is to be sent next of these capabilities; None if there is none."""
        for lane in self._lanes:
            if (message := lane.pop_among(indexes)) is not None:
                return message
        return None

    def next_of(self, index: int | None) -> Outgoing | None:
        """Take the next message of one capability, or of the base protocol, for whom there is a stream of its own; None if it has none."""
        if index is None:
            return self._base.popleft() if self._base else None
        for lane in self._lanes:
            if (message := lane.pop_of(index)) is not None:
                return message
        return None
