"""Which of the blocks in the file are the chain, and which one is its head."""

from devp2p.capabilities.ethereum.store import block_rows
from devp2p.capabilities.ethereum.store.block_rows import Place
from devp2p.capabilities.ethereum.store.database import Database, StoreError


def set_head(database: Database, hash_: bytes) -> None:
    """Make a block the head, and its ancestors the chain; StoreError if one of them is not in the file with its body."""
    with database.changes():
        place = block_rows.place(database, hash_)
        if place is None:
            raise StoreError(f"{database.path} has no block 0x{hash_.hex()}, so it cannot be the head")
        move_head(database, place)


def move_head(database: Database, place: Place) -> None:
    """Do so within a transaction."""
    id_, number = place.id, place.number
    branch: list[tuple[int, int]] = []
    while block_rows.canonical_id(database, number) != id_:
        parent = database.row("SELECT parent FROM headers JOIN bodies USING (id) WHERE id = ?", id_)
        if parent is None or parent[0] is None:
            what = "has no body" if parent is None else "has a parent that is not in the file"
            raise StoreError(f"{database.path}: block {place.number} cannot be the head: block {number} below it {what}")
        branch.append((number, id_))
        id_, number = parent[0], number - 1
    if branch:  # what lies above the place where it leaves the chain is of the old branch
        database.run("DELETE FROM canonical WHERE number > ?", number)
        database.run_many("INSERT INTO canonical (number, id) VALUES (?, ?)", branch)
    database.run("UPDATE chain SET head = ?", place.id)
