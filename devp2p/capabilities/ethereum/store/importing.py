"""`Importer`: fills a chain file from files, and believes none of them.

Theory of operation. A chain, its receipts and its access lists come in batches, each of which is one transaction: whatever ends an import,
the file then has a valid chain up to some block, and the next import skips what is there. A state is one transaction. What does not fit
is told with the file, the block and the reason; what came before it stays.
"""

import gzip
import io
import os
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

from devp2p import DecodingError, keccak256
from devp2p.capabilities.ethereum.blocks import Block, Header, read_items
from devp2p.capabilities.ethereum.networks import Genesis
from devp2p.capabilities.ethereum.store import additions, block_rows
from devp2p.capabilities.ethereum.store.additions import Misfit, named
from devp2p.capabilities.ethereum.store.contents import Contents, contents
from devp2p.capabilities.ethereum.store.database import Database, StoreError
from devp2p.capabilities.ethereum.store.dumps import Dump, DumpedAccount
from devp2p.capabilities.ethereum.store.network_text import read_network, write_network
from devp2p.capabilities.ethereum.store.state_building import add_state, has_state

BATCH: Final = 4 * 1024 * 1024
"""Bytes of a file that make a batch."""
_LARGEST: Final = 256 * 1024 * 1024
"""Bytes of one item of a file: more than all receipts of a block can have."""
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far the import of one file is."""

    path: str
    done: int
    size: int
    """In bytes of the file, and of all of it, 0 where that is unknown."""
    items: int
    """Blocks, or accounts of a state, that were looked at."""


def _no_report(_: ImportProgress) -> None:
    pass


class Importer:
    """Writes into one chain file. Made by `open`; a context manager, which closes it."""

    def __init__(self, database: Database, report: Callable[[ImportProgress], None]) -> None:
        self._database = database
        self._report = report

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        genesis: Genesis | None = None,
        *,
        report: Callable[[ImportProgress], None] = _no_report,
    ) -> Self:
        """Open a chain file, or make one that begins with a genesis block and its state.

        A file that is there may go without `genesis`; if there is one, it must have the same first block, and its forks replace those that
        the file had. `report` is called after each batch. StoreError says what hinders it.
        """
        database = Database.open(os.fspath(path), create=genesis is not None)
        try:
            if genesis is None:
                read_network(database)
            else:
                _begin(database, genesis)
        except BaseException:
            database.close()
            raise
        return cls(database, report)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def blocks(self, path: str | os.PathLike[str]) -> int:
        """Take a chain as ``geth export`` writes it (.gz as well): blocks in RLP, one behind the other, each behind its parent.

        Roots are verified. Blocks that are there already are passed over; a new one becomes the head if it is higher than the head, else
        it is kept beside the chain. Returns how many were new. Misfit, a StoreError, names the file, the block and what does not fit;
        the blocks before that stay.
        """
        return self._take(os.fspath(path), lambda raw: additions.add_block(self._database, Block.decode(raw)))

    def receipts(self, path: str | os.PathLike[str]) -> int:
        """Take receipts (.gz as well): items ``[block-hash, [receipt, ...]]`` in RLP, one behind the other, of any known blocks.

        Receipts are ``[type, status-or-root, cumulative-gas, logs]``, as in eth/69. Returns for how many blocks they were new. Misfit as in
        `blocks`.
        """
        return self._take(os.fspath(path), lambda raw: additions.add_receipts(self._database, raw))

    def access_lists(self, path: str | os.PathLike[str]) -> int:
        """Take block access lists (.gz as well): items ``[block-hash, access-list]`` in RLP, one behind the other.

        With the whole header in place of the hash the block need not be known, as one that has left the chain. Returns how many were new.
        Misfit as in `blocks`.
        """
        return self._take(os.fspath(path), lambda raw: additions.add_access_list(self._database, raw))

    def state(self, block: int | bytes, path: str | os.PathLike[str]) -> bool:
        """Take the state of a block, by number in the chain or by hash, as ``geth dump`` prints it in either form (.gz as well).

        It must have the state root of that block, and with it all storage and codes. Returns whether it was new. Misfit as in `blocks`;
        then nothing of the state is kept.
        """
        path = os.fspath(path)
        with self._database.changes():
            place = self._block(block)
            header = Header.decode(place.raw)
            if has_state(self._database, header.state_root, place.id):
                return False
            with _named(path, f"state of {named(header)}: "), _open(path) as (file, position):
                dump = Dump(io.TextIOWrapper(file, "utf-8", "replace"))
                if dump.root not in {None, header.state_root}:
                    raise Misfit(f"the dump says the root 0x{(dump.root or b'').hex()}, and the block 0x{header.state_root.hex()}")
                add_state(self._database, place.id, header.state_root, self._reported(dump.accounts(), path, position))
        return True

    def contents(self) -> Contents:
        """Count what the file has."""
        with self._database.snapshot():
            return contents(self._database)

    def _block(self, block: int | bytes) -> block_rows.Place:
        if isinstance(block, bytes):
            place = block_rows.place(self._database, block)
            if place is None:
                raise Misfit(f"{self._database.path} has no block 0x{block.hex()}")
            return place
        newest = block_rows.head(self._database).number
        if not 0 <= block <= newest:
            raise Misfit(f"{self._database.path} has no block {block}: its chain ends with block {newest}")
        statement = "SELECT id, number, raw FROM headers WHERE id = (SELECT id FROM canonical WHERE number = ?)"
        [found] = self._database.rows(statement, block)
        return block_rows.Place(*found)

    def _take(self, path: str, take: Callable[[bytes], bool]) -> int:
        """Take the items of a file, a batch in each transaction. What was taken before one that does not fit stays."""
        new = seen = 0
        fault: StoreError | None = None
        with _named(path), _open(path) as (file, position):
            coming = read_items(file, _LARGEST)
            more = True
            while more and fault is None:
                with self._database.changes():
                    taken = 0
                    more = False
                    try:
                        for at, raw in coming:
                            with _placed(at):
                                new += take(raw)
                            seen += 1
                            taken += len(raw)
                            if taken >= BATCH:
                                more = True
                                break
                    except (Misfit, DecodingError, EOFError, zlib.error, gzip.BadGzipFile) as error:
                        fault = Misfit(_reason(error))
                self._report(ImportProgress(path, *position(), seen))
            if fault is not None:
                raise Misfit(f"{fault}" + (f" ({seen} items before it are in {self._database.path})" if seen else ""))
        return new

    def _reported(self, accounts: Iterator[DumpedAccount], path: str, position: Callable[[], tuple[int, int]]) -> Iterator[DumpedAccount]:
        count = 0
        for count, account in enumerate(accounts, 1):
            yield account
            if not count % 1024:
                self._report(ImportProgress(path, *position(), count))
        self._report(ImportProgress(path, *position(), count))


def _begin(database: Database, genesis: Genesis) -> None:
    """Write the first block and its state, or see that they are there."""
    header = genesis.header
    text = write_network(genesis.network)
    with database.changes():
        if database.row("SELECT 1 FROM chain"):
            found = read_network(database)
            if found.genesis != genesis.hash:
                raise StoreError(
                    f"{database.path} has the chain of another genesis block, 0x{found.genesis.hex()}, not 0x{genesis.hash.hex()};"
                    " name another file, or the genesis file of that chain"
                )
            database.run("UPDATE chain SET network = ?1 WHERE network <> ?1", text)
            return
        id_ = additions.add_header(database, header, None)
        additions.add_body(database, id_, header, additions.genesis_body(header))
        database.run("INSERT INTO canonical (number, id) VALUES (?, ?)", 0, id_)
        database.run("INSERT INTO chain (one, network, head) VALUES (1, ?, ?)", text, id_)
        add_state(database, id_, header.state_root, dumped(genesis))


@contextmanager
def _open(path: str) -> Generator[tuple[BinaryIO, Callable[[], tuple[int, int]]], None, None]:
    """Open a file, compressed or not, with how far it is read, of how many bytes. StoreError if it cannot be opened."""
    try:
        raw = Path(path).open("rb")  # noqa: SIM115  (closed below)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from None
    with raw:
        size = os.fstat(raw.fileno()).st_size
        is_gzip = raw.peek(2)[:2] == _GZIP
        file = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if is_gzip else raw
        yield file, lambda: (raw.tell(), size)


@contextmanager
def _named(path: str, what: str = "") -> Generator[None, None, None]:
    """Say of which file an error is."""
    try:
        yield
    except (Misfit, DecodingError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Misfit(f"{path}: {what}{_reason(error)}") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error


@contextmanager
def _placed(at: int) -> Generator[None, None, None]:
    """Say where in a file something is that cannot be read."""
    try:
        yield
    except DecodingError as error:
        raise Misfit(f"byte {at}: {error}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
        return f"its compression is damaged ({error})"
    return str(error)


def dumped(genesis: Genesis) -> Iterator[DumpedAccount]:
    """The accounts of a genesis file as those of a dump."""
    for address, account in genesis.accounts.items():
        yield DumpedAccount(
            keccak256(address), account.nonce, account.balance, account.storage_root, account.code_hash, account.code, account.leaves
        )
