"""The bare level: `Connection` over a trio TCP stream, as sessions use it, without queues, capabilities and typed messages.

It stands beside go-ethereum's ``p2p/rlpx``. Without ``--snappy`` the two Connections agree on base protocol 4, which has no compression.
"""

import os
import time
from functools import partial
from typing import Any

import trio

from devp2p import NodeRecord, PrivateKey
from devp2p.addresses import Address
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.session import CHUNK
from devp2p.transports import keep_busy
from devp2p.wire import CapabilitySpec, Connection, HelloReceived, MessageReceived, Opening, base
from devp2p.wire.rlpx import Entropy, Extension, Handshake, Initiator, Recipient
from tools.bench.endpoints.basics import Meter, Options, emit, make_payload

_LOOPBACK = "127.0.0.1"
_SPEC = CapabilitySpec("bench", 1, (MAX_MESSAGE_SIZE,))


async def listen() -> tuple[PrivateKey, trio.SocketListener]:
    """Open a port and say under which key."""
    key = PrivateKey.generate()
    (listener,) = await trio.open_tcp_listeners(0, host=_LOOPBACK)
    port: int = listener.socket.getsockname()[1]
    emit({"listening": NodeRecord(key.public_key, (Address("tcp", _LOOPBACK, port),)).enode})
    return key, listener


async def dial(record: NodeRecord) -> trio.SocketStream:
    """Connect to the other side."""
    stream = await trio.open_tcp_stream(_LOOPBACK, record.addresses[0].port or 0)
    keep_busy(stream)
    return stream


async def connect(stream: trio.SocketStream, key: PrivateKey, options: Options, extension: Extension | None = None) -> Connection:
    """Shake hands and exchange Hellos."""
    version = base.PROTOCOL_VERSION if options.snappy else base.SNAPPY_VERSION - 1
    hello = base.Hello("bench", (_SPEC.offer,), key.public_key, version=version)
    remote = options.record.public_key if options.target else None
    opening = Opening(hello, (_SPEC,), Handshake(key, Entropy.draw(os.urandom), remote=remote, extension=extension))
    while True:
        if outgoing := opening.data_to_send():
            await stream.send_all(outgoing)
        while (event := opening.next_event()) is not None:
            if isinstance(event, HelloReceived) and opening.connection is not None:
                return opening.connection
        opening.receive_data(await stream.receive_some(CHUNK))


async def receive(options: Options) -> dict[str, Any]:
    """Take messages until the sender hangs up."""
    key, listener = await listen()
    stream = await listener.accept()
    connection = await connect(stream, key, options)
    meter = Meter(options.seconds)
    while True:
        messages = 0
        while (event := connection.next_event()) is not None:
            if isinstance(event, MessageReceived):
                data = event.decompress() if event.compressed else event.data
                assert len(data) == options.size  # noqa: S101  (of two processes of one program)
                messages += 1
        if messages:
            meter.take(messages)
        try:
            data = await stream.receive_some(CHUNK)
        except trio.BrokenResourceError:
            data = b""
        if not data:
            return meter.report()
        connection.receive_data(data)


async def send(options: Options) -> dict[str, Any]:
    """Send messages for a time, many in one write, as a session's writer does."""
    stream = await dial(options.record)
    connection = await connect(stream, PrivateKey.generate(), options)
    payload = make_payload(options.size, options.payload)
    end, messages, batch = time.perf_counter() + options.seconds, 0, bytearray()
    while time.perf_counter() < end:
        for piece in connection.framing.seal(0, 0, payload):
            batch += piece
            if len(batch) >= CHUNK:
                await stream.send_all(batch)
                batch = bytearray()
        messages += 1
    await stream.send_all(batch)
    await stream.aclose()
    return {"messages": messages}


async def handshake(options: Options) -> dict[str, Any]:
    """Answer handshakes for ever, or do one after the other and time them from the TCP connection to the agreed keys."""
    if not options.target:
        await _answer_handshakes()
    spent, messages, end = 0.0, 0, time.perf_counter() + options.seconds
    while time.perf_counter() < end:
        key, stream = PrivateKey.generate(), await dial(options.record)
        start = time.perf_counter()
        initiator = Initiator(key, options.record.public_key, Entropy.draw(os.urandom))
        await stream.send_all(initiator.packet)
        while initiator.receive_data(await stream.receive_some(CHUNK)) is None:
            pass
        spent += time.perf_counter() - start
        messages += 1
        await stream.aclose()
    return {"messages": messages, "seconds": spent}


async def _answer_handshakes() -> None:
    key, listener = await listen()
    await trio.serve_listeners(partial(_answer_handshake, key), [listener])


async def _answer_handshake(key: PrivateKey, stream: trio.SocketStream) -> None:
    recipient = Recipient(key, Entropy.draw(os.urandom))
    while recipient.receive_data(await stream.receive_some(CHUNK)) is None:
        pass
    await stream.send_all(recipient.packet)
