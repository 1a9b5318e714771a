"""Where `filter` and `export` take nodes from: the database of a crawl, or a nodes.json of go-ethereum."""

import argparse
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from devp2p.terminal import Exit, Failure, explain, warn
from devp2p_crawler.analysis import present_uptime, stretches_of
from devp2p_crawler.exports import ExportError, InputError, NodeSetReader
from devp2p_crawler.model import KnownNode
from devp2p_crawler.places import Places, PlacesError, open_places
from devp2p_crawler.stores import SinkError, SqliteStore

_MAGIC = b"SQLite format 3\0"


@dataclass(slots=True)
class Source:
    """An open file with nodes. Errors in reading it are for `told` to tell."""

    path: Path
    store: SqliteStore | None
    """None where it is a nodes.json."""
    places: Places | None
    """None where nobody asks where addresses are."""
    _stack: ExitStack
    _read: list[KnownNode]
    """What is in a nodes.json, by node-ID."""

    def nodes(self) -> Iterator[KnownNode]:
        """All nodes by node-ID, as often as wanted."""
        if self.store is not None:
            nodes: Iterator[KnownNode] = self._stack.enter_context(closing(_each(self.store)))  # whoever reads may stop in the middle
        else:
            nodes = iter(self._read)
        return nodes if self.places is None else map(self.places.with_place, nodes)

    def uptime(self, node: bytes) -> int:
        """For how long a node has been there, up to now, in microseconds; 0 if it is gone."""
        if self.store is None:
            raise Failure(f"{self.path} does not say how long nodes have been up: --min-uptime needs the database of a crawl")
        return present_uptime(stretches_of(self.store.visits(node=node)))


@contextmanager
def open_source(path: Path, geo: Sequence[Path] = ()) -> Generator[Source]:
    """Open a file of either kind, and files of places; `Failure` says why one cannot be read."""
    with told(), ExitStack() as stack:
        store = stack.enter_context(SqliteStore.open_reading(path)) if _is_database(path) else None
        places = stack.enter_context(open_places(geo)) if geo else None
        # Read at once, so that what is wrong with it is known before anything is written.
        read = [] if store is not None else sorted(_read_all(path), key=lambda node: node.node)
        yield Source(path, store, places, stack, read)


@contextmanager
def told() -> Generator[None]:
    """Tell the user of errors in files within a block."""
    try:
        yield
    except (InputError, ExportError, PlacesError) as error:
        raise Failure(str(error)) from None
    except SinkError as error:
        raise Failure(str(error), Exit.FAILED) from None


def add_database(parser: argparse.ArgumentParser) -> None:
    """Add `--db`, by which all commands take the file of a crawl."""
    parser.add_argument("--db", metavar="FILE", type=Path, required=True, help="the database of a crawl, or a nodes.json of go-ethereum")


def _each(store: SqliteStore) -> Generator[KnownNode]:
    yield from store.nodes()


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) in {_MAGIC, b""}
    except FileNotFoundError:
        raise Failure(f"there is no file {path}: name the database of a crawl, or a nodes.json") from None
    except OSError as error:
        raise Failure(f"cannot read {path}: {explain(error)}") from None


def _read_all(path: Path) -> Iterator[KnownNode]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = NodeSetReader(file, str(path))
            yield from reader
    except OSError as error:
        raise Failure(f"cannot read {path}: {explain(error)}") from None
    if reader.left_out:
        warn(f"{reader.left_out} nodes are left out, whose records break the rules; the last: {reader.last_fault}")
