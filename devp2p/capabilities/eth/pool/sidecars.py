"""`Sidecars`: blob transactions that wait for cells, and cells for those who ask (eth, "Blob Transaction and Cell Exchange")."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from devp2p import LocalProtocolError, RemoteProtocolError
from devp2p.capabilities.eth.pool.columns import ALL, CELL, COLUMNS, DATA, ENOUGH, ColumnPlan, first, indices
from devp2p.capabilities.eth.pool.entries import Fault, Refusal
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.eth.pool.peering import PeerState
from devp2p.capabilities.eth.pool.protocols import CellGroups
from devp2p.capabilities.eth.pool.shelf import Kept, Shelf
from devp2p.capabilities.ethereum.blocks import Transaction

_logger = logging.getLogger(__name__)
_LIE = 4
_Rows: TypeAlias = dict[int, tuple[bytes, ...]]  # by column: the cell of each blob
EXTENSIONS = 64
"""Blobs that are extended for one answer, in about a second; who asks for 1 MiB of cells, with one in the second half, needs no more."""
_EXTENDED = 8
"""Transactions of which the columns beyond the blobs are kept for the next who asks."""


class Prover(Protocol):
    """What verifies and computes cells; `kzg.Kzg`."""

    async def verify_cells(
        self, commitments: Sequence[bytes], columns: Sequence[int], cells: Sequence[bytes], proofs: Sequence[bytes]
    ) -> bool:
        """Whether each cell, in its column, belongs to the blob of its commitment."""
        ...

    async def verify_blobs(self, blobs: Sequence[bytes], commitments: Sequence[bytes], proofs: Sequence[bytes]) -> bool:
        """Whether blobs are those of their commitments, and all cells those of the proofs."""
        ...

    async def extend(self, blobs: Sequence[bytes]) -> list[list[bytes]]:
        """All cells of each blob."""
        ...

    async def recover(self, columns: Sequence[int], cells: Sequence[Sequence[bytes]]) -> list[bytes]:
        """Blobs, of cells in half of the columns."""
        ...

    async def commitments(self, blobs: Sequence[bytes]) -> list[bytes]:
        """The commitment of each blob."""
        ...


@dataclass(slots=True)
class Waiting:
    """A good blob transaction, of which cells are missing."""

    kept: Kept
    bringer: PeerState
    since: float
    cells: dict[int, tuple[bytes, ...]] = field(default_factory=dict[int, tuple[bytes, ...]])

    @property
    def footprint(self) -> int:
        """Bytes that it takes."""
        return len(self.kept.item) + len(self.cells) * CELL * len(self.kept.transaction.blob_hashes)


class Sidecars:
    """Cells: those that are wanted, those that have come and are not enough yet, those that are asked of us."""

    def __init__(self, shelf: Shelf, limits: PoolLimits, prover: Prover, random: Callable[[], float]) -> None:
        self.plan: ColumnPlan[PeerState] = ColumnPlan(limits, ALL, random)
        self._shelf = shelf
        self._limits = limits
        self._prover = prover
        self._waiting: dict[bytes, Waiting] = {}
        self._extended: dict[bytes, list[list[bytes]]] = {}
        self._spoilt: list[tuple[Transaction, dict[PeerState, int]]] = []

    def __contains__(self, name: bytes) -> bool:
        return name in self._waiting

    def get(self, name: bytes) -> Waiting | None:
        """Return one that waits."""
        return self._waiting.get(name)

    def expect(self, transaction: Transaction, bringer: PeerState, now: float) -> Refusal | None:
        """Let a good transaction wait for its cells, or say why not."""
        for name in [name for name, each in self._waiting.items() if each.since + self._limits.cells_for <= now]:
            self.forget(name)
        waiting = Waiting(Kept.of(transaction), bringer, now)
        own = sum(each.bringer is bringer for each in self._waiting.values())
        if own < self._limits.cells_by_peer:
            self._waiting[transaction.hash] = waiting
            self._keep_within()
        if transaction.hash not in self._waiting:
            return Refusal(Fault.FULL, "too many blob transactions wait for their cells")
        self.plan.expect(transaction.hash, len(transaction.blob_hashes), now)
        return None

    def done(self, name: bytes) -> Waiting | None:
        """Return one that waits no more, if it did."""
        return self._waiting.pop(name, None)

    def forget(self, name: bytes) -> None:
        """Forget one that waits, or has gone."""
        self._waiting.pop(name, None)
        self._extended.pop(name, None)
        self.plan.forget(name)

    async def verify_blobs(self, transaction: Transaction) -> None:
        """See that a transaction's blobs are those that it names; RemoteProtocolError if not."""
        sidecar = transaction.sidecar
        if sidecar is None or not await self._prover.verify_blobs(sidecar.blobs, sidecar.commitments, sidecar.proofs):
            raise RemoteProtocolError(f"blobs of the transaction {transaction.hash.hex()} that are not those of its commitments")

    async def take(self, asked: list[bytes], columns: int, answer: CellGroups) -> dict[bytes, dict[int, tuple[bytes, ...]]]:
        """Take the answer to a request of ours; return the cells by transaction and column. RemoteProtocolError if they are not those."""
        hashes, groups, brought = answer
        self._check(asked, columns, answer)
        own = indices(brought)
        found = dict[bytes, dict[int, tuple[bytes, ...]]]()
        commitments, places, cells, proofs = list[bytes](), list[int](), list[bytes](), list[bytes]()
        for name, group in zip(hashes, groups, strict=True):
            transaction = self._transaction(name)
            if transaction is None or transaction.sidecar is None:
                continue  # it has gone since we asked
            blobs = len(transaction.blob_hashes)
            if len(group) != blobs * len(own):
                raise RemoteProtocolError(f"{len(group)} cells for {len(own)} columns of {blobs} blobs")
            found[name] = {column: tuple(group[at * blobs : (at + 1) * blobs]) for at, column in enumerate(own)}
            for column, row in found[name].items():
                commitments += transaction.sidecar.commitments
                places += [column] * blobs
                cells += row
                proofs += [transaction.sidecar.proofs[blob * COLUMNS + column] for blob in range(blobs)]
        if any(len(cell) != CELL for cell in cells):
            raise RemoteProtocolError(f"a cell that has not {CELL} bytes")
        if cells and not await self._prover.verify_cells(commitments, places, cells, proofs):
            found = await self._true_ones(found)
        for name, its in found.items():
            waiting = self._waiting.get(name)
            if waiting is not None:
                waiting.cells |= its
            else:
                self._shelf.enrich(name, (), its)
        self._keep_within()
        return found

    def spoilt(self) -> list[tuple[Transaction, dict[PeerState, int]]]:
        """Return, once, which transactions had come with wrong proofs, and who has which columns of them."""
        spoilt, self._spoilt = self._spoilt, []
        return spoilt

    async def _true_ones(self, found: dict[bytes, _Rows]) -> dict[bytes, _Rows]:
        """Of cells that are not all proved, return those that are; RemoteProtocolError if whoever brought the others has lied.

        Nothing but the cells tells whether proofs are right, which came with the transaction, maybe from somebody else, and which its hash
        does not cover. So cells are held against the commitment if there are enough of them; then who brought the proofs has lied.
        """
        true = dict[bytes, _Rows]()
        for name, rows in found.items():
            transaction = self._transaction(name)
            if transaction is None or transaction.sidecar is None:
                continue
            count, proofs = len(transaction.blob_hashes), transaction.sidecar.proofs
            cells = [(cell, column, blob) for column, row in rows.items() for blob, cell in enumerate(row)]
            if await self._prover.verify_cells(
                [transaction.sidecar.commitments[blob] for _, _, blob in cells],
                [column for _, column, _ in cells],
                [cell for cell, _, _ in cells],
                [proofs[blob * COLUMNS + column] for _, column, blob in cells],
            ):
                true[name] = rows
                continue
            if len(rows) < ENOUGH or list(transaction.sidecar.commitments) != await self._commitments(transaction, rows, count):
                raise RemoteProtocolError("cells that are not those of their blobs")
            waiting = self._waiting.get(name)
            if waiting is not None:
                waiting.bringer.peer.conduct.invalid(_LIE, "brought a blob transaction with wrong proofs of its cells")
                sources = self.plan.sources(name)
                sources.pop(waiting.bringer, None)
                self._spoilt.append((waiting.kept.transaction, sources))
                self.forget(name)
        return true

    async def _commitments(self, transaction: Transaction, rows: _Rows, count: int) -> list[bytes]:
        """The commitments of blobs of which there are enough cells; none if the cells are no blob's."""
        columns = sorted(rows)
        blobs = Kept(transaction, b"", cells=rows).data_cells()
        try:
            if blobs is None:
                blobs = tuple(await self._prover.recover(columns, [[rows[column][blob] for column in columns] for blob in range(count)]))
            return await self._prover.commitments(blobs)
        except LocalProtocolError:
            return []

    def _keep_within(self) -> None:
        """Let go what waits beyond the bound: the last of whichever peer has brought most of it."""
        held = Counter[PeerState]()
        for each in self._waiting.values():
            held[each.bringer] += each.footprint
        while held.total() > self._limits.cells_bytes:
            most = max(held, key=held.__getitem__)
            name = next(name for name in reversed(self._waiting) if self._waiting[name].bringer is most)
            held[most] -= self._waiting[name].footprint
            self.forget(name)

    async def assemble(self, name: bytes) -> tuple[tuple[bytes, ...], dict[int, tuple[bytes, ...]]]:
        """Return what has come of a transaction: its blobs, if the cells are enough for that, else the cells."""
        waiting, kept = self._waiting.get(name), self._shelf.get(name)
        transaction = self._transaction(name)
        cells = dict(waiting.cells if waiting else kept.cells if kept else {})
        if transaction is None or len(cells) < ENOUGH:
            return (), cells
        blobs = Kept(transaction, b"", cells=cells).data_cells()
        if blobs is None:
            columns = sorted(cells)
            rows = [[cells[column][blob] for column in columns] for blob in range(len(transaction.blob_hashes))]
            blobs = tuple(await self._prover.recover(columns, rows))
        return blobs, {}

    async def serve(self, hashes: Sequence[bytes], columns: int, size: int) -> CellGroups:
        """Answer GetCells: the columns of the first transaction that are here, and of the others that have all of these."""
        names, groups, room, told, work = list[bytes](), list[list[bytes]](), size, 0, EXTENSIONS
        for name in dict.fromkeys(hashes[: self._limits.fetch_cells_hashes]):
            kept = self._shelf.get(name)
            if kept is None or not kept.columns:
                continue
            blobs = len(kept.transaction.blob_hashes)
            if not names:
                told = first(columns & kept.columns, max(1, room // (CELL * blobs)))
            cost = told.bit_count() * blobs * CELL
            extensions = blobs if self._has_to_extend(kept, told) else 0
            if not told or told & ~kept.columns or (names and (cost > room or extensions > work)):
                continue
            work -= extensions
            try:
                group = await self._cells(kept, told)
            except LocalProtocolError as error:
                _logger.warning("cells of %s cannot be computed: %s", name.hex(), error)
                continue
            names.append(name)
            groups.append(group)
            room -= cost
        return names, groups, told if names else 0

    def _has_to_extend(self, kept: Kept, columns: int) -> bool:
        return bool(kept.blobs and columns & ~DATA) and kept.hash not in self._extended

    async def _cells(self, kept: Kept, columns: int) -> list[bytes]:
        wanted, blobs = indices(columns), kept.blobs
        if not blobs:
            return [cell for column in wanted for cell in kept.cells[column]]
        if not columns & ~DATA:
            return [blob[column * CELL : (column + 1) * CELL] for column in wanted for blob in blobs]
        name = kept.hash
        extended = self._extended.pop(name, None)
        if extended is None:
            extended = await self._prover.extend(blobs)
        self._extended[name] = extended
        while len(self._extended) > _EXTENDED:
            del self._extended[next(iter(self._extended))]
        return [row[column] for column in wanted for row in extended]

    def _transaction(self, name: bytes) -> Transaction | None:
        waiting = self._waiting.get(name)
        kept = self._shelf.get(name) if waiting is None else waiting.kept
        return None if kept is None else kept.transaction

    @staticmethod
    def _check(asked: list[bytes], columns: int, answer: CellGroups) -> None:
        """See that an answer is one to what was asked (eth, "Cells")."""
        hashes, groups, brought = answer
        if brought & ~columns:
            raise RemoteProtocolError("cells of columns that nobody asked for")
        if len(hashes) != len(groups):
            raise RemoteProtocolError(f"{len(groups)} groups of cells for {len(hashes)} transactions")
        places = {name: at for at, name in enumerate(asked)}
        order = [places.get(name, -1) for name in hashes]
        if -1 in order or order != sorted(set(order)):
            raise RemoteProtocolError("cells of transactions that nobody asked for, or not in the order of the request")
        if not brought and any(groups):
            raise RemoteProtocolError("cells without a column")
