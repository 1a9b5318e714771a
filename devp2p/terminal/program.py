"""A command of subcommands: `run_program` chooses one, and turns what ends it into an exit status.

What a user got wrong is one line on stderr (`Failure`, or argparse's own) with an exit status that the help documents. A traceback means a
bug, of the program or of a capability that it was told to load.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from devp2p.terminal.arguments import HelpFormatter, Parser
from devp2p.terminal.output import Failure, cannot_write, name_program, warn

_INTERRUPTED: Final = 128 + signal.SIGINT
_READER_GONE: Final = 128 + 13  # what shells say of a program that SIGPIPE ended; Windows does not know the signal


class Command(Protocol):
    """A module that is a subcommand: its texts, and what adds its arguments and sets `run`, which returns the exit status."""

    @property
    def SUMMARY(self) -> str:  # noqa: N802  (a constant of the module)
        """A few words, for the list of commands."""
        ...

    @property
    def DESCRIPTION(self) -> str:  # noqa: N802
        """What it does, for its help."""
        ...

    @property
    def EPILOG(self) -> str:  # noqa: N802
        """Examples and exit codes, for its help."""
        ...

    def configure(self, parser: argparse.ArgumentParser, /) -> None:
        """Add the arguments of the command, and `set_defaults(run=...)`."""
        ...


@dataclass(frozen=True, slots=True)
class Program:
    """A command with subcommands."""

    name: str
    version: str
    description: str
    epilog: str
    commands: Mapping[str, Command]


def run_program(program: Program, argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv`, by default the process's arguments, and return its exit status."""
    name_program(program.name)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a peer's name must not fail on a terminal that cannot show it
    status = 0
    try:
        try:
            status = _run(program, argv)
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


def _run(program: Program, argv: Sequence[str] | None) -> int:
    options = _parser(program).parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def _parser(program: Program) -> argparse.ArgumentParser:
    parser = Parser(
        prog=program.name, description=program.description, epilog=program.epilog, formatter_class=HelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"{program.name} {program.version}", help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in program.commands.items():
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
