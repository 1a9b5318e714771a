"""The ``devp2p-crawl`` command: one module for each subcommand, and `main`, which chooses."""

from collections.abc import Sequence

from devp2p.terminal import Command, Program, run_program
from devp2p_crawler import __version__
from devp2p_crawler.cli import export, merge, probe, report
from devp2p_crawler.cli import filter as filter_

_DESCRIPTION = """\
Map a devp2p network: find its nodes by discovery v4 and v5, ask each what it
is, write every visit down, and tell others of it.
"""
_EPILOG = """\
`devp2p-crawl COMMAND --help` says more about each command, and its exit codes.
"""
_COMMANDS: dict[str, Command] = {
    "probe": probe,
    "filter": filter_,
    "export": export,
    "report": report,
    "merge": merge,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv`, by default the process's arguments, and return its exit status."""
    return run_program(Program("devp2p-crawl", __version__, _DESCRIPTION, _EPILOG, _COMMANDS), argv)
