"""A ClickHouse server, for visits that outgrow PostgreSQL: written by several vantages, read by `merge`. schema.sql has the tables."""

from devp2p_crawler.stores.clickhouse.reading import ClickHouseSource
from devp2p_crawler.stores.clickhouse.sink import ClickHouseSink

__all__ = ["ClickHouseSink", "ClickHouseSource"]
