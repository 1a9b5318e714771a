"""`ClickHouseSource`: what a server holds, to be merged into a file."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from devp2p_crawler.model import Crawl, Kind, Outcome, Said, Sighting, SignedRecord, Visit
from devp2p_crawler.stores.clickhouse.connections import ClickHouseSettings, Client, Session

_BYTES: Final = dict.fromkeys(("ip", "raw", "genesis", "fork_hash", "head"), "bytes")
_SETTINGS: Final = {"do_not_merge_across_partitions_select_final": 1}  # what is the same lies in the same month


class ClickHouseSource:
    """Reads a server; SinkError if it cannot be read."""

    def __init__(self, url: str) -> None:
        self._session = Session(ClickHouseSettings.parse(url))
        self._session.run(lambda _: None)

    def crawls(self) -> Iterator[Crawl]:
        """All crawls, the first one first."""
        for row in self._rows("id, vantage, started, updated, ended, program, settings, counters", "crawl", "started, id"):
            yield Crawl(**row)

    def sightings(self) -> Iterator[Sighting]:
        """All sightings, by node."""
        for row in self._rows("node, public_key, vantage, ip, udp, tcp, first, last", "sighting", "node, vantage, ip, udp, tcp"):
            yield Sighting(**row)

    def records(self) -> Iterator[SignedRecord]:
        """All records, by node."""
        for row in self._rows("node, sequence, raw, seen", "enr", "node, sequence, raw"):
            yield SignedRecord(**row)

    def visits(self) -> Iterator[Visit]:
        """All visits, the one that began first at first."""
        for row in self._rows("*", "visit", "began, node, kind, crawl"):
            kind, outcome, has_said = Kind(row.pop("kind")), Outcome(row.pop("outcome")), row.pop("has_said")
            said = {name: row.pop(name) for name in Said.__dataclass_fields__}
            said["capabilities"] = tuple(said["capabilities"])
            yield Visit(**row, kind=kind, outcome=outcome, said=Said(**said) if has_said else None)

    def due(self) -> dict[bytes, int]:
        """Node-ID -> when it is to be visited next."""
        return {row["node"]: row["due_at"] for row in self._rows("node, due_at", "due", "node")}

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def _rows(self, columns: str, table: str, order: str) -> Iterator[dict[str, Any]]:
        query = f"SELECT {columns} FROM {table} FINAL ORDER BY {order}"  # noqa: S608  (words of this file alone)

        def begin(client: Client) -> Any:  # noqa: ANN401  (the driver's types are not whole)
            return client.query_rows_stream(query, column_formats=_BYTES, settings=_SETTINGS)

        with self._session.failures():
            stream = self._session.run(begin)
            with stream:
                names: Sequence[str] = stream.source.column_names
                for row in stream:
                    yield dict(zip(names, row, strict=True))
