"""What somebody on the way sees of a session: how many bytes are sent at once, and when (pure; dpx/1, section 10).

Theory of operation. Headers are encrypted, so the way shows only the sizes and the times of what is flushed. A `Shaper` says how large a
flush is to become, by padding behind the last frame, and when there is one. Each kind of `Shaping` hides more than the one before it:

    buckets     the size of a flush is one of few (PADME; Nikitin and others, 2019), 512 bytes or more
    cells       it is a whole number of cells
    paced       so it is, at a rate; and between messages there are flushes of nothing but padding, at random times (after WTF-PAD, 2016)
    constant    one cell each so many milliseconds, whether or not there is anything to say

Pings wait for no pace but that of `constant`, in whose next cell they go. Padding that is not behind a message, cover, is paid out of a
budget; while that is used up, there are cells and nothing more. Time and randomness are passed in.
"""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from devp2p.arguments import number, require, whole
from devp2p.bandwidth import Bucket
from devp2p.errors import LocalProtocolError
from devp2p.wire.dpx import control
from devp2p.wire.dpx.records import RecordOpener

LEAST_PAD: Final = 64
"""Bytes on the wire of the smallest record of padding; larger ones have a multiple of 16 more."""
_BLOCK: Final = 16
_LEAST_BUCKET: Final = 512
_LEAST_CELL: Final = 512
_MOST_CELL: Final = 16 * 1024
_LEAST_RATE: Final = 4096.0
_HOUR: Final = 3600.0
_BURST: Final = 4  # cells that `paced` sends at once
_STEADY: Final = 60.0  # seconds for which `constant` keeps a rate
_DOUBLES: Final = 0.75  # the part of its cells with something in them, from which on the next minute has twice the rate
_HALVES: Final = 0.25
_LEAST_ECHO: Final = 3.0  # seconds of cover behind a message, at least
_MOST_ECHO: Final = 10.0
_RESUMES: Final = 0.1  # the part of a budget that must be there again before there is cover again


class ShapingMode(enum.IntEnum):
    """What is hidden; as a SHAPE message says it."""

    OFF = 0
    BUCKETS = 1
    CELLS = 2
    PACED = 3
    CONSTANT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """How a node shapes what it sends to peers that speak dpx/1. Make one by `buckets`, `cells`, `paced` or `constant`."""

    mode: ShapingMode = ShapingMode.OFF
    cell: int = 1024
    """Bytes of a cell, a multiple of 16; TCP's and IP's headers come on top."""
    rate_min: float = 0.0
    """Bytes a second; of `constant`, between which the rate may be: it doubles or halves once a minute at most."""
    rate_max: float = 0.0
    gap: float = 0.2
    """Seconds between two flushes of nothing but padding, on average; of `paced`."""
    budget: int = 50 * 2**20
    """Bytes of such padding in an hour, for each peer."""

    def __post_init__(self) -> None:
        """LocalProtocolError for what cannot be, TypeError for what is no number."""
        require(self.mode, ShapingMode, "mode of a Shaping is a ShapingMode", "Shaping.cells() makes one, for example")
        whole(self.cell, "cell of a Shaping", _LEAST_CELL, _MOST_CELL)
        if self.cell % _BLOCK:
            raise LocalProtocolError(f"cell of a Shaping is a multiple of {_BLOCK}, not {self.cell}: {self.cell // _BLOCK * _BLOCK} is one")
        if self.mode is ShapingMode.CONSTANT and self.cell < 2 * _LEAST_CELL:
            raise LocalProtocolError(f"cell of a constant rate has {2 * _LEAST_CELL} bytes or more, not {self.cell}")
        number(self.gap, "gap of a Shaping, in seconds,")
        whole(self.budget, "budget of a Shaping")
        if self.mode >= ShapingMode.PACED:
            for name in ("rate_min", "rate_max"):
                rate, called = getattr(self, name), "rate" if self.rate_min == self.rate_max else name
                number(rate, f"{called} of a Shaping, in bytes a second,")
                if rate < _LEAST_RATE:
                    raise LocalProtocolError(f"{called} of a Shaping is at least {_LEAST_RATE:g} bytes a second, not {rate!r}")
            if self.rate_min > self.rate_max:
                raise LocalProtocolError(f"rate_min of a Shaping is {self.rate_min!r}, more than rate_max, which is {self.rate_max!r}")

    @classmethod
    def buckets(cls) -> "Shaping":
        """Hide how large messages are, but for the magnitude; costs less than 12 % for those that are not small."""
        return cls(mode=ShapingMode.BUCKETS)

    @classmethod
    def cells(cls, cell: int = 1024) -> "Shaping":
        """Send whole cells of so many bytes."""
        return cls(mode=ShapingMode.CELLS, cell=cell)

    @classmethod
    def paced(cls, rate: float, cell: int = 1024, *, gap: float = 0.2, budget: int = 50 * 2**20) -> "Shaping":
        """Send whole cells, no more than `rate` bytes a second, and between messages some of nothing but padding."""
        return cls(mode=ShapingMode.PACED, cell=cell, rate_min=rate, rate_max=rate, gap=gap, budget=budget)

    @classmethod
    def constant(cls, rate: float, rate_max: float | None = None, cell: int = 1024, *, budget: int | None = None) -> "Shaping":
        """Send one cell after the other, `rate` bytes a second, whether or not there is anything to say.

        With a `rate_max` the rate doubles after a minute in which it was hardly enough, up to that, and halves after one in which it was
        hardly needed. `budget` is by default what the lower rate needs in an hour.
        """
        number(rate, "rate of a Shaping, in bytes a second,")
        hourly = math.ceil(rate * _HOUR * 1.01) if budget is None else budget
        return cls(mode=ShapingMode.CONSTANT, cell=cell, rate_min=rate, rate_max=rate if rate_max is None else rate_max, budget=hourly)


UNSHAPED: Final = Shaping()


@lru_cache(maxsize=1024)
def pads_of(size: int, most: int) -> tuple[bytes, ...]:
    """The control messages, encoded, whose records have `size` bytes on the wire together; none has more than `most` bytes of data.

    `size` is a multiple of 16 from `LEAST_PAD` up.
    """
    found, left = list[bytes](), size
    largest = RecordOpener.wire_size(most // _BLOCK * _BLOCK)
    while left:
        part = left if left <= largest else min(largest, left - LEAST_PAD)
        found.append(_pad_of(part))
        left -= part
    return tuple(found)


def _pad_of(size: int) -> bytes:
    data = size - RecordOpener.wire_size(0)
    for zeros in range(data - 3, -1, -1):
        encoded = control.encode(control.Pad(zeros))
        if len(encoded) <= data:
            assert RecordOpener.wire_size(len(encoded)) == size  # noqa: S101  (lengths in RLP grow by less than a block)
            return encoded
    raise LocalProtocolError(f"no padding has {size} bytes")


def padme(size: int) -> int:
    """The bucket of a size by PADME: at most 12 % more, with few different ones (Nikitin and others, 2019, section 4.3)."""
    if size < 2:
        return size
    exponent = size.bit_length() - 1
    zeros = exponent - exponent.bit_length()
    return (size + (1 << zeros) - 1) >> zeros << zeros


def bucket_of(size: int) -> int:
    """What a flush of so many bytes becomes in buckets."""
    return max(_LEAST_BUCKET, padme(size))


def cells_of(size: int, cell: int) -> int:
    """What it becomes in cells."""
    return -(-size // cell) * cell


class Shaper:
    """How one session's bytes go. The line that sends asks it, and tells it what was sent."""

    def __init__(self, shaping: Shaping, now: float, random: Callable[[], float], cover: Bucket | None = None) -> None:
        """`random` gives numbers from 0 to 1. `cover`: what all sessions of a node may send as cover together."""
        self.shaping: Shaping = shaping
        self.rate: float = shaping.rate_min
        """Bytes a second that `constant` sends now."""
        self.is_exhausted: bool = False
        """Whether the budget is used up, so that there are cells and nothing more."""
        self.is_over: bool = False
        """Whether the session ends: what is left goes in cells, at once."""
        self.covered: int = 0
        """Bytes of cover so far."""
        self._random = random
        self._budget = Bucket(shaping.budget / _HOUR, float(shaping.budget)) if shaping.budget else None
        self._shared = cover
        self._tokens = Bucket(max(shaping.rate_max, 1.0), float(_BURST * shaping.cell))
        self._tick = now + random() * self._interval  # a start that tells nothing
        self._kept_since = now
        self._cells = self._used = 0
        self._next_cover = math.inf
        self._echo_ends = -math.inf

    @property
    def mode(self) -> ShapingMode:
        """What is done now: cells, where there is no budget left for more."""
        return ShapingMode.CELLS if (self.is_exhausted or self.is_over) and self.shaping.mode > ShapingMode.CELLS else self.shaping.mode

    def padded(self, size: int) -> int:
        """How many bytes a flush of `size` is to have: as many, or enough more for a record of padding."""
        if self.shaping.mode is ShapingMode.OFF or not size:
            return size
        wanted = self._shape(size)
        return wanted if wanted == size or wanted - size >= LEAST_PAD else self._shape(size + LEAST_PAD)

    def _shape(self, size: int) -> int:
        return bucket_of(size) if self.shaping.mode is ShapingMode.BUCKETS else cells_of(size, self.shaping.cell)

    def room(self, now: float) -> int:
        """How many bytes of messages may go now; 0 if none, until `due`. Pings need not ask, but with a constant rate."""
        self._recover(now)
        match self.mode:
            case ShapingMode.PACED:
                level = self._tokens.level(now)
                return max(int(level), self.shaping.cell) if level > self.shaping.cell - 1 else 0
            case ShapingMode.CONSTANT:
                return self.shaping.cell if now >= self._tick else 0
            case _:
                return 2**62

    def due(self, now: float, *, waiting: bool) -> float:
        """When there is something to do by itself: a cell, cover, or room for what is `waiting`. Infinity if never."""
        if self.mode is ShapingMode.CONSTANT:
            return self._tick
        if self.mode is not ShapingMode.PACED:
            return math.inf
        return self._tokens.due(now, self.shaping.cell - 1) if waiting else self._next_cover

    def sent(self, size: int, now: float) -> None:
        """A flush with something in it was sent, of `size` bytes with its padding."""
        if self.shaping.mode is ShapingMode.PACED:
            self._tokens.take(size, now)
            self._echo_ends = now + _LEAST_ECHO + self._random() * (_MOST_ECHO - _LEAST_ECHO)
            self._next_cover = now + self.shaping.gap + self._gap()
        elif self.mode is ShapingMode.CONSTANT:
            self._used += 1
            self._advance(now)

    def cover(self, now: float) -> int:
        """How many bytes of nothing but padding are to be sent now; 0 for none. They count as sent."""
        if self.mode is ShapingMode.CONSTANT:
            if now < self._tick or not self._pay(now):
                return 0
            self._advance(now)
            return self.shaping.cell
        if self.mode is not ShapingMode.PACED or now < self._next_cover:
            return 0
        self._next_cover = now + self._gap()
        if self._next_cover > self._echo_ends:
            self._next_cover = math.inf
        if self._tokens.level(now) < self.shaping.cell or not self._pay(now):
            return 0
        self._tokens.take(self.shaping.cell, now)
        return self.shaping.cell

    def _gap(self) -> float:
        return -self.shaping.gap * math.log(1.0 - min(self._random(), 1 - 2**-53))

    def _pay(self, now: float) -> bool:
        cell = self.shaping.cell
        if self._budget is None or self._budget.level(now) < cell or (self._shared is not None and self._shared.level(now) < cell):
            self.is_exhausted = True
            return False
        self._budget.take(cell, now)
        if self._shared is not None:
            self._shared.take(cell, now)
        self.covered += cell
        return True

    def _recover(self, now: float) -> None:
        """There is a budget again, once a part of it has come back."""
        if self.is_exhausted and self._budget is not None and self._budget.level(now) >= self._budget.brim * _RESUMES:
            if self._shared is not None and self._shared.level(now) < self._shared.brim * _RESUMES:
                return
            self.is_exhausted = False
            self._tick = max(self._tick, now + self._random() * self._interval)

    @property
    def _interval(self) -> float:
        return self.shaping.cell / self.rate if self.rate else 0.0

    def _advance(self, now: float) -> None:
        """A cell was sent. If the line was late, it does not catch up: that would show that it was busy."""
        self._cells += 1
        if now - self._kept_since >= _STEADY:
            used = self._used / self._cells
            if used >= _DOUBLES:
                self.rate = min(self.shaping.rate_max, self.rate * 2)
            elif used <= _HALVES:
                self.rate = max(self.shaping.rate_min, self.rate / 2)
            self._kept_since, self._cells, self._used = now, 0, 0
        self._tick += self._interval
        if self._tick < now:
            self._tick += math.ceil((now - self._tick) / self._interval) * self._interval


class PadAllowance:
    """How much padding a peer may send: a part of the link, and some behind each frame, as cells and buckets need it."""

    def __init__(self, link: float, now: float) -> None:
        """`link`: bytes a second that we may receive."""
        self._bucket = Bucket(link * _PART_OF_LINK, link * _PART_OF_LINK * _PATIENCE)
        self._cell = _LEAST_BUCKET
        self.excess: int = 0
        """Bytes beyond it, so far."""
        self._bucket.level(now)  # full from now on

    def announced(self, cell: int) -> None:
        """The peer sends cells of so many bytes."""
        self._cell = max(_LEAST_BUCKET, min(cell, _MOST_CELL))

    def came(self, padding: int, frames: int, now: float) -> int:
        """So many bytes of padding, behind so many frames; how many of them are beyond what a peer may send."""
        over = max(0, padding - frames * self._cell - max(0, int(self._bucket.level(now))))
        self._bucket.take(max(0, padding - frames * self._cell - over), now)
        self.excess += over
        return over


_PART_OF_LINK: Final = 0.1
_PATIENCE: Final = 10.0  # seconds of it that may come at once
