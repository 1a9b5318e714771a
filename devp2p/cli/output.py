"""How commands speak: JSON or aligned text on stdout, problems on stderr, and the exit status that belongs to them."""

import enum
import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from devp2p.wire.base import printable


class Exit(enum.IntEnum):
    """Exit statuses; the help of each command says what they mean there."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3


class Failure(Exception):  # noqa: N818  (it is told to a user, who knows no classes)
    """What to tell the user instead of a traceback, and the status to end with."""

    def __init__(self, message: str, status: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.status: Exit = status


class LogFormatter(logging.Formatter):
    """Keeps a stranger's text, which may also be in an exception's message, from passing for a line of the log: tracebacks are indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (as logging calls it)
        """One line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802  (as above)
        """Lines that none of a log's looks like."""
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).split("\n"))


def warn(message: str) -> None:
    """Say one line on stderr, as this program."""
    print(f"devp2p: {printable(message)}", file=sys.stderr)


def write_text(line: str, file: TextIO | None = None) -> None:
    """Write one line, by default to stdout; control characters, which may be a stranger's, become escapes."""
    print(printable(line), file=file or sys.stdout, flush=True)


def write_fields(fields: Mapping[str, str]) -> None:
    """Write names and values to stdout, one pair a line, with the values in one column."""
    width = max(map(len, fields))
    for name, value in fields.items():
        write_text(f"{name:<{width}}  {value}")


def write_json(value: Mapping[str, object], file: TextIO | None = None) -> None:
    """Write an object as one line, by default to stdout: ASCII without any control character."""
    print(json.dumps(value), file=file or sys.stdout, flush=True)


def explain(error: OSError) -> str:
    """What the system said, without numbers."""
    known = error.errno is not None and error.errno > 0  # that of a name that does not resolve is negative
    reason = os.strerror(error.errno or 0) if known else error.strerror or str(error)
    return reason[:1].lower() + reason[1:]
