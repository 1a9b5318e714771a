"""`Ledger`: which transactions a pool keeps when it cannot keep all. Pure.

What a full ledger gives up is always the last of some sender's, so nothing becomes a gap; and what it takes in its place can be executed at
once, and pays more. So a flood has to pay for what it drives out (CVE-2022-23327, CVE-2022-23328): transactions behind a gap drive out
their like only, one sender's cannot cost more together than the account has, nor drive out the guaranteed few of another when it has
more itself, and one that refers to cheap ones before it is worth what they are worth.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace

from devp2p.capabilities.eth.pool.entries import Entry, Fault, Prices, Refusal
from devp2p.capabilities.eth.pool.queue import SenderQueue

_Key = tuple[int, int, bytes]  # worth of the last, stamp, sender


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLimits:
    """How much a `Ledger` holds; as in `PoolLimits`."""

    count: int
    size: int
    sender: int
    guaranteed: int
    futures: int
    sender_futures: int
    gap: int
    bump: int


@dataclass(frozen=True, slots=True)
class Added:
    """A transaction was taken: what it replaced, and what had to go for it."""

    entry: Entry
    replaced: Entry | None = None
    displaced: tuple[Entry, ...] = ()


@dataclass(slots=True)
class _Shortage:
    """By how much a newcomer is too much."""

    count: int
    size: int
    futures: int

    @property
    def is_over(self) -> bool:
        return self.count <= 0 and self.size <= 0 and self.futures <= 0

    def relieve(self, size: int) -> None:
        self.count, self.size, self.futures = self.count - 1, self.size - size, self.futures - 1


class Ledger:
    """Transactions by sender and nonce, within bounds."""

    def __init__(self, limits: LedgerLimits) -> None:
        self.limits = limits
        self.prices: Prices = Prices()
        """Those of the next block, by which worth is reckoned; a sender's is reckoned anew when the sender is updated."""
        self.size: int = 0
        """The bytes of all."""
        self.futures: int = 0
        """How many cannot be executed yet."""
        self._queues: dict[bytes, SenderQueue] = {}
        self._entries: dict[bytes, Entry] = {}
        self._authorities: dict[bytes, int] = {}
        self._tails: list[_Key] = []
        self._large: list[_Key] = []
        self._futures: list[_Key] = []
        self._stamps = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, name: bytes) -> Entry | None:
        """Return a transaction by its hash."""
        return self._entries.get(name)

    def queue(self, sender: bytes) -> SenderQueue | None:
        """Return what is here of a sender; not to be changed."""
        return self._queues.get(sender)

    def senders(self) -> tuple[bytes, ...]:
        """All senders of what is here."""
        return tuple(self._queues)

    def delegates(self, account: bytes) -> bool:
        """Whether a transaction that is here gives an account a delegation."""
        return account in self._authorities

    def add(self, entry: Entry, nonce: int, balance: int) -> Added | Refusal:
        """Take a transaction, or say why not. `nonce` and `balance` are those of its sender's account at the head."""
        if entry.hash in self._entries:
            return Refusal(Fault.KNOWN, "it is here already")
        if entry.nonce < nonce:
            return Refusal(Fault.INVALID, f"its nonce is {entry.nonce}, and the account's next one is {nonce}")
        queue = self._queues.get(entry.sender)
        if queue is None:
            queue = SenderQueue(nonce, balance, self.prices)
        elif (queue.nonce, queue.balance) != (nonce, balance):
            raise ValueError("update the sender of a transaction before you add it")
        old = queue.entries.get(entry.nonce)
        refusal = self._fault(entry, queue, old)
        if refusal is not None:
            return refusal
        victims = self._make_room(entry, queue, old)
        if isinstance(victims, Refusal):
            return victims
        for victim in victims:
            self._drop(victim)
        self._queues[entry.sender] = queue
        before = queue.futures
        queue.put(entry)
        self._count(entry, 1)
        if old is not None:
            del self._entries[old.hash]
            self._count(old, -1)
        self._entries[entry.hash] = entry
        self.futures += queue.futures - before
        self._changed(entry.sender, queue)
        return Added(entry, old, tuple(victims))

    def update(self, sender: bytes, nonce: int, balance: int) -> list[Entry]:
        """Tell of a sender's account at a new head; returns what had to go, the last ones first where the balance is too small."""
        queue = self._queues.get(sender)
        if queue is None or (queue.nonce, queue.balance, queue.prices) == (nonce, balance, self.prices):
            return []
        gone = [queue.entries[used] for used in sorted(queue.entries) if used < nonce]
        for entry in gone:
            self._drop(entry)
        if not queue.entries:
            return gone
        before = queue.futures
        queue.nonce, queue.balance = nonce, balance
        queue.reckon(self.prices)
        self.futures += queue.futures - before
        for last in sorted(queue.entries, reverse=True):
            too_many = queue.futures > self.limits.sender_futures or self.futures > self.limits.futures
            if queue.cost <= balance and not (too_many and queue.futures):
                break
            gone.append(queue.entries[last])
            self._drop(gone[-1])
        if queue.entries:
            self._changed(sender, queue)
        return gone

    def remove(self, name: bytes) -> Entry | None:
        """Take one out, if it is here."""
        entry = self._entries.get(name)
        if entry is not None:
            self._drop(entry)
        return entry

    def resize(self, name: bytes, size: int) -> bool:
        """Note that one that is here takes so many bytes now; False if that is too much, and nothing has changed."""
        entry = self._entries[name]
        total = self.size + size - entry.size
        if total > self.limits.size:
            return False
        resized = replace(entry, size=size)
        self._entries[name] = self._queues[entry.sender].entries[entry.nonce] = resized
        self.size = total
        return True

    def _fault(self, entry: Entry, queue: SenderQueue, old: Entry | None) -> Refusal | None:
        """What the sender's other transactions have against it."""
        limits = self.limits
        if old is not None and not entry.bumps(old, limits.bump):
            return Refusal(Fault.CHEAP, f"to replace another of nonce {entry.nonce}, each of its fees has to be {limits.bump} % higher")
        cost = queue.cost + entry.cost - (old.cost if old else 0)
        if cost > queue.balance:
            return Refusal(Fault.POOR, f"with the sender's others it may cost {cost} wei, and the account has {queue.balance}")
        if old is not None:
            return None
        if len(queue) >= limits.sender:
            return Refusal(Fault.FULL, f"its sender has {len(queue)} here already")
        if entry.nonce > queue.missing:
            if entry.nonce - queue.missing > limits.gap:
                return Refusal(Fault.GAPPED, f"its nonce is {entry.nonce}, and {queue.missing} is missing: a gap above {limits.gap}")
            if queue.futures >= limits.sender_futures:
                return Refusal(Fault.GAPPED, f"its sender has {queue.futures} others that wait for nonce {queue.missing}")
        return None

    def _make_room(self, entry: Entry, queue: SenderQueue, old: Entry | None) -> list[Entry] | Refusal:
        """Choose what has to go for a newcomer; nothing goes yet, so that one that is refused drives out nobody."""
        limits = self.limits
        is_future = entry.nonce > queue.missing
        short = _Shortage(
            len(self._entries) + (old is None) - limits.count,
            self.size + entry.size - (old.size if old else 0) - limits.size,
            self.futures + (is_future and old is None) - limits.futures if is_future else 0,
        )
        victims = list[Entry]()
        if short.is_over:
            return victims
        self._choose(victims, short, entry, self._futures, entry.worth(self.prices) if is_future else None, least=0, future=True)
        if short.is_over:
            return victims
        if is_future:
            return Refusal(Fault.FULL, "the pool is full, and it waits for another that is missing")
        price = queue.worth_of(entry)
        if len(queue) >= limits.guaranteed:
            self._choose(victims, short, entry, self._large, price, least=limits.guaranteed, future=False)
        else:
            self._choose(victims, short, entry, self._tails, price, least=0, future=False)
        if not short.is_over:
            return Refusal(Fault.CHEAP, "the pool is full of transactions that pay as much, or are the few of their senders")
        return victims

    def _choose(  # noqa: PLR0913  (called in one place)
        self, victims: list[Entry], short: "_Shortage", entry: Entry, heap: list[_Key], price: int | None, *, least: int, future: bool
    ) -> None:
        """Choose the last transactions of senders, the least worth first, as long as room is short and they are worth less than `price`.

        Senders keep `least`. None as a price is above all.
        """
        taken, kept = dict[bytes, int](), list[_Key]()
        while heap and not short.is_over:
            worth, stamp, sender = key = heapq.heappop(heap)
            queue, gone = self._queues.get(sender), taken.get(sender, 0)
            if queue is None or queue.stamp != stamp or queue.worth_of_last(gone, future=future) != worth:
                continue
            if not gone:
                kept.append(key)
            if sender == entry.sender or len(queue) - gone <= least:
                continue
            if price is not None and not _pays_more(price, worth, self.limits.bump):
                break
            victims.append(queue.last(gone, future=future))
            short.relieve(victims[-1].size)
            taken[sender] = gone + 1
            following = queue.worth_of_last(gone + 1, future=future)
            if following is not None:
                heapq.heappush(heap, (following, stamp, sender))
        for key in kept:
            heapq.heappush(heap, key)

    def _drop(self, entry: Entry) -> None:
        queue = self._queues[entry.sender]
        before = queue.futures
        queue.drop(entry.nonce)
        del self._entries[entry.hash]
        self._count(entry, -1)
        self.futures += queue.futures - before
        if queue.entries:
            self._changed(entry.sender, queue)
        else:
            del self._queues[entry.sender]

    def _count(self, entry: Entry, sign: int) -> None:
        self.size += sign * entry.size
        for account in entry.authorities:
            left = self._authorities.get(account, 0) + sign
            if left:
                self._authorities[account] = left
            else:
                del self._authorities[account]

    def _changed(self, sender: bytes, queue: SenderQueue) -> None:
        """Note where a sender stands now in the orders of who goes first. Old notes are left behind, and thrown away when they are many."""
        self._stamps += 1
        queue.stamp = self._stamps
        most = 4 * len(self._queues) + 64
        for heap, key in zip((self._tails, self._large, self._futures), self._keys(sender, queue), strict=True):
            if key is not None:
                heapq.heappush(heap, key)
            if len(heap) > most:
                self._tidy()

    def _keys(self, sender: bytes, queue: SenderQueue) -> tuple[_Key | None, _Key | None, _Key | None]:
        """Where a sender stands among the last of runs, those of large senders, and the last of futures."""
        worth, stamp = queue.worth_of_last(future=False), queue.stamp
        tail = None if worth is None else (worth, stamp, sender)
        worth = queue.worth_of_last(future=True) if queue.futures else None
        return tail, tail if len(queue) > self.limits.guaranteed else None, None if worth is None else (worth, stamp, sender)

    def _tidy(self) -> None:
        every = [self._keys(sender, queue) for sender, queue in self._queues.items()]
        for at, heap in enumerate((self._tails, self._large, self._futures)):
            heap[:] = [key for keys in every if (key := keys[at]) is not None]
            heapq.heapify(heap)


def _pays_more(ours: int, theirs: int, bump: int) -> bool:
    return ours > theirs if theirs <= 0 else 100 * ours >= (100 + bump) * theirs
