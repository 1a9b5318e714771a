"""Which nodes a condition in SQL chooses: it may read, and do nothing else, and not for long."""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from devp2p_crawler.exports.columns import COLUMNS, Type, Value, row_of
from devp2p_crawler.exports.tables import ExportError
from devp2p_crawler.filters import Described
from devp2p_crawler.model import KnownNode
from devp2p_crawler.stores import SqliteStore

PATIENCE: Final = 20.0
"""Seconds that a condition may take for all nodes together."""
TABLE: Final = "nodes"
"""What the table of nodes is called there; its columns are those of the exports, and lists in it are JSON arrays."""

_LONGEST: Final = 2**20  # bytes of a value or of a statement
_STEPS: Final = 10_000  # of SQLite's machine, between two looks at the clock
_ALLOWED: Final = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_FORBIDDEN: Final = {"load_extension", "fts3_tokenizer"}
_MOST: Final = 2**63 - 1
_TYPES: Final = {Type.WHOLE: "INTEGER", Type.TIME: "INTEGER"}


def chosen_by(condition: str, nodes: Iterable[KnownNode], database: Path | None = None) -> set[bytes]:
    """The node-IDs of those for which a condition, what stands behind WHERE, is true.

    With `database`, a file of a crawl, the condition may read its tables, too. ExportError says what is wrong with the condition.
    """
    with closing(_connect(database)) as connection:
        connection.execute("PRAGMA query_only = OFF")  # which would forbid the table below, too; the file itself is open for reading only
        columns = ", ".join(f"{column.name} {_TYPES.get(column.type, 'TEXT')}" for column in COLUMNS)
        connection.execute(f"CREATE TEMP TABLE {TABLE} ({columns}) STRICT")
        insert = f"INSERT INTO temp.{TABLE} VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608  (names of our own)
        connection.execute("BEGIN")
        connection.executemany(insert, _rows(nodes))
        connection.execute("COMMIT")
        for function in ("json_each", "json_tree"):
            connection.execute(f"SELECT 1 FROM {function}('[]')")  # noqa: S608  (made now: to make them would look like making tables)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _LONGEST)
        connection.set_authorizer(_authorize)
        end = time.monotonic() + PATIENCE
        connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        try:
            # The newline ends a comment, so that the bracket is always there.
            statement = f"SELECT node FROM temp.{TABLE} WHERE ({condition}\n)"  # noqa: S608  (the user's; see _authorize)
            return {bytes.fromhex(str(node)) for (node,) in connection.execute(statement)}
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise ExportError(f"--where {condition[:60]!r}: {_explain(str(error))}") from None


def _connect(database: Path | None) -> sqlite3.Connection:
    if database is not None:
        return SqliteStore.open_reading(database).connection
    return sqlite3.connect("", isolation_level=None)  # a file without a name: nothing is left of it


def _rows(nodes: Iterable[KnownNode]) -> Iterator[list[Any]]:
    for node in nodes:
        yield [_plain(value) for value in row_of(Described(node))]


def _plain(value: Value) -> str | int | None:
    if isinstance(value, list):
        return json.dumps(value)
    if isinstance(value, int):
        return min(value, _MOST)  # SQLite has no larger ones
    return None if value is None else value.encode("utf-8", "replace").decode()


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    """Reading and computing is allowed; writing, attaching, settings and whatever else there is are not."""
    name = (second or first or "").lower()
    is_function = action == sqlite3.SQLITE_FUNCTION
    return sqlite3.SQLITE_OK if action in _ALLOWED and not (is_function and name in _FORBIDDEN) else sqlite3.SQLITE_DENY


def _explain(said: str) -> str:
    if said == "interrupted":
        return f"it takes more than {PATIENCE:g} s"
    if said.startswith(("not authorized", "You can only execute", "access to")):
        return "a condition may only read; write what would stand behind WHERE, such as client LIKE 'Geth/%'"
    if "no such column" in said:
        return f"{said}; the columns are {', '.join(column.name for column in COLUMNS)}"
    return f"{said}; write what would stand behind WHERE, such as client LIKE 'Geth/%' AND rtt_us < 100000"
