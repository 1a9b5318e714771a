"""RLPx frames: encryption and authentication of everything after the handshake (RLPx, section "Framing").

    frame  = header-ciphertext (16) || header-mac (16) || frame-ciphertext || frame-mac (16)
    header = frame-size (3) || c2 80 80 || zeros; frame-ciphertext is zero-padded to a multiple of 16

Theory of operation. Each direction has one AES-256-CTR keystream and one running Keccak-256 state which both run
through all frames, so frames must be sealed and opened exactly in wire order, and a frame that is left half done
ends its direction for good. The MAC of a header or a body is the running hash after it absorbed a *seed*: the AES-256-ECB
encryption of the hash so far, XORed with the header's ciphertext, or with that hash itself for a body. A frame-mac is thus the hash
that the next header's seed starts from, which saves one of four digests a frame.

A header is believed only after its MAC was checked; then the frame's body is hashed and decrypted as it arrives, held in a
buffer that grows with what came (a peer can announce 16 MiB for free), and handed out once the frame-mac is right.
"""

from collections.abc import Callable, Iterable, Iterator
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB

from devp2p.errors import DecodingError, HandshakeError, LocalProtocolError
from devp2p.keys import Keccak256
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire.framing import BufferedOpener, FrameFraming
from devp2p.wire.rlpx.agreement import Secrets

if TYPE_CHECKING:
    from typing_extensions import Buffer

SLICE: Final = 64 * 1024
"""Sealing works in steps of this many bytes, so that other tasks can run in between."""

# What follows the size in a header: header-data [0, 0] as RLP, which some implementations insist on, and padding.
_HEADER_TAIL: Final = bytes.fromhex("c28080") + bytes(10)
_BLOCK: Final = 16
_PADDING: Final = tuple(bytes(-over % _BLOCK) for over in range(_BLOCK))
_number: Final = int.from_bytes


def _keystream(key: bytes) -> Cipher[CTR]:
    return Cipher(AES(key), CTR(bytes(_BLOCK)))


class _FrameMac(NamedTuple):
    """The running MAC of one direction."""

    update: Callable[["Buffer"], object]
    """Take in a piece of a body's ciphertext."""
    header: Callable[["Buffer"], bytes]
    """Take in a header's ciphertext; the 16-byte header-mac."""
    body: Callable[[], bytes]
    """End a body, all of whose ciphertext was given to ``update``; the 16-byte frame-mac."""


def _frame_mac(running: Keccak256, key: bytes) -> _FrameMac:
    """Closures, not methods: all of this happens three times a frame, and the names of a closure are found faster."""
    aes = Cipher(AES(key), ECB()).encryptor().update
    update, digest, number = running.update, running.digest, int.from_bytes
    tip = digest()[:_BLOCK]

    def header(ciphertext: "Buffer") -> bytes:
        update((number(aes(tip)) ^ number(ciphertext)).to_bytes(_BLOCK))
        return digest()[:_BLOCK]

    def body() -> bytes:
        nonlocal tip
        hashed = digest()[:_BLOCK]
        update((number(aes(hashed)) ^ number(hashed)).to_bytes(_BLOCK))
        tip = digest()[:_BLOCK]
        return tip

    return _FrameMac(update, header, body)


def rlpx_framing(secrets: Secrets) -> FrameFraming:
    """Stock RLPx frames; it takes over the running hashes of the `secrets`."""
    return FrameFraming(FrameSealer(secrets), FrameOpener(secrets))


class FrameSealer:
    """Turns frame-data into frames, in the order of the calls."""

    def __init__(self, secrets: Secrets) -> None:
        """Take over ``secrets.egress_mac``."""
        self._mac = _frame_mac(secrets.egress_mac, secrets.mac)
        self._encrypt = _keystream(secrets.aes).encryptor().update
        self._busy = False

    def seal(self, head: bytes, body: "bytes | bytearray | memoryview" = b"") -> Iterable[bytes]:
        """Seal one frame whose data is ``head`` and ``body`` in a row (1 byte to 16 MiB - 1 in all).

        Gives the frame as it goes on the wire, in pieces of at most 64 KiB and a MAC. A frame of one piece is sealed at once;
        each piece of a longer one is sealed when it is taken, and all must be taken before the next frame is sealed.
        LocalProtocolError for no data, too much data, or a frame before the last one is done.
        """
        size = len(head) + len(body)
        if not 0 < size <= MAX_MESSAGE_SIZE:
            raise LocalProtocolError(f"a frame holds 1 to {MAX_MESSAGE_SIZE} bytes, not {size}")
        if self._busy:
            raise LocalProtocolError("the frame before this one is not sealed to its end")
        if size >= SLICE:
            self._busy = True
            return self._seal_in_slices(head, body, size)
        mac = self._mac
        sealed = self._encrypt(b"".join((size.to_bytes(3), _HEADER_TAIL, head, body, _PADDING[size % _BLOCK])))
        header, ciphertext = sealed[:_BLOCK], sealed[_BLOCK:]
        header_mac = mac.header(header)
        mac.update(ciphertext)
        return (b"".join((header, header_mac, ciphertext, mac.body())),)

    def _seal_in_slices(self, head: bytes, body: "bytes | bytearray | memoryview", size: int) -> Iterator[bytes]:
        header = self._encrypt(size.to_bytes(3) + _HEADER_TAIL)
        held = [header, self._mac.header(header)]
        room = SLICE - 2 * _BLOCK
        for part in (head, body, _PADDING[size % _BLOCK]):
            left = memoryview(part)
            while left:
                ciphertext = self._encrypt(left[:room])
                left = left[room:]
                self._mac.update(ciphertext)
                held.append(ciphertext)
                room -= len(ciphertext)
                if not room:
                    yield b"".join(held)
                    held.clear()
                    room = SLICE
        held.append(self._mac.body())
        self._busy = False
        yield b"".join(held)


class FrameOpener(BufferedOpener):
    """Turns received bytes into verified frame-data.

    Give it bytes with ``receive_data`` and take frames with ``next_frame`` until that returns None. After an error the
    direction is unusable, and any further call raises LocalProtocolError.
    """

    def __init__(self, secrets: Secrets, max_size: int = MAX_MESSAGE_SIZE) -> None:
        """Take over ``secrets.ingress_mac``; accept frames with up to ``max_size`` bytes of data."""
        super().__init__(max_size)
        self._mac = _frame_mac(secrets.ingress_mac, secrets.mac)
        self._decrypt = _keystream(secrets.aes).decryptor().update
        self._missing = 0  # how much of the open frame's ciphertext has not been decrypted yet

    @staticmethod
    def wire_size(size: int) -> int:
        """How many bytes a frame with ``size`` bytes of data takes on the wire."""
        return 3 * _BLOCK + size + -size % _BLOCK

    def next_frame(self) -> bytes | memoryview | None:
        """Give the data of the next verified frame, or None until more bytes come.

        HandshakeError: a MAC is wrong. DecodingError: the size is 0 or above ``max_size``. The data is the caller's to keep.
        """
        if self._failed:
            raise LocalProtocolError("this direction has failed before")
        received, mac = self._received, self._mac
        if not self._size and not self._open_header(received, mac):
            return None
        piece, start = b"", self._at
        if self._missing:
            ciphertext = received[start : start + self._missing]
            mac.update(ciphertext)
            piece = self._decrypt(ciphertext)
            start += len(piece)
            self._missing -= len(piece)
        end = start + _BLOCK
        if self._missing or len(received) < end:
            self._at = start
            self._data += piece
            return None
        if not compare_digest(mac.body(), received[start:end]):
            raise self._failure(HandshakeError("a frame's MAC is wrong"))
        self._at = end
        size, self._size = self._size, 0
        if not self._data:
            return piece[:size]
        data, self._data = self._data, bytearray()
        data += piece
        return memoryview(data)[:size].toreadonly()

    def _open_header(self, received: memoryview, mac: _FrameMac) -> bool:
        """Begin a frame if its whole header is there."""
        start = self._at
        middle, end = start + _BLOCK, start + 2 * _BLOCK
        if len(received) < end:
            return False
        header = received[start:middle]
        if not compare_digest(mac.header(header), received[middle:end]):
            raise self._failure(HandshakeError("a frame header's MAC is wrong"))
        # The header-data behind the size has never had a use, and what senders put there differs.
        size = _number(self._decrypt(header)[:3])
        if not 0 < size <= self.max_size:
            raise self._failure(DecodingError(f"a frame of {size} bytes, where 1 to {self.max_size} are allowed"))
        self._at = end
        self._size = size
        self._missing = size + -size % _BLOCK
        return True
