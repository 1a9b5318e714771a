"""``devp2p-crawl merge``: what several crawls have found, in one file."""

import argparse
import time
from contextlib import closing

from devp2p.terminal import Exit, Failure, warn, write
from devp2p_crawler.stores import Merged, SinkError, SqliteStore, is_same_file, merge, open_source, shown

SUMMARY = "put what several crawls have found into one file"
DESCRIPTION = """\
Add all that was found by crawls from several vantages, or that the server of a
fleet holds, to OUT.db, which is made if it is not there. Visits that are there
already are not added again: in whatever order files are merged, and however
often, the result is the same. When nodes are due is left out.
"""
EPILOG = """\
examples:
  devp2p-crawl merge all.db frankfurt.db osaka.db
  devp2p-crawl merge month.db postgresql://crawler@db.example/crawls

If it ends before all is read, what it has added stays: begin it again.

exit codes:
  0  done
  1  a store could not be read to its end, or OUT.db not be written
  2  wrong arguments, or files that are not what they should be
"""
_EVERY = 5.0  # seconds


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("out", metavar="OUT.db", help="the file to add to")
    parser.add_argument("sources", metavar="IN", nargs="+", help="a file of a crawl, or the URL of a server")
    parser.add_argument("--quiet", action="store_true", help="say nothing while it works, and nothing at the end")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    out: str = options.out
    sources: list[str] = options.sources
    for address in sources:
        if is_same_file(out, address):
            raise Failure(f"{out} is both what is read and what is written: name another file to write, or leave it out of the rest")
    try:
        for address in sources:  # before anything is written
            open_source(address).close()
        store = SqliteStore.create_or_open(out)
    except SinkError as error:
        raise Failure(str(error)) from None
    with store:
        for address in sources:
            _add(store, address, quiet=options.quiet)
    return Exit.OK


def _add(store: SqliteStore, address: str, *, quiet: bool) -> None:
    told = time.monotonic()

    def tell(merged: Merged) -> None:
        nonlocal told
        if not quiet and time.monotonic() > told + _EVERY:
            told = time.monotonic()
            warn(f"{shown(address)}: {merged.visits:,} visits so far")

    try:
        with closing(open_source(address)) as source:
            merged = merge(store, source, on_rows=tell)
    except SinkError as error:
        raise Failure(f"{error} ({shown(address)} was not added whole: begin again)", Exit.FAILED) from None
    if not quiet:
        write(
            f"{shown(address)}: {merged.crawls:,} crawls, {merged.sightings:,} sightings,"
            f" {merged.records:,} records, {merged.visits:,} visits"
        )
