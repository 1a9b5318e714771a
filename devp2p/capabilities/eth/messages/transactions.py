"""Transactions of the pools: sent, announced, asked for; and the cells of blobs, which travel apart from them since eth/72.

A transaction is an item of a list, as in block bodies: a legacy one a list, any other a byte string (EIP-2718).
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, TypeAlias

from devp2p import Request, Response
from devp2p.capabilities.eth.messages import bounds
from devp2p.rlp import U32, Bytes32, Lazy, Length, MaxLength, Raw, Rest

COLUMNS: Final = 128
"""Cells of a blob (EIP-7594), of `CELL_SIZE` bytes each; those at one index in all blobs of a transaction are a column."""
CELL_SIZE: Final = 2048

Bitmap: TypeAlias = Annotated[bytes, Length(16)]
"""A set of columns: see `bitmap_of`."""
Cell: TypeAlias = Annotated[bytes, Length(CELL_SIZE)]


def bitmap_of(columns: int) -> bytes:
    """Return the 16 bytes that stand for a set of columns, given as a number whose bit i is column i.

    On the wire column i is bit ``i % 8`` of byte ``i // 8``: go-ethereum has it so, and eth does not say.
    """
    return columns.to_bytes(16, "little")


def columns_of(bitmap: bytes) -> int:
    """Return the set of columns, as a number whose bit i is column i, that 16 bytes stand for."""
    return int.from_bytes(bitmap, "little")


@dataclass(frozen=True)
class Transactions:
    """Transactions that the peer is to take into its pool (eth, "Transactions")."""

    transactions: Rest

    max_size: ClassVar[int] = bounds.TRANSACTIONS
    rlp_max_items: ClassVar[int] = 5000  # as go-ethereum has it


@dataclass(frozen=True)
class NewPooledTransactionHashes71:
    """Up to eth/71: what has come into a pool; the three are of one length (eth, "NewPooledTransactionHashes")."""

    types: bytes
    sizes: Lazy[U32]
    hashes: Lazy[Bytes32]

    max_size: ClassVar[int] = bounds.ANNOUNCEMENT


@dataclass(frozen=True)
class NewPooledTransactionHashes:
    """From eth/72 on: the same, and which cells there are of all blobs in these transactions.

    Where no transaction has blobs, eth has 16 bytes nevertheless, and EIP-8070 none: both are read.
    """

    types: bytes
    sizes: Lazy[U32]
    hashes: Lazy[Bytes32]
    cells: Annotated[bytes, MaxLength(16)]

    max_size: ClassVar[int] = bounds.ANNOUNCEMENT


@dataclass(frozen=True)
class GetPooledTransactions(Request["PooledTransactions"]):
    """Transactions with these hashes."""

    hashes: Lazy[Bytes32]

    max_size: ClassVar[int] = bounds.REQUEST


@dataclass(frozen=True)
class PooledTransactions(Response):
    """Those of the request that there are, in its order. From eth/72 on blobs are left out (eth, "PooledTransactions")."""

    transactions: Lazy[Raw]

    max_size: ClassVar[int] = bounds.BLOCK_DATA


@dataclass(frozen=True)
class GetCells(Request["Cells"]):
    """From eth/72 on: the cells at these indices, of all blobs in these transactions (eth, "GetCells")."""

    hashes: Lazy[Bytes32]
    cells: Bitmap

    max_size: ClassVar[int] = bounds.REQUEST


@dataclass(frozen=True)
class Cells(Response):
    """From eth/72 on: for each transaction, by rising index, that cell of each of its blobs (eth, "Cells")."""

    hashes: Lazy[Bytes32]
    groups: Lazy[Lazy[Cell]]
    cells: Bitmap

    max_size: ClassVar[int] = bounds.CELLS
