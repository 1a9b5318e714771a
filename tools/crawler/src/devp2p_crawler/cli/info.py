"""``devp2p-crawl info``: what is in a file."""

import argparse
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from devp2p.terminal import Exit, Failure, write_fields, write_json, write_text
from devp2p_crawler.analysis import Hint
from devp2p_crawler.figures import Oddities, oddities
from devp2p_crawler.model import Crawl
from devp2p_crawler.stores import SinkError, SqliteStore

SUMMARY = "what is in a file"
DESCRIPTION = """\
Say what is in the file of a crawl: its crawls, nodes and visits, the time that
they span, its size, whether it is whole, and what can be gone on with. It only
reads, and may be used while a crawl writes.
"""
EPILOG = """\
examples:
  devp2p-crawl info --db mainnet.db
  devp2p-crawl info --db mainnet.db --check --json

exit codes:
  0  the file is whole, as far as that was looked at
  1  it cannot be read, or is damaged
  2  wrong options
"""
_SMALL: Final = 256 << 20  # bytes of a file that is looked through without being asked to
_MOST_SHOWN: Final = 20  # crawls
_MOST_PLACES: Final = 5
_LATELY: Final = 30.0  # seconds within which the row of a crawl that runs is written again


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--db", metavar="FILE", required=True, help="the file")
    parser.add_argument("--check", action="store_true", help="look through all of it for damage, even if it is large")
    parser.add_argument("--sybils", action="store_true", help="say which nodes may not be what they seem, and what that may mean")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    path: str = options.db
    try:
        with SqliteStore.open_reading(path) as store:
            found = look(store, path, check=options.check or Path(path).stat().st_size <= _SMALL)
            odd = oddities(store.connection) if options.sybils else None
    except SinkError as error:
        raise Failure(str(error), Exit.FAILED) from None
    except sqlite3.Error as error:
        saved = f"save what is left by `sqlite3 {path} .recover`"
        raise Failure(f"{path} is damaged, or cannot be read now ({error}); if it is damaged, {saved}", Exit.FAILED) from None
    if options.json:
        write_json(found if odd is None else {**found, "hints": {node.hex(): [*map(_word, hints)] for node, hints in odd.flagged.items()}})
    else:
        _tell(found)
        for line in _hints(odd) if odd is not None else ():
            write_text(line)
    return Exit.OK if found["damage"] in (None, []) else Exit.FAILED


def look(store: SqliteStore, path: str, *, check: bool) -> dict[str, Any]:
    """What is in it, for JSON. Times are ISO 8601, sizes bytes; `damage` is None if it was not looked for."""

    def one(statement: str) -> tuple[Any, ...]:
        found: tuple[Any, ...] = store.connection.execute(statement).fetchone()
        return found

    files = {name: Path(name).stat().st_size for name in (path, f"{path}-wal") if Path(name).exists()}
    (nodes, visited, first), (last, alive) = (
        one("SELECT count(*), count(first_visit), min(first_visit) FROM node"),
        one("SELECT max(last_at), (SELECT count(DISTINCT node) FROM heard) FROM standing"),
    )
    crawls = [_crawl(crawl) for crawl in store.crawls()]
    return {
        "file": path,
        "bytes": sum(files.values()),
        "not_merged_yet_bytes": files.get(f"{path}-wal", 0),
        "damage": _damage(store.connection) if check else None,
        "nodes": nodes,
        "nodes_visited": visited,
        "nodes_alive": alive,
        "nodes_hello": one("SELECT count(DISTINCT node) FROM standing WHERE hello IS NOT NULL")[0],
        "records": one("SELECT count(*) FROM enr")[0],
        "visits": {name.lower(): count for name, count in store.connection.execute(_VISITS)},
        "first_visit": _iso(first),
        "last_visit": _iso(last),
        "vantages": [name for (name,) in store.connection.execute("SELECT name FROM vantage ORDER BY name")],
        "frontier": one("SELECT count(*) FROM frontier")[0],
        "crawls": crawls,
        "resumable": next((crawl["id"] for crawl in reversed(crawls) if crawl["state"] != "done"), None),
    }


_VISITS: Final = "SELECT kind.name, sum(visits) FROM hourly JOIN kind ON kind.no = hourly.kind GROUP BY kind.no"


def _damage(connection: sqlite3.Connection) -> list[str]:
    try:
        found = [str(line) for (line,) in connection.execute("PRAGMA quick_check(10)")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def _crawl(crawl: Crawl) -> dict[str, Any]:
    counters = _object(crawl.counters)
    end = crawl.ended or crawl.updated
    if crawl.ended is not None:
        state = "done" if crawl.is_complete else "out of time"
    else:
        state = "running" if time.time() - crawl.updated / 1e6 < _LATELY else "interrupted"
    return {
        "id": crawl.id.hex(),
        "vantage": crawl.vantage,
        "program": crawl.program,
        "state": state,
        "started": _iso(crawl.started),
        "ended": _iso(crawl.ended),
        "seconds": round((end - crawl.started) / 1e6, 3),
        **{name: counters[name] for name in ("found", "alive", "dialled", "hellos", "packets_sent") if name in counters},
    }


def _object(text: str) -> Mapping[str, object]:
    try:
        found: object = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def _iso(when: int | None) -> str | None:
    """Microseconds since 1970 as UTC."""
    if when is None:
        return None
    try:
        return datetime.fromtimestamp(when / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):  # it is a file, and may say anything
        return None


def _tell(found: Mapping[str, Any]) -> None:
    whole = {True: "not looked at: --check does"}.get(found["damage"] is None, "yes")
    if found["damage"]:
        whole = f"no: {'; '.join(found['damage'])}"
    span = "nobody was visited yet" if found["first_visit"] is None else f"from {found['first_visit']} to {found['last_visit']}"
    visits = ", ".join(f"{count:,} by {kind}" for kind, count in found["visits"].items()) or "none"
    write_fields(
        {
            "file": f"{found['file']}, {found['bytes']:,} bytes",
            "whole": whole,
            "nodes": f"{found['nodes']:,}, of which {found['nodes_visited']:,} were visited and {found['nodes_alive']:,} answered; "
            f"{found['nodes_hello']:,} said who they are",
            "records": f"{found['records']:,}",
            "visits": visits,
            "time": span,
            "vantages": ", ".join(found["vantages"]) or "none",
            "frontier": f"{found['frontier']:,} nodes are to be visited, now or later",
        }
    )
    crawls: list[Mapping[str, Any]] = found["crawls"]
    for line in _lines(crawls):
        write_text(line)
    if found["resumable"] is not None and crawls[-1]["state"] != "running":
        write_text(f"to go on: devp2p-crawl resume --db {found['file']}")


def _word(hint: Hint) -> str:
    """As the API of `serve` spells it."""
    return hint.name.lower()


def _hints(found: Oddities) -> Iterator[str]:
    yield f"{len(found.flagged):,} nodes have hints that they may not be what they seem, {found.alive:,} of them alive:"
    for one in found.hints:
        if one.nodes:
            yield f"  {one.nodes:,}  {one.hint.value}"
    for crowd in found.crowds[:_MOST_PLACES]:
        yield f"  {crowd.nodes:,} nodes at {crowd.place}"
    for cluster in found.clusters[:_MOST_PLACES]:
        yield f"  {cluster.nodes:,} node-IDs that begin with the same {cluster.bits} bits as {cluster.first.hex()}"
    yield "A hint proves nothing, and no node is left out for one. The report says what each may mean; --json names the nodes."


def _lines(crawls: list[Mapping[str, Any]]) -> Iterator[str]:
    yield f"{len(crawls)} {'crawl' if len(crawls) == 1 else 'crawls'}:" if crawls else "no crawls"
    if len(crawls) > _MOST_SHOWN:
        yield f"  ({len(crawls) - _MOST_SHOWN} earlier ones)"
    for crawl in crawls[-_MOST_SHOWN:]:
        counts = ", ".join(f"{crawl[name]:,} {name}" for name in ("found", "alive", "dialled") if isinstance(crawl.get(name), int))
        counts = f"; {counts}" if counts else ""
        yield f"  {crawl['started']}  {crawl['seconds']:,.0f} s from {crawl['vantage']}, {crawl['state']}{counts}"
