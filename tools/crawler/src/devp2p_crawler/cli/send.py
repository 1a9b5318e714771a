"""``devp2p-crawl send``: what a file holds, on to servers that missed some of it."""

import argparse
from contextlib import ExitStack

from devp2p.terminal import Exit, Failure, write
from devp2p_crawler.stores import Forwarder, SinkError, shown

SUMMARY = "send what is in a file on to servers"
DESCRIPTION = """\
Send all of a file that a server does not have yet, as a crawl with --sink does
while it runs: for a server that was away when the crawl ended. It may also be
sent while the crawl writes the file.
"""
EPILOG = """\
examples:
  devp2p-crawl send --db frankfurt.db postgresql://crawler@db.example/crawls

What is sent twice changes nothing. How far a server has come is kept beside the
file, in FILE.sent-...; delete that, and all is sent once more.

exit codes:
  0  the servers have everything
  1  a server does not have everything, since it could not be used
  2  wrong arguments, or a file that is not what it should be
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--db", metavar="FILE", required=True, help="the file of a crawl")
    parser.add_argument("servers", metavar="URL", nargs="+", help="postgresql://..., clickhouse://... or clickhouses://...")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    urls: list[str] = options.servers
    try:
        forwarders = [Forwarder(options.db, url) for url in urls]
    except SinkError as error:
        raise Failure(str(error)) from None
    with ExitStack() as stack:
        for forwarder in forwarders:
            stack.enter_context(forwarder)
    for url, forwarder in zip(urls, forwarders, strict=True):
        if forwarder.trouble is None:
            write(f"{shown(url)}: {forwarder.sent:,} visits sent, {forwarder.refused:,} rows not taken")
    return Exit.OK if all(forwarder.trouble is None for forwarder in forwarders) else Exit.FAILED
