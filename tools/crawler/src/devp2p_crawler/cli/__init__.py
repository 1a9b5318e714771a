"""The ``devp2p-crawl`` command: one module for each subcommand, and `main`, which chooses."""

from collections.abc import Sequence

from devp2p.terminal import Command, Program, run_program
from devp2p_crawler import __version__
from devp2p_crawler.cli import crawl, export, info, merge, monitor, probe, report, resume, send, serve
from devp2p_crawler.cli import filter as filter_

_DESCRIPTION = """\
Map a devp2p network: find its nodes by discovery v4 and v5, ask each what it
is, write every visit down, and tell others of it.
"""
_EPILOG = """\
examples:
  devp2p-crawl crawl --db mainnet.db --network mainnet --contact you@example.org
  devp2p-crawl info --db mainnet.db
  devp2p-crawl report --db mainnet.db mainnet.html

`devp2p-crawl COMMAND --help` says more about each command, and its exit codes.
"""
_COMMANDS: dict[str, Command] = {
    "crawl": crawl,
    "monitor": monitor,
    "resume": resume,
    "probe": probe,
    "info": info,
    "filter": filter_,
    "export": export,
    "report": report,
    "merge": merge,
    "send": send,
    "serve": serve,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv`, by default the process's arguments, and return its exit status."""
    return run_program(Program("devp2p-crawl", __version__, _DESCRIPTION, _EPILOG, _COMMANDS), argv)
