"""Answers that are not what was asked for: each kind of lie is found, rated and ends the session, and nothing of it is returned.

Every lie has its honest counterpart, which must pass: a check that refuses everything would find all lies.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import trio
import trio.lowlevel

from devp2p import DisconnectReason, PeerDisconnected, rlp
from devp2p.capabilities.eth import Eth, EthPeer, InvalidAnswer, eth
from devp2p.capabilities.eth.greeting import status_of
from devp2p.capabilities.eth.messages import (
    MISSING,
    BlockAccessLists,
    BlockBodies,
    BlockHeaders,
    Cells,
    GetBlockHeaders,
    PooledTransactions,
    Receipts,
    Receipts69,
    bitmap_of,
)
from devp2p.capabilities.eth.peer import MOST_PARTS
from devp2p.capabilities.ethereum.blocks import Body, Transaction
from devp2p.rlp import Lazy
from devp2p.testing import scripted_peer
from tests.capabilities.memory_chain import KEY, MemoryChain

CHAIN = MemoryChain()
OTHER = MemoryChain(name=b"another chain")
HEADERS = CHAIN.chain[:]
RAWS = [header.raw for header in HEADERS]
TRANSACTIONS = [Transaction(type=2, chain_id=1, nonce=nonce, to=bytes(20)).signed(KEY) for nonce in range(3)]
HASHES = [one.hash for one in TRANSACTIONS]
ITEMS = [one.item for one in TRANSACTIONS]
CELL, COLUMNS = bytes(2048), 0b101


def body(number: int, chain: MemoryChain = CHAIN) -> bytes:
    return chain.body_of(number)


def receipts(number: int, first: int = 0, last: int | None = None) -> bytes:
    return rlp.encode_list(b"".join(CHAIN.receipts_of(number)[first:last]))


def lazy(*items: bytes) -> Lazy[bytes]:
    return Lazy(items)


@dataclass
class Case:
    ask: Callable[[EthPeer], Awaitable[object]]
    answers: list[Any]
    """What the peer answers, one after the other; with request ids that the script replaces."""
    why: str = ""
    """What the error says; nothing if the answer is honest."""
    version: int = 72


def headers_case(items: Sequence[bytes], why: str = "", start: int | bytes = 3, count: int = 3, **options: object) -> Case:
    return Case(lambda peer: peer.headers(start, count, **options), [BlockHeaders(0, lazy(*items))], why)  # type: ignore[arg-type]


def bodies_case(items: Sequence[bytes], why: str = "") -> Case:
    return Case(lambda peer: peer.bodies(HEADERS[1:4]), [BlockBodies(0, lazy(*items))], why)


def receipts_case(*answers: tuple[Sequence[bytes], bool], why: str = "") -> Case:
    parts: list[Any] = [Receipts(0, incomplete, lazy(*lists)) for lists, incomplete in answers]
    return Case(lambda peer: peer.receipts(HEADERS[1:4]), parts, why)


def receipts69_case(lists: Sequence[bytes], why: str = "") -> Case:
    return Case(lambda peer: peer.receipts(HEADERS[1:4]), [Receipts69(0, lazy(*lists))], why, version=69)


def access_lists_case(items: Sequence[bytes], why: str = "") -> Case:
    return Case(lambda peer: peer.access_lists(HEADERS[8:13]), [BlockAccessLists(0, lazy(*items))], why)


def transactions_case(items: Sequence[bytes], why: str = "") -> Case:
    return Case(lambda peer: peer.transactions(HASHES), [PooledTransactions(0, lazy(*items))], why)


def cells_case(hashes: Sequence[bytes], groups: Sequence[Sequence[bytes]], columns: int = COLUMNS, why: str = "") -> Case:
    answer = Cells(0, Lazy(hashes), Lazy([Lazy(group) for group in groups]), bitmap_of(columns))
    return Case(lambda peer: peer.cells(HASHES, COLUMNS), [answer], why)


UNLINKED = replace(HEADERS[4], parent_hash=bytes(32)).raw
GREEDY = replace(HEADERS[3], gas_used=2**41).raw
BALS = [CHAIN.access_list_of(number) for number in range(10, 13)]

FIRST = Body.decode(body(1))

HONEST = {
    "headers": headers_case(RAWS[3:6]),
    "fewer headers": headers_case(RAWS[3:4]),
    "no headers": headers_case([]),
    "headers by hash": headers_case(RAWS[3:6], start=HEADERS[3].hash),
    "headers backwards": headers_case(RAWS[3:0:-1], reverse=True),
    "headers with a skip": headers_case(RAWS[3:8:2], skip=1),
    "bodies": bodies_case([body(1), body(2), body(3)]),
    "no bodies": bodies_case([]),
    "bodies with a gap": bodies_case([body(1), body(3)]),
    "the last body alone": bodies_case([body(3)]),
    "the last body alone, of blocks without transactions": Case(
        lambda peer: peer.bodies(HEADERS[4:13:4]), [BlockBodies(0, lazy(body(12)))]
    ),
    "receipts": receipts_case(([receipts(1), receipts(2), receipts(3)], False)),
    "fewer receipts": receipts_case(([receipts(1)], False)),
    "no receipts": receipts_case(([], False)),
    "receipts in parts": receipts_case(([receipts(1), receipts(2, 0, 1)], True), ([receipts(2, 1), receipts(3)], False)),
    "one block in three parts": receipts_case(
        ([receipts(1), receipts(2), receipts(3, 0, 1)], True), ([receipts(3, 1, 2)], True), ([receipts(3, 2)], False)
    ),
    "a part, and no more": receipts_case(([receipts(1), receipts(2, 0, 1)], True), ([], False)),
    "receipts of eth/69": receipts69_case([receipts(1), receipts(2), receipts(3)]),
    "receipts of eth/69 with a gap": receipts69_case([receipts(1), receipts(3)]),
    "access lists": access_lists_case([MISSING, MISSING, *BALS]),
    "fewer access lists": access_lists_case([MISSING, MISSING, BALS[0]]),
    "no access lists": access_lists_case([]),
    "transactions": transactions_case(ITEMS),
    "transactions with a gap": transactions_case([ITEMS[0], ITEMS[2]]),
    "no transactions": transactions_case([]),
    "cells": cells_case(HASHES, [[CELL] * 2, [CELL] * 4, [CELL] * 12]),
    "cells of fewer columns": cells_case(HASHES[1:], [[CELL], [CELL] * 6], columns=1),
    "no cells": cells_case([], [], columns=COLUMNS),
}
LIES = {
    "more headers than were asked for": headers_case(RAWS[3:7], "4 headers came, and 3 were asked for"),
    "headers of other blocks": headers_case(RAWS[4:7], "the first header is that of block 4"),
    "a header with another hash": headers_case([OTHER.chain[3].raw], "not the one that was asked for", start=HEADERS[3].hash),
    "a gap in the headers": headers_case([RAWS[3], RAWS[5]], "block 5, where 4 belongs"),
    "headers in the other direction": headers_case(RAWS[3:0:-1], "block 2, where 4 belongs"),
    "headers without their skip": headers_case(RAWS[3:6], "block 4, where 5 belongs", skip=1),
    "headers that are not linked": headers_case([RAWS[3], UNLINKED], "header 1 is not linked to the one before"),
    "headers of another chain": headers_case([RAWS[3], OTHER.chain[4].raw], "header 1 is not linked"),
    "a header that used more gas than it has": headers_case([GREEDY], "gas"),
    "a header that is none": headers_case([rlp.encode([1, 2])], "a header that is none"),
    "a string for a header": headers_case([rlp.encode(b"header")], "a header that is none"),
    "more bodies than were asked for": bodies_case([body(1), body(2), body(3), body(4)], "4 bodies came, and 3"),
    "a body of no block that was asked for": bodies_case([body(5)], "not that of block 1, nor of one behind it"),
    "bodies in another order": bodies_case([body(2), body(1)], "not that of block 3, nor of one behind it"),
    "a body twice": bodies_case([body(3), body(3)], "in another order"),
    "a body without a transaction": bodies_case(
        [Body(Body.decode(body(3)).transactions[:2], (), Body.decode(body(3)).withdrawals).raw], "root"
    ),
    "a body without its withdrawals": bodies_case([Body(Body.decode(body(1)).transactions).raw], "withdrawals"),
    "a body with other withdrawals": bodies_case([Body(Body.decode(body(1)).transactions, (), (b"\xc0",)).raw], "withdrawals"),
    "a body with ommers": bodies_case(
        [Body(Body.decode(body(1)).transactions, (RAWS[0],), Body.decode(body(1)).withdrawals).raw], "ommers"
    ),
    "a body that is none": bodies_case([b"\x80"], "a body that is none"),
    "a body that ends too early": bodies_case([rlp.encode([[]])], "a body that is none"),
    "receipts of more blocks": receipts_case(([b"\xc0"] * 4, False), why="4 lists of receipts came, and 3"),
    "receipts of another block": receipts_case(([receipts(2)], False), why="not those of block 1"),
    "receipts with one missing": receipts_case(([receipts(1), receipts(2, 1)], False), why="not those of block 2"),
    "a part of nothing": receipts_case(([], True), why="no receipts came, marked as incomplete"),
    "a part that does not go on": receipts_case(
        ([receipts(1), receipts(2, 0, 1)], True), ([b"\xc0"], True), why="no further receipt of block 2 came"
    ),
    "parts that do not fit": receipts_case(([receipts(1), receipts(2, 0, 1)], True), ([receipts(2)], False), why="not those of block 2"),
    "a list that is none": receipts_case(([b"\x80"], False), why="a list of receipts that is none"),
    "receipts that are none": receipts_case(([rlp.encode([b"receipt"])], False), why="not those of block 1"),
    "larger receipts than the gas allows": receipts_case(
        ([receipts(1), rlp.encode([bytes(2**14)] * 2)], True),
        ([rlp.encode([bytes(2**13)])], True),
        why="larger receipts than block 2 has gas for",
    ),
    "more receipts than the gas allows": receipts_case(
        ([receipts(1), rlp.encode([b""] * 50)], True), ([rlp.encode([b""] * 20)], True), why="more receipts than block 2 has gas for"
    ),
    "receipts of eth/69 in another order": receipts69_case([receipts(2), receipts(1)], "not that of block 3, nor of one behind it"),
    "receipts of eth/69 of another block": receipts69_case([receipts(5), receipts(3), receipts(1)], "a list of receipts"),
    "more access lists": access_lists_case([MISSING] * 6, "6 access lists came, and 5"),
    "an access list before there are any": access_lists_case([b"\xc0"], "not that of block 8"),
    "another block's access list": access_lists_case([MISSING, MISSING, BALS[1]], "not that of block 10"),
    "an empty access list": access_lists_case([MISSING, MISSING, b"\xc0"], "not that of block 10"),
    "more transactions": transactions_case([*ITEMS, ITEMS[0]], "4 transactions came, and 3"),
    "a transaction that nobody asked for": transactions_case(
        [Transaction(type=2, chain_id=1, nonce=9, to=bytes(20)).signed(KEY).item], "was not asked for"
    ),
    "transactions in another order": transactions_case([ITEMS[1], ITEMS[0]], "in another order"),
    "a transaction twice": transactions_case([ITEMS[1], ITEMS[1]], "in another order"),
    "a transaction of an unknown type": transactions_case([rlp.encode(b"\x7e\xc0")], "a transaction that is none"),
    "cells of a column that nobody asked for": cells_case(HASHES[:1], [[CELL] * 3], 0b111, "columns that were not asked for"),
    "cells of a transaction that nobody asked for": cells_case([bytes(32)], [[CELL] * 2], why="were not asked for"),
    "cells in another order": cells_case([HASHES[1], HASHES[0]], [[CELL] * 2] * 2, why="in another order"),
    "cells of half a blob": cells_case(HASHES[:1], [[CELL] * 3], why="3 cells of transaction"),
    "a group without cells": cells_case(HASHES[:1], [[]], why="0 cells of transaction"),
    "cells that are none": Case(
        lambda peer: peer.cells(HASHES, COLUMNS),
        [Cells(0, Lazy(HASHES[:1]), Lazy([Lazy.encoded([rlp.encode(CELL[1:])] * 2)]), bitmap_of(COLUMNS))],
        "cells that are none",
    ),
    "cells of no columns": cells_case(HASHES[:1], [[CELL]], 0, why="for 0 columns"),
    "fewer groups than hashes": cells_case(HASHES[:2], [[CELL] * 2], why="cells of 1 transactions came with 2 hashes"),
    "more cells than hashes were asked for": cells_case([*HASHES, bytes(32)], [[CELL] * 2] * 4, why="4 groups of cells came, and 3"),
}


@asynccontextmanager
async def script(version: int):
    async with scripted_peer(eth(CHAIN, versions=[version])) as (node, peer):
        await peer.send_message(status_of(CHAIN, version))
        await peer.receive_message()
        yield node, peer, await node.connected[0].ready(Eth)


async def play(case: Case, peer) -> None:
    for answer in case.answers:
        request = await peer.receive_message()
        await peer.send_message(replace(answer, request_id=request.request_id))


@pytest.mark.parametrize("name", HONEST)
async def test_an_honest_answer_is_returned(name):
    case = HONEST[name]
    async with script(case.version) as (node, peer, handle), trio.open_nursery() as nursery:
        nursery.start_soon(play, case, peer)
        await case.ask(handle)
        conduct = node.connected[0].conduct(Eth)
        assert conduct.invalid == 0
        assert (conduct.useful > 0) is (not name.startswith("no ") and "cells" not in name)
        assert not node.connected[0].ended


@pytest.mark.parametrize("name", LIES)
async def test_a_lie_is_found_rated_and_ends_the_session(name):
    case = LIES[name]
    async with script(case.version) as (node, peer, handle), trio.open_nursery() as nursery:
        connected = node.connected[0]
        nursery.start_soon(play, case, peer)
        with pytest.raises(InvalidAnswer, match=case.why):
            await case.ask(handle)
        end = await connected.wait_ended()
        assert end.reason == DisconnectReason.PROTOCOL_BREACH
        assert case.why in end.detail
        assert connected.conduct(Eth).invalid == 4
        assert connected.conduct(Eth).useful == 0
        with pytest.raises(PeerDisconnected):
            await case.ask(handle)


@pytest.mark.parametrize("answer", [BlockHeaders(1, lazy(RAWS[0])), BlockBodies(1, lazy()), Receipts(1, incomplete=False, receipts=lazy())])
async def test_an_answer_that_nobody_waits_for_ends_the_session(answer):
    async with script(72) as (node, peer, _):
        connected = node.connected[0]
        await peer.send_message(answer)
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        assert "request 1, for which nobody waits" in (await connected.wait_ended()).detail


async def test_an_answer_of_another_kind_ends_the_session():
    async with script(72) as (node, peer, handle), trio.open_nursery() as nursery:
        connected = node.connected[0]
        nursery.start_soon(play, bodies_case([]), peer)
        with pytest.raises(PeerDisconnected, match="wants a BlockHeaders, not a BlockBodies"):
            await handle.headers(0, 1)
        assert (await connected.wait_ended()).reason == DisconnectReason.PROTOCOL_BREACH


async def test_a_peer_that_answers_late_is_asked_no_longer_and_may_still_answer():
    async with script(72) as (node, peer, handle):
        with pytest.raises(trio.TooSlowError):
            await handle.headers(0, 1, timeout=3)
        request = await peer.receive_message()
        assert isinstance(request, GetBlockHeaders)
        await peer.send_message(BlockHeaders(request.request_id, lazy(RAWS[0])))
        await peer.ping()
        while (await peer.receive())[0] != 0x03:
            pass
        assert node.connected[0].conduct(Eth).timeouts == 1
        assert not node.connected[0].ended


async def test_receipts_do_not_come_in_drops_for_ever():
    async with script(72) as (_, peer, handle), trio.open_nursery() as nursery:

        async def drip() -> None:
            for _ in range(MOST_PARTS):
                request = await peer.receive_message()
                await peer.send_message(Receipts(request.request_id, incomplete=True, receipts=lazy(rlp.encode([b""]))))

        nursery.start_soon(drip)
        with pytest.raises(InvalidAnswer, match="more than 32 parts"):
            await handle.receipts(MemoryChain(1, gas=2**24).chain[1:])


async def test_receipts_of_many_blocks_that_each_answer_cuts_are_no_lie():
    chain = MemoryChain(80)
    headers = [header for header in chain.chain if header.number % 4 > 1]
    own = [chain.receipts_of(header.number) for header in headers]
    async with script(72) as (node, peer, handle), trio.open_nursery() as nursery:

        async def cut() -> None:
            for at in range(MOST_PARTS):
                request = await peer.receive_message()
                assert (request.first, len(request.hashes)) == (int(at > 0), len(headers) - at)
                lists = own[at][request.first :], own[at + 1][:1]
                answer = Receipts(request.request_id, incomplete=True, receipts=lazy(*(rlp.encode_list(b"".join(each)) for each in lists)))
                await peer.send_message(answer)

        nursery.start_soon(cut)
        found = await handle.receipts(headers)
        assert list(found) == [*map(tuple, own[:MOST_PARTS]), *[None] * (len(headers) - MOST_PARTS)]
        assert node.connected[0].conduct(Eth).invalid == 0


async def test_receipts_that_come_drop_by_drop_are_waited_for_no_longer_than_four_answers():
    async with script(72) as (node, peer, handle), trio.open_nursery() as nursery:

        async def drip() -> None:
            while True:
                request = await peer.receive_message()
                await trio.sleep(9)
                await peer.ping()
                await peer.send_message(Receipts(request.request_id, incomplete=True, receipts=lazy(rlp.encode([b""]))))

        nursery.start_soon(drip)
        started = trio.current_time()
        with pytest.raises(trio.TooSlowError):
            await handle.receipts(MemoryChain(1, gas=2**24).chain[1:], timeout=10)
        assert trio.current_time() - started == pytest.approx(40)
        assert node.connected[0].conduct(Eth).timeouts == 1
        nursery.cancel_scope.cancel()
