"""Every bound of the pool on one card."""

from dataclasses import dataclass

_FITTING = {"announce_hashes": 8192, "fetch_hashes": 4096, "fetch_cells_hashes": 4096, "broadcast_bytes": 2**20}
"""What fits into one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """What a `TransactionPool` holds, asks for and tells at most. Sizes are in bytes, times in seconds.

    docs/bounds.md says what other clients have in place of each, and why ours is what it is.
    """

    transactions: int = 5120
    """Transactions without blobs, of all senders."""
    transaction_bytes: int = 64 * 2**20
    """Their bytes in all."""
    transaction_size: int = 128 * 1024
    """The largest of them."""
    sender_guaranteed: int = 16
    """So many of one sender nobody displaces who has more than so many."""
    futures: int = 1024
    """Of these transactions, those that cannot be executed yet, since one of a lower nonce is missing."""
    sender_futures: int = 64
    """The same of one sender."""
    nonce_gap: int = 64
    """How far the nonce of a transaction may lie behind the first that is missing."""
    future_for: float = 10_800.0
    """After so long without a new one of the same sender they go."""
    price_bump: int = 10
    """By how many percent a replacement has to pay more, in each of its fees; also what displaces another in a full pool."""
    minimum_tip: int = 1
    """The least priority fee in wei per gas."""

    blob_transactions: int = 512
    """Blob transactions, of all senders."""
    blob_bytes: int = 128 * 2**20
    """Their bytes in all, sidecars and cells included."""
    blob_size: int = 2**20
    """The largest of them without its blobs and cells."""
    blobs: int = 6
    """Blobs of one transaction (EIP-7594)."""
    sender_blobs: int = 16
    """Blob transactions of one sender."""
    blob_price_bump: int = 100

    known: int = 32_768
    """Hashes that one peer is remembered to know; of these, half may be forgotten at any time."""
    refused: int = 32_768
    """Hashes of refused transactions, which are not asked for again."""
    refused_for: float = 300.0
    """How long they are remembered."""

    announced_by_peer: int = 4096
    """Hashes that one peer has announced, and that we have not got yet."""
    announced: int = 65_536
    """The same of all peers."""
    broadcast_wait: float = 0.5
    """How long an announced transaction may come whole from somebody else before we ask for it."""
    fetch_hashes: int = 256
    """Hashes of one GetPooledTransactions (eth, 0x09)."""
    fetch_bytes: int = 128 * 1024
    """Announced sizes of one GetPooledTransactions in all; its first hash may exceed that."""
    fetch_timeout: float = 5.0
    """After so long we ask somebody else."""
    serve_hashes: int = 1024
    """Hashes of one GetPooledTransactions that we look at."""

    announce_hashes: int = 4096
    """Hashes of one announcement (eth, 0x08); also what waits to be told to a peer."""
    broadcast_size: int = 4096
    """Larger transactions are announced only; with 0, all are."""
    broadcast_bytes: int = 100 * 1024
    """Bytes of one Transactions message; a single transaction may exceed that."""

    full_probability: float = 0.15
    """With this probability all blobs of a transaction are fetched, not only those cells that are in custody (eth, MIN_P)."""
    availability_threshold: int = 2
    """So many peers must have announced all cells before those in custody are fetched (eth, AVAILABILITY_THRESHOLD)."""
    availability_wait: float = 2.0
    """After so long without them all blobs are fetched of whoever has them."""
    cells_for: float = 120.0
    """How long a blob transaction may wait for its cells."""
    cells_bytes: int = 64 * 2**20
    """Bytes of the transactions and cells that wait for more cells."""
    cells_by_peer: int = 256
    """Blob transactions that wait for their cells and that one peer brought."""
    fetch_cells_hashes: int = 64
    """Hashes of one GetCells (eth, 0x14)."""
    fetch_cells_bytes: int = 2**20
    """Bytes of the cells that one GetCells asks for; its first transaction may exceed that."""

    junk: int = 64
    """After so many refused transactions, or repeated ones, a peer is rated down by one."""
    pause: float = 0.2
    """For so long a peer's messages wait when more than a quarter of what it sent was refused."""

    def __post_init__(self) -> None:
        """ValueError for what cannot work."""
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, int | float) or value < 0:
                raise ValueError(f"{name} of PoolLimits is a number from 0 on, not {value!r}")
        for name in ("transactions", "fetch_hashes", "announce_hashes", "serve_hashes", "broadcast_bytes", "known", "refused", "junk"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of PoolLimits is at least 1")
        for name, most in _FITTING.items():
            if getattr(self, name) > most:
                raise ValueError(f"{name} of PoolLimits is at most {most}: a message of eth holds no more")
        if not self.full_probability <= 1:
            raise ValueError(f"full_probability of PoolLimits is from 0 to 1, not {self.full_probability}")
