"""ECIES as RLPx uses it: encryption to a static public key, with a MAC (RLPx, section "ECIES Encryption").

    encrypted = R (65 bytes) || iv (16) || AES-128-CTR(kE, iv, plaintext) || HMAC-SHA256(sha256(kM), iv || c || shared)
    kE || kM  = the first block of the NIST SP 800-56 concatenation KDF with SHA-256 over the shared x coordinate

These bytes come from strangers who have proved nothing, so every failure is one error with one text, raised before
anything is decrypted: neither the error nor an answer may tell how far a forged packet came. R must be a valid point
before the static key touches it, since the MAC would otherwise be an oracle for the key, modulo small orders.
"""

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from devp2p.errors import DecodingError, HandshakeError
from devp2p.keys import PrivateKey, PublicKey

if TYPE_CHECKING:
    from typing_extensions import Buffer

POINT: Final = 65
"""Bytes of the ephemeral point, with which a ciphertext begins."""
_IV: Final = 16
_TAG: Final = 32
OVERHEAD: Final = POINT + _IV + _TAG
"""How many bytes longer the ciphertext is than the plaintext."""


def encrypt(remote: PublicKey, plaintext: bytes, *, ephemeral: PrivateKey, iv: bytes, shared_mac_data: bytes = b"") -> bytes:
    """Encrypt to ``remote``; ``ephemeral`` and the 16-byte ``iv`` must be new for each message.

    ``shared_mac_data`` is authenticated and not part of the result.
    """
    encryption_key, mac_key = _derive_keys(ephemeral.ecdh(remote, once=True))
    authenticated = iv + _aes_ctr(encryption_key, iv, plaintext)
    tag = hmac.digest(mac_key, authenticated + shared_mac_data, "sha256")
    return b"\x04" + bytes(ephemeral.public_key) + authenticated + tag


def decrypt(key: PrivateKey, ciphertext: "Buffer", shared_mac_data: bytes = b"") -> bytes:
    """Decrypt what was encrypted to ``key``; HandshakeError, always the same, for anything else."""
    ciphertext = bytes(ciphertext)
    if len(ciphertext) < OVERHEAD or ciphertext[0] != 0x04:
        raise does_not_open()
    try:
        ephemeral = PublicKey.from_bytes(ciphertext[:POINT])
    except DecodingError:
        raise does_not_open() from None
    encryption_key, mac_key = _derive_keys(key.ecdh(ephemeral))
    authenticated, tag = ciphertext[POINT:-_TAG], ciphertext[-_TAG:]
    if not hmac.compare_digest(tag, hmac.digest(mac_key, authenticated + shared_mac_data, "sha256")):
        raise does_not_open()
    return _aes_ctr(encryption_key, authenticated[:_IV], authenticated[_IV:])


def does_not_open() -> HandshakeError:
    """The one error for every packet that is not opened."""
    return HandshakeError("handshake packet does not open")


def _derive_keys(shared_secret: bytes) -> tuple[bytes, bytes]:
    """Give the 16-byte AES key and the 32-byte HMAC key."""
    block = hashlib.sha256(b"\x00\x00\x00\x01" + shared_secret).digest()
    return block[:16], hashlib.sha256(block[16:]).digest()


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    return Cipher(AES(key), CTR(iv)).encryptor().update(data)
