"""A peer that holds the keys and keeps no other rule, for tests of what lies behind the MAC."""

from collections.abc import Iterable, Sequence

import pytest

from devp2p import rlp
from devp2p.errors import DisconnectReason, LocalProtocolError, RemoteProtocolError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire import base, compression
from devp2p.wire.connection import Connection, Event, HelloReceived, State
from devp2p.wire.messages import CapabilitySpec, MessageSpace
from devp2p.wire.opening import HandshakeCompleted, Opening
from devp2p.wire.rlpx.agreement import secrets
from devp2p.wire.rlpx.extension import Extension
from devp2p.wire.rlpx.frames import FrameOpener, FrameSealer
from devp2p.wire.rlpx.handshake import Handshake, Initiator, Recipient
from tests.fuzz.wire_targets import KEY, OTHER, entropy

SPECS = (CapabilitySpec("chat", 1, (100, 0, 5000)), CapabilitySpec("eth", 69, (0, 2**20)))
"""Ids 0x10 (small), 0x11 (no message), 0x12 (larger); 0x13 (no message) and 0x14."""
END = 0x15


def our_hello(key: PrivateKey, specs: Sequence[CapabilitySpec] = SPECS, version: int = 5) -> base.Hello:
    return base.Hello("test/1.0", tuple(spec.offer for spec in specs), key.public_key, version)


class Ours:
    """One side of a stream from its first byte on: an `Opening`, and the `Connection` that it comes to; ids are those on the wire."""

    def __init__(self, hello: base.Hello, specs: Sequence[CapabilitySpec], handshake: Handshake) -> None:
        self.handshake = handshake
        self.opening = Opening(hello, specs, handshake)

    @property
    def connection(self) -> Connection:
        assert self.opening.connection is not None, "it is still shaking hands"
        return self.opening.connection

    @property
    def state(self) -> State | None:
        """None while it shakes hands."""
        return self.connection.state if self.opening.connection is not None else None

    @property
    def remote(self) -> PublicKey:
        return self.connection.remote

    @property
    def space(self) -> MessageSpace:
        return self.connection.space if self.opening.connection is not None else MessageSpace((), ())

    @property
    def in_frame(self) -> bool:
        return self.opening.connection is not None and self.connection.in_frame

    @property
    def unfinished(self) -> int:
        return self.connection.unfinished

    @property
    def frames(self) -> int:
        return self.connection.frames

    @property
    def farewell(self) -> int | None:
        return self.connection.farewell

    @property
    def compressed(self) -> bool:
        return self.connection.framing.compressed

    def stop_receiving(self) -> None:
        self.connection.stop_receiving()

    def data_to_send(self) -> bytes:
        return self.opening.data_to_send()

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        self.opening.receive_data(data)

    def next_event(self) -> Event | HandshakeCompleted | None:
        return self.opening.next_event()

    def seal(self, code: int, data: bytes) -> Iterable[bytes]:
        if self.opening.connection is None:
            raise LocalProtocolError("the connection is not ready to send")
        for index, offset in reversed([*enumerate(self.space.offsets)]):
            if code >= offset:
                return self.connection.framing.seal(index, code - offset, data)
        return self.connection.seal(code, data)


def connect(  # noqa: PLR0913  (as a test wants it)
    key: PrivateKey,
    seed: int,
    *,
    remote: PublicKey | None = None,
    specs: Sequence[CapabilitySpec] = SPECS,
    version: int = 5,
    extension: Extension | None = None,
) -> Ours:
    return Ours(our_hello(key, specs, version), specs, Handshake(key, entropy(seed), remote=remote, extension=extension))


def events(connection: Ours) -> list[Event | HandshakeCompleted]:
    """Take all events."""
    found = []
    while (event := connection.next_event()) is not None:
        found.append(event)
    return found


def is_closed(connection: Ours) -> bool:
    return connection.opening.is_closed


class Forger:
    """A peer that shook hands with `connection` and can seal what it likes. The connection's ends: our KEY here, OTHER there."""

    def __init__(self, *, initiator: bool, specs: Sequence[CapabilitySpec] = SPECS, version: int = 5) -> None:
        """`initiator`: whether the connection under test is the one that calls."""
        self.connection = connect(KEY, 1, remote=OTHER.public_key if initiator else None, specs=specs, version=version)
        peer = Recipient(OTHER, entropy(2)) if initiator else Initiator(OTHER, KEY.public_key, entropy(2))
        agreement = peer.receive_data(self.connection.data_to_send()) if initiator else None
        self.packet = peer.packet
        self.connection.receive_data(self.packet)
        answer = self.connection.data_to_send()
        if agreement is None:
            agreement = peer.receive_data(answer)
            answer = peer.trailing
        assert agreement is not None
        self.secrets = secrets(agreement)
        self.answer = answer
        """The bytes that the connection sent behind the handshake."""
        self.sealer = FrameSealer(secrets(agreement))
        self.opener = FrameOpener(secrets(agreement), MAX_MESSAGE_SIZE)
        self.first = self.read(answer)
        """What the connection said first, as frame-data."""

    def read(self, stream: bytes) -> list[bytes]:
        """Open what the connection has sent."""
        self.opener.receive_data(stream)
        frames = []
        while (frame := self.opener.next_frame()) is not None:
            frames.append(bytes(frame))
        return frames

    def frame(self, data: bytes) -> bytes:
        """Seal frame-data as it is."""
        return b"".join(self.sealer.seal(data))

    def seal(self, code: int, data: bytes, *, compressed: bool = True) -> bytes:
        return self.frame(rlp.encode(code) + (compression.compress(data) if compressed else data))

    def hello(self, specs: Sequence[CapabilitySpec] = SPECS, version: int = 5, key: PrivateKey = OTHER) -> bytes:
        return self.seal(base.HELLO, base.encode_hello(our_hello(key, specs, version)), compressed=False)

    def open(self, specs: Sequence[CapabilitySpec] = SPECS, version: int = 5) -> "Forger":
        """Exchange Hellos; the connection's events up to here are taken."""
        self.connection.receive_data(self.hello(specs, version))
        assert [type(event) for event in events(self.connection)] == [HandshakeCompleted, HelloReceived]
        return self


def sealed(connection: Ours, code: int, data: bytes) -> bytes:
    """All of what a connection has to send for one message."""
    return b"".join(connection.seal(code, data))


def accepted(forger: Forger, stream: bytes) -> list[Event | HandshakeCompleted]:
    """Say something, and take what the connection makes of it."""
    forger.connection.receive_data(stream)
    return events(forger.connection)


def refused(forger: Forger, stream: bytes, complaint: str, kind: type[RemoteProtocolError] = RemoteProtocolError) -> DisconnectReason:
    """Say something that must end the connection, after which nothing is looked at any more; the reason that the peer is to be told."""
    with pytest.raises(RemoteProtocolError, match=complaint) as caught:
        forger.connection.receive_data(stream)
    assert type(caught.value) is kind
    assert is_closed(forger.connection)
    forger.connection.receive_data(forger.hello() + b"anything")
    assert is_closed(forger.connection)
    return caught.value.reason
