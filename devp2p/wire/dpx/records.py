"""Records: what every byte of a dpx/1 session travels in after the handshake (dpx/1, section 3).

    record = header (32) || body (ceil16(size) + 16)
    header = AEAD(key, nonce 2i,     ad = "",     size (3) || header-data (at most 13) || zeros)
    body   = AEAD(key, nonce 2i + 1, ad = header, data || zeros up to a multiple of 16)

The sizes are those of RLPx frames. Each direction has a key of its own, and counts its records from 0; after `RECORDS_PER_KEY` of them both
sides go over to the next key, and count from 0 again. A record is not authentic before its body was opened, which takes all of it: what has
come of the body waits as ciphertext, in a buffer that grows with what came. The header is authentic at once, so a size is never a lie of
somebody on the way, and one that is too large ends the session before the body comes.
"""

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from devp2p.errors import DecodingError, HandshakeError, LocalProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire.dpx.keys import KEY_SIZE, rekeyed
from devp2p.wire.framing import BufferedOpener

Cipher = type[AESGCM] | type[ChaCha20Poly1305]
"""What records are encrypted and authenticated with, both with a key of 32 bytes (so that `AESGCM` is AES-256-GCM)."""

RECORDS_PER_KEY: Final = 4096
HEADER_DATA: Final = 13
"""Bytes of header-data with the zeros behind it."""

_BLOCK: Final = 16
_HEADER: Final = 32  # a header on the wire
_SIZE: Final = 3
_PADDING: Final = tuple(bytes(-over % _BLOCK) for over in range(_BLOCK))
_NONCES: Final = tuple(number.to_bytes(12) for number in range(2 * RECORDS_PER_KEY))  # to make one each time is slower
_COPIED: Final = 2048  # larger data is given as a view, of which the code of a message can be cut off without a copy
_ALIKE: Final = 512  # headers that are remembered: those of one session are much alike
_number: Final = int.from_bytes


@lru_cache(_ALIKE)
def _plain_header(size: int, header_data: bytes) -> bytes:
    """The 16 bytes of a header. LocalProtocolError for too much data or header-data."""
    if size > MAX_MESSAGE_SIZE:
        raise LocalProtocolError(f"a record holds at most {MAX_MESSAGE_SIZE} bytes, not {size}")
    if len(header_data) > HEADER_DATA:
        raise LocalProtocolError(f"a record's header holds at most {HEADER_DATA} bytes of header-data, not {len(header_data)}")
    return (size.to_bytes(_SIZE) + header_data).ljust(_BLOCK, b"\0")


@lru_cache(_ALIKE)
def _read_header(plain: bytes) -> tuple[int, int, bytes]:
    """The size of the data, that of the body on the wire, and the header-data with the zeros behind it."""
    size = _number(plain[:_SIZE])
    return size, size + -size % _BLOCK + _BLOCK, plain[_SIZE:]


class RecordSealer:
    """Turns data into records, in the order of the calls."""

    def __init__(self, key: bytes, cipher: Cipher) -> None:
        """Begin with `key`, the session's for this direction."""
        self._keys = _Keys(key, cipher)
        self._encrypt = cipher(key).encrypt
        self._nonces = iter(_NONCES)

    def seal(self, header_data: bytes, head: bytes, body: "bytes | bytearray | memoryview" = b"") -> bytes:
        """Seal one record whose data is `head` and `body` in a row, at most 16 MiB - 1 bytes in all; it may be empty.

        `header_data` is at most 13 bytes. LocalProtocolError for too much of either; then nothing was sealed.
        """
        size = len(head) + len(body)
        plain = _plain_header(size, header_data)
        nonce = next(self._nonces, None) or self._rekey()
        over, encrypt = size % _BLOCK, self._encrypt
        header = encrypt(nonce, plain, None)
        data = b"".join((head, body, _PADDING[over])) if head or over else body
        return header + encrypt(next(self._nonces), data, header)

    def _rekey(self) -> bytes:
        """Go over to the next key; its first nonce."""
        self._encrypt = self._keys.next().encrypt
        self._nonces = iter(_NONCES)
        return next(self._nonces)


class RecordOpener(BufferedOpener):
    """Turns bytes from the wire into the data of records.

    Give it bytes with `receive_data` and take records with `next_record` until that returns None. After an error the direction is dead, and
    any further call raises LocalProtocolError.
    """

    def __init__(self, key: bytes, cipher: Cipher, max_size: int = MAX_MESSAGE_SIZE) -> None:
        """Begin with `key`, the session's for this direction; accept records with up to `max_size` bytes of data."""
        super().__init__(max_size)
        self._keys = _Keys(key, cipher)
        self._decrypt = cipher(key).decrypt
        self._nonces = iter(_NONCES)
        self._header = b""  # of the record that is open, as it was on the wire
        self._says = _read_header(bytes(_BLOCK))  # what it says

    @property
    def in_frame(self) -> bool:
        """Whether a record has begun and is not complete (asked when `next_record` has returned None)."""
        return bool(self._header) or len(self._received) > self._at

    @staticmethod
    def wire_size(size: int) -> int:
        """How many bytes a record with `size` bytes of data takes on the wire."""
        return 3 * _BLOCK + size + -size % _BLOCK

    def stop(self) -> None:
        """Let go of a record that is not complete; nothing can be opened any more."""
        super().stop()
        self._header = b""

    def next_record(self) -> tuple[bytes, bytes | memoryview] | None:
        """Give the 13 bytes of header-data, zeros behind it included, and the data of the next record, or None until more bytes come.

        HandshakeError: a record is not authentic. DecodingError: there is more data than `max_size`, or padding that is not zero. The data
        is the caller's to keep.
        """
        if self._failed:
            raise LocalProtocolError("this direction has failed before")
        received, start = self._received, self._at
        header: bytes | memoryview = self._header
        if header:
            size, on_wire, header_data = self._says
        else:
            body_at = start + _HEADER
            if len(received) < body_at:
                return None
            header = received[start:body_at]
            size, on_wire, header_data = self._open_header(header)
            start = body_at
        end, held = start + on_wire, self._data
        if held:
            end -= len(held)
        if end > len(received):
            self._header, self._says, self._at = bytes(header), (size, on_wire, header_data), len(received)
            held += received[start:]
            return None
        body: bytearray | memoryview = received[start:end]
        if held:
            held += body
            body, self._data = held, bytearray()
        try:
            data = self._decrypt(next(self._nonces), body, header)
        except InvalidTag:
            raise self._failure(HandshakeError("a record is not authentic")) from None
        self._at, self._header = end, b""
        if len(data) != size and not data.endswith(_PADDING[size % _BLOCK]):
            raise self._failure(DecodingError("a record is padded with other bytes than zeros"))
        return header_data, data[:size] if size < _COPIED else memoryview(data)[:size]

    def _open_header(self, header: memoryview) -> tuple[int, int, bytes]:
        nonce = next(self._nonces, None)
        if nonce is None:
            self._decrypt = self._keys.next().decrypt
            self._nonces = iter(_NONCES)
            nonce = next(self._nonces)
        try:
            says = _read_header(self._decrypt(nonce, header, None))
        except InvalidTag:
            raise self._failure(HandshakeError("a record's header is not authentic")) from None
        if says[0] > self.max_size:
            raise self._failure(DecodingError(f"a record of {says[0]} bytes, where at most {self.max_size} are allowed"))
        return says


class _Keys:
    """The keys of one direction, one after another."""

    def __init__(self, key: bytes, cipher: Cipher) -> None:
        if len(key) != KEY_SIZE:  # AESGCM would take a shorter one, and be another cipher
            raise LocalProtocolError(f"a key of records has {KEY_SIZE} bytes, not {len(key)}")
        self._key = key
        self._cipher = cipher

    def next(self) -> AESGCM | ChaCha20Poly1305:
        self._key = rekeyed(self._key)
        return self._cipher(self._key)
