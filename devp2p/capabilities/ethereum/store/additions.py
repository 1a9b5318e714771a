"""Writing blocks, and what belongs to them, into the file: each after it was verified against what is there."""

from dataclasses import dataclass

from devp2p import DecodingError, rlp
from devp2p.capabilities.ethereum.blocks import (
    Block,
    Header,
    access_list_fault,
    body_fault,
    receipts_fault,
)
from devp2p.capabilities.ethereum.store import block_rows
from devp2p.capabilities.ethereum.store.database import Database, StoreError
from devp2p.capabilities.ethereum.store.heads import move_head
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT

_NONE = rlp.encode([])
_HASH = 32
_MOST = 2**63 - 1
"""The highest number of a block that SQLite can hold."""


class Misfit(StoreError):  # noqa: N818  (it says what it is)
    """What should go into the file does not fit what is there, or not itself. Nothing of it was written."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """What belongs to one block of the file."""

    place: block_rows.Place
    header: Header
    content: bytes


def named(header: Header) -> str:
    """How errors name a block."""
    return f"block {header.number} (0x{header.hash.hex()})"


def add_header(database: Database, header: Header, parent: int | None) -> int:
    """Write a header; its id."""
    statement = "INSERT INTO headers (hash, parent, number, state_root, raw) VALUES (?, ?, ?, ?, ?)"
    return database.run(statement, header.hash, parent, header.number, header.state_root, header.raw)


def add_body(database: Database, id_: int, header: Header, body: bytes) -> None:
    """Write the body of a block whose header is there; and its receipts, if it can have none."""
    database.run("INSERT INTO bodies (id, raw) VALUES (?, ?)", id_, body)
    if header.receipts_root == EMPTY_ROOT:
        database.run("INSERT OR IGNORE INTO receipts (id, raw) VALUES (?, ?)", id_, _NONE)
    elif database.row("SELECT 1 FROM receipts WHERE id = ?", id_) is None:
        database.run("INSERT INTO incomplete (number, id) VALUES (?, ?)", header.number, id_)


def add_block(database: Database, block: Block) -> bool:
    """Write a block whose parent is there, and make it the head if it is higher; whether it is new. Misfit says what does not fit."""
    header, body = block.header, block.body
    place = block_rows.place(database, header.hash)
    if place is not None and database.row("SELECT 1 FROM bodies WHERE id = ?", place.id):
        return _add_list_of(database, place.id, block)
    if header.number == 0:
        raise Misfit(f"{named(header)} is the first of another network: the one in {database.path} is 0x{_genesis(database).hex()}")
    parent = _parent(database, header)
    if (fault := body_fault(header, body)) is not None:
        raise Misfit(f"{named(header)}: {fault}")
    if block.access_list is not None and (fault := access_list_fault(header, block.access_list)) is not None:
        raise Misfit(f"{named(header)}: {fault}")
    if place is None:
        id_ = add_header(database, header, parent)
    else:  # it came with an access list, when nothing else was known of it
        id_ = place.id
        database.run("UPDATE headers SET parent = ? WHERE id = ?", parent, id_)
    add_body(database, id_, header, body.raw)
    _add_list_of(database, id_, block)
    if header.number > block_rows.head(database).number:
        move_head(database, block_rows.Place(id_, header.number, header.raw))
    return True


def add_receipts(database: Database, raw: bytes) -> bool:
    """Write the receipts of a block, ``[block-hash, [receipt, ...]]`` in RLP as eth/69 has them; whether they are new. Misfit."""
    found = _belonging(database, raw)
    if database.row("SELECT 1 FROM receipts WHERE id = ?", found.place.id):
        return False
    try:
        fault = receipts_fault(found.header, block_rows.items(found.content))
    except DecodingError as error:
        fault = str(error)
    if fault is not None:
        raise Misfit(f"{named(found.header)}: {fault}")
    database.run("INSERT INTO receipts (id, raw) VALUES (?, ?)", found.place.id, found.content)
    database.run("DELETE FROM incomplete WHERE number = ? AND id = ?", found.place.number, found.place.id)
    return True


def add_access_list(database: Database, raw: bytes) -> bool:
    """Write the access list of a block, ``[block-hash, list]`` in RLP, or ``[header, list]`` of a block that may be unknown. Misfit."""
    found = _belonging(database, raw)
    if database.row("SELECT 1 FROM access_lists WHERE id = ?", found.place.id):
        return False
    if (fault := access_list_fault(found.header, found.content)) is not None:
        raise Misfit(f"{named(found.header)}: {fault}")
    id_ = found.place.id or add_header(database, found.header, None)
    database.run("INSERT INTO access_lists (id, raw) VALUES (?, ?)", id_, found.content)
    return True


def genesis_body(header: Header) -> bytes:
    """The body of a first block, which is empty."""
    return rlp.encode([[], []] if header.withdrawals_root is None else [[], [], []])


def _add_list_of(database: Database, id_: int, block: Block) -> bool:
    """Write the access list that came with a block; whether it is new."""
    if block.access_list is None or database.row("SELECT 1 FROM access_lists WHERE id = ?", id_):
        return False
    if (fault := access_list_fault(block.header, block.access_list)) is not None:
        raise Misfit(f"{named(block.header)}: {fault}")
    database.run("INSERT INTO access_lists (id, raw) VALUES (?, ?)", id_, block.access_list)
    return True


def _parent(database: Database, header: Header) -> int:
    found = database.row("SELECT headers.id, number FROM headers JOIN bodies USING (id) WHERE hash = ?", header.parent_hash)
    if found is None:
        raise Misfit(f"{named(header)}: its parent 0x{header.parent_hash.hex()} is not in {database.path}")
    id_, number = found
    if header.number != number + 1:
        raise Misfit(f"{named(header)}: its parent is block {number}, so that its number should be {number + 1}")
    return int(id_)


def _belonging(database: Database, raw: bytes) -> Belonging:
    """Read ``[block-hash, content]``, or ``[header, content]``, where the block need not be known and then has the id 0."""
    parts = block_rows.items(raw)
    if len(parts) != 2:
        raise DecodingError(f"a list of a block's hash and what belongs to it is expected, not one of {len(parts)} items")
    of, content = parts
    if of[0] >= 0xC0:
        header = Header.decode(of)
        place = block_rows.place(database, header.hash)
        if header.number > _MOST:
            raise Misfit(f"{named(header)}: a number beyond all chains")
        return Belonging(place or block_rows.Place(0, header.number, header.raw), header, content)
    hash_ = rlp.decode(of)
    if not isinstance(hash_, bytes) or len(hash_) != _HASH:
        raise DecodingError(f"the hash of a block has {_HASH} bytes, not {len(hash_)}")
    place = block_rows.place(database, hash_)
    if place is None:
        raise Misfit(f"block 0x{hash_.hex()} is not in {database.path}: import it first")
    return Belonging(place, Header.decode(place.raw), content)


def _genesis(database: Database) -> bytes:
    [(hash_,)] = database.rows("SELECT hash FROM canonical JOIN headers USING (id) WHERE canonical.number = 0")
    return bytes(hash_)
