"""`Shelf`: the transactions that a pool has, and the cells of their blobs. Pure.

Blob transactions have a `Ledger` of their own, with bounds of their own and no gaps, and a sender has transactions in one of the two only
(go-ethereum's rule), since neither knows what the other takes from its account.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from devp2p.capabilities.eth.pool.columns import ALL, CELL, DATA, ENOUGH, indices
from devp2p.capabilities.eth.pool.entries import BLOB_TYPE, Entry, Fault, Prices, Refusal
from devp2p.capabilities.eth.pool.judging import entry_of
from devp2p.capabilities.eth.pool.ledger import Ledger, LedgerLimits
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.ethereum import Account
from devp2p.capabilities.ethereum.blocks import Transaction

NOBODY = Account(0, 0, b"", b"")
"""An account that is not there."""


@dataclass(slots=True)
class Kept:
    """A transaction that the pool has. Of one with blobs, either these or cells of some columns."""

    transaction: Transaction
    """Without its blobs."""
    item: bytes
    """As it stands in a list, without its blobs."""
    blobs: tuple[bytes, ...] = ()
    cells: dict[int, tuple[bytes, ...]] = field(default_factory=dict[int, tuple[bytes, ...]])
    """By column: the cell of each blob."""
    told: int = 0
    """The columns that peers are told of."""
    since: float = 0.0
    """When it came."""

    @classmethod
    def of(cls, transaction: Transaction, blobs: Sequence[bytes] = (), cells: Mapping[int, Sequence[bytes]] | None = None) -> "Kept":
        """Make it of a transaction; the blobs of its own sidecar go if `blobs` does not repeat them."""
        elided = transaction.elided()
        return cls(elided, elided.raw, tuple(blobs), {column: tuple(its) for column, its in (cells or {}).items()})

    @property
    def hash(self) -> bytes:
        """The transaction's hash."""
        return self.transaction.hash

    @property
    def size(self) -> int:
        """What it is announced with in eth/72, and without blobs in every version."""
        return self.transaction.size

    @property
    def columns(self) -> int:
        """The columns that are here."""
        return ALL if self.blobs else sum(1 << column for column in self.cells)

    @property
    def footprint(self) -> int:
        """What it takes here."""
        return len(self.item) + sum(map(len, self.blobs)) + len(self.cells) * CELL * len(self.transaction.blob_hashes)

    def whole(self) -> Transaction | None:
        """The transaction with its blobs, as eth had it before eth/72; None if they are not here."""
        sidecar = self.transaction.sidecar
        if sidecar is None:
            return self.transaction
        return self.transaction.with_sidecar(replace(sidecar, blobs=self.blobs)) if self.blobs else None

    def data_cells(self) -> tuple[bytes, ...] | None:
        """The blobs, if the columns that they consist of are here."""
        if self.blobs:
            return self.blobs
        if self.columns & DATA != DATA:
            return None
        count = len(self.transaction.blob_hashes)
        return tuple(b"".join(self.cells[column][blob] for column in indices(DATA)[:ENOUGH]) for blob in range(count))


@dataclass(frozen=True, slots=True)
class Placed:
    """What taking a transaction has done."""

    ready: tuple[Kept, ...]
    """Those that can be executed now, and could not before."""
    gone: tuple[Entry, ...]


class Shelf:
    """Both ledgers, and what belongs to their entries."""

    def __init__(self, limits: PoolLimits) -> None:
        plain = LedgerLimits(
            count=limits.transactions,
            size=limits.transaction_bytes,
            sender=limits.transactions,
            guaranteed=limits.sender_guaranteed,
            futures=limits.futures,
            sender_futures=limits.sender_futures,
            gap=limits.nonce_gap,
            bump=limits.price_bump,
        )
        blobs = LedgerLimits(
            count=limits.blob_transactions,
            size=limits.blob_bytes,
            sender=limits.sender_blobs,
            guaranteed=limits.sender_blobs,
            futures=0,
            sender_futures=0,
            gap=0,
            bump=limits.blob_price_bump,
        )
        self.plain: Ledger = Ledger(plain)
        self.blobs: Ledger = Ledger(blobs)
        self._kept: dict[bytes, Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def __iter__(self) -> Iterator[Kept]:
        return iter(tuple(self._kept.values()))

    def get(self, name: bytes) -> Kept | None:
        """Return a transaction by its hash."""
        return self._kept.get(name)

    def ready(self) -> list[Kept]:
        """All that can be executed, a sender's in the order of their nonces."""
        found = list[Kept]()
        for ledger in (self.plain, self.blobs):
            for sender in ledger.senders():
                found += self._run(ledger, sender, None)
        return found

    def senders(self) -> tuple[bytes, ...]:
        """All senders."""
        return (*self.plain.senders(), *self.blobs.senders())

    def add(
        self, kept: Kept, account: Account | None, *, delegated: bool = False, authorities: frozenset[bytes] = frozenset()
    ) -> Placed | Refusal:
        """Take a transaction that was found good, or say why not.

        `account` is its sender's, None if there is none, and must have been told by `update`; `delegated`: whether that has a delegation.
        """
        transaction, account = kept.transaction, account or NOBODY
        is_blob = transaction.type == BLOB_TYPE
        ledger, other = (self.blobs, self.plain) if is_blob else (self.plain, self.blobs)
        sender = transaction.sender
        if kept.hash in self._kept:
            return Refusal(Fault.KNOWN, "it is here already")
        if other.queue(sender) is not None:
            return Refusal(Fault.FULL, f"its sender has transactions {'without' if is_blob else 'with'} blobs here")
        refusal = self._delegation_fault(transaction, account, authorities, delegated=delegated)
        if refusal is not None:
            return refusal
        before = self._missing(ledger, sender, account.nonce)
        added = ledger.add(entry_of(transaction, kept.footprint, authorities), account.nonce, account.balance)
        if isinstance(added, Refusal):
            return added
        self._kept[kept.hash] = kept
        gone = [*added.displaced, *([added.replaced] if added.replaced else [])]
        for entry in gone:
            del self._kept[entry.hash]
        if transaction.nonce < before:
            return Placed((kept,), tuple(gone))
        return Placed(tuple(self._run(ledger, sender, before)), tuple(gone))

    def update(self, sender: bytes, account: Account | None) -> Placed:
        """Tell of a sender's account at a new head."""
        nonce, balance = (account or NOBODY).nonce, (account or NOBODY).balance
        plain = self._update(self.plain, sender, nonce, balance)
        blobs = self._update(self.blobs, sender, nonce, balance)
        return Placed(plain.ready + blobs.ready, plain.gone + blobs.gone)

    def expire(self, sender: bytes, before: float) -> Placed:
        """Let go a sender's transactions that cannot be executed, since one before them is missing, if none has come after a time."""
        queue = self.plain.queue(sender)
        if queue is None or not queue.futures:
            return Placed((), ())
        waiting = [entry for entry in queue.entries.values() if queue.is_future(entry)]
        if any(self._kept[entry.hash].since > before for entry in waiting):
            return Placed((), ())
        for entry in waiting:
            self.remove(entry.hash)
        return Placed((), tuple(waiting))

    def reprice(self, prices: Prices) -> None:
        """Tell what the next block takes; a sender's transactions are reckoned anew by its next `update`."""
        self.plain.prices = self.blobs.prices = prices

    def remove(self, name: bytes) -> None:
        """Take one out, if it is here."""
        if self._kept.pop(name, None) is not None:
            _ = self.plain.remove(name) or self.blobs.remove(name)

    def enrich(self, name: bytes, blobs: Sequence[bytes], cells: Mapping[int, Sequence[bytes]]) -> Kept | None:
        """Add blobs or more cells to a transaction; None if it is not here, or there is no room for them, and it goes."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        if blobs:
            kept.blobs, kept.cells = tuple(blobs), {}
        else:
            kept.cells |= {column: tuple(its) for column, its in cells.items()}
        if not self.blobs.resize(name, kept.footprint):
            self.remove(name)
            return None
        return kept

    def _update(self, ledger: Ledger, sender: bytes, nonce: int, balance: int) -> Placed:
        queue = ledger.queue(sender)
        if queue is None:
            return Placed((), ())
        before = queue.missing
        gone = ledger.update(sender, nonce, balance)
        for entry in gone:
            del self._kept[entry.hash]
        return Placed(tuple(self._run(ledger, sender, max(before, nonce))), tuple(gone))

    def _delegation_fault(
        self, transaction: Transaction, account: Account, authorities: frozenset[bytes], *, delegated: bool
    ) -> Refusal | None:
        """Of whoever has a delegation, or gets one, one transaction at a time: others may spend its balance (EIP-7702)."""
        sender = transaction.sender
        ledger = self.blobs if transaction.type == BLOB_TYPE else self.plain
        queue = ledger.queue(sender)
        if delegated or self.plain.delegates(sender):
            if queue is None and transaction.nonce != account.nonce:
                return Refusal(Fault.GAPPED, "its sender has a delegation, so that only its next nonce is taken")
            if queue is not None and transaction.nonce not in queue.entries:
                return Refusal(Fault.FULL, "its sender has a delegation, and another transaction here")
        for authority in authorities:
            its = self.plain.queue(authority)
            if self.blobs.queue(authority) is not None or (its is not None and len(its) > 1):
                return Refusal(Fault.FULL, "it gives a delegation to an account that has others here")
        return None

    @staticmethod
    def _missing(ledger: Ledger, sender: bytes, nonce: int) -> int:
        queue = ledger.queue(sender)
        return nonce if queue is None else queue.missing

    def _run(self, ledger: Ledger, sender: bytes, start: int | None) -> list[Kept]:
        """A sender's transactions that can be executed, from a nonce on."""
        queue = ledger.queue(sender)
        if queue is None:
            return []
        nonces = range(queue.nonce if start is None else start, queue.missing)
        return [self._kept[queue.entries[nonce].hash] for nonce in nonces]
