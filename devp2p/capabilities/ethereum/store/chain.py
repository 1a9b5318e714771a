"""`SqliteChain`: a chain and its states in one SQLite file, served as `Chain` and `State`.

Theory of operation. Each question runs in a thread, on a connection of its own from a small pool, in one snapshot, so that it sees one head
throughout, while an import (of this or another process) writes. `head` is looked up in the loop: it is a few rows, and read again only
when somebody has written.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Concatenate, Final, ParamSpec, Self, TypeVar

import trio

from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.chain import Account, Head, Range
from devp2p.capabilities.ethereum.networks import Network
from devp2p.capabilities.ethereum.store import block_rows, heads, state_rows
from devp2p.capabilities.ethereum.store.contents import Contents, contents
from devp2p.capabilities.ethereum.store.database import Database, StoreError
from devp2p.capabilities.ethereum.store.network_text import read_network

READERS: Final = 4
"""How many questions are answered at the same time."""
_GLANCE: Final = 5
"""Milliseconds for which the loop may wait to read the head, where another program just repairs the log."""

P = ParamSpec("P")
T = TypeVar("T")


class SqliteChain:
    """A chain in a file that ``devp2p chain import`` (or `Importer`) has filled. Made by `open`; a context manager, which closes it.

    Everything that reads or writes raises StoreError if the file fails, and DamagedStoreError if it is damaged.
    """

    def __init__(self, path: str, database: Database) -> None:
        self._path = path
        self._watch = database  # for the loop alone
        self._idle: list[Database] = []
        self._limiter = trio.CapacityLimiter(READERS)
        self._writing = trio.Lock()
        self._closed = False
        self._network = read_network(database)
        self._changed = database.changed
        self._head, self._has_state = _look(database)
        database.run(f"PRAGMA busy_timeout = {_GLANCE}")

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a chain file; StoreError says why it cannot be: it is missing, empty, damaged, another program's, or of a later version."""
        path = os.fspath(path)
        database = Database.open(path)
        try:
            return cls(path, database)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the file; what still reads in threads ends first. Closing twice is no fault."""
        self._closed = True
        for database in (self._watch, *self._idle):
            database.close()
        self._idle.clear()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def network(self) -> Network:
        """The network whose genesis the file begins with."""
        return self._network

    @property
    def head(self) -> Head:
        """The newest block; changed by `set_head`, and by imports into the file. If the file fails, the last that could be read."""
        self._glance()
        return self._head

    @property
    def has_state(self) -> bool:
        """Whether there is the state of one of the last 128 blocks, so that there is something to serve, and to judge transactions by."""
        self._glance()
        return self._has_state

    async def set_head(self, hash_: bytes) -> Head:
        """Make a block of the file the newest of the chain, on whatever branch it is, as a consensus client tells (forkchoiceUpdated).

        Raises StoreError if the block, its body or one of its ancestors is not in the file.
        """
        async with self._writing:
            await self._do(heads.set_head, hash_)
        return self.head

    async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:
        """`Chain.headers`; from a block beside the chain on, upwards it alone, downwards its own ancestors."""
        return await self._read(block_rows.headers, start, count, -skip - 1 if reverse else skip + 1, size)

    async def bodies(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        """`Chain.bodies`."""
        return await self._read(block_rows.bodies, hashes, size)

    async def receipts(self, hashes: Sequence[bytes], *, size: int) -> Sequence[Sequence[bytes]]:
        """`Chain.receipts`."""
        return await self._read(block_rows.receipts, hashes, size)

    async def access_lists(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes | None]:
        """`Chain.access_lists`, those of blocks beside the chain as well."""
        return await self._read(block_rows.access_lists, hashes, size)

    async def account(self, address: bytes) -> Account | None:
        """Return an account of the newest state that is here, if its block is one of the last 128; else, and without an account, None."""
        return await self._read(state_rows.account, address)

    async def accounts(self, root: bytes, start: bytes, limit: bytes, *, size: int) -> Range | None:
        """`State.accounts`; None also for a root that none of the last 128 blocks has."""
        return await self._read(state_rows.accounts, root, start, limit, size)

    async def slots(self, root: bytes, accounts: Sequence[bytes], start: bytes, limit: bytes, *, size: int) -> Sequence[Range] | None:
        """`State.slots`; None also for a root that none of the last 128 blocks has."""
        return await self._read(state_rows.slots, root, accounts, (start, limit), size)

    async def codes(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        """`State.codes`."""
        return await self._read(state_rows.codes, hashes, size)

    async def nodes(self, root: bytes, paths: Sequence[Sequence[bytes]], *, size: int) -> Sequence[bytes]:
        """`State.nodes`."""
        return await self._read(state_rows.nodes, root, paths, size)

    async def contents(self) -> Contents:
        """Count what the file has; this takes a while in a large one."""
        return await self._read(contents)

    async def _read(self, look: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask in a thread, and in one snapshot."""

        def looking(database: Database) -> T:
            with database.snapshot():
                return look(database, *args, **kwargs)

        return await self._do(looking)

    async def _do(self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Work in a thread, with a connection that nobody else has meanwhile."""
        self._require_open()

        def working() -> T:
            try:
                database = self._idle.pop()
            except IndexError:  # not asked for before, since another thread may take the last one meanwhile
                database = Database.open(self._path)
            try:
                return work(database, *args, **kwargs)
            finally:
                self._idle.append(database)
                if self._closed:
                    database.close()

        return await trio.to_thread.run_sync(working, limiter=self._limiter)

    def _glance(self) -> None:
        """See whether somebody has written, and what the head is then."""
        self._require_open()
        with suppress(StoreError):  # whoever reads more is told
            if (changed := self._watch.changed) != self._changed:
                self._head, self._has_state = _look(self._watch)
                self._changed = changed

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self._path} was closed")


def _look(database: Database) -> tuple[Head, bool]:
    """The head, and whether there is a state to serve."""
    with database.snapshot():
        place = block_rows.head(database)
        header = Header.decode(place.raw)
        head = Head(place.number, header.hash, header.timestamp, block_rows.earliest(database, place.number))
        return head, state_rows.newest_state(database) is not None
