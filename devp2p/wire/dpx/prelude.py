"""What goes before the handshake with a node whose address is known, and its key not (dpx/1, section 9).

RLPx cannot call a node without its key, since an auth is encrypted to it. So the initiator first asks who is there:

    request = 0xff01 || size (2) || e_i (33) || padding                                    size: 33 to 2048
    answer  = size (2) || e_r (33) || AEAD(k_answer, "", [static_r, signature] || pad)     size: 184 to 2048
    wrapped = size (2) || AEAD(k_auth, size, auth)                                         size: 300 to 2066

The ack follows as it always is, and then records of dpx/1. A size counts the bytes that follow it; all numbers are big-endian.

    e_i, e_r    the public keys, compressed, that each side draws for this prelude alone
    static_r    the recipient's static key, 64 bytes x || y
    signature   65 bytes r || s || v by static_r over keccak256("dpx-anon-v1" || e_i || e_r); v is not looked at
    auth        a whole auth packet to static_r, with its size prefix (RLPx, "Initial Handshake"), which carries an offer of dpx/1
    prk         HKDF-Extract(salt = keccak256(request || size of answer || e_r), ikm = x coordinate of e_i * e_r)
    k_answer    HKDF-Expand(prk, "dpx1 anon answer", 32)
    k_auth      HKDF-Expand(prk, "dpx1 anon auth" || keccak256(request || answer), 32)

HKDF is with SHA-256, AEAD(key, associated data, plaintext) is ChaCha20-Poly1305 with a nonce of 12 zero bytes, since each key seals once.
What pads is ignored, and so are further items of the answer's list, but all of it is hashed: keccak256(request || answer) enters the keys
of the session (`Agreement.prelude`).

Theory of operation. The signature is what keeps somebody on the way from answering in another's name: it is over two keys, of which each
side has drawn one, and domain-separated from all else that a node signs. Who answers with a key of its own is not found out: whoever is at
the address is who is called, and trust in that key begins here. A handshake behind a prelude comes to a session of dpx/1, or to none, since
the keys of stock frames do not depend on what was said before the auth. Who only watches learns neither static key; and who steals the
recipient's later does not learn who called it, as from an auth that is not wrapped.

The first two bytes would be the size 65281 of an auth, where 2048 is the most that anybody takes: stock nodes hang up at once, or after
their time for handshakes. For a recipient a request costs less than an auth does, but it tells its key to whoever asks. So it answers only
where it was told to, and refuses a request whose e_i came before, as it does for auths (`rlpx.replays`).
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from devp2p import rlp
from devp2p.errors import DecodingError, HandshakeError, LocalProtocolError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.rlp import split_item
from devp2p.wire.dpx.keys import expand
from devp2p.wire.framing import Framing
from devp2p.wire.rlpx import MAX_PACKET, MIN_AUTH, Agreement, Handshake, missing_of_auth

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAGIC: Final = b"\xff\x01"
"""With what a request begins."""
_SIZE: Final = 2
_KEY: Final = 33
_TAG: Final = 16
_NONCE: Final = bytes(12)
_DOMAIN: Final = b"dpx-anon-v1"


@dataclass(frozen=True, repr=False)
class _Claim:
    """Who the recipient says that it is."""

    public_key: rlp.Bytes64
    signature: rlp.Bytes65
    elements: rlp.Rest = ()


_CLAIM: Final = rlp.codec(_Claim)
_SMALLEST_ANSWER: Final = _KEY + len(_CLAIM.encode(_Claim(bytes(64), bytes(65)))) + _TAG
_SMALLEST_WRAPPED: Final = _SIZE + MIN_AUTH + _TAG
_LARGEST_WRAPPED: Final = _SIZE + MAX_PACKET + _TAG


@dataclass(frozen=True, repr=False)
class PreludeEntropy:
    """All that must be random on one side of a prelude, and must never be used for another."""

    ephemeral: PrivateKey
    padding: bytes
    """What follows the key in a request; an answer has as many zeros. What is too long is cut."""

    @classmethod
    def draw(cls, random_bytes: Callable[[int], bytes]) -> "PreludeEntropy":
        """Draw a key, and 100 to 300 bytes of padding, from ``random_bytes``, which gives as many bytes as it is asked for."""
        return cls(PrivateKey.from_bytes(random_bytes(32)), random_bytes(100 + random_bytes(1)[0] * 200 // 255))


class _Prelude:
    """Either side: what goes before, then a `Handshake`, whose methods it has."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._to_send = b""
        self._over = False
        self._handshake: Handshake | None = None

    @property
    def trailing(self) -> bytes:
        """What came after the peer's last packet: the beginning of its first frame."""
        return b"" if self._handshake is None else self._handshake.trailing

    def data_to_send(self) -> bytes:
        """Take what is to be sent now; else nothing."""
        data, self._to_send = self._to_send, b""
        return data if self._handshake is None else data + self._handshake.data_to_send()

    def receive_data(self, data: "Buffer") -> Agreement | None:
        """Take bytes, cut anywhere; what is agreed once the peer's last packet is complete. HandshakeError if anything is not valid."""
        if self._over:
            raise LocalProtocolError("this handshake is over")
        self._over = True  # errors end it, too
        found = self._receive(data)
        self._over = found is not None
        return found

    def _receive(self, data: "Buffer") -> Agreement | None:
        raise NotImplementedError

    def framing(self) -> Framing:
        """See `Handshake`."""
        return self._begun().framing()

    def proved(self) -> None:
        """See `Handshake`."""
        self._begun().proved()

    def failed(self) -> None:
        """See `Handshake`; before that nothing had begun that could fail."""
        if self._handshake is not None:
            self._handshake.failed()

    def _begun(self) -> Handshake:
        if self._handshake is None:
            raise LocalProtocolError("there is no agreement before the auth")
        return self._handshake


class Asking(_Prelude):
    """The initiator of a handshake with whoever is there.

    `begin` makes the handshake, of the key that answered and of what `Agreement.prelude` is to be.
    """

    def __init__(self, entropy: PreludeEntropy, begin: Callable[[PublicKey, bytes], Handshake]) -> None:
        """Prepare the request."""
        super().__init__()
        body = (entropy.ephemeral.public_key.compressed + entropy.padding)[:MAX_PACKET]
        self.remote: PublicKey | None = None
        """Who has answered."""
        self._begin = begin
        self._ephemeral = entropy.ephemeral
        self._to_send = self._request = MAGIC + len(body).to_bytes(_SIZE, "big") + body

    def _receive(self, data: "Buffer") -> Agreement | None:
        if self._handshake is not None:
            return self._handshake.receive_data(data)
        self._received += data
        answer = _complete(self._received, 0, _SMALLEST_ANSWER, MAX_PACKET)
        if answer is None:
            return None
        prk, remote = self._open(answer)
        prelude = keccak256(self._request + answer)
        self.remote = remote
        self._handshake = handshake = self._begin(remote, prelude)
        auth = handshake.data_to_send()
        prefix = (len(auth) + _TAG).to_bytes(_SIZE, "big")
        self._to_send += prefix + _seal(_auth_key(prk, prelude), auth, prefix)
        trailing = bytes(self._received[len(answer) :])
        return handshake.receive_data(trailing) if trailing else None

    def _open(self, answer: bytes) -> tuple[bytes, PublicKey]:
        """Take an answer: the prk, and whose key is there."""
        head, point, sealed = answer[: _SIZE + _KEY], answer[_SIZE : _SIZE + _KEY], answer[_SIZE + _KEY :]
        prk = _extract(self._ephemeral.ecdh(_parse_key(point), once=True), self._request + head)
        claim = _decode(_unseal(_answer_key(prk), sealed, b""))
        remote = _parse_key(claim.public_key)
        if not remote.verify(_digest(self._ephemeral.public_key.compressed, point), claim.signature):
            raise HandshakeError("the signature in an answer to a prelude is not by the key that it names")
        return prk, remote


class Answering(_Prelude):
    """The recipient of a handshake that answers a request, and takes an auth without one as ever.

    `begin` makes the handshake, of what `Agreement.prelude` is to be.
    """

    def __init__(
        self,
        key: PrivateKey,
        entropy: PreludeEntropy,
        begin: Callable[[bytes], Handshake],
        *,
        is_new: Callable[[bytes], bool] | None = None,
    ) -> None:
        """Wait for a request or an auth. `is_new` is asked about a request's key before anything is computed with it (see `Recipient`)."""
        super().__init__()
        self._key = key
        self._entropy = entropy
        self._begin = begin
        self._is_new = is_new
        self._answered: tuple[bytes, bytes] | None = None
        """The key that the auth is wrapped under, and the prelude, when there was a request."""
        self._trailing: bytes | None = None

    @property
    def trailing(self) -> bytes:
        """What came after the auth; nothing, from an initiator that keeps to the protocol."""
        return super().trailing if self._trailing is None else self._trailing

    def _receive(self, data: "Buffer") -> Agreement | None:
        if self._handshake is not None:
            return self._handshake.receive_data(data)
        received = self._received
        received += data
        if self._answered is None:
            if len(received) < len(MAGIC):
                return None
            if not received.startswith(MAGIC):
                self._handshake = self._begin(b"")
                return self._handshake.receive_data(received)
            request = _complete(received, len(MAGIC), _KEY, MAX_PACKET)
            if request is None:
                return None
            del received[: len(request)]
            self._answered = self._answer(request)
        wrapped = _complete(received, 0, _SMALLEST_WRAPPED, _LARGEST_WRAPPED)
        if wrapped is None:
            return None
        self._trailing = bytes(received[len(wrapped) :])
        key, prelude = self._answered
        auth = _unseal(key, wrapped[_SIZE:], wrapped[:_SIZE])
        self._handshake = handshake = self._begin(prelude)
        found = handshake.receive_data(auth)
        if found is None or handshake.trailing:
            raise HandshakeError("behind a prelude is something else than one auth")
        return found

    def _answer(self, request: bytes) -> tuple[bytes, bytes]:
        point = request[len(MAGIC) + _SIZE :][:_KEY]
        if self._is_new is not None and not self._is_new(point):
            raise _does_not_open()
        theirs, ephemeral = _parse_key(point), self._entropy.ephemeral
        own = ephemeral.public_key.compressed
        padding = bytes(min(len(self._entropy.padding), MAX_PACKET - _SMALLEST_ANSWER))
        claim = _CLAIM.encode(_Claim(bytes(self._key.public_key), self._key.sign(_digest(point, own)))) + padding
        head = (_KEY + len(claim) + _TAG).to_bytes(_SIZE, "big") + own
        prk = _extract(ephemeral.ecdh(theirs, once=True), request + head)
        self._to_send = answer = head + _seal(_answer_key(prk), claim, b"")
        prelude = keccak256(request + answer)
        return _auth_key(prk, prelude), prelude


def missing_of_request(received: "Buffer") -> int:
    """How many more bytes must come before a request or an auth that begins so can be taken, or refused. Nothing is computed or kept."""
    start = memoryview(received)
    if bytes(start[: len(MAGIC)]) != MAGIC:
        return missing_of_auth(received)
    at = len(MAGIC) + _SIZE
    if len(start) < at:
        return at - len(start)
    size = int.from_bytes(start[len(MAGIC) : at], "big")
    return max(0, at + size - len(start)) if _KEY <= size <= MAX_PACKET else 0


def _complete(received: bytearray, at: int, least: int, most: int) -> bytes | None:
    """The message at the beginning, whose size stands `at`, if it is whole; HandshakeError as soon as the size cannot be."""
    start = at + _SIZE
    if len(received) < start:
        return None
    size = int.from_bytes(received[at:start], "big")
    if not least <= size <= most:
        raise HandshakeError(f"a message of {size} bytes before a handshake, where {least} to {most} are allowed")
    return bytes(received[: start + size]) if len(received) >= start + size else None


def _parse_key(data: bytes) -> PublicKey:
    """Take a stranger's point, before anything is computed with it."""
    try:
        return PublicKey.from_bytes(data)
    except DecodingError:
        raise HandshakeError("a key in a prelude is not a point of the curve") from None


def _extract(secret: bytes, transcript: bytes) -> bytes:
    return hmac.digest(keccak256(transcript), secret, "sha256")


def _answer_key(prk: bytes) -> bytes:
    return expand(prk, b"dpx1 anon answer")


def _auth_key(prk: bytes, prelude: bytes) -> bytes:
    return expand(prk, b"dpx1 anon auth" + prelude)


def _digest(initiator: bytes, recipient: bytes) -> bytes:
    """What the recipient signs."""
    return keccak256(_DOMAIN + initiator + recipient)


def _seal(key: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(_NONCE, plaintext, associated_data)


def _unseal(key: bytes, sealed: bytes, associated_data: bytes) -> bytes:
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, sealed, associated_data)
    except InvalidTag:
        raise _does_not_open() from None


def _does_not_open() -> HandshakeError:
    """The one error for what is not opened."""
    return HandshakeError("a message before a handshake does not open")


def _decode(plaintext: bytes) -> _Claim:
    try:
        return _CLAIM.decode(split_item(plaintext)[0])
    except DecodingError as error:
        raise HandshakeError(f"bad answer to a prelude: {error}") from None
