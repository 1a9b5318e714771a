"""Headers, bodies, receipts and access lists: requests for them, and answers.

Answers hold what they bring as it came, since it has to be hashed: `devp2p.capabilities.ethereum` makes objects of it.
"""

from dataclasses import dataclass
from typing import ClassVar

from devp2p import Request, Response
from devp2p.capabilities.eth.messages import bounds
from devp2p.rlp import U64, Bytes32, Lazy, Raw, Rest


@dataclass(frozen=True)
class GetBlockHeaders(Request["BlockHeaders"]):
    """Headers from the block `start` on, a number or a hash, `skip` blocks apart (eth, "GetBlockHeaders")."""

    start: U64 | Bytes32
    limit: U64
    skip: U64 = 0
    reverse: bool = False

    rlp_nested: ClassVar[bool] = True
    max_size: ClassVar[int] = bounds.SMALL


@dataclass(frozen=True)
class BlockHeaders(Response):
    """Those that there are, in order; none if the first is not there."""

    headers: Lazy[Raw]

    max_size: ClassVar[int] = bounds.HEADERS


@dataclass(frozen=True)
class GetBlockBodies(Request["BlockBodies"]):
    """Bodies of the blocks with these hashes."""

    hashes: Lazy[Bytes32]

    max_size: ClassVar[int] = bounds.REQUEST


@dataclass(frozen=True)
class BlockBodies(Response):
    """Those that there are, in the order of the request."""

    bodies: Lazy[Raw]

    max_size: ClassVar[int] = bounds.BLOCK_DATA


@dataclass(frozen=True)
class GetReceipts69(Request["Receipts69"]):
    """In eth/69: all receipts of the blocks with these hashes."""

    hashes: Lazy[Bytes32]

    max_size: ClassVar[int] = bounds.REQUEST


@dataclass(frozen=True)
class Receipts69(Response):
    """For each block the RLP list of its receipts, each ``[type, status, gas, logs]`` (eth, "Receipt Encoding and Validity")."""

    receipts: Lazy[Raw]

    max_size: ClassVar[int] = bounds.BLOCK_DATA


@dataclass(frozen=True)
class GetReceipts(Request["Receipts"]):
    """From eth/70 on: those of the first block only from the receipt `first` on (eth, "GetReceipts")."""

    first: U64
    hashes: Lazy[Bytes32]

    max_size: ClassVar[int] = bounds.REQUEST


@dataclass(frozen=True)
class Receipts(Response):
    """From eth/70 on: with `incomplete`, the last of the lists ends before the block's last receipt (eth, "Receipts")."""

    incomplete: bool
    receipts: Lazy[Raw]

    max_size: ClassVar[int] = bounds.BLOCK_DATA


@dataclass(frozen=True)
class GetBlockAccessLists(Request["BlockAccessLists"]):
    """From eth/71 on: what was read and written by the blocks with these hashes (EIP-7928)."""

    hashes: Lazy[Bytes32]

    max_size: ClassVar[int] = bounds.REQUEST


@dataclass(frozen=True)
class BlockAccessLists(Response):
    """One item for each hash of the request, `MISSING` where a list is not there; fewer if not all fit (eth, "BlockAccessLists")."""

    access_lists: Lazy[Raw]

    max_size: ClassVar[int] = bounds.BLOCK_DATA


MISSING = b"\x80"
"""What stands for an access list that is not there: the RLP of an empty string. (That of an empty list is an access list.)"""


@dataclass(frozen=True)
class NewBlockHashes:
    """What a proof-of-work network announces: ``[hash, number]`` of each block, in RLP. Since the merge nobody may send it (EIP-3675)."""

    blocks: Rest

    max_size: ClassVar[int] = bounds.REQUEST


@dataclass(frozen=True)
class NewBlock:
    """A block that a proof-of-work network has made. Since the merge nobody may send it (EIP-3675)."""

    block: Raw
    total_difficulty: int

    max_size: ClassVar[int] = bounds.BLOCK_DATA
