"""Cuts messages into frames at the moment of sending (pure; dpx/1, section 6).

Theory of operation. `schedule.Turns` says whose turn it is; credit says how much the peer takes. A message of at most ``max_frame`` bytes,
compressed, is one frame. A larger one is sent in chunks, and stays the first of its lane until the last of them: what its capability has
behind it in that lane waits, all else goes between. What may not be sent for want of credit is left out of the turns until more comes.

A message is compressed when it becomes the first of its lane: at once, or in steps (`Sender.prepare`) if it is large.
"""

from collections.abc import Callable, Collection, Generator, Iterator
from math import inf
from typing import Final, NamedTuple, Protocol

from devp2p import rlp
from devp2p.errors import LocalProtocolError
from devp2p.wire import compression
from devp2p.wire.dpx.credit import LEAST_CHUNK
from devp2p.wire.dpx.records import RecordOpener
from devp2p.wire.dpx.schedule import Turn, Turns
from devp2p.wire.schedule import Lane, Outgoing

_AT_ONCE: Final = 256 * 1024  # bytes that are compressed without letting anybody else have a turn: a quarter of a millisecond
_AT_LEAST_EVERY: Final = 20.0  # seconds; a peer gives up a message of which nothing comes for a minute
_CODES: Final = tuple(rlp.encode(code) for code in range(0x80))
_wire_size: Final = RecordOpener.wire_size


def head_of(code: int) -> bytes:
    """What the data of a message begins with."""
    return _CODES[code] if 0 <= code < len(_CODES) else rlp.encode(code)


class Source(Protocol):
    """What waits. `Outbox` is one."""

    def waiting_in(self, lane: Lane, /) -> Collection[int]:
        """The capabilities, by index, that have a message in a lane."""
        ...

    def first(self, index: int, lane: Lane, /) -> Outgoing | None:
        """The next message that a capability has in a lane."""
        ...

    def cut(self, index: int, lane: Lane, size: int, /) -> None:
        """So many further bytes of it are on their way."""

    def take(self, index: int, lane: Lane, /) -> None:
        """All of it is on its way, or given up."""


class Credit(Protocol):
    """What the peer takes. Capabilities have the numbers that they have on the wire: from 1 up."""

    def room(self, capability: int, /) -> int:
        """How many bytes of bodies may be sent now."""
        ...

    def spend(self, capability: int, size: int, context: int = 0, /) -> None:
        """So many are sent, as a whole message or as a chunk of one."""

    def fits(self, total: int, /) -> bool:
        """Whether a message of `total` bytes could ever be sent in chunks."""
        ...

    def may_open(self, capability: int, total: int, /) -> bool:
        """Whether it may be begun now."""
        ...

    def open(self, capability: int, total: int, /) -> int:
        """Begin it: its context."""
        ...


class Frame(NamedTuple):
    """One frame."""

    capability: int
    """The capability's index."""
    context: int
    """0 for a whole message."""
    total: int
    """In the first chunk of a message, its bytes; else 0."""
    head: bytes
    body: bytes | memoryview
    message_size: int
    """If it is the last of its message: the bytes that all of it takes on the wire; else 0."""


class _Message:
    """The first message of a lane, which is not sent in one go."""

    __slots__ = ("at", "body", "context", "head", "message", "sent_at", "steps", "wire_size")

    def __init__(self, message: Outgoing, head: bytes) -> None:
        self.message = message
        self.head = head
        self.body: memoryview = memoryview(b"")
        self.steps: Generator[None, None, bytearray] | None = None
        """What compresses it, until it is done."""
        self.at = 0
        """Bytes that were sent of head and body."""
        self.context = 0
        self.sent_at = 0.0  # when a chunk of it was sent last
        self.wire_size = 0


class Sender:
    """The messages of one session, as frames."""

    def __init__(self, source: Source, turns: Turns, credit: Credit, *, max_frame: int, compressed: bool) -> None:
        """`max_frame`: the most that the peer takes in one frame."""
        self.turns: Turns = turns
        """May be told of weights and of the window."""
        self.only_begun: bool = False
        """Whether no further message is to be begun."""
        self.may_send: Callable[[int, Lane], bool] | None = None
        """What else may hold back a capability, by its index, beside credit; if there is anything."""
        self._source = source
        self._credit = credit
        self._max_frame = max_frame
        self._compressed = compressed
        self._begun: dict[tuple[int, Lane], _Message] = {}
        self._steps: list[tuple[int, Lane]] = []
        self._now = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether a message is on its way in part."""
        return any(found.context for found in self._begun.values())

    @property
    def due(self) -> float:
        """When to ask for `frames` at the latest, whatever holds them back: a peer gives up what does not come on. Infinity if never."""
        return (
            min((found.sent_at for (index, _), found in self._begun.items() if self._may_go_on(index, found)), default=inf)
            + _AT_LEAST_EVERY
        )

    def _may_go_on(self, index: int, found: _Message) -> bool:
        least = min(len(found.head) + len(found.body) - found.at, LEAST_CHUNK)
        return found.context > 0 and self._credit.room(index + 1) >= least

    @property
    def is_preparing(self) -> bool:
        """Whether there is something to do for `prepare`."""
        return bool(self._steps)

    def prepare(self) -> None:
        """Do one step of compressing a large message: a tenth of a millisecond."""
        key = self._steps[0]
        found = self._begun.get(key)
        if found is not None and found.steps is not None:
            try:
                next(found.steps)
            except StopIteration as done:
                found.body, found.steps = memoryview(done.value), None
            else:
                return
        del self._steps[0]
        self.turns.unblock(key[0])

    def frames(self, room: int, now: float = 0.0) -> Iterator[Frame]:
        """What to send `now`, until `room` bytes are used up or nothing may be sent; each frame must be sealed, in order.

        LocalProtocolError for a message that the peer can never take.
        """
        self._now = now
        for (index, lane), found in list(self._begun.items()):
            if found.context and found.sent_at + _AT_LEAST_EVERY <= now and (frame := self._cut(Turn(index, lane, 0), 0)) is not None:
                room -= _wire_size(len(frame.head) + len(frame.body))
                yield frame
        while room > 0 and (turn := self.turns.next(self._waiting)) is not None:
            spent = 0
            while spent < turn.size and room > spent and (frame := self._cut(turn, turn.size - spent)) is not None:
                spent += _wire_size(len(frame.head) + len(frame.body))
                yield frame
            self.turns.spent(turn, spent)
            room -= spent

    def more_credit(self, capability: int | None) -> None:
        """The peer takes more of one capability, by its index, or of all."""
        if capability is None:
            self.turns.unblock_all()
        else:
            self.turns.unblock(capability)

    def give_up(self, capability: int, context: int) -> bool:
        """Send no more of a message, which the peer refuses; whether some of it was still to be sent."""
        for (index, lane), found in self._begun.items():
            if index == capability and found.context == context:
                self._done(index, lane)
                self.turns.unblock(index)
                return True
        return False

    def _waiting(self, lane: Lane) -> Collection[int]:
        if self.only_begun:
            return [index for (index, its), found in self._begun.items() if its is lane and found.context]
        waiting, may_send, may = self._source.waiting_in(lane), self.may_send, self.turns.may
        return waiting if may_send is None else [index for index in waiting if may(index, lane) and may_send(index, lane)]

    def _cut(self, turn: Turn, most: int) -> Frame | None:
        """The next frame of a lane, of about `most` bytes; None if there is none, after which the lane is blocked or empty."""
        index, lane, _ = turn
        message = self._source.first(index, lane)
        found = self._begun.get((index, lane)) if self._begun else None
        if message is None or (self.only_begun and (found is None or not found.context)):
            return None
        if found is None or found.message is not message:
            code, data, _ = message
            head = head_of(code)
            if self._compressed and len(data) > _AT_ONCE:
                found = self._begun[index, lane] = _Message(message, head)
                found.steps = compression.compress_in_steps(data)
                self._steps.append((index, lane))
            else:
                body = compression.compress(data) if self._compressed else data
                size = len(head) + len(body)
                if size <= self._max_frame and self._credit.room(index + 1) >= size:
                    self._credit.spend(index + 1, size)
                    self._source.take(index, lane)
                    return Frame(index, 0, 0, head, body, _wire_size(size))
                found = self._begun[index, lane] = _Message(message, head)
                found.body = memoryview(body)
        frame = None if found.steps is not None else self._cut_of(found, index, lane, most)
        if frame is None:
            self.turns.block(index, lane)
        return frame

    def _cut_of(self, found: _Message, index: int, lane: Lane, most: int) -> Frame | None:
        """The next frame of a message that was looked at before; None for want of credit."""
        total, room = len(found.head) + len(found.body), self._credit.room(index + 1)
        if total <= self._max_frame:
            if room < total:
                return None
            self._credit.spend(index + 1, total)
            self._done(index, lane)
            return Frame(index, 0, 0, found.head, found.body, _wire_size(total))
        begins, left = not found.context, total - found.at
        size = min(left, self._max_frame, room, max(most, LEAST_CHUNK))
        if begins and not self._credit.fits(total):
            raise LocalProtocolError(f"the peer never takes a message of {total} bytes")
        if size < min(left, LEAST_CHUNK) or (begins and not self._credit.may_open(index + 1, total)):
            return None
        if begins:
            found.context = self._credit.open(index + 1, total)
        self._credit.spend(index + 1, size, found.context)
        head = b"" if found.at else found.head
        start = found.at - len(found.head) + len(head)
        frame = Frame(index, found.context, total if begins else 0, head, found.body[start : start + size - len(head)], 0)
        found.at += size
        found.sent_at = self._now
        found.wire_size += _wire_size(size)
        if found.at == total:
            self._done(index, lane)
            return frame._replace(message_size=found.wire_size)
        self._source.cut(index, lane, size * len(found.message.data) // total)
        return frame

    def _done(self, index: int, lane: Lane) -> None:
        self._source.take(index, lane)
        del self._begun[index, lane]
