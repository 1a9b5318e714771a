"""The share of a handshake, sealed under a secret that two nodes have from before (dpx/1, section 7).

    id(s)    = HKDF-Expand(s, "dpx1 id", 16)
    kek_i(s) = HKDF-Expand(s, "dpx1 kek i", 32)           and kek_r(s) with "r"
    sealed_i = ChaCha20-Poly1305(kek_i, nonce_i, share_i, ad = rlp(auth fields 0 to 3) || rlp(features))
    sealed_r = ChaCha20-Poly1305(kek_r, nonce_r, share_r, ad = sealed_i || rlp(ack fields 0 to 2))

The nonces are the first 12 bytes of those in auth and ack, and the shares what the two elements of dpx/1 show in the open. Whoever can
seal has the secret, and what is sealed opens with no other auth or ack, and in no other direction.
"""

import hmac
from dataclasses import replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from devp2p import rlp
from devp2p.wire.dpx.element import ID_SIZE, Token
from devp2p.wire.dpx.keys import expand
from devp2p.wire.rlpx import Ack, Auth

_NONCE: Final = 12  # of the 32 bytes that a handshake's nonces have
_AUTH: Final = rlp.codec(Auth)
_ACK: Final = rlp.codec(Ack)


def id_of(secret: bytes) -> bytes:
    """By which name a secret is offered: 16 bytes, which tell nothing of it."""
    return expand(secret, b"dpx1 id", ID_SIZE)


def seal_offer(secret: bytes, share: bytes, auth: Auth, features: int) -> Token:
    """Seal the initiator's share; `auth` is ours, whatever elements it has, and `features` are what the offer says."""
    sealed = _cipher(secret, b"i").encrypt(auth.nonce[:_NONCE], share, _with_auth(auth, features))
    return Token(id_of(secret), sealed)


def opens_offer(secret: bytes, token: Token, share: bytes, auth: Auth, features: int) -> bool:
    """Whether a token was sealed by who has the secret, for this auth, and holds the share that the offer shows."""
    return _opens(_cipher(secret, b"i"), auth.nonce, token.sealed, _with_auth(auth, features), share)


def seal_answer(secret: bytes, share: bytes, sealed_offer: bytes, ack: Ack) -> bytes:
    """Seal the recipient's share in answer to a token that was opened; `ack` is ours, whatever elements it has."""
    return _cipher(secret, b"r").encrypt(ack.nonce[:_NONCE], share, sealed_offer + _ACK.encode(replace(ack, elements=())))


def opens_answer(secret: bytes, sealed: bytes, share: bytes, sealed_offer: bytes, ack: Ack) -> bool:
    """Whether an answer was sealed by who has the secret, for this ack, and holds the share that the accept shows."""
    return _opens(_cipher(secret, b"r"), ack.nonce, sealed, sealed_offer + _ACK.encode(replace(ack, elements=())), share)


def same(one: bytes, other: bytes) -> bool:
    """Whether two byte strings are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(one, other)


def _cipher(secret: bytes, side: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(expand(secret, b"dpx1 kek " + side))


def _with_auth(auth: Auth, features: int) -> bytes:
    return _AUTH.encode(replace(auth, elements=())) + rlp.encode(features)


def _opens(cipher: ChaCha20Poly1305, nonce: bytes, sealed: bytes, bound: bytes, share: bytes) -> bool:
    try:
        return same(cipher.decrypt(nonce[:_NONCE], sealed, bound), share)
    except InvalidTag:
        return False
