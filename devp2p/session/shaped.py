"""Traffic that is shaped (dpx/1, section 10): the padding of what one session sends, and what a peer may send of it."""

import math
from collections import Counter
from collections.abc import Callable
from random import SystemRandom
from typing import Final

import trio

from devp2p.capability import Gate, Outbox
from devp2p.errors import DisconnectReason, PeerDisconnected
from devp2p.session.egress import Egress
from devp2p.session.line import Side
from devp2p.session.local import LocalNode
from devp2p.wire.dpx import DpxFraming, Feature, PadAllowance, Shaper, Shaping, ShapingMode, control, pads_of

_LINK: Final = 1_250_000.0  # bytes a second that we take our line for, where nobody has said what it carries
_JUDGED_EVERY: Final = 10.0  # seconds between two complaints of padding
_BURST: Final = 4  # cells of a frame at a pace
_MOST_FRAME: Final = 64 * 1024
_OVERHEAD: Final = 48  # bytes of a record beside its data


class Shaped:
    """Pads what a line flushes, and says when it may."""

    def __init__(self, shaper: Shaper, framing: DpxFraming, outbox: Outbox, count: Counter[str]) -> None:
        """`count`: where bytes of padding are counted."""
        self.shaper: Shaper = shaper
        self.max_frame: int = _most_frame(shaper.shaping)
        """Bytes of a frame, at most."""
        self._framing = framing
        self._outbox = outbox
        self._count = count
        self._left = bytearray()  # sealed bytes that wait for the next cell

    @classmethod
    def of(cls, local: LocalNode, framing: DpxFraming, outbox: Outbox) -> "Shaped | None":
        """That of a new session; None if it is not shaped."""
        shaping = local.shaping
        if shaping.mode is ShapingMode.OFF or Feature.SHAPE not in framing.pact.features:
            return None
        found = cls(Shaper(shaping, trio.current_time(), SystemRandom().random, local.cover), framing, outbox, local.padding)
        rates = int(shaping.rate_min), int(shaping.rate_max)
        framing.pact.to_send.append(control.Shape(shaping.mode, shaping.cell, *rates, int(shaping.gap * 1000), shaping.budget))
        return found

    @property
    def room(self) -> int:
        """How many bytes of messages may go now."""
        return self.shaper.room(trio.current_time())

    def flush(self, data: bytearray) -> bytearray:
        """What is sent, with its padding."""
        batch = self._left + data
        self._left = bytearray()
        self._pad(batch, self.shaper.padded(len(batch)))
        self.shaper.sent(len(batch), trio.current_time())
        return batch

    @property
    def is_steady(self) -> bool:
        """Whether cells go at a constant rate, by `send_cell`; else the line gathers and flushes, and sends cover if there is nothing."""
        return self.shaper.mode is ShapingMode.CONSTANT

    async def send_cell(self, gather: Callable[[], bytearray], egress: Egress, gate: Gate | None) -> bool:
        """Send a cell, if it is time: of what there is to `gather`, or of nothing. Whether it was sent."""
        shaper, now, cell = self.shaper, trio.current_time(), self.shaper.shaping.cell
        if not shaper.room(now):
            return False
        if len(self._left) < cell:
            self._left += gather()
        before = len(self._left)  # bytes that the gate knows of
        if self._left:
            self._pad(self._left, max(cell, shaper.padded(len(self._left))))
            shaper.sent(cell, now)
        else:
            self._pad(self._left, shaper.cover(now))
        padding = len(self._left) - before
        batch, self._left = self._left[:cell], self._left[cell:]
        return await _send(batch, padding, egress, gate)

    async def send_cover(self, egress: Egress, gate: Gate | None) -> bool:
        """Send padding, if it is time."""
        batch = bytearray()
        self._pad(batch, self.shaper.cover(trio.current_time()))
        return await _send(batch, len(batch), egress, gate)

    async def wait_filled(self, gate: Gate | None) -> None:
        """Wait as the outbox does, but no longer than until there is something to send by itself."""
        now = trio.current_time()
        with trio.CancelScope(deadline=self.shaper.due(now, waiting=not self.shaper.room(now))):
            await self._outbox.wait_filled(gate)

    def _pad(self, batch: bytearray, size: int) -> None:
        if size > len(batch):
            self._count["out"] += size - len(batch)
            for encoded in pads_of(size - len(batch), min(self._framing.max_frame, 2**14)):
                batch += self._framing.seal_encoded(encoded)


def _most_frame(shaping: Shaping) -> int:
    """What waits for the next cells can no longer be overtaken, and a frame is not to use up more than a pace gives at once."""
    match shaping.mode:
        case ShapingMode.CONSTANT:
            return shaping.cell - _OVERHEAD
        case ShapingMode.PACED:
            return _BURST * shaping.cell - _OVERHEAD
        case _:
            return _MOST_FRAME


async def _send(batch: bytearray, padding: int, egress: Egress, gate: Gate | None) -> bool:
    """Send what there is, of which the gate does not know the padding yet. If there is nothing, the line goes on waiting for the gate."""
    if not batch:
        return False
    if gate is not None:
        gate.leave()
        gate.spent(None, padding)
    await egress.send(batch)
    return True


class PadWatch:
    """Counts the padding that comes; what is beyond a peer's allowance counts against its conduct."""

    def __init__(self, side: Side, count: Counter[str]) -> None:
        """`count`: where bytes of padding are counted."""
        self._side = side
        self._count = count
        self._link = side.limits.max_download or _LINK
        self._allowance = PadAllowance(self._link, trio.current_time())
        self._padding = self._frames = 0
        self._judged = -math.inf

    def came(self, padding: int) -> None:
        """So many bytes of padding came."""
        self._padding += padding
        self._count["in"] += padding

    def announced(self, shape: control.Shape) -> None:
        """The peer has said how it shapes its traffic. One that would never send less than our line carries is refused."""
        self._allowance.announced(shape.cell)
        if shape.mode == ShapingMode.CONSTANT and shape.rate_min > self._link:
            detail = f"the peer would always send {shape.rate_min} bytes a second, more than the {self._link:.0f} that we take"
            self._side.end(PeerDisconnected(DisconnectReason.USELESS_PEER, by_remote=False, detail=detail))

    def judge(self, frames: int) -> None:
        """So many frames have come in all, beside padding."""
        if not self._padding:
            return  # what belongs to these frames may still be on its way
        padding, self._padding = self._padding, 0
        fresh, self._frames = frames - self._frames, frames
        now = trio.current_time()
        if self._allowance.came(padding, fresh, now) and now - self._judged >= _JUDGED_EVERY:
            self._judged = now
            for index in range(len(self._side.outbox.weights)):
                self._side.channel(index).conduct.invalid(1, "more padding than a peer may send")
