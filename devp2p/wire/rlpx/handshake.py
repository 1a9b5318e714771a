"""The RLPx handshake: auth and ack, and the secrets that come of them (RLPx, section "Initial Handshake"; EIP-8).

    auth = size (2) || ecies.encrypt(recipient, [sig, initiator-pubk, initiator-nonce, 4, ...] || padding, size)
    ack  = size (2) || ecies.encrypt(initiator, [recipient-ephemeral-pubk, recipient-nonce, 4, ...] || padding, size)

Initiator and Recipient are state machines without I/O: randomness goes in as an Entropy, bytes as they arrive, secrets come out.
Both always send this format. Elements behind those above, and bytes behind the list, are no error; elements are handed on, since that is
where extensions ride.

Theory of operation of the format before EIP-8, which is still accepted. Its packets have no size, but a fixed one: 307 bytes for auth
and 210 for ack, and they begin with 0x04, as every uncompressed point does. That byte can begin a size prefix, too (0x0400 to 0x04ff),
and packets of such sizes are longer than the old ones. So when a packet begins with 0x04, as many bytes as the old format has are waited
for and tried; if that does not open, they are the beginning of a packet in the new format. Such a trial is one parse of a point that
cannot be one, hardly ever an ECDH.

A size is judged as soon as its two bytes are here, and nothing is set aside for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from devp2p import rlp
from devp2p.errors import DecodingError, HandshakeError, LocalProtocolError
from devp2p.keys import Keccak256, PrivateKey, PublicKey, keccak256, recover
from devp2p.rlp import split_item
from devp2p.wire.rlpx import ecies

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_PACKET: Final = 2048
"""The largest auth or ack, not counting its size prefix; the figure that other implementations have, too."""
_Body = TypeVar("_Body")
_VERSION: Final = b"\x04"
_PLAIN_AUTH: Final = 307
_PLAIN_ACK: Final = 210


@dataclass(frozen=True)
class Auth:
    """The list in an auth, whose values must be of these sizes."""

    signature: rlp.Bytes65
    public_key: rlp.Bytes64
    nonce: rlp.Bytes32
    version: rlp.Raw
    """Whatever it is: a mismatch must be ignored."""
    extra: rlp.Rest = ()


@dataclass(frozen=True)
class Ack:
    """The list in an ack."""

    ephemeral_key: rlp.Bytes64
    nonce: rlp.Bytes32
    version: rlp.Raw
    extra: rlp.Rest = ()


_AUTH: Final = rlp.codec(Auth)
_ACK: Final = rlp.codec(Ack)
_MIN_AUTH: Final = ecies.OVERHEAD + len(_AUTH.encode(Auth(bytes(65), bytes(64), bytes(32), _VERSION)))
_MIN_ACK: Final = ecies.OVERHEAD + len(_ACK.encode(Ack(bytes(64), bytes(32), _VERSION)))


@dataclass(frozen=True, repr=False)
class Entropy:
    """All that must be random in one handshake, and must never be used for another."""

    ephemeral: PrivateKey
    nonce: bytes
    """32 bytes."""
    ecies_ephemeral: PrivateKey
    iv: bytes
    """16 bytes."""
    padding: bytes
    """What follows the list in our packet; EIP-8 recommends 100 to 300 bytes."""

    @classmethod
    def draw(cls, random_bytes: Callable[[int], bytes]) -> "Entropy":
        """Draw everything from ``random_bytes``, which gives as many bytes as it is asked for."""
        return cls(
            ephemeral=PrivateKey.from_bytes(random_bytes(32)),
            nonce=random_bytes(32),
            ecies_ephemeral=PrivateKey.from_bytes(random_bytes(32)),
            iv=random_bytes(16),
            padding=random_bytes(100 + random_bytes(1)[0] * 200 // 255),
        )


@dataclass(frozen=True, eq=False)
class Secrets:
    """What the two sides of a link share. The running hashes belong to one FrameSealer and one FrameOpener."""

    remote: PublicKey
    """The static key that the peer has shown to hold, once its first frame is valid: an auth alone can be a replay."""
    aes: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    egress_mac: Keccak256 = field(repr=False)
    ingress_mac: Keccak256 = field(repr=False)
    remote_extra: tuple[bytes, ...] = ()
    """The peer's elements behind the specified ones, each as its RLP encoding."""


class Initiator:
    """The side that opened the link: ``packet`` is the auth to send, and ``receive_data`` takes the ack."""

    def __init__(self, key: PrivateKey, remote: PublicKey, entropy: Entropy, extra: tuple[bytes, ...] = ()) -> None:
        """Prepare the auth to ``remote``.

        ``extra`` are RLP items to append to its list, each as its encoding; LocalProtocolError if they are too long.
        """
        self._remote = remote
        self._entropy = entropy
        self._reader = _PacketReader(key, _MIN_ACK, _PLAIN_ACK)
        signature = entropy.ephemeral.sign(_xor(key.ecdh(remote), entropy.nonce))
        body = _AUTH.encode(Auth(signature, bytes(key.public_key), entropy.nonce, _VERSION, extra))
        self.packet: Final[bytes] = _seal(remote, body, entropy)
        """The auth."""

    @property
    def trailing(self) -> bytes:
        """What came after the ack: the beginning of the recipient's first frame."""
        return self._reader.trailing

    def receive_data(self, data: "Buffer") -> Secrets | None:
        """Take bytes, cut anywhere; the secrets once the ack is complete. HandshakeError if it is no valid ack."""
        opened = self._reader.receive_data(data)
        if opened is None:
            return None
        if opened.plain:
            ack = Ack(opened.body[:64], opened.body[64:96], _VERSION)
        else:
            ack = _decode(_ACK, opened.body)
        remote_ephemeral = _parse_key(ack.ephemeral_key)
        return _agree(
            self._remote,
            self._entropy.ephemeral.ecdh(remote_ephemeral, once=True),
            initiator=(self.packet, self._entropy.nonce),
            recipient=(opened.packet, ack.nonce),
            initiated=True,
            remote_extra=ack.extra,
        )


class Recipient:
    """The side that accepted the link: ``receive_data`` takes the auth, and then ``packet`` is the ack to send."""

    def __init__(
        self, key: PrivateKey, entropy: Entropy, extra: tuple[bytes, ...] = (), *, is_new: Callable[[bytes], bool] | None = None
    ) -> None:
        """Wait for an auth.

        ``extra`` are RLP items to append to the ack's list, each as its encoding; an ack in the old format has no place for them.
        ``is_new`` is asked about the auth's ephemeral point, the 65 bytes as they came, before anything is computed with it: an auth whose
        point is not new is refused as one that does not open (see `replays`).
        """
        self._key = key
        self._entropy = entropy
        self._extra = extra
        self._reader = _PacketReader(key, _MIN_AUTH, _PLAIN_AUTH, is_new)
        self._packet: bytes | None = None

    @property
    def packet(self) -> bytes:
        """The ack; LocalProtocolError before ``receive_data`` has returned the secrets."""
        if self._packet is None:
            raise LocalProtocolError("there is no ack before the auth is complete")
        return self._packet

    @property
    def trailing(self) -> bytes:
        """What came after the auth; nothing, from an initiator that keeps to the protocol."""
        return self._reader.trailing

    def receive_data(self, data: "Buffer") -> Secrets | None:
        """Take bytes, cut anywhere; the secrets once the auth is complete. HandshakeError if it is no valid auth.

        The secrets do not prove who sent the auth: anyone can replay one. The first valid frame does.
        """
        opened = self._reader.receive_data(data)
        if opened is None:
            return None
        own = self._entropy
        auth = _split_plain_auth(opened.body) if opened.plain else _decode(_AUTH, opened.body)
        remote = _parse_key(auth.public_key)
        try:
            remote_ephemeral = recover(_xor(self._key.ecdh(remote), auth.nonce), auth.signature)
        except DecodingError:
            raise HandshakeError("the signature in auth is no signature") from None
        if opened.plain and keccak256(bytes(remote_ephemeral)) != opened.body[65:97]:
            raise HandshakeError("the signature in auth is not by the announced ephemeral key")
        ephemeral_key = bytes(own.ephemeral.public_key)
        if opened.plain:
            ack = ecies.encrypt(remote, ephemeral_key + own.nonce + b"\x00", ephemeral=own.ecies_ephemeral, iv=own.iv)
        else:
            ack = _seal(remote, _ACK.encode(Ack(ephemeral_key, own.nonce, _VERSION, self._extra)), own)
        self._packet = ack
        return _agree(
            remote,
            own.ephemeral.ecdh(remote_ephemeral, once=True),
            initiator=(opened.packet, auth.nonce),
            recipient=(ack, own.nonce),
            initiated=False,
            remote_extra=auth.extra,
        )


def missing_of_auth(received: "Buffer") -> int:
    """How many more bytes must come before an auth that begins so can be opened, or refused. Nothing is computed or kept."""
    start = memoryview(received)
    if len(start) < 2:
        return 2 - len(start)
    size = int.from_bytes(start[:2], "big")
    if not _MIN_AUTH <= size <= MAX_PACKET:
        return 0
    whole = _PLAIN_AUTH if start[0] == _VERSION[0] else 2 + size  # either is possible then, and the old format is tried first
    return max(0, whole - len(start))


@dataclass(frozen=True, slots=True)
class _Opened:
    packet: bytes
    body: bytes
    plain: bool
    """It has the format from before EIP-8."""


class _PacketReader:
    """Gathers one handshake packet and opens it."""

    def __init__(self, key: PrivateKey, min_size: int, plain_size: int, is_new: Callable[[bytes], bool] | None = None) -> None:
        self._key = key
        self._is_new = is_new
        self._min_size = min_size
        self._plain_size = plain_size
        self._may_be_plain = True
        self._received = bytearray()
        self._done = False
        self.trailing: bytes = b""

    def receive_data(self, data: "Buffer") -> _Opened | None:
        if self._done:
            raise LocalProtocolError("this handshake is over")
        self._received += data
        # Errors end it, too.
        self._done = True
        opened = self._open()
        self._done = opened is not None
        if opened is not None:
            self.trailing = bytes(self._received[len(opened.packet) :])
            self._received.clear()
        return opened

    def _open(self) -> _Opened | None:
        received = self._received
        if len(received) < 2:
            return None
        prefix = bytes(received[:2])
        size = int.from_bytes(prefix, "big")
        if not self._min_size <= size <= MAX_PACKET:
            raise HandshakeError(f"a handshake packet of {size} bytes, where {self._min_size} to {MAX_PACKET} are allowed")
        if prefix[0] == 0x04 and self._may_be_plain:
            if len(received) < self._plain_size:
                return None
            self._may_be_plain = False
            packet = bytes(received[: self._plain_size])
            try:
                return _Opened(packet, self._decrypt(packet), plain=True)
            except HandshakeError:
                pass  # then it is the beginning of a longer one
        if len(received) < 2 + size:
            return None
        packet = bytes(received[: 2 + size])
        return _Opened(packet, self._decrypt(packet[2:], prefix), plain=False)

    def _decrypt(self, ciphertext: bytes, shared_mac_data: bytes = b"") -> bytes:
        if self._is_new is not None and not self._is_new(ciphertext[: ecies.POINT]):
            raise ecies.does_not_open()
        return ecies.decrypt(self._key, ciphertext, shared_mac_data)


def _seal(remote: PublicKey, body: bytes, entropy: Entropy) -> bytes:
    plaintext = body + entropy.padding
    size = ecies.OVERHEAD + len(plaintext)
    if size > MAX_PACKET:
        raise LocalProtocolError(f"a handshake packet of {size} bytes, where {MAX_PACKET} are allowed; the extra elements are too long")
    prefix = size.to_bytes(2, "big")
    return prefix + ecies.encrypt(remote, plaintext, ephemeral=entropy.ecies_ephemeral, iv=entropy.iv, shared_mac_data=prefix)


def _split_plain_auth(body: bytes) -> Auth:
    """Take apart sig (65) || keccak256(ephemeral-pubk) (32) || static-pubk (64) || nonce (32) || 0x00, the length of which is certain."""
    return Auth(body[:65], body[97:161], body[161:193], _VERSION)


def _decode(codec: rlp.Codec[_Body], body: bytes) -> _Body:
    """Decode the list at the beginning of ``body``, whatever may follow it."""
    try:
        return codec.decode(split_item(body)[0])
    except DecodingError as error:
        raise HandshakeError(f"bad handshake packet: {error}") from None


def _parse_key(data: bytes) -> PublicKey:
    try:
        return PublicKey.from_bytes(data)
    except DecodingError:
        raise HandshakeError("a key in a handshake packet is not a point of the curve") from None


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


def _agree(  # noqa: PLR0913  (the inputs of the key agreement)
    remote: PublicKey,
    ephemeral_key: bytes,
    *,
    initiator: tuple[bytes, bytes],
    recipient: tuple[bytes, bytes],
    initiated: bool,
    remote_extra: tuple[bytes, ...],
) -> Secrets:
    """Derive the secrets; ``initiator`` and ``recipient`` are the packet, as it was on the wire, and the nonce of each."""
    auth, initiator_nonce = initiator
    ack, recipient_nonce = recipient
    shared = keccak256(ephemeral_key + keccak256(recipient_nonce + initiator_nonce))
    aes = keccak256(ephemeral_key + shared)
    mac = keccak256(ephemeral_key + aes)
    to_recipient = Keccak256(_xor(mac, recipient_nonce) + auth)
    to_initiator = Keccak256(_xor(mac, initiator_nonce) + ack)
    return Secrets(
        remote=remote,
        aes=aes,
        mac=mac,
        egress_mac=to_recipient if initiated else to_initiator,
        ingress_mac=to_initiator if initiated else to_recipient,
        remote_extra=remote_extra,
    )
