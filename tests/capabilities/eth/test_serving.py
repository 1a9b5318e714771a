"""What peers get that ask for odd numbers, for too much, or too fast; and how a pool hears of its messages."""

from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from devp2p import DisconnectReason, RemoteProtocolError, rlp
from devp2p.capabilities.eth import Eth, Pool, PoolPeer, eth
from devp2p.capabilities.eth.greeting import status_of
from devp2p.capabilities.eth.messages import (
    MISSING,
    BlockAccessLists,
    BlockBodies,
    BlockHeaders,
    Cells,
    GetBlockAccessLists,
    GetBlockBodies,
    GetBlockHeaders,
    GetCells,
    GetPooledTransactions,
    GetReceipts,
    GetReceipts69,
    NewPooledTransactionHashes,
    NewPooledTransactionHashes71,
    PooledTransactions,
    Receipts,
    Receipts69,
    Transactions,
    bitmap_of,
)
from devp2p.capabilities.eth.pool import CellGroups
from devp2p.capabilities.eth.serving import HARD_LIMIT, MOST_ITEMS, SOFT_LIMIT, WAITING, part_of
from devp2p.rlp import Lazy
from devp2p.testing import scripted_peer
from tests.capabilities.memory_chain import MemoryChain

CHAIN = MemoryChain()
HASHES = [header.hash for header in CHAIN.chain]
MOST = 2**64 - 1


@asynccontextmanager
async def script(chain: MemoryChain = CHAIN, version: int = 72, pool: Pool | None = None):
    async with scripted_peer(eth(chain, pool=pool, versions=[version])) as (node, peer):
        await peer.send_message(status_of(chain, version))
        await peer.receive_message()
        yield node, peer


@pytest.mark.parametrize(
    ("request_", "numbers"),
    [
        (GetBlockHeaders(3, 0, request_id=0), []),
        (GetBlockHeaders(3, MOST, request_id=0), range(3, 21)),
        (GetBlockHeaders(3, MOST, reverse=True, request_id=0), range(3, -1, -1)),
        (GetBlockHeaders(3, 5, MOST, request_id=0), [3]),
        (GetBlockHeaders(3, 5, MOST, reverse=True, request_id=0), [3]),
        (GetBlockHeaders(3, 5, MOST - 3, request_id=0), [3]),  # 3 + skip + 1 is 2**64
        (GetBlockHeaders(MOST, 5, request_id=0), []),
        (GetBlockHeaders(MOST, 5, reverse=True, request_id=0), []),
        (GetBlockHeaders(21, 1, request_id=0), []),
        (GetBlockHeaders(20, 5, 19, reverse=True, request_id=0), [20, 0]),
        (GetBlockHeaders(0, 5, 19, request_id=0), [0, 20]),
        (GetBlockHeaders(HASHES[4], 5, 7, request_id=0), [4, 12, 20]),
        (GetBlockHeaders(bytes(32), MOST, MOST, request_id=0), []),
    ],
)
async def test_headers_by_odd_numbers(request_, numbers):
    async with script() as (_, peer):
        await peer.send_message(request_)
        assert await peer.receive_message() == BlockHeaders(0, Lazy([CHAIN.chain[number].raw for number in numbers]))


async def test_two_requests_of_one_id_get_two_answers():
    async with script() as (_, peer):
        for number in (1, 5):
            await peer.send_message(GetBlockHeaders(number, 1, request_id=7))
        answers = [await peer.receive_message() for _ in range(2)]
        assert sorted(list(answer.headers) for answer in answers) == sorted([[CHAIN.chain[1].raw], [CHAIN.chain[5].raw]])


async def test_access_lists_stand_in_their_places():
    async with script() as (_, peer):
        wanted = [HASHES[12], bytes(32), HASHES[3], HASHES[12]]
        await peer.send_message(GetBlockAccessLists(Lazy(wanted), request_id=3))
        bal = CHAIN.access_list_of(12)
        assert await peer.receive_message() == BlockAccessLists(3, Lazy([bal, MISSING, MISSING, bal]))
        await peer.send_message(GetBlockAccessLists(Lazy(), request_id=4))
        assert await peer.receive_message() == BlockAccessLists(4, Lazy())


async def test_receipts_from_an_index_on():
    async with script() as (_, peer):
        await peer.send_message(GetReceipts(1, Lazy(HASHES[3:5]), request_id=3))
        lists = Lazy([rlp.encode_list(b"".join(CHAIN.receipts_of(3)[1:])), b"\xc0"])
        assert await peer.receive_message() == Receipts(3, incomplete=False, receipts=lists)
        await peer.send_message(GetReceipts(MOST, Lazy(HASHES[3:4]), request_id=3))
        assert await peer.receive_message() == Receipts(3, incomplete=False, receipts=Lazy([b"\xc0"]))


async def test_receipts_of_eth_69_have_no_index():
    async with script(version=69) as (_, peer):
        await peer.send_message(GetReceipts69(Lazy(HASHES[1:2]), request_id=3))
        assert await peer.receive_message() == Receipts69(3, Lazy([rlp.encode_list(b"".join(CHAIN.receipts_of(1)))]))


SMALL, MIDDLE, LARGE = (rlp.encode([bytes(size)]) for size in (30_000, 40_000, HARD_LIMIT))


class Generous(MemoryChain):
    """A chain that heeds no limit."""

    async def headers(self, start, count, *, skip, reverse, size):  # noqa: ARG002
        assert count <= MOST_ITEMS
        return [MIDDLE] * count

    async def bodies(self, hashes, *, size):  # noqa: ARG002
        self.asked.append("bodies")
        assert len(hashes) <= MOST_ITEMS
        return [SMALL] * len(hashes)

    async def access_lists(self, hashes, *, size):  # noqa: ARG002
        assert len(hashes) <= MOST_ITEMS
        return [LARGE] * len(hashes)


async def test_no_answer_goes_beyond_the_limits_whatever_the_chain_says():
    async with script(Generous()) as (_, peer):
        await peer.send_message(GetBlockHeaders(0, 5000, request_id=1))
        headers = await peer.receive_message()
        assert SOFT_LIMIT <= sum(map(len, headers.headers)) < SOFT_LIMIT + 50_000
        await peer.send_message(GetBlockBodies(Lazy([bytes(32)] * 4000), request_id=1))
        bodies = await peer.receive_message()
        assert SOFT_LIMIT <= sum(map(len, bodies.bodies)) < SOFT_LIMIT + 40_000
        await peer.send_message(GetBlockAccessLists(Lazy([bytes(32)] * 4000), request_id=1))
        assert await peer.receive_message() == BlockAccessLists(1, Lazy())


async def test_for_a_peer_that_takes_nothing_few_answers_are_made():
    chain = Generous()
    async with script(chain) as (_, peer):
        for _ in range(100):
            await peer.send_message(GetBlockBodies(Lazy([bytes(32)] * 100), request_id=1))
        await trio.testing.wait_all_tasks_blocked()
        assert len(chain.asked) <= 6  # of 2 MiB: what the queue of the session holds, one that is encoded, and one beside it


async def test_a_request_of_more_than_its_bound_ends_the_session():
    async with script() as (_, peer):
        await peer.send(0x10 + 0x05, rlp.encode([1, [bytes(32)] * 5000]))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH


async def test_a_flood_of_requests_is_held_in_bounds_and_answered_in_the_end():
    slow = MemoryChain()
    slow.gate = trio.Event()
    async with script(slow) as (node, peer):
        handle = await node.connected[0].ready(Eth)
        for _ in range(WAITING):
            await peer.send_message(GetBlockHeaders(0, 1, request_id=5))
        await peer.ping()
        assert (await peer.receive())[0] == 0x03  # it is still read from
        assert len(slow.asked) == 2
        found = []

        async def ask() -> None:
            found.append(await handle.headers(0, 1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            request = await peer.receive_message()
            await peer.send_message(BlockHeaders(request.request_id, Lazy([CHAIN.chain[0].raw])))
            await trio.testing.wait_all_tasks_blocked()
            assert found == [(CHAIN.chain[0],)]
        slow.gate.set()
        for _ in range(WAITING):
            assert isinstance(await peer.receive_message(), BlockHeaders)


async def test_who_floods_without_end_is_left_and_holds_up_nobody_else():
    slow = MemoryChain()
    slow.gate = trio.Event()
    async with script(slow) as (node, peer):
        connected = node.connected[0]
        handle = await connected.ready(Eth)
        request = rlp.codec(GetBlockBodies).encode(GetBlockBodies(Lazy([bytes(32)] * 1000), request_id=5))

        async def flood() -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while True:
                    await peer.send(0x15, request)
                    await trio.sleep(0.001)  # or the clock would never go on

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            end = await connected.wait_ended()
            slow.gate.set()
            await peer.receive_end()
            nursery.cancel_scope.cancel()
        assert "left" in end.detail
        assert "unread" in end.detail
        assert handle.peer.ended


@pytest.mark.parametrize(
    ("blocks", "first", "counts", "incomplete"),
    [
        ([[6, 6]], 0, [1], True),
        ([[6, 6]], 1, [1], False),
        ([[1, 6, 6]], 0, [2], True),
        ([[12]], 0, [], False),  # it fits into no answer
        ([[1], [12]], 0, [1], False),
        ([[1], [6, 6]], 0, [1, 1], True),
        ([[3], [1]], 0, [1], False),  # beyond the soft limit there is no further block
        ([[9], [9]], 0, [1], False),
        ([[], [], [1]], 0, [0, 0, 1], False),
        ([], 0, [], False),
    ],
)
def test_receipts_are_cut_where_ten_megabytes_end(blocks, first, counts, incomplete):
    made = [[rlp.encode(bytes(size * 900_000)) for size in block] for block in blocks]
    lists, cut = part_of(made, first)
    assert [len(rlp.codec(Lazy[rlp.Raw]).decode(one)) for one in lists] == counts
    assert cut is incomplete
    assert sum(map(len, lists)) <= HARD_LIMIT


class RecordingPool:
    """A pool that keeps what eth gives it."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []
        self.fault = ""
        self.ran = self.cancelled = False

    async def run(self, peer: PoolPeer) -> None:
        self.ran = True
        await peer.announce(b"\x02", [100], [bytes(32)], 7)
        await peer.send_transactions([rlp.encode([1])])
        try:
            await trio.sleep_forever()
        finally:
            self.cancelled = True

    async def received(self, peer: PoolPeer, items: Sequence[bytes]) -> None:
        if self.fault:
            raise RemoteProtocolError(self.fault)
        self.said.append((peer.version, *items))

    async def announced(self, peer: PoolPeer, types: bytes, sizes: Sequence[int], hashes: Sequence[bytes], cells: int) -> None:
        self.said.append((peer.version, types, tuple(sizes), tuple(hashes), cells))

    async def transactions(self, peer: PoolPeer, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        assert (peer.version, size) == (72, SOFT_LIMIT)
        return [rlp.encode([hash_]) for hash_ in hashes]

    async def cells(self, peer: PoolPeer, hashes: Sequence[bytes], columns: int, *, size: int) -> CellGroups:
        assert (peer.version, size) == (72, SOFT_LIMIT)
        return hashes, [[bytes(2048)] * columns.bit_count()] * len(hashes), columns


async def test_a_pool_is_run_and_hears_and_answers():
    pool = RecordingPool()
    async with script(pool=pool) as (_, peer):
        announcement = NewPooledTransactionHashes(b"\x02", Lazy([100]), Lazy([bytes(32)]), bitmap_of(7))
        assert await peer.receive_message() == announcement
        assert await peer.receive_message() == Transactions((rlp.encode([1]),))
        await peer.send_message(Transactions((rlp.encode([2]), rlp.encode(b"\x02abc"))))
        await peer.send_message(announcement)
        await peer.send_message(GetPooledTransactions(Lazy([b"\1" * 32]), request_id=8))
        assert await peer.receive_message() == PooledTransactions(8, Lazy([rlp.encode([b"\1" * 32])]))
        await peer.send_message(GetCells(Lazy([b"\1" * 32]), bitmap_of(5), request_id=9))
        assert await peer.receive_message() == Cells(9, Lazy([b"\1" * 32]), Lazy([Lazy([bytes(2048)] * 2)]), bitmap_of(5))
        assert pool.said == [(72, rlp.encode([2]), rlp.encode(b"\x02abc")), (72, b"\x02", (100,), (bytes(32),), 7)]
    assert pool.ran
    assert pool.cancelled


async def test_before_eth_72_announcements_name_no_cells():
    pool = RecordingPool()
    async with script(version=71, pool=pool) as (_, peer):
        announcement = NewPooledTransactionHashes71(b"\x02", Lazy([100]), Lazy([bytes(32)]))
        assert await peer.receive_message() == announcement
        await peer.send_message(announcement)
        await peer.ping()
        while (await peer.receive())[0] != 0x03:
            pass
        await trio.testing.wait_all_tasks_blocked()
        assert pool.said == [(71, b"\x02", (100,), (bytes(32),), 0)]


async def test_a_fault_that_the_pool_finds_ends_the_session():
    pool = RecordingPool()
    pool.fault = "junk"
    async with script(pool=pool) as (node, peer):
        connected = node.connected[0]
        await peer.send_message(Transactions((rlp.encode([2]),)))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        assert (await connected.wait_ended()).detail == "junk"


async def test_without_a_pool_transactions_are_ignored():
    async with script() as (node, peer):
        await peer.send_message(Transactions((rlp.encode([2]),)))
        await peer.send_message(NewPooledTransactionHashes(b"\x02", Lazy([100]), Lazy([bytes(32)]), bitmap_of(7)))
        await peer.send_message(GetPooledTransactions(Lazy([b"\1" * 32]), request_id=8))
        assert await peer.receive_message() == PooledTransactions(8, Lazy())
        await peer.send_message(GetCells(Lazy([b"\1" * 32]), bitmap_of(5), request_id=9))
        assert await peer.receive_message() == Cells(9, Lazy(), Lazy(), bitmap_of(5))
        assert not node.connected[0].ended


async def test_bodies_that_are_not_here_are_left_out():
    async with script() as (_, peer):
        await peer.send_message(GetBlockBodies(Lazy([HASHES[1], bytes(32), HASHES[2]]), request_id=1))
        assert await peer.receive_message() == BlockBodies(1, Lazy([CHAIN.body_of(1), CHAIN.body_of(2)]))
