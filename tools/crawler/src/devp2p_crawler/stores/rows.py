"""Rows of the SQLite file: batches as statements with values, and what is read as the model's objects.

Many rows go into one statement: Python's `executemany` lets go of the interpreter's lock and takes it again for each row, for which a
thread that writes would have to wait up to 5 ms each time while a crawl computes.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Final, NamedTuple, TypeAlias

from devp2p_crawler.model import Batch, Crawl, Kind, Outcome, Said, Sighting, SignedRecord, Visit
from devp2p_crawler.stores.sinks import bounded_number, storable

Row: TypeAlias = Sequence[bytes | str | int | None]


class _Many(NamedTuple):
    """A statement that takes many rows: what comes before them, how many values each has, and what comes after them."""

    head: str
    width: int
    tail: str


_SIZES: Final = (256, 32, 4, 1)  # of statements, in rows: few different ones, so that each is compiled once
_NODES: Final = _Many("INSERT INTO node (id) VALUES", 1, "ON CONFLICT (id) DO NOTHING")
_KEYS: Final = _Many(
    "INSERT INTO node (id, public_key) VALUES",
    2,
    "ON CONFLICT (id) DO UPDATE SET public_key = excluded.public_key WHERE public_key IS NULL OR public_key < excluded.public_key",
)
_VANTAGES: Final = _Many("INSERT INTO vantage (name) VALUES", 1, "ON CONFLICT (name) DO NOTHING")
_CLIENTS: Final = _Many("INSERT INTO client (name) VALUES", 1, "ON CONFLICT (name) DO NOTHING")
_CAPSETS: Final = _Many("INSERT INTO capset (capabilities) VALUES", 1, "ON CONFLICT (capabilities) DO NOTHING")
_STUBS: Final = _Many("INSERT INTO crawl (id) VALUES", 1, "ON CONFLICT (id) DO NOTHING")
_CRAWLS: Final = _Many(
    "INSERT INTO crawl (id, vantage, started, updated, ended, program, settings, counters)"
    " SELECT column1, (SELECT no FROM vantage WHERE name = column2), column3, column4, column5, column6, column7, column8 FROM (VALUES",
    8,
    ") WHERE true ON CONFLICT (id) DO UPDATE SET vantage = excluded.vantage, started = excluded.started, updated = excluded.updated,"
    " ended = excluded.ended, program = excluded.program, settings = excluded.settings, counters = excluded.counters"
    " WHERE updated IS NULL OR (excluded.updated, coalesce(excluded.ended, -1), excluded.counters, excluded.settings, excluded.program)"
    " > (updated, coalesce(ended, -1), counters, settings, program)",
)
_SIGHTINGS: Final = _Many(
    "INSERT INTO sighting SELECT (SELECT no FROM node WHERE id = column1), (SELECT no FROM vantage WHERE name = column2),"
    " column3, column4, column5, column6, column7 FROM (VALUES",
    7,
    ") WHERE true ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)"
    " WHERE excluded.first < first OR excluded.last > last",
)
_RECORDS: Final = _Many(
    "INSERT INTO enr SELECT (SELECT no FROM node WHERE id = column1), column2, column3, column4 FROM (VALUES",
    4,
    ") WHERE true ON CONFLICT DO UPDATE SET seen = excluded.seen WHERE excluded.seen < seen",
)
_VISITS: Final = _Many(
    "INSERT INTO visit (previous, node, kind, crawl, outcome, began, ended, rtt, asked, told, ip, port, capset, client,"
    " listen_port, reason, eth_version, network_id, genesis, fork_hash, fork_next, head, head_number)"
    " SELECT node.newest, node.no, column2, (SELECT no FROM crawl WHERE id = column3),"
    " column4, column5, column6, column7, column8, column9, column10, column11,"
    " (SELECT no FROM capset WHERE capabilities = column12), (SELECT no FROM client WHERE name = column13),"
    " column14, column15, column16, column17, column18, column19, column20, column21, column22 FROM (VALUES",
    22,
    ") CROSS JOIN node ON node.id = column1 WHERE true ON CONFLICT (began, node, kind, crawl) DO NOTHING",
)
_HOURLY: Final = (
    "INSERT INTO hourly SELECT crawl, began / 3600000000, kind, outcome, count(*) FROM visit WHERE no > ? GROUP BY 1, 2, 3, 4"
    " ON CONFLICT DO UPDATE SET visits = visits + excluded.visits"
)
_DUE: Final = _Many(
    "INSERT INTO frontier SELECT (SELECT no FROM node WHERE id = column1), column2 FROM (VALUES",
    2,
    ") WHERE true ON CONFLICT (node) DO UPDATE SET due_at = excluded.due_at",
)
_SILENT: Final = (None,) * 11


def insert_batch(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write a batch, inside a transaction that is open."""
    insert = _Inserting(connection)
    crawls = {visit.crawl for visit in batch.visits}
    vantages = {crawl.vantage for crawl in batch.crawls} | {sighting.vantage for sighting in batch.sightings}
    keys = {sighting.node: sighting.public_key for sighting in batch.sightings}
    others = {visit.node for visit in batch.visits} | {record.node for record in batch.records} | batch.due.keys()
    said = [visit.said for visit in batch.visits if visit.said is not None]
    insert(_VANTAGES, [(storable(vantage),) for vantage in vantages])
    insert(_CRAWLS, map(_crawl_row, batch.crawls))
    insert(_STUBS, [(crawl,) for crawl in crawls])
    insert(_KEYS, list(keys.items()))
    insert(_NODES, [(node,) for node in others - keys.keys()])
    insert(_CLIENTS, [(name,) for name in {storable(said.client) for said in said if said.client is not None}])
    insert(_CAPSETS, [(text,) for text in {_capset(said.capabilities) for said in said}])
    insert(_SIGHTINGS, map(_sighting_row, batch.sightings))
    insert(_RECORDS, [(record.node, signed(record.sequence), record.raw, record.seen) for record in batch.records])
    [(newest,)] = connection.execute("SELECT coalesce(max(no), 0) FROM visit")
    for visits in _rounds(batch.visits):
        insert(_VISITS, map(_visit_row, visits))
    connection.execute(_HOURLY, (newest,))
    insert(_DUE, list(batch.due.items()))


def _rounds(visits: list[Visit]) -> list[list[Visit]]:
    """Visits as lists in which each node is once: a visit names the one to its node before it, which has to be written already."""
    rounds, before = list[list[Visit]](), dict[bytes, int]()
    for visit in visits:
        number = before[visit.node] = before.get(visit.node, -1) + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(visit)
    return rounds


class _Inserting:
    """Runs statements with many rows each. Rows are made a few at a time, since each time others wait for the interpreter's lock."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __call__(self, statement: _Many, rows: Iterable[Row]) -> None:
        rest = iter(rows)
        while part := list(islice(rest, _SIZES[0])):
            done = 0
            for size in _SIZES:
                while len(part) - done >= size:
                    values = list(chain.from_iterable(part[done : done + size]))
                    self._connection.execute(_statement(statement, size), values)
                    done += size


@lru_cache(256)
def _statement(statement: _Many, size: int) -> str:
    group = f"({', '.join('?' * statement.width)})"
    return f"{statement.head} {', '.join([group] * size)} {statement.tail}"


def signed(number: int | None) -> int | None:
    """An unsigned 64-bit number in SQLite's signed ones."""
    if number is None:
        return None
    number = bounded_number(number)
    return number if number < 2**63 else number - 2**64


def unsigned(number: int | None) -> int | None:
    """The way back."""
    return number if number is None or number >= 0 else number + 2**64


@lru_cache(4096)
def _capset(capabilities: tuple[str, ...]) -> str:
    return json.dumps([storable(capability) for capability in capabilities], ensure_ascii=False, separators=(",", ":"))


def _crawl_row(crawl: Crawl) -> Row:
    told = (storable(crawl.program), storable(crawl.settings), storable(crawl.counters))
    return (crawl.id, storable(crawl.vantage), crawl.started, crawl.updated, crawl.ended, *told)


def _sighting_row(sighting: Sighting) -> Row:
    place = (sighting.ip, sighting.udp, sighting.tcp)
    return (sighting.node, storable(sighting.vantage), *place, sighting.first, sighting.last)


def _visit_row(visit: Visit) -> Row:
    said = visit.said
    row = (
        *(visit.node, visit.kind.value, visit.crawl, visit.outcome.value, visit.began, visit.ended, visit.rtt, visit.asked, visit.told),
        *(visit.ip, visit.port),
    )
    return row + (_SILENT if said is None else _said_row(said))


def _said_row(said: Said) -> tuple[bytes | str | int | None, ...]:
    return (
        *(_capset(said.capabilities), None if said.client is None else storable(said.client), signed(said.listen_port)),
        *(signed(said.reason), signed(said.eth_version), signed(said.network_id), said.genesis, said.fork_hash, signed(said.fork_next)),
        *(said.head, signed(said.head_number)),
    )


VISITS: Final = (
    "SELECT crawl.id, node.id, visit.kind, visit.began, visit.ended, visit.outcome, visit.ip, visit.port, visit.rtt, visit.asked,"
    " visit.told, capset.capabilities, client.name, listen_port, reason, eth_version, network_id, genesis, fork_hash, fork_next, head,"
    " head_number FROM visit JOIN node ON node.no = visit.node JOIN crawl ON crawl.no = visit.crawl"
    " LEFT JOIN capset ON capset.no = visit.capset LEFT JOIN client ON client.no = visit.client"
)
CRAWLS: Final = (
    "SELECT crawl.id, vantage.name, started, updated, ended, program, settings, counters FROM crawl"
    " JOIN vantage ON vantage.no = crawl.vantage ORDER BY started, crawl.id"
)
SIGHTINGS: Final = (
    "SELECT node.id, public_key, vantage.name, ip, udp, tcp, first, last FROM node CROSS JOIN sighting ON sighting.node = node.no"
    " JOIN vantage ON vantage.no = sighting.vantage WHERE last >= ? ORDER BY node.id"
)
RECORDS: Final = "SELECT node.id, sequence, raw, seen FROM node CROSS JOIN enr ON enr.node = node.no WHERE seen >= ? ORDER BY node.id"


def said_of(capabilities: str | None, client: str | None, numbers: Sequence[Any]) -> Said | None:
    """What a node said; `numbers` are the columns from listen_port to head_number. None if it said nothing."""
    if capabilities is None:
        return None
    listen_port, reason, eth_version, network_id, genesis, fork_hash, fork_next, head, head_number = numbers
    return Said(
        client=client,
        capabilities=tuple(json.loads(capabilities)),
        listen_port=unsigned(listen_port),
        eth_version=unsigned(eth_version),
        network_id=unsigned(network_id),
        genesis=genesis,
        fork_hash=fork_hash,
        fork_next=unsigned(fork_next),
        head=head,
        head_number=unsigned(head_number),
        reason=unsigned(reason),
    )


def visit_of(row: tuple[Any, ...]) -> Visit:
    """A row of `VISITS`."""
    crawl, node, kind, began, ended, outcome, ip, port, rtt, asked, told, capabilities, client, *numbers = row
    return Visit(
        crawl=crawl,
        node=node,
        kind=Kind(kind),
        began=began,
        ended=ended,
        outcome=Outcome(outcome),
        ip=ip,
        port=port,
        rtt=rtt,
        asked=asked,
        told=told,
        said=said_of(capabilities, client, numbers),
    )


def crawl_of(row: tuple[Any, ...]) -> Crawl:
    """A row of `CRAWLS`."""
    identity, vantage, started, updated, ended, program, settings, counters = row
    return Crawl(
        id=identity, vantage=vantage, started=started, updated=updated, ended=ended, program=program, settings=settings, counters=counters
    )


def sighting_of(row: tuple[Any, ...]) -> Sighting:
    """A row of `SIGHTINGS`."""
    node, public_key, vantage, ip, udp, tcp, first, last = row
    return Sighting(node=node, public_key=public_key, vantage=vantage, ip=ip, udp=udp, tcp=tcp, first=first, last=last)


def record_of(row: tuple[Any, ...]) -> SignedRecord:
    """A row of `RECORDS`."""
    node, sequence, raw, seen = row
    return SignedRecord(node=node, sequence=unsigned(sequence) or 0, raw=raw, seen=seen)
