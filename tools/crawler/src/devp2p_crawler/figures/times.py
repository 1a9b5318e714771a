"""When nodes were found, how fast they answer, how long they stay."""

import sqlite3
from bisect import bisect_right
from typing import Final

from devp2p_crawler.figures.findings import Moment, Rtts

_MOMENTS: Final = 96
_QUANTILES: Final = 100


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
