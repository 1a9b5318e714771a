"""A toy: messages in AEAD records instead of RLPx frames, which both sides agree on in auth and ack.

    record = AES-256-GCM(key, n = 2i, size (3)) || AES-256-GCM(key, n = 2i + 1, frame-data)

All of it is in this file: nothing in the library knows of it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from devp2p import rlp
from devp2p.errors import DecodingError, HandshakeError, LocalProtocolError
from devp2p.keys import PublicKey, keccak256
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire import FrameFraming, Framing
from devp2p.wire.rlpx import Ack, Agreement, Auth, Extension

_TAG = 16
_HEAD = 3 + _TAG
ELEMENT = rlp.encode([b"toy", 1])


class RecordSealer:
    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._number = 0

    def seal(self, head: bytes, body: bytes | memoryview = b"") -> Iterable[bytes]:
        data = head + bytes(body)
        if not 0 < len(data) <= MAX_MESSAGE_SIZE:
            raise LocalProtocolError(f"a record holds 1 to {MAX_MESSAGE_SIZE} bytes, not {len(data)}")
        record = self._seal(len(data).to_bytes(3)) + self._seal(data)
        return [record[at : at + 65536] for at in range(0, len(record), 65536)]

    def _seal(self, data: bytes) -> bytes:
        self._number += 1
        return self._aead.encrypt(self._number.to_bytes(12), data, None)


class RecordOpener:
    def __init__(self, key: bytes) -> None:
        self.max_size = MAX_MESSAGE_SIZE
        self._aead = AESGCM(key)
        self._number = 0
        self._received = bytearray()
        self._size = 0
        self._failed = False

    @property
    def in_frame(self) -> bool:
        return self._size > 0 or bool(self._received)

    @property
    def unfinished(self) -> int:
        return len(self._received)

    @staticmethod
    def wire_size(size: int) -> int:
        return _HEAD + size + _TAG

    def receive_data(self, data: Any) -> None:
        if self._failed:
            raise LocalProtocolError("this direction has failed before")
        self._received += data

    def next_frame(self) -> bytes | None:
        if self._failed:
            raise LocalProtocolError("this direction has failed before")
        if not self._size:
            if len(self._received) < _HEAD:
                return None
            size = int.from_bytes(self._open(_HEAD))
            if not 0 < size <= self.max_size:
                self._failed = True
                raise DecodingError(f"a frame of {size} bytes, where 1 to {self.max_size} are allowed")
            self._size = size
        if len(self._received) < self._size + _TAG:
            return None
        size, self._size = self._size, 0
        return self._open(size + _TAG)

    def stop(self) -> None:
        self._received.clear()
        self._size, self._failed = 0, True

    def _open(self, size: int) -> bytes:
        sealed = bytes(self._received[:size])
        del self._received[:size]
        self._number += 1
        try:
            return self._aead.decrypt(self._number.to_bytes(12), sealed, None)
        except InvalidTag:
            self._failed = True
            raise HandshakeError("a record does not open") from None


def pair_of(agreement: Agreement) -> tuple[RecordSealer, RecordOpener]:
    """Both directions of a link, under keys that are derived from the agreement as RLPx's are, and from nothing else."""
    secret = keccak256(agreement.ephemeral + agreement.static + agreement.transcript)
    mine, theirs = (keccak256(secret + way) for way in ((b"i", b"r") if agreement.initiated else (b"r", b"i")))
    return RecordSealer(mine), RecordOpener(theirs)


def records(agreement: Agreement) -> FrameFraming:
    return FrameFraming(*pair_of(agreement))


class Toy(Extension):
    """Offers a framing of its own, and takes it if the other offers it."""

    def __init__(self, make: Callable[[Agreement], Framing] = records) -> None:
        self.make = make
        self.chosen = 0
        """How often both sides have agreed on it."""

    def offer(self, remote: PublicKey, auth: Auth) -> Sequence[bytes]:  # noqa: ARG002
        return (ELEMENT,)

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> Sequence[bytes]:  # noqa: ARG002
        return (ELEMENT,) if ELEMENT in auth.elements else ()

    def framing(self, agreement: Agreement) -> Framing | None:
        if ELEMENT not in agreement.elements or ELEMENT not in agreement.own_elements:
            return None
        self.chosen += 1
        return self.make(agreement)
