"""What a backfill has fetched so far, in a SQLite file of its own. Everything in it is verified, so a kill loses what was under way."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from devp2p import DecodingError, Devp2pError, rlp
from devp2p.capabilities.ethereum.blocks import EMPTY_OMMERS, Header
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT

Part: TypeAlias = Literal["body", "receipts"]
_ID = 0x64766A31  # in the header of the file, "dvj1": whose it is, and in which form
_TABLES = (
    "CREATE TABLE about (about TEXT NOT NULL) STRICT",
    "CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, header BLOB NOT NULL, body BLOB, receipts BLOB) STRICT",
    "CREATE INDEX without_body ON blocks (number) WHERE body IS NULL",
    "CREATE INDEX without_receipts ON blocks (number) WHERE receipts IS NULL",
)
_END = 2**63  # of the numbers that SQLite can hold


class JournalError(Devp2pError):
    """The file of a backfill cannot be used; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched: blocks `first` to `last`, of which the last has the hash `anchor`. ValueError for others than there can be."""

    first: int
    last: int
    anchor: bytes
    genesis: bytes | None = None
    """The hash of block 0; where `first` is 0 or 1 all is linked to it."""
    bodies: bool = False
    receipts: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last < _END:
            raise ValueError(f"the blocks of an Order are 0 <= first <= last < 2**63, not {self.first} to {self.last}")
        if {len(self.anchor), len(self.genesis or self.anchor)} != {32}:
            raise ValueError(f"the hashes of an Order have 32 bytes, not {len(self.anchor)} and {len(self.genesis or b'')}")


@dataclass(frozen=True, slots=True)
class Filled:
    """A block that has come, in RLP; what was not ordered is None."""

    header: bytes
    body: bytes | None
    receipts: tuple[bytes, ...] | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of `blocks` headers, bodies and receipts are there."""

    blocks: int
    headers: int
    bodies: int
    receipts: int


class Journal:
    """The blocks of one `Order`; of methods that read or write, only one may run at a time, in whichever thread."""

    def __init__(self, connection: sqlite3.Connection, path: str | Path, order: Order) -> None:
        self.order = order
        self.path = path
        self._connection = connection
        self._counts = self._count()

    @classmethod
    def open(cls, path: str | Path, order: Order) -> Self:
        """Go on with the file of this order, or begin one; `JournalError` says why that cannot be."""
        try:
            connection = sqlite3.connect(path, timeout=0.1, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, path, order)
                return cls(connection, path, order)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise _trouble(path, error) from None

    @classmethod
    def order_of(cls, path: str | Path) -> Order | None:
        """Return what the file is of; None if there is no file, or nothing in it."""
        if not Path(path).is_file():
            return None
        try:
            with closing(sqlite3.connect(path, timeout=0.1)) as connection:
                return _order_in(connection, path)
        except sqlite3.Error as error:
            raise _trouble(path, error) from None

    @property
    def progress(self) -> Progress:
        """How much is there."""
        return self._counts

    @property
    def edge(self) -> tuple[int, bytes]:
        """The highest header that is not there, and its hash."""
        row = next(iter(self._all("SELECT number, header FROM blocks ORDER BY number LIMIT 1", ())), None)
        return (self.order.last, self.order.anchor) if row is None else (row[0] - 1, self._header(row[1]).parent_hash)

    def add_headers(self, headers: Sequence[Header]) -> None:
        """Keep verified headers, with those parts of their blocks that are empty, and so known."""
        rows = [(one.number, one.hash, one.raw, _known_body(one), _known_receipts(one)) for one in headers]
        self._write("INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", rows)
        bodies, receipts = (sum(row[place] is not None for row in rows) for place in (3, 4))
        self._add(headers=len(rows), bodies=bodies, receipts=receipts)

    def add(self, part: Part, values: Sequence[tuple[int, bytes]]) -> None:
        """Keep verified bodies, or receipts, as (number of the block, RLP)."""
        self._write(f"UPDATE blocks SET {part} = ? WHERE number = ?", [(value, number) for number, value in values])  # noqa: S608  (a Literal)
        self._add(bodies=len(values) * (part == "body"), receipts=len(values) * (part == "receipts"))

    def lacking(self, part: Part, below: int, most: int) -> tuple[list[Header], int]:
        """Return the highest headers below a number of which a part is not there, and down to which block these are all."""
        query = f"SELECT header FROM blocks WHERE {part} IS NULL AND number < ? ORDER BY number DESC LIMIT ?"  # noqa: S608  (a Literal)
        headers = [self._header(raw) for (raw,) in self._all(query, (below, most))]
        return headers, headers[-1].number if len(headers) == most else self.edge[0] + 1

    def blocks(self) -> Iterator[Filled]:
        """Iterate what is there, the lowest block first."""
        number = self.order.first - 1
        while rows := self._all("SELECT number, header, body, receipts FROM blocks WHERE number > ? ORDER BY number LIMIT 64", (number,)):
            for number, header, body, receipts in rows:  # noqa: B007  (where to go on)
                yield Filled(
                    header,
                    body if self.order.bodies else None,
                    tuple(rlp.split_list(receipts, len(receipts))) if self.order.receipts and receipts is not None else None,
                )

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def remove(self) -> None:
        """Close and remove the file: what was in it is elsewhere now."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _count(self) -> Progress:
        """Count by what is missing, which has an index: what is there may be many gigabytes."""
        headers = self.order.last - self.edge[0]
        there = [
            headers - self._all(f"SELECT count(*) FROM blocks WHERE {part} IS NULL", ())[0][0] if ordered else 0  # noqa: S608  (a name)
            for part, ordered in (("body", self.order.bodies), ("receipts", self.order.receipts))
        ]
        return Progress(self.order.last - self.order.first + 1, headers, *there)

    def _header(self, raw: bytes) -> Header:
        try:
            return Header.decode(raw)
        except DecodingError as error:
            raise _damaged(self.path, str(error)) from None

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise _trouble(self.path, error) from None

    def _add(self, *, headers: int = 0, bodies: int = 0, receipts: int = 0) -> None:
        was = self._counts
        self._counts = Progress(was.blocks, was.headers + headers, was.bodies + bodies, was.receipts + receipts)

    def _all(self, query: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _trouble(self.path, error) from None


def _known_body(header: Header) -> bytes | None:
    """Return the body of a block without transactions, which nobody has to be asked for."""
    if header.transactions_root != EMPTY_ROOT or header.ommers_hash != EMPTY_OMMERS or header.withdrawals_root not in {None, EMPTY_ROOT}:
        return None
    return b"\xc2\xc0\xc0" if header.withdrawals_root is None else b"\xc3\xc0\xc0\xc0"


def _known_receipts(header: Header) -> bytes | None:
    return b"\xc0" if header.receipts_root == EMPTY_ROOT else None


def _prepare(connection: sqlite3.Connection, path: str | Path, order: Order) -> None:
    _order_in(connection, path)  # the file of another program is refused before anything of it is changed
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    there = _order_in(connection, path)
    if there is None:
        with connection:  # all of it or nothing, whenever we are killed
            connection.execute("BEGIN EXCLUSIVE")
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO about VALUES (?)", (_to_json(order),))
            connection.execute(f"PRAGMA application_id = {_ID}")
    elif there != order:
        raise JournalError(f"{path} is of another fetch ({_in_words(there)}): finish that one, name another file, or remove it")


def _order_in(connection: sqlite3.Connection, path: str | Path) -> Order | None:
    (is_ours,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if is_ours != _ID:
        if tables or is_ours:
            raise JournalError(f"{path} is no journal of a fetch: name another file")
        return None
    (about,) = connection.execute("SELECT about FROM about").fetchone() or ("",)
    try:
        return _from_json(about)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"what it says of its fetch: {error!r}") from None


def _to_json(order: Order) -> str:
    hashes = {"anchor": order.anchor.hex(), "genesis": order.genesis.hex() if order.genesis else None}
    return json.dumps({**asdict(order), **hashes})


def _from_json(text: str) -> Order:
    values: dict[str, Any] = json.loads(text)
    hashes: dict[str, Any] = {name: bytes.fromhex(values[name]) for name in ("anchor", "genesis") if values[name]}
    return Order(**{**values, **hashes})


def _in_words(order: Order) -> str:
    parts = ["headers", *["bodies"] * order.bodies, *["receipts"] * order.receipts]
    return f"{', '.join(parts)} of the blocks {order.first} to {order.last}, which is 0x{order.anchor.hex()}"


def _trouble(path: str | Path, error: sqlite3.Error) -> JournalError:
    text = str(error)
    if "locked" in text:
        return JournalError(f"{path} is in use by another process: wait until that has ended, or name another file")
    if "unable to open" in text:
        return JournalError(f"{path} cannot be opened or made: name a file in a folder that is there and may be written to")
    if "not a database" in text:
        return JournalError(f"{path} is no journal of a fetch ({text}), or its beginning is damaged: name another file")
    if "malformed" in text:
        return _damaged(path, text)
    return JournalError(f"{path}: {text}")


def _damaged(path: str | Path, how: str) -> JournalError:
    return JournalError(f"{path} is damaged ({how}): remove it, and the fetch begins anew")
