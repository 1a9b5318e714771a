"""A `ScriptedPeer` that speaks dpx/1: it gives credit for all that comes, keeps to what it is given, and has no rules of its own."""

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import trio

from devp2p import rlp
from devp2p.errors import DecodingError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.testing import ScriptedPeer
from devp2p.wire import BaseReceived, CapabilitySpec, Hello, MessageReceived, MessageSpace, base, compression
from devp2p.wire.dpx import Dpx, DpxFraming, Frame, header
from devp2p.wire.dpx.control import Control
from devp2p.wire.messages import Ids
from devp2p.wire.rlpx import Agreement

_ANY = (MAX_MESSAGE_SIZE,) * 256


class ScriptFraming(DpxFraming):
    """Gives and takes messages by the ids that they have on one stream, compressed or not."""

    space = MessageSpace((), ())
    heard: deque[Control]

    def agree(self, ids: Ids, *, compressed: bool) -> None:
        """A script agrees on nothing here: see `settle`."""

    def settle(self, space: MessageSpace) -> None:
        """The Hellos came to this."""
        self.space, self.pending, self.heard = space, deque[MessageReceived | BaseReceived](), deque[Control]()
        any_size = [CapabilitySpec(spec.name, spec.version, _ANY) for spec in space.shared]
        super().agree(MessageSpace(any_size, [spec.offer for spec in any_size]), compressed=False)
        self._opener.max_size = MAX_MESSAGE_SIZE

    def pump(self) -> None:
        """Open what has come."""
        while (message := super().next_message()) is not None:
            if isinstance(message, MessageReceived):
                self.taken(message)
            self.pending.append(message)
        while self.controls:
            self.heard.append(self.controls.pop(0))  # type: ignore[arg-type]

    def next_message(self) -> BaseReceived | None:
        if self._ledgers is None:
            message = super().next_message()
            assert not isinstance(message, MessageReceived)
            return message
        self.pump()
        if not self.pending:
            return None
        message = self.pending.popleft()
        if isinstance(message, BaseReceived):
            return message
        return BaseReceived(self.space.offsets[message.capability] + message.code, message.data)

    def owed(self) -> bytes:
        """What the other side is to be told of its credit."""
        if self._ledgers is None:
            return b""
        return b"".join(map(self.seal_control, self._ledgers.controls(0)))

    def seal(self, capability: int | None, code: int, data: bytes) -> Iterable[bytes]:
        """A message by its id, whatever it is."""
        assert capability is None
        return [self.seal_part(part) for part in self.parts(code, data)]

    def parts(self, code: int, data: bytes) -> list[Frame]:
        """The frames of a message; those of the base protocol have the capability -1."""
        index = bisect_right(self.space.offsets, code) - 1
        if index < 0 and code >= base.BASE_LENGTH:
            index, code = 0, code - base.BASE_LENGTH  # nothing is shared
        elif index >= 0:
            code -= self.space.offsets[index]
        head = rlp.encode(code)
        if index < 0 or len(head) + len(data) <= self.max_frame:
            return [Frame(index, 0, 0, head, data, 0)]
        whole, size = head + data, self.max_frame
        context = self.ledgers.sending.open(index + 1, len(whole))
        return [Frame(index, context, 0 if at else len(whole), whole[at : at + size], b"", 0) for at in range(0, len(whole), size)]

    def may_begin(self, code: int, data: bytes) -> bool:
        """Whether there is room for a message where the other side puts it together."""
        index, total = bisect_right(self.space.offsets, code) - 1, 1 + len(data)
        return index < 0 or total <= self.max_frame or self.ledgers.sending.may_open(index + 1, total)

    def may_send(self, part: Frame) -> bool:
        return (
            part.capability < 0
            or not self.space.shared
            or self.ledgers.sending.room(part.capability + 1) >= len(part.head) + len(part.body)
        )

    def seal_part(self, part: Frame) -> bytes:
        if part.capability < 0:
            return self._sealer.seal(header.encode(header.Header(header.BASE)), part.head, part.body)
        if self.space.shared:
            self.ledgers.sending.spend(part.capability + 1, len(part.head) + len(part.body), part.context)
        return self.seal_frame(part)


class ScriptDpx(Dpx):
    """What a script has in its handshake."""

    def __init__(self) -> None:
        super().__init__(os.urandom)

    def framing(self, agreement: Agreement) -> DpxFraming | None:
        found = super().framing(agreement)
        if found is not None:
            found.__class__ = ScriptFraming
        return found


class DpxScript(ScriptedPeer):
    """See above."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_receiving = False
        self._received = trio.lowlevel.ParkingLot()

    @property
    def framing(self) -> ScriptFraming:
        framing = self._streams.first.framing
        assert isinstance(framing, ScriptFraming), "a script that speaks dpx/1 needs the extension that does"
        return framing

    async def hear_hello(self) -> Hello:
        theirs = await super().hear_hello()
        self.framing.settle(self.space)
        return theirs

    async def receive(self) -> tuple[int, bytes]:
        while (message := self._streams.next_message()) is None:
            await self._receive_some()
        await self._give_credit()
        if self._handshake is not None:
            self._handshake.proved()
        code, data = message
        return code, compression.decompress(data, MAX_MESSAGE_SIZE) if self.compressed else data

    async def send_frame(self, frame_data: bytes) -> None:
        """Send a message, in chunks if it is large, as there is credit."""
        try:
            code, start = rlp.split_uint(frame_data)
        except DecodingError:
            parts = [Frame(-1, 0, 0, b"", frame_data, 0)]
        else:
            while not self.framing.may_begin(code, frame_data[start:]):
                await self._receive_some()
            parts = self.framing.parts(code, frame_data[start:])
        for part in parts:
            while not self.framing.may_send(part):
                await self._receive_some()
            await self.stream.send_all(self.framing.seal_part(part))

    async def send_control(self, control: Control) -> None:
        await self.stream.send_all(self.framing.seal_control(control))

    async def _receive_some(self) -> None:
        if self._is_receiving:  # another task of the test does
            await self._received.park()
            return
        await self._give_credit()
        self._is_receiving = True
        try:
            await self._streams.receive_some()
        finally:
            self._is_receiving = False
            self._received.unpark_all()
        if self.framing.space.shared:
            self.framing.pump()

    async def _give_credit(self) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            if owed := self.framing.owed():
                await self.stream.send_all(owed)
