"""Servers by their URLs: which ones there are, what opens them to read, to write and to share a frontier, and how a URL may be shown."""

import re
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from devp2p_crawler.stores.clickhouse import ClickHouseSink, ClickHouseSource
from devp2p_crawler.stores.frontiers import Frontier
from devp2p_crawler.stores.merging import Source
from devp2p_crawler.stores.postgres import PostgresFrontier, PostgresSettings, PostgresSink, PostgresSource
from devp2p_crawler.stores.sinks import Sink, SinkError
from devp2p_crawler.stores.sqlite import SqliteStore

T = TypeVar("T")

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^@]*)@)?(?P<rest>.*)", re.DOTALL)
_SECRETS: Final = re.compile(r"pass|secret|token|key", re.IGNORECASE)  # in names of parameters


def _postgres_sink(url: str) -> Sink:
    return PostgresSink(PostgresSettings(url))


SOURCES: Final[dict[str, Callable[[str], Source]]] = {
    "postgresql": PostgresSource,
    "postgres": PostgresSource,
    "clickhouse": ClickHouseSource,
    "clickhouses": ClickHouseSource,
}
"""Scheme of a URL -> what opens such a server for reading; so below."""
SINKS: Final[dict[str, Callable[[str], Sink]]] = {
    "postgresql": _postgres_sink,
    "postgres": _postgres_sink,
    "clickhouse": ClickHouseSink,
    "clickhouses": ClickHouseSink,
}
FRONTIERS: Final[dict[str, Callable[[str], Frontier]]] = {"postgresql": PostgresFrontier, "postgres": PostgresFrontier}


def shown(address: str) -> str:
    """A path or a URL as it may be shown and logged: without its password, and without parameters that may be one."""
    match = _URL.fullmatch(address)
    if match is None:
        return address
    user = (match["user"] or "").partition(":")[0]
    place, question, query = match["rest"].partition("?")
    place = place.rpartition("@")[2]
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if not _SECRETS.search(name)]
    shown_query = urlencode(kept, safe="/:,") if question else ""
    return f"{match['scheme']}://{quote(user, safe='%') + '@' if user else ''}{place}{'?' + shown_query if shown_query else ''}"


def open_source(address: str) -> Source:
    """Open a file or a server for reading; SinkError says why that is not possible."""
    if "://" not in address:
        return SqliteStore.open_reading(address)
    return _opener(address, SOURCES, "reads", "the path of a file, or ")(address)


def open_sink(url: str) -> Sink:
    """A server to write to; SinkError if the URL is none, or a package is missing. It connects with the first write."""
    return _opener(url, SINKS, "writes to")(url)


def open_frontier(url: str) -> Frontier:
    """A frontier that crawlers share; SinkError as above. It connects when it is first asked."""
    return _opener(url, FRONTIERS, "shares a frontier by")(url)


def _opener(url: str, known: dict[str, Callable[[str], T]], what: str, or_else: str = "") -> Callable[[str], T]:
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in known:
        names = " or ".join(f"{name}://..." for name in sorted(known))
        raise SinkError(f"nothing here {what} {shown(url) if scheme else 'that'}: write {or_else}{names}")
    return known[scheme]
