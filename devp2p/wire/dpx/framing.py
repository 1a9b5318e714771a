"""Messages in records: the framing of dpx/1 (dpx/1, "Records" and "Multiplexing").

    header-data = [capability]            0 is the base protocol, 1 to 126 the place among the shared capabilities, 127 control
    data        = code || message         the code is relative to its capability

Controls are messages of the session itself: they are never compressed, and who drives the session takes them out of `controls`.
"""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError, RemoteProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.trust import Profile
from devp2p.wire import base, compression
from devp2p.wire.dpx import control
from devp2p.wire.dpx.control import Control
from devp2p.wire.dpx.pact import Pact
from devp2p.wire.dpx.records import HEADER_DATA, RecordOpener, RecordSealer
from devp2p.wire.framing import ALWAYS_FITS, BaseReceived, MessageReceived
from devp2p.wire.messages import CapabilitySpec, Ids

if TYPE_CHECKING:
    from typing_extensions import Buffer

CONTROL: Final = 127
_HEADERS: Final = tuple(rlp.encode([capability]) for capability in range(CONTROL + 1))
_CAPABILITIES: Final = {header.ljust(HEADER_DATA, b"\0"): capability for capability, header in enumerate(_HEADERS)}
_CODES: Final = tuple(rlp.encode(code) for code in range(0x80))


class DpxFraming:
    """One message in one record."""

    def __init__(self, pact: Pact, sealer: RecordSealer, opener: RecordOpener) -> None:
        opener.max_size = base.BASE_MESSAGE_SIZE
        self.pact: Pact = pact
        self.compressed: bool = False
        """Whether messages travel compressed."""
        self.frames: int = 0
        """How many whole frames have come."""
        self.controls: deque[Control | control.Unknown] = deque()
        """Control messages that have come, for the line to act on; those that mean nothing to us count as well."""
        self._sealer = sealer
        self._opener = opener
        self._shared: tuple[CapabilitySpec, ...] | None = None

    @property
    def profile(self) -> Profile:
        """See `Framing.profile`."""
        return self.pact.profile

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun to arrive and is not complete."""
        return self._opener.in_frame

    @property
    def unfinished(self) -> int:
        """How many bytes are held of a frame that is not complete."""
        return self._opener.unfinished

    def agree(self, ids: Ids, *, compressed: bool) -> None:
        """See `Framing.agree`. LocalProtocolError for more capabilities than a header can tell apart."""
        if len(ids.shared) >= CONTROL:
            raise LocalProtocolError(f"dpx/1 has room for {CONTROL - 1} shared capabilities, not {len(ids.shared)}")
        self._shared, self.compressed = ids.shared, compressed
        largest = max(ids.max_size, base.BASE_MESSAGE_SIZE)
        self._opener.max_size = min(MAX_MESSAGE_SIZE, largest + largest // 6 + 41)

    def receive_data(self, data: "Buffer", /) -> None:
        """See `Framing.receive_data`."""
        self._opener.receive_data(data)

    def next_message(self) -> MessageReceived | BaseReceived | None:
        """See `Framing.next_message`."""
        while (record := self._opener.next_record()) is not None:
            self.frames += 1
            header, data = record
            capability = _CAPABILITIES.get(header)
            if capability is None:
                raise RemoteProtocolError(f"a record with the header-data {bytes(header).hex()} means nothing")
            if capability == CONTROL:
                self._control(data)
                continue
            code, start = rlp.split_uint(data)
            if not capability:
                return BaseReceived(code, data[start:])
            return self._message(capability - 1, code, data[start:], self._opener.wire_size(len(data)))
        return None

    def stop_receiving(self) -> None:
        """See `Framing.stop_receiving`."""
        self._opener.stop()

    def seal(self, capability: int | None, code: int, data: bytes) -> Iterable[bytes]:
        """See `Framing.seal`."""
        head = _CODES[code] if 0 <= code < len(_CODES) else rlp.encode(code)
        body = compression.compress(data) if self.compressed else data
        if len(head) + len(body) > MAX_MESSAGE_SIZE:
            raise LocalProtocolError(f"a message of {len(data)} bytes ({len(body)} compressed) does not fit into a record")
        return (self._sealer.seal(_HEADERS[0 if capability is None else capability + 1], head, body),)

    def seal_control(self, message: Control) -> bytes:
        """Seal a control message, which goes between two others."""
        return self._sealer.seal(_HEADERS[CONTROL], control.encode(message))

    def fits(self, capability: int, code: int, data: bytes) -> bool:  # noqa: ARG002
        """See `Framing.fits`."""
        if len(data) <= ALWAYS_FITS:
            return True
        size = len(compression.compress(data)) if self.compressed else len(data)
        return len(rlp.encode(code)) + size <= MAX_MESSAGE_SIZE

    def _message(self, index: int, code: int, data: bytes | memoryview, wire_size: int) -> MessageReceived:
        if self._shared is None or index >= len(self._shared):
            raise RemoteProtocolError(f"a message came of capability {index + 1}, which is not shared")
        spec = self._shared[index]
        size = spec.sizes[code] if code < len(spec.sizes) else 0
        if not size:
            raise RemoteProtocolError(f"{spec.offer} defines no message {code:#x}")
        declared = compression.declared_size(data) if self.compressed else len(data)
        if declared > size:
            raise DecodingError(f"{spec.offer} message {code:#x} has {declared} bytes where {size} are allowed")
        return MessageReceived(index, code, data, size, self.compressed, wire_size)

    def _control(self, data: bytes | memoryview) -> None:
        if self._shared is None:
            raise RemoteProtocolError("a control message came before Hello")
        self.controls.append(control.decode(data))
