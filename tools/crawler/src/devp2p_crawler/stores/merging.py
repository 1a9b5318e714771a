"""`merge`: what several stores hold, in one file: crawls from several vantages, or what a fleet's server has.

The union of facts (crawls, sightings, records, visits) is the same in whatever order and however often stores are merged, and so is what
follows from them. When nodes are due is left out: it is what one crawler has in mind, and no fact.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Protocol, TypeVar

from devp2p_crawler.model import Batch, Crawl, Sighting, SignedRecord, Visit
from devp2p_crawler.stores.sqlite import SqliteStore

T = TypeVar("T")

_ROWS: Final = 10_000  # of a transaction


class Source(Protocol):
    """What can be read out of a store. Each of these streams what there is; SinkError if the store cannot be read."""

    def crawls(self) -> Iterator[Crawl]:
        """All crawls."""
        ...

    def sightings(self) -> Iterator[Sighting]:
        """All sightings."""
        ...

    def records(self) -> Iterator[SignedRecord]:
        """All records."""
        ...

    def visits(self) -> Iterator[Visit]:
        """All visits, the one that began first at first if that is cheap."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


@dataclass(slots=True)
class Merged:
    """How many rows were read of a source."""

    crawls: int = 0
    sightings: int = 0
    records: int = 0
    visits: int = 0


def merge(out: SqliteStore, source: Source, *, on_rows: Callable[[Merged], None] = lambda _: None) -> Merged:
    """Add all that a source holds to a file; `on_rows` is called now and then. If it ends by an error, it may be begun again."""
    done = Merged()

    def each(rows: Iterator[T], batch_of: Callable[[list[T]], Batch]) -> Iterator[Batch]:
        while part := list(islice(rows, _ROWS)):
            yield batch_of(part)

    batches: Iterable[tuple[str, Iterator[Batch]]] = (
        ("crawls", each(source.crawls(), lambda part: Batch(crawls=part))),
        ("sightings", each(source.sightings(), lambda part: Batch(sightings=part))),
        ("records", each(source.records(), lambda part: Batch(records=part))),
        ("visits", each(source.visits(), lambda part: Batch(visits=part))),
    )
    with out.deferring():
        for name, of_kind in batches:
            for batch in of_kind:
                out.write(batch)
                setattr(done, name, getattr(done, name) + len(batch))
                on_rows(done)
    return done


def is_same_file(path: str, other: str) -> bool:
    """Whether two addresses of stores are one file."""
    try:
        return Path(path).samefile(other)
    except OSError:
        return False
