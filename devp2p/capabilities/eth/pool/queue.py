"""The transactions of one sender, in the order of their nonces. Pure."""

from devp2p.capabilities.eth.pool.entries import Entry, Prices


class SenderQueue:
    """One sender's transactions: those that can be executed one behind the other (the run), and those behind a gap (futures)."""

    def __init__(self, nonce: int, balance: int, prices: Prices) -> None:
        self.nonce = nonce
        """The next nonce of the account."""
        self.balance = balance
        self.prices: Prices = prices
        """Those that the worth of the run is reckoned by."""
        self.entries: dict[int, Entry] = {}
        self.cost: int = 0
        """What all of them may cost together."""
        self.stamp = 0
        """Changes with whatever changes here."""
        self._worths: list[int] = []  # of the run: the least worth up to each, since none is executed before those in front of it

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def run(self) -> int:
        """How many can be executed."""
        return len(self._worths)

    @property
    def futures(self) -> int:
        """How many cannot be executed yet."""
        return len(self.entries) - len(self._worths)

    @property
    def missing(self) -> int:
        """The first nonce that is not here."""
        return self.nonce + len(self._worths)

    def is_future(self, entry: Entry) -> bool:
        """Whether one that is here cannot be executed yet."""
        return entry.nonce >= self.missing

    def last(self, taken: int = 0, *, future: bool) -> Entry:
        """The last of the run, or of the futures, when `taken` behind it are gone."""
        if future:
            return self.entries[sorted(nonce for nonce in self.entries if nonce >= self.missing)[-1 - taken]]
        return self.entries[self.missing - 1 - taken]

    def worth_of_last(self, taken: int = 0, *, future: bool) -> int | None:
        """What it is worth, in the run with those before it taken into account; None if there is none."""
        if future:
            return self.last(taken, future=True).worth(self.prices) if taken < self.futures else None
        return self._worths[-1 - taken] if taken < len(self._worths) else None

    def worth_of(self, entry: Entry) -> int:
        """What a newcomer would be worth at its place in the run."""
        before = entry.nonce - self.nonce
        own = entry.worth(self.prices)
        return min(own, self._worths[before - 1]) if 0 < before <= len(self._worths) else own

    def put(self, entry: Entry) -> Entry | None:
        """Take one in; return what it replaces."""
        old = self.entries.get(entry.nonce)
        self.entries[entry.nonce] = entry
        self.cost += entry.cost - (old.cost if old else 0)
        if old is None and entry.nonce == self.missing:
            self._extend()
        elif old is not None and entry.nonce < self.missing:
            self.reckon(self.prices)
        return old

    def drop(self, nonce: int) -> Entry:
        """Take one out; those of the run behind it become futures."""
        entry = self.entries.pop(nonce)
        self.cost -= entry.cost
        del self._worths[max(0, nonce - self.nonce) :]
        return entry

    def reckon(self, prices: Prices) -> None:
        """Find the run again, when the account or the prices have changed."""
        self.prices = prices
        self._worths.clear()
        self._extend()

    def _extend(self) -> None:
        least = self._worths[-1] if self._worths else None
        while (entry := self.entries.get(self.missing)) is not None:
            worth = entry.worth(self.prices)
            least = worth if least is None else min(least, worth)
            self._worths.append(least)
