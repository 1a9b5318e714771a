"""`PostgresSink`: writes rows to a server, each batch in one transaction, by COPY into temporary tables and from there by sets."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from devp2p_crawler.model import Batch, Crawl, Sighting, Visit
from devp2p_crawler.stores.postgres.connections import PostgresSettings, Session
from devp2p_crawler.stores.sinks import bounded_number, storable

if TYPE_CHECKING:
    import psycopg

_ODD_BEFORE: Final = 1_400_000_000_000_000  # 2014: no crawl of devp2p is older
_AHEAD: Final = 40 * 24 * 3600 * 1_000_000  # by which a row may be ahead of the server's clock, and still have a month of its own

_TEMPORARY: Final = """
CREATE TEMPORARY TABLE IF NOT EXISTS new_sighting (
    node bytea, public_key bytea, vantage text, ip bytea, udp integer, tcp integer, first bigint, last bigint) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS new_enr (node bytea, sequence numeric, raw bytea, seen bigint) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS new_visit (
    node bytea, kind smallint, crawl bytea, outcome smallint, began bigint, ended bigint, rtt bigint, asked bigint, told bigint,
    ip bytea, port integer, capabilities text[], client text, listen_port numeric, reason numeric, eth_version numeric,
    network_id numeric, genesis bytea, fork_hash bytea, fork_next numeric, head bytea, head_number numeric) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS new_due (node bytea, due_at bigint) ON COMMIT DELETE ROWS;
"""
_CRAWL: Final = """
INSERT INTO crawl AS old VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET
    vantage = excluded.vantage, started = excluded.started, updated = excluded.updated, ended = excluded.ended,
    program = excluded.program, settings = excluded.settings, counters = excluded.counters
WHERE (excluded.updated, coalesce(excluded.ended, -1), excluded.counters, excluded.settings, excluded.program)
    > (old.updated, coalesce(old.ended, -1), old.counters, old.settings, old.program)
"""
# Rows are taken in one order by all, so that no two transactions wait for each other.
_SIGHTINGS: Final = """
INSERT INTO node AS old (id, public_key, first_seen, last_seen, ip, udp, tcp, placed_at)
    SELECT DISTINCT ON (node) node, public_key, min(first) OVER (PARTITION BY node), max(last) OVER (PARTITION BY node), ip, udp, tcp, last
    FROM new_sighting ORDER BY node, last DESC, public_key DESC, ip, udp, tcp
ON CONFLICT (id) DO UPDATE SET
    public_key = coalesce(greatest(old.public_key, excluded.public_key), old.public_key),
    first_seen = least(old.first_seen, excluded.first_seen),
    last_seen = greatest(old.last_seen, excluded.last_seen),
    ip = CASE WHEN excluded.placed_at > old.placed_at THEN excluded.ip ELSE old.ip END,
    udp = CASE WHEN excluded.placed_at > old.placed_at THEN excluded.udp ELSE old.udp END,
    tcp = CASE WHEN excluded.placed_at > old.placed_at THEN excluded.tcp ELSE old.tcp END,
    placed_at = greatest(old.placed_at, excluded.placed_at);
INSERT INTO sighting AS old
    SELECT node, vantage, ip, udp, tcp, min(first), max(last) FROM new_sighting GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (node, vantage, ip, udp, tcp) DO UPDATE SET first = least(old.first, excluded.first), last = greatest(old.last, excluded.last)
    WHERE excluded.first < old.first OR excluded.last > old.last;
"""
_RECORDS: Final = """
INSERT INTO enr AS old SELECT node, sequence, raw, min(seen) FROM new_enr GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (node, sequence, raw) DO UPDATE SET seen = excluded.seen WHERE excluded.seen < old.seen
"""
_VISITS: Final = """
INSERT INTO client (name) SELECT DISTINCT client FROM new_visit WHERE client IS NOT NULL ORDER BY 1 ON CONFLICT DO NOTHING;
INSERT INTO capset (capabilities)
    SELECT DISTINCT capabilities FROM new_visit WHERE capabilities IS NOT NULL ORDER BY 1 ON CONFLICT DO NOTHING;
WITH written AS (
    INSERT INTO visit
        SELECT node, kind, crawl, outcome, began, ended, rtt, asked, told, ip, port, capset.no, client.no,
            listen_port, reason, eth_version, network_id, genesis, fork_hash, fork_next, head, head_number
        FROM new_visit LEFT JOIN client ON client.name = new_visit.client LEFT JOIN capset USING (capabilities)
        ORDER BY began, node, kind, crawl
    ON CONFLICT (began, node, kind, crawl) DO NOTHING
    RETURNING node, kind, outcome, outcome IN (0, 10, 11, 12) AS alive, began, ended, client, capset
), summed AS (
    SELECT node, min(began) AS first_seen, max(ended) AS last_seen, max(ended) FILTER (WHERE alive) AS last_ok,
        max(ended) FILTER (WHERE client IS NOT NULL) AS said_at,
        (array_agg(client ORDER BY ended DESC) FILTER (WHERE client IS NOT NULL))[1] AS client,
        (array_agg(capset ORDER BY ended DESC) FILTER (WHERE client IS NOT NULL))[1] AS capset,
        count(*) FILTER (WHERE kind <= 2 AND NOT alive AND outcome <> 13) AS silences
    FROM written GROUP BY node
)
INSERT INTO node AS old (id, first_seen, last_seen, last_ok, attempts, client, capset, said_at)
    SELECT node, first_seen, last_seen, last_ok, silences, client, capset, said_at FROM summed ORDER BY node
ON CONFLICT (id) DO UPDATE SET
    first_seen = least(old.first_seen, excluded.first_seen),
    last_seen = greatest(old.last_seen, excluded.last_seen),
    last_ok = coalesce(greatest(old.last_ok, excluded.last_ok), old.last_ok),
    attempts = CASE WHEN excluded.last_ok IS NULL THEN old.attempts + excluded.attempts ELSE 0 END,
    client = CASE WHEN excluded.said_at > coalesce(old.said_at, -1) THEN excluded.client ELSE old.client END,
    capset = CASE WHEN excluded.said_at > coalesce(old.said_at, -1) THEN excluded.capset ELSE old.capset END,
    said_at = coalesce(greatest(old.said_at, excluded.said_at), old.said_at);
"""
_DUE: Final = """
INSERT INTO frontier (node, due_at) SELECT node, due_at FROM new_due ORDER BY node ON CONFLICT (node) DO UPDATE SET due_at = excluded.due_at
"""


class PostgresSink:
    """Writes to a server; a `Sink`. It connects with the first write, and anew after a failure."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._session = Session(settings)
        self._months: set[int] = set()

    @classmethod
    def open(cls, url: str) -> Self:
        """Make one and connect; SinkError if the server cannot be used."""
        sink = cls(PostgresSettings(url))
        sink.write(Batch())
        return sink

    def write(self, batch: Batch) -> None:
        """Write all of a batch or nothing."""
        self._session.run(lambda connection: self._write(connection, batch))

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def _write(self, connection: "psycopg.Connection[Any]", batch: Batch) -> None:
        connection.execute(_TEMPORARY)
        for crawl in sorted(batch.crawls, key=lambda crawl: crawl.id):
            connection.execute(_CRAWL, _crawl_row(crawl))
        if batch.sightings:
            _copy(connection, "new_sighting", map(_sighting_row, batch.sightings))
            connection.execute(_SIGHTINGS)
        if batch.records:
            _copy(connection, "new_enr", ((one.node, bounded_number(one.sequence), one.raw, one.seen) for one in batch.records))
            connection.execute(_RECORDS)
        if batch.visits:
            _copy(connection, "new_visit", map(_visit_row, batch.visits))
            self._make_months(connection)
            connection.execute(_VISITS)
        if batch.due:
            _copy(connection, "new_due", batch.due.items())
            connection.execute(_DUE)

    def _make_months(self, connection: "psycopg.Connection[Any]") -> None:
        """See that there is a partition for each month that is reasonable; other times go to the one for odd ones."""
        rows = connection.execute(
            "SELECT DISTINCT extract(epoch FROM date_trunc('month', to_timestamp(began / 1000000) AT TIME ZONE 'UTC'))::bigint"
            " FROM new_visit WHERE began >= %s AND began < extract(epoch FROM now()) * 1000000 + %s",
            (_ODD_BEFORE, _AHEAD),
        ).fetchall()
        for (month,) in rows:
            if month not in self._months:
                connection.execute("SELECT make_month(%s)", (month * 1_000_000,))
        self._months |= {month for (month,) in rows}


def _copy(connection: "psycopg.Connection[Any]", table: str, rows: Iterable[Sequence[Any]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _crawl_row(crawl: Crawl) -> tuple[bytes | str | int | None, ...]:
    told = (storable(crawl.program), storable(crawl.settings), storable(crawl.counters))
    return (crawl.id, storable(crawl.vantage), crawl.started, crawl.updated, crawl.ended, *told)


def _sighting_row(one: Sighting) -> tuple[bytes | str | int, ...]:
    return (one.node, one.public_key, storable(one.vantage), one.ip, one.udp, one.tcp, one.first, one.last)


def _visit_row(visit: Visit) -> tuple[Any, ...]:
    said = visit.said
    row = (
        *(visit.node, visit.kind.value, visit.crawl, visit.outcome.value, visit.began, visit.ended, visit.rtt, visit.asked, visit.told),
        *(visit.ip, visit.port),
    )
    if said is None:
        return (*row, *(None,) * 11)
    return (
        *row,
        [storable(capability) for capability in said.capabilities],
        None if said.client is None else storable(said.client),
        *map(_number, (said.listen_port, said.reason, said.eth_version, said.network_id)),
        *(said.genesis, said.fork_hash, _number(said.fork_next), said.head, _number(said.head_number)),
    )


def _number(number: int | None) -> int | None:
    return None if number is None else bounded_number(number)
