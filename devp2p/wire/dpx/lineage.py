"""Generations of secrets between two nodes: each session derives the next one from the last (dpx/1, section 7).

Theory of operation. A session that resumes the secret u gives both sides the next secret, but neither knows at first whether the other
has come so far. Each side keeps the next one as soon as the first record of the other was authentic, and says so (COMMITTED, which names it
by its id). An older secret is let go only when the other side is known to hold a newer one that we hold too, because it has said so or
used it. Newer is the same for both: the number of sessions in the chain, and where two links made one of the same number at once, the id.

That is all that is needed. Of the secrets that ever were on both sides at a time take the newest. One of the sides would have let it go
only for a newer one that is on both, and there is none. So two nodes that share a secret share one for ever, whatever is lost on the way,
whichever of them dies at whatever moment, and however many links they make at once, as long as each keeps what it has said that it keeps.
`tests/wire/dpx/test_links.py` looks at all that can happen.

A chain has two secrets at most: one that the other side is known to hold, and a newer one that it may hold. While there are two, a session
from the older one keeps no next one, which is as if it had ended too early, unless no link is there any more that could still confirm
the newer one (`SETTLED`), for then the other side, which goes on to use the older one, has never been told of it. Both are offered.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Final

from devp2p.wire.dpx.sealing import id_of

DAY: Final = 86400.0
EXPIRY: Final = 7 * DAY
"""Seconds after its last session at which a chain ends."""
SETTLED: Final = 600.0
"""Seconds after which a link over which a secret was offered or agreed on has confirmed it, or never will: a link that is silent ends in
less (`Limits`), and a handshake in seconds."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One secret, and what is known of it."""

    secret: bytes = field(repr=False)
    """32 bytes."""
    number: int
    """How many sessions the chain has up to the one that this secret came of; 1 for the first."""
    made: float
    confirmed: bool = False
    """Whether the other side is known to hold it."""
    id: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Name it."""
        object.__setattr__(self, "id", id_of(self.secret))

    @property
    def order(self) -> tuple[int, bytes]:
        """Which of two is newer, as both sides see it."""
        return self.number, self.id


@dataclass(frozen=True, slots=True)
class Lineage:
    """A chain of sessions, each of which resumed the one before; a value, which is never empty. Times are seconds since 1970."""

    generations: tuple[Generation, ...]
    """One or two, the older one first; of two the other side is known to hold the older."""
    root: bytes
    """The id of its first secret, by which both sides know it."""
    born: float
    """Since when the chain counts: its first session, or when it came into doubt."""
    used: float
    """When a session last added to it."""
    known: bool = False
    """Whether the other side was known by it at its last session, and so can lose our trust."""
    ends: float | None = None
    """When it is let go even if it is used no more than `EXPIRY` ago: another one has taken its place."""

    @classmethod
    def begun(cls, secret: bytes, now: float, number: int = 1) -> "Lineage":
        """The chain that begins with the secret of a session which resumed none."""
        first = Generation(secret, number, now)
        return cls((first,), first.id, now, now)

    @property
    def base(self) -> Generation | None:
        """What the other side is known to hold."""
        return self.generations[0] if self.generations[0].confirmed else None

    @property
    def offered(self) -> tuple[Generation, ...]:
        """What to offer: all that there are, the newest first."""
        return self.generations[::-1]

    @property
    def held(self) -> tuple[tuple[bytes, bool], ...]:
        """The ids of the secrets, and of each whether the other side is known to hold it."""
        return tuple((one.id, one.confirmed) for one in self.generations)

    def find(self, id: bytes) -> Generation | None:  # noqa: A002  (that is what it is called)
        """The generation of a name, or None."""
        return next((one for one in self.generations if one.id == id), None)

    def is_known(self, now: float) -> bool:
        """Whether a session that resumes it makes the other side known: the chain is a day old."""
        return now - self.born >= DAY

    @property
    def latest(self) -> float:
        """The latest of its times, but for that of its end."""
        return max(self.born, self.used, *(one.made for one in self.generations))

    def until(self, now: float) -> "Lineage":
        """With `now` for times that are still to come, since the clock was ahead once."""
        generations = tuple(replace(one, made=min(one.made, now)) for one in self.generations)
        ends = None if self.ends is None else min(self.ends, now + DAY)
        return replace(self, generations=generations, born=min(self.born, now), used=min(self.used, now), ends=ends)

    def is_over(self, now: float) -> bool:
        """Whether it has expired."""
        return now - self.used >= EXPIRY or (self.ends is not None and now >= self.ends)

    def confirmed(self, id: bytes) -> "Lineage":  # noqa: A002
        """The other side holds the generation of this name: older ones go."""
        found = self.find(id)
        if found is None:
            return self
        rest = tuple(one for one in self.generations if one.order > found.order)
        return replace(self, generations=(replace(found, confirmed=True), *rest))

    def resumed(self, used: Generation, secret: bytes, now: float, recent: Collection[bytes]) -> "Lineage":
        """A session has resumed from `used`, which the other side holds; `secret` is the next one.

        `recent` are the ids that were offered or used over other links that may still be there. Unless the next secret is kept,
        `find(id_of(secret))` gives None.
        """
        after = self.confirmed(used.id)
        new, base = Generation(secret, used.number + 1, now), after.base
        if base is not None and base.id == used.id:
            waiting = tuple(one for one in after.generations[1:] if one.id in recent or now - one.made < SETTLED)
            after = replace(after, generations=(base, *(waiting or (new,))))
        return replace(after, used=now, known=self.is_known(now), ends=None)

    def without(self, ids: Collection[bytes], now: float, recent: Collection[bytes]) -> "Lineage | None":
        """The chain without some generations, of which the other side has said that it does not know them; None if nothing is left.

        What it may still come to know stays: its end of the link on which that was agreed can be behind ours. `recent` as in `resumed`.
        """
        rest = tuple(
            one for one in self.generations if one.id not in ids or (not one.confirmed and (one.id in recent or now - one.made < SETTLED))
        )
        return replace(self, generations=rest) if rest else None

    def doubted(self, now: float) -> "Lineage":
        """Somebody may have a part of what makes the other side known: it counts as new."""
        return replace(self, born=now, known=False)
