"""``devp2p-crawl resume``: go on with a crawl that was ended before everybody was visited, or killed."""

import argparse
from collections.abc import Mapping
from dataclasses import replace

from devp2p.terminal import Exit, Failure
from devp2p_crawler.cli.layers import Given, from_told
from devp2p_crawler.cli.monitor import add_sessions, monitor
from devp2p_crawler.cli.options import OPTIONS, add_options, choose
from devp2p_crawler.model import Crawl
from devp2p_crawler.stores import SinkError, SqliteStore

SUMMARY = "go on with a crawl that was interrupted"
DESCRIPTION = """\
Go on with the last crawl of a file, as it was told, from where it was when it
was ended or killed, or its time was up. Nobody is visited again who was visited
before; one that monitors goes on to monitor, and visits each node when it is
due. Each option that you give goes before what the crawl was told. What is
shown, and --sessions, are not kept with the crawl: say them again.
"""
EPILOG = """\
examples:
  devp2p-crawl resume --db mainnet.db
  devp2p-crawl resume --db mainnet.db --for 600 --json

exit codes:
  0  it is over: done, out of time, or told to end
  1  there is nothing to go on with, the file cannot be opened, or not all that
     was found could be written
  2  wrong options
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_options(parser)
    add_sessions(parser)
    parser.set_defaults(run=_run)


def _run(flags: argparse.Namespace) -> int:
    last: list[Crawl] = []

    def before(db: str) -> Mapping[str, Given]:
        last.append(unfinished(db))
        return from_told(OPTIONS, last[0].settings, f"what the crawl in {db} was told")

    choices = choose(flags, before)
    [crawl_before] = last
    choices = replace(choices, vantage=crawl_before.vantage)
    if crawl_before.monitors:
        return monitor(choices, flags.sessions, resume=crawl_before.id)
    if flags.sessions is not None:
        raise Failure(f"--sessions is for monitors, and the crawl in {choices.db} is none: leave it out", Exit.USAGE)
    from devp2p_crawler.cli.running import crawl, prepare  # noqa: PLC0415  (--help, and wrong options, need not wait for it)

    return crawl(prepare(choices, resume=crawl_before.id))


def unfinished(db: str) -> Crawl:
    """The crawl of a file that can go on; `Failure` if there is none."""
    try:
        with SqliteStore.open_reading(db) as store:
            crawls = list(store.crawls())
    except SinkError as error:
        raise Failure(str(error), Exit.FAILED) from None
    if not crawls:
        raise Failure(f"there is no crawl in {db} to go on with: devp2p-crawl crawl --db {db} begins one", Exit.FAILED)
    open_ones = [crawl for crawl in crawls if not crawl.is_complete]
    if not open_ones:
        raise Failure(f"the crawl in {db} is complete, as everybody was visited: devp2p-crawl crawl --db {db} begins another", Exit.FAILED)
    return open_ones[-1]
