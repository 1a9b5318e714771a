"""How messages lie on one byte stream: what is chosen after the handshake, and hides ciphers, message ids and compression.

    bytes -> frames -> (capability, code relative to it, data)          `Framing.receive_data`, `Framing.next_message`
    (capability, code, data) -> frames -> bytes                         `Framing.seal`

Above a `Framing` a message belongs to a capability and has a code of that capability's own; below it there are ids, snappy and MACs. A
`Framing` begins with Hellos, when nothing is agreed: every message is one of the base protocol, and nothing is compressed. `agree` tells it
what the two Hellos came to.

`FrameFraming` is that over any frames, which a pair of a `Sealer` and an `Opener` makes: stock RLPx (`rlpx.frames`), or frames without a
cipher for links that have proved their peer (`plain`). One whose messages do not each have a frame of their own is a class beside it.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError, RemoteProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.trust import STOCK, Profile
from devp2p.wire import base, compression
from devp2p.wire.messages import Ids

if TYPE_CHECKING:
    from typing_extensions import Buffer

_HEADS = tuple(rlp.encode(code) for code in range(0x80))  # the ids of nearly all messages, encoded
ALWAYS_FITS = MAX_MESSAGE_SIZE * 6 // 7 - 64
"""Bytes of data that fit into any frame: snappy adds a sixth and 32 bytes at most, and the id 9."""


class MessageReceived(NamedTuple):
    """A message of a shared capability: its index, the message id within it, and the data as it came."""

    capability: int
    code: int
    data: bytes | memoryview
    size: int
    """The largest that it may inflate to."""
    compressed: bool
    wire_size: int = 0
    """The bytes that it took on the wire."""
    context: int = 0
    """Where its framing sends some messages in parts: by which name it knew this one; else 0."""

    def decompress(self) -> bytes:
        """The message's RLP, at most ``size`` bytes; `DecodingError` if the snappy data is malformed."""
        return compression.decompress(self.data, self.size) if self.compressed else bytes(self.data)


class BaseReceived(NamedTuple):
    """A message of the base protocol, with its data as it came."""

    code: int
    data: bytes | memoryview


class Framing(Protocol):
    """One byte stream, as messages. It is used by one task that receives and one that seals."""

    @property
    def compressed(self) -> bool:
        """Whether messages travel compressed; see `agree`."""
        ...

    @property
    def profile(self) -> Profile:
        """What the two sides speak, as users see it; it says nothing of the peer before that has proved itself."""
        ...

    @property
    def frames(self) -> int:
        """How many whole frames have come."""
        ...

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun to arrive and is not complete."""
        ...

    @property
    def unfinished(self) -> int:
        """How many bytes are held of what is not complete."""
        ...

    def agree(self, ids: Ids, *, compressed: bool) -> None:
        """The Hellos came to this: where the ids of the capabilities lie, which it goes by from the next frame on, and compression."""

    def receive_data(self, data: "Buffer", /) -> None:
        """Take bytes from the peer, cut anywhere."""

    def next_message(self) -> MessageReceived | BaseReceived | None:
        """Give the next whole message, or None until more bytes come.

        Raises RemoteProtocolError for what breaks the rules, after which nothing more can be received. Before `agree` every message is
        given as one of the base protocol.
        """

    def stop_receiving(self) -> None:
        """Nothing more is received: let go of what has come of a frame. Messages can still be sealed."""

    def seal(self, capability: int | None, code: int, data: bytes) -> Iterable[bytes]:
        """Turn a message into bytes, in pieces of some 64 KiB; `capability` is its index, or None for the base protocol.

        All pieces must be taken, and sent in order, before the next message is sealed. LocalProtocolError if the message cannot be sent at
        all; then nothing was sealed.
        """
        ...

    def fits(self, capability: int, code: int, data: bytes) -> bool:
        """Whether a message can be sealed. Of at most `ALWAYS_FITS` bytes any can, so that nobody needs to ask."""
        ...


class Sealer(Protocol):
    """Turns frame-data into frames."""

    def seal(self, head: bytes, body: bytes | memoryview = b"") -> Iterable[bytes]:
        """One frame of `head` and `body` in a row; see `Framing.seal` for the pieces."""
        ...


class Opener(Protocol):
    """Turns bytes into frame-data. After an error it is not used any more."""

    max_size: int
    """The largest acceptable frame-data, in bytes; a change holds from the next frame on."""

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and is not complete (asked when ``next_frame`` has returned None)."""
        ...

    @property
    def unfinished(self) -> int:
        """How many bytes of it are held."""
        ...

    def receive_data(self, data: "Buffer") -> None:
        """Take bytes from the wire, cut anywhere."""

    def next_frame(self) -> bytes | memoryview | None:
        """Give the data of the next whole frame, or None until more bytes come; RemoteProtocolError for one that is not right."""
        ...

    def stop(self) -> None:
        """Nothing more is received: let go of what has come of a frame."""

    @staticmethod
    def wire_size(size: int) -> int:
        """How many bytes a frame with `size` bytes of data takes on the wire."""
        ...


class BufferedOpener:
    """What an opener of frames has in common: bytes from the wire, and the frame that is open, in buffers that grow with what came."""

    def __init__(self, max_size: int = MAX_MESSAGE_SIZE) -> None:
        """Accept frames with up to ``max_size`` bytes of data."""
        self.max_size: int = max_size
        """The largest acceptable frame-data, in bytes; looked at when a frame begins, so a change holds from the next one on."""
        self._received = memoryview(b"")  # the last piece from the wire, behind what was left of those before it
        self._at = 0  # how much of it is used up
        self._size = 0  # of the frame that is open; 0 between frames
        self._data = bytearray()  # what has come of its data, if that is more than one piece
        self._failed = False

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and is not complete (asked when ``next_frame`` has returned None)."""
        return self._size > 0 or len(self._received) > self._at

    @property
    def unfinished(self) -> int:
        """How many bytes of a frame that is not complete are held (asked when ``next_frame`` has returned None)."""
        return len(self._data) + len(self._received) - self._at

    def receive_data(self, data: "Buffer") -> None:
        """Take bytes from the wire, cut anywhere."""
        if self._failed:
            raise LocalProtocolError("this direction has failed before")
        left = self._received[self._at :]
        self._received = memoryview(b"".join((left, data)) if left else bytes(data))
        self._at = 0

    def stop(self) -> None:
        """Let go of a frame that is not complete; nothing can be opened any more."""
        self._received, self._at, self._size, self._data = memoryview(b""), 0, 0, bytearray()
        self._failed = True

    def _failure(self, error: RemoteProtocolError) -> RemoteProtocolError:
        self._failed = True
        return error


class FrameFraming:
    """One message in one frame: its id as RLP, and its data, which is compressed where both sides speak version 5 (EIP-706)."""

    def __init__(self, sealer: Sealer, opener: Opener, profile: Profile = STOCK) -> None:
        opener.max_size = base.BASE_MESSAGE_SIZE
        self.profile: Profile = profile
        """What the two sides speak, as users see it."""
        self.compressed: bool = False
        """Whether messages travel compressed."""
        self.frames: int = 0
        """How many whole frames have come."""
        self.sealer: Sealer = sealer
        """Makes frames of any frame-data, a message or not."""
        self.opener: Opener = opener
        self._seal = sealer.seal
        self._next_frame = opener.next_frame
        self._wire_size = opener.wire_size
        self.receive_data: Callable[[Buffer], None] = opener.receive_data  # one call less for each that is made
        self._first: float = float("inf")  # the lowest id that is not of the base protocol
        self._ids: Ids | None = None
        self._offsets: tuple[int, ...] = ()

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun to arrive and is not complete."""
        return self.opener.in_frame

    @property
    def unfinished(self) -> int:
        """How many bytes are held of a frame that is not complete."""
        return self.opener.unfinished

    def agree(self, ids: Ids, *, compressed: bool) -> None:
        """See `Framing.agree`. Frames may be as large as the largest message that any capability accepts."""
        self._ids, self._first, self._offsets = ids, ids.first, ids.offsets
        self.compressed = compressed
        largest = max(ids.max_size, base.BASE_MESSAGE_SIZE)
        # Snappy may enlarge incompressible data by a sixth and 32 bytes; the message id takes at most 9 more.
        self.opener.max_size = min(MAX_MESSAGE_SIZE, largest + largest // 6 + 41)

    def next_message(self) -> MessageReceived | BaseReceived | None:
        """See `Framing.next_message`."""
        frame = self._next_frame()
        if frame is None:
            return None
        self.frames += 1
        code, start = frame[0], 1
        if not 0 < code < 0x80:
            code, start = rlp.split_uint(frame)
        data = frame[start:]
        if code < self._first or self._ids is None:
            return BaseReceived(code, data)
        index, relative, size = self._ids.locate(code)
        compressed = self.compressed
        declared = compression.declared_size(data) if compressed else len(data)
        if declared > size:
            offer = self._ids.shared[index].offer
            raise DecodingError(f"{offer} message {relative:#x} has {declared} bytes where {size} are allowed")
        return MessageReceived(index, relative, data, size, compressed, self._wire_size(len(frame)))

    def stop_receiving(self) -> None:
        """See `Framing.stop_receiving`."""
        self.opener.stop()

    def seal(self, capability: int | None, code: int, data: bytes) -> Iterable[bytes]:
        """See `Framing.seal`."""
        if len(data) > MAX_MESSAGE_SIZE:
            raise LocalProtocolError(f"a message of {len(data)} bytes does not fit into a frame")
        if capability is not None:
            code += self._offsets[capability]
        head = _HEADS[code] if 0 <= code < 0x80 else rlp.encode(code)
        body = compression.compress(data) if self.compressed else data
        if len(head) + len(body) > MAX_MESSAGE_SIZE:
            raise LocalProtocolError(f"a message of {len(data)} bytes ({len(body)} compressed) does not fit into a frame")
        return self._seal(head, body)

    def fits(self, capability: int, code: int, data: bytes) -> bool:
        """See `Framing.fits`."""
        if len(data) <= ALWAYS_FITS:
            return True
        size = len(compression.compress(data)) if self.compressed else len(data)
        return len(rlp.encode(self._offsets[capability] + code)) + size <= MAX_MESSAGE_SIZE
