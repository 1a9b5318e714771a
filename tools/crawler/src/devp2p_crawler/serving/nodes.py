"""Single nodes and their visits, as the API gives them. Times are microseconds since 1970, UTC; ids and hashes are hexadecimal."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from devp2p_crawler.model import Kind, Outcome

_LATEST: Final = "(SELECT {0} FROM standing WHERE standing.node = node.no AND {0} IS NOT NULL ORDER BY {0}_at DESC LIMIT 1)"
_NODES: Final = f"""
    SELECT node.no, node.id, node.public_key, node.score,
        (SELECT min(first) FROM sighting WHERE sighting.node = node.no) AS first_seen, node.first_visit,
        (SELECT min(first_ok_at) FROM standing WHERE standing.node = node.no) AS first_ok,
        (SELECT max(ok_at) FROM standing WHERE standing.node = node.no) AS last_ok,
        (SELECT max(last_at) FROM standing WHERE standing.node = node.no) AS last_visit,
        answer.ip, answer.port, answer.rtt, client.name AS client, capset.capabilities,
        status.network_id, status.genesis, status.fork_hash, status.fork_next, status.head_number
    FROM node
    LEFT JOIN visit AS answer ON answer.no = {_LATEST.format("ok")}
    LEFT JOIN visit AS hello ON hello.no = {_LATEST.format("hello")}
    LEFT JOIN visit AS status ON status.no = {_LATEST.format("status")}
    LEFT JOIN client ON client.no = hello.client
    LEFT JOIN capset ON capset.no = hello.capset
"""  # noqa: S608  (constants)
_VISITS: Final = """
    WITH RECURSIVE chain (no, previous) AS (
        SELECT visit.no, visit.previous FROM node JOIN visit ON visit.no = node.newest WHERE node.id = :node
        UNION ALL SELECT visit.no, visit.previous FROM chain JOIN visit ON visit.no = chain.previous LIMIT :most
    )
    SELECT crawl.id AS crawl, kind, outcome, began, visit.ended, rtt, asked, told, ip, port, client.name AS client, capset.capabilities,
        reason, eth_version, network_id, genesis, fork_hash, fork_next, head, head_number
    FROM chain JOIN visit ON visit.no = chain.no JOIN crawl ON crawl.no = visit.crawl
    LEFT JOIN client ON client.no = visit.client LEFT JOIN capset ON capset.no = visit.capset ORDER BY visit.no DESC
"""
_UNSIGNED: Final = {"network_id", "fork_next", "head_number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which nodes."""

    alive: bool | None = None
    """Whether they answered at least once."""
    client: str | None = None
    """How their client name begins, in any case."""
    network: int | None = None
    """The network id of their Status."""
    capability: str | None = None
    """One of their Hello, such as "eth/69"."""
    after: int = 0
    """The `next` of the page before."""
    limit: int = 100


def nodes_page(connection: sqlite3.Connection, wanted: Wanted) -> dict[str, object]:
    """A page of nodes, and `next`, by which the next one is asked for; None if this is the last."""
    wheres, values = ["node.no > ?"], list[int | str]([wanted.after])
    if wanted.alive is not None:
        wheres.append(f"answer.no IS {'NOT ' * wanted.alive}NULL")
    if wanted.client is not None:
        wheres.append("client.name LIKE ? ESCAPE '\\'")
        values.append(f"{''.join(f'{chr(92)}{letter}' if letter in '%_' + chr(92) else letter for letter in wanted.client)}%")
    if wanted.network is not None:
        wheres.append("status.network_id = ?")
        values.append(wanted.network - 2**64 if wanted.network >= 2**63 else wanted.network)
    if wanted.capability is not None:
        wheres.append("EXISTS (SELECT 1 FROM json_each(capset.capabilities) WHERE json_each.value = ?)")
        values.append(wanted.capability)
    rows = _rows(connection, f"{_NODES} WHERE {' AND '.join(wheres)} ORDER BY node.no LIMIT ?", [*values, wanted.limit + 1])
    page = rows[: wanted.limit]
    following = page[-1]["no"] if len(rows) > wanted.limit else None
    return {"nodes": [_plain(row) for row in page], "next": following}


def one_node(connection: sqlite3.Connection, node: bytes) -> dict[str, object] | None:
    """A node by its id; None if nobody has told of it."""
    rows = _rows(connection, f"{_NODES} WHERE node.id = ?", [node])
    return _plain(rows[0]) if rows else None


def visits_of(connection: sqlite3.Connection, node: bytes, limit: int) -> list[dict[str, object]]:
    """The latest visits to a node, the one that was written last at first."""
    return [_plain(row) for row in _rows(connection, _VISITS, {"node": node, "most": limit})]


def _rows(connection: sqlite3.Connection, statement: str, values: list[Any] | dict[str, Any]) -> list[dict[str, Any]]:
    cursor = connection.execute(statement, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _plain(row: Mapping[str, Any]) -> dict[str, object]:
    shown = dict[str, object]()
    for name, value in row.items():
        if name == "no":
            continue
        if name == "ip":
            shown[name] = str(ip_address(value)) if value else None
        elif name == "capabilities":
            shown[name] = json.loads(value) if value else []
        elif name == "kind":
            shown[name] = Kind(value).name
        elif name == "outcome":
            shown[name] = Outcome(value).name
        elif name in _UNSIGNED and value is not None:
            shown[name] = value % 2**64
        else:
            shown[name] = value.hex() if isinstance(value, bytes) else value
    return shown
