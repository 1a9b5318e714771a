"""What a node remembers of its peers' conduct from one start to the next: ratings, bans and anchors, in the book."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from devp2p.errors import BookError
from devp2p.peers.bans import Bans
from devp2p.peers.pool import Pool
from devp2p.peers.ratings import Ratings
from devp2p.peers.slot_values import Anchor
from devp2p.records import NodeRecord

if TYPE_CHECKING:  # a node without a book does not import it
    from devp2p.peers.book import Book

_logger = logging.getLogger(__name__)


class Memory:
    """Loads and saves. ``now`` is on the clock of ratings and bans; what is kept has the system's, which outlives us."""

    def __init__(self, book: "Book", ratings: Ratings, bans: Bans, pool: Pool) -> None:
        self._book = book
        self._ratings = ratings
        self._bans = bans
        self._pool = pool
        self._anchors: dict[str, tuple[Anchor, ...]] = {}

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
        for anchor in standings.anchors:
            try:
                record = NodeRecord.parse(anchor.enode)
            except ValueError as error:
                _logger.warning("an anchor in the book is not a node: %s", error)
                continue
            self._anchors[anchor.capability] = (*self._anchors.get(anchor.capability, ()), anchor)
            recall(anchor.capability, record)

    def save(self, anchors: Mapping[str, tuple[bytes, ...]], now: float) -> None:
        """Keep ratings and bans as they are, and `anchors`, the IDs of the best peers of each capability."""
        from devp2p.peers.book import Standings  # noqa: PLC0415  (imported already: there is a book)

        wall = time.time()
        for name, ids in anchors.items():
            enodes = [(node_id, known.record.enode) for node_id in ids if (known := self._pool.get(node_id)) is not None]
            if enodes:  # else those of the last time are still the best that we know
                self._anchors[name] = tuple(Anchor(name, number, node_id, enode, wall) for number, (node_id, enode) in enumerate(enodes))
        kept = tuple(anchor for some in self._anchors.values() for anchor in some)
        try:
            self._book.standings = Standings(tuple(self._ratings.dump(now, wall)), tuple(self._bans.dump(now, wall)), kept)
        except BookError as error:
            _logger.warning("what is known of peers is not kept: %s", error)
