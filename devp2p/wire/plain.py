"""Frames without cipher or MAC, for a link whose transport has proved its peer and protects what it carries.

frame = frame-size (3) || frame-data
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire.framing import FrameFraming

if TYPE_CHECKING:
    from typing_extensions import Buffer

SLICE: Final = 64 * 1024
"""A long frame is given in pieces of this many bytes."""
_PREFIX: Final = 3


def plain_framing() -> FrameFraming:
    """The framing of one stream of such a link."""
    return FrameFraming(PlainSealer(), PlainOpener())


class PlainSealer:
    """Turns frame-data into frames."""

    def seal(self, head: bytes, body: "bytes | bytearray | memoryview" = b"") -> Iterable[bytes]:
        """One frame with `head` and `body` in a row, 1 byte to 16 MiB - 1 in all; LocalProtocolError for another size."""
        size = len(head) + len(body)
        if not 0 < size <= MAX_MESSAGE_SIZE:
            raise LocalProtocolError(f"a frame holds 1 to {MAX_MESSAGE_SIZE} bytes, not {size}")
        if size < SLICE:
            return (b"".join((size.to_bytes(_PREFIX), head, body)),)
        return self._in_slices(size.to_bytes(_PREFIX) + head, memoryview(body))

    def _in_slices(self, start: bytes, body: memoryview) -> Iterator[bytes]:
        room = SLICE - len(start)
        yield start + body[:room]
        for at in range(room, len(body), SLICE):
            yield bytes(body[at : at + SLICE])


class PlainOpener:
    """Turns received bytes into frame-data, held in a buffer that grows with what came: a peer can announce 16 MiB for free."""

    def __init__(self) -> None:
        self.max_size: int = MAX_MESSAGE_SIZE
        """The largest acceptable frame-data, in bytes; looked at when the size has come, so a change holds from the next frame on."""
        self._received = memoryview(b"")  # the last piece from the wire, behind what was left of those before it
        self._at = 0
        self._size = 0  # of the frame that is open; 0 between frames
        self._data = bytearray()  # what has come of it, if that is more than one piece
        self._failed = False

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and is not complete (asked when ``next_frame`` has returned None)."""
        return self._size > 0 or len(self._received) > self._at

    @property
    def unfinished(self) -> int:
        """How many bytes of a frame that is not complete are held (asked when ``next_frame`` has returned None)."""
        return len(self._data) + len(self._received) - self._at

    @staticmethod
    def wire_size(size: int) -> int:
        """How many bytes a frame with `size` bytes of data takes on the wire."""
        return _PREFIX + size

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

    def next_frame(self) -> bytes | memoryview | None:
        """Give the data of the next frame, or None until more bytes come. DecodingError: its size is 0 or above ``max_size``."""
        if self._failed:
            raise LocalProtocolError("this direction has failed before")
        start = self._at
        if not self._size:
            if len(self._received) < start + _PREFIX:
                return None
            size = int.from_bytes(self._received[start : start + _PREFIX])
            if not 0 < size <= self.max_size:
                self._failed = True
                raise DecodingError(f"a frame of {size} bytes, where 1 to {self.max_size} are allowed")
            self._size = size
            start += _PREFIX
        piece = self._received[start : start + self._size - len(self._data)]
        self._at = start + len(piece)
        if len(self._data) + len(piece) < self._size:
            self._data += piece
            return None
        self._size = 0
        if not self._data:
            return bytes(piece)  # not a view: what waits in a queue must not hold all that came with it
        data, self._data = self._data, bytearray()
        data += piece
        return memoryview(data).toreadonly()
