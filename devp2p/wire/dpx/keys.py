"""The keys of a dpx/1 session, from what its handshake agreed on (dpx/1, section 2).

    th  = keccak256(auth-packet || ack-packet [|| keccak256(prelude)])          Agreement.transcript
    prk = HKDF-Extract(salt = th, ikm = es || ss || k_i || k_r || rs)
    key = HKDF-Expand(prk, "dpx1 " || label || mode, 32)

Each part of the input key material has a purpose. `es`, of the ephemeral keys, gives forward secrecy. `ss` brings both static keys in. The
shares `k_i` and `k_r` can only be read by whoever holds the static key that they were encrypted to. `rs`, an old secret, proves that the
two have met before. The salt makes a changed byte in either packet a different key, so that nobody can strip or edit an element.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from devp2p.errors import LocalProtocolError
from devp2p.wire.rlpx import Agreement

KEY_SIZE: Final = 32
NO_SECRET: Final = bytes(KEY_SIZE)
"""Stands where a session resumes none."""


@dataclass(frozen=True)
class Keys:
    """The secrets of one session, 32 bytes each; equal on both sides. Its text form shows none."""

    to_recipient: bytes = field(repr=False)
    """For the records that go from the initiator to the recipient, until they are rekeyed."""
    to_initiator: bytes = field(repr=False)
    """For those of the other direction."""
    resumption: bytes = field(repr=False)
    """The secret by which the next session can resume this one (section 7)."""
    exporter: bytes = field(repr=False)
    """For whatever else wants a secret that is bound to this session."""

    def pair(self, *, initiated: bool) -> tuple[bytes, bytes]:
        """The keys of records that we seal and that we open, `initiated` if we sent the auth."""
        return (self.to_recipient, self.to_initiator) if initiated else (self.to_initiator, self.to_recipient)


def derive(agreement: Agreement, shares: tuple[bytes, bytes], mode: int, old_secret: bytes | None) -> Keys:
    """Derive the keys of a session.

    `shares` are the initiator's and the recipient's `k`, `mode` is what the accept says, and `old_secret` the secret that the session
    resumes (None: it resumes none). What was said before the auth, if anything, is in the agreement. LocalProtocolError for a wrong size.
    """
    secret = NO_SECRET if old_secret is None else old_secret
    for name, part in (("the initiator's share", shares[0]), ("the recipient's share", shares[1]), ("the old secret", secret)):
        if len(part) != KEY_SIZE:
            raise LocalProtocolError(f"{name} has {len(part)} bytes where {KEY_SIZE} are needed")
    if not 0 <= mode <= 0xFF:
        raise LocalProtocolError(f"the mode is one byte, not {mode}")
    extracted = _extract(agreement.transcript, (agreement.ephemeral, agreement.static, *shares, secret))
    to_recipient, to_initiator, resumption, exporter = (
        expand(extracted, b"dpx1 " + label + bytes((mode,))) for label in (b"i2r", b"r2i", b"rms", b"exp")
    )
    return Keys(to_recipient, to_initiator, resumption, exporter)


def rekeyed(key: bytes) -> bytes:
    """The key that follows after `RECORDS_PER_KEY` records."""
    return expand(key, b"dpx1 rekey")


def expand(key: bytes, info: bytes, size: int = KEY_SIZE) -> bytes:
    """HKDF-Expand (RFC 5869) with SHA-256, for at most 32 bytes, which is one block of it; `key` is a uniform secret of 32 bytes."""
    if not 0 < size <= KEY_SIZE:
        raise LocalProtocolError(f"1 to {KEY_SIZE} bytes can be expanded here, not {size}")
    return hmac.digest(key, info + b"\x01", sha256)[:size]


def _extract(salt: bytes, material: Sequence[bytes]) -> bytes:
    return hmac.digest(salt, b"".join(material), sha256)
