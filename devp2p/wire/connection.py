"""One RLPx connection, sans-IO: bytes in, events out; messages in, bytes out.

Theory of operation. A connection passes through the states of `State`, and `_TRANSITIONS` is the whole of its life: which event may
happen in which state, and where it leads. Before the handshake is done nothing but its packet is looked at, and nothing is ever said
back to a packet that does not open. With the keys agreed each side sends Hello at once; until the peer's Hello is valid only one small
frame is accepted, and only a Hello or a Disconnect in it. Then messages flow.

Two rules keep the ciphers right. Bytes received go through `receive_data` in order, by one task. Messages are sealed one after the
other: the pieces that `seal` yields must all be sent, in order, before the next message is sealed, for each changes the MAC state.

Messages of capabilities are handed out still compressed (`MessageReceived.decompress`), so that what waits in a queue costs what it
weighed on the wire; but their declared size has been checked against what the capability accepts.
"""

import enum
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from devp2p import rlp
from devp2p.errors import DecodingError, DisconnectReason, LocalProtocolError, RemoteProtocolError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire import base, compression
from devp2p.wire.messages import CapabilitySpec, MessageSpace
from devp2p.wire.rlpx import Agreement, Entropy, Extension, FrameOpener, FrameSealer, Handshake, frame_size, secrets

_BASE_LENGTH = base.BASE_LENGTH
_HEADS = tuple(rlp.encode(code) for code in range(0x80))  # the ids of nearly all messages, encoded


class State(enum.Enum):
    """Where a connection is in its life."""

    HANDSHAKE = "handshake"
    HELLO = "hello"
    OPEN = "open"
    CLOSED = "closed"


_HELLO, _CLOSED = State.HELLO, State.CLOSED  # looked at for each message


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """The keys are agreed. ``remote`` has not proved itself before its first valid frame."""

    remote: PublicKey


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """The peer proved its key and said what it is."""

    hello: base.Hello


class MessageReceived(NamedTuple):
    """A message of a shared capability: its index, the message id within it, and the data as it came."""

    capability: int
    code: int
    data: bytes | memoryview
    size: int
    """The largest that it may inflate to."""
    compressed: bool
    wire_size: int = 0
    """The bytes of its frame."""

    def decompress(self) -> bytes:
        """The message's RLP, at most ``size`` bytes; `DecodingError` if the snappy data is malformed."""
        return compression.decompress(self.data, self.size) if self.compressed else bytes(self.data)


@dataclass(frozen=True, slots=True)
class PingReceived:
    """The peer wants a Pong."""


@dataclass(frozen=True, slots=True)
class PongReceived:
    """The peer answered a Ping."""


@dataclass(frozen=True, slots=True)
class DisconnectReceived:
    """The peer ends the session; nothing that comes after it is looked at."""

    reason: int


Event = HandshakeCompleted | HelloReceived | MessageReceived | PingReceived | PongReceived | DisconnectReceived

_TRANSITIONS: dict[State, dict[type[Event], State]] = {
    State.HANDSHAKE: {HandshakeCompleted: State.HELLO},
    State.HELLO: {HelloReceived: State.OPEN, DisconnectReceived: State.CLOSED},
    State.OPEN: {
        MessageReceived: State.OPEN,
        PingReceived: State.OPEN,
        PongReceived: State.OPEN,
        DisconnectReceived: State.CLOSED,
    },
    State.CLOSED: {},
}


class Connection:
    """One side of one RLPx connection.

    With ``remote`` given this side is the initiator, who must know the key of the node it calls; without, it is the recipient.
    ``extension`` may put elements into our auth or ack, and is told once the peer's first frame is valid; `handshake` tells it what else.
    A recipient asks ``is_new`` whether it sees an auth for the first time; see `Recipient`.
    """

    def __init__(  # noqa: PLR0913  (one call, with what a handshake needs)
        self,
        key: PrivateKey,
        hello: base.Hello,
        capabilities: Sequence[CapabilitySpec],
        entropy: Entropy,
        *,
        remote: PublicKey | None = None,
        extension: Extension | None = None,
        is_new: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.state: State = State.HANDSHAKE
        self._next = _TRANSITIONS[self.state]
        self.remote = remote
        self.space: MessageSpace = MessageSpace((), ())
        """The layout of message ids; of no capability before the peer's Hello."""
        self.frames: int = 0
        """How many whole frames have come."""
        self.compressed: bool = False
        """Whether messages travel compressed: not before the peer's Hello, and not if either side is older than version 5."""
        self.farewell: int | None = None
        """The reason of the peer's Disconnect, once it has come."""
        self._hello = base.encode_hello(hello)
        self._version = hello.version
        self._capabilities = capabilities
        self._events: deque[Event] = deque()
        self._to_send = bytearray()
        self._sealer: FrameSealer | None = None
        self._opener: FrameOpener | None = None
        self.handshake: Handshake = Handshake(key, entropy, remote=remote, extension=extension, is_new=is_new)
        """What comes before the first frame."""
        self._to_send += self.handshake.data_to_send()

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun to arrive and is not complete."""
        return self._opener is not None and self._opener.in_frame

    @property
    def has_messages(self) -> bool:
        """Whether a message of a capability is among the events that were not taken yet."""
        return any(isinstance(event, MessageReceived) for event in self._events)

    @property
    def unfinished(self) -> int:
        """How many bytes are held of a frame that is not complete."""
        return 0 if self._opener is None else self._opener.unfinished

    def stop_receiving(self) -> None:
        """Take no more from the peer, and let go of a frame that is not complete. Messages can still be sealed."""
        self.state = State.CLOSED
        self._opener = None

    def data_to_send(self) -> bytes:
        """Take what the handshake and our Hello have to send; empty once that is done."""
        data = bytes(self._to_send)
        self._to_send.clear()
        return data

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the peer; what they mean comes out of `next_event`.

        Raises HandshakeError or another RemoteProtocolError, after which the connection must be closed. Every event that was complete
        before the fault can still be taken.
        """
        if self._is_closed():
            return
        try:
            if self._opener is None:
                agreement = self.handshake.receive_data(data)
                if agreement is None:
                    return
                data = self.handshake.trailing
                self._begin_frames(agreement)
            assert self._opener is not None  # noqa: S101  (_begin_frames made it; the type checker cannot know)
            self._opener.receive_data(data)
            while (frame := self._opener.next_frame()) is not None:
                self._receive_frame(frame)
                if self._is_closed():
                    return
        except RemoteProtocolError:
            self.state = State.CLOSED
            raise

    def next_event(self) -> Event | None:
        """Take the oldest event, or None."""
        return self._events.popleft() if self._events else None

    def seal(self, code: int, data: bytes) -> Iterable[bytes]:
        """Compress, frame and encrypt a message; gives its bytes in pieces of some 64 KiB.

        `code` is the id on the wire, `data` the encoded message; before the peer's Hello only a Disconnect can be sent. Raises
        LocalProtocolError if the message cannot be sent at all; then nothing was sealed. All pieces must be taken, and sent, before
        another message is sealed.
        """
        if self._sealer is None or (self.state is State.HELLO and code != base.DISCONNECT):
            raise LocalProtocolError("the connection is not ready to send")
        if len(data) > MAX_MESSAGE_SIZE:
            raise LocalProtocolError(f"a message of {len(data)} bytes does not fit into a frame")
        head = _HEADS[code] if 0 <= code < len(_HEADS) else rlp.encode(code)
        body = compression.compress(data) if self.compressed else data
        if len(head) + len(body) > MAX_MESSAGE_SIZE:
            raise LocalProtocolError(f"a message of {len(data)} bytes ({len(body)} compressed) does not fit into a frame")
        return self._sealer.seal(head, body)

    def _begin_frames(self, agreement: Agreement) -> None:
        self._to_send += self.handshake.data_to_send()
        self.remote = agreement.remote
        keys = secrets(agreement)
        self._sealer = FrameSealer(keys)
        self._opener = FrameOpener(keys, base.BASE_MESSAGE_SIZE)
        for piece in self._sealer.seal(_HEADS[base.HELLO], self._hello):
            self._to_send += piece
        self._happen(HandshakeCompleted(agreement.remote))

    def _is_closed(self) -> bool:
        return self.state is _CLOSED

    def _happen(self, event: Event) -> None:
        state = self._next[type(event)]
        if state is not self.state:
            self.state, self._next = state, _TRANSITIONS[state]
        self._events.append(event)

    def _receive_frame(self, frame: bytes | memoryview) -> None:
        self.frames += 1
        if self.state is _HELLO:
            self.handshake.proved()
        code, start = frame[0], 1
        if not 0 < code < 0x80:
            code, start = rlp.split_uint(frame)
        data = frame[start:]
        if code < _BASE_LENGTH or self.state is _HELLO:
            self._receive_base(code, data)
            return
        index, relative, size = self.space.locate(code)
        declared = compression.declared_size(data) if self.compressed else len(data)
        if declared > size:
            offer = self.space.shared[index].offer
            raise DecodingError(f"{offer} message {relative:#x} has {declared} bytes where {size} are allowed")
        self._happen(MessageReceived(index, relative, data, size, self.compressed, frame_size(len(frame))))

    def _receive_base(self, code: int, data: bytes | memoryview) -> None:
        if self.state is State.HELLO and code not in {base.HELLO, base.DISCONNECT}:
            raise RemoteProtocolError(f"message {code:#x} came before Hello")
        if len(data) > base.BASE_MESSAGE_SIZE:
            raise DecodingError(f"base protocol message {code:#x} has {len(data)} bytes where {base.BASE_MESSAGE_SIZE} are allowed")
        if code == base.HELLO:
            self._receive_hello(base.decode_hello(data))
        elif code == base.DISCONNECT:
            self.farewell = base.decode_disconnect(data, compressed=self.compressed)
            self._happen(DisconnectReceived(self.farewell))
        elif code == base.PING:
            self._happen(PingReceived())
        elif code == base.PONG:
            self._happen(PongReceived())
        # The ids that remain are reserved; go-ethereum ignores them too, and Nethermind once used one.

    def _receive_hello(self, hello: base.Hello) -> None:
        if self.state is not State.HELLO:
            raise RemoteProtocolError("a second Hello came")
        self.compressed = min(hello.version, self._version) >= base.SNAPPY_VERSION  # first, for a Disconnect to be readable
        if hello.public_key != self.remote:
            raise RemoteProtocolError("Hello names another node than the handshake", reason=DisconnectReason.UNEXPECTED_IDENTITY)
        self.space = MessageSpace(self._capabilities, hello.capabilities)
        largest = max(self.space.max_size, base.BASE_MESSAGE_SIZE)
        assert self._opener is not None  # noqa: S101  (a Hello came out of it)
        # Snappy may enlarge incompressible data by a sixth and 32 bytes; the message id takes at most 9 more.
        self._opener.max_size = min(MAX_MESSAGE_SIZE, largest + largest // 6 + 41)
        self._happen(HelloReceived(hello))
