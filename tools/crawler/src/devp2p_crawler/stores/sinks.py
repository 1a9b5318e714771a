"""`Sink`: what takes the rows of a crawl. A sink is called by one thread at a time, and may take its time: no crawl waits for it."""

from typing import Final, Protocol

from devp2p_crawler.model import Batch

_TOP: Final = 2**64 - 1


class SinkError(Exception):
    """A store cannot be opened, read or written now; the text says which, why, and what to do. Nothing of the batch was written."""


class RowsRefusedError(SinkError):
    """A store can be written, but it will never take these rows: to try again is no use."""


class Sink(Protocol):
    """A store of visits, sightings and records. `write` of the same rows again changes nothing."""

    def write(self, batch: Batch) -> None:
        """Write all of a batch or nothing; SinkError if that fails, after which it may be tried again."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def storable(text: str) -> str:
    """A text as every store can keep it: NUL, which PostgreSQL refuses, and lone surrogates, which are no UTF-8, become U+FFFD."""
    if text.isascii():
        return text.replace("\0", "\ufffd")
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")


def bounded_number(number: int) -> int:
    """A stranger's number as every store can keep it: below 0 becomes 0, and above 64 bits the highest of those."""
    return min(max(number, 0), _TOP)
