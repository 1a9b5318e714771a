"""Where `filter` and `export` write to: a file, which is replaced once the new one is whole, or stdout."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from devp2p.terminal import Exit, Failure, cannot_write, explain

STDOUT = Path("-")


@contextmanager
def standard_output() -> Generator[IO[bytes]]:
    """Stdout, for bytes; `Failure` if it does not take them."""
    out = sys.stdout.buffer
    try:
        yield out
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(error) from None


@contextmanager
def written(path: Path) -> Generator[None]:
    """Tell the user of what kept a file from being written."""
    try:
        yield
    except OSError as error:
        kept = "; the old file is as it was" if path.exists() else ""
        raise Failure(f"cannot write {path}: {explain(error)}{kept}", Exit.FAILED) from None
