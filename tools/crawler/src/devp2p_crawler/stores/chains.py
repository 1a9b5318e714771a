"""What follows from the visits of one node in the order in which they ended, where they were not written in that order.

The triggers of the file count a score and spells as visits come. A visit that ended before one that was there (of another vantage, or
after a clock was set back) marks its node as stale; then they are computed anew here, of all its visits, which hang together as a chain.
"""

import sqlite3
from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

from devp2p_crawler.model import Kind, Outcome

_CHAIN: Final = (
    "WITH RECURSIVE chain (no, previous, kind, ended, began, crawl, alive, outcome) AS ("
    " SELECT v.no, v.previous, v.kind, v.ended, v.began, v.crawl, v.alive, v.outcome FROM node JOIN visit v ON v.no = node.newest"
    " WHERE node.no = ?1"
    " UNION ALL SELECT v.no, v.previous, v.kind, v.ended, v.began, v.crawl, v.alive, v.outcome FROM chain JOIN visit v"
    " ON v.no = chain.previous)"
    " SELECT kind, chain.ended, began, crawl.id, alive FROM chain JOIN crawl ON crawl.no = chain.crawl"
    " WHERE outcome <> ?2"
)


def chain(connection: sqlite3.Connection, node: int) -> list[tuple[Any, ...]]:
    """The visits of a node (its number), without those that failed by our fault, as (kind, ended, began, crawl's id, alive)."""
    return connection.execute(_CHAIN, (node, int(Outcome.OUR_FAULT))).fetchall()


def score_of(connection: sqlite3.Connection, node: int) -> int:
    """The score of a node (its number), as go-ethereum counts it, over all its visits by UDP as they ended."""
    score = 0
    for kind, _, _, _, alive in sorted(chain(connection, node), key=lambda visit: (visit[1], visit[2], visit[0], visit[3])):
        if kind in {Kind.V4, Kind.V5}:
            score = score + 1 if alive else score // 2
    return score


def settle(connection: sqlite3.Connection, *, most: int = -1) -> int:
    """Compute score and spells of stale nodes anew, of at most `most` nodes, inside an open transaction; return how many there were."""
    nodes = [node for (node,) in connection.execute("SELECT no FROM node WHERE stale = 1 LIMIT ?", (most,))]
    for node in nodes:
        visits = sorted(chain(connection, node))
        connection.execute("DELETE FROM spell WHERE node = ?", (node,))
        for kind, of_kind in groupby(visits, key=lambda visit: visit[0]):
            _settle_spells(connection, node, kind, of_kind)
        connection.execute("UPDATE node SET stale = 0, score = ? WHERE no = ?", (score_of(connection, node), node))
    return len(nodes)


def _settle_spells(connection: sqlite3.Connection, node: int, kind: int, visits: Iterable[tuple[Any, ...]]) -> None:
    number, began, ended, alive, count = -1, 0, 0, None, 0
    for _, visit_ended, visit_began, _, visit_alive in visits:
        if visit_alive != alive:
            if count:
                connection.execute("INSERT INTO spell VALUES (?, ?, ?, ?, ?, ?, ?)", (node, kind, number, began, ended, alive, count))
            number, began, alive, count = number + 1, visit_began, visit_alive, 0
        ended, count = visit_ended, count + 1
    connection.execute(
        "UPDATE standing SET spell = ?, spell_began = ?, spell_alive = ?, spell_visits = ? WHERE node = ? AND kind = ?",
        (number, began, alive, count, node, kind),
    )
