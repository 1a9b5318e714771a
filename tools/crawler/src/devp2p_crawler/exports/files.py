"""Files that take the place of others only once they are whole."""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def atomically(path: Path) -> Generator[IO[bytes]]:
    """Open a new file beside `path`, which takes its place at the end of the block; if the block raises, the old file stays as it is.

    A `path` that leads to a device or a pipe is written as it is. OSError of the system, such as that the disk is full.
    """
    target = path.resolve()  # a link stays a link
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(target.stat().st_mode):
            with target.open("wb") as file:
                yield file
            return
    with beside(target) as new:
        with new.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)


@contextmanager
def beside(path: Path) -> Generator[Path]:
    """A path in the same directory at which nothing is yet; what is left there at the end of the block is removed."""
    new = path.with_name(f".{path.name[:100]}.{os.urandom(6).hex()}.part")
    try:
        yield new
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
