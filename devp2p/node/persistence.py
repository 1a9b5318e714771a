"""What a node remembers of its peers' conduct from one start to the next: ratings, bans and anchors, in the book.

Thousands of absent peers are remembered, and to write them all takes a quarter of a second, in which nothing else happens. So only what
has changed since the last time is written: rows say when they were written, and whoever reads them counts the time since then. That is
right as long as the system's clock, which those times are on, goes on as ours does. When it was set, or the machine has slept, all
is written anew.

Even so it may be much, so it is written in portions, between which others can have their turn. Each portion is a transaction: a process
that is killed leaves of each peer either what was kept before or what is kept now.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final

from devp2p.node.pace import PolicyClock
from devp2p.peers import Ban, Bans, Pool, Ratings, dated
from devp2p.peers.slots import Anchor
from devp2p.records import NodeRecord

if TYPE_CHECKING:  # a node without a book does not import it
    from devp2p.book import Book, Standings

EARLIEST: Final = 1.7e9
"""Seconds since 1970: a clock that says less has not been set since the machine was switched on."""
BETWEEN_FORGETTING: Final = 6 * 3600.0
"""Seconds between two times that old nodes are forgotten. The first is at the start."""
PORTION: Final = 16
"""Peers whose ratings are written at once, which takes a millisecond or two."""
TOLERANCE: Final = 120.0
"""Seconds by which the two clocks may have come apart before all is written anew."""

_logger = logging.getLogger(__name__)


class StandingsKeeper:
    """Loads and saves. ``now`` is on trio's clock, as bans are; what is kept has the system's, which outlives us."""

    def __init__(self, book: "Book", ratings: Ratings, bans: Bans, pool: Pool, clock: PolicyClock | None = None) -> None:
        """`clock`: of the ratings, by default trio's. One that goes faster comes apart from the system's, so all is written anew."""
        self._book = book
        self._ratings = ratings
        self._bans = bans
        self._pool = pool
        self._clock = clock or PolicyClock()
        self._anchors: dict[str, tuple[Anchor, ...]] = {}
        self._forgot = -math.inf
        self._apart: float | None = None
        """The system's clock less that of the ratings when all was written; None if that was never, or by another clock."""
        self._rated: set[bytes] | None = None
        """The IDs in the ratings of the book; None if it is not known what it holds."""
        self._banned: dict[bytes, Ban] = {}
        """The bans in it, on our clock."""

    def load(self, recall: Callable[[str, NodeRecord], None], now: float) -> None:
        """Take up what was kept. `recall` is given each anchor, with the name of the capability that it was one of the best in."""
        wall = time.time()
        self._forgot = now
        standings: Standings | None = None
        with self._book.trouble.survived("what was known of peers, which cannot be read"):
            standings = self._book.standings
        with self._book.trouble.survived("nodes that are to be forgotten"):
            if self._may_forget(wall):
                self._book.forget_older(wall)
        if standings is None:
            return
        self._ratings.load(standings.ratings, self._clock.at(now), wall)
        self._bans.load(standings.bans, now, wall)
        self._apart = wall - self._clock.at(now)
        self._rated = {row.id for row in standings.ratings}
        # Where one is not as it was written, it is written again, or lifted.
        self._banned = {ban.id: self._bans.get(ban.id, now) or ban for ban in standings.bans}
        if any(row.saved > wall for row in standings.ratings) or any(ban.begun > wall for ban in standings.bans):
            self._apart = None  # the clock was set back since
        for anchor in standings.anchors:
            try:
                record = NodeRecord.parse(anchor.enode)
            except ValueError as error:
                _logger.warning("an anchor in the book is not a node: %s", error)
                continue
            self._anchors[anchor.capability] = (*self._anchors.get(anchor.capability, ()), anchor)
            recall(anchor.capability, record)

    def save(self, anchors: Mapping[str, tuple[bytes, ...]], now: float) -> None:
        """Keep ratings and bans as they are, and `anchors`, the IDs of the best peers of each capability; without any, those of before."""
        for _ in self.saving(anchors, lambda: now):
            pass

    def saving(self, anchors: Mapping[str, tuple[bytes, ...]], clock: Callable[[], float]) -> Iterator[None]:
        """The same in portions, between which others can have their turn."""
        now, wall = clock(), time.time()
        for name, ids in anchors.items():
            enodes = [(node_id, known.record.enode) for node_id in ids if (known := self._pool.get(node_id)) is not None]
            if enodes:  # else those of the last time are still the best that we know
                self._anchors[name] = tuple(Anchor(name, number, node_id, enode, wall) for number, (node_id, enode) in enumerate(enodes))
        with self._book.trouble.survived("what is known of peers"):
            self._book.require_file()
            if self._rated is None:
                self._begin_anew()
            if self._apart is None or abs(wall - self._clock.at(now) - self._apart) > TOLERANCE:
                self._apart = None
            changed = iter(list(self._ratings) if self._apart is None else self._ratings.changed())
            self._save_bans(now, wall, all_of_them=self._apart is None)
            while portion := list(islice(changed, PORTION)):
                yield
                self._save_ratings(portion, clock())
            if self._apart is None:
                self._apart = wall - self._clock.at(now)
            if now - self._forgot >= BETWEEN_FORGETTING:
                self._forgot = now
                if self._may_forget(wall := time.time()):
                    for _ in self._book.forgetting(wall):
                        yield

    def _begin_anew(self) -> None:
        """Nothing stays of what could not be read."""
        from devp2p.book import Standings  # noqa: PLC0415  (imported already: there is a book)

        self._book.standings = Standings(anchors=self._kept_anchors())
        self._rated, self._banned, self._apart = set(), {}, None

    def _save_bans(self, now: float, wall: float, *, all_of_them: bool) -> None:
        """Keep bans and anchors, and let go of peers of whom nothing is known any more."""
        from devp2p.book import Standings  # noqa: PLC0415  (imported already: there is a book)

        active = self._bans.active(now)
        bans = tuple(dated(ban, now, wall) for ban in active if all_of_them or self._banned.get(ban.id) != ban)
        assert self._rated is not None  # noqa: S101  (`saving` has seen to it)
        forgotten = self._rated.difference(self._ratings)
        self._book.change_standings(
            Standings((), bans, self._kept_anchors()), forgotten=forgotten, lifted=self._banned.keys() - {ban.id for ban in active}
        )
        self._rated -= forgotten
        self._banned = {ban.id: ban for ban in active}

    def _save_ratings(self, ids: list[bytes], now: float) -> None:
        self._book.keep_ratings(self._ratings.dump(self._clock.at(now), time.time(), ids))
        assert self._rated is not None  # noqa: S101  (`saving` has seen to it)
        self._ratings.kept(ids)
        self._rated.update(node_id for node_id in ids if node_id in self._ratings)

    def _may_forget(self, wall: float) -> bool:
        """Whether to forget old nodes: if the clock says that all are old, it is wrong, or they are all that there is to begin with."""
        from devp2p.book import FORGOTTEN_AFTER  # noqa: PLC0415  (imported already: there is a book)

        newest = self._book.last_heard
        return newest is not None and wall >= EARLIEST and newest >= wall - FORGOTTEN_AFTER

    def _kept_anchors(self) -> tuple[Anchor, ...]:
        return tuple(anchor for some in self._anchors.values() for anchor in some)
