"""What a script speaks over: the one stream of its link, or the first and one for each capability.

Nothing is read before the test wants to receive something; then from all of them, and the first that brings anything is enough.
"""

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import NoReturn

import trio
from trio.abc import HalfCloseableStream

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.transports import Link, MuxLink
from devp2p.wire import CapabilitySpec, FrameFraming, Framing, MessageSpace, base, plain_framing

_CHUNK = 64 * 1024


class AnyIds:
    """Which ids a script takes: each, as it comes."""

    first: int = 2**64
    shared: tuple[CapabilitySpec, ...] = ()
    offsets: tuple[int, ...] = ()
    max_size: int = MAX_MESSAGE_SIZE

    def locate(self, code: int) -> tuple[int, int, int]:
        """See `devp2p.wire.Ids`."""
        raise DecodingError(f"message id {code:#x} has more than 64 bits")


class _Stream:
    """A stream of a script's link: its only one, its first, or one of a capability."""

    def __init__(self, stream: HalfCloseableStream, framing: Framing | None = None) -> None:
        self.stream = stream
        self.framing = framing
        self.end: str | None = None
        """Why nothing more comes."""

    def next_message(self) -> tuple[int, bytes] | None:
        """The next message as (id on this stream, data as it came)."""
        if self.framing is None:
            raise LocalProtocolError("frames come after shake_hands()")
        message = self.framing.next_message()
        return None if message is None else (message.code, bytes(message.data))

    def seal(self, frame_data: bytes) -> bytes:
        if self.framing is None:
            raise LocalProtocolError("frames come after shake_hands()")
        if isinstance(self.framing, FrameFraming):
            return b"".join(self.framing.sealer.seal(frame_data))
        code, start = rlp.split_uint(frame_data)
        return b"".join(self.framing.seal(None, code, frame_data[start:]))

    async def receive_some(self) -> bytes | bytearray:
        """Receive bytes; none at the end."""
        try:
            data = await self.stream.receive_some(_CHUNK)
        except trio.BrokenResourceError:
            data = b""
            self.end = "the link broke"
        if not data:
            self.end = self.end or "the other end has closed the link"
        return data


class Streams:
    """The streams of a script's link, and which message goes where."""

    def __init__(self, link: Link | HalfCloseableStream) -> None:
        """`link`: or any byte stream, which proves nobody."""
        self.own: list[_Stream] = []
        """Those of capabilities, in their order."""
        self._link = link
        self._first: _Stream | None = None
        self._space = MessageSpace((), ())
        self._farewell: tuple[int, bytes] | None = None
        if not isinstance(link, MuxLink):
            self._first = _Stream(link if isinstance(link, HalfCloseableStream) else link.stream)

    @property
    def first(self) -> _Stream:
        """The only stream, or the first one."""
        if self._first is None:
            raise LocalProtocolError("the link's first stream comes with shake_hands()")
        return self._first

    @property
    def is_proved(self) -> bool:
        """Whether the link has proved the peer."""
        return not isinstance(self._link, HalfCloseableStream) and self._link.peer is not None

    async def begin(self) -> None:
        """See that there is a first stream."""
        if self._first is None and isinstance(self._link, MuxLink):
            self._first = _Stream(await (self._link.open() if self._link.initiator else self._link.accept()))

    def agree(self, space: MessageSpace) -> None:
        """The Hellos came to this."""
        framing = self.first.framing
        assert framing is not None  # noqa: S101  (the Hello came in it)
        framing.agree(AnyIds(), compressed=False)  # a script compresses itself, or does not
        self._space = space

    async def open_own(self) -> None:
        """Give each shared capability its stream, if the link has streams."""
        if isinstance(self._link, MuxLink):
            for spec in self._space.shared[len(self.own) :]:
                self.own.append(await self._open(self._link, spec))

    async def _open(self, link: MuxLink, spec: CapabilitySpec) -> _Stream:
        framing, name = plain_framing(), rlp.encode([spec.name, spec.version])
        framing.agree(AnyIds(), compressed=False)
        if link.initiator:
            own = _Stream(await link.open(), framing)
            await own.stream.send_all(own.seal(name))
            return own
        own = _Stream(await link.accept(), framing)
        while (named := framing.opener.next_frame()) is None:
            framing.receive_data(await own.receive_some() or _raise_end(own.end))
        if named != name:
            raise LocalProtocolError(f"the script wants a stream of {spec.offer} here, and one that begins with {bytes(named)!r} came")
        return own

    async def aclose(self) -> None:
        """Close the link at once."""
        if isinstance(self._link, HalfCloseableStream):
            await trio.aclose_forcefully(self._link)
        else:
            await self._link.aclose()

    def owner(self, code: int) -> _Stream:
        """The stream that a message goes to, by the id that it has on one stream."""
        index = bisect_right(self._space.offsets, code) - 1
        return self.own[index] if 0 <= index < len(self.own) else self.first

    def place(self, frame_data: bytes) -> tuple[_Stream, bytes]:
        """The stream that a frame goes to, and what it is there."""
        try:
            code, start = rlp.split_uint(frame_data)
        except DecodingError:
            return self.first, frame_data
        owner = self.owner(code)
        if owner is self.first:
            return owner, frame_data
        return owner, rlp.encode(code - self._space.offsets[self.own.index(owner)] + base.BASE_LENGTH) + frame_data[start:]

    def next_message(self) -> tuple[int, bytes] | None:
        """What has come, as (id as on one stream, data)."""
        for offset, own in zip(self._space.offsets, self.own, strict=False):
            if (message := own.next_message()) is not None:
                code, data = message
                return code + (offset - base.BASE_LENGTH if code >= base.BASE_LENGTH else 0), data
        if self._farewell is None:
            message = self.first.next_message()
            if message is None or message[0] != base.DISCONNECT:
                return message
            self._farewell = message
        if any(own.end is None for own in self.own):
            return None
        message, self._farewell = self._farewell, None
        return message

    async def receive_some(self, *, keep: bool = True) -> bytes | bytearray:
        """Take bytes from whatever stream has some, and `keep` them for `next_message`; trio.EndOfChannel if none has any more."""
        streams = [each for each in (self.first, *self.own) if each.end is None]
        received: list[bytes | bytearray] = []

        async def receive(each: _Stream) -> None:
            data = await each.receive_some()
            received.append(data)
            if data and keep and each.framing is not None:
                each.framing.receive_data(data)

        if len(streams) > 1:
            await _first_of([partial(receive, each) for each in streams])
        elif streams:
            await receive(streams[0])
        if not any(received) and self._farewell is None and all(each.end for each in (self.first, *self.own)):
            _raise_end(self.first.end)
        return b"".join(received)


async def _first_of(functions: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Run all until one is done."""
    failed: list[Exception] = []

    async def run(function: Callable[[], Awaitable[None]]) -> None:
        try:
            await function()
        except trio.ClosedResourceError as error:
            failed.append(error)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for function in functions:
            nursery.start_soon(run, function)
    if failed:
        raise failed[0]


def _raise_end(why: str | None) -> NoReturn:
    raise trio.EndOfChannel(why)
