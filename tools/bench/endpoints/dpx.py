"""dpx/1 at the bare level, what bounds it, and its handshakes.

The bare level is `Connection` over a trio TCP stream with `DpxFraming`, as in `bare`, and flow control: the receiver takes each message
at once and gives credit, for which the sender waits when it has none. It announces windows of 4 MiB, so that more than one message of
1 MiB can be under way without a scheduler.

The floors are what there would be without any of our code for records: the same bytes through the same socket calls, and the same bytes
through the cipher alone, which is called twice for a record.
"""

import os
import time
from functools import partial
from typing import Any

import trio
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from devp2p import PrivateKey
from devp2p.session import CHUNK
from devp2p.wire import Connection, MessageReceived
from devp2p.wire.dpx import Dpx, DpxFraming, Params, RecordOpener, Resumption
from devp2p.wire.rlpx import Entropy, Handshake
from tools.bench.endpoints import bare
from tools.bench.endpoints.basics import Meter, Options, make_payload
from tools.bench.plan import MIB

PARAMS = Params(connection_window=4 * MIB, capability_window=4 * MIB, contexts=16)
FRAME = PARAMS.max_frame
CIPHER = AESGCM
"""What two nodes of this kind agree on."""


async def connect(stream: trio.SocketStream, key: PrivateKey, options: Options) -> tuple[Connection, DpxFraming]:
    """Shake hands and exchange Hellos."""
    connection = await bare.connect(stream, key, options, Dpx(os.urandom, params=PARAMS))
    framing = connection.framing
    assert isinstance(framing, DpxFraming)  # noqa: S101  (of two processes of one program)
    framing.now = trio.current_time()
    return connection, framing


async def receive(options: Options) -> dict[str, Any]:
    """Take messages until the sender hangs up."""
    key, listener = await bare.listen()
    stream = await listener.accept()
    connection, framing = await connect(stream, key, options)
    meter, ledgers = Meter(options.seconds), framing.ledgers
    while True:
        messages = 0
        while (event := connection.next_event()) is not None:
            if isinstance(event, MessageReceived):
                assert len(event.data) == options.size  # noqa: S101  (see above)
                framing.taken(event)
                messages += 1
        if messages:
            meter.take(messages)
        try:
            if ledgers.has_controls:
                await stream.send_all(b"".join(map(framing.seal_control, ledgers.controls(framing.now))))
            data = await stream.receive_some(CHUNK)
        except trio.BrokenResourceError:
            data = b""
        if not data:
            return meter.report()
        framing.now = trio.current_time()
        connection.receive_data(data)


async def send(options: Options) -> dict[str, Any]:
    """Send messages for a time, many in one write, as a session's writer does."""
    stream = await bare.dial(options.record)
    connection, framing = await connect(stream, PrivateKey.generate(), options)
    payload, total, sending = make_payload(options.size, options.payload), 1 + options.size, framing.ledgers.sending
    in_chunks, more = total > framing.max_frame, trio.lowlevel.ParkingLot()
    end, messages, batch, cpu = time.perf_counter() + options.seconds, 0, bytearray(), time.process_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hear, stream, connection, framing, more)
        while time.perf_counter() < end:
            if sending.room(1) < total or (in_chunks and not sending.may_open(1, total)):
                if batch:
                    await stream.send_all(batch)  # meanwhile there may come credit
                    batch = bytearray()
                else:
                    await more.park()
                continue
            for piece in framing.seal(0, 0, payload):
                batch += piece
                if len(batch) >= CHUNK:
                    await stream.send_all(batch)
                    batch = bytearray()
            messages += 1
        await stream.send_all(batch)
        nursery.cancel_scope.cancel()
    await stream.aclose()
    return {"messages": messages, "cpu": time.process_time() - cpu}


async def _hear(stream: trio.SocketStream, connection: Connection, framing: DpxFraming, more: trio.lowlevel.ParkingLot) -> None:
    """Take the credit that comes."""
    while data := await stream.receive_some(CHUNK):
        framing.now = trio.current_time()
        connection.receive_data(data)
        while connection.next_event() is not None:
            pass
        framing.credited.clear()
        more.unpark_all()


def wire_sizes(size: int) -> list[int]:
    """Bytes of data in each record of a message with `size` bytes and a code of one byte."""
    whole, rest = divmod(1 + size, FRAME)
    return [FRAME] * whole + [rest] * bool(rest)


async def receive_bytes(options: Options) -> dict[str, Any]:
    """Take the bytes of such messages from a socket, and do nothing with them."""
    _, listener = await bare.listen()
    stream = await listener.accept()
    meter, left = Meter(options.seconds), 0
    message = sum(RecordOpener.wire_size(size) for size in wire_sizes(options.size))
    while True:
        try:
            data = await stream.receive_some(CHUNK)
        except trio.BrokenResourceError:
            data = b""
        if not data:
            return meter.report()
        whole, left = divmod(left + len(data), message)
        if whole:
            meter.take(whole)


async def send_bytes(options: Options) -> dict[str, Any]:
    """Write as many bytes as such messages have, in pieces as a session writes them."""
    stream = await bare.dial(options.record)
    message = sum(RecordOpener.wire_size(size) for size in wire_sizes(options.size))
    piece, sent, end = os.urandom(CHUNK), 0, time.perf_counter() + options.seconds
    while time.perf_counter() < end:
        await stream.send_all(piece)
        sent += len(piece)
    await stream.aclose()
    return {"messages": sent // message}


async def seal_bytes(options: Options) -> dict[str, Any]:
    """Encrypt such messages, record by record, and send them nowhere."""
    encrypt, nonces = CIPHER(os.urandom(32)).encrypt, [number.to_bytes(12) for number in range(2)]
    header, records = bytes(16), [os.urandom(size + -size % 16) for size in wire_sizes(options.size)]
    messages, begin = 0, time.perf_counter()
    while time.perf_counter() < begin + options.seconds:
        for _ in range(10):
            for data in records:
                encrypt(nonces[1], data, encrypt(nonces[0], header, None))
        messages += 10
    return {"messages": messages, "seconds": time.perf_counter() - begin}


async def handshake(options: Options) -> dict[str, Any]:
    """Answer handshakes for ever, or do one after the other and time them from the TCP connection to the keys of records.

    In ``dpx-handshake`` each is between two that have never met; in ``dpx-resume`` all but the first, which is not timed, resume.
    """
    resumes = options.mode == "dpx-resume"
    extension, key = _extension(resumes=resumes), PrivateKey.generate()
    if not options.target:
        await _answer_handshakes(extension)
    if resumes:
        await _shake_hands(options, extension, key)
    spent, messages, end = 0.0, 0, time.perf_counter() + options.seconds
    while time.perf_counter() < end:
        took, mode = await _shake_hands(options, extension, key if resumes else PrivateKey.generate())
        assert mode == ("resumed" if resumes else "plain")  # noqa: S101  (see above)
        spent += took
        messages += 1
    return {"messages": messages, "seconds": spent}


def _extension(*, resumes: bool) -> Dpx:
    extension = Dpx(os.urandom)
    if resumes:
        extension.resumption = Resumption(time.time)
    return extension


async def _shake_hands(options: Options, extension: Dpx, key: PrivateKey) -> tuple[float, str]:
    """The seconds that it took, and how the session began."""
    stream = await bare.dial(options.record)
    start = time.perf_counter()
    side = Handshake(key, Entropy.draw(os.urandom), remote=options.record.public_key, extension=extension)
    await stream.send_all(side.data_to_send())
    while side.receive_data(await stream.receive_some(CHUNK)) is None:
        pass
    framing = side.framing()
    side.proved()
    took = time.perf_counter() - start
    await stream.receive_some(1)  # the other side has its keys as well
    await stream.aclose()
    return took, framing.profile.mode


async def _answer_handshakes(extension: Dpx) -> None:
    key, listener = await bare.listen()
    await trio.serve_listeners(partial(_answer_handshake, key, extension), [listener])


async def _answer_handshake(key: PrivateKey, extension: Dpx, stream: trio.SocketStream) -> None:
    side = Handshake(key, Entropy.draw(os.urandom), extension=extension)
    while side.receive_data(await stream.receive_some(CHUNK)) is None:
        pass
    await stream.send_all(side.data_to_send())
    side.framing()
    side.proved()
    await stream.aclose()
