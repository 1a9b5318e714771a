"""What is remembered of hashes, within bounds: which of them a peer knows, and which we have refused. Pure."""

import hashlib
from collections.abc import Iterable
from math import isqrt
from typing import TypeVar

from devp2p.capabilities.eth.pool.entries import Refusal

P = TypeVar("P")


class KnownSet:
    """Hashes that a peer knows, the newest of them: at least half of `most`, never more.

    There are two generations, and when the younger one is full it takes the other's place, so that nothing need be kept in order. Of a
    hash 61 bits are kept, by Python's keyed hash of strings, which nobody outside can make collide; a set for each peer is a pool's largest
    cost.
    """

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._young: set[int] = set()
        self._old: set[int] = set()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, name: bytes) -> bool:
        key = hash(name)
        return key in self._young or key in self._old

    def add(self, name: bytes) -> bool:
        """Note that the peer knows it; False if it did already."""
        key = hash(name)
        if key in self._young:
            return False
        is_new = key not in self._old
        if len(self._young) >= self._half:
            self._old, self._young = self._young, set()
        self._young.add(key)
        if not is_new:
            self._old.discard(key)
        return is_new

    def update(self, names: Iterable[bytes]) -> None:
        """Note several."""
        for name in names:
            self.add(name)


class RefusedSet:
    """Hashes of transactions that were refused, for a while, so that they are not fetched again."""

    def __init__(self, most: int, lifetime: float) -> None:
        self._most = most
        self._lifetime = lifetime
        self._since: dict[bytes, tuple[float, Refusal]] = {}

    def __len__(self) -> int:
        return len(self._since)

    def get(self, name: bytes, now: float) -> Refusal | None:
        """Why it was refused, if that is not too long ago."""
        since, refusal = self._since.get(name, (-float("inf"), None))
        return refusal if since + self._lifetime > now else None

    def add(self, name: bytes, refusal: Refusal, now: float) -> None:
        """Note that it was refused; the oldest is forgotten where there are too many."""
        self._since.pop(name, None)
        if len(self._since) >= self._most:
            del self._since[next(iter(self._since))]
        self._since[name] = (now, refusal)


def whole_for(peers: Iterable[tuple[bytes, P]], sender: bytes, secret: bytes) -> set[P]:
    """Choose the square root of all peers, rounded up: those that get the transactions of a sender whole (eth, "Transaction Exchange").

    It is the same choice for all of a sender's transactions, so that they arrive in order, and one that nobody can foresee who does not
    know `secret`.
    """
    ranked = sorted((hashlib.blake2b(name + sender, key=secret, digest_size=8).digest(), at, peer) for at, (name, peer) in enumerate(peers))
    count = isqrt(len(ranked))
    return {peer for _, _, peer in ranked[: count + (count * count < len(ranked))]}
