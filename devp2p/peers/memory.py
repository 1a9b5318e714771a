"""What a node remembers of its peers' conduct from one start to the next: ratings, bans and anchors, in the book.

Thousands of absent peers are remembered, and to write them all takes a quarter of a second, in which nothing else happens. So only what
has changed since the last time is written: rows say when they were written, and whoever reads them counts the time since then. That is
right as long as the system's clock, which those times are on, goes on as ours does. When it was set, or the machine has slept, all
is written anew.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from devp2p.errors import BookError
from devp2p.peers.bans import Ban, Bans, dated
from devp2p.peers.pool import Pool
from devp2p.peers.ratings import Ratings
from devp2p.peers.slot_values import Anchor
from devp2p.records import NodeRecord

if TYPE_CHECKING:  # a node without a book does not import it
    from devp2p.peers.book import Book

TOLERANCE: Final = 120.0
"""Seconds by which the two clocks may have come apart before all is written anew."""

_logger = logging.getLogger(__name__)


class Memory:
    """Loads and saves. ``now`` is on the clock of ratings and bans; what is kept has the system's, which outlives us."""

    def __init__(self, book: "Book", ratings: Ratings, bans: Bans, pool: Pool, *, pace: float = 1.0) -> None:
        """`pace`: at another one than 1 time passes otherwise for us than for what is written, and each time all is written anew."""
        self._book = book
        self._ratings = ratings
        self._bans = bans
        self._pool = pool
        self._pace = pace
        self._anchors: dict[str, tuple[Anchor, ...]] = {}
        self._apart: float | None = None
        """The system's clock less ours when all was written; None if it is not known what the book holds."""
        self._rated: set[bytes] = set()
        """The IDs in the ratings of the book."""
        self._banned: dict[bytes, Ban] = {}
        """The bans in it, on our clock."""

    def load(self, recall: Callable[[str, NodeRecord], None], now: float) -> None:
        """Take up what was kept. `recall` is given each anchor, with the name of the capability that it was one of the best in."""
        wall = time.time()
        try:
            standings = self._book.standings
        except BookError as error:
            _logger.warning("what was known of peers cannot be read: %s", error)
            return
        self._ratings.load(standings.ratings, now, wall)
        self._bans.load(standings.bans, now, wall)
        self._apart = wall - now
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
        wall = time.time()
        for name, ids in anchors.items():
            enodes = [(node_id, known.record.enode) for node_id in ids if (known := self._pool.get(node_id)) is not None]
            if enodes:  # else those of the last time are still the best that we know
                self._anchors[name] = tuple(Anchor(name, number, node_id, enode, wall) for number, (node_id, enode) in enumerate(enodes))
        try:
            if self._pace == 1 and self._apart is not None and abs(wall - now - self._apart) <= TOLERANCE:
                self._save_changes(now, wall)
            else:
                self._save_all(now, wall)
        except BookError as error:
            _logger.warning("what is known of peers is not kept: %s", error)
            return
        self._ratings.kept()
        self._rated = set(self._ratings)
        self._banned = {ban.id: ban for ban in self._bans.active(now)}

    def _save_all(self, now: float, wall: float) -> None:
        from devp2p.peers.book import Standings  # noqa: PLC0415  (imported already: there is a book)

        self._book.standings = Standings(tuple(self._ratings.dump(now, wall)), tuple(self._bans.dump(now, wall)), self._kept_anchors())
        self._apart = wall - now

    def _save_changes(self, now: float, wall: float) -> None:
        from devp2p.peers.book import Standings  # noqa: PLC0415  (imported already: there is a book)

        active = self._bans.active(now)
        bans = tuple(dated(ban, now, wall) for ban in active if self._banned.get(ban.id) != ban)
        self._book.change_standings(
            Standings(tuple(self._ratings.dump(now, wall, changed=True)), bans, self._kept_anchors()),
            forgotten=self._rated.difference(self._ratings),
            lifted=self._banned.keys() - {ban.id for ban in active},
        )

    def _kept_anchors(self) -> tuple[Anchor, ...]:
        return tuple(anchor for some in self._anchors.values() for anchor in some)
