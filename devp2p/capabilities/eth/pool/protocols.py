"""`Pool`, which a user can replace, and `PoolPeer`, all of a peer that a pool sees."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from devp2p import ConductReport

CellGroups: TypeAlias = tuple[Sequence[bytes], Sequence[Sequence[bytes]], int]
"""What a Cells message says: the hashes of transactions, a group of cells for each of them, and the columns that all groups have.

Columns are a number whose bit i stands for column i. A group has, for each of these columns in ascending order, one cell of each blob.
"""


class PoolPeer(Protocol):
    """A peer, as a pool sees it. Every method raises `PeerDisconnected` after the session's end."""

    @property
    def version(self) -> int:
        """Which version of eth runs with the peer."""
        ...

    @property
    def conduct(self) -> ConductReport:
        """Where the peer's conduct is reported."""
        ...

    async def send_transactions(self, items: Sequence[bytes]) -> None:
        """Send whole transactions (Transactions, 0x02), each as it stands in a list: an RLP list, or for a type an RLP string."""
        ...

    async def announce(self, types: bytes, sizes: Sequence[int], hashes: Sequence[bytes], cells: int) -> None:
        """Announce transactions (NewPooledTransactionHashes, 0x08); `cells` goes out in eth/72 only."""
        ...

    async def fetch_transactions(self, hashes: Sequence[bytes]) -> Sequence[bytes]:
        """Ask for transactions (GetPooledTransactions, 0x09); the items as they came, unchecked. trio.TooSlowError if no answer comes."""
        ...

    async def fetch_cells(self, hashes: Sequence[bytes], columns: int) -> CellGroups:
        """Ask for cells of blob transactions (GetCells, 0x14); the answer as it came, unchecked. trio.TooSlowError if none comes."""
        ...


class Pool(Protocol):
    """Pending transactions, and their exchange with all peers (eth, "Transaction Exchange"). eth has one for all its sessions.

    RemoteProtocolError out of a method ends the session of the peer in question, and tells it why. The others may be called before `run`
    has begun, and may be called, or still be at work, when it has ended: they leave nothing behind then.
    """

    async def run(self, peer: PoolPeer) -> None:
        """Announce to a peer and fetch from it, from Status on; it is cancelled when the session ends, and does not return before."""
        ...

    async def received(self, peer: PoolPeer, items: Sequence[bytes]) -> None:
        """Take the transactions of a Transactions message; the peer's other messages wait as long."""
        ...

    async def announced(self, peer: PoolPeer, types: bytes, sizes: Sequence[int], hashes: Sequence[bytes], cells: int) -> None:
        """Take an announcement. The four need not fit each other; `cells` is 0 before eth/72."""
        ...

    async def transactions(self, peer: PoolPeer, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        """Answer GetPooledTransactions: the items that are here, in the order of `hashes`, up to about `size` bytes."""
        ...

    async def cells(self, peer: PoolPeer, hashes: Sequence[bytes], columns: int, *, size: int) -> CellGroups:
        """Answer GetCells, up to about `size` bytes."""
        ...
