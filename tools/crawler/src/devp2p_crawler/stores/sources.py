"""`open_source`: a store to read from, by what a user calls it: the path of a file, or the URL of a server."""

from collections.abc import Callable
from typing import Final

from devp2p_crawler.stores.merging import Source
from devp2p_crawler.stores.postgres import PostgresSource
from devp2p_crawler.stores.sinks import SinkError
from devp2p_crawler.stores.sqlite import SqliteStore

SOURCES: Final[dict[str, Callable[[str], Source]]] = {"postgresql": PostgresSource, "postgres": PostgresSource}
"""Scheme of a URL -> what opens such a server for reading."""


def open_source(address: str) -> Source:
    """Open a file or a server for reading; SinkError says why that is not possible."""
    scheme, separator, _ = address.partition("://")
    if not separator:
        return SqliteStore.open_reading(address)
    if scheme not in SOURCES:
        known = "".join(f", {known}://..." for known in sorted(SOURCES))
        raise SinkError(f"nothing here reads {scheme}:// ({address}): write the path of a file{known}")
    return SOURCES[scheme](address)
