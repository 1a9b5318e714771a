"""The cryptography of Node Discovery Protocol v5.1, for the identity scheme "v4" (discv5-theory.md, "Sessions"; discv5-wire.md).

    id-signature = sign(sha256("discovery v5 identity proof" || challenge-data || ephemeral-key || recipient's node-ID))
    secret       = ephemeral key x static key of the recipient, as a compressed point
    prk          = HKDF-Extract(salt = challenge-data, IKM = secret)
    keys         = HKDF-Expand(prk, "discovery v5 key agreement" || initiator's node-ID || recipient's node-ID)
    message      = AES-128-GCM(key, nonce, plaintext, associated data = masking-iv || header)

challenge-data is the WHOAREYOU packet without mask: masking-iv || static-header || authdata. The initiator is the node that answers it by
a handshake packet, the recipient the one that sent it. HKDF's arguments are as above in the specification's text since June 2026; its
test vectors had them so before.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import NodeId, PrivateKey, PublicKey

TAG: Final = 16
"""How many bytes longer a sealed message is than its plaintext."""
_NONCE: Final = 12
_KEY: Final = 16
_ID_PROOF: Final = b"discovery v5 identity proof"
_KEY_AGREEMENT: Final = b"discovery v5 key agreement"


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What two nodes share after a handshake, 16 bytes each."""

    initiator: bytes = field(repr=False)
    """Seals what the initiator sends."""
    recipient: bytes = field(repr=False)
    """Seals what the recipient sends."""


def sign_id(key: PrivateKey, challenge_data: bytes, ephemeral_key: bytes, recipient: NodeId) -> bytes:
    """Prove, to ``recipient``, to be who holds ``key``: 64 bytes. ``ephemeral_key`` is the compressed public one of the handshake."""
    return key.sign(_id_digest(challenge_data, ephemeral_key, recipient))[:64]


def verify_id(public_key: PublicKey, signature: bytes, challenge_data: bytes, ephemeral_key: bytes, recipient: NodeId) -> bool:
    """Tell whether ``signature`` is the one that the holder of ``public_key`` makes by `sign_id`."""
    return len(signature) == 64 and public_key.verify(_id_digest(challenge_data, ephemeral_key, recipient), signature)


def agree(key: PrivateKey, public_key: PublicKey, *, once: bool = False) -> bytes:
    """Multiply a public key by a private one: the product as a compressed point, 33 bytes. ``once`` as in `PrivateKey.agree`."""
    return key.agree(public_key, once=once)


def derive_keys(secret: bytes, challenge_data: bytes, initiator: NodeId, recipient: NodeId) -> SessionKeys:
    """Make session keys of what `agree` gave and the challenge."""
    extracted = hmac.digest(challenge_data, secret, "sha256")
    # One block of HKDF-Expand is 32 bytes, which is all that is needed.
    expanded = hmac.digest(extracted, _KEY_AGREEMENT + initiator + recipient + b"\x01", "sha256")
    return SessionKeys(expanded[:_KEY], expanded[_KEY:])


def seal(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Encrypt and authenticate; ``nonce`` (12 bytes) must never meet the same ``key`` (16 bytes) twice."""
    if len(nonce) != _NONCE:
        raise _wrong_nonce(nonce)
    return _cipher(key).encrypt(nonce, plaintext, associated_data)


def unseal(key: bytes, nonce: bytes, sealed: bytes, associated_data: bytes) -> bytes:
    """Undo `seal`; DecodingError if anything differs from what was sealed."""
    if len(nonce) != _NONCE:
        raise _wrong_nonce(nonce)
    try:
        return _cipher(key).decrypt(nonce, sealed, associated_data)
    except InvalidTag:
        raise DecodingError("the message does not open with this key") from None


@lru_cache(maxsize=256)
def _cipher(key: bytes) -> AESGCM:
    """Make a key's cipher, which takes longer than to use it. They are kept, though not all: each has two kilobytes and a half."""
    if len(key) != _KEY:  # the library takes other sizes, for other ciphers
        raise LocalProtocolError(f"a key of {len(key)} bytes, where {_KEY} belong")
    return AESGCM(key)


def _wrong_nonce(nonce: bytes) -> LocalProtocolError:
    return LocalProtocolError(f"a nonce of {len(nonce)} bytes, where {_NONCE} belong")


def _id_digest(challenge_data: bytes, ephemeral_key: bytes, recipient: NodeId) -> bytes:
    return hashlib.sha256(_ID_PROOF + challenge_data + ephemeral_key + recipient).digest()
