"""Fuzz targets for what dpx/1 adds to the bytes of a stranger: elements of auth and ack, records, header-data, control messages.

Random bytes never pass an AEAD, so `fuzz_dpx_records` also plays the peer that knows the key: it seals them as the header and the body that
they are not.
"""

from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from devp2p.errors import DecodingError, HandshakeError
from devp2p.wire.dpx import (
    Cipher,
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

KEY: Final = b"k" * 32
MOST: Final = 1024


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
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    sealer = RecordSealer(KEY, cipher)
    wire = b"".join(sealer.seal(piece[:13], piece) for piece in pieces)
    assert open_all(cipher, wire, step) == [(piece[:13].ljust(13, b"\0"), piece) for piece in pieces]
    if wire:
        changed = bytearray(wire)
        changed[len(changed) * data[-1] // 256] ^= data[-1] or 1
        try:
            open_all(cipher, bytes(changed), step)
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
