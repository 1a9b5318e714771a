"""The bytes that a node's peers may have it hold: what waits in inboxes, and what has come of frames that are not complete."""

from bisect import insort
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from devp2p.errors import DisconnectReason, PeerDisconnected
from devp2p.limits import Limits

_PIECE = 64 * 1024  # bytes: of a frame whose pace is looked at when room is short, and of what that pace is measured by


@dataclass(frozen=True, eq=False)
class HeldUp:
    """A message that waits for its capability, for as long as nobody else needs the room."""

    size: int
    until: float
    """When it has waited for long enough to be given up for others, on trio's clock."""
    give_up: Callable[[], None]
    """Ends its session, and gives back what the capability has left unread."""


class Budget:
    """A number of bytes that all inboxes of a node, and the frames that arrive at it, share."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._large: set[Arriving] = set()
        self._held_up: list[HeldUp] = []
        self._released = trio.lowlevel.ParkingLot()

    @property
    def used(self) -> int:
        """How many bytes are counted."""
        return self._used

    def has_room(self, size: int) -> bool:
        """Whether `size` more bytes fit; with nothing in use any number does."""
        return not self._used or self._used + size <= self._limit

    def reserve(self, size: int) -> None:
        """Count bytes."""
        self._used += size

    def release(self, size: int) -> None:
        """Stop counting them."""
        self._used -= size
        if self._released:  # hardly ever does anybody wait, and asking costs less than waking nobody
            self._released.unpark_all()

    async def wait_released(self) -> None:
        """Wait until some inbox gives bytes back."""
        await self._released.park()

    @contextmanager
    def counted(self, size: int, held_up: HeldUp | None = None) -> Generator[None]:
        """Count a message that waits for room, for as long as the block lasts; if that may be long, `held_up` says how to end it.

        Then it tries again, and what it took itself must not be in its way; so nobody is woken, or else those who wait would take turns
        for ever.
        """
        self._used += size
        if held_up is not None:
            self._held_up.append(held_up)
        try:
            yield
        finally:
            if held_up is None or held_up in self._held_up:
                self._used -= size
            if held_up in self._held_up:
                self._held_up.remove(held_up)

    def may_end(self, held_up: HeldUp) -> None:
        """From now on, end a session before others when room is short: it has left messages unread for long, which count already."""
        insort(self._held_up, held_up, key=lambda other: other.until)

    def keep(self, held_up: HeldUp) -> None:
        """It has taken some of them."""
        if held_up in self._held_up:
            self._held_up.remove(held_up)

    def hold(self, arriving: "Arriving", more: int) -> None:
        """Count `more` bytes for a frame that is arriving; if they do not fit, the sessions of the slowest large ones are ended."""
        self.reserve(more)
        if arriving.size > _PIECE:
            self._large.add(arriving)
        self.make_room(0)

    def let_go(self, arriving: "Arriving", less: int) -> None:
        """Count `less` bytes fewer for a frame that is complete or given up."""
        self._large.discard(arriving)
        self.release(less)

    def make_room(self, size: int) -> bool:
        """End the sessions whose large frames come slowest, as far as it takes for `size` bytes more; whether they fit then.

        Nobody is ended for a message that would not fit all the same. Before them come those of which a message has waited too long.
        """
        while self._held_up and self._held_up[0].until <= trio.current_time() and not self.has_room(size):
            waiting = self._held_up.pop(0)
            self._used -= waiting.size
            waiting.give_up()
        if size and self._used + size - sum(arriving.size for arriving in self._large) > self._limit:
            return self.has_room(size)
        while self._large and not self.has_room(size):
            slowest = min(self._large, key=lambda arriving: arriving.slow_since)
            if slowest.size == self._used and not size:
                break  # alone it may be as large as it likes
            slowest.give_up()
        return self.has_room(size)


class Arriving:
    """The frame that a session receives: how slowly it may come, and what it takes of the node's budget."""

    def __init__(self, limits: Limits, budget: Budget, end: Callable[[PeerDisconnected], None]) -> None:
        """`end` ends the session if the budget is full and this is the slowest."""
        self._limits = limits
        self._budget = budget
        self._end: Callable[[PeerDisconnected], None] | None = end
        self._frame: int = -1
        self._left: float = 0.0
        self._piece: int = 0
        self._marks: tuple[float, float] = (0.0, 0.0)
        self.size: int = 0
        """Bytes of it that are held."""

    @property
    def slow_since(self) -> float:
        """Since when it has brought less than two pieces of 64 KiB: the earlier, the slower it is."""
        return self._marks[0]

    def patience(self, frame: int) -> float:
        """How many seconds may pass until the next bytes of a frame, which has a number of its own."""
        if frame != self._frame:
            now = trio.current_time()
            self._frame, self._left, self._piece, self._marks = frame, self._limits.frame_timeout, 0, (now, now)
        return max(0.0, self._left)

    def progressed(self, size: int, waited: float) -> None:
        """So many bytes came after so many seconds. What is ahead of the rate gives no credit beyond ``frame_timeout``."""
        limits = self._limits
        self._left = min(limits.frame_timeout, self._left - waited + size / limits.frame_rate)
        self._piece += size
        if self._piece >= _PIECE:
            self._piece, self._marks = 0, (self._marks[1], trio.current_time())

    def hold(self, size: int) -> None:
        """So many bytes of an incomplete frame are held now."""
        more, self.size = size - self.size, size
        if more > 0 and self._end is not None:
            self._budget.hold(self, more)
        elif more < 0 and self._end is not None:
            self._budget.let_go(self, -more)

    def close(self) -> None:
        """The session receives nothing more: forget it."""
        self.hold(0)
        self._end = None

    def give_up(self) -> None:
        """End the session for the room that its frame takes."""
        end, size = self._end, self.size
        self.close()
        if end is not None:
            detail = f"of all large messages this one, of which {size} bytes had come, came slowest when there was no more room"
            end(PeerDisconnected(DisconnectReason.NETWORK_ERROR, by_remote=False, detail=detail))
