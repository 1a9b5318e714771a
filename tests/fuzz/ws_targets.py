"""Fuzz targets for WebSocket: frames, and both sides of the opening handshake."""

import contextlib

from wsproto import ConnectionType, WSConnection
from wsproto.events import Request

from devp2p.errors import HandshakeError
from devp2p.transports import ws
from devp2p.transports.ws_frames import FrameError, FrameReader, FrameWriter

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: [::1]\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: devp2p.1\r\nOrigin: null\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: devp2p.1\r\n\r\n"
)
SEEDS = (
    REQUEST,
    ANSWER,
    b"\0\x82\x81\1\2\3\4x\x89\x80\0\0\0\0\2\x81\0\0\0\0y\x80\x80\0\0\0\0\x88\x82\0\0\0\0\3\xe8",  # masked, one of each kind
    b"\x05\x82\x7e\0\x7e" + bytes(126) + b"\x8a\0\x88\0",
    b"\0\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
)


def fuzz_ws_frames(data: bytes) -> None:
    # Invariant: whatever comes, and however it is cut, no more bytes are taken than came, or FrameError; what is written is read again.
    step = 1 + data[0] if data else 1
    for is_client in (False, True):
        reader, taken = FrameReader(is_client=is_client), 0
        with contextlib.suppress(FrameError):
            for at in range(1, len(data), step):
                reader.feed(data[at : at + step])
                while not reader.is_hungry and not reader.is_closed:
                    taken += len(reader.take(step, 0))
                assert taken <= at + step
        reader, wire = FrameReader(is_client=not is_client), FrameWriter(is_client=is_client).data(memoryview(data), bytearray())
        for at in range(0, len(wire), step):
            reader.feed(wire[at : at + step])
        assert reader.take(len(data) + 1, 0) == data


def fuzz_ws_request(data: bytes) -> None:
    # Invariant: any head is a request for a WebSocket that may be answered, or HandshakeError.
    try:
        request = ws._event_of(WSConnection(ConnectionType.SERVER), data)
        if isinstance(request, Request):
            ws._judge(request, frozenset())
    except HandshakeError:
        pass


def fuzz_ws_answer(data: bytes) -> None:
    # Invariant: any head is an event, or HandshakeError.
    client = WSConnection(ConnectionType.CLIENT)
    client.send(Request(host="[::1]", target="/", subprotocols=[ws.SUBPROTOCOL]))
    client.handshake._nonce = b"dGhlIHNhbXBsZSBub25jZQ=="  # so that a fuzzer can find an answer to it
    with contextlib.suppress(HandshakeError):
        ws._event_of(client, data)
