"""When nodes were found, how fast they answer, how long they stay."""

import sqlite3
from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from devp2p_crawler.analysis import Stretch, Survival, kaplan_meier, sessions_of
from devp2p_crawler.figures.findings import Lifetimes, Moment, Rtts

_MOMENTS: Final = 96
_QUANTILES: Final = 100
_MOST_SPELLS: Final = 300_000  # which take some two seconds
_FEWEST_SESSIONS: Final = 20
_MOST_POINTS: Final = 200


def growth(connection: sqlite3.Connection, as_of: int) -> tuple[Moment, ...]:
    """How the map grew: moments evenly spread over the time, and over the nodes as they were discovered. Empty if there are no nodes."""
    rows = connection.execute("""
        SELECT coalesce(min(first, asked), first, asked), asked, answered FROM node
        LEFT JOIN (SELECT node, min(first) AS first FROM sighting GROUP BY node) AS told ON told.node = node.no
        LEFT JOIN (SELECT node, min(first_ok_at) AS answered FROM standing GROUP BY node) AS stood ON stood.node = node.no
        LEFT JOIN (SELECT no, first_visit AS asked FROM node) AS visited ON visited.no = node.no AND stood.node IS NOT NULL
    """)
    discovered, in_vain, asked, answered = list[int](), list[int](), list[int](), list[int]()
    for first, visited, answer in rows:
        if first is None:
            continue
        discovered.append(first)
        if visited is not None and answer is None:
            in_vain.append(visited)
        elif visited is not None:
            asked.append(visited)
            answered.append(answer)
    if not discovered:
        return ()
    for times in (discovered, in_vain, asked, answered):
        times.sort()
    return tuple(_moment(at, discovered, in_vain, asked, answered) for at in _spread(discovered, as_of))


def _spread(discovered: list[int], as_of: int) -> list[int]:
    began, ended = discovered[0], max(as_of, discovered[-1])
    even = {began + (ended - began) * place // _MOMENTS for place in range(_MOMENTS + 1)}
    return sorted(even | {discovered[place * (len(discovered) - 1) // _MOMENTS] for place in range(_MOMENTS + 1)})


def _moment(at: int, discovered: list[int], in_vain: list[int], asked: list[int], answered: list[int]) -> Moment:
    found, failed, tried, measured = (bisect_right(times, at) for times in (discovered, in_vain, asked, answered))
    return Moment(
        at=at,
        discovered=found,
        measured=measured,
        pending=tried - measured,
        failed=failed,
        queued=found - failed - tried,
    )


def rtts(connection: sqlite3.Connection) -> Rtts:
    """The round-trip times of all nodes that answered: of each the least, over the latest visit of each kind in which it answered."""
    times = [
        time
        for (time,) in connection.execute("""
            SELECT min(rtt) FROM standing JOIN visit ON visit.no = standing.ok WHERE rtt IS NOT NULL GROUP BY standing.node
        """)
    ]
    times.sort()
    last = len(times) - 1
    steps = range(_QUANTILES + 1) if times else range(0)
    return Rtts(nodes=len(times), quantiles=tuple((step / _QUANTILES, times[last * step // _QUANTILES]) for step in steps))


def lifetimes(connection: sqlite3.Connection) -> Lifetimes | None:
    """How long sessions last, by the kind of visit that each node had most; None of fewer than twenty sessions whose beginning is known."""
    (spells,) = connection.execute("SELECT count(*) FROM spell").fetchone()
    one_in = max(1, -(-spells // _MOST_SPELLS))
    nodes, ends = 0, list[tuple[int, bool]]()
    for stretches in _stretches(connection, one_in):
        known = [session.lifetime for session in sessions_of(stretches) if session.known_start]
        nodes += bool(known)
        ends += known
    if len(ends) < _FEWEST_SESSIONS:
        return None
    curve = kaplan_meier(ends)
    points = curve.points[:: max(1, -(-len(curve.points) // _MOST_POINTS))]
    if not points:
        return None
    return Lifetimes(curve=Survival((*points, *curve.points[-1:]), curve.observed, curve.ended), nodes=nodes, one_in=one_in)


def _stretches(connection: sqlite3.Connection, one_in: int) -> Iterator[list[Stretch]]:
    """Of every so-manyth node that ever answered, the stretches of one kind of visit, in order."""
    rows = connection.execute(
        """
        SELECT chosen.node, spell.began, spell.ended, spell.alive, spell.visits, spell_began, last_at, spell_alive, spell_visits
        FROM (SELECT *, max(visits) FROM standing WHERE ok IS NOT NULL AND node % ? = 0 GROUP BY node) AS chosen
        LEFT JOIN spell ON spell.node = chosen.node AND spell.kind = chosen.kind ORDER BY chosen.node, spell.number
        """,
        (one_in,),
    )
    for _, group in groupby(rows, key=itemgetter(0)):
        spells = [*group]
        yield [
            Stretch(began=began, ended=ended, alive=bool(alive), visits=visits)
            for began, ended, alive, visits in (*(row[1:5] for row in spells), spells[0][5:])  # those that are over, and the present one
            if began is not None
        ]
