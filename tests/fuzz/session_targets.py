"""Fuzz targets for what a peer says once the keys are agreed: Hello, Disconnect, snappy, whole connections, and the bytes between two.

Random bytes never pass a MAC. So a `Forger` plays the peer that holds the keys, and what is fuzzed is all that lies behind the MAC.
`TwoConnections` is the opposite: both ends are honest, and somebody between them is not.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from devp2p import rlp
from devp2p.errors import DecodingError, DisconnectReason, HandshakeError, LocalProtocolError, RemoteProtocolError
from devp2p.wire import base, compression
from devp2p.wire.connection import (
    DisconnectReceived,
    Event,
    HandshakeCompleted,
    HelloReceived,
    MessageReceived,
    PingReceived,
    PongReceived,
    State,
)
from tests.fuzz.wire_targets import KEY, OTHER
from tests.wire.forger import SPECS, Forger, connect, events, is_closed, our_hello


def fuzz_hello(data: bytes) -> None:
    # Invariant: any bytes are refused as RemoteProtocolError or make a Hello that is bounded, clean and says the same when sent on.
    try:
        hello = base.decode_hello(data)
    except RemoteProtocolError:
        return
    assert len(hello.client_id) <= 256
    assert base.printable(hello.client_id).isprintable()
    assert len(hello.capabilities) <= 64
    assert all(base.is_capability_name(offer.name) and 0 <= offer.version < 2**64 for offer in hello.capabilities)
    try:
        again = base.encode_hello(hello)
    except LocalProtocolError:
        assert len(data) > 600  # each bad byte of a client's name has become three good ones
    else:
        assert base.decode_hello(again) == hello


def fuzz_disconnect(data: bytes) -> None:
    # Invariant: any bytes are a goodbye, with a reason of one byte, and compression makes no difference to a readable one.
    plain = base.decode_disconnect(data, compressed=False)
    assert plain in range(256)
    assert base.decode_disconnect(data, compressed=True) in range(256)
    try:
        rlp.decode(data)
    except DecodingError:
        return
    if len(data) <= base.BASE_MESSAGE_SIZE:
        assert base.decode_disconnect(compression.compress(data), compressed=True) == plain


def fuzz_snappy(data: bytes) -> None:
    # Invariant: any bytes inflate to just the declared size or are refused as DecodingError; what is compressed comes back, and whole only.
    for limit in (0, 100, 4096):
        try:
            inflated = compression.decompress(data, limit)
        except DecodingError:
            continue
        assert len(inflated) == compression.declared_size(data) <= limit
    packed = bytes(compression.compress(data))
    assert len(packed) <= 32 + len(data) + len(data) // 6
    assert compression.declared_size(packed) == len(data)
    assert compression.decompress(memoryview(packed), len(data)) == data
    broken = [(packed[:-1], len(data)), (packed + b"\x00a", len(data))] + ([(packed, len(data) - 1)] if data else [])
    for bad, limit in broken:
        try:
            compression.decompress(bad, limit)
        except DecodingError:
            continue
        raise AssertionError("a broken block inflated")


def fuzz_connection(data: bytes) -> None:
    # Invariant: whatever a peer with valid keys says becomes events within the declared bounds, or a RemoteProtocolError that ends it all.
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    forger = Forger(initiator=bool(flags & 1), version=4 if flags & 8 else 5)
    connection = forger.connection
    if flags & 6:  # else it begins before Hello
        forger.open()
    while rest and not is_closed(connection):
        kind, size = rest[0] >> 5, rest[0] & 31
        content, rest = rest[1 : 1 + size], rest[1 + size :]
        if kind == 0:
            stream = forger.hello()
        elif kind == 1:
            stream = forger.seal(size, content)
        else:
            stream = forger.frame(content or b"\x80")
        try:
            connection.receive_data(stream)
        except RemoteProtocolError:
            assert is_closed(connection)
        assert not connection.in_frame
        for event in events(connection):
            if isinstance(event, MessageReceived):
                check_message(event)
            elif isinstance(event, DisconnectReceived):
                assert event.reason == connection.farewell
                assert is_closed(connection)
    if is_closed(connection):
        connection.receive_data(forger.frame(b"\x02\xc0"))
        assert connection.next_event() is None


def check_message(event: MessageReceived) -> None:
    assert event.size == SPECS[event.capability].sizes[event.code] > 0
    try:
        message = event.decompress()
    except DecodingError:
        assert event.compressed
    else:
        assert len(message) <= event.size


class TwoConnections(RuleBasedStateMachine):
    """Two honest ends, A the initiator, and an adversary who holds the bytes between them but not the keys."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = (connect(KEY, 1, remote=OTHER.public_key), connect(OTHER, 2))
        self.keys = (KEY, OTHER)
        self.wires = (bytearray(), bytearray())  # wires[n]: from end n to the other
        self.sent: tuple[list[tuple[object, ...]], ...] = ([], [])
        self.got: tuple[list[tuple[object, ...]], ...] = ([], [])  # got[n]: what end n was told by the other
        self.touched = [False, False]
        self.dead = [False, False]
        self.counter = 0
        self.patience = 0

    @initialize(patience=st.sampled_from([0, 1, 3, 6, 10, 1000]), open_first=st.booleans())
    def begin(self, *, patience: int, open_first: bool) -> None:
        """`patience` is how many messages the adversary lets pass at least."""
        self.patience = patience
        self.flush()
        if open_first or patience:
            for side in (0, 1, 0):
                self.deliver(side, 10_000)

    def flush(self) -> None:
        for end, wire in zip(self.ends, self.wires, strict=True):
            wire.extend(end.data_to_send())

    @rule(side=st.integers(0, 1), size=st.integers(1, 2000) | st.just(10**6))
    def deliver(self, side: int, size: int) -> None:
        """Give the other end the next bytes of `side`."""
        wire, to = self.wires[side], 1 - side
        data = bytes(wire[:size])
        del wire[:size]
        if self.dead[to]:
            return
        try:
            self.ends[to].receive_data(data)
        except HandshakeError as error:  # nothing else: forged bytes get no further than the MAC
            if not self.touched[side]:
                raise AssertionError("honest bytes were refused") from error
            self.dead[to] = True
        self.flush()
        for event in events(self.ends[to]):
            self.note(to, event)

    def note(self, to: int, event: Event) -> None:
        got = self.got[to]
        match event:
            case HandshakeCompleted(remote):
                assert remote == self.keys[1 - to].public_key
            case HelloReceived(hello):
                assert hello == our_hello(self.keys[1 - to])
                assert got == []
                got.append(("hello",))
            case MessageReceived(capability, code):
                got.append((capability, code, event.decompress()))
            case PingReceived() | PongReceived():
                got.append((type(event),))
            case DisconnectReceived(reason):
                got.append(("goodbye", reason))

    def is_open(self, side: int) -> bool:
        return self.ends[side].state is State.OPEN

    def send(self, side: int, code: int, data: bytes, note: tuple[object, ...]) -> None:
        for piece in self.ends[side].seal(code, data):
            self.wires[side].extend(piece)
        self.sent[side].append(note)

    @precondition(lambda self: self.is_open(0) or self.is_open(1))
    @rule(
        side=st.integers(0, 1),
        kinds=st.lists(st.sampled_from([(0x10, 0, 0, 100), (0x12, 0, 2, 5000), (0x14, 1, 1, 100_000)]), min_size=1, max_size=5),
        size=st.floats(0, 1),
    )
    def talk(self, side: int, kinds: list[tuple[int, int, int, int]], size: float) -> None:
        for code, capability, relative, most in kinds if self.is_open(side) else ():
            self.counter += 1
            data = self.counter.to_bytes(4, "big") * max(1, int(most * size) // 4)  # no two messages are the same
            self.send(side, code, data, (capability, relative, data))

    @precondition(lambda self: self.is_open(0) or self.is_open(1))
    @rule(side=st.integers(0, 1), ping=st.booleans())
    def keep_alive(self, side: int, *, ping: bool) -> None:
        if self.is_open(side):
            self.send(side, base.PING if ping else base.PONG, base.EMPTY_LIST, (PingReceived if ping else PongReceived,))

    @precondition(lambda self: self.counter > 15)
    @rule(side=st.integers(0, 1), reason=st.sampled_from(DisconnectReason))
    def say_goodbye(self, side: int, reason: DisconnectReason) -> None:
        if self.is_open(side):
            self.send(side, base.DISCONNECT, base.encode_disconnect(reason), ("goodbye", reason))

    @precondition(lambda self: self.counter >= self.patience and any(self.wires))
    @rule(
        side=st.integers(0, 1),
        deed=st.sampled_from(["drop", "duplicate", "cut", "inject", "flip", "swap", "reflect"]),
        where=st.floats(0, 1),
        data=st.binary(min_size=1, max_size=40),
    )
    def tamper(self, side: int, deed: str, where: float, data: bytes) -> None:
        side = side if self.wires[side] else 1 - side
        wire = self.wires[side]
        before = bytes(wire)
        at, size = int(len(wire) * where), len(data)
        if deed == "drop":
            del wire[at : at + size]
        elif deed == "duplicate":
            wire[at:at] = wire[at : at + 16 * size]
        elif deed == "cut":
            del wire[at:]
        elif deed == "inject":
            wire[at:at] = data
        elif deed == "flip":
            wire[at : at + 1] = bytes(byte ^ (data[0] or 1) for byte in wire[at : at + 1])
        elif deed == "swap":
            wire[at : at + 2 * size] = wire[at + size : at + 2 * size] + wire[at : at + size]
        else:
            wire[at:at] = self.wires[1 - side][: 16 * size]
        if bytes(wire) != before:
            self.touched[side] = True

    @invariant()
    def only_what_was_sent_arrives_and_in_order(self) -> None:
        for to in (0, 1):
            told = self.got[to]
            assert told == [("hello",), *self.sent[1 - to]][: len(told)]

    def teardown(self) -> None:
        """An untouched direction delivers everything to an end that still listens."""
        for side in (0, 1, 0, 1):
            self.deliver(side, 10**9)
        self.only_what_was_sent_arrives_and_in_order()
        if not any(self.touched):
            for to in (0, 1):
                expected = [("hello",), *self.sent[1 - to]]
                ends = [place for place, note in enumerate(expected) if note[0] == "goodbye"]
                assert self.got[to] == (expected[: ends[0] + 1] if ends else expected)
