"""Where a crawl is written. `Sink` is what every store is: SQLite, PostgreSQL, ClickHouse."""

from devp2p_crawler.stores.frontiers import Frontier, Target
from devp2p_crawler.stores.sinks import Sink, SinkError

__all__ = ["Frontier", "Sink", "SinkError", "Target"]
