"""Fuzz targets for what dpx/1 adds to the bytes of a stranger: elements of auth and ack, records, header-data, control messages.

Random bytes never pass an AEAD, so `fuzz_dpx_records` also plays the peer that knows the key: it seals them as the header and the body that
they are not. `fuzz_dpx_frames` is such a peer of a whole connection, in which everything that is behind the records decodes and counts.
"""

from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from devp2p import rlp
from devp2p.errors import DecodingError, HandshakeError, RemoteProtocolError
from devp2p.wire import base
from devp2p.wire.connection import Connection, Event, State
from devp2p.wire.dpx import (
    OURS as FEATURES,
)
from devp2p.wire.dpx import (
    Accept,
    Cipher,
    DpxFraming,
    Keys,
    Offer,
    Pact,
    Params,
    RecordOpener,
    RecordSealer,
    control,
    decode_accept,
    decode_offer,
    encode_accept,
    encode_offer,
    find,
    header,
)
from devp2p.wire.framing import MessageReceived
from tests.fuzz.session_targets import check_message
from tests.fuzz.wire_targets import KEY as OURS
from tests.fuzz.wire_targets import OTHER
from tests.wire.forger import SPECS, our_hello

KEY: Final = b"k" * 32
MOST: Final = 1024
SMALL: Final = Params(connection_window=4096, capability_window=2048, reassembly=3000, contexts=2, max_frame=512)
"""What the connection takes in, so that an input can reach each of its limits."""


def fuzz_dpx_element(data: bytes) -> None:
    # Invariant: any bytes are an offer, an accept or a DecodingError, and what was read says the same when it is written again.
    assert find([b"\x80", data, b"\xc5\x84dpx1"]) in (data, b"\xc5\x84dpx1")
    try:
        offer = decode_offer(data)
    except DecodingError:
        pass
    else:
        assert decode_offer(encode_offer(offer)) == offer
        assert len(offer.tokens) <= 2
        assert len(offer.introductions) <= 3
    try:
        accept = decode_accept(data)
    except DecodingError:
        pass
    else:
        assert decode_accept(encode_accept(accept)) == accept


def fuzz_dpx_header(data: bytes) -> None:
    # Invariant: any 13 bytes are a header that says the same when it is written again, or a DecodingError.
    for header_data in (data, data[:13].ljust(13, b"\0")):
        try:
            found = header.decode(header_data)
        except DecodingError:
            continue
        assert header.decode(header.encode(found).ljust(13, b"\0")) == found
        assert bool(found.total) <= bool(found.context)


def fuzz_dpx_control(data: bytes) -> None:
    # Invariant: any bytes are a control message that says the same when it is written again, one of a later version, or a DecodingError.
    try:
        found = control.decode(data)
    except DecodingError:
        return
    if not isinstance(found, control.Unknown):
        again = control.encode(found)
        assert control.decode(memoryview(again)) == found
        assert len(again) <= len(data)


def fuzz_dpx_records(data: bytes) -> None:
    # Invariant: an opener meets any bytes with waiting, DecodingError or HandshakeError, even if they were sealed with its key; it gives
    # back what was sealed, however it is cut, and nothing of a record in which a byte was changed.
    step = 1 + data[0] if data else 1
    cipher: Cipher = AESGCM if step % 2 else ChaCha20Poly1305
    for stream in (data, forged(cipher, data)):
        try:
            open_all(cipher, stream, step)
        except (DecodingError, HandshakeError):
            continue
    pieces = [data[at : at + step] for at in range(0, len(data), step)][:20]
    sealer = RecordSealer(KEY, cipher)
    wire = b"".join(sealer.seal(piece[:13], piece) for piece in pieces)
    assert open_all(cipher, wire, 9 * step) == [(piece[:13].ljust(13, b"\0"), piece) for piece in pieces]
    if wire:
        changed = bytearray(wire)
        changed[len(changed) * data[-1] // 256] ^= data[-1] or 1
        try:
            open_all(cipher, bytes(changed), 9 * step)
        except HandshakeError:
            return
        raise AssertionError("a changed record was opened")


def forged(cipher: Cipher, data: bytes) -> bytes:
    """A record with any plain header and any plain body, as a peer could make it that holds the key."""
    aead = cipher(KEY)
    start = aead.encrypt(bytes(12), data[:16].ljust(16, b"\0"), None)
    return start + aead.encrypt(bytes(11) + b"\1", data[16:], start)


def open_all(cipher: Cipher, stream: bytes, step: int) -> list[tuple[bytes, bytes]]:
    opener, found, taken = RecordOpener(KEY, cipher, MOST), list[tuple[bytes, bytes]](), 0
    for at in range(0, len(stream), step):
        opener.receive_data(stream[at : at + step])
        while (record := opener.next_record()) is not None:
            header_data, content = record
            assert len(header_data) == 13
            assert len(content) <= MOST
            found.append((header_data, bytes(content)))
            taken += opener.wire_size(len(content))
        assert opener.unfinished <= min(at + step, len(stream)) - taken
        assert opener.in_frame == (min(at + step, len(stream)) > taken)
    assert taken == len(stream) or opener.in_frame
    return found


class DpxPeer:
    """A peer that has said Hello to a connection, and can seal any header-data and any data. Keys come from nowhere: that is faster."""

    def __init__(self) -> None:
        pact = Pact(OTHER.public_key, Offer(FEATURES, KEY), Accept(FEATURES, KEY, params=SMALL), Keys(KEY, KEY, KEY, KEY), initiated=False)
        self.framing = DpxFraming(pact, RecordSealer(KEY, AESGCM), RecordOpener(KEY, AESGCM))
        self.connection = Connection(self.framing, our_hello(OURS), SPECS, remote=OTHER.public_key)
        self.seal = RecordSealer(KEY, AESGCM).seal
        hello = rlp.encode(base.HELLO) + base.encode_hello(our_hello(OTHER))
        self.connection.receive_data(self.seal(header.encode(header.Header(header.BASE)), hello))
        self.events()
        self.framing.begin(0.0)

    @property
    def is_closed(self) -> bool:
        return self.connection.state is State.CLOSED

    def events(self) -> list[Event]:
        """Take what the connection has made of it."""
        found = []
        while (event := self.connection.next_event()) is not None:
            found.append(event)
        return found


def perform(peer: DpxPeer, kind: int, content: bytes, taken: list[MessageReceived]) -> bytes:
    """What the peer sends for one step of an input; some are what the connection's own side does."""
    first, rest = (content[0], content[1:]) if content else (1, b"")
    capability, context = first & 3, first >> 2 & 3
    if kind == 0:
        return peer.seal(content[:13], content[13:])
    if kind == 1:
        return peer.seal(header.encode(header.Header(capability, 1 + context, 1 + (first >> 4) * 100)), rest * 20)
    if kind == 2:
        return peer.seal(header.encode(header.Header(capability, 1 + context)), rest * (1 + (first >> 4) * 3))
    if kind == 3:
        return peer.seal(header.encode(header.Header(capability)), rest * (1 + (first >> 4)))
    if kind == 4:
        return peer.seal(header.encode(header.Header(control.CONNECTION)), content)
    if kind == 5:
        if taken:
            peer.framing.taken(taken.pop(0))
    elif kind == 6:
        peer.framing.now += first
        peer.framing.expire()
    else:
        for told in peer.framing.ledgers.controls(peer.framing.now):
            assert control.decode(control.encode(told)) == told
    return b""


def fuzz_dpx_frames(data: bytes) -> None:
    # Invariant: whatever a peer with valid keys puts into records becomes messages within the declared bounds, or a RemoteProtocolError
    # that ends it all; and what is held never exceeds what was announced.
    peer, rest, waiting = DpxPeer(), data, list[MessageReceived]()
    connection, most = peer.connection, len(SPECS) * SMALL.reassembly
    while rest and not peer.is_closed:
        kind, size = rest[0] >> 5, rest[0] & 31
        content, rest = rest[1 : 1 + size], rest[1 + size :]
        stream = perform(peer, kind, content, waiting)
        try:
            connection.receive_data(stream)
        except RemoteProtocolError:
            assert peer.is_closed
        for event in peer.events():
            if isinstance(event, MessageReceived):
                check_message(event)
                waiting.append(event)
        peer.framing.controls.clear()
        assert peer.framing.ledgers.receiving.held <= most
        assert sum(len(each.data) for each in waiting) <= most + SMALL.connection_window
    if peer.is_closed:
        connection.receive_data(peer.seal(b"\xc0", b"\x02\xc0"))
        assert connection.next_event() is None
