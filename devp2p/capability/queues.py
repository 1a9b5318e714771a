"""The bounded queues between a session and its capabilities: one `Outbox` a session, one `Inbox` a capability.

Both count bytes as well as messages. A full outbox makes ``send`` wait; a full inbox makes the session's reader wait, for a while.
"""

from collections import deque
from collections.abc import Callable, Collection
from time import perf_counter

import trio

from devp2p.capability.budget import Budget, HeldUp
from devp2p.capability.caps import Gate, urgency_of
from devp2p.errors import PeerDisconnected
from devp2p.limits import Limits
from devp2p.wire import Lane, MessageReceived, Outgoing, Schedule

_TURN = 0.001  # seconds
_EACH = 256  # bytes that a waiting message takes beside its data; counted for those beyond the usual number


class Turn:
    """How long a task has gone on without letting the others have their turn.

    A checkpoint for each message would cost as much as a message does; so a task that finds one message after the other passes one when
    its turn is over, which what it does with them counts in, too. The clock is the real one, whatever trio's is.
    """

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends = 0.0

    def begin(self) -> None:
        """The task has just been scheduled."""
        self._ends = perf_counter() + _TURN

    @property
    def is_over(self) -> bool:
        """Whether it is time for the others."""
        return perf_counter() > self._ends

    async def end(self) -> None:
        """Let the others have their turn, and begin the next."""
        await trio.lowlevel.checkpoint()
        self.begin()


class Outbox:
    """What a session's capabilities want to send. Many tasks put; the one writer gets."""

    def __init__(self, weights: list[int], limits: Limits) -> None:
        self.weights: tuple[int, ...] = tuple(weights)
        """Of the capabilities."""
        self._limits = limits
        self._schedule = Schedule(weights)
        self._bytes = [0] * len(weights)
        self._messages = [0] * len(weights)
        self._cut = [[0] * len(weights) for _ in Lane]  # bytes of the first messages that were sent
        self._turns = [trio.Lock() for _ in weights]
        self._room = [trio.lowlevel.ParkingLot() for _ in weights]
        self._filled = trio.lowlevel.ParkingLot()
        self._end: PeerDisconnected | None = None
        self._last: Outgoing | None = None
        self.is_paused: bool = False
        """Whether nothing is given for the moment."""
        self.pauses: int = 0
        """How many times it was paused."""

    async def put(self, message: Outgoing, lane: Lane) -> None:
        """Queue a capability's message, waiting while that capability has too much queued; PeerDisconnected after the end."""
        await trio.lowlevel.checkpoint_if_cancelled()
        index, size = message.capability, len(message.data)
        assert index is not None  # noqa: S101  (put_base is for the others)
        if self._turns[index].locked() or not self._has_room(index, size):
            async with self._turns[index]:  # first come, first served: a large message is not overtaken for ever
                while not self._has_room(index, size):
                    await self._room[index].park()
                self._add(message, lane, index, size)
        else:
            self._add(message, lane, index, size)

    def put_base(self, code: int, data: bytes) -> None:
        """Queue a message of the base protocol, ahead of everything; ignored after the end."""
        if self._end is None:
            self._schedule.add(Outgoing(code, data))
            _wake(self._filled)

    async def get(self, pauses: int, gate: Gate | None = None) -> Outgoing | None:
        """Take the message that is to be sent next, waiting for one; with a `gate`, until it may pass there.

        None when all is sent after the end, or if there was a pause since the caller looked at `pauses`.
        """
        while (message := self.get_nowait(gate)) is None and self._end is None and self.pauses == pauses:
            await self._wait(gate)
        if gate is not None:
            gate.leave()
        return message

    def get_nowait(self, gate: Gate | None = None) -> Outgoing | None:
        """Take the message that is to be sent next, or None."""
        if self.is_paused:
            return None
        message = self._schedule.next() if gate is None else self._next_through(gate)
        if message is None:
            message, self._last = self._last, None
        return self._taken(message)

    async def get_of(self, index: int | None, pauses: int, gate: Gate | None = None) -> Outgoing | None:
        """The same for one capability, or the base protocol, that has a stream of its own. The session's last message is not given."""
        while (message := self.get_of_nowait(index, gate)) is None and self._end is None and self.pauses == pauses:
            await self._wait(gate)
        if gate is not None:
            gate.leave()
        return message

    def get_of_nowait(self, index: int | None, gate: Gate | None = None) -> Outgoing | None:
        """See `get_of` and `get_nowait`."""
        if self.is_paused:
            return None
        if gate is not None and index is not None and index not in self._passing(gate, index):
            return None
        return self._taken(self._schedule.next_of(index))

    def _next_through(self, gate: Gate) -> Outgoing | None:
        """What is next of that which may pass; the base protocol may always."""
        if (message := self._schedule.next_of(None)) is not None:
            return message
        passing = self._passing(gate)
        return self._schedule.next_among(passing) if passing else None

    def _passing(self, gate: Gate, only: int | None = None) -> Collection[int]:
        """The capabilities that have something to send, and may."""
        queued = [(index, lane) for index, lane in self._schedule.queued().items() if only in {None, index}]
        passing = {index: lane for index, lane in queued if gate.may_pass(index, urgency_of(lane))}
        return passing if passing and gate.is_open(urgency_of(min(passing.values()))) else ()

    async def _wait(self, gate: Gate | None) -> None:
        await (self._filled.park() if gate is None else gate.park(self._filled))

    # For a line that chooses for itself, and sends a message in parts

    def waiting_in(self, lane: Lane) -> Collection[int]:
        """The capabilities that have a message in a lane."""
        return self._schedule.waiting(lane)

    def first(self, index: int, lane: Lane) -> Outgoing | None:
        """The next message that a capability has in a lane, which stays where it is; None if it has none."""
        return self._schedule.first(index, lane)

    def cut(self, index: int, lane: Lane, size: int) -> None:
        """So many further bytes of that message are on their way, and wait no more; see `take` for the end of it."""
        self._bytes[index] -= size
        self._cut[lane][index] += size
        _wake(self._room[index])

    def take(self, index: int, lane: Lane) -> None:
        """All of that message is on its way, or given up."""
        message = self._schedule.take(index, lane)
        self._bytes[index] += self._cut[lane][index]
        self._cut[lane][index] = 0
        self._taken(message)

    async def wait_filled(self, gate: Gate | None = None) -> None:
        """Wait until there is more to be taken, or the end, or a pause, or somebody calls `look_again`, or a `gate` may have opened."""
        await self._wait(gate)

    def look_again(self) -> None:
        """Wake who waits for something to send: a line that has been given credit may send what it could not before."""
        self._filled.unpark_all()

    def pause(self) -> None:
        """Give nothing more until `resume`, since the session is to go on over another line."""
        if self._end is None:
            self.is_paused = True
            self.pauses += 1
            self._filled.unpark_all()

    def resume(self) -> None:
        """Give messages again."""
        self.is_paused = False
        self._filled.unpark_all()

    @property
    def is_ended(self) -> bool:
        """Whether nothing more may be put."""
        return self._end is not None

    def _taken(self, message: Outgoing | None) -> Outgoing | None:
        if message is not None and message.capability is not None:
            index = message.capability
            self._bytes[index] -= len(message.data)
            self._messages[index] -= 1
            _wake(self._room[index])
        return message

    def waiting(self, index: int) -> tuple[int, int]:
        """How many messages and bytes of a capability wait."""
        return self._messages[index], self._bytes[index]

    def waiting_by_lane(self, index: int) -> tuple[int, int, int]:
        """How many messages of a capability wait, by lane."""
        return self._schedule.counts(index)

    def finish(self, end: PeerDisconnected, last: Outgoing | None, *, flush: bool) -> None:
        """Take no more messages; the writer sends what is queued (if `flush`), then `last`, and is done."""
        if not flush:
            while self._schedule.next() is not None:
                pass
            self._bytes, self._messages = [0] * len(self._bytes), [0] * len(self._messages)
            self._cut = [[0] * len(self._bytes) for _ in Lane]
        self._last = last
        self._end = end
        self.is_paused = False
        for lot in (*self._room, self._filled):
            lot.unpark_all()

    def _has_room(self, index: int, size: int) -> bool:
        if self._end is not None or not self._messages[index]:
            return True
        return self._messages[index] < self._limits.outbox_messages and self._bytes[index] + size <= self._limits.outbox_bytes

    def _add(self, message: Outgoing, lane: Lane, index: int, size: int) -> None:
        if self._end is not None:
            raise self._end.again()
        self._schedule.add(message, lane)
        self._bytes[index] += size
        self._messages[index] += 1
        _wake(self._filled)


def _wake(lot: trio.lowlevel.ParkingLot) -> None:
    if lot:  # hardly ever does anybody wait, and asking costs less than waking nobody
        lot.unpark_all()


class Inbox:
    """What a capability has not yet taken, compressed and undecoded. The session's reader puts; the capability's task gets."""

    def __init__(self, max_bytes: int, max_messages: int, budget: Budget) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._budget = budget
        self._queue: deque[MessageReceived] = deque()
        self._arrived = trio.lowlevel.ParkingLot()
        self._taken = trio.lowlevel.ParkingLot()
        self._end: PeerDisconnected | None = None
        self._discarded = False
        self._dropped: Callable[[MessageReceived], None] | None = None
        self.turn: Turn = Turn()
        """Of the task that gets."""
        self.has_credit: bool = False
        """Whether the peer sends only what it was told that we take: then the inbox has no bounds of its own."""
        self.bytes: int = 0
        """Bytes that wait here, answers not yet picked up among them."""

    def __len__(self) -> int:
        return len(self._queue)

    def has_room(self, size: int) -> bool:
        """Whether a message of `size` bytes may be put; into an empty inbox one always may, so that nobody is starved by others."""
        return not self._queue or (self._has_own_room(size) and self._budget.has_room(size))

    def _has_own_room(self, size: int) -> bool:
        return self.has_credit or (len(self._queue) < self._max_messages and self.bytes + size <= self._max_bytes)

    @property
    def is_beyond_bounds(self) -> bool:
        """Whether it holds more than it would without credit."""
        return self._end is None and (len(self._queue) > self._max_messages or self.bytes > self._max_bytes)

    def put(self, message: MessageReceived) -> bool:
        """Queue a message if there is room for it; after the end it is dropped, for which there always is."""
        if self._end is None:
            size = len(message.data)
            if not self.has_room(size) and not (self._has_own_room(size) and self._budget.make_room(size)):
                return False
            self.reserve(size)
            self._queue.append(message)
            if len(self._queue) > self._max_messages:
                self._budget.reserve(_EACH)
            _wake(self._arrived)
        elif self._dropped is not None:
            self._dropped(message)
        return True

    async def get(self) -> MessageReceived:
        """Take the oldest message, waiting for one; after the end what is left, then PeerDisconnected."""
        if self.turn.is_over:
            await self.turn.end()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
        while not self._queue:
            if self._end is not None:
                raise self._end.again()
            await self._arrived.park()
            self.turn.begin()
        message = self._queue.popleft()
        if len(self._queue) >= self._max_messages:
            self._budget.release(_EACH)
        self.release(len(message.data))
        return message

    @property
    def oldest(self) -> MessageReceived | None:
        """The message that is taken next."""
        return self._queue[0] if self._queue else None

    def put_back(self, message: MessageReceived) -> None:
        """Let a message that was taken be the next again, unless nobody will take it."""
        if not self._discarded:
            self.reserve(len(message.data))
            self._queue.appendleft(message)
            if len(self._queue) > self._max_messages:
                self._budget.reserve(_EACH)
            _wake(self._arrived)

    async def wait_room(self, size: int, held_up: HeldUp | None = None) -> None:
        """Wait until something is taken out that may have made room for `size` bytes, which count meanwhile; see `Budget.counted`."""
        has_own_room = self._has_own_room(size)
        with self._budget.counted(size, held_up):
            await (self._budget.wait_released() if has_own_room else self._taken.park())

    async def wait_taken(self) -> None:
        """Wait until something is taken out, or the end."""
        await self._taken.park()

    async def wait_empty(self) -> None:
        """Wait until everything has been taken out, or the end."""
        while self._queue and self._end is None:
            await self._taken.park()

    def reserve(self, size: int) -> None:
        """Count bytes that wait elsewhere on behalf of the capability."""
        self.bytes += size
        self._budget.reserve(size)

    def release(self, size: int) -> None:
        """Stop counting them."""
        self.bytes -= size
        self._budget.release(size)
        _wake(self._taken)

    def close(self, end: PeerDisconnected) -> None:
        """Take no more; wake everybody who waits."""
        self._end = end
        self._arrived.unpark_all()
        self._taken.unpark_all()

    def discard(self, dropped: Callable[[MessageReceived], None] | None = None) -> None:
        """Forget what nobody will take; `dropped`, if given, is told of each such message, of those that still come, too."""
        self._discarded, self._dropped = True, dropped
        while self._queue:
            message = self._queue.popleft()
            if len(self._queue) >= self._max_messages:
                self._budget.release(_EACH)
            self.release(len(message.data))
            if dropped is not None:
                dropped(message)
        self.release(0)  # a message that waited for room here counts no more, which may be what others wait for
