"""`Wanted`: which announced transactions are asked of whom, and when. Pure.

A transaction is asked of one peer at a time, and of another that announced it when the first does not bring it. Each peer has one request
under way, so that what is missing from an answer is known at once.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from devp2p.capabilities.eth.pool.limits import PoolLimits

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Said:
    """What an announcement says of a transaction: its type, and its size in bytes."""

    type: int
    size: int


@dataclass(slots=True)
class _Want(Generic[P]):
    ready: float
    """When it may be asked for; until then it may come by itself."""
    sources: dict[P, Said] = field(default_factory=dict[P, Said])
    asked: P | None = None


class Wanted(Generic[P]):
    """Hashes that were announced and have not come, by hash and by peer."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._wants: dict[bytes, _Want[P]] = {}
        self._by_peer: dict[P, dict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._wants)

    def __contains__(self, name: bytes) -> bool:
        return name in self._wants

    def count(self, peer: P) -> int:
        """How many a peer has announced that have not come."""
        return len(self._by_peer.get(peer, ()))

    def announce(self, peer: P, name: bytes, said: Said, ready: float) -> bool:
        """Note an announcement; False if the peer has announced too many.

        Where all have, the one with most of them gives way; if nobody has more, it is passed over, which is not the peer's fault.
        """
        own = self._by_peer.setdefault(peer, {})
        want = self._wants.get(name)
        if name in own:
            return True
        if len(own) >= self._limits.announced_by_peer:
            return False
        if want is None and len(self._wants) >= self._limits.announced and not self._make_room(len(own)):
            return True
        if want is None:
            want = self._wants[name] = _Want(ready)
        own[name] = None
        want.sources[peer] = said
        return True

    def next_request(self, peer: P, now: float) -> list[bytes]:
        """Choose what to ask a peer for now, and note that it is asked."""
        names, size = list[bytes](), 0
        for name in self._by_peer.get(peer, ()):
            want = self._wants[name]
            if want.asked is not None or want.ready > now:
                continue
            size += want.sources[peer].size
            if names and size > self._limits.fetch_bytes:
                break
            names.append(name)
            if len(names) >= self._limits.fetch_hashes:
                break
        for name in names:
            self._wants[name].asked = peer
        return names

    def next_time(self, peer: P) -> float | None:
        """When there will be something to ask a peer for, if nothing else happens."""
        return min((self._wants[name].ready for name in self._by_peer.get(peer, ()) if self._wants[name].asked is None), default=None)

    def said(self, name: bytes) -> dict[P, Said]:
        """What each peer has said of one."""
        want = self._wants.get(name)
        return dict(want.sources) if want else {}

    def arrived(self, name: bytes) -> dict[P, Said]:
        """Forget one that has come; returns what each peer said of it."""
        want = self._wants.pop(name, None)
        if want is None:
            return {}
        for peer in want.sources:
            del self._by_peer[peer][name]
        return want.sources

    def answered(self, peer: P, asked: Sequence[bytes], brought: Collection[bytes]) -> set[P]:
        """Note the end of a request. Returns who can be asked now for what did not come.

        What the answer left out before the last that it brought the peer does not have; what is behind may have been too much for it.
        """
        last = max((at for at, name in enumerate(asked) if name in brought), default=len(asked))
        return self._release(peer, asked, keep=asked[last + 1 :])

    def failed(self, peer: P, asked: Sequence[bytes]) -> set[P]:
        """Note that a peer did not answer; it is not asked for the same again. Returns who can be asked now."""
        return self._release(peer, asked, keep=())

    def leave(self, peer: P) -> set[P]:
        """Forget a peer; returns who can be asked now for what was asked of it."""
        free = self._release(peer, list(self._by_peer.get(peer, ())), keep=())
        self._by_peer.pop(peer, None)
        return free

    def _make_room(self, own: int) -> bool:
        """Forget the last hash of the peer that has announced most, if that is more than `own` and another one."""
        most = max(self._by_peer, key=lambda peer: len(self._by_peer[peer]))
        names = self._by_peer[most]
        if len(names) <= own + 1:
            return False
        name = next((name for name in reversed(names) if self._wants[name].asked is None), None)
        return name is not None and bool(self.arrived(name))

    def _release(self, peer: P, names: Iterable[bytes], keep: Collection[bytes]) -> set[P]:
        free, kept = set[P](), set(keep)
        for name in names:
            want = self._wants.get(name)
            if want is None:
                continue
            if want.asked == peer:
                want.asked = None
            if name not in kept and want.sources.pop(peer, None) is not None:
                del self._by_peer[peer][name]
            if not want.sources:
                del self._wants[name]
            elif want.asked is None:
                free.update(want.sources)
        return free
