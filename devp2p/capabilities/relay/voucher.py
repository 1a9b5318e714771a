"""What a relay signs about a reservation: that a node can be reached through it, until when.

A voucher is advice for third parties, who may be shown it. It lets nobody in.
"""

from dataclasses import dataclass

from devp2p import DecodingError, PrivateKey, PublicKey, keccak256, recover
from devp2p.rlp import U64, Bytes64, Bytes65, codec

_CONTEXT = b"devp2p relay/1 voucher:"


@dataclass(frozen=True)
class Voucher:
    """What a voucher says."""

    relay: Bytes64
    """The key of the relay."""
    peer: Bytes64
    """The key of the node that has the reservation."""
    expire: U64
    """In Unix time."""

    def sign(self, key: PrivateKey) -> bytes:
        """The voucher with the relay's signature, as it travels."""
        return _SIGNED.encode(_Signed(self, key.sign(_digest(self))))

    @classmethod
    def open(cls, data: bytes) -> "Voucher":
        """What a voucher says; DecodingError if it is none, or not signed by the relay that it names."""
        signed = _SIGNED.decode(data)
        if recover(_digest(signed.voucher), signed.signature) != PublicKey.from_bytes(signed.voucher.relay):
            raise DecodingError("the voucher is signed by another key than that of the relay which it names")
        return signed.voucher


@dataclass(frozen=True)
class _Signed:
    voucher: Voucher
    signature: Bytes65


_VOUCHER = codec(Voucher)
_SIGNED = codec(_Signed)


def _digest(voucher: Voucher) -> bytes:
    return keccak256(_CONTEXT + _VOUCHER.encode(voucher))
