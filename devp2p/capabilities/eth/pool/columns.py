"""`ColumnPlan`: which cells of blob transactions are asked of whom (eth, "Blob Transaction and Cell Exchange"; EIP-8070). Pure.

Columns are a number whose bit i stands for column i, which is the cell of that index of every blob of a transaction.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, Generic, TypeVar

from devp2p.capabilities.eth.pool.limits import PoolLimits

P = TypeVar("P")

COLUMNS: Final = 128
ALL: Final = 2**COLUMNS - 1
DATA: Final = 2**64 - 1
"""The columns that are the blob itself; the others follow from any so many."""
ENOUGH: Final = 64
"""So many columns give all."""
CELL: Final = 2048
"""Bytes of a cell."""


def indices(columns: int) -> list[int]:
    """Which columns a number stands for, in ascending order."""
    return [index for index in range(COLUMNS) if columns >> index & 1]


def first(columns: int, count: int) -> int:
    """The lowest so many of some columns."""
    return sum(1 << index for index in indices(columns)[:count])


@dataclass(slots=True)
class _Plan(Generic[P]):
    full: bool
    since: float
    blobs: int = 0
    """0 until the transaction is here, and was found good."""
    held: int = 0
    sources: dict[P, int] = field(default_factory=dict[P, int])
    asked: dict[P, int] = field(default_factory=dict[P, int])

    @property
    def under_way(self) -> int:
        return self.held | union(self.asked.values())


def union(several: Iterable[int]) -> int:
    """All columns of several."""
    columns = 0
    for each in several:
        columns |= each
    return columns


class ColumnPlan(Generic[P]):
    """Blob transactions whose cells are wanted, or could be, by hash and by peer."""

    def __init__(self, limits: PoolLimits, custody: int, random: Callable[[], float]) -> None:
        self._limits = limits
        self._random = random
        self._plans: dict[bytes, _Plan[P]] = {}
        self._by_peer: dict[P, dict[bytes, None]] = {}
        self.custody: int = custody
        """The columns that are kept of every transaction."""

    def __len__(self) -> int:
        return len(self._plans)

    def announce(self, peer: P, name: bytes, columns: int, now: float) -> bool:
        """Note which columns a peer has; False if it has announced too many. Where all have, nothing is noted.

        The first announcement counts, as in go-ethereum.
        """
        own = self._by_peer.setdefault(peer, {})
        if name in own:
            return True
        if len(own) >= self._limits.announced_by_peer:
            self._forget_old(own, now)
        if not columns or len(own) >= self._limits.announced_by_peer:
            return False
        plan = self._plans.get(name)
        if plan is None:
            if len(self._plans) >= self._limits.announced:
                return True  # which is nobody's fault
            plan = self._plans[name] = _Plan(self._wants_all(), now)
        own[name] = None
        plan.sources[peer] = columns
        return True

    def expect(self, name: bytes, blobs: int, now: float, held: int = 0) -> None:
        """Note that a transaction is here, with so many blobs and these columns, so that the others are worth fetching."""
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = _Plan(self._wants_all(), now)
        plan.blobs, plan.held = blobs, held

    def is_complete(self, name: bytes) -> bool:
        """Whether all that is wanted of a transaction has come."""
        plan = self._plans.get(name)
        return plan is not None and plan.blobs > 0 and not self._missing(plan)

    def next_request(self, peer: P, now: float) -> tuple[list[bytes], int]:
        """Choose what to ask a peer for now, and note that it is asked: transactions, and the columns of all of them."""
        names, columns, cells = list[bytes](), 0, 0
        for name in self._by_peer.get(peer, ()):
            plan = self._plans[name]
            offered = self._offered(plan, peer, now)
            if not offered or (names and offered != columns):
                continue
            columns = offered
            cells += plan.blobs * columns.bit_count()
            if names and cells * CELL > self._limits.fetch_cells_bytes:
                break
            names.append(name)
            if len(names) >= self._limits.fetch_cells_hashes:
                break
        if names:
            columns |= self._noise(columns, [self._plans[name] for name in names], peer)
        for name in names:
            self._plans[name].asked[peer] = columns
        return names, columns

    def next_time(self, peer: P, now: float) -> float | None:
        """When there will be something to ask a peer for, if nothing else happens."""
        plans = (self._plans[name] for name in self._by_peer.get(peer, ()))
        waits = (plan.since + self._limits.availability_wait for plan in plans if plan.blobs and not plan.full and self._missing(plan))
        return min((moment for moment in waits if moment > now), default=None)

    def brought(self, peer: P, asked: list[bytes], brought: dict[bytes, int]) -> set[P]:
        """Note the end of a request, and which columns were brought. Returns who can be asked now.

        A peer is not asked again for what it left out; one that brought nothing of a transaction, for nothing of it.
        """
        free = set[P]()
        for name in asked:
            plan = self._plans.get(name)
            if plan is None:
                continue
            asked_for, came = plan.asked.pop(peer, 0), brought.get(name, 0)
            plan.held |= came
            if peer in plan.sources:
                plan.sources[peer] = plan.sources[peer] & ~asked_for | came if came else 0
                if not plan.sources[peer]:
                    del plan.sources[peer], self._by_peer[peer][name]
            free.update(plan.sources)
        return free

    def forget(self, name: bytes) -> None:
        """Forget a transaction."""
        plan = self._plans.pop(name, None)
        for peer in plan.sources if plan else ():
            del self._by_peer[peer][name]

    def leave(self, peer: P) -> set[P]:
        """Forget a peer; returns who can be asked now for what was asked of it."""
        free = set[P]()
        for name in self._by_peer.pop(peer, {}):
            plan = self._plans[name]
            del plan.sources[peer]
            if plan.asked.pop(peer, None):
                free.update(plan.sources)
            if not plan.sources and not plan.blobs:
                del self._plans[name]
        return free

    def sources(self, name: bytes) -> dict[P, int]:
        """Who has which columns of a transaction."""
        plan = self._plans.get(name)
        return dict(plan.sources) if plan else {}

    def offers(self, peer: P, name: bytes) -> int:
        """The columns of a transaction that a peer has."""
        plan = self._plans.get(name)
        return plan.sources.get(peer, 0) if plan else 0

    def _forget_old(self, own: dict[bytes, None], now: float) -> None:
        """Forget what a peer announced long ago and nobody has brought."""

        def is_old(name: bytes) -> bool:
            return self._plans[name].since + self._limits.cells_for <= now

        for name in [name for name in takewhile(is_old, own) if not self._plans[name].blobs]:
            self.forget(name)

    def _wants_all(self) -> bool:
        return self.custody.bit_count() >= ENOUGH or self._random() < self._limits.full_probability

    def _missing(self, plan: _Plan[P]) -> int:
        """How many more columns are wanted."""
        if plan.held.bit_count() >= ENOUGH:
            return 0
        return ENOUGH - plan.held.bit_count() if plan.full else (self.custody & ~plan.held).bit_count()

    def _offered(self, plan: _Plan[P], peer: P, now: float) -> int:
        """The columns of a transaction that a peer can be asked for now."""
        if not plan.blobs or peer in plan.asked or not self._missing(plan):
            return 0
        if not plan.full:
            has_all = sum(columns == ALL for columns in plan.sources.values())
            if not plan.held and has_all < self._limits.availability_threshold:
                if now < plan.since + self._limits.availability_wait:
                    return 0
                plan.full = True  # nobody else seems to have it: what few have is worth having whole
        free = plan.sources[peer] & ~plan.under_way
        if not plan.full:
            return free & self.custody
        return first(free, max(0, ENOUGH - plan.under_way.bit_count()))

    def _noise(self, columns: int, plans: list[_Plan[P]], peer: P) -> int:
        """One more column of whoever says it has all, so that it cannot do with the few that we usually ask for (EIP-8070)."""
        spare = ALL & ~columns
        if not spare or any(plan.sources[peer] != ALL for plan in plans):
            return 0
        choices = indices(spare & ~union(plan.under_way for plan in plans)) or indices(spare)
        return 1 << choices[min(int(self._random() * len(choices)), len(choices) - 1)]
