"""``devp2p-crawl report``: what a file of crawls says, as one HTML file."""

import argparse
import time
from contextlib import ExitStack, closing
from pathlib import Path

from devp2p.terminal import Exit, Failure, explain
from devp2p_crawler.cli.geo import add_geo
from devp2p_crawler.exports import atomically
from devp2p_crawler.places import PlacesError, open_places
from devp2p_crawler.stores import SinkError, SqliteStore

SUMMARY = "write what was found as one HTML file"
DESCRIPTION = """\
Write a report on a file of crawls: how many nodes there are and what part of
them was found, what they run, which forks they are ready for, how fast they
answer, how long they stay, and why visits failed.

It is one HTML file, which opens without a network, on a phone as well, and can
be sent to anyone. Nothing that peers wrote can act in it. A crawl may go on
writing the file meanwhile; the report says as of when it is.
"""
EPILOG = """\
It needs pip install 'devp2p-crawler[report]'.

examples:
  devp2p-crawl report --db crawl.db report.html
  devp2p-crawl report --db crawl.db --geo GeoLite2-Country.mmdb report.html
  devp2p-crawl report --db crawl.db --title 'Hoodi, week 48' hoodi.html

exit codes:
  0  the report was written
  1  the file cannot be read, or the report not be written
  2  wrong arguments, or what the report needs is not installed
"""
_LONGEST_TITLE = 120


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--db", metavar="FILE", required=True, help="the file of crawls")
    parser.add_argument("--title", type=_title, default="Map of a devp2p network", help="the heading of the report (default: %(default)s)")
    add_geo(parser)
    parser.add_argument("out", metavar="OUT.html", type=Path, help="where to write it; a file that is there is replaced")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the report."""
    page = _page(arguments.db, arguments.title, arguments.geo)
    try:
        with atomically(arguments.out) as file:
            file.write(page.encode())
    except OSError as error:
        raise Failure(f"cannot write {arguments.out}: {explain(error)}", Exit.FAILED) from None
    return Exit.OK


def _page(path: str, title: str, geo: list[Path]) -> str:
    try:
        from devp2p_crawler.figures import gather  # noqa: PLC0415  (other commands need not wait for matplotlib, nor have it)
        from devp2p_crawler.report import render  # noqa: PLC0415
    except ModuleNotFoundError as error:
        name = str(error.name).partition(".")[0]
        raise Failure(f"report needs {name}, which is not installed: pip install 'devp2p-crawler[report]'") from None
    try:
        with closing(SqliteStore.open_reading(path)) as store, ExitStack() as stack:
            findings = gather(store.connection, stack.enter_context(open_places(geo)) if geo else None)
    except (SinkError, PlacesError) as error:
        raise Failure(str(error), Exit.FAILED) from None
    return render(findings, written=time.time_ns() // 1000, title=title)


def _title(text: str) -> str:
    if not text.strip() or len(text) > _LONGEST_TITLE:
        raise argparse.ArgumentTypeError(f"a title has 1 to {_LONGEST_TITLE} characters, not {len(text.strip())}")
    return text
