"""`PostgresSource`: what a fleet's server holds, to be merged into a file."""

from collections.abc import Iterator
from typing import Any, Final

from devp2p_crawler.model import Crawl, Kind, Outcome, Said, Sighting, SignedRecord, Visit
from devp2p_crawler.stores.postgres.connections import PostgresSettings, connect, failures, without_password

_AT_ONCE: Final = 5000  # rows

_VISITS: Final = (
    "SELECT crawl, node, kind, began, ended, outcome, ip, port, rtt, asked, told, capset.capabilities, client.name, listen_port, reason,"
    " eth_version, network_id, genesis, fork_hash, fork_next, head, head_number"
    " FROM visit LEFT JOIN capset ON capset.no = visit.capset LEFT JOIN client ON client.no = visit.client ORDER BY began"
)


class PostgresSource:
    """Reads a server, each kind of row as it is at one moment; SinkError if it cannot be read."""

    def __init__(self, url: str) -> None:
        self._where = without_password(url)
        self._connection = connect(PostgresSettings(url))

    def crawls(self) -> Iterator[Crawl]:
        """All crawls, the first one first."""
        for row in self._rows("SELECT id, vantage, started, updated, ended, program, settings, counters FROM crawl ORDER BY started, id"):
            names = ("id", "vantage", "started", "updated", "ended", "program", "settings", "counters")
            yield Crawl(**dict(zip(names, row, strict=True)))

    def sightings(self) -> Iterator[Sighting]:
        """All sightings, by node."""
        query = (
            "SELECT node, public_key, vantage, sighting.ip, sighting.udp, sighting.tcp, first, last"
            " FROM sighting JOIN node ON node.id = sighting.node ORDER BY 1, 3, 4, 5, 6"
        )
        for row in self._rows(query):
            names = ("node", "public_key", "vantage", "ip", "udp", "tcp", "first", "last")
            yield Sighting(**dict(zip(names, row, strict=True)))

    def records(self) -> Iterator[SignedRecord]:
        """All records, by node."""
        for node, sequence, raw, seen in self._rows("SELECT node, sequence, raw, seen FROM enr ORDER BY node, sequence, raw"):
            yield SignedRecord(node=node, sequence=int(sequence), raw=raw, seen=seen)

    def visits(self) -> Iterator[Visit]:
        """All visits, the one that began first at first."""
        for row in self._rows(_VISITS):
            crawl, node, kind, began, ended, outcome, ip, port, rtt, asked, told, *said = row
            place = {"ip": ip, "port": port, "rtt": rtt, "asked": asked, "told": told}
            yield Visit(
                crawl=crawl, node=node, kind=Kind(kind), began=began, ended=ended, outcome=Outcome(outcome), **place, said=_said_of(said)
            )

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        with failures(self._where), self._connection.transaction(), self._connection.cursor("rows") as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(query.encode())
            yield from cursor


def _said_of(row: list[Any]) -> Said | None:
    capabilities, client, listen_port, reason, eth_version, network_id, genesis, fork_hash, fork_next, head, head_number = row
    if capabilities is None:
        return None
    return Said(
        client=client,
        capabilities=tuple(capabilities),
        listen_port=_number(listen_port),
        eth_version=_number(eth_version),
        network_id=_number(network_id),
        genesis=genesis,
        fork_hash=fork_hash,
        fork_next=_number(fork_next),
        head=head,
        head_number=_number(head_number),
        reason=_number(reason),
    )


def _number(value: Any) -> int | None:  # noqa: ANN401  (a Decimal)
    return None if value is None else int(value)
