"""What peers say of themselves: Status at the beginning, and how their blocks change."""

from dataclasses import dataclass
from typing import ClassVar

from devp2p.capabilities.eth.messages import bounds
from devp2p.capabilities.ethereum import ForkId
from devp2p.rlp import U32, U64, Bytes32


@dataclass(frozen=True)
class Status:
    """The first message of both sides (eth, "Status")."""

    version: U32
    network_id: U64
    genesis: Bytes32
    fork_id: ForkId
    earliest: U64
    latest: U64
    latest_hash: Bytes32

    max_size: ClassVar[int] = bounds.SMALL


@dataclass(frozen=True)
class BlockRangeUpdate:
    """Bodies and receipts of the blocks from `earliest` to `latest` are there (eth, "BlockRangeUpdate")."""

    earliest: U64
    latest: U64
    latest_hash: Bytes32

    max_size: ClassVar[int] = bounds.SMALL
