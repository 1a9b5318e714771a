"""What is known of a node, put together of what the SQLite file has of it.

Each part is a least, a greatest or a latest one, or a count of visits that are there once; so it does not matter in which order they came.
"Latest" is by the time at which visits ended, and where that is the same, by `Kind`.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final

from devp2p_crawler.model import Kind, KnownNode, Outcome, Said, SignedRecord
from devp2p_crawler.stores.chains import score_of
from devp2p_crawler.stores.rows import said_of, unsigned

_UDP: Final = (Kind.V4, Kind.V5)
_NODES: Final = "SELECT no, id, public_key, first_visit, score, stale FROM node ORDER BY id"
_STANDINGS: Final = (
    "SELECT node.no, standing.kind, hellos, last_at, last.outcome, last.rtt, first_ok_at, ok_at, ok.ip, ok.port, hello_at, hello.reason,"
    " capset.capabilities, client.name, hello.listen_port, status_at, status.eth_version, status.network_id, status.genesis,"
    " status.fork_hash, status.fork_next, status.head, status.head_number"
    " FROM node CROSS JOIN standing ON standing.node = node.no CROSS JOIN visit last ON last.no = standing.last"
    " LEFT JOIN visit ok ON ok.no = standing.ok LEFT JOIN visit hello ON hello.no = standing.hello"
    " LEFT JOIN visit status ON status.no = standing.status"
    " LEFT JOIN client ON client.no = hello.client LEFT JOIN capset ON capset.no = hello.capset ORDER BY node.id"
)
_SIGHTINGS: Final = "SELECT node.no, ip, udp, tcp, first, last FROM node CROSS JOIN sighting ON sighting.node = node.no ORDER BY node.id"
_RECORDS: Final = "SELECT node.no, sequence, raw, seen FROM node CROSS JOIN enr ON enr.node = node.no ORDER BY node.id"
_VANTAGES: Final = (
    "SELECT DISTINCT node.no, vantage.name, node.id FROM heard JOIN crawl ON crawl.no = heard.crawl"
    " JOIN vantage ON vantage.no = crawl.vantage JOIN node ON node.no = heard.node ORDER BY node.id"
)


@dataclass(frozen=True, slots=True)
class _Standing:
    """A row of `_STANDINGS`, without the node."""

    kind: int
    hellos: int
    last_at: int
    outcome: int
    rtt: int | None
    first_ok_at: int | None
    ok_at: int | None
    ok_ip: bytes | None
    ok_port: int | None
    hello_at: int | None
    reason: int | None
    capabilities: str | None
    client: str | None
    listen_port: int | None
    status_at: int | None
    status: tuple[Any, ...]
    """eth_version, network_id, genesis, fork_hash, fork_next, head, head_number."""


def known_nodes(connection: sqlite3.Connection) -> Iterator[KnownNode]:
    """All nodes, ordered by node-ID, as they are at one moment; a few thousand rows are in memory at a time."""
    with closing(connection.execute(_NODES)) as nodes:
        # Each of these goes through the same nodes in the same order, and as one of them is open, all see the same state of the file.
        standings, sightings, records, vantages = (
            _Following(connection, statement) for statement in (_STANDINGS, _SIGHTINGS, _RECORDS, _VANTAGES)
        )
        try:
            for number, node, public_key, first_visit, score, stale in nodes:
                visited = [_standing(row) for row in standings.of(number)]
                told = sightings.of(number)
                record = max(map(_record, records.of(number)), key=lambda found: (found.sequence, found.raw), default=None)
                heard = frozenset(name for name, _ in vantages.of(number))
                if first_visit is None and not told and record is None:
                    continue  # somebody has only said when it is due, which is no fact
                yield replace(
                    _known(node, visited, told, first_visit),
                    public_key=public_key or b"",
                    score=score_of(connection, number) if stale else score,
                    record=None if record is None else replace(record, node=node),
                    vantages=heard,
                )
        finally:
            for following in (standings, sightings, records, vantages):
                following.close()


class _Following:
    """The rows of one table, asked for by one node after the other, in the order in which they come."""

    def __init__(self, connection: sqlite3.Connection, statement: str) -> None:
        self._cursor = connection.execute(statement)
        self._next: tuple[Any, ...] | None = self._cursor.fetchone()

    def of(self, node: int) -> list[Sequence[Any]]:
        found = list[Sequence[Any]]()
        while self._next is not None and self._next[0] == node:
            found.append(self._next[1:])
            self._next = self._cursor.fetchone()
        return found

    def close(self) -> None:
        self._cursor.close()


def _standing(row: Sequence[Any]) -> _Standing:
    values: Any = (*row[:15], tuple(row[15:]))
    return _Standing(*values)


def _record(row: Sequence[Any]) -> SignedRecord:
    sequence, raw, seen = row
    return SignedRecord(node=b"", sequence=unsigned(sequence) or 0, raw=raw, seen=seen)


def _known(node: bytes, visited: list[_Standing], told: list[Sequence[Any]], first_visit: int | None) -> KnownNode:
    """All but the public key, the score, the record and the vantages."""
    answered = [standing for standing in visited if standing.ok_at is not None]
    firsts = [first for _, _, _, first, _ in told] + ([] if first_visit is None else [first_visit])
    lasts = [last for *_, last in told] + [standing.ok_at for standing in answered if standing.ok_at is not None]
    first_seen = min(firsts, default=0)
    ip, udp, tcp = _place(answered, told)
    said, said_at = _said(visited)
    return KnownNode(
        node=node,
        public_key=b"",
        first_seen=first_seen,
        last_seen=max(lasts, default=first_seen),
        first_ok=min((standing.first_ok_at for standing in answered if standing.first_ok_at is not None), default=None),
        last_ok=max((standing.ok_at for standing in answered if standing.ok_at is not None), default=None),
        last_visit=max((standing.last_at for standing in visited), default=None),
        score=0,
        record=None,
        ip=ip,
        udp=udp,
        tcp=tcp,
        said=said,
        said_at=said_at,
        outcomes={Kind(standing.kind): Outcome(standing.outcome) for standing in visited},
        rtt=min((standing.rtt for standing in visited if standing.rtt is not None), default=None),
        handshakes=sum(standing.hellos for standing in visited if standing.kind in {Kind.RLPX, Kind.INBOUND}),
        vantages=frozenset(),
    )


def _place(answered: Iterable[_Standing], told: list[Sequence[Any]]) -> tuple[bytes, int, int]:
    """Where it answered last, with the ports that are known at that address; without an answer, what was told last.

    A node that called us did so from a port at which it takes no calls, so of those only the address counts, and the port of its Hello.
    """
    latest = sorted(((s.ok_at or 0, s.kind, s) for s in answered if s.ok_ip), key=lambda found: found[:2], reverse=True)
    places = sorted(((last, ip, udp, tcp) for ip, udp, tcp, _, last in told), reverse=True)
    if not latest:
        return places[0][1:] if places else (b"", 0, 0)
    ip = latest[0][2].ok_ip or b""
    here = [standing for _, _, standing in latest if standing.ok_ip == ip]
    udps = [standing.ok_port or 0 for standing in here if standing.kind in _UDP]
    tcps = [standing.ok_port or 0 for standing in here if standing.kind == Kind.RLPX]
    calling = [standing.listen_port or 0 for standing in here if standing.kind == Kind.INBOUND]
    udps += [udp for _, where, udp, _ in places if where == ip and udp]
    tcps += [tcp for _, where, _, tcp in places if where == ip and tcp] + calling
    return ip, next(iter(udps), 0), next(filter(None, tcps), 0)


def _said(visited: Iterable[_Standing]) -> tuple[Said | None, int | None]:
    """What it said in its latest Hello and in its latest Status, which may have been in another visit; and when that Hello was."""
    visited = list(visited)
    hello = max((s for s in visited if s.hello_at is not None), key=lambda s: (s.hello_at or 0, s.kind), default=None)
    if hello is None:
        return None, None
    status = max((s for s in visited if s.status_at is not None), key=lambda s: (s.status_at or 0, s.kind), default=None)
    numbers = (None,) * 7 if status is None else status.status
    return said_of(hello.capabilities, hello.client, (hello.listen_port, hello.reason, *numbers)), hello.hello_at
