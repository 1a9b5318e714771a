"""The messages of eth/69 to eth/72, and which version has which.

A class stands for one shape. Where a version changed a message, the one before has that version's number at its end: `Receipts69`, and
`Receipts` from eth/70 on; `NewPooledTransactionHashes71`, and `NewPooledTransactionHashes` from eth/72 on. Sizes are in `bounds`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from devp2p.capabilities.eth.messages.blocks import (
    MISSING,
    BlockAccessLists,
    BlockBodies,
    BlockHeaders,
    GetBlockAccessLists,
    GetBlockBodies,
    GetBlockHeaders,
    GetReceipts,
    GetReceipts69,
    NewBlock,
    NewBlockHashes,
    Receipts,
    Receipts69,
)
from devp2p.capabilities.eth.messages.session import BlockRangeUpdate, Status
from devp2p.capabilities.eth.messages.transactions import (
    CELL_SIZE,
    COLUMNS,
    Cells,
    GetCells,
    GetPooledTransactions,
    NewPooledTransactionHashes,
    NewPooledTransactionHashes71,
    PooledTransactions,
    Transactions,
    bitmap_of,
    columns_of,
)

EthMessage: TypeAlias = (
    Status
    | NewBlockHashes
    | Transactions
    | GetBlockHeaders
    | BlockHeaders
    | GetBlockBodies
    | BlockBodies
    | NewBlock
    | NewPooledTransactionHashes71
    | NewPooledTransactionHashes
    | GetPooledTransactions
    | PooledTransactions
    | GetReceipts69
    | Receipts69
    | GetReceipts
    | Receipts
    | BlockRangeUpdate
    | GetBlockAccessLists
    | BlockAccessLists
    | GetCells
    | Cells
)

_ETH69: Final[dict[int, type[Any]]] = {
    0x00: Status,
    0x01: NewBlockHashes,
    0x02: Transactions,
    0x03: GetBlockHeaders,
    0x04: BlockHeaders,
    0x05: GetBlockBodies,
    0x06: BlockBodies,
    0x07: NewBlock,
    0x08: NewPooledTransactionHashes71,
    0x09: GetPooledTransactions,
    0x0A: PooledTransactions,
    # 0x0b and 0x0c were never taken; 0x0d and 0x0e were GetNodeData and NodeData, which eth/67 removed
    0x0F: GetReceipts69,
    0x10: Receipts69,
    0x11: BlockRangeUpdate,
}
_ETH70: Final = _ETH69 | {0x0F: GetReceipts, 0x10: Receipts}
_ETH71: Final = _ETH70 | {0x12: GetBlockAccessLists, 0x13: BlockAccessLists}
_ETH72: Final = _ETH71 | {0x08: NewPooledTransactionHashes, 0x14: GetCells, 0x15: Cells}

MESSAGES: Final[Mapping[int, Mapping[int, type[Any]]]] = MappingProxyType({69: _ETH69, 70: _ETH70, 71: _ETH71, 72: _ETH72})
"""The table of each version."""
LENGTHS: Final[Mapping[int, int]] = MappingProxyType({69: 18, 70: 18, 71: 20, 72: 22})
"""How many message ids each version takes, on which the ids of other capabilities depend."""

__all__ = [
    "CELL_SIZE",
    "COLUMNS",
    "LENGTHS",
    "MESSAGES",
    "MISSING",
    "BlockAccessLists",
    "BlockBodies",
    "BlockHeaders",
    "BlockRangeUpdate",
    "Cells",
    "EthMessage",
    "GetBlockAccessLists",
    "GetBlockBodies",
    "GetBlockHeaders",
    "GetCells",
    "GetPooledTransactions",
    "GetReceipts",
    "GetReceipts69",
    "NewBlock",
    "NewBlockHashes",
    "NewPooledTransactionHashes",
    "NewPooledTransactionHashes71",
    "PooledTransactions",
    "Receipts",
    "Receipts69",
    "Status",
    "Transactions",
    "bitmap_of",
    "columns_of",
]
