"""Frames without cipher or MAC, for a link whose transport has proved its peer and protects what it carries.

frame = frame-size (3) || frame-data
"""

from collections.abc import Iterable, Iterator
from typing import Final

from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.trust import PLAIN
from devp2p.wire.framing import BufferedOpener, FrameFraming

SLICE: Final = 64 * 1024
"""A long frame is given in pieces of this many bytes."""
_PREFIX: Final = 3


def plain_framing() -> FrameFraming:
    """The framing of one stream of such a link."""
    return FrameFraming(PlainSealer(), PlainOpener(), PLAIN)


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


class PlainOpener(BufferedOpener):
    """Turns received bytes into frame-data, held in a buffer that grows with what came: a peer can announce 16 MiB for free."""

    @staticmethod
    def wire_size(size: int) -> int:
        """How many bytes a frame with `size` bytes of data takes on the wire."""
        return _PREFIX + size

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
                raise self._failure(DecodingError(f"a frame of {size} bytes, where 1 to {self.max_size} are allowed"))
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
