"""Signatures of accounts: of transactions, and of authorizations within them (EIP-7702)."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self

from devp2p import DecodingError, LocalProtocolError, PrivateKey, PublicKey, keccak256, recover, rlp
from devp2p.capabilities.ethereum.blocks.reading import Fields

HALF_ORDER: Final = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0
"""Half of the order of secp256k1, above which s must not be (EIP-2)."""


def recover_address(digest: bytes, y_parity: int, r: int, s: int, *, any_s: bool = False) -> bytes:
    """Find the account that signed a digest; DecodingError if none can have, or if s is in the upper half of the order (EIP-2).

    `any_s`: the upper half is right as well, as it was before Homestead.
    """
    if not 0 <= y_parity <= 1:
        raise DecodingError(f"a signature with a parity of {y_parity}")
    if s > HALF_ORDER and not any_s:
        raise DecodingError("a signature with s in the upper half of the order")
    return recover(digest, r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))).node_id[12:]


def address_of(key: PrivateKey | PublicKey) -> bytes:
    """Return the address of the account that is a key's."""
    return (key.public_key if isinstance(key, PrivateKey) else key).node_id[12:]


def sign_digest(key: PrivateKey, digest: bytes) -> tuple[int, int, int]:
    """Sign a digest: parity of y, r, s."""
    signature = key.sign(digest)
    return signature[64], int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")


@dataclass(frozen=True, kw_only=True)
class Authorization:
    """An account's word that its code is to be that of `address` (EIP-7702). A `chain_id` of 0 is for all chains.

    Make one without a signature, and let `signed` give it one.
    """

    chain_id: int
    address: bytes
    nonce: int
    y_parity: int = 0
    r: int = 0
    s: int = 0

    @classmethod
    def take(cls, fields: Fields) -> Self:
        """Make an authorization of the elements of its list; DecodingError if they are none."""
        found = cls(
            chain_id=fields.uint(),
            address=fields.fixed(20),
            nonce=fields.uint(8),
            y_parity=fields.uint(1),
            r=fields.uint(),
            s=fields.uint(),
        )
        fields.close()
        return found

    @property
    def parts(self) -> tuple[int, bytes, int, int, int, int]:
        """Its elements, to be encoded."""
        return (self.chain_id, self.address, self.nonce, self.y_parity, self.r, self.s)

    @property
    def signing_hash(self) -> bytes:
        """What is signed."""
        return keccak256(b"\x05" + rlp.encode((self.chain_id, self.address, self.nonce)))

    def signed(self, key: PrivateKey) -> Self:
        """Return it with the signature of the account that is a key's."""
        if len(self.address) != 20:
            raise LocalProtocolError(f"the address of an authorization has 20 bytes, not {len(self.address)}")
        y_parity, r, s = sign_digest(key, self.signing_hash)
        return replace(self, y_parity=y_parity, r=r, s=s)

    @cached_property
    def authority(self) -> bytes:
        """The account that signed it; DecodingError if the signature is not valid."""
        return recover_address(self.signing_hash, self.y_parity, self.r, self.s)
