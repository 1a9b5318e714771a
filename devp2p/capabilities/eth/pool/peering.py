"""What a pool keeps of one peer."""

from collections.abc import Iterable

import trio

from devp2p.capabilities.eth.pool.entries import Fault, Refusal
from devp2p.capabilities.eth.pool.known import KnownSet
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.eth.pool.protocols import PoolPeer

_BROUGHT = 8192
"""Hashes of transactions that a peer has sent whole, by which we see that it sends one again."""
_KIB = 1024


class Bell:
    """Wakes the one task that waits for it; if none does, the next."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake it."""
        self._event.set()

    async def heard(self, deadline: float = float("inf")) -> None:
        """Wait until it rings, or for the deadline."""
        with trio.CancelScope(deadline=deadline):
            await self._event.wait()
        self._event = trio.Event()


class PeerState:
    """One peer: what it knows, what it is to be told, and how it behaves."""

    def __init__(self, peer: PoolPeer, name: bytes, limits: PoolLimits) -> None:
        self.peer = peer
        self.name = name
        """Random; by it the peers are ranked that get transactions whole."""
        self.known: KnownSet = KnownSet(limits.known)
        self.whole: dict[bytes, bool] = {}
        """Hashes of what it is to be sent whole, in order."""
        self.tidings: dict[bytes, bool] = {}
        """Hashes of what it is to be told of, in order; True: even if it knows of it, since there are more cells now."""
        self.tell: Bell = Bell()
        self.fetch: Bell = Bell()
        self.fetch_cells: Bell = Bell()
        self._limits = limits
        self._brought = KnownSet(_BROUGHT)
        self._junk = 0

    def queue(self, where: dict[bytes, bool], name: bytes, *, again: bool = False) -> None:
        """Note what it is to be told; what has waited longest is forgotten where it is slow."""
        where[name] = again
        if len(where) > self._limits.announce_hashes:
            del where[next(iter(where))]

    def came(self, name: bytes) -> bool:
        """Note that it sent a transaction whole; False if it has done so before, which it must not (eth, "Transactions")."""
        self.known.add(name)
        if self._brought.add(name):
            return True
        self.junk(1, "sent a transaction again")
        return False

    def useful(self, sizes: Iterable[int]) -> None:
        """It brought new transactions of these sizes. What is good makes up for as much that is not."""
        for size in sizes:
            self._junk = max(0, self._junk - 1)
            self.peer.conduct.useful(size / _KIB, "brought a transaction")

    def refused(self, refusal: Refusal) -> None:
        """It brought a transaction that was refused. That it is dear to us, or known, is nobody's fault."""
        if refusal.fault is Fault.KNOWN:
            self._junk = max(0, self._junk - 1)
        elif refusal.fault in {Fault.INVALID, Fault.GAPPED, Fault.POOR}:
            self.junk(1, f"sent transactions that are invalid: {refusal.why}")

    def junk(self, count: int, why: str) -> None:
        """It brought what is of no use; every so many that nothing makes up for count as a fault."""
        self._junk += count
        while self._junk >= self._limits.junk:
            self._junk -= self._limits.junk
            self.peer.conduct.invalid(1, why)
