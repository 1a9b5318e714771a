"""Fuzz targets for what a peer says once the keys are agreed: Hello, Disconnect, snappy, messages, and whole connections.

Random bytes never pass a MAC. So a `Forger` plays the peer that holds the keys, and what is fuzzed is all that lies behind the MAC.
"""

from typing import Final

from devp2p import rlp
from devp2p.capability.messages import MessageTable
from devp2p.errors import DecodingError, LocalProtocolError, RemoteProtocolError
from devp2p.wire import base, compression
from devp2p.wire.connection import DisconnectReceived
from devp2p.wire.framing import MessageReceived
from tests.fuzz.rlp_targets import Everything, Inner, Nested
from tests.wire.forger import SPECS, Forger, events, is_closed

TABLE: Final = MessageTable("test", 1, {0: Everything, 1: Inner, 2: Nested}, max_message_size=2**16, urgent_size=1024)


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


def fuzz_message(data: bytes) -> None:
    # Invariant: what comes compressed under an id is refused as DecodingError, or is a message that says the same when sent on.
    for code, packed in ((code, packed) for code in range(3) for packed in (data, bytes(compression.compress(data)))):
        try:
            message = TABLE.decode(code, MessageReceived(0, code, packed, 2**16, compressed=True).decompress())
        except DecodingError:
            continue
        _, _, again = TABLE.encode(message)
        assert TABLE.decode(code, again) == message


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
