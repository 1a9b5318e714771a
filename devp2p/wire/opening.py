"""The beginning of a stream, sans-IO: the handshake where the link has not proved its peer, the choice of a framing, and then Hello.

Nothing is ever said back to a handshake packet that does not open. With the keys agreed, ack and Hello go out together.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from devp2p.errors import RemoteProtocolError
from devp2p.keys import PublicKey
from devp2p.wire import base
from devp2p.wire.connection import Connection, Event, State
from devp2p.wire.framing import Framing
from devp2p.wire.messages import CapabilitySpec
from devp2p.wire.plain import plain_framing
from devp2p.wire.rlpx import Agreement

if TYPE_CHECKING:
    from typing_extensions import Buffer


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """The keys are agreed. ``remote`` has not proved itself before its first valid frame."""

    remote: PublicKey


class AnyHandshake(Protocol):
    """One side of a handshake, until it has come to an agreement: a `Handshake`, or one with something before it (`dpx.prelude`)."""

    @property
    def trailing(self) -> bytes:
        """See `Handshake`, as for all of these."""
        ...

    def data_to_send(self) -> bytes:
        """What is to be sent now; there may be something after each `receive_data`."""
        ...

    def receive_data(self, data: "Buffer", /) -> Agreement | None:
        """Take bytes from the peer."""
        ...

    def framing(self) -> Framing:
        """Choose what messages travel in."""
        ...

    def proved(self) -> None:
        """The peer's first frame was valid."""

    def failed(self) -> None:
        """There will be none."""


class Opening:
    """One side of a stream on its way to a `Connection`."""

    def __init__(self, hello: base.Hello, capabilities: Sequence[CapabilitySpec], begin: AnyHandshake | PublicKey) -> None:
        """`begin` is our side of a handshake, or the key of the peer that the link has proved, which needs none."""
        self.connection: Connection | None = None
        """There is one as soon as the peer's key is known, proved or not."""
        self._hello = hello
        self._capabilities = capabilities
        self._handshake: AnyHandshake | None = None
        self._closed = False
        self._events: deque[HandshakeCompleted] = deque()
        if isinstance(begin, PublicKey):
            self._to_send = self._connect(plain_framing(), begin)
        else:
            self._handshake = begin
            self._to_send = begin.data_to_send()

    @property
    def is_closed(self) -> bool:
        """Whether nothing that the peer still says is looked at."""
        return self._closed if self.connection is None else self.connection.state is State.CLOSED

    @property
    def handshake(self) -> AnyHandshake | None:
        """The one that is under way, or has proved nobody yet."""
        return self._handshake

    def data_to_send(self) -> bytes:
        """Take what handshake and Hello have to send; empty once that is done."""
        data, self._to_send = self._to_send, b""
        return data

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the peer; see `Connection.receive_data`. HandshakeError for a packet that is no valid one, too."""
        if self.is_closed:
            return
        handshake = self._handshake
        if self.connection is None:
            assert handshake is not None  # noqa: S101  (else there would be a connection from the start)
            try:
                agreement = handshake.receive_data(data)
                if agreement is None:
                    self._to_send += handshake.data_to_send()
                    return
                framing = handshake.framing()
            except RemoteProtocolError:
                self._closed = True
                raise
            self._to_send += handshake.data_to_send() + self._connect(framing, agreement.remote)
            self._events.append(HandshakeCompleted(agreement.remote))
            data = handshake.trailing
        assert self.connection is not None  # noqa: S101  (_connect made it)
        try:
            self.connection.receive_data(data)
        finally:
            if handshake is not None and self.connection.frames:
                handshake.proved()
                self._handshake = None

    def next_event(self) -> Event | HandshakeCompleted | None:
        """Take the oldest event, or None."""
        if self._events:
            return self._events.popleft()
        return None if self.connection is None else self.connection.next_event()

    def close(self) -> None:
        """No more will come: a handshake that proved nobody has failed. Whoever makes an opening calls this at its end."""
        self._closed = True
        if self._handshake is not None:
            self._handshake.failed()

    def _connect(self, framing: Framing, remote: PublicKey) -> bytes:
        self.connection = Connection(framing, self._hello, self._capabilities, remote=remote)
        return self.connection.data_to_send()
