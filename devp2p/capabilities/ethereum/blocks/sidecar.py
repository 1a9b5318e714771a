"""Blobs of a transaction with their commitments and proofs, which travel beside it (EIP-4844, EIP-7594) and are part of no block."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from devp2p import DecodingError, LocalProtocolError, rlp
from devp2p.capabilities.ethereum.blocks.reading import Fields

BLOB_SIZE: Final = 131_072
PROOF_SIZE: Final = 48
"""Bytes of a commitment, too."""
CELLS_PER_BLOB: Final = 128
"""In the extended form of a blob (EIP-7594), each with a proof."""
MAX_BLOBS: Final = 128
"""Of a transaction that is decoded: far more than one may have (EIP-7594: 6), and few enough that their proofs are soon read."""


@dataclass(frozen=True, repr=False)
class Sidecar:
    """The sidecar of a transaction of type 3.

    In version 0 there is a proof for each blob, in version 1 one for each cell: 128 for each blob. `blobs` is empty where they were elided,
    as eth/72 has it, in whose PooledTransactions an empty list stands for them (or an empty string, which becomes an empty list).
    """

    version: int
    blobs: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    proofs: tuple[bytes, ...]

    def __post_init__(self) -> None:
        for name, size in (("blobs", BLOB_SIZE), ("commitments", PROOF_SIZE), ("proofs", PROOF_SIZE)):
            if any(len(item) != size for item in getattr(self, name)):
                raise LocalProtocolError(f"each of `{name}` in a Sidecar has {size} bytes")

    @classmethod
    def take(cls, fields: Fields) -> Self:
        """Make a sidecar of the elements behind the transaction; DecodingError if they are none."""
        version = 0
        if fields and fields.data[fields.at] < 0xC0:
            version = fields.uint(1)
            if version != 1:
                raise DecodingError(f"a sidecar of version {version}, which is unknown")
        if version and fields and fields.data[fields.at] == 0x80:  # nil, for which Go's empty list is not the only form (EIP-8070)
            fields.string()
            blobs: tuple[bytes, ...] = ()
        else:
            blobs = fields.strings(BLOB_SIZE, MAX_BLOBS)
        commitments = fields.strings(PROOF_SIZE, MAX_BLOBS)
        proofs = fields.strings(PROOF_SIZE, MAX_BLOBS * CELLS_PER_BLOB)
        fields.close()
        return cls(version, blobs, commitments, proofs)

    def __repr__(self) -> str:
        """Count what is in it, which is far too long to show."""
        return f"<Sidecar version {self.version}: {len(self.blobs)} blobs, {len(self.commitments)} commitments, {len(self.proofs)} proofs>"

    @property
    def content(self) -> bytes:
        """What follows the transaction in the list that holds both. It is made anew each time, since it is large."""
        lists = b"".join(rlp.encode(items) for items in (self.blobs, self.commitments, self.proofs))
        return rlp.encode(self.version) + lists if self.version else lists

    @property
    def size(self) -> int:
        """Bytes of `content`."""
        blobs = rlp.list_size(sum(len(blob) + 4 for blob in self.blobs))
        return (1 if self.version else 0) + blobs + sum(rlp.list_size(49 * len(items)) for items in (self.commitments, self.proofs))

    @property
    def is_elided(self) -> bool:
        """Whether the blobs are not in it."""
        return not self.blobs and bool(self.commitments)

    def elided(self) -> Self:
        """Return it without its blobs."""
        return type(self)(self.version, (), self.commitments, self.proofs)

    def fault(self, blob_hashes: Sequence[bytes]) -> str | None:
        """Say what does not fit the transaction's `blob_hashes`: a count, or a commitment. None if all do; proofs are not verified."""
        if len(blob_hashes) != len(self.commitments):
            return f"{len(self.commitments)} commitments for {len(blob_hashes)} blob hashes"
        if self.blobs and len(self.blobs) != len(blob_hashes):
            return f"{len(self.blobs)} blobs for {len(blob_hashes)} blob hashes"
        wanted = len(blob_hashes) * (CELLS_PER_BLOB if self.version else 1)
        if len(self.proofs) != wanted:
            return f"{len(self.proofs)} proofs where {wanted} belong"
        for index, (commitment, blob_hash) in enumerate(zip(self.commitments, blob_hashes, strict=True)):
            if blob_hash_of(commitment) != blob_hash:
                return f"commitment {index} has another hash than the transaction says"
        return None


def blob_hash_of(commitment: bytes) -> bytes:
    """Return the versioned hash of a blob's commitment (EIP-4844)."""
    return b"\x01" + hashlib.sha256(commitment).digest()[1:]
