"""What others get of a crawl: go-ethereum's nodes.json, tables, node lists for DNS, a copy of the database."""

from devp2p_crawler.exports.columns import COLUMNS, Column, Type, row_of
from devp2p_crawler.exports.conditions import chosen_by
from devp2p_crawler.exports.files import atomically
from devp2p_crawler.exports.node_lists import SignedList, last_sequence, sign_list, write_directory, write_texts, write_zone
from devp2p_crawler.exports.node_set import InputError, NodeSetReader, format_time, node_set_lines, read_node_set, record_text
from devp2p_crawler.exports.snapshots import write_snapshot
from devp2p_crawler.exports.tables import ExportError, cell_of, list_cell_of, text_of, texts_of, write_csv, write_ndjson, write_parquet

__all__ = [
    "COLUMNS",
    "Column",
    "ExportError",
    "InputError",
    "NodeSetReader",
    "SignedList",
    "Type",
    "atomically",
    "cell_of",
    "chosen_by",
    "format_time",
    "last_sequence",
    "list_cell_of",
    "node_set_lines",
    "read_node_set",
    "record_text",
    "row_of",
    "sign_list",
    "text_of",
    "texts_of",
    "write_csv",
    "write_directory",
    "write_ndjson",
    "write_parquet",
    "write_snapshot",
    "write_texts",
    "write_zone",
]
