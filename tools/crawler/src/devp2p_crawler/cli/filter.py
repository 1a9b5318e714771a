"""``devp2p-crawl filter``: choose nodes, as go-ethereum's ``devp2p nodeset filter`` does, and by more."""

import argparse
from pathlib import Path

from devp2p.terminal import Exit
from devp2p_crawler.cli.choosing import add_filters, chosen
from devp2p_crawler.cli.outputs import standard_output
from devp2p_crawler.cli.sources import open_source
from devp2p_crawler.exports import node_set_lines

SUMMARY = "choose nodes of a crawl, or of a nodes.json"
DESCRIPTION = """\
Print the nodes that pass all filters as a nodes.json of go-ethereum, whose
`devp2p nodeset filter` takes the first seven filters, too, with the same names
and to the same effect. Of nodes without a record the enode URL is written.
"""
EPILOG = """\
examples:
  devp2p-crawl filter crawl.db -eth-network mainnet -dialable -limit 500
  devp2p-crawl filter nodes.json --client geth --version '>=1.14'
  devp2p-crawl filter crawl.db --ready-for mainnet/osaka --min-uptime 12h
  devp2p-crawl filter crawl.db --where "client LIKE 'Geth/%' AND rtt_us < 80000"

exit codes:
  0  done, also if no node passed
  1  the database cannot be read, or the result not be written
  2  wrong arguments, or a file that is not what it should be
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the database of a crawl, or a nodes.json")
    add_filters(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    with open_source(options.file, options.geo) as source, standard_output() as out:
        for piece in node_set_lines(chosen(source, options), whole_seconds=source.store is not None):
            out.write(piece.encode())
    return Exit.OK
