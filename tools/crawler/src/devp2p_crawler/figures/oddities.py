"""Hints that nodes are not as many as they look: what analysis says of all nodes of a file together."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from devp2p_crawler.analysis import Hint, SeenNode, find_sybils
from devp2p_crawler.figures.findings import Cluster, Crowd, HintCount, Oddities

_MOST_ROWS: Final = 100
_SUBNETS: Final = {3: (4, 24), 8: (16, 64)}
"""Bytes of a network -> bytes of its addresses, and its bits."""


def oddities(connection: sqlite3.Connection) -> Oddities:
    """Look at all nodes; needs memory for each of them. Addresses are those where it answered last, and where others say that it is."""
    found = find_sybils(_seen(connection))
    alive = {node for (node,) in connection.execute("SELECT id FROM node WHERE no IN (SELECT node FROM standing WHERE ok IS NOT NULL)")}
    counts, counts_alive = Counter[Hint](), Counter[Hint]()
    for node, hints in found.hints.items():
        counts.update(hints)
        counts_alive.update(hints if node in alive else ())
    crowds = [Crowd(place=_place(place), nodes=nodes) for place, nodes in (*found.at_address.items(), *found.in_subnet.items())]
    crowds.sort(key=lambda crowd: (-crowd.nodes, crowd.place))
    clusters = [Cluster(bits=_shared_bits(ids), first=ids[0], nodes=len(ids)) for ids in found.clusters]
    clusters.sort(key=lambda cluster: (-cluster.nodes, cluster.first))
    return Oddities(
        hints=tuple(HintCount(hint=hint, nodes=counts[hint], alive=counts_alive[hint]) for hint in Hint),
        crowds=tuple(crowds[:_MOST_ROWS]),
        crowds_in_all=len(crowds),
        clusters=tuple(clusters[:_MOST_ROWS]),
        clusters_in_all=len(clusters),
        flagged={node: tuple(hint for hint in Hint if hint in found.hints[node]) for node in sorted(found.hints)},
        alive=len(alive & found.hints.keys()),
    )


def _seen(connection: sqlite3.Connection) -> Iterator[SeenNode]:
    """The three queries come in the order of nodes, so that no more than one node is in memory at a time."""
    places = _by_node(
        connection.execute("""
        SELECT node, ip FROM sighting WHERE ip <> x''
        UNION SELECT standing.node, ip FROM standing JOIN visit ON visit.no = standing.ok WHERE ip <> x'' ORDER BY 1
        """)
    )
    records = _by_node(connection.execute("SELECT node, sequence FROM enr ORDER BY node, seen, sequence < 0, sequence"))
    place, record = next(places, None), next(records, None)
    for no, node in connection.execute("SELECT no, id FROM node ORDER BY no"):
        addresses, sequences = list[bytes](), list[int]()
        if place is not None and place[0] == no:
            addresses, place = place[1], next(places, None)
        if record is not None and record[0] == no:
            sequences, record = record[1], next(records, None)
        yield SeenNode(node=node, addresses=frozenset(addresses), sequences=tuple(sequence % 2**64 for sequence in sequences))


def _by_node(rows: sqlite3.Cursor) -> Iterator[tuple[int, list[Any]]]:
    for no, group in groupby(rows, key=itemgetter(0)):
        yield no, [value for _, value in group]


def _place(place: bytes) -> str:
    """An address, or a network as "10.0.7.0/24"."""
    if place_size := _SUBNETS.get(len(place)):
        size, bits = place_size
        return f"{ip_address(place.ljust(size, bytes(1)))}/{bits}"
    return str(ip_address(place))


def _shared_bits(ids: tuple[bytes, ...]) -> int:
    """How many leading bits the first and the last of ordered ids, and so all of them, have in common."""
    return 256 - (int.from_bytes(ids[0], "big") ^ int.from_bytes(ids[-1], "big")).bit_length()
