"""The RLPx handshake: auth and ack, and what they agree on (RLPx, section "Initial Handshake"; EIP-8).

    auth = size (2) || ecies.encrypt(recipient, [sig, initiator-pubk, initiator-nonce, 4, ...] || padding, size)
    ack  = size (2) || ecies.encrypt(initiator, [recipient-ephemeral-pubk, recipient-nonce, 4, ...] || padding, size)

Initiator and Recipient are state machines without I/O: randomness goes in as an Entropy, bytes as they arrive, an Agreement comes out, from
which secrets are derived. Both always send this format. Elements behind those above, and bytes behind the list, are no error; elements are
handed on, since that is where extensions ride. Handshake is either of the two, and tells the extension what came of it.

Theory of operation of the format before EIP-8, which is still accepted. Its packets have no size, but a fixed one: 307 bytes for auth
and 210 for ack, and they begin with 0x04, as every uncompressed point does. That byte can begin a size prefix, too (0x0400 to 0x04ff),
and packets of such sizes are longer than the old ones. So when a packet begins with 0x04, as many bytes as the old format has are waited
for and tried; if that does not open, they are the beginning of a packet in the new format. Such a trial is one parse of a point that
cannot be one, hardly ever an ECDH.

A size is judged as soon as its two bytes are here, and nothing is set aside for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from devp2p import rlp
from devp2p.errors import DecodingError, HandshakeError, LocalProtocolError
from devp2p.keys import PrivateKey, PublicKey, keccak256, recover
from devp2p.rlp import split_item
from devp2p.wire.framing import Framing
from devp2p.wire.rlpx import ecies
from devp2p.wire.rlpx.agreement import Agreement, secrets, xor
from devp2p.wire.rlpx.extension import Extension, answered, chosen_padding, offered
from devp2p.wire.rlpx.frames import rlpx_framing
from devp2p.wire.rlpx.packets import ACK, AUTH, MAX_PACKET, MIN_ACK, MIN_AUTH, VERSION, Ack, Auth

if TYPE_CHECKING:
    from typing_extensions import Buffer

_Body = TypeVar("_Body")
_PLAIN_AUTH: Final = 307
_PLAIN_ACK: Final = 210


Padding = Callable[[int], bytes]
"""What to put behind the list of our packet, asked with the size in bytes that the packet has without. What is too long for it is cut."""


@dataclass(frozen=True, repr=False)
class Entropy:
    """All that must be random in one handshake, and must never be used for another."""

    ephemeral: PrivateKey
    nonce: bytes
    """32 bytes."""
    ecies_ephemeral: PrivateKey
    iv: bytes
    """16 bytes."""
    padding: Padding
    """It may be used once, too."""

    @classmethod
    def draw(cls, random_bytes: Callable[[int], bytes]) -> "Entropy":
        """Draw everything from ``random_bytes``, which gives as many bytes as it is asked for; padding as EIP-8 recommends."""
        return cls(
            ephemeral=PrivateKey.from_bytes(random_bytes(32)),
            nonce=random_bytes(32),
            ecies_ephemeral=PrivateKey.from_bytes(random_bytes(32)),
            iv=random_bytes(16),
            padding=_recommended(random_bytes),
        )


def _recommended(random_bytes: Callable[[int], bytes]) -> Padding:
    drawn = random_bytes(100 + random_bytes(1)[0] * 200 // 255)
    return lambda _: drawn


class Initiator:
    """The side that opened the link: ``packet`` is the auth to send, and ``receive_data`` takes the ack."""

    def __init__(self, key: PrivateKey, remote: PublicKey, entropy: Entropy, extension: Extension | None = None) -> None:
        """Prepare the auth to ``remote``, with what ``extension`` offers; TypeError or LocalProtocolError if that cannot be sent."""
        self.remote: Final[PublicKey] = remote
        """Who is called."""
        self._entropy = entropy
        self._static = key.ecdh(remote)
        self._reader = _PacketReader(key, MIN_ACK, _PLAIN_ACK)
        auth = Auth(entropy.ephemeral.sign(xor(self._static, entropy.nonce)), bytes(key.public_key), entropy.nonce, VERSION)
        if extension is not None:
            auth = replace(auth, elements=offered(extension, remote, auth))
        self.auth: Final[Auth] = auth
        """What is in the auth."""
        self.packet: Final[bytes] = _seal(remote, AUTH.encode(auth), entropy)
        """The auth."""

    @property
    def trailing(self) -> bytes:
        """What came after the ack: the beginning of the recipient's first frame."""
        return self._reader.trailing

    def receive_data(self, data: "Buffer") -> Agreement | None:
        """Take bytes, cut anywhere; what is agreed once the ack is complete. HandshakeError if it is no valid ack."""
        opened = self._reader.receive_data(data)
        if opened is None:
            return None
        if opened.plain:
            ack = Ack(opened.body[:64], opened.body[64:96], VERSION)
        else:
            ack = _decode(ACK, opened.body)
        ephemeral = self._entropy.ephemeral.ecdh(_parse_key(ack.ephemeral_key), once=True)
        return Agreement(
            self.remote,
            initiated=True,
            ephemeral=ephemeral,
            static=self._static,
            auth=self.auth,
            ack=ack,
            auth_packet=self.packet,
            ack_packet=opened.packet,
        )


class Recipient:
    """The side that accepted the link: ``receive_data`` takes the auth, and then ``packet`` is the ack to send."""

    def __init__(
        self, key: PrivateKey, entropy: Entropy, extension: Extension | None = None, *, is_new: Callable[[bytes], bool] | None = None
    ) -> None:
        """Wait for an auth.

        ``extension`` is asked for the ack's elements; an ack in the old format has no place for them.
        ``is_new`` is asked about the auth's ephemeral point, the 65 bytes as they came, before anything is computed with it: an auth whose
        point is not new is refused as one that does not open (see `replays`).
        """
        self._key = key
        self._entropy = entropy
        self._extension = extension
        self._reader = _PacketReader(key, MIN_AUTH, _PLAIN_AUTH, is_new)
        self._packet: bytes | None = None

    @property
    def packet(self) -> bytes:
        """The ack; LocalProtocolError before ``receive_data`` has returned what is agreed."""
        if self._packet is None:
            raise LocalProtocolError("there is no ack before the auth is complete")
        return self._packet

    @property
    def trailing(self) -> bytes:
        """What came after the auth; nothing, from an initiator that keeps to the protocol."""
        return self._reader.trailing

    def receive_data(self, data: "Buffer") -> Agreement | None:
        """Take bytes, cut anywhere; what is agreed once the auth is complete. HandshakeError if it is no valid auth.

        It does not prove who sent the auth: anyone can replay one. The first valid frame does. TypeError or LocalProtocolError if what the
        extension answers cannot be sent.
        """
        opened = self._reader.receive_data(data)
        if opened is None:
            return None
        own = self._entropy
        auth = _split_plain_auth(opened.body) if opened.plain else _decode(AUTH, opened.body)
        remote = _parse_key(auth.public_key)
        try:
            static = self._key.ecdh(remote)
            remote_ephemeral = recover(xor(static, auth.nonce), auth.signature)
        except DecodingError:
            raise HandshakeError("the signature in auth is no signature") from None
        if opened.plain and keccak256(bytes(remote_ephemeral)) != opened.body[65:97]:
            raise HandshakeError("the signature in auth is not by the announced ephemeral key")
        ack = Ack(bytes(own.ephemeral.public_key), own.nonce, VERSION)
        if opened.plain:
            packet = ecies.encrypt(remote, ack.ephemeral_key + ack.nonce + b"\x00", ephemeral=own.ecies_ephemeral, iv=own.iv)
        else:
            if self._extension is not None:
                ack = replace(ack, elements=answered(self._extension, remote, auth, ack))
            packet = _seal(remote, ACK.encode(ack), own)
        self._packet = packet
        ephemeral = own.ephemeral.ecdh(remote_ephemeral, once=True)
        return Agreement(
            remote,
            initiated=False,
            ephemeral=ephemeral,
            static=static,
            auth=auth,
            ack=ack,
            auth_packet=opened.packet,
            ack_packet=packet,
        )


class Handshake:
    """Either side of a handshake, whose extension is told what came of it.

    With ``remote`` given this side is the initiator, who must know the key of the node that it calls; without, it is the recipient.
    """

    def __init__(  # noqa: PLR0913  (keyword arguments, for one side or the other)
        self,
        key: PrivateKey,
        entropy: Entropy,
        *,
        remote: PublicKey | None = None,
        extension: Extension | None = None,
        is_new: Callable[[bytes], bool] | None = None,
        prelude: bytes = b"",
    ) -> None:
        """See `Initiator` and `Recipient`, who raise the errors, and `Agreement.prelude`."""
        self.agreement: Agreement | None = None
        """What is agreed, once it is."""
        self._prelude = prelude
        self._extension = extension
        if extension is not None:
            entropy = replace(entropy, padding=_padding_of(extension, entropy.padding))
        self._side = Recipient(key, entropy, extension, is_new=is_new) if remote is None else Initiator(key, remote, entropy, extension)
        self._to_send = self._side.packet if isinstance(self._side, Initiator) else b""

    @property
    def trailing(self) -> bytes:
        """What came after the peer's packet: the beginning of its first frame."""
        return self._side.trailing

    def framing(self) -> Framing:
        """Choose what messages travel in, once there is an agreement: RLPx frames, unless the extension has agreed on others.

        HandshakeError if the extension refuses what the peer has answered, and for RLPx frames behind a prelude, which their keys do not
        depend on.
        """
        if self.agreement is None:
            raise LocalProtocolError("there is nothing to choose a framing by before the handshake is done")
        chosen = None if self._extension is None else self._extension.framing(self.agreement)
        if chosen is None and self._prelude:
            raise HandshakeError("a handshake behind a prelude that agrees on no dpx/1")
        return rlpx_framing(secrets(self.agreement)) if chosen is None else chosen

    def data_to_send(self) -> bytes:
        """Take what is to be sent: the initiator's auth at once, the recipient's ack as soon as there is an agreement; else nothing."""
        data, self._to_send = self._to_send, b""
        return data

    def receive_data(self, data: "Buffer") -> Agreement | None:
        """Take bytes, cut anywhere; what is agreed once the peer's packet is complete. HandshakeError if it is not valid."""
        found = self._side.receive_data(data)
        if found is not None:
            self.agreement = replace(found, prelude=self._prelude)
            if isinstance(self._side, Recipient):
                self._to_send = self._side.packet
        return self.agreement

    def proved(self) -> None:
        """The peer's first frame was valid. Only the first call of this or `failed` does something."""
        if self.agreement is None:
            raise LocalProtocolError("a peer proves itself after the handshake")
        extension, self._extension = self._extension, None
        if extension is not None:
            extension.proved(self.agreement)

    def failed(self) -> None:
        """There will be no valid first frame. Whoever makes a handshake calls this at its end, which does nothing after `proved`."""
        extension, self._extension = self._extension, None
        if extension is None:
            return
        if self.agreement is not None:
            extension.failed(self.agreement)
        elif isinstance(self._side, Initiator):
            extension.unanswered(self._side.remote, self._side.auth)


def _padding_of(extension: Extension, otherwise: Padding) -> Padding:
    def padding(size: int) -> bytes:
        own = chosen_padding(extension, size)
        return otherwise(size) if own is None else own

    return padding


def missing_of_auth(received: "Buffer") -> int:
    """How many more bytes must come before an auth that begins so can be opened, or refused. Nothing is computed or kept."""
    start = memoryview(received)
    if len(start) < 2:
        return 2 - len(start)
    size = int.from_bytes(start[:2], "big")
    if not MIN_AUTH <= size <= MAX_PACKET:
        return 0
    whole = _PLAIN_AUTH if start[0] == 0x04 else 2 + size  # either is possible then, and the old format is tried first
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
    size = ecies.OVERHEAD + len(body)
    plaintext = body + entropy.padding(2 + size)[: MAX_PACKET - size]
    prefix = (ecies.OVERHEAD + len(plaintext)).to_bytes(2, "big")
    return prefix + ecies.encrypt(remote, plaintext, ephemeral=entropy.ecies_ephemeral, iv=entropy.iv, shared_mac_data=prefix)


def _split_plain_auth(body: bytes) -> Auth:
    """Take apart sig (65) || keccak256(ephemeral-pubk) (32) || static-pubk (64) || nonce (32) || 0x00, the length of which is certain."""
    return Auth(body[:65], body[97:161], body[161:193], VERSION)


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
