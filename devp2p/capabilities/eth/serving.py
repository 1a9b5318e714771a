"""Answers to what peers ask: a few requests of each at a time, within the soft limits of eth.

Theory of operation. The task that reads a peer's messages puts its requests into a queue and goes on reading, so that neither other
messages nor the answers to our own requests wait for a disk or for the peer's line. A few tasks serve the queue. It is bounded: a peer
that asks faster than it takes the answers is not read from for a while; its messages then fill its own inbox, then its own line, and
nobody else is held up. If nothing moves for too long the session ends, as with any capability that cannot keep up.
"""

import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, TypeAlias

import trio

from devp2p import Channel
from devp2p.capabilities.eth.messages import (
    MISSING,
    BlockAccessLists,
    BlockBodies,
    BlockHeaders,
    Cells,
    EthMessage,
    GetBlockAccessLists,
    GetBlockBodies,
    GetBlockHeaders,
    GetCells,
    GetPooledTransactions,
    GetReceipts,
    GetReceipts69,
    PooledTransactions,
    Receipts,
    Receipts69,
    bitmap_of,
    columns_of,
)
from devp2p.capabilities.eth.pool import Pool, PoolPeer
from devp2p.capabilities.ethereum import Chain, ChainError
from devp2p.rlp import Lazy, encode_list

AT_ONCE: Final = 2
"""Requests of one peer that are being served: one may be read from a disk while the answer to another waits for the peer's line. With more
of them a peer that takes nothing would have us hold more answers of megabytes."""
WAITING: Final = 256
"""Requests of one peer that may wait, and their bytes."""
WAITING_BYTES: Final = 2**20
SOFT_LIMIT: Final = 2 * 2**20
"""Bytes of an answer (eth, in most messages); only its last item goes beyond it."""
HARD_LIMIT: Final = 10_000_000
"""Bytes of an answer with receipts (EIP-7975), so also of any other: peers accept 10 MiB, and some bytes are around them."""
_ROOM_FOR_HEADS: Final = 16
MOST_ITEMS: Final = 1024
"""Headers, bodies, lists of receipts, access lists of an answer, as go-ethereum has it."""
MOST_TRANSACTIONS: Final = 4096
"""Hashes of a request to the pool that are looked at, as go-ethereum has it."""
MOST_CELL_HASHES: Final = 256
"""The same of GetCells; eth recommends 64."""
_HASH_SIZE: Final = 33

AnyRequest: TypeAlias = (
    GetBlockHeaders | GetBlockBodies | GetReceipts69 | GetReceipts | GetBlockAccessLists | GetPooledTransactions | GetCells
)

_logger = logging.getLogger(__name__)


class Server:
    """Serves one peer from a chain, and from a pool if there is one."""

    def __init__(self, chain: Chain, pool: Pool | None, peer: PoolPeer, channel: Channel[EthMessage]) -> None:
        self._chain = chain
        self._pool = pool
        self._peer = peer
        self._channel = channel
        self._waiting: deque[AnyRequest] = deque()
        self._bytes = 0
        self._changed = trio.lowlevel.ParkingLot()
        self._sending = trio.Lock()

    async def put(self, request: AnyRequest) -> None:
        """Queue a request, waiting while too many wait."""
        size = _size(request)
        while self._waiting and (len(self._waiting) >= WAITING or self._bytes + size > WAITING_BYTES):
            await self._changed.park()
        self._waiting.append(request)
        self._bytes += size
        self._changed.unpark_all()

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(self._work)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                await self._changed.park()
            request = self._waiting.popleft()
            self._bytes -= _size(request)
            self._changed.unpark_all()
            answer = await self._answer(request)
            await trio.lowlevel.checkpoint()  # a chain in memory lets nobody else have a turn
            async with self._sending:  # what is encoded waits for room, and only one is to do so
                await self._channel.send(answer)

    async def _answer(self, request: AnyRequest) -> EthMessage:
        """Answer a request; with nothing, if the chain fails."""
        try:
            return await self._look_up(request)
        except ChainError as error:
            _logger.warning("the chain cannot answer %s: %s", type(request).__name__, error)
            return _nothing(request)

    async def _look_up(self, request: AnyRequest) -> EthMessage:
        chain, pool, number = self._chain, self._pool, request.request_id
        match request:
            case GetBlockHeaders():
                return BlockHeaders(number, Lazy(await self._headers(request)))
            case GetBlockBodies(hashes):
                bodies = await chain.bodies(hashes[:MOST_ITEMS], size=SOFT_LIMIT)
                return BlockBodies(number, Lazy(_fitting(bodies)))
            case GetReceipts69(hashes):
                lists, incomplete = part_of(await chain.receipts(hashes[:MOST_ITEMS], size=SOFT_LIMIT), 0)
                return Receipts69(number, Lazy(lists[:-1] if incomplete else lists))
            case GetReceipts(first, hashes):
                lists, incomplete = part_of(await self._receipts(hashes[:MOST_ITEMS], first), first)
                return Receipts(number, incomplete, Lazy(lists))
            case GetBlockAccessLists(hashes):
                found = await chain.access_lists(hashes[:MOST_ITEMS], size=SOFT_LIMIT)
                return BlockAccessLists(number, Lazy(_fitting([MISSING if one is None else one for one in found])))
            case GetPooledTransactions(hashes):
                if pool is None:
                    return _nothing(request)
                items = await pool.transactions(self._peer, hashes[:MOST_TRANSACTIONS], size=SOFT_LIMIT)
                return PooledTransactions(number, Lazy(_fitting(items)))
            case GetCells(hashes, cells):
                if pool is None:
                    return _nothing(request)
                known, groups, columns = await pool.cells(self._peer, hashes[:MOST_CELL_HASHES], columns_of(cells), size=SOFT_LIMIT)
                return Cells(number, Lazy(known), Lazy(map(Lazy, groups)), bitmap_of(columns))

    async def _headers(self, request: GetBlockHeaders) -> Sequence[bytes]:
        """Ask the chain for headers, but only by numbers that there can be: peers ask for counts and skips up to 2**64 - 1."""
        head = self._chain.head.number
        count, skip = min(request.limit, MOST_ITEMS), request.skip
        if not count or (isinstance(request.start, int) and request.start > head):
            return ()
        if skip >= head:
            count, skip = 1, 0  # the next one would lie before the first block, or behind the head
        return _fitting(await self._chain.headers(request.start, count, skip=skip, reverse=request.reverse, size=SOFT_LIMIT))

    async def _receipts(self, hashes: Sequence[bytes], first: int) -> Sequence[Sequence[bytes]]:
        """Ask the chain for receipts. Those of the first block that the peer has already take no room from the blocks behind it.

        (Who has all of them asks nevertheless, and would never get further: go-ethereum's suite does.)
        """
        found = await self._chain.receipts(hashes, size=SOFT_LIMIT)
        if first and len(found) == 1 < len(hashes):
            left = SOFT_LIMIT - sum(map(len, found[0][first:]))
            if left > 0:
                return [*found, *await self._chain.receipts(hashes[1:], size=left)]
        return found


def part_of(blocks: Iterable[Sequence[bytes]], first: int) -> tuple[list[bytes], bool]:
    """Return what an answer has of the receipts of blocks, of the first block from the receipt `first` on, as a list for each block.

    Beside it, whether the last of these ends before the block's last receipt, since the answer would be too large.
    """
    lists: list[bytes] = []
    left = HARD_LIMIT
    for receipts in blocks:
        wanted = receipts if lists else receipts[first:]
        ends = list(accumulate(map(len, wanted)))
        count = bisect_right(ends, left - _ROOM_FOR_HEADS)
        if count < len(wanted) and not count:
            return lists, False  # it fits into another answer, or into none
        lists.append(encode_list(b"".join(wanted[:count])))
        if count < len(wanted):
            return lists, True
        left -= _ROOM_FOR_HEADS + (ends[-1] if ends else 0)
        if HARD_LIMIT - left >= SOFT_LIMIT:
            break
    return lists, False


def _fitting(items: Sequence[bytes]) -> Sequence[bytes]:
    """Return the first items: the last of them may pass the soft limit, and none the hard one, whatever the chain says."""
    size = 0
    for count, item in enumerate(items):
        if size >= SOFT_LIMIT or size + len(item) > HARD_LIMIT:
            return items[:count]
        size += len(item)
    return items


def _size(request: AnyRequest) -> int:
    return _HASH_SIZE * (1 if isinstance(request, GetBlockHeaders) else 1 + len(request.hashes))


def _nothing(request: AnyRequest) -> EthMessage:
    """Return the answer that says that nothing is here."""
    number = request.request_id
    match request:
        case GetBlockHeaders():
            return BlockHeaders(number, Lazy())
        case GetBlockBodies():
            return BlockBodies(number, Lazy())
        case GetReceipts69():
            return Receipts69(number, Lazy())
        case GetReceipts():
            return Receipts(number, incomplete=False, receipts=Lazy())
        case GetBlockAccessLists():
            return BlockAccessLists(number, Lazy())
        case GetPooledTransactions():
            return PooledTransactions(number, Lazy())
        case GetCells():
            return Cells(number, Lazy(), Lazy(), request.cells)
