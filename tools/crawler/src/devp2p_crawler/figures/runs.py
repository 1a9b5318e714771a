"""The crawls of a file, one beside the other."""

import json
import sqlite3
from typing import Final, cast

from devp2p_crawler.figures.findings import Difference, Overlap, Run, Share
from devp2p_crawler.model import Recall

_MOST_RUNS: Final = 30
_MOST_VANTAGES: Final = 12


def newest_runs(connection: sqlite3.Connection) -> tuple[tuple[Run, ...], int]:
    """The newest crawls, newest first, and how many there are in all."""
    (in_all,) = connection.execute("SELECT count(*) FROM crawl WHERE started IS NOT NULL").fetchone()
    rows = connection.execute(
        """
        SELECT crawl.id, vantage.name, coalesce(program, ''), started, ended, updated, coalesce(counters, ''),
               (SELECT count(*) FROM heard WHERE heard.crawl = crawl.no),
               (SELECT coalesce(sum(visits), 0) FROM hourly WHERE hourly.crawl = crawl.no)
        FROM crawl JOIN vantage ON vantage.no = crawl.vantage
        WHERE started IS NOT NULL ORDER BY started DESC, crawl.id DESC LIMIT ?
        """,
        (_MOST_RUNS,),
    )
    return tuple(_run(*row) for row in rows), in_all


def _run(  # noqa: PLR0913, PLR0917  (the columns of one row)
    id_: bytes, vantage: str, program: str, started: int, ended: int | None, updated: int, counters: str, alive: int, visits: int
) -> Run:
    told = _counters(counters)
    return Run(
        id=id_,
        vantage=vantage,
        program=program,
        started=started,
        ended=ended,
        updated=updated,
        recall=_recall(told.get("recall")),
        found=_count(told.get("found")),
        alive=alive,
        visits=visits,
        packets=_count(told.get("packets_sent")),
    )


def _counters(text: str) -> dict[str, object]:
    """What a crawl said of itself. A merged file may come from elsewhere, so that anything may stand here."""
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, object]", told) if isinstance(told, dict) else {}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _recall(value: object) -> Recall | None:
    if not isinstance(value, dict):
        return None
    told = cast("dict[str, object]", value)
    parts = [part for key in ("estimate", "low", "high") if isinstance(part := told.get(key), int | float) and 0 <= part <= 1]
    if len(parts) != 3:
        return None
    estimate, low, high = parts
    return Recall(estimate=float(estimate), low=float(low), high=float(high))


def difference(connection: sqlite3.Connection, runs: tuple[Run, ...]) -> Difference | None:
    """The newest crawl that found anybody beside the one before it from the same vantage; None if there are no two."""
    heard = [run for run in runs if run.alive]
    pair = next(((before, after) for after in heard[:1] for before in heard[1:] if before.vantage == after.vantage), None)
    if pair is None:
        return None
    before, after = pair
    (stayed,) = connection.execute(
        """
        SELECT count(*) FROM heard AS a JOIN heard AS b ON b.node = a.node
        WHERE a.crawl = (SELECT no FROM crawl WHERE id = ?) AND b.crawl = (SELECT no FROM crawl WHERE id = ?)
        """,
        (after.id, before.id),
    ).fetchone()
    return Difference(before=before, after=after, stayed=stayed, gone=before.alive - stayed, come=after.alive - stayed)


def overlap(connection: sqlite3.Connection) -> Overlap | None:
    """Which nodes the newest crawl of each vantage found alive; None if there are no two vantages.

    Of more than a dozen vantages those are taken that crawled last.
    """
    newest = connection.execute(
        """
        SELECT vantage.name, crawl.no, max(started) FROM crawl JOIN vantage ON vantage.no = crawl.vantage
        WHERE started IS NOT NULL AND EXISTS (SELECT 1 FROM heard WHERE heard.crawl = crawl.no)
        GROUP BY vantage.no ORDER BY 3 DESC LIMIT ?
        """,
        (_MOST_VANTAGES,),
    ).fetchall()
    if len(newest) < 2:
        return None
    bits = ", ".join(f"({crawl:d}, {1 << place:d})" for place, (_, crawl, _) in enumerate(newest))
    masks = dict(
        connection.execute(f"""
            WITH bit (crawl, bit) AS (VALUES {bits})
            SELECT mask, count(*) FROM (SELECT sum(bit) AS mask FROM bit JOIN heard ON heard.crawl = bit.crawl GROUP BY node) GROUP BY mask
        """)  # noqa: S608  (numbers alone)
    )
    size = range(len(newest))
    shared = tuple(tuple(sum(n for mask, n in masks.items() if mask >> a & mask >> b & 1) for b in size) for a in size)
    return Overlap(
        vantages=tuple(Share(name=name, nodes=shared[place][place]) for place, (name, _, _) in enumerate(newest)),
        shared=shared,
        only=tuple(masks.get(1 << place, 0) for place in size),
        seen_by=tuple(sum(n for mask, n in masks.items() if mask.bit_count() == count) for count in range(1, len(newest) + 1)),
    )
