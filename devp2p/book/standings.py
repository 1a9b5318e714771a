"""What a book keeps of how peers behaved: ratings, bans and anchors, read as a whole, and written so or as far as they have changed.

Each time that is one transaction: a process that is killed leaves either what was kept before or what is kept now.
Rows that say what cannot be (a damaged file, in a way that SQLite cannot see) are passed over here or by whoever loads them.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from types import UnionType

from devp2p.book.database import Database
from devp2p.book.nodes import fits
from devp2p.peers import Ban, RatingRow
from devp2p.peers.slots import Anchor

_COLUMNS = ", ".join(RatingRow._fields)
_RATINGS = f"INSERT INTO ratings ({_COLUMNS}) VALUES ({', '.join('?' * len(RatingRow._fields))})"  # noqa: S608  (our own names)
_ALL_RATINGS = f"SELECT {_COLUMNS} FROM ratings"  # noqa: S608  (our own names)


@dataclass(frozen=True, slots=True)
class Standings:
    """All that is kept of peers' conduct. Times are seconds since 1970."""

    ratings: tuple[RatingRow, ...] = ()
    bans: tuple[Ban, ...] = ()
    anchors: tuple[Anchor, ...] = ()


def save(database: Database, standings: Standings) -> None:
    """Write all of it in place of what was there; to be called within ``changes()``."""
    for table in ("ratings", "bans"):
        database.run(f"DELETE FROM {table}")  # noqa: S608  (our own names)
    _insert(database, standings)


def change(database: Database, changed: Standings, forgotten: Collection[bytes], lifted: Collection[bytes]) -> None:
    """Write what has changed, and all anchors, in place of what was there of the same nodes; to be called within ``changes()``.

    `forgotten`: node-IDs of which no rating is kept any more, and `lifted` those of bans that are over. No rating may stay of a peer that
    has others now: one that was forgotten and came back may share less than before.
    """
    database.run_many("DELETE FROM ratings WHERE id = ?", ((node_id,) for node_id in forgotten))
    replace_ratings(database, changed.ratings)
    database.run_many("DELETE FROM bans WHERE id = ?", ((node_id,) for node_id in {ban.id for ban in changed.bans}.union(lifted)))
    _insert(database, replace(changed, ratings=()))


def replace_ratings(database: Database, rows: Collection[RatingRow]) -> None:
    """Write the ratings of some nodes in place of what was there of them; to be called within ``changes()``."""
    database.run_many("DELETE FROM ratings WHERE id = ?", ((node_id,) for node_id in {row.id for row in rows}))
    database.run_many(_RATINGS, rows)


def _insert(database: Database, standings: Standings) -> None:
    database.run_many(_RATINGS, standings.ratings)
    database.run_many("INSERT INTO bans VALUES (?, ?, ?, ?)", ((ban.id, ban.begun, ban.until, ban.reason) for ban in standings.bans))
    database.run("DELETE FROM anchors")
    anchors = ((anchor.capability, anchor.position, anchor.id, anchor.enode, anchor.saved) for anchor in standings.anchors)
    database.run_many("INSERT INTO anchors VALUES (?, ?, ?, ?, ?)", anchors)


def load(database: Database) -> Standings:
    """Read all of it, but for rows that say what cannot be."""
    ratings = [row for row in map(RatingRow._make, database.rows(_ALL_RATINGS)) if _fits(row, _RATING)]
    bans = [Ban(*row) for row in database.rows("SELECT id, begun, until, reason FROM bans") if _fits(row, _BAN)]
    found = database.rows("SELECT capability, position, id, enode, saved FROM anchors ORDER BY capability, position")
    anchors = [Anchor(*row) for row in found if _fits(row, _ANCHOR)]
    return Standings(tuple(row._replace(observed=bool(row.observed)) for row in ratings), tuple(bans), tuple(anchors))


_BAN = (bytes, float, float, str)
_ANCHOR = (str, int, bytes, str, float)
_RATING = (bytes, str, float, float, int, float, float, float | None, float, float, float, float, float, int)


def _fits(row: tuple[object, ...], kinds: tuple[type | UnionType, ...]) -> bool:
    """Whether the values of a row are of these kinds, and its node-ID has 32 bytes; see `nodes.is_possible`."""
    return fits(row, kinds) and all(len(value) == 32 for value in row if isinstance(value, bytes))
