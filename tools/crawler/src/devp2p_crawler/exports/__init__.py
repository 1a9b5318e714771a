"""What others get of a crawl: go-ethereum's nodes.json, tables, node lists for DNS."""

from devp2p_crawler.exports.node_set import InputError, NodeSetReader, format_time, node_set_lines, read_node_set, record_text

__all__ = ["InputError", "NodeSetReader", "format_time", "node_set_lines", "read_node_set", "record_text"]
