"""The one way out for the bytes of a stream: a line seals, an `Egress` sends.

It holds the peer to the write timeout, and knows how fast the way is: what a stream accepts tells its rate only while it is the bottleneck,
that is between two moments at which it was full. Then as many bytes left it as went in. On a slow way it lets the system hold less, as what
is there can be overtaken by nothing.
"""

import math
from typing import Final

import trio
from trio.abc import HalfCloseableStream

from devp2p.transports import UNSENT, keep_unsent, unsent_for

_HALF_LIFE: Final = 1.0  # seconds after which a measurement counts half
_LEAST: Final = 16 * 1024  # bytes that tell a rate: a few small frames tell how busy the loop was
_BLOCKED: Final = 0.002  # seconds; a send that takes longer has waited for the peer, one that takes less for the loop
_MOST_IDLE: Final = 0.1  # the part of a measurement in which nothing was sent; beyond it, it is a lower bound
_BURST: Final = 2**20  # bytes that no buffer hides: TCP_NOTSENT_LOWAT keeps what is unsent short
_PAUSE: Final = 0.01  # seconds without a write that end a burst


class Egress:
    """Sends over one stream. One task at a time."""

    def __init__(self, stream: HalfCloseableStream, timeout: float = math.inf) -> None:
        """`timeout`: how many seconds one `send` may wait for the peer to take what it is given."""
        self._stream = stream
        self._timeout = timeout
        self._meter = RateMeter()
        self._unsent = UNSENT

    @property
    def rate(self) -> float:
        """Bytes a second that the stream accepts, an average that halves each second; infinity until it was once the bottleneck."""
        return self._meter.rate

    async def send(self, data: bytearray | bytes | memoryview) -> None:
        """Send everything; trio.TooSlowError if the peer does not take it in time. Otherwise raises as ``send_all``."""
        started = trio.current_time()
        with trio.CancelScope(deadline=started + self._timeout) as scope:
            await self._stream.send_all(memoryview(data))
        if scope.cancelled_caught:
            raise trio.TooSlowError
        self._meter.sent(len(data), started, trio.current_time())
        if (unsent := unsent_for(self._meter.rate)) != self._unsent:  # nothing overtakes what the system holds
            self._unsent = unsent
            keep_unsent(self._stream, unsent)


class RateMeter:
    """How fast a stream takes bytes (pure). Whoever sends tells it of each write: when it began, and when it was done."""

    __slots__ = ("_burst", "_burst_began", "_busy", "_bytes", "_full_at", "_last", "rate")

    def __init__(self) -> None:
        self._full_at = math.nan
        self._busy = 0.0
        self._bytes = 0
        self._burst = 0
        self._burst_began = self._last = -math.inf
        self.rate: float = math.inf
        """Bytes a second."""

    def sent(self, size: int, began: float, done: float) -> None:
        """`size` bytes were accepted in this time."""
        self._bytes += size
        self._busy += done - began
        if done - began >= _BLOCKED:
            self._full(done)
        elif self.rate < math.inf:
            self._went_through(size, began, done)

    def _full(self, now: float) -> None:
        """The stream is full, and was so when it was measured from."""
        self._burst = 0
        if self._bytes < _LEAST and self._full_at <= now:
            return
        span = now - self._full_at  # not a number at the first time: what went into the buffer before tells nothing
        if span > 0:
            rate = self._bytes / span
            if self._busy >= (1 - _MOST_IDLE) * span or rate > self.rate:
                self._learn(rate, span)
        self._full_at, self._busy, self._bytes = now, 0.0, 0

    def _went_through(self, size: int, began: float, done: float) -> None:
        """It was not full. If it takes far more in a row than its buffer has room for, its rate is at least that."""
        if began - self._last > _PAUSE or not self._burst:
            self._burst, self._burst_began = 0, began
        self._burst, self._last = self._burst + size, done
        if self._burst >= _BURST and (span := done - self._burst_began) * self.rate < self._burst:
            self._learn(self._burst / max(span, _BLOCKED), _HALF_LIFE)
            self._burst = 0

    def _learn(self, rate: float, span: float) -> None:
        if math.isinf(self.rate):
            self.rate = rate
        else:
            self.rate += (rate - self.rate) * (1 - 0.5 ** (span / _HALF_LIFE))
