"""Pools on nodes: the same over true sessions of eth, in memory."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio

from devp2p import DisconnectReason, Node, PrivateKey, open_node
from devp2p.capabilities.eth import Eth, eth
from devp2p.capabilities.eth.capability import VERSIONS
from devp2p.capabilities.eth.messages import (
    Cells,
    GetCells,
    GetPooledTransactions,
    NewPooledTransactionHashes,
    PooledTransactions,
    Status,
    Transactions,
    bitmap_of,
    columns_of,
)
from devp2p.capabilities.eth.pool import TransactionPool
from devp2p.capabilities.eth.pool.columns import ALL
from devp2p.capabilities.ethereum.blocks import Transaction
from devp2p.rlp import Lazy
from devp2p.testing import MemoryTransport, ScriptedPeer, scripted_peer
from tests.capabilities.pool.seals import Seals, blob_transaction, cells_answer
from tests.capabilities.pool.test_blobs import SAMPLE
from tests.capabilities.pool.worlds import LittleChain, announcement, pool_of, transfer


def side_of(pool: TransactionPool, chain: LittleChain, versions: Sequence[int] = (69, 70, 71, 72)) -> tuple[Eth, ...]:
    return eth(chain, pool=pool, versions=versions)


@asynccontextmanager
async def nodes_of(count: int, **options: Any) -> AsyncGenerator[tuple[list[Node], list[TransactionPool]]]:
    """Nodes with a pool each, all connected to all."""
    transport, chain = MemoryTransport(), LittleChain()
    pools = [pool_of(chain, prover=Seals(), seed=seed) for seed in range(count)]
    async with AsyncExitStack() as stack:
        nodes = list[Node]()
        for number, pool in enumerate(pools):
            node = open_node(
                PrivateKey.generate(), side_of(pool, chain, **options), listen=[f"memory://{number}"], transports=[transport], strict=True
            )
            nodes.append(await stack.enter_async_context(node))
            for other in nodes[:-1]:
                peer = await nodes[-1].connect(other.record)
                await peer.ready(Eth)
        yield nodes, pools


@pytest.mark.parametrize("versions", [(69,), (72,)])
async def test_nodes_tell_each_other_of_transactions(versions: tuple[int, ...]) -> None:
    async with nodes_of(4, versions=versions) as (nodes, pools):
        transactions = [transfer(sender, nonce) for sender in range(3) for nonce in range(3)]
        for each in transactions:
            await pools[0].add(each)
        await trio.sleep(5)
        assert [len(pool) for pool in pools] == [9] * 4
        faults = [peer.conduct(Eth).invalid for node in nodes for peer in node.connected]
        assert faults == [0] * 12
        assert sum(peer.conduct(Eth).useful > 0 for node in nodes for peer in node.connected) >= 3


async def test_nodes_exchange_cells_and_blobs() -> None:
    async with nodes_of(4) as (_, pools):
        transaction = blob_transaction(count=2)
        pools[3].set_custody(SAMPLE)
        await pools[0].add(transaction)
        await trio.sleep(20)
        assert all(transaction.hash in pool for pool in pools)
        assert pools[2].get(transaction.hash) == transaction


class Played:
    """The other end of a session of eth/72, which has said Status."""

    def __init__(self, peer: ScriptedPeer) -> None:
        self.peer = peer

    async def until(self, kind: type[Any]) -> Any:
        """Receive messages until one is of a kind."""
        while True:
            message = await self.peer.receive_message()
            if isinstance(message, kind):
                return message

    async def until_pong(self) -> None:
        """Receive until a Pong comes."""
        while (await self.peer.receive())[0] != 0x03:
            pass

    async def announce(self, *transactions: Transaction, sizes: Sequence[int] | None = None, types: bytes | None = None) -> None:
        kinds, true, hashes, _ = announcement(*transactions)
        message = NewPooledTransactionHashes(types or kinds, Lazy(sizes or true), Lazy(hashes), bitmap_of(ALL))
        await self.peer.send_message(message)

    async def answer(self, *transactions: Transaction) -> None:
        asked = await self.until(GetPooledTransactions)
        raws = [each.raw for each in transactions]
        await self.peer.send_message(PooledTransactions(asked.request_id, Lazy.encoded(raws)))


@asynccontextmanager
async def played() -> AsyncGenerator[tuple[TransactionPool, Played]]:
    chain = LittleChain()
    pool = pool_of(chain, prover=Seals())
    async with scripted_peer(side_of(pool, chain), offers=[VERSIONS[72](side_of(pool, chain)[0].side)]) as (_, peer):
        status = await peer.receive_message()
        assert isinstance(status, Status)
        await peer.send_message(status)
        yield pool, Played(peer)


@pytest.mark.parametrize("lie", ["size", "type", "unasked", "sidecar", "unknown type"])
async def test_a_lie_ends_the_session_with_a_breach(lie: str) -> None:
    async with played() as (pool, play):
        transaction = blob_transaction().elided() if lie == "sidecar" else transfer()
        if lie == "unknown type":
            await play.peer.send_message(Transactions((b"\x84\x09\xc2\x01\x02",)))
        else:
            await play.announce(
                transaction, sizes=[transaction.size + 10] if lie == "size" else None, types=b"\x01" if lie == "type" else None
            )
            answers = {"unasked": transfer(5), "sidecar": transaction.with_sidecar(None)}
            await play.answer(answers.get(lie, transaction))
        assert await play.peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        assert len(pool) == 0


@pytest.mark.parametrize("size", [0, 16, 15])
async def test_an_announcement_without_blobs_may_have_no_bitmap(size: int) -> None:
    async with played() as (pool, play):
        kinds, sizes, hashes, _ = announcement(transfer())
        await play.peer.send_message(NewPooledTransactionHashes(kinds, Lazy(sizes), Lazy(hashes), bytes(size)))
        if size == 15:
            assert await play.peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        else:
            await play.answer(transfer())
            await trio.sleep(1)
            assert len(pool) == 1


def spoilt(groups: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
    return [[bytes(2048) for _ in group] for group in groups]


@pytest.mark.parametrize("spoil", [list, spoilt])
async def test_cells_over_a_session(spoil: Callable[[Any], Any]) -> None:
    async with played() as (pool, play):
        transaction = blob_transaction()
        await play.announce(transaction.elided())
        await play.answer(transaction.elided())
        asked = await play.until(GetCells)
        hashes, groups, columns = cells_answer([transaction], asked.hashes[:], columns_of(asked.cells))
        lazy = Lazy([Lazy(group) for group in spoil(groups)])
        await play.peer.send_message(Cells(asked.request_id, Lazy(hashes), lazy, bitmap_of(columns)))
        if spoil is spoilt:
            assert await play.peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
            assert len(pool) == 0
        else:
            await trio.sleep(1)
            assert pool.get(transaction.hash) == transaction


async def test_invalid_transactions_end_no_session() -> None:
    async with played() as (pool, play):
        bad = [transfer(0, value=10**30), transfer(1, chain_id=5), transfer(2, gas_limit=10)]
        await play.peer.send_message(Transactions(tuple(each.raw for each in bad)))
        await play.peer.send_message(Transactions((transfer(3).raw,)))
        await trio.sleep(2)
        assert pool.pending() == [pool.get(transfer(3).hash)]
