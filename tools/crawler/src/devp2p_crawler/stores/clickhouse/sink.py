"""`ClickHouseSink`: writes rows to a server, a table after the other.

ClickHouse has no transactions over tables: a batch that is broken off in the middle is written again whole, and what was there already
changes nothing. What no server would take is therefore found here, before anything is sent.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Self

from devp2p_crawler.model import Batch, Crawl, Sighting, SignedRecord, Visit
from devp2p_crawler.stores.clickhouse.connections import ClickHouseSettings, Client, Session
from devp2p_crawler.stores.sinks import RowsRefusedError, bounded_number, storable

_INT64: Final = range(-(2**63), 2**63)
_INT32: Final = range(-(2**31), 2**31)


class _Table(NamedTuple):
    """A table: its name, and for each column its name and type."""

    name: str
    columns: tuple[tuple[str, str], ...]


def _table(name: str, columns: str) -> _Table:
    pairs = (column.strip().partition(" ") for column in columns.split(";"))
    return _Table(name, tuple((column, kind) for column, _, kind in pairs))


_CRAWL: Final = _table(
    "crawl",
    "id FixedString(16); vantage LowCardinality(String); started Int64; updated Int64; ended Nullable(Int64); program String;"
    " settings String; counters String",
)
_SIGHTING: Final = _table(
    "sighting",
    "node FixedString(32); public_key FixedString(64); vantage LowCardinality(String); ip String; udp Int32; tcp Int32; first Int64;"
    " last Int64",
)
_ENR: Final = _table("enr", "node FixedString(32); sequence UInt64; raw String; seen Int64")
_VISIT: Final = _table(
    "visit",
    "began Int64; node FixedString(32); kind UInt8; crawl FixedString(16); outcome UInt8; ended Int64; rtt Nullable(Int64); asked Int64;"
    " told Nullable(Int64); ip String; port Int32; has_said UInt8; client LowCardinality(Nullable(String));"
    " capabilities Array(LowCardinality(String)); listen_port Nullable(UInt64); reason Nullable(UInt64); eth_version Nullable(UInt64);"
    " network_id Nullable(UInt64); genesis Nullable(String); fork_hash Nullable(String); fork_next Nullable(UInt64);"
    " head Nullable(String); head_number Nullable(UInt64)",
)
_DUE: Final = _table("due", "node FixedString(32); due_at Int64")
_SETTINGS: Final = {"max_partitions_per_insert_block": 0}  # clocks that jump may spread a batch over many months


class ClickHouseSink:
    """Writes to a server; a `Sink`. It connects with the first write, and anew after a failure."""

    def __init__(self, url: str) -> None:
        """SinkError if the URL is none, or the driver is missing."""
        self._session = Session(ClickHouseSettings.parse(url))

    @classmethod
    def open(cls, url: str) -> Self:
        """Make one and connect; SinkError if the server cannot be used."""
        sink = cls(url)
        sink.write(Batch())
        return sink

    def write(self, batch: Batch) -> None:
        """Write all of a batch; SinkError if that fails, and it may then have been written in part."""
        tables = (
            (_CRAWL, [_crawl_row(one) for one in batch.crawls]),
            (_SIGHTING, [_sighting_row(one) for one in batch.sightings]),
            (_ENR, [_record_row(one) for one in batch.records]),
            (_VISIT, [_visit_row(one) for one in batch.visits]),
            (_DUE, [(_sized(node, 32, "a node-ID"), _within(due, _INT64)) for node, due in batch.due.items()]),
        )
        self._session.run(lambda client: _insert(client, tables))

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()


def _insert(client: Client, tables: Iterable[tuple[_Table, Sequence[Sequence[Any]]]]) -> None:
    for table, rows in tables:
        if rows:
            names, types = zip(*table.columns, strict=True)
            client.insert(table.name, rows, column_names=names, column_type_names=types, settings=_SETTINGS)


def _crawl_row(crawl: Crawl) -> tuple[Any, ...]:
    times = (_within(crawl.started, _INT64), _within(crawl.updated, _INT64), _within(crawl.ended, _INT64))
    told = (storable(crawl.program), storable(crawl.settings), storable(crawl.counters))
    return (_sized(crawl.id, 16, "the id of a crawl"), storable(crawl.vantage), *times, *told)


def _sighting_row(one: Sighting) -> tuple[Any, ...]:
    keys = (_sized(one.node, 32, "a node-ID"), _sized(one.public_key, 64, "a public key"))
    place = (_address(one.ip), _within(one.udp, _INT32), _within(one.tcp, _INT32))
    return (*keys, storable(one.vantage), *place, _within(one.first, _INT64), _within(one.last, _INT64))


def _record_row(one: SignedRecord) -> tuple[Any, ...]:
    return (_sized(one.node, 32, "a node-ID"), bounded_number(one.sequence), one.raw, _within(one.seen, _INT64))


def _visit_row(visit: Visit) -> tuple[Any, ...]:
    said = visit.said
    row = (
        *(_within(visit.began, _INT64), _sized(visit.node, 32, "a node-ID"), int(visit.kind)),
        *(_sized(visit.crawl, 16, "the id of a crawl"), int(visit.outcome), _within(visit.ended, _INT64), _within(visit.rtt, _INT64)),
        *(_within(visit.asked, _INT64), _within(visit.told, _INT64), _address(visit.ip), _within(visit.port, _INT32)),
    )
    if said is None:
        return (*row, 0, None, [], *(None,) * 9)
    return (
        *(*row, 1, None if said.client is None else storable(said.client), [storable(one) for one in said.capabilities]),
        *map(_number, (said.listen_port, said.reason, said.eth_version, said.network_id)),
        *(said.genesis, said.fork_hash, _number(said.fork_next), said.head, _number(said.head_number)),
    )


def _number(number: int | None) -> int | None:
    return None if number is None else bounded_number(number)


def _sized(data: bytes, size: int, what: str) -> bytes:
    if len(data) != size:
        raise RowsRefusedError(f"ClickHouse does not take rows in which {what} has {len(data)} bytes instead of {size}")
    return data


def _address(ip: bytes) -> bytes:
    if len(ip) not in {0, 4, 16}:
        raise RowsRefusedError(f"ClickHouse does not take rows in which an address has {len(ip)} bytes instead of 0, 4 or 16")
    return ip


def _within(number: int | None, bounds: range) -> int | None:
    if number is not None and number not in bounds:
        raise RowsRefusedError(f"ClickHouse takes no rows with the number {number}: it must be from {bounds.start} to {bounds.stop - 1}")
    return number
