"""``devp2p-crawl export``: give others what a crawl found."""

import argparse
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, TypeVar

from devp2p.terminal import Exit, Failure, warn, write_fields
from devp2p_crawler.cli.choosing import add_filters, chosen, is_everything
from devp2p_crawler.cli.listing import add_list_options, make_list, refuse_list_options
from devp2p_crawler.cli.outputs import STDOUT, standard_output, written
from devp2p_crawler.cli.sources import Source, add_database, open_source, told
from devp2p_crawler.exports import (
    atomically,
    node_set_lines,
    write_csv,
    write_directory,
    write_ndjson,
    write_parquet,
    write_snapshot,
    write_texts,
    write_zone,
)
from devp2p_crawler.model import KnownNode

T = TypeVar("T")

SUMMARY = "write what a crawl found as nodes.json, CSV, Parquet, NDJSON, SQLite, or for DNS"
DESCRIPTION = """\
Write the nodes of a crawl to OUT, of which `-` is stdout. A file that is there
is replaced once the new one is whole. A crawl may go on meanwhile.

  nodes.json  go-ethereum's form: nodes with a record that still answer by UDP
  csv         all nodes, as RFC 4180; what strangers named is no formula in it
  parquet     all nodes, with typed columns
  ndjson      all nodes, one JSON object a line
  sqlite      a copy of the whole database
  enrtree     a node list for DNS (EIP-1459), signed: the TXT records as JSON,
              or in a directory (OUT/) the files of `devp2p dns` commands
  zone        the same list as a file of a DNS zone (RFC 1035)

A list for DNS has only nodes that no attacker could bring in at short notice:
of each the record is checked, it answered for a week, its latest call and three
handshakes came about; at most two are of one /24, and ten of one autonomous
system. Chance chooses by a seed, which is printed. Each rule has an option that
switches it off. If nobody is left, it says which rule removed how many.
"""
EPILOG = """\
examples:
  devp2p-crawl export --db crawl.db --format nodes.json nodes.json
  devp2p-crawl export --db crawl.db --format csv --privacy --client geth -
  devp2p-crawl export --db crawl.db --format parquet nodes.parquet
  devp2p-crawl export --db crawl.db --format enrtree --key tree.key \\
      --domain nodes.example.org -eth-network mainnet --size 500 list/

In CSV, characters that cannot be seen are written as \\xNN or \\uNNNN, a
backslash as \\\\ and a semicolon as \\x3b, and a text that a spreadsheet would
take for a formula has an apostrophe before it.

exit codes:
  0  done
  1  the database cannot be read, or OUT not be written; or nobody is left for a list
  2  wrong arguments, or a file that is not what it should be
"""

_TABLES: Final[dict[str, Callable[..., int]]] = {"csv": write_csv, "ndjson": write_ndjson, "parquet": write_parquet}
_FORMATS: Final = ("nodes.json", *_TABLES, "sqlite", "enrtree", "zone")
_NOT_PRIVATE: Final = {
    "nodes.json": "records name addresses, and are signed, so that nothing can be cut from them",
    "enrtree": "records name addresses, and are signed, so that nothing can be cut from them",
    "zone": "records name addresses, and are signed, so that nothing can be cut from them",
    "sqlite": "a copy of the database has all addresses",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_database(parser)
    parser.add_argument("--format", metavar="FORMAT", choices=_FORMATS, required=True, help=f"one of {', '.join(_FORMATS)}")
    parser.add_argument("out", metavar="OUT", help="the file to write, or - for stdout")
    parser.add_argument(
        "--privacy", action="store_true", help="cut addresses to /24 (IPv6: /48), and leave records out; for csv, parquet and ndjson"
    )
    parser.add_argument("--all", action="store_true", help="nodes.json: also nodes without a record, or that do not answer by UDP any more")
    add_list_options(parser)
    add_filters(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    form: str = options.format
    options.into_directory = options.out.endswith(os.sep)
    options.out = Path(options.out)
    if options.privacy and form in _NOT_PRIVATE:
        raise Failure(f"--privacy cannot be had with {form}: {_NOT_PRIVATE[form]}; use it with csv, parquet or ndjson")
    if form not in {"enrtree", "zone"}:
        refuse_list_options(options)
    if options.all and form != "nodes.json":
        raise Failure("--all is for the format nodes.json; others have all nodes anyway")
    with open_source(options.db, options.geo) as source:
        if form == "sqlite":
            fields = _copy(source, options)
        elif form in {"enrtree", "zone"}:
            fields = _publish(source, options)
        else:
            fields = _write_nodes(source, options)
    if options.out == STDOUT:
        warn(", ".join(f"{name} {value}" for name, value in fields.items()))
    else:
        write_fields({"out": str(options.out), **fields})
    return Exit.OK


def _write_nodes(source: Source, options: argparse.Namespace) -> dict[str, str]:
    left_out = Counter[str]()
    nodes = chosen(source, options)
    if options.format == "nodes.json":
        if source.store is not None and not options.all:
            nodes = _answering(nodes, left_out)
        count = _to(options.out, lambda file: _write_node_set(nodes, file))
    else:
        write = _TABLES[options.format]
        count = _to(options.out, lambda file: write(nodes, file, private=options.privacy))
    told_of = {"left out": f"{_counted(left_out)} (--all takes them)"} if left_out else {}
    return {"nodes": str(count), **told_of}


def _answering(nodes: Iterator[KnownNode], left_out: Counter[str]) -> Iterator[KnownNode]:
    """Those whom go-ethereum's crawler would have in its file; the others are counted."""
    for node in nodes:
        if node.record is None:
            left_out["without a record"] += 1
        elif not node.score:
            left_out["not answering by UDP"] += 1
        else:
            yield node


def _write_node_set(nodes: Iterator[KnownNode], file: IO[bytes]) -> int:
    count = 0

    def counted() -> Iterator[KnownNode]:
        nonlocal count
        for node in nodes:
            count += 1
            yield node

    file.writelines(piece.encode() for piece in node_set_lines(counted(), whole_seconds=True))
    return count


def _copy(source: Source, options: argparse.Namespace) -> dict[str, str]:
    if source.store is None:
        raise Failure(f"{source.path} is no database: write it as csv, parquet or ndjson")
    if not is_everything(options):
        raise Failure("a copy has the whole database, and no filter applies to it: leave them out, or write csv, parquet or ndjson")
    out: Path = options.out
    if out == STDOUT:
        raise Failure("a database cannot be written to stdout: name a file")
    with written(out):
        try:
            write_snapshot(source.store, out)
        except sqlite3.Error as error:
            raise Failure(f"cannot write {out}: {error}{'; the old file is as it was' if out.exists() else ''}", Exit.FAILED) from None
        return {"bytes": str(out.stat().st_size)}


def _publish(source: Source, options: argparse.Namespace) -> dict[str, str]:
    signed, fields = make_list(chosen(source, options), options)
    out: Path = options.out
    if options.format == "zone":
        _to(out, lambda file: write_zone(signed, file, options.nameserver))
    elif out != STDOUT and (options.into_directory or out.is_dir()):
        with written(out):
            write_directory(signed, out)
    else:
        _to(out, lambda file: write_texts(signed, file))
    return fields


def _to(out: Path, write: Callable[[IO[bytes]], T]) -> T:
    if out == STDOUT:
        with standard_output() as file:
            return write(file)
    with written(out), told(), atomically(out) as file:
        return write(file)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counts.items())
