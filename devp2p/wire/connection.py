"""The life of a session's wire, sans-IO, from Hello on: bytes in, events out; messages in, bytes out.

Theory of operation. A connection passes through the states of `State`, and `_TRANSITIONS` is the whole of its life: which event may
happen in which state, and where it leads. It begins when there is a `Framing`, chosen after the handshake, and somebody whose key the
peer has to be; it knows of no ciphers. Each side says Hello at once; until the peer's Hello is valid only one small frame is accepted,
and only a Hello or a Disconnect in it. Then messages flow.

Bytes received go through `receive_data` in order, by one task. Messages are sealed one after the other: the pieces that `seal` yields must
all be sent, in order, before the next message is sealed, for each may change the state of a cipher.

Messages of capabilities are handed out still compressed (`MessageReceived.decompress`), so that what waits in a queue costs what it
weighed on the wire; but their declared size has been checked against what the capability accepts.
"""

import enum
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devp2p.errors import DecodingError, DisconnectReason, LocalProtocolError, RemoteProtocolError
from devp2p.keys import PublicKey
from devp2p.wire import base
from devp2p.wire.framing import Framing, MessageReceived
from devp2p.wire.messages import CapabilitySpec, MessageSpace


class State(enum.Enum):
    """Where a connection is in its life."""

    HELLO = "hello"
    OPEN = "open"
    CLOSED = "closed"


_CLOSED = State.CLOSED


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """The peer proved its key and said what it is."""

    hello: base.Hello


@dataclass(frozen=True, slots=True)
class PingReceived:
    """The peer wants a Pong."""


@dataclass(frozen=True, slots=True)
class PongReceived:
    """The peer answered a Ping."""


@dataclass(frozen=True, slots=True)
class LastReceived:
    """The peer says that it goes on over another line: see `base.LAST`."""

    number: int
    """Of the mark; see there."""
    frames: int
    """How many whole frames had come, this one included."""


@dataclass(frozen=True, slots=True)
class DisconnectReceived:
    """The peer ends the session; nothing that comes after it is looked at."""

    reason: int


Event = HelloReceived | MessageReceived | PingReceived | PongReceived | LastReceived | DisconnectReceived

_TRANSITIONS: dict[State, dict[type[Event], State]] = {
    State.HELLO: {HelloReceived: State.OPEN, DisconnectReceived: State.CLOSED},
    State.OPEN: {
        MessageReceived: State.OPEN,
        PingReceived: State.OPEN,
        PongReceived: State.OPEN,
        LastReceived: State.OPEN,
        DisconnectReceived: State.CLOSED,
    },
    State.CLOSED: {},
}


class Connection:
    """One side of a session's first stream, from Hello on."""

    def __init__(self, framing: Framing, hello: base.Hello, capabilities: Sequence[CapabilitySpec], *, remote: PublicKey) -> None:
        """`hello` is ours, and is sealed at once: see `data_to_send`. `remote` is the key that the peer's Hello must name."""
        self.framing: Framing = framing
        """What messages are sealed with once the Hellos are exchanged."""
        self.state: State = State.HELLO
        self.remote: PublicKey = remote
        self.space: MessageSpace = MessageSpace((), ())
        """The shared capabilities; none before the peer's Hello."""
        self.farewell: int | None = None
        """The reason of the peer's Disconnect, once it has come."""
        self._next = _TRANSITIONS[self.state]
        self._version = hello.version
        self._capabilities = capabilities
        self._events: deque[Event] = deque()
        self._to_send = b"".join(framing.seal(None, base.HELLO, base.encode_hello(hello)))

    @property
    def frames(self) -> int:
        """How many whole frames have come."""
        return self.framing.frames

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun to arrive and is not complete."""
        return self.framing.in_frame

    @property
    def unfinished(self) -> int:
        """How many bytes are held of a frame that is not complete."""
        return self.framing.unfinished

    @property
    def has_messages(self) -> bool:
        """Whether a message of a capability is among the events that were not taken yet."""
        return any(isinstance(event, MessageReceived) for event in self._events)

    def stop_receiving(self) -> None:
        """Take no more from the peer, and let go of a frame that is not complete. Messages can still be sealed."""
        self.state, self._next = _CLOSED, _TRANSITIONS[_CLOSED]
        self.framing.stop_receiving()

    def data_to_send(self) -> bytes:
        """Take our Hello, sealed; empty the second time."""
        data, self._to_send = self._to_send, b""
        return data

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the peer; what they mean comes out of `next_event`.

        Raises RemoteProtocolError, HandshakeError among them, after which the connection must be closed. Every event that was complete
        before the fault can still be taken.
        """
        if self.state is _CLOSED:
            return
        try:
            self.framing.receive_data(data)
            next_message, events = self.framing.next_message, self._events
            while (message := next_message()) is not None:
                if isinstance(message, MessageReceived):  # a Hello has come, or none would be taken for a message of a capability
                    events.append(message)
                elif not self._receive_base(message.code, message.data):
                    return
        except RemoteProtocolError:
            self.stop_receiving()
            raise

    def next_event(self) -> Event | None:
        """Take the oldest event, or None."""
        return self._events.popleft() if self._events else None

    def seal(self, code: int, data: bytes) -> Iterable[bytes]:
        """Seal a message of the base protocol; before the peer's Hello only a Disconnect can be sent. See `Framing.seal`."""
        if self.state is State.HELLO and code != base.DISCONNECT:
            raise LocalProtocolError("the connection is not ready to send")
        return self.framing.seal(None, code, data)

    def _happen(self, event: Event) -> bool:
        """Take note of an event; False if nothing more is to be looked at."""
        self.state = self._next[type(event)]
        self._next = _TRANSITIONS[self.state]
        self._events.append(event)
        return self.state is not _CLOSED

    def _receive_base(self, code: int, data: bytes | memoryview) -> bool:
        if self.state is State.HELLO and code not in {base.HELLO, base.DISCONNECT}:
            raise RemoteProtocolError(f"message {code:#x} came before Hello")
        if len(data) > base.BASE_MESSAGE_SIZE:
            raise DecodingError(f"base protocol message {code:#x} has {len(data)} bytes where {base.BASE_MESSAGE_SIZE} are allowed")
        match code:
            case base.HELLO:
                return self._receive_hello(base.decode_hello(data))
            case base.DISCONNECT:
                self.farewell = base.decode_disconnect(data, compressed=self.framing.compressed)
                return self._happen(DisconnectReceived(self.farewell))
            case base.PING:
                return self._happen(PingReceived())
            case base.PONG:
                return self._happen(PongReceived())
            case base.LAST:
                number = base.decode_last(data, compressed=self.framing.compressed)
                return self._happen(LastReceived(number, self.frames))
            case _:
                return True  # the ids that remain are reserved; go-ethereum ignores them too, and Nethermind once used one

    def _receive_hello(self, hello: base.Hello) -> bool:
        if self.state is not State.HELLO:
            raise RemoteProtocolError("a second Hello came")
        compressed = min(hello.version, self._version) >= base.SNAPPY_VERSION
        if hello.public_key != self.remote:
            self.framing.agree(MessageSpace((), ()), compressed=compressed)  # for a Disconnect to be readable
            raise RemoteProtocolError("Hello names another node than the handshake", reason=DisconnectReason.UNEXPECTED_IDENTITY)
        self.space = MessageSpace(self._capabilities, hello.capabilities)
        self.framing.agree(self.space, compressed=compressed)
        return self._happen(HelloReceived(hello))
