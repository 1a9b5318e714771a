"""What a chain file has: counted, for people and programs."""

import os
from dataclasses import dataclass

from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.networks import Network
from devp2p.capabilities.ethereum.store import block_rows
from devp2p.capabilities.ethereum.store.database import Database
from devp2p.capabilities.ethereum.store.network_text import read_network
from devp2p.capabilities.ethereum.store.state_rows import RECENT


@dataclass(frozen=True, slots=True)
class StateContents:
    """One state."""

    number: int | None
    """The newest block for which it was imported; None if that is not in the chain, or above the head."""
    root: bytes
    accounts: int
    slots: int
    served: bool
    """Whether its block is one of the last 128, whose states peers may ask for."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a chain file has."""

    network: Network
    head: Header
    earliest: int
    """The number from which on bodies and receipts are complete."""
    blocks: int
    """In the chain, up to the head."""
    beside: int
    """Known blocks that are not in the chain, or above the head."""
    receipts: int
    """Blocks with their receipts."""
    access_lists: int
    """Blocks with their access lists."""
    codes: int
    states: tuple[StateContents, ...]
    """From the newest on."""


def read_contents(path: str | os.PathLike[str]) -> Contents:
    """Count what a chain file has; this takes a while in a large one. StoreError if it cannot be read."""
    database = Database.open(os.fspath(path))
    try:
        with database.snapshot():
            return contents(database)
    finally:
        database.close()


def contents(database: Database) -> Contents:
    """Count all of it, within a snapshot."""
    head = block_rows.head(database)
    blocks = head.number + 1
    return Contents(
        network=read_network(database),
        head=Header.decode(head.raw),
        earliest=block_rows.earliest(database, head.number),
        blocks=blocks,
        beside=_count(database, "headers") - blocks,
        receipts=_count(database, "receipts"),
        access_lists=_count(database, "access_lists"),
        codes=_count(database, "codes"),
        states=tuple(_states(database, head.number)),
    )


def _count(database: Database, table: str) -> int:
    [(count,)] = database.rows(f"SELECT count(*) FROM {table}")  # noqa: S608  (a name from above)
    return int(count)


def _states(database: Database, newest: int) -> list[StateContents]:
    found = database.each(
        """
        SELECT root, accounts, slots, canonical.number FROM states JOIN headers ON headers.id = block
        LEFT JOIN canonical ON canonical.id = block AND canonical.number = headers.number AND canonical.number <= ?
        """,
        newest,
    )
    states = [
        StateContents(number, root, accounts, slots, number is not None and number > newest - RECENT)
        for root, accounts, slots, number in found
    ]
    return sorted(states, key=lambda state: (-1 if state.number is None else state.number, state.root), reverse=True)
