"""`PostgresFrontier`: who is visited next, shared by all crawlers that use one server.

A lease is for `LEASE` seconds of the server's clock, so that no clock of a crawler matters. A crawler that lives renews its leases; one
that dies lets them run out, and others are then given the same nodes. ``FOR UPDATE SKIP LOCKED`` lets crawlers that ask at the same time
pass by each other's rows.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from devp2p_crawler.model import Batch, Sighting
from devp2p_crawler.stores.frontiers import Target
from devp2p_crawler.stores.postgres.connections import PostgresSettings, Session
from devp2p_crawler.stores.postgres.sink import PostgresSink

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

LEASE: Final = 60.0
"""Seconds."""

_DUE: Final = """due_at <= least(extract(epoch FROM clock_timestamp()) * 1000000, %(before)s)
    AND EXISTS (SELECT FROM node WHERE id = frontier.node AND public_key IS NOT NULL)"""
_LEASE: Final = """
WITH mine AS (
    SELECT node FROM frontier
    WHERE [due] AND (lease_until IS NULL OR lease_until <= clock_timestamp())
    ORDER BY due_at LIMIT %(count)s FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE frontier SET lease_by = %(owner)s, lease_until = clock_timestamp() + %(seconds)s * interval '1 second'
    FROM mine WHERE frontier.node = mine.node RETURNING frontier.node, frontier.due_at
)
SELECT leased.node, public_key, ip, udp, tcp, attempts, last_ok,
    (SELECT raw FROM enr WHERE enr.node = leased.node ORDER BY sequence DESC, raw DESC LIMIT 1)
FROM leased JOIN node ON node.id = leased.node ORDER BY due_at
""".replace("[due]", _DUE)
_OUTSTANDING: Final = "SELECT count(*) FROM frontier WHERE [due]".replace("[due]", _DUE)
_SETTLE: Final = """
UPDATE frontier SET due_at = new.due_at, lease_by = NULL, lease_until = NULL
FROM unnest(%(nodes)s::bytea[], %(due)s::bigint[]) AS new (node, due_at)
WHERE frontier.node = new.node AND lease_by = %(owner)s
"""


class PostgresFrontier:
    """A crawler's part in the frontier of a server; a `Frontier`. Its calls wait in a thread."""

    def __init__(self, url: str, *, lease: float = LEASE) -> None:
        self._settings = PostgresSettings(url)
        self._session = Session(self._settings)
        self._sink = PostgresSink(self._settings)
        self._owner = uuid.uuid4()
        self._lease = lease
        self._turn = trio.Lock()  # one connection, one transaction at a time

    async def sighted(self, sightings: Sequence[Sighting]) -> None:
        """Enter nodes that are not there yet, due at once; of known ones note where they are said to be."""
        nodes = sorted({sighting.node for sighting in sightings})

        def enter(connection: "psycopg.Connection[Any]") -> None:
            connection.execute(
                "INSERT INTO frontier (node, due_at) SELECT node, 0 FROM unnest(%s::bytea[]) AS new (node) ON CONFLICT (node) DO NOTHING",
                (nodes,),
            )

        if nodes:
            async with self._turn:
                await trio.to_thread.run_sync(self._sink.write, Batch(sightings=list(sightings)))
                await trio.to_thread.run_sync(self._session.run, enter)

    @property
    def seconds(self) -> float:
        """For how long a lease lasts."""
        return self._lease

    async def outstanding(self, *, before: int | None = None) -> int:
        """How many nodes are left that are due, or were by then, leased to anybody or not."""
        return await self._run(lambda connection: int(connection.execute(_OUTSTANDING, {"before": before}).fetchone()[0]))  # type: ignore[index]

    async def lease(self, count: int, *, before: int | None = None) -> list[Target]:
        """Take up to so many nodes that are due, or were by then, the longest due first."""

        def take(connection: "psycopg.Connection[Any]") -> list[Target]:
            values = {"count": count, "owner": self._owner, "seconds": self._lease, "before": before}
            return [_target_of(row) for row in connection.execute(_LEASE, values).fetchall()]

        return await self._run(take)

    async def settle(self, due: Mapping[bytes, int]) -> None:
        """These nodes were visited: give them back. What was leased to somebody else meanwhile is left to them."""

        def give_back(connection: "psycopg.Connection[Any]") -> None:
            nodes = sorted(due)
            connection.execute(_SETTLE, {"nodes": nodes, "due": [due[node] for node in nodes], "owner": self._owner})

        if due:
            await self._run(give_back)

    async def renew(self) -> None:
        """Let all that is leased last longer."""

        def renew(connection: "psycopg.Connection[Any]") -> None:
            connection.execute(
                "UPDATE frontier SET lease_until = clock_timestamp() + %s * interval '1 second' WHERE lease_by = %s",
                (self._lease, self._owner),
            )

        await self._run(renew)

    async def release(self) -> None:
        """Give back what is leased and not settled, due as before."""

        def give_back(connection: "psycopg.Connection[Any]") -> None:
            connection.execute("UPDATE frontier SET lease_by = NULL, lease_until = NULL WHERE lease_by = %s", (self._owner,))

        await self._run(give_back)

    async def close(self) -> None:
        """Give back what is leased and not settled, due as before, and let go of the connection."""
        try:
            await self.release()
        finally:
            self._session.close()
            self._sink.close()

    async def _run(self, work: "Callable[[psycopg.Connection[Any]], T]") -> T:
        async with self._turn:
            return await trio.to_thread.run_sync(self._session.run, work)


def _target_of(row: tuple[Any, ...]) -> Target:
    node, public_key, ip, udp, tcp, attempts, last_ok, record = row
    place = {"ip": ip, "udp": udp, "tcp": tcp}
    return Target(node=node, public_key=public_key, **place, record=record, attempts=attempts, last_ok=last_ok)
