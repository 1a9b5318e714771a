"""Messages in records: the framing of dpx/1, which lets messages of all capabilities share one stream (dpx/1, sections 3 and 4).

    header-data = [capability]                    a whole message; 0 is the base protocol, 1 to 126 a place among the shared, 127 control
                  [capability, context, total]    the first chunk of a message
                  [capability, context]           a further one
    data        = code || message                 the code is relative to its capability; of a further chunk, just more of it

A message is compressed as a whole, before it is cut. Control messages are the session's own: they are never compressed, and what they say
of credit and contexts is acted on here (`ledgers`). Who drives the session finds in `DpxFraming.controls` those that are for others.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from devp2p import rlp
from devp2p.errors import DecodingError, HandshakeError, LocalProtocolError, RemoteProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.trust import Profile
from devp2p.wire import base, compression
from devp2p.wire.dpx import control, header
from devp2p.wire.dpx.control import CANCEL, CONNECTION, Control, Delta, Release, Reset
from devp2p.wire.dpx.ledgers import Ledgers
from devp2p.wire.dpx.pact import Pact
from devp2p.wire.dpx.records import RecordOpener, RecordSealer
from devp2p.wire.dpx.sender import Frame, head_of
from devp2p.wire.framing import ALWAYS_FITS, BaseReceived, MessageReceived
from devp2p.wire.messages import CapabilitySpec, Ids

if TYPE_CHECKING:
    from typing_extensions import Buffer

_HEADERS: Final = tuple(header.encode(header.Header(capability)) for capability in range(CONNECTION + 1))
_WHOLE: Final = {found.ljust(header.SIZE, b"\0"): capability for capability, found in enumerate(_HEADERS)}
_ALL: Final = 0  # in `DpxFraming.credited`: the connection


class DpxFraming:
    """All messages of a session over one stream."""

    def __init__(self, pact: Pact, sealer: RecordSealer, opener: RecordOpener) -> None:
        opener.max_size = base.BASE_MESSAGE_SIZE
        self.pact: Pact = pact
        self.compressed: bool = False
        """Whether messages travel compressed."""
        self.frames: int = 0
        """How many whole frames have come, but for control messages: those say nothing of how far the peer has got."""
        self.now: float = 0.0
        """The time, in seconds, of what comes next; whoever drives the session sets it."""
        self.controls: list[Control | control.Unknown] = []
        """Control messages that have come and are not about credit and contexts; those that mean nothing to us count as well."""
        self.credited: set[int] = set()
        """Capabilities, by their numbers, for which more may be sent since this was emptied; 0 for all."""
        self.refused: list[Reset] = []
        """What the peer has said of messages that it wants no more of, since this was emptied."""
        self.given_up: list[int] = []
        """Of messages that the peer has begun and given up, the capabilities by index, since this was emptied."""
        self._sealer = sealer
        self._opener = opener
        self._wire_size = opener.wire_size
        self._shared: tuple[CapabilitySpec, ...] | None = None
        self._ledgers: Ledgers | None = None
        self._most = min(pact.theirs.reassembly, MAX_MESSAGE_SIZE)  # bytes of a message that the peer has room for
        self._wire_sizes: dict[tuple[int, int], int] = {}  # of messages in chunks, as far as they have come

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
        """How many bytes are held of a frame that is not complete; those of messages in chunks are in `Contexts.held`."""
        return self._opener.unfinished

    @property
    def ledgers(self) -> Ledgers:
        """What may be sent, and what is held; LocalProtocolError before `agree`."""
        if self._ledgers is None:
            raise LocalProtocolError("credit begins when the Hellos are exchanged")
        return self._ledgers

    @property
    def max_frame(self) -> int:
        """The most bytes of data that the peer takes in one frame."""
        return self.pact.theirs.max_frame

    def agree(self, ids: Ids, *, compressed: bool) -> None:
        """See `Framing.agree`. LocalProtocolError for more capabilities than a header can tell apart."""
        if len(ids.shared) >= CONNECTION:
            raise LocalProtocolError(f"dpx/1 has room for {CONNECTION - 1} shared capabilities, not {len(ids.shared)}")
        self._shared, self.compressed = ids.shared, compressed
        ours, theirs = self.pact.ours, self.pact.theirs
        self._ledgers = Ledgers(ours, theirs, [spec.sizes for spec in ids.shared], compressed=compressed)
        self._opener.max_size = max(ours.max_frame, base.BASE_MESSAGE_SIZE)

    def begin(self, now: float) -> None:
        """From now on somebody drives the session, and keeps the time. What came with the Hello was looked at before."""
        self.now = now
        self.ledgers.receiving.begin(now)

    # Receiving

    def receive_data(self, data: "Buffer", /) -> None:
        """See `Framing.receive_data`."""
        self._opener.receive_data(data)

    def next_message(self) -> MessageReceived | BaseReceived | None:
        """See `Framing.next_message`."""
        try:
            while (record := self._opener.next_record()) is not None:
                head, data = record
                capability, context, total = (_WHOLE[head], 0, 0) if head in _WHOLE else header.decode(head)
                if capability == CONNECTION:
                    if context:
                        raise RemoteProtocolError("a control message came in chunks")
                    self._control(data)
                    continue
                self.frames += 1
                if not capability:
                    if context:
                        raise RemoteProtocolError("a message of the base protocol came in chunks")
                    code, start = rlp.split_uint(data)
                    return BaseReceived(code, data[start:])
                message = self._chunk(capability, context, total, data) if context else self._message(capability, data)
                if message is not None:
                    return message
        except HandshakeError:
            self.pact.is_broken = not self.frames
            raise
        return None

    def stop_receiving(self) -> None:
        """See `Framing.stop_receiving`."""
        self._opener.stop()

    def taken(self, message: MessageReceived) -> None:
        """The application took a message: so the peer may send as much again."""
        receiving, capability = self.ledgers.receiving, message.capability + 1
        if message.context:
            receiving.release(capability, message.context)
        else:
            receiving.taken(capability, len(message.data) + len(head_of(message.code)))

    def expire(self) -> list[int]:
        """Want no more of messages of which nothing has come for a minute: of which capabilities, by index. To be called now and then."""
        late = self.ledgers.receiving.stalled(self.now)
        for key in late:
            self._wire_sizes.pop(key, None)
        return [capability - 1 for capability, _ in late]

    def _message(self, capability: int, data: bytes | memoryview) -> MessageReceived:
        """A whole message."""
        ledgers, shared, length = self._ledgers, self._shared, len(data)
        if ledgers is None or shared is None:
            raise RemoteProtocolError(f"a frame of capability {capability} came before Hello")
        ledgers.receiving.normal(capability, length)
        code, start = data[0] if data else 0, 1
        if not 0 < code < 0x80:
            code, start = rlp.split_uint(data)
        spec, body = shared[capability - 1], data[start:]
        sizes = spec.sizes
        size = sizes[code] if code < len(sizes) else 0
        if not size:
            raise RemoteProtocolError(f"{spec.offer} defines no message {code:#x}")
        declared = compression.declared_size(body) if self.compressed else len(body)
        if declared > size:
            raise DecodingError(f"{spec.offer} message {code:#x} has {declared} bytes where {size} are allowed")
        return MessageReceived(capability - 1, code, body, size, self.compressed, self._wire_size(length))

    def _chunk(self, capability: int, context: int, total: int, data: bytes | memoryview) -> MessageReceived | None:
        """A part of a message: all of it, if this was the last."""
        receiving, key = self._known(capability).receiving, (capability, context)
        wire_size = self._wire_size(len(data))
        if total:
            if receiving.first(capability, context, total, data, self.now):
                self._wire_sizes[key] = wire_size
            return None
        whole = receiving.more(capability, context, data, self.now)
        if whole is None:
            if key in self._wire_sizes:
                self._wire_sizes[key] += wire_size
            return None
        wire_size += self._wire_sizes.pop(key)
        return MessageReceived(capability - 1, whole.code, whole.data, whole.size, self.compressed, wire_size, context)

    def _known(self, capability: int) -> Ledgers:
        if self._shared is None or self._ledgers is None or capability > len(self._shared):
            raise RemoteProtocolError(f"a frame of capability {capability} came, which is not shared")
        return self._ledgers

    def _control(self, data: bytes | memoryview) -> None:
        if self._ledgers is None:
            raise RemoteProtocolError("a control message came before Hello")
        found = control.decode(data)
        self._ledgers.received(found, self.now)
        match found:
            case Delta(capability=capability):
                self.credited.add(_ALL if capability == CONNECTION else capability)
            case Release(capability=capability):
                self.credited.add(capability)
            case Reset(capability=capability, context=context, code=code):
                if code == CANCEL:
                    if self._wire_sizes.pop((capability, context), None) is not None:
                        self.given_up.append(capability - 1)
                else:
                    self.refused.append(found)
            case _:
                self.controls.append(found)

    # Sending

    def seal(self, capability: int | None, code: int, data: bytes) -> Iterable[bytes]:
        """See `Framing.seal`. One of a capability goes in as many chunks as it takes; LocalProtocolError without credit for all."""
        head = head_of(code)
        body = compression.compress(data) if self.compressed else data
        total = len(head) + len(body)
        if capability is None:
            if total > base.BASE_MESSAGE_SIZE:
                raise LocalProtocolError(f"a message of the base protocol has at most {base.BASE_MESSAGE_SIZE} bytes, not {total}")
            return (self._sealer.seal(_HEADERS[header.BASE], head, body),)
        number, credit = capability + 1, self.ledgers.sending
        if total <= self.max_frame:
            credit.spend(number, total)
            return (self._sealer.seal(_HEADERS[number], head, body),)
        if credit.room(number) < total or not credit.may_open(number, total):
            raise LocalProtocolError(f"the peer takes no message of {total} bytes at the moment")
        context, whole = credit.open(number, total), memoryview(head + body)
        for at in range(0, total, self.max_frame):
            credit.spend(number, len(whole[at : at + self.max_frame]), context)
        return self._seal_chunks(capability, context, whole)

    def _seal_chunks(self, capability: int, context: int, whole: memoryview) -> Iterator[bytes]:
        """Each when it is taken, so that the first can be on its way."""
        for at in range(0, len(whole), self.max_frame):
            part = whole[at : at + self.max_frame]
            yield self.seal_frame(Frame(capability, context, 0 if at else len(whole), b"", part, 0))

    def seal_frame(self, frame: Frame) -> bytes:
        """Seal what a `Sender` has cut, in its order."""
        if not frame.context:
            return self._sealer.seal(_HEADERS[frame.capability + 1], frame.head, frame.body)
        head = header.encode(header.Header(frame.capability + 1, frame.context, frame.total))
        return self._sealer.seal(head, frame.head, frame.body)

    def seal_control(self, message: Control) -> bytes:
        """Seal a control message, which goes between two others."""
        return self._sealer.seal(_HEADERS[CONNECTION], control.encode(message))

    def seal_encoded(self, data: bytes) -> bytes:
        """The same for one that is encoded."""
        return self._sealer.seal(_HEADERS[CONNECTION], data)

    @property
    def always_fits(self) -> int:
        """Bytes of data that fit in any case, as `devp2p.wire.ALWAYS_FITS`; fewer where the peer has less room."""
        return min(ALWAYS_FITS, self._most * 6 // 7 - 64)

    def fits(self, capability: int, code: int, data: bytes) -> bool:  # noqa: ARG002
        """See `Framing.fits`."""
        if len(data) <= self.always_fits:
            return True
        size = len(compression.compress(data)) if self.compressed else len(data)
        return len(head_of(code)) + size <= self._most
