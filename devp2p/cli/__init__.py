"""The ``devp2p`` command: one module for each subcommand, and `main`, which chooses."""

from collections.abc import Sequence

from devp2p.cli import chain, discover, dns, enr, fetch, key, nat, node, ping
from devp2p.terminal import Command, Program, run_program
from devp2p.version import __version__

_DESCRIPTION = """\
Make node keys, ask nodes what they are, run nodes with capabilities of your
own over encrypted RLPx sessions, read, sign and publish node lists in DNS,
keep chains that nodes serve, and fetch chains from nodes.
"""
_EPILOG = """\
examples:
  devp2p key generate node.key
  devp2p ping enode://<public key>@<host>:30303
  devp2p node --key node.key --capability chat:Chat

`devp2p COMMAND --help` says more about each command, and its exit codes.
"""
_COMMANDS: dict[str, Command] = {
    "key": key,
    "ping": ping,
    "nat": nat,
    "node": node,
    "discover": discover,
    "enr": enr,
    "dns": dns,
    "chain": chain,
    "fetch": fetch,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv`, by default the process's arguments, and return its exit status."""
    return run_program(Program("devp2p", __version__, _DESCRIPTION, _EPILOG, _COMMANDS), argv)
