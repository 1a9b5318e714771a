"""`EthPeer`: a peer that has shown us its Status, and what it can be asked for."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import trio

from devp2p import Channel, ConductReport, DecodingError, LocalProtocolError, Peer
from devp2p.capabilities.eth import answers
from devp2p.capabilities.eth.answers import InvalidAnswer, ReceiptsInParts
from devp2p.capabilities.eth.messages import (
    BlockRangeUpdate,
    EthMessage,
    GetBlockAccessLists,
    GetBlockBodies,
    GetBlockHeaders,
    GetCells,
    GetPooledTransactions,
    GetReceipts,
    GetReceipts69,
    NewPooledTransactionHashes,
    NewPooledTransactionHashes71,
    Status,
    Transactions,
    bitmap_of,
    columns_of,
)
from devp2p.capabilities.eth.pool import CellGroups
from devp2p.capabilities.ethereum.blocks import Body, Header, Transaction
from devp2p.rlp import Lazy

T = TypeVar("T")

MOST_ASKED: Final = 1024
"""Blocks that one request names; nobody serves more at once."""
UNIT: Final = 1024
"""Bytes of proved data that count as 1 in a peer's conduct."""
MOST_PARTS: Final = 32
"""Answers in which the receipts of one request may come; an honest peer fills each with 2 MiB or more, so 300 million gas need 18."""
PATIENCE: Final = 4
"""How many times the timeout of one answer all of these may take together."""


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Which blocks a peer has with their bodies and receipts, as it says; headers it has from the first block on."""

    earliest: int
    latest: int
    latest_hash: bytes


class EthPeer:
    """A peer of eth: ``peer[Eth]``, once both sides have accepted the other's Status.

    What a request returns is proved by what it was asked with, and stands in the place of what was asked for; None stands where the peer
    has not brought it, which is honest, and beyond the first 1,024 blocks, since nobody serves more at once. A lie raises `InvalidAnswer`,
    is reported as malice, and ends the session. All requests raise `trio.TooSlowError` if there is no answer within `timeout` seconds (by
    default `Eth.request_timeout`), `PeerDisconnected` after the session's end, and LocalProtocolError for what no version of the message
    can say, or for one that the peer's version does not have.

    What a peer is worth counts in KiB of proved data (`UNIT`).
    """

    def __init__(self, peer: Peer, channel: Channel[EthMessage], status: Status, timeout: float) -> None:
        """`timeout`: seconds for an answer where a request says nothing else."""
        self.peer: Peer = peer
        self.status: Status = status
        """What it sent at the beginning."""
        self.range: BlockRange = BlockRange(status.earliest, status.latest, status.latest_hash)
        """Which blocks it has, by its latest word. Nobody has proved that."""
        self._channel = channel
        self._timeout = timeout
        self._order = trio.Lock()

    @property
    def version(self) -> int:
        """The version of eth that runs with it: 69 to 72."""
        return self.status.version

    @property
    def head(self) -> int:
        """The number of its newest block, by its latest word."""
        return self.range.latest

    @property
    def conduct(self) -> ConductReport:
        """Where its conduct is reported."""
        return self._channel.conduct

    # Blocks

    async def headers(
        self,
        start: int | bytes,
        count: int,
        *,
        skip: int = 0,
        reverse: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109  (it is counted in the peer's conduct)
    ) -> tuple[Header, ...]:
        """Ask for `count` headers from the block `start` on, its number or its hash, `skip` blocks apart (eth, 0x03).

        Returns those that the peer has, from the first on; it serves 1,024 at once or some 2 MiB. They have the numbers that were asked
        for, and neighbours are linked by their hashes; with a `skip` only the first is bound to `start`. Whether the chain is the right
        one, the caller knows by a hash that it trusts.
        """
        answer = await self._channel.request(GetBlockHeaders(start, count, skip, reverse), timeout=timeout)
        async with self._proving():
            answers.require_few(len(answer.headers), count, "headers")
            raws = tuple(answer.headers.encodings())
            headers = await answers.headers_of(raws, start, count, skip=skip, reverse=reverse)
        self._brought(sum(map(len, raws)), f"{len(headers)} headers")
        return headers

    async def bodies(
        self,
        headers: Sequence[Header],
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> tuple[Body | None, ...]:
        """Ask for the bodies of blocks, given by their headers (eth, 0x05); they have the roots that the headers say."""
        if not headers:
            return ()
        asked = _asked(headers)
        answer = await self._channel.request(GetBlockBodies(_hashes(asked)), timeout=timeout)
        async with self._proving():
            answers.require_few(len(answer.bodies), len(asked), "bodies")
            raws = tuple(answer.bodies.encodings())
            bodies = await answers.bodies_of(raws, asked)
        self._brought(sum(map(len, raws)), f"{len(raws)} bodies")
        return _placed(bodies, headers)

    async def receipts(
        self,
        headers: Sequence[Header],
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> tuple[tuple[bytes, ...] | None, ...]:
        """Ask for the receipts of blocks, given by their headers (eth, 0x0f); each in RLP, as `Receipt.decode` takes it.

        They have the root that the header says. From eth/70 on a large block comes in several answers, which are asked for one after
        another, each within `timeout`, and all within four times that.
        """
        if not headers:
            return ()
        asked = _asked(headers)
        receipts = await (self._receipts69(asked, timeout) if self.version < 70 else self._receipts_in_parts(asked, timeout))
        return _placed(receipts, headers)

    async def _receipts69(self, headers: Sequence[Header], timeout: float | None) -> Sequence[tuple[bytes, ...] | None]:  # noqa: ASYNC109
        answer = await self._channel.request(GetReceipts69(_hashes(headers)), timeout=timeout)
        async with self._proving():
            answers.require_few(len(answer.receipts), len(headers), "lists of receipts")
            raws = tuple(answer.receipts.encodings())
            receipts = await answers.receipts_of(raws, headers)
        self._brought(sum(map(len, raws)), f"receipts of {len(raws)} blocks")
        return receipts

    async def _receipts_in_parts(self, headers: Sequence[Header], timeout: float | None) -> Sequence[tuple[bytes, ...]]:  # noqa: ASYNC109
        parts = ReceiptsInParts(headers)
        each = self._timeout if timeout is None else timeout
        deadline = trio.current_time() + PATIENCE * each
        for _ in range(MOST_PARTS):
            left = max(0.0, deadline - trio.current_time())
            answer = await self._channel.request(GetReceipts(parts.first, _hashes(parts.missing)), timeout=min(each, left))
            async with self._proving():
                answers.require_few(len(answer.receipts), len(parts.missing), "lists of receipts")
                if not await parts.add(tuple(answer.receipts.encodings()), incomplete=answer.incomplete):
                    break
        else:
            if not parts.found:
                async with self._proving():
                    raise InvalidAnswer(f"receipts of a block came in more than {MOST_PARTS} parts")
        self._brought(parts.size, f"receipts of {len(parts.found)} blocks")
        return parts.found

    async def access_lists(
        self,
        headers: Sequence[Header],
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> tuple[bytes | None, ...]:
        """From eth/71 on, ask for the access lists of blocks, given by their headers (eth, 0x12); in RLP, each with the header's hash."""
        if not headers:
            return ()
        self._require(71, "access lists")
        asked = _asked(headers)
        answer = await self._channel.request(GetBlockAccessLists(_hashes(asked)), timeout=timeout)
        async with self._proving():
            answers.require_few(len(answer.access_lists), len(asked), "access lists")
            found = await answers.access_lists_of(tuple(answer.access_lists.encodings()), asked)
        brought = [raw for raw in found if raw is not None]
        self._brought(sum(map(len, brought)), f"{len(brought)} access lists")
        return _placed(found, headers)

    # Pending transactions

    async def transactions(
        self,
        hashes: Sequence[bytes],
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> tuple[Transaction | None, ...]:
        """Ask for pending transactions by their hashes (eth, 0x09). From eth/72 on those with blobs come without them: see `cells`."""
        if not hashes:
            return ()
        raws = await self.fetch_transactions(hashes, timeout=timeout)
        async with self._proving():
            transactions = await answers.transactions_of(raws, hashes)
        self._brought(sum(map(len, raws)), f"{len(raws)} transactions")
        return transactions

    async def cells(
        self,
        hashes: Sequence[bytes],
        columns: int,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> CellGroups:
        """From eth/72 on, ask for cells of pending blob transactions (eth, 0x14). Only KZG can prove them, which is the caller's to do.

        Bit i of `columns` stands for the cells at index i. Returns the hashes of the transactions that the peer has cells of, for each of
        them its cells, by rising index and each of every blob, and the columns that came.
        """
        found, groups, came = await self.fetch_cells(hashes, columns, timeout=timeout)
        async with self._proving():
            answers.check_cells(found, groups, came, hashes, columns)
        return found, groups, came

    # As a pool sees it: `pool.PoolPeer`

    async def send_transactions(self, items: Sequence[bytes]) -> None:
        """Send whole transactions (eth, 0x02), each as it stands in a list."""
        await self._channel.send(Transactions(tuple(items)))

    async def announce(self, types: bytes, sizes: Sequence[int], hashes: Sequence[bytes], cells: int) -> None:
        """Announce transactions (eth, 0x08); `cells` goes out in eth/72 only."""
        if self.version < 72:
            await self._channel.send(NewPooledTransactionHashes71(types, Lazy(sizes), Lazy(hashes)))
        else:
            await self._channel.send(NewPooledTransactionHashes(types, Lazy(sizes), Lazy(hashes), bitmap_of(cells)))

    async def fetch_transactions(
        self,
        hashes: Sequence[bytes],
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Sequence[bytes]:
        """Ask for transactions (eth, 0x09) and return the items as they came: no more than were asked for, and nothing else is checked."""
        answer = await self._channel.request(GetPooledTransactions(Lazy(hashes)), timeout=timeout)
        async with self._proving():
            answers.require_few(len(answer.transactions), len(hashes), "transactions")
        return tuple(answer.transactions.encodings())

    async def fetch_cells(
        self,
        hashes: Sequence[bytes],
        columns: int,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> CellGroups:
        """Ask for cells (eth, 0x14) and return the answer as it came, with as many groups as were asked for at most."""
        self._require(72, "cells")
        answer = await self._channel.request(GetCells(Lazy(hashes), bitmap_of(columns)), timeout=timeout)
        async with self._proving():
            answers.require_few(max(len(answer.hashes), len(answer.groups)), len(hashes), "groups of cells")
            try:
                return answer.hashes[:], [group[:] for group in answer.groups], columns_of(answer.cells)
            except DecodingError as error:  # the lists decode what they hold when it is asked for
                raise InvalidAnswer(f"cells that are none: {error}") from None

    # What the session calls

    def update(self, message: BlockRangeUpdate) -> None:
        """Its blocks are now others."""
        self.range = BlockRange(message.earliest, message.latest, message.latest_hash)

    def _require(self, version: int, what: str) -> None:
        if self.version < version:
            raise LocalProtocolError(f"{self!r} cannot be asked for {what}: eth/{version} brought them")

    def _brought(self, size: int, what: str) -> None:
        if size:
            self.conduct.useful(size / UNIT, f"brought {what}")

    @asynccontextmanager
    async def _proving(self) -> AsyncGenerator[None]:
        """Check an answer, after those that came before it, and let the peer go if it lies.

        If the checks took turns, all would be done at about the same time, and only then would the next requests go out. So the first is
        done first, and the peer works on the next request while the others are checked.
        """
        async with self._order:
            try:
                yield
            except InvalidAnswer as error:
                self.conduct.invalid(4, str(error))
                self.peer.disconnect(error.reason, str(error))
                raise

    def __repr__(self) -> str:
        return f"<EthPeer {self.peer.id.hex()[:16]}… eth/{self.version}>"


def _asked(headers: Sequence[Header]) -> Sequence[Header]:
    """The blocks of one request; LocalProtocolError for anything but headers, such as hashes, by which no answer could be proved."""
    wrong = "one" if _is_header(headers) else next((type(one).__name__ for one in headers[:MOST_ASKED] if not _is_header(one)), None)
    if wrong is not None:
        raise LocalProtocolError(f"blocks are asked for by their headers, which prove the answers: give a list of Header, not {wrong}")
    return headers[:MOST_ASKED]


def _is_header(value: object) -> bool:
    return isinstance(value, Header)


def _hashes(headers: Sequence[Header]) -> Lazy[bytes]:
    return Lazy([header.hash for header in headers])


def _placed(found: Sequence[T | None], headers: Sequence[Header]) -> tuple[T | None, ...]:
    """Say of the blocks behind those that were asked for, or came, that nothing was brought."""
    return (*found, *[None] * (len(headers) - len(found)))
