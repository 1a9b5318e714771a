"""`Book`: what was heard of nodes, what became of it, and which to ask first after the next start.

The clock is wall time (seconds since 1970), because what is kept outlives the machine's uptime; ``now`` is passed in, and so is randomness.
Every call is short, blocks while it lasts, and is its own transaction unless it stands in ``with book.changes():``. A book may be used from
any thread, but from one at a time.
"""

import logging
import os
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from devp2p.book.database import MEMORY, Database, OnDamage, damaged, move_aside
from devp2p.book.nodes import SEED_AGE, BookEntry, Row, Source, entry_of, is_possible, merged, new_row
from devp2p.book.schema import APPLICATION_ID, MIGRATIONS
from devp2p.book.standings import Standings, change, load, replace_ratings, save
from devp2p.book.trouble import Trouble
from devp2p.errors import BookError, DamagedBookError, LocalProtocolError
from devp2p.peers import RatingRow
from devp2p.records import NodeRecord

FORGOTTEN_AFTER: Final = 30 * 86400.0
"""Seconds after which a node is forgotten that nothing was heard of."""
_SEEDS_PER_NETWORK: Final = 2
_LOOKED_AT: Final = 500  # nodes that are looked at in one step of forgetting old ones
_SPARE: Final = 32  # when the book is full, one node of so many is forgotten at once, so that new ones have time to prove themselves

_logger = logging.getLogger(__name__)

_SELECT: Final = """
    SELECT id, public_key, enr, sequence, addresses, udp_port, network, sources, first_seen, last_seen,
           last_answered, last_dialled, last_connected, last_failed, failures, failure, conflicts
    FROM nodes WHERE id = ?
"""
_INSERT: Final = """
    INSERT INTO nodes (id, public_key, enr, sequence, addresses, udp_port, network, sources, first_seen, last_seen)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE: Final = """
    UPDATE nodes SET enr = ?, sequence = ?, addresses = ?, udp_port = ?, network = ?, sources = ?, last_seen = ?, last_answered = ?,
                     conflicts = ?
    WHERE id = ?
"""
_ANSWERED: Final = "SELECT rowid, network FROM nodes WHERE owned IN (0, 1) AND last_answered >= ?"  # `owned`, so that the index fits
_CLOCK_WAS_AHEAD: Final = """
    UPDATE nodes SET last_seen = min(last_seen, ?1), last_answered = min(last_answered, ?1), last_dialled = min(last_dialled, ?1),
                     last_connected = min(last_connected, ?1), last_failed = min(last_failed, ?1)
    WHERE rowid >= ?2 AND rowid < ?3 AND max(last_seen, coalesce(last_answered, 0), coalesce(last_dialled, 0),
                                             coalesce(last_connected, 0), coalesce(last_failed, 0)) > ?1
"""
_FORGET_LEAST: Final = """
    DELETE FROM nodes WHERE rowid IN (SELECT rowid FROM nodes ORDER BY owned, last_answered, last_seen LIMIT ?)
"""


class Book:
    """What we know of nodes, in a file. A context manager, which closes it; ``len()`` is the number of nodes.

    ``moved_aside`` is where a damaged file has gone (see `open`), or None.
    """

    def __init__(self, database: Database, max_nodes: int, moved_aside: Path | None) -> None:
        self.moved_aside = moved_aside
        self.trouble: Trouble = Trouble()
        """What a node that runs goes on by when the book fails."""
        self._held = False
        self._database = database
        self._max_nodes = max_nodes
        self._count = self._counted()

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, on_corrupt: OnDamage = "refuse", max_nodes: int = 50_000) -> "Book":
        """Open the book at `path`, or begin one that only its owner may read (mode 0600); ``":memory:"`` is one without a file.

        BookError says what is wrong: the file cannot be made or read, is another program's, has a newer version, or is in use, for only one
        process can have it, and only once. If it is damaged this is a DamagedBookError, or, with ``on_corrupt="move-aside"``, a new book
        is begun: the old file is given another name, and the sequence number of our own record is lost with it.

        `max_nodes` is how many nodes are kept. When there is one more, some are forgotten: those that never answered first, then those
        that answered least recently, and in the end those that our own user has named.
        """
        if max_nodes < 1:
            raise LocalProtocolError(f"a book for {max_nodes} nodes")
        path = os.fspath(path)
        if not path:
            raise LocalProtocolError(f"a book is kept in a file, whose path is empty here; name one, or {MEMORY} for none")
        moved = None
        try:
            database = Database.open(path, MIGRATIONS, APPLICATION_ID)
        except DamagedBookError:
            if on_corrupt != "move-aside" or path == MEMORY:
                raise
            moved = move_aside(path)
            database = Database.open(path, MIGRATIONS, APPLICATION_ID)
        try:
            return cls(database, max_nodes, moved)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Give the file free. What `changes` has not completed is undone; closing twice is no fault."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Keep the book for one node: two would overwrite each other's ratings, and the sequence number of each other's record.

        BookError if another node has it, or if it is closed.
        """
        if self._database.is_closed:
            raise BookError(f"the book {self._database.path} is closed; it has to be open for as long as the node runs")
        if self._held:
            raise BookError(f"another node of this program has the book {self._database.path}; give each a book of its own")
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def require_file(self) -> None:
        """BookError if the file is no longer where it was, so that nothing that is written now would be found again."""
        if not self._database.is_there:
            path = self._database.path
            raise BookError(f"{path} was moved or removed, and what is learnt is lost when the node ends, unless it is put back")

    @contextmanager
    def changes(self) -> Generator[None, None, None]:
        """All changes in the block are made together, or, if it ends by an exception, none is. For many at once this is also far faster."""
        try:
            with self._database.changes():
                yield
        except BaseException:
            self._count = -1
            raise

    # What happens to nodes. About a node that is not (or no longer) in the book, all but `heard` change nothing.

    def heard(self, record: NodeRecord, source: Source, now: float) -> bool:
        """Somebody has told us of a node; return whether that is news: of a node, or of where it is, or a newer record of it.

        Where the record holds an ENR that names an endpoint, only that endpoint counts. See `nodes` for which record is kept.
        """
        told = new_row(record, source, now)
        known = self._row(told.id)
        if known is not None and not is_possible(known):
            self._drop(told.id)
            known = None
        if known is None:
            self._insert(told)
            return True
        row = merged(known, told)
        self._database.run(
            _UPDATE,
            *(row.enr, row.sequence, row.addresses, row.udp_port, row.network, row.sources, row.last_seen, row.last_answered),
            *(row.conflicts, row.id),
        )
        return (row.enr, row.addresses, row.udp_port) != (known.enr, known.addresses, known.udp_port)

    def answered(self, node_id: bytes, now: float) -> None:
        """A node has proved in discovery that it is where its record says."""
        self._database.run("UPDATE nodes SET last_seen = ?1, last_answered = ?1 WHERE id = ?2", now, node_id)

    def dialled(self, node_id: bytes, now: float) -> None:
        """A dial has begun; `connected` or `failed` is to follow."""
        self._database.run("UPDATE nodes SET last_dialled = ? WHERE id = ?", now, node_id)

    def connected(self, node_id: bytes, now: float) -> None:
        """There is a session with a node: its failures in a row are over."""
        self._database.run("UPDATE nodes SET last_seen = ?1, last_connected = ?1, failures = 0 WHERE id = ?2", now, node_id)

    def failed(self, node_id: bytes, kind: str, now: float) -> None:
        """A dial did not lead to a session; `kind` says why, in a word or two."""
        self._database.run("UPDATE nodes SET failures = failures + 1, failure = ?, last_failed = ? WHERE id = ?", kind, now, node_id)

    # What is known of nodes

    def __len__(self) -> int:
        if self._count < 0:
            self._count = self._counted()
        return self._count

    def get(self, node_id: bytes) -> BookEntry | None:
        """What is known of a node, or None if nothing is."""
        row = self._row(node_id)
        entry = entry_of(row) if row is not None else None
        if row is not None and entry is None:
            self._drop(node_id)
        return entry

    def seeds(self, count: int = 30, max_age: float = SEED_AGE, *, now: float, random: Callable[[], float]) -> list[NodeRecord]:
        """Up to so many nodes to begin with, at random among those that answered in the last `max_age` seconds.

        Networks (IPv4 /24, IPv6 /32) are drawn at random, then a node of each; only when there are not enough networks, a second one of
        each; and only then nodes without such a network (local addresses, names, other transports). So it does not help to fill the
        book with nodes of few networks. `random` gives numbers from 0 to below 1, which nobody else should be able to predict.
        """
        networks: dict[bytes | None, list[int]] = {}
        for number, network in self._database.rows(_ANSWERED, now - max_age):
            networks.setdefault(network, []).append(number)
        apart = networks.pop(None, [])
        shuffled = sorted(networks.values(), key=lambda _: random()) * _SEEDS_PER_NETWORK + [apart] * len(apart)
        seeds: list[NodeRecord] = []
        for members in shuffled:
            if members and len(seeds) < count:
                found = self._database.rows("SELECT id FROM nodes WHERE rowid = ?", members.pop(int(random() * len(members))))
                entry = self.get(found[0][0]) if found and isinstance(found[0][0], bytes) else None
                if entry is not None:
                    seeds.append(entry.record)
        return seeds

    @property
    def last_heard(self) -> float | None:
        """When something was last heard of any node, None for never."""
        [(newest,)] = self._database.rows("SELECT max(last_seen) FROM nodes")
        return newest if isinstance(newest, int | float) else None

    def forget_older(self, now: float, max_age: float = FORGOTTEN_AFTER) -> int:
        """Forget nodes that nothing was heard of for `max_age` seconds, except those that our own user has named; return how many.

        To be called now and then, as this looks at every node. If the clock was ahead once, times that are still to come become `now`:
        otherwise what was written then would count as new for ever.
        """
        return sum(self.forgetting(now, max_age))

    def forgetting(self, now: float, max_age: float = FORGOTTEN_AFTER) -> Generator[int, None, None]:
        """The same in steps, each of which tells how many it forgot: between them others can have their turn."""
        [(last,)] = self._database.rows("SELECT coalesce(max(rowid), 0) FROM nodes")
        for first in range(0, last + 1, _LOOKED_AT):
            with self.changes():
                self._database.run(_CLOCK_WAS_AHEAD, now, first, first + _LOOKED_AT)
                old = "DELETE FROM nodes WHERE owned = 0 AND last_seen < ? AND rowid >= ? AND rowid < ?"
                forgotten = self._database.run(old, now - max_age, first, first + _LOOKED_AT)
            self._count = len(self) - forgotten
            yield forgotten

    # How peers behaved

    @property
    def standings(self) -> Standings:
        """The ratings, bans and anchors that were kept last; setting them replaces all of them at once, or, if that fails, none."""
        return load(self._database)

    @standings.setter
    def standings(self, standings: Standings) -> None:
        with self.changes():
            save(self._database, standings)

    def change_standings(self, changed: Standings, *, forgotten: Collection[bytes] = (), lifted: Collection[bytes] = ()) -> None:
        """Replace what is kept of some nodes, all at once or not at all: `changed` holds all ratings of each node that it names.

        Nothing stays of the ratings of `forgotten` nodes, and of the bans of `lifted` ones. Anchors are replaced as a whole.
        """
        with self.changes():
            change(self._database, changed, forgotten, lifted)

    def keep_ratings(self, rows: Iterable[RatingRow]) -> None:
        """Replace what is kept of the conduct of the nodes that are named, all at once or not at all: `rows` has all ratings of each."""
        with self.changes():
            replace_ratings(self._database, tuple(rows))

    # What only we can read

    @property
    def sealed(self) -> list[tuple[bytes, bytes]]:
        """What was kept by `keep_sealed`, with the node-IDs, that first which was used longest ago."""
        rows = self._database.rows("SELECT id, data FROM sealed ORDER BY used, id")
        return [(node_id, data) for node_id, data in rows if isinstance(node_id, bytes) and isinstance(data, bytes)]

    def keep_sealed(self, node_id: bytes, data: bytes | None, used: float) -> None:
        """Replace what is kept of a node for nobody else to read, as `Vault` seals it; None forgets it. `used` is when it was used."""
        if data is None:
            self._database.run("DELETE FROM sealed WHERE id = ?", node_id)
        else:
            self._database.run("INSERT OR REPLACE INTO sealed VALUES (?, ?, ?)", node_id, used, data)

    def flush(self) -> None:
        """See that all that was kept so far survives a power failure too. May be called from any thread; OSError if it does not."""
        self._database.flush()

    # What we have to remember of ourselves

    @property
    def sequence(self) -> int:
        """The highest sequence number that our own record ever had, 0 for none; to be kept before a record is published.

        It survives a power failure. A number that is lower than the kept one raises LocalProtocolError: nobody would take that record.
        """
        kept = self.state("sequence")
        number = int.from_bytes(kept or b"", "big")
        if kept is not None and len(kept) != 8:
            raise damaged(self._database.path, "the sequence number of our own record")
        return number

    @sequence.setter
    def sequence(self, sequence: int) -> None:
        number = _number(sequence)
        if sequence < self.sequence:
            raise LocalProtocolError(f"the sequence number {sequence} of our own record, which was {self.sequence} already")
        with self._database.changes(durable=True):
            self.set_state("sequence", number)

    def dns_sequences(self) -> dict[str, int]:
        """The highest sequence numbers that were seen in the roots of DNS trees (EIP-1459), by the names that they were kept under."""
        rows = self._database.rows("SELECT domain, sequence FROM dns_trees")
        return {tree: int.from_bytes(sequence, "big") for tree, sequence in rows if isinstance(tree, str) and isinstance(sequence, bytes)}

    def set_dns_sequence(self, tree: str, sequence: int | None) -> None:
        """Keep the sequence number of a DNS tree's root; one that is lower than the kept one changes nothing, and None forgets it."""
        if sequence is None:
            self._database.run("DELETE FROM dns_trees WHERE domain = ?", tree)
            return
        statement = "INSERT INTO dns_trees VALUES (?, ?) ON CONFLICT DO UPDATE SET sequence = max(sequence, excluded.sequence)"
        self._database.run(statement, tree, _number(sequence))

    def state(self, key: str) -> bytes | None:
        """What was kept under a name, or None. The name ``sequence`` is taken."""
        rows = self._database.rows("SELECT value FROM state WHERE key = ?", key)
        if rows and not isinstance(rows[0][0], bytes):
            raise damaged(self._database.path, f"what was kept under {key}")
        return rows[0][0] if rows else None

    def set_state(self, key: str, value: bytes | None) -> None:
        """Keep something small under a name; None forgets it."""
        if value is None:
            self._database.run("DELETE FROM state WHERE key = ?", key)
        else:
            self._database.run("INSERT INTO state VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", key, value)

    def _row(self, node_id: bytes) -> Row | None:
        rows = self._database.rows(_SELECT, node_id)
        return Row(*rows[0]) if rows else None

    def _drop(self, node_id: bytes) -> None:
        """Let go of what is damaged: nobody could ever use it, and it would stand in the way of what is heard anew."""
        self._count = len(self) - self._database.run("DELETE FROM nodes WHERE id = ?", node_id)
        _logger.warning("%s: what it said of the node %s was damaged, and is forgotten", self._database.path, node_id.hex()[:16])

    def _insert(self, row: Row) -> None:
        before = len(self)
        with self.changes():
            self._database.run(_INSERT, *row[: Row._fields.index("last_answered")])
            self._count = before + 1
            if self._count > self._max_nodes:
                surplus = self._count - (self._max_nodes - self._max_nodes // _SPARE)
                self._count -= self._database.run(_FORGET_LEAST, surplus)

    def _counted(self) -> int:
        [(count,)] = self._database.rows("SELECT count(*) FROM nodes")
        return int(count)


def _number(sequence: int) -> bytes:
    if not 0 <= sequence < 2**64:
        raise LocalProtocolError(f"a sequence number has 64 bits, and {sequence} has not")
    return sequence.to_bytes(8, "big")
