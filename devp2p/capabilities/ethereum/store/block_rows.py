"""Reading blocks: what `Chain` asks, as queries of one snapshot.

Nothing is read beyond what is returned, but for the item that shows that no more fits.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from devp2p import rlp
from devp2p.capabilities.ethereum.store.database import Database


@dataclass(frozen=True, slots=True)
class Place:
    """A block in the file: its id there, its number, its header in RLP."""

    id: int
    number: int
    raw: bytes


def head(database: Database) -> Place:
    """Return the newest block of the chain."""
    [(id_, number, raw)] = database.rows("SELECT id, number, raw FROM headers WHERE id = (SELECT head FROM chain)")
    return Place(id_, number, raw)


def place(database: Database, hash_: bytes) -> Place | None:
    """Return a block of the chain or beside it."""
    found = database.row("SELECT id, number, raw FROM headers WHERE hash = ?", hash_)
    return None if found is None else Place(*found)


def canonical_id(database: Database, number: int) -> int | None:
    """Return the id of a block of the chain, or of one above the head that was in it."""
    found = database.row("SELECT id FROM canonical WHERE number = ?", number)
    return None if found is None else found[0]


def earliest(database: Database, newest: int) -> int:
    """Return the number from which on all blocks up to `newest` have their bodies and receipts; at most `newest`."""
    lacking = """
        SELECT number FROM incomplete WHERE number <= ? AND id = (SELECT id FROM canonical WHERE number = incomplete.number)
        ORDER BY number DESC LIMIT 1
    """
    found = database.row(lacking, newest)
    return 0 if found is None else min(found[0] + 1, newest)


def headers(database: Database, start: int | bytes, count: int, step: int, size: int) -> list[bytes]:
    """`Chain.headers`, where the numbers of two differ by `step`, which is below 0 downwards."""
    newest = head(database).number
    if isinstance(start, bytes):
        first = place(database, start)
        if first is None:
            return []
        if first.number > newest or canonical_id(database, first.number) != first.id:
            return _within(_beside(database, first, newest, count, step), size)
        start = first.number
    if start > newest:
        return []
    return _within(_of_the_chain(database, range(start, newest + 1 if step > 0 else -1, step)[:count]), size)


def _of_the_chain(database: Database, numbers: Sequence[int]) -> Iterator[bytes]:
    if len(numbers) > 1 and abs(numbers[1] - numbers[0]) == 1:
        order = "" if numbers[1] > numbers[0] else "DESC"
        found = database.each(
            "SELECT raw FROM canonical JOIN headers USING (id)"  # noqa: S608  (of constants)
            f" WHERE canonical.number BETWEEN ? AND ? ORDER BY canonical.number {order}",
            *(min(numbers[0], numbers[-1]), max(numbers[0], numbers[-1])),
        )
        yield from (raw for (raw,) in found)
        return
    for number in numbers:
        for (raw,) in database.rows("SELECT raw FROM canonical JOIN headers USING (id) WHERE canonical.number = ?", number):
            yield raw


def _beside(database: Database, first: Place, newest: int, count: int, step: int) -> Iterator[bytes]:
    """A block outside the chain, and its ancestors. What follows such a block is not kept by number, so upwards it is alone."""
    if count > 0:
        yield first.raw
    if step > 0:
        return
    id_, number = first.id, first.number
    for done, wanted in enumerate(range(first.number, -1, step)[1:count], 1):
        while number > wanted and (number > newest or canonical_id(database, number) != id_):
            [(parent,)] = database.rows("SELECT parent FROM headers WHERE id = ?", id_)
            if parent is None:
                return
            id_, number = parent, number - 1
        if number > wanted:  # back in the chain
            yield from _of_the_chain(database, range(wanted, -1, step)[: count - done])
            return
        yield from (raw for (raw,) in database.rows("SELECT raw FROM headers WHERE id = ?", id_))


def _within(items: Iterable[bytes], size: int) -> list[bytes]:
    """The items that fit, and the first in any case."""
    found: list[bytes] = []
    for item in items:
        size -= len(item)
        if found and size < 0:
            break
        found.append(item)
    return found


def bodies(database: Database, hashes: Sequence[bytes], size: int) -> list[bytes]:
    """`Chain.bodies`."""
    statement = "SELECT bodies.raw FROM headers JOIN bodies USING (id) WHERE hash = ?"
    return _within((raw for hash_ in hashes for (raw,) in database.rows(statement, hash_)), size)


def receipts(database: Database, hashes: Sequence[bytes], size: int) -> list[list[bytes]]:
    """`Chain.receipts`."""

    def known() -> Iterator[bytes]:
        for hash_ in hashes:
            row = database.row("SELECT receipts.raw FROM headers JOIN receipts USING (id) WHERE hash = ?", hash_)
            if row is None:
                return
            yield row[0]

    return [items(listed) for listed in _within(known(), size)]


def items(listed: bytes) -> list[bytes]:
    """Return what a list in RLP holds, however many items; a file has it, which is bounded in bytes."""
    return rlp.split_list(listed, len(listed))


def access_lists(database: Database, hashes: Sequence[bytes], size: int) -> list[bytes | None]:
    """`Chain.access_lists`, of which one that is not known counts a byte."""
    found: list[bytes | None] = []
    for hash_ in hashes:
        row = database.row("SELECT access_lists.raw FROM headers JOIN access_lists USING (id) WHERE hash = ?", hash_)
        size -= 1 if row is None else len(row[0])
        if found and size < 0:
            break
        found.append(None if row is None else row[0])
    return found
