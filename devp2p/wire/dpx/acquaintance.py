"""What is kept of one peer to resume sessions with it (dpx/1, section 7): its chains of secrets, and what made us doubt it.

Two nodes have one chain, as a rule. A session that resumed none begins a second one beside it, for its other side holds the peer's key, and
perhaps nothing else of the peer: the old chain is what the real one comes back with. It ends only when the new one is as much worth, that
is when the other side has become known by it, or when it expires.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, Final, NamedTuple

from devp2p import rlp
from devp2p.wire.dpx.element import ID_SIZE, MOST_TOKENS
from devp2p.wire.dpx.lineage import DAY, SETTLED, Generation, Lineage
from devp2p.wire.dpx.sealing import id_of, same

MOST_LINEAGES: Final = 4
"""Chains with one peer. When there are so many, a session that resumes none begins no further one."""
_MOST_GENERATIONS: Final = 2


class Match(NamedTuple):
    """A secret that both sides have."""

    place: int
    """Where it stands among those that were offered, from 0 on."""
    lineage: Lineage
    generation: Generation


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """What is kept of one peer; a value. Times are seconds since 1970."""

    lineages: tuple[Lineage, ...] = ()
    """Those that began first stand first."""
    unopened: tuple[float, ...] = ()
    """When a session began with a token of ours that was not sealed by who knows the secret."""
    refused: int = 0
    """In how many sessions in a row the peer could not open what we had sealed."""

    @property
    def is_known(self) -> bool:
        """Whether the peer was known, so that there is trust to be lost."""
        return any(lineage.known for lineage in self.lineages)

    @property
    def used(self) -> float:
        """When a session last added to what is kept; 0 for never."""
        return max((lineage.used for lineage in self.lineages), default=0.0)

    @property
    def ids(self) -> set[bytes]:
        """Of all secrets."""
        return {generation.id for lineage in self.lineages for generation in lineage.generations}

    def offered(self) -> tuple[tuple[Lineage, Generation], ...]:
        """What to offer, at most `MOST_TOKENS`.

        First of chains by which the peer is known, then of those of which it has something for sure, then of what was used last.
        """
        ordered = sorted(self.lineages, key=lambda lineage: (not lineage.known, lineage.base is None, -lineage.used))
        return tuple(chain.from_iterable([(lineage, one) for one in lineage.offered] for lineage in ordered))[:MOST_TOKENS]

    def match(self, ids: Sequence[bytes]) -> Match | None:
        """The first of some ids that is one of ours; how long it takes does not depend on which."""
        found: Match | None = None
        for place, id in enumerate(ids):  # noqa: A001  (that is what it is called)
            for lineage in self.lineages:
                for generation in lineage.generations:
                    if same(generation.id, id) and found is None:
                        found = Match(place, lineage, generation)
        return found

    def held(self, root: bytes) -> tuple[tuple[bytes, bool], ...]:
        """See `Lineage.held`, of the chain with this root."""
        return next((lineage.held for lineage in self.lineages if lineage.root == root), ())

    def holds(self, secret: bytes) -> bool:
        """Whether a secret is kept."""
        return any(lineage.find(id_of(secret)) for lineage in self.lineages)

    def started(self, secret: bytes, now: float, number: int = 1) -> "Acquaintance":
        """A session has begun that resumed none. Unless there are too many chains, `secret` begins a further one."""
        if len(self.lineages) >= MOST_LINEAGES:
            return self
        return replace(self, lineages=(*self.lineages, Lineage.begun(secret, now, number)))

    def resumed(self, root: bytes, used: Generation, secret: bytes, now: float, recent: Collection[bytes] = ()) -> "Acquaintance":
        """A session has resumed the chain with this root from `used`; `secret` is the next one. See `Lineage.resumed` for `recent`."""
        old = next((lineage for lineage in self.lineages if lineage.root == root), None)
        if old is None:  # it has expired since the session began
            return self.started(secret, now, used.number + 1)
        new = old.resumed(used, secret, now, recent)
        place = self.lineages.index(old)
        before = self.lineages[:place]
        if new.known:
            before = tuple(one if one.ends is not None else replace(one, ends=now + DAY) for one in before)
        return replace(self, lineages=(*before, new, *self.lineages[place + 1 :]), refused=0)

    def confirmed(self, id: bytes, now: float, recent: Collection[bytes] = ()) -> "Acquaintance":  # noqa: A002
        """The peer says that it holds the generation with this id.

        So that is what both will go on with. Of other chains those go that began after the first of all, and that no link which may still
        be there can add to.
        """
        of = next((lineage for lineage in self.lineages if lineage.find(id) is not None), None)
        if of is None:
            return self
        kept = tuple(
            one.confirmed(id) if one is of else one
            for place, one in enumerate(self.lineages)
            if one is of or not place or now - one.used < SETTLED or any(each.id in recent for each in one.generations)
        )
        return replace(self, lineages=kept)

    def without(self, ids: Collection[bytes], now: float, recent: Collection[bytes] = ()) -> "Acquaintance":
        """The peer knows nothing of some generations; see `Lineage.without`."""
        left = (lineage.without(ids, now, recent) for lineage in self.lineages)
        return replace(self, lineages=tuple(lineage for lineage in left if lineage is not None))

    def doubted(self, now: float) -> "Acquaintance":
        """Somebody may have a part of what makes the peer known: it has to be a peer for another day."""
        return replace(self, lineages=tuple(lineage.doubted(now) for lineage in self.lineages), unopened=())

    def current(self, now: float) -> "Acquaintance":
        """Without what has expired; times that are still to come, since the clock was ahead once, become `now`."""
        if all(not one.is_over(now) and one.latest <= now for one in self.lineages):
            return self
        return replace(self, lineages=tuple(one.until(now) for one in self.lineages if not one.is_over(now)))


# How it is kept: all times as milliseconds since 1970, 0 for none.


@dataclass(frozen=True, slots=True)
class _Generation:
    secret: rlp.Bytes32
    number: rlp.U64
    made: rlp.U64
    confirmed: bool


@dataclass(frozen=True, slots=True)
class _Lineage:
    generations: Annotated[tuple[_Generation, ...], rlp.MaxItems(_MOST_GENERATIONS)]
    root: Annotated[bytes, rlp.Length(ID_SIZE)]
    born: rlp.U64
    used: rlp.U64
    known: bool
    ends: rlp.U64


@dataclass(frozen=True, slots=True)
class _Acquaintance:
    lineages: Annotated[tuple[_Lineage, ...], rlp.MaxItems(MOST_LINEAGES)]
    unopened: Annotated[tuple[rlp.U64, ...], rlp.MaxItems(16)]
    refused: rlp.U8


_CODEC: Final = rlp.codec(_Acquaintance)


def encode(acquaintance: Acquaintance) -> bytes:
    """What is kept, as bytes. They hold secrets, so they are to be sealed."""
    lineages = tuple(
        _Lineage(
            tuple(_Generation(one.secret, one.number, _milliseconds(one.made), one.confirmed) for one in lineage.generations),
            *(lineage.root, _milliseconds(lineage.born), _milliseconds(lineage.used), lineage.known, _milliseconds(lineage.ends or 0.0)),
        )
        for lineage in acquaintance.lineages
    )
    return _CODEC.encode(_Acquaintance(lineages, tuple(map(_milliseconds, acquaintance.unopened)), acquaintance.refused))


def decode(data: bytes) -> Acquaintance:
    """Read it again; DecodingError for what is not such."""
    kept = _CODEC.decode(data)
    lineages = tuple(
        Lineage(
            tuple(Generation(one.secret, one.number, one.made / 1000, one.confirmed) for one in lineage.generations),
            *(lineage.root, lineage.born / 1000, lineage.used / 1000, lineage.known, lineage.ends / 1000 or None),
        )
        for lineage in kept.lineages
        if lineage.generations
    )
    return Acquaintance(lineages, tuple(time / 1000 for time in kept.unopened), kept.refused)


def _milliseconds(time: float) -> int:
    return max(0, round(time * 1000))
