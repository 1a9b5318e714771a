"""``devp2p-crawl resume``: go on with a crawl that was ended before everybody was visited, or killed."""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace

from devp2p.terminal import Exit, Failure, warn
from devp2p_crawler.cli.layers import Given, from_told
from devp2p_crawler.cli.options import OPTIONS, add_options, choose
from devp2p_crawler.model import Crawl
from devp2p_crawler.stores import SinkError, SqliteStore

SUMMARY = "go on with a crawl that was interrupted"
DESCRIPTION = """\
Go on with the last crawl of a file, as it was told, from where it was when it
was ended or killed. Nobody is visited again who was visited before, unless a
visit is due. Each option that you give goes before what the crawl was told.
What is shown is not kept with the crawl: say it again.
"""
EPILOG = """\
examples:
  devp2p-crawl resume --db mainnet.db
  devp2p-crawl resume --db mainnet.db --for 600 --json

exit codes:
  0  it is over: done, out of time, or told to end
  1  there is nothing to go on with, or the file cannot be opened
  2  wrong options
"""
_LATELY = 20.0  # seconds within which the row of a crawl that runs is written again


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_options(parser)
    parser.set_defaults(run=_run)


def _run(flags: argparse.Namespace) -> int:
    last: list[Crawl] = []

    def before(db: str) -> Mapping[str, Given]:
        last.append(unfinished(db))
        return from_told(OPTIONS, last[0].settings, f"what the crawl in {db} was told")

    choices = choose(flags, before)
    [crawl_before] = last
    from devp2p_crawler.cli.running import crawl, prepare  # noqa: PLC0415  (--help, and wrong options, need not wait for it)

    return crawl(prepare(replace(choices, vantage=crawl_before.vantage), resume=crawl_before.id))


def unfinished(db: str) -> Crawl:
    """The crawl of a file that can go on; `Failure` if there is none."""
    try:
        with SqliteStore.open_reading(db) as store:
            crawls = list(store.crawls())
    except SinkError as error:
        raise Failure(str(error), Exit.FAILED) from None
    if not crawls:
        raise Failure(f"there is no crawl in {db} to go on with: devp2p-crawl crawl --db {db} begins one", Exit.FAILED)
    open_ones = [crawl for crawl in crawls if crawl.ended is None]
    if not open_ones:
        raise Failure(f"the crawl in {db} is complete: devp2p-crawl crawl --db {db} begins another", Exit.FAILED)
    last = open_ones[-1]
    if (ago := time.time() - last.updated / 1e6) < _LATELY:
        warn(f"the crawl in {db} was written {max(0.0, ago):.0f} s ago: if it still runs, end one of the two")
    return last
