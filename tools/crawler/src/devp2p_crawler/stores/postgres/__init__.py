"""A PostgreSQL server that a fleet of crawlers shares: the frontier, how each node stands, visits by month. schema.sql has the tables."""

from devp2p_crawler.stores.postgres.connections import PostgresSettings, connect
from devp2p_crawler.stores.postgres.frontier import PostgresFrontier
from devp2p_crawler.stores.postgres.reading import PostgresSource
from devp2p_crawler.stores.postgres.sink import PostgresSink

__all__ = ["PostgresFrontier", "PostgresSettings", "PostgresSink", "PostgresSource", "connect"]
