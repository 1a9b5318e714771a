"""Blobs whose proofs cost nothing: a stand-in for KZG, where a test is of who asks whom for what. tests/.../test_kzg.py has true ones."""

import hashlib
from collections.abc import Sequence
from typing import Any

from devp2p.capabilities.eth.pool import CellGroups
from devp2p.capabilities.eth.pool.columns import indices
from devp2p.capabilities.ethereum.blocks import Sidecar, Transaction, blob_hash_of
from tests.capabilities.pool.worlds import transfer

COLUMNS, CELL = 128, 2048


def extended(blob: bytes) -> list[bytes]:
    """The cells of a blob; those of its second half are the others with all bits turned."""
    cells = [blob[at : at + CELL] for at in range(0, len(blob), CELL)]
    return cells + [turned(cell) for cell in cells]


def turned(cell: bytes) -> bytes:
    return (int.from_bytes(cell, "big") ^ (1 << 8 * CELL) - 1).to_bytes(CELL, "big")


def commitment_of(blob: bytes) -> bytes:
    return hashlib.sha3_384(blob).digest()


def proof_of(commitment: bytes, column: int, cell: bytes) -> bytes:
    return hashlib.sha3_384(commitment + bytes([column]) + cell).digest()


class Seals:
    """Verifies as KZG would, by hashes."""

    def __init__(self) -> None:
        self.verified = 0
        self.recovered = 0

    async def verify_cells(
        self, commitments: Sequence[bytes], columns: Sequence[int], cells: Sequence[bytes], proofs: Sequence[bytes]
    ) -> bool:
        self.verified += len(cells)
        return all(
            proof_of(commitment, column, cell) == proof
            for commitment, column, cell, proof in zip(commitments, columns, cells, proofs, strict=True)
        )

    async def verify_blobs(self, blobs: Sequence[bytes], commitments: Sequence[bytes], proofs: Sequence[bytes]) -> bool:
        cells = [cell for blob in blobs for cell in extended(blob)]
        every = [commitment for commitment in commitments for _ in range(COLUMNS)]
        return await self.verify_cells(every, list(range(COLUMNS)) * len(blobs), cells, proofs)

    async def extend(self, blobs: Sequence[bytes]) -> list[list[bytes]]:
        return [extended(blob) for blob in blobs]

    async def recover(self, columns: Sequence[int], cells: Sequence[Sequence[bytes]]) -> list[bytes]:
        self.recovered += 1
        blobs = []
        for row in cells:
            data = {
                column % 64: cell if column < 64 else bytes(255 - each for each in cell) for column, cell in zip(columns, row, strict=True)
            }
            blobs.append(b"".join(data[column] for column in range(64)))
        return blobs

    async def commitments(self, blobs: Sequence[bytes]) -> list[bytes]:
        return list(map(commitment_of, blobs))


def blob_of(number: int) -> bytes:
    return bytes([0, number]) * (CELL * 32)


def blob_transaction(number: int = 1, count: int = 1, sender: int = 0, nonce: int = 0, **fields: Any) -> Transaction:
    """A transaction with `count` blobs, with its sidecar."""
    blobs = tuple(blob_of(number + at) for at in range(count))
    commitments = tuple(map(commitment_of, blobs))
    proofs = tuple(
        proof_of(commitment, column, cell)
        for commitment, blob in zip(commitments, blobs, strict=True)
        for column, cell in enumerate(extended(blob))
    )
    hashes = tuple(map(blob_hash_of, commitments))
    values: dict[str, Any] = {"type": 3, "blob_hashes": hashes, "max_blob_fee": 100, "gas_limit": 100_000} | fields
    bare = transfer(sender, nonce, **values)
    return bare.with_sidecar(Sidecar(1, blobs, commitments, proofs))


def cells_answer(transactions: Sequence[Transaction], hashes: Sequence[bytes], columns: int) -> CellGroups:
    """What a peer that has all of these answers."""
    known = {each.hash: each for each in transactions}
    groups = list[list[bytes]]()
    for name in hashes:
        sidecar = known[name].sidecar
        assert sidecar is not None
        rows = [extended(blob) for blob in sidecar.blobs]
        groups.append([row[column] for column in indices(columns) for row in rows])
    return list(hashes), groups, columns
