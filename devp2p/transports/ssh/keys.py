"""Keys as SSH writes them, and what a connection of ours may use."""

from typing import Any, Final

import asyncssh
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from devp2p.errors import DecodingError
from devp2p.keys import PrivateKey, PublicKey

USER: Final = "devp2p"
"""The name of all users."""
NODES: Final = b"ecdsa-sha2-1.3.132.0.10"
"""What SSH calls a node's key: ECDSA on secp256k1, over SHA-256 (RFC 5656)."""
_OTHERS: Final = (b"ssh-ed25519", b"ecdsa-sha2-nistp256")
KINDS: Final = tuple(len(name).to_bytes(4) + name for name in (NODES, *_OTHERS))
"""How the keys begin that a user may prove itself by; only the first is a node's."""

_NODE: Final = KINDS[0] + len(b"1.3.132.0.10").to_bytes(4) + b"1.3.132.0.10" + (65).to_bytes(4)
_ALGORITHMS: Final[dict[str, Any]] = {
    "kex_algs": ["curve25519-sha256", "curve25519-sha256@libssh.org"],
    "encryption_algs": ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"],
    "mac_algs": ["hmac-sha2-256-etm@openssh.com"],  # a name that SSH wants to be there; the ciphers above have their own
    "compression_algs": ["none"],
}


def key_in(data: bytes) -> PublicKey | None:
    """The node's key in what SSH calls a public key; None for any other."""
    if not data.startswith(_NODE) or len(data) != len(_NODE) + 65:
        return None
    try:
        return PublicKey.from_bytes(data[-65:])
    except DecodingError:
        return None


def node_key(key: PrivateKey) -> asyncssh.SSHKey:
    """A node's key as asyncssh takes it."""
    return _taken(ec.derive_private_key(int.from_bytes(bytes(key)), ec.SECP256K1()))


def other_key(key: PrivateKey) -> asyncssh.SSHKey:
    """A key for clients that have no secp256k1, as OpenSSH has not: always the same for a node, and no help to find its own."""
    seed = HKDF(hashes.SHA256(), 32, salt=None, info=b"devp2p: an Ed25519 host key for SSH").derive(bytes(key))
    return _taken(ed25519.Ed25519PrivateKey.from_private_bytes(seed))


def _taken(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> asyncssh.SSHKey:
    plain = serialization.NoEncryption()
    return asyncssh.import_private_key(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


def algorithms() -> dict[str, Any]:
    """What both sides use: one kind of key exchange, since more would be more for strangers to try."""
    return dict(_ALGORITHMS)
