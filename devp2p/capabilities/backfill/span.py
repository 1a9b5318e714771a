"""Which headers to ask whom for, pure.

A range of headers is fetched in pieces, from several peers at once, each from its highest block down. A piece counts once it is linked to
what is above it; the uppermost is linked to a hash that is trusted. So of two pieces that do not fit together the lower one is wrong,
whoever brought it, and is asked for elsewhere.

All that is ahead waits for the highest piece. So whoever else would have nothing to do is asked for it as well, and the first to bring it
counts: a slow peer holds up nobody.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from devp2p.capabilities.ethereum.blocks import Header

P = TypeVar("P", bound=Hashable)

PIECE = 256
"""Headers in one request: about 150 KB."""
AHEAD = 16
"""Pieces that may be asked for, or wait for one above them, at a time."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Headers `first` to `last`."""

    first: int
    last: int

    @property
    def count(self) -> int:
        """How many these are."""
        return self.last - self.first + 1


@dataclass
class _Brought(Generic[P]):
    peer: P
    headers: tuple[Header, ...]  # downwards


@dataclass
class Verified(Generic[P]):
    """What an answer has come to: headers that are linked to the top, and the peers that brought wrong ones."""

    headers: list[Header] = field(default_factory=list[Header])
    liars: list[P] = field(default_factory=list[P])


class Span(Generic[P]):
    """Headers `first` to `last`, of which the last has the hash `anchor`."""

    def __init__(self, first: int, last: int, anchor: bytes) -> None:
        self.first = first
        self.edge: int = last
        """The highest header that is not verified yet; below `first` when all are."""
        self.expected: bytes = anchor
        """Its hash."""
        self._below = last  # the highest that nobody was asked for, but for what was given back
        self._free: list[Piece] = []
        self._asked: dict[Piece, set[P]] = {}
        self._waiting: dict[int, _Brought[P]] = {}  # by the highest number
        self._refused: dict[int, set[P]] = {}  # by the highest number: who did not have it, or lied

    @property
    def is_done(self) -> bool:
        """Whether all headers are verified."""
        return self.edge < self.first

    def take(self, peer: P, most: int) -> Piece | None:
        """Choose what to ask a peer for, the highest first; None: nothing that it may have."""
        self._free = [piece for piece in self._free if piece.last <= self.edge]  # the rest has come from another peer meanwhile
        free = max((piece for piece in self._free if peer not in self._refused.get(piece.last, ())), key=lambda one: one.last, default=None)
        if free is not None:
            self._free.remove(free)
        elif self._below >= self.first and len(self._asked) + len(self._waiting) < AHEAD:
            free = Piece(max(self.first, self._below - PIECE + 1), self._below)
            self._below = free.first - 1
        else:
            return self._take_second(peer, most)
        if free.count > most:
            self._free.append(Piece(free.first, free.last - most))
            free = Piece(free.last - most + 1, free.last)
        self._asked.setdefault(free, set()).add(peer)
        return free

    def _take_second(self, peer: P, most: int) -> Piece | None:
        """Choose the piece that all others wait for, if one other peer is asked for it."""
        for piece, asked in self._asked.items():
            others = asked | self._refused.get(piece.last, set())
            if piece.last == self.edge and piece.count <= most and len(asked) == 1 and peer not in others:
                asked.add(peer)
                return piece
        return None

    def put(self, peer: P, piece: Piece, headers: Sequence[Header]) -> Verified[P]:
        """Take in what a peer has brought of a piece: linked headers from its highest down, or none."""
        self._end(peer, piece)
        if piece.last > self.edge:  # another peer was quicker
            return Verified[P]()
        if not headers:
            self._refuse(peer, piece)
            return Verified[P]()
        if len(headers) < piece.count:
            self._free.append(Piece(piece.first, piece.last - len(headers)))
        self._waiting[piece.last] = _Brought(peer, tuple(headers))
        return self._verify()

    def give_back(self, peer: P, piece: Piece, *, blame: bool) -> None:
        """The peer brought nothing: it is to be asked for elsewhere, or, without `blame`, by anybody."""
        self._end(peer, piece)
        if blame:
            self._refuse(peer, piece)
        elif piece not in self._asked:
            self._free.append(piece)

    def forgive(self) -> None:
        """All peers may be asked again for what they did not have."""
        self._refused.clear()

    def _end(self, peer: P, piece: Piece) -> None:
        """The peer is no longer asked for a piece."""
        asked = self._asked.get(piece, set[P]())
        asked.discard(peer)
        if not asked:
            self._asked.pop(piece, None)

    def _refuse(self, peer: P, piece: Piece) -> None:
        self._refused.setdefault(piece.last, set()).add(peer)
        if piece not in self._asked:
            self._free.append(piece)

    def _verify(self) -> Verified[P]:
        found = Verified[P]()
        while (brought := self._waiting.pop(self.edge, None)) is not None:
            headers = brought.headers
            if headers[0].hash != self.expected:
                found.liars.append(brought.peer)
                self._refuse(brought.peer, Piece(self.edge - len(headers) + 1, self.edge))
                break
            self._refused.pop(self.edge, None)
            found.headers += headers
            self.edge -= len(headers)
            self.expected = headers[-1].parent_hash
        for last in [last for last in self._waiting if last > self.edge]:
            del self._waiting[last]  # it has come in another piece
        return found
