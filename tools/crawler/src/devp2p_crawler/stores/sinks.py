"""`Sink`: what takes the rows of a crawl. A sink is called by one thread at a time, and may take its time: no crawl waits for it."""

from typing import Protocol

from devp2p_crawler.model import Batch


class SinkError(Exception):
    """A store cannot be opened, read or written now; the text says which, why, and what to do. Nothing of the batch was written."""


class Sink(Protocol):
    """A store of visits, sightings and records. `write` of the same rows again changes nothing."""

    def write(self, batch: Batch) -> None:
        """Write all of a batch or nothing; SinkError if that fails, after which it may be tried again."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
