"""`Hold`: one process at a time crawls into a file.

Two crawls of one file would each be polite by themselves, and together bother everybody twice. The hold is a lock of the system on a file
beside the database, which ends with the process however that ends. The database itself is not locked: SQLite's own locks would be lost
as soon as this process closed it, and others may read it, or merge into it, meanwhile.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from devp2p_crawler.stores.sinks import SinkError

if sys.platform != "win32":  # which has no such locks: there nobody is kept off
    import fcntl

SUFFIX: Final = "-crawling"
"""What the name of the file beside has more than that of the database."""
_LONGEST: Final = 20  # digits of a process's number


class Hold:
    """A file is held from here on until `release`; SinkError if another crawl has it, OSError if there can be no file beside it."""

    def __init__(self, path: str) -> None:
        self._beside = f"{os.path.realpath(path)}{SUFFIX}"
        self._descriptor: int | None = None
        while self._descriptor is None:
            self._descriptor = _locked(path, self._beside)
        os.truncate(self._descriptor, 0)
        os.write(self._descriptor, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Let others crawl into the file; a second time it does nothing."""
        if self._descriptor is not None:
            with suppress(OSError):
                Path(self._beside).unlink()  # first, while nobody else can have it
            os.close(self._descriptor)
            self._descriptor = None


def _locked(path: str, beside: str) -> int | None:
    """The file beside, locked; None if somebody has just removed it, so that another one may be there, or soon will."""
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(descriptor, _LONGEST).strip()
            by = f" (process {text.decode()})" if text.isdigit() else ""
            raise SinkError(f"another crawl is writing {path}{by}: wait until it is over, end it, or name another file") from None
        if _is_at(beside, descriptor):
            found, descriptor = descriptor, -1
            return found
        return None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(Path(path).stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
