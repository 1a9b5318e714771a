"""Where a crawl is written. `Sink` is what every store is: SQLite, PostgreSQL, ClickHouse."""

from devp2p_crawler.stores.forwarding import Forwarder
from devp2p_crawler.stores.frontiers import Frontier, Target
from devp2p_crawler.stores.merging import Merged, Source, is_same_file, merge
from devp2p_crawler.stores.servers import open_frontier, open_sink, open_source, shown
from devp2p_crawler.stores.sinks import RowsRefusedError, Sink, SinkError, bounded_number, storable
from devp2p_crawler.stores.sqlite import SqliteStore
from devp2p_crawler.stores.writer import Writer

__all__ = [
    "Forwarder",
    "Frontier",
    "Merged",
    "RowsRefusedError",
    "Sink",
    "SinkError",
    "Source",
    "SqliteStore",
    "Target",
    "Writer",
    "bounded_number",
    "is_same_file",
    "merge",
    "open_frontier",
    "open_sink",
    "open_source",
    "shown",
    "storable",
]
