"""How commands speak: JSON or aligned text on stdout, problems on stderr, and the exit status that belongs to them."""

import contextlib
import enum
import errno
import json
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from devp2p.trust import Profile, Trust
from devp2p.wire import printable


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


_program = "devp2p"


def name_program(name: str) -> None:
    """Say as which program `warn` speaks from now on."""
    global _program  # noqa: PLW0603  (a process is one program)
    _program = name


def warn(message: str) -> None:
    """Say one line on stderr, as this program, if there is a stderr."""
    with contextlib.suppress(OSError):
        print(f"{_program}: {printable(message)}", file=sys.stderr)


def write(text: str, file: TextIO | None = None) -> None:
    """Write text, which holds nothing of strangers, and a newline, by default to stdout; `Failure` if that does not take it."""
    try:
        print(text, file=file or sys.stdout, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(error) from None


def cannot_write(error: OSError) -> Failure:
    """What to tell the user when stdout does not take what is written."""
    return Failure(f"cannot write to stdout: {'it is closed' if error.errno == errno.EBADF else explain(error)}", Exit.FAILED)


def write_text(line: str, file: TextIO | None = None) -> None:
    """Write one line, by default to stdout; control characters, which may be a stranger's, become escapes."""
    write(printable(line), file)


def write_fields(fields: Mapping[str, str]) -> None:
    """Write names and values to stdout, one pair a line, with the values in one column."""
    width = max(map(len, fields))
    for name, value in fields.items():
        write_text(f"{name:<{width}}  {value}")


def write_json(value: Mapping[str, object], file: TextIO | None = None) -> None:
    """Write an object as one line, by default to stdout: ASCII without any control character."""
    write(json.dumps(value), file)


def profile_as_text(profile: Profile) -> str:
    """What a session is, in words: ``dpx/1 (mux, resume; resumed, generation 3), known: ...``."""
    if profile.trust is Trust.STRANGER and not profile.why:
        return str(profile)
    return f"{profile}, {profile.trust.value}{f': {profile.why}' if profile.why else ''}"


def profile_as_json(profile: Profile) -> dict[str, object]:
    """The same as an object."""
    return {
        "protocol": profile.protocol,
        "features": list(profile.features),
        "mode": profile.mode,
        "trust": profile.trust.value,
        "generation": profile.generation,
        "why": profile.why,
    }


def explain(error: OSError) -> str:
    """What the system said, without numbers."""
    known = error.errno is not None and error.errno > 0  # that of a name that does not resolve is negative
    reason = os.strerror(error.errno or 0) if known else error.strerror or str(error)
    return reason if reason[:2].isupper() else reason[:1].lower() + reason[1:]
