"""What a book keeps of how peers behaved: ratings, bans and anchors, written and read as a whole.

They are replaced together, in one transaction: a process that is killed leaves either what was kept before or what is kept now.
Rows that say what cannot be (a damaged file, in a way that SQLite cannot see) are passed over here or by whoever loads them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from devp2p.peers.bans import Ban
from devp2p.peers.book.database import Database
from devp2p.peers.ratings import RatingRow
from devp2p.peers.slot_values import Anchor

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
    for table in ("ratings", "bans", "anchors"):
        database.run(f"DELETE FROM {table}")  # noqa: S608  (our own names)
    database.run_many(_RATINGS, standings.ratings)
    database.run_many("INSERT INTO bans VALUES (?, ?, ?, ?)", ((ban.id, ban.begun, ban.until, ban.reason) for ban in standings.bans))
    anchors = ((anchor.capability, anchor.position, anchor.id, anchor.enode, anchor.saved) for anchor in standings.anchors)
    database.run_many("INSERT INTO anchors VALUES (?, ?, ?, ?, ?)", anchors)


def load(database: Database) -> Standings:
    """Read all of it."""
    return Standings(
        ratings=tuple(_rating(RatingRow(*row)) for row in database.rows(_ALL_RATINGS)),
        bans=tuple(Ban(*row) for row in database.rows("SELECT id, begun, until, reason FROM bans")),
        anchors=tuple(_anchors(database)),
    )


def _rating(row: RatingRow) -> RatingRow:
    return row._replace(observed=bool(row.observed))


def _anchors(database: Database) -> Iterable[Anchor]:
    rows = database.rows("SELECT capability, position, id, enode, saved FROM anchors ORDER BY capability, position")
    return (Anchor(*row) for row in rows)
