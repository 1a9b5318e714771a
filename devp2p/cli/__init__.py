"""The ``devp2p`` command: one module for each subcommand, and `main`, which chooses.

What a user got wrong is one line on stderr (`Failure`, or argparse's own) with an exit status that the help documents. A traceback means a
bug, of this program or of a capability that it was told to load.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import cast

from devp2p.cli import chain, discover, dns, enr, fetch, key, node, ping
from devp2p.cli.arguments import HelpFormatter, Parser
from devp2p.cli.output import Failure, cannot_write, warn
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
_COMMANDS = {"key": key, "ping": ping, "node": node, "discover": discover, "enr": enr, "dns": dns, "chain": chain, "fetch": fetch}
_INTERRUPTED = 128 + signal.SIGINT
_READER_GONE = 128 + 13  # what shells say of a program that SIGPIPE ended; Windows does not know the signal


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv`, by default the process's arguments, and return its exit status."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a peer's name must not fail on a terminal that cannot show it
    status = 0
    try:
        try:
            status = _run(argv)
        finally:
            _flush()
    except Failure as failure:
        warn(str(failure))
        status = failure.status
    except BaseException as error:
        if _consists_of(error, BrokenPipeError):
            _drop_output()
            status = _READER_GONE
        elif _consists_of(error, KeyboardInterrupt):
            status = _INTERRUPTED
        else:
            raise
    return status


def _run(argv: Sequence[str] | None) -> int:
    options = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="devp2p", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=HelpFormatter, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"devp2p {__version__}", help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        command.configure(
            commands.add_parser(
                name,
                help=command.SUMMARY,
                description=command.DESCRIPTION,
                epilog=command.EPILOG,
                formatter_class=HelpFormatter,
                allow_abbrev=False,
            )
        )
    return parser


def _open_closed_streams() -> None:
    """Give each standard stream that is closed (``>&-``) a file.

    Otherwise the next file that is opened, perhaps a peer's connection, would have its number. What is written to stdout fails, as it does
    in other programs (gnulib's stdopen); what is written to stderr is lost.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_RDWR)  # its number is the lowest that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  (it stays open)


def _flush() -> None:
    """Let stdout take what is left; `Failure` if it does not, unless nobody reads it any more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        raise cannot_write(error) from None


def _consists_of(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether `error` is of a kind, or a group of nothing else, which is how it comes out of trio's nurseries."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).split(kind)[1] is None
    return isinstance(error, kind)


def _drop_output() -> None:
    """Nobody takes our output any more (``| head``, or a full disk): what is left goes nowhere, or its flush at exit would fail noisily."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
