"""Whether answers are what was asked for: each byte of them is proved by a header or a hash, or the answer is a lie.

A peer may always bring less than was asked, from the end or where it lacks something: then None stands in that place. What it brings must
have been asked for, in the order of the request, and fit. `InvalidAnswer` says what does not.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from devp2p import DecodingError, RemoteProtocolError, keccak256, rlp
from devp2p.capabilities.eth.checking import EACH, Checks, cost
from devp2p.capabilities.eth.messages import CELL_SIZE, MISSING
from devp2p.capabilities.ethereum.blocks import (
    Body,
    Header,
    Transaction,
    access_list_fault,
    body_fault,
    headers_fault,
    receipts_fault,
    receipts_root,
    transactions_root,
)
from devp2p.capabilities.ethereum.tries import list_root

LEAST_GAS: Final = 4500
"""Gas that the cheapest transaction uses since Amsterdam (go-ethereum's figure; before it 21,000), which bounds how many a block has."""
GAS_A_BYTE: Final = 8
"""Gas for a byte of a log's data; its address and topics cost more than that for each of their bytes."""
BESIDE_LOGS: Final = 64
"""Bytes of a receipt that are not of its logs, at most."""
_BLOOMS: Final = 8
"""What a byte of receipts costs, since the bloom filters of their logs are computed."""

Item = TypeVar("Item")
_Roots: TypeAlias = tuple[bytes | None, ...]
_items = rlp.codec(rlp.Lazy[rlp.Raw])


class InvalidAnswer(RemoteProtocolError):  # noqa: N818  (it is the answer that is raised)
    """An answer that is not what was asked for, and cannot be an honest one. The session ends by it."""


def require_few(count: int, asked: int, what: str) -> None:
    """Raise InvalidAnswer for more items than were asked for."""
    if count > asked:
        raise InvalidAnswer(f"{count} {what} came, and {asked} were asked for")


async def headers_of(raws: Iterable[bytes], start: int | bytes, count: int, *, skip: int, reverse: bool) -> tuple[Header, ...]:
    """Make headers of an answer to GetBlockHeaders."""

    def header_of(raw: bytes) -> Header:
        header = Header.decode(raw)
        _ = header.hash  # which it keeps
        return header

    checks = Checks()
    try:
        headers = [await checks.run(len(raw), header_of, raw) for raw in raws]
    except DecodingError as error:
        raise InvalidAnswer(f"a header that is none: {error}") from None
    if fault := headers_fault(headers, start, count, skip=skip, reverse=reverse):
        raise InvalidAnswer(f"headers that were not asked for: {fault}")
    return tuple(headers)


async def bodies_of(raws: Iterable[bytes], headers: Sequence[Header]) -> tuple[Body | None, ...]:
    """Find which header each body of an answer belongs to. Some clients leave out what they lack and go on behind it."""
    return await _placed(raws, headers, _BODY)


async def receipts_of(raws: Iterable[bytes], headers: Sequence[Header]) -> tuple[tuple[bytes, ...] | None, ...]:
    """Find which header each list of receipts of an answer belongs to, as `bodies_of` does."""
    return await _placed(raws, headers, _RECEIPTS)


@dataclass(frozen=True)
class _Kind(Generic[Item]):
    """What belongs to a header, and how that is seen."""

    name: str
    decode: Callable[[bytes], Item]
    fault: Callable[[Header, Item], str | None]
    roots_of: Callable[[Item], _Roots]
    roots_in: Callable[[Header], _Roots]
    cost: Callable[[bytes], int]

    def judge(self, header: Header, raw: bytes) -> tuple[Item, str | None]:
        """Decode an item, and compare it with a header."""
        item = self.decode(raw)
        return item, self.fault(header, item)


async def _placed(raws: Iterable[bytes], headers: Sequence[Header], kind: _Kind[Item]) -> tuple[Item | None, ...]:
    """Put each item in the place of its header: the next one as a rule, else the first behind it that has its roots."""
    checks = Checks()
    found: list[Item | None] = []
    try:
        for raw in raws:
            if len(found) == len(headers):
                raise InvalidAnswer(f"a {kind.name} of no block that was asked for, or in another order")
            next_one = headers[len(found)]
            price = kind.cost(raw)
            item, fault = await checks.run(price, kind.judge, next_one, raw)
            if fault is not None:
                roots = await checks.run(price, kind.roots_of, item)
                place = next((at for at in range(len(found) + 1, len(headers)) if kind.roots_in(headers[at]) == roots), None)
                if place is None or await checks.run(price, kind.fault, headers[place], item) is not None:
                    raise InvalidAnswer(f"a {kind.name} that is not that of block {next_one.number}, nor of one behind it: {fault}")
                found += [None] * (place - len(found))
            found.append(item)
    except DecodingError as error:
        raise InvalidAnswer(f"a {kind.name} that is none: {error}") from None
    return (*found, *[None] * (len(headers) - len(found)))


def split(raw: bytes) -> tuple[bytes, ...]:
    """Take apart a list of items in RLP; DecodingError if it is none."""
    return tuple(_items.decode(raw).encodings())


def _receipts_cost(raw: bytes) -> int:
    return max(_BLOOMS * len(raw), cost(raw))  # their bloom filters are most of it


def _roots_of_body(body: Body) -> _Roots:
    """Return all by which blocks differ: many have no transactions."""
    ommers = keccak256(rlp.encode_list(b"".join(body.ommers)))
    return transactions_root(body.transactions), ommers, None if body.withdrawals is None else list_root(body.withdrawals)


_BODY: Final = _Kind(
    "body",
    Body.decode,
    body_fault,
    _roots_of_body,
    lambda header: (header.transactions_root, header.ommers_hash, header.withdrawals_root),
    lambda raw: cost(raw, 2),
)
_RECEIPTS: Final = _Kind(
    "list of receipts",
    split,
    receipts_fault,
    lambda receipts: (receipts_root(receipts),),
    lambda header: (header.receipts_root,),
    _receipts_cost,
)


class ReceiptsInParts:
    """The receipts of blocks as eth/70 brings them: in order, and of a large block some in one answer and more in the next.

    What is kept of an unfinished block cannot be proved before its last receipt is there. So it is bounded by the gas that the block has
    used, as go-ethereum does it, and each answer must bring more of it.
    """

    def __init__(self, headers: Sequence[Header]) -> None:
        self._headers = headers
        self._checks = Checks()
        self._part: list[bytes] = []
        self.found: list[tuple[bytes, ...]] = []
        """Receipts of whole blocks, proved."""
        self.size: int = 0
        """Bytes of all of them."""

    @property
    def missing(self) -> Sequence[Header]:
        """The headers of blocks that are not whole."""
        return self._headers[len(self.found) :]

    @property
    def first(self) -> int:
        """How many receipts of the first of these are there."""
        return len(self._part)

    async def add(self, raws: Sequence[bytes], *, incomplete: bool) -> bool:
        """Take in an answer to a request for `missing` from `first` on; return whether there is to be another request."""
        if not raws:
            if incomplete:
                raise InvalidAnswer("no receipts came, marked as incomplete")
            return False
        try:
            for index, raw in enumerate(raws):
                receipts = await self._checks.run(cost(raw), split, raw)
                if incomplete and index == len(raws) - 1:
                    self._keep(receipts)
                    return True
                await self._finish([*self._part, *receipts])
        except DecodingError as error:
            raise InvalidAnswer(f"a list of receipts that is none: {error}") from None
        return False

    async def _finish(self, receipts: list[bytes]) -> None:
        header = self.missing[0]
        size = sum(map(len, receipts))
        if fault := await self._checks.run(max(_BLOOMS * size, EACH * len(receipts)), receipts_fault, header, receipts):
            raise InvalidAnswer(f"receipts that are not those of block {header.number}: {fault}")
        self._part = []
        self.size += size
        self.found.append(tuple(receipts))

    def _keep(self, receipts: Sequence[bytes]) -> None:
        header = self.missing[0]
        if not receipts:
            raise InvalidAnswer(f"no further receipt of block {header.number} came, marked as incomplete")
        self._part += receipts
        if len(self._part) > header.gas_used // LEAST_GAS:
            raise InvalidAnswer(f"more receipts than block {header.number} has gas for")
        if sum(map(len, self._part)) > header.gas_used // GAS_A_BYTE + BESIDE_LOGS * len(self._part):
            raise InvalidAnswer(f"larger receipts than block {header.number} has gas for")


async def access_lists_of(raws: Sequence[bytes], headers: Sequence[Header]) -> tuple[bytes | None, ...]:
    """Check an answer to GetBlockAccessLists, which has an item for each hash, as far as it goes."""
    checks = Checks()
    found: list[bytes | None] = []
    for raw, header in zip(raws, headers, strict=False):
        if raw == MISSING:
            found.append(None)
        elif fault := await checks.run(len(raw), access_list_fault, header, raw):
            raise InvalidAnswer(f"an access list that is not that of block {header.number}: {fault}")
        else:
            found.append(raw)
    return (*found, *[None] * (len(headers) - len(found)))


async def transactions_of(raws: Iterable[bytes], hashes: Sequence[bytes]) -> tuple[Transaction | None, ...]:
    """Put each transaction of an answer to GetPooledTransactions in the place of its hash."""

    def transaction_of(raw: bytes) -> Transaction:
        transaction = Transaction.decode(raw)
        _ = transaction.hash
        return transaction

    checks = Checks()
    found: list[Transaction | None] = []
    places = iter(enumerate(hashes))
    try:
        for raw in raws:
            transaction = await checks.run(2 * len(raw), transaction_of, raw)  # its access list is decoded, too
            place = next((at for at, wanted in places if wanted == transaction.hash), None)
            if place is None:
                raise InvalidAnswer(f"transaction {transaction.hash.hex()} was not asked for, or comes in another order")
            found += [None] * (place - len(found))
            found.append(transaction)
    except DecodingError as error:
        raise InvalidAnswer(f"a transaction that is none: {error}") from None
    return (*found, *[None] * (len(hashes) - len(found)))


def check_cells(hashes: Sequence[bytes], groups: Sequence[Sequence[bytes]], columns: int, asked: Sequence[bytes], wanted: int) -> None:
    """Check that cells are of transactions and columns that were asked for, and whole; whether they are true, only KZG can tell."""
    if columns & ~wanted:
        raise InvalidAnswer("cells came of columns that were not asked for")
    if len(groups) != len(hashes):
        raise InvalidAnswer(f"cells of {len(groups)} transactions came with {len(hashes)} hashes")
    places = iter(asked)
    for hash_, group in zip(hashes, groups, strict=True):
        if not any(one == hash_ for one in places):
            raise InvalidAnswer(f"cells of transaction {hash_.hex()} were not asked for, or come in another order")
        if not group or not columns or len(group) % columns.bit_count():
            raise InvalidAnswer(f"{len(group)} cells of transaction {hash_.hex()} came for {columns.bit_count()} columns")
        if any(len(cell) != CELL_SIZE for cell in group):
            raise InvalidAnswer(f"a cell of transaction {hash_.hex()} has another size than {CELL_SIZE} bytes")
