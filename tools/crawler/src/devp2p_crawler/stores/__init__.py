"""Where a crawl is written. `Sink` is what every store is: SQLite, PostgreSQL, ClickHouse."""

from devp2p_crawler.stores.frontiers import Frontier, Target
from devp2p_crawler.stores.sinks import RowsRefusedError, Sink, SinkError, bounded_number, storable
from devp2p_crawler.stores.sqlite import SqliteStore
from devp2p_crawler.stores.writer import Writer

__all__ = ["Frontier", "RowsRefusedError", "Sink", "SinkError", "SqliteStore", "Target", "Writer", "bounded_number", "storable"]
