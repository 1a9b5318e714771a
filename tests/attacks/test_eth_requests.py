"""Rows E6 and E7 of THREATS.md: what peers ask of eth: numbers that overflow (CVE-2024-32972), more than anybody needs, and no answer read.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DisconnectReason, PrivateKey, open_node, rlp
from devp2p.capabilities.eth import eth, serving
from devp2p.capabilities.eth.capability import Eth72, Side
from devp2p.capabilities.eth.greeting import status_of
from devp2p.capabilities.eth.messages import (
    BlockBodies,
    BlockHeaders,
    GetBlockAccessLists,
    GetBlockBodies,
    GetBlockHeaders,
    GetCells,
    GetPooledTransactions,
    GetReceipts,
    bitmap_of,
)
from devp2p.capabilities.eth.pool.columns import ALL
from devp2p.capabilities.ethereum import Chain
from devp2p.rlp import Lazy
from devp2p.testing import MemoryTransport, ScriptedPeer, scripted_peer
from tests.capabilities.chains import build_chain
from tests.capabilities.memory_chain import MemoryChain

MOST = 2**64 - 1
CHAIN = MemoryChain()


@asynccontextmanager
async def script(chain: Chain = CHAIN):
    async with scripted_peer(eth(chain, versions=[72])) as (node, peer):
        await peer.send_message(status_of(chain, 72))
        await peer.receive_message()
        yield node, peer


# E6, numbers


class Recording(MemoryChain):
    """Knows what it was asked for, and has nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []
        self.sizes: list[int] = []

    async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:  # noqa: ARG002
        self.counts += [count, count * (skip + 1)]
        return []

    async def bodies(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        self.counts.append(len(hashes))
        self.sizes.append(size)
        return []


ODD = [
    GetBlockHeaders(start, count, skip, reverse, request_id=1)
    for start in (0, 7, 20, MOST, CHAIN.chain[7].hash, bytes(32))
    for count in (0, 1, MOST)
    for skip in (0, 1, 19, 2**63, MOST - 7, MOST)
    for reverse in (False, True)
]


async def asked_of_the_chain(*requests: object) -> list[int]:
    chain = Recording()
    async with script(chain) as (_, peer):
        for request in requests:
            await peer.send_message(request)
            await peer.receive_message()
    return chain.counts


async def test_e6_no_number_of_a_peer_reaches_a_chain_that_it_could_not_mean():
    counts = await asked_of_the_chain(*ODD)
    assert min(counts) == 1
    assert max(counts) <= 1024 * 20, "headers, or numbers that they span"


async def test_e6_control_without_a_bound_a_chain_is_asked_for_all_that_a_peer_says(monkeypatch):
    monkeypatch.setattr(serving, "MOST_ITEMS", MOST)
    assert MOST in await asked_of_the_chain(*ODD)


@pytest.mark.real_clock
async def test_e6_a_real_chain_answers_each_of_them_with_what_there_is(tmp_path):
    built = build_chain(blocks=8, transactions=3, fork="amsterdam")
    first = built.blocks[0].hash
    with built.open(tmp_path) as chain:
        async with script(chain) as (_, peer):
            for request in ODD:
                await peer.send_message(replace(request, start=first) if request.start == CHAIN.chain[7].hash else request)
                answer = await peer.receive_message()
                assert isinstance(answer, BlockHeaders)
                assert len(answer.headers) <= 9
                assert request.limit or not answer.headers
            for first_receipt in (0, 2, 3, MOST):
                await peer.send_message(GetReceipts(first_receipt, Lazy([built.blocks[3].hash]), request_id=1))
                (receipts,) = (await peer.receive_message()).receipts
                assert len(rlp.decode(receipts)) == max(0, 3 - first_receipt)


TOO_MANY = [
    GetBlockBodies(Lazy([bytes(32)] * 10_000), request_id=1),
    GetReceipts(0, Lazy([bytes(32)] * 10_000), request_id=1),
    GetBlockAccessLists(Lazy([bytes(32)] * 10_000), request_id=1),
    GetPooledTransactions(Lazy([bytes(32)] * 10_000), request_id=1),
    GetCells(Lazy([bytes(32)] * 10_000), bitmap_of(ALL), request_id=1),
]


@pytest.mark.parametrize("request_", TOO_MANY, ids=lambda one: type(one).__name__)
async def test_e6_ten_thousand_hashes_end_the_session(request_):
    async with script() as (_, peer):
        code = next(code for code, kind in Eth72.messages.items() if kind is type(request_))
        await peer.send(peer.space.offsets[0] + code, rlp.codec(type(request_)).encode(request_))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH


@pytest.mark.parametrize("code", [0x05, 0x12])
@pytest.mark.parametrize("hash_", [b"", bytes(31), bytes(33), [bytes(32)]], ids=["empty", "31", "33", "list"])
async def test_e6_hashes_that_are_none_end_the_session_as_a_breach(code, hash_):
    async with script() as (node, peer):
        connected = node.connected[0]
        await peer.send(peer.space.offsets[0] + code, rlp.encode([b"\x01", [bytes(32), hash_]]))
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
        assert not (await connected.wait_ended()).by_remote


async def test_e6_of_the_hashes_that_a_message_may_have_1024_are_looked_up():
    assert await asked_of_the_chain(GetBlockBodies(Lazy([CHAIN.chain[3].hash] * 4096), request_id=1)) == [1024]


async def test_e6_control_without_that_bound_all_are(monkeypatch):
    monkeypatch.setattr(serving, "MOST_ITEMS", MOST)
    assert await asked_of_the_chain(GetBlockBodies(Lazy([CHAIN.chain[3].hash] * 4096), request_id=1)) == [4096]


# E7, answers that nobody reads


class Large(MemoryChain):
    """Each body has two mebibytes."""

    served = 0

    async def bodies(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:  # noqa: ARG002
        self.served += 1
        return [rlp.encode(self.served.to_bytes(8) + bytes(2**21 - 20))]


async def unread(requests: int) -> tuple[int, int]:
    """How many answers are made for a peer that asks and reads nothing, and how many of ten another peer has got meanwhile."""
    chain, transport = Large(), MemoryTransport()
    capability = Eth72(Side(chain))
    async with open_node(PrivateKey.generate(), [capability], listen=["memory://node"], transports=[transport]) as node:
        peers = []
        for _ in range(2):
            peer = await ScriptedPeer.dial(transport, node.record, [capability])
            await peer.begin()
            await peer.send_message(status_of(chain, 72))
            await peer.receive_message()
            peers.append(peer)
        idle, reader = peers
        one_that_reads_nothing = node.connected[0]
        for _ in range(requests):
            await idle.send_message(GetBlockBodies(Lazy([bytes(32)]), request_id=1))
        await wait_all_tasks_blocked()
        made = chain.served
        got = 0
        for _ in range(10):
            await reader.send_message(GetBlockBodies(Lazy([bytes(32)]), request_id=1))
            got += isinstance(await reader.receive_message(), BlockBodies)
        await one_that_reads_nothing.wait_ended()
        for peer in peers:
            await peer.aclose()
        return made, got


async def test_e7_for_who_reads_nothing_a_few_answers_are_made_and_others_are_served():
    made, got = await unread(100)
    assert made <= 5
    assert got == 10


async def test_e7_control_if_all_were_looked_up_at_once_they_would_all_wait_in_memory(monkeypatch):
    monkeypatch.setattr(serving, "AT_ONCE", 100)
    made, _ = await unread(100)
    assert made == 100


async def test_e7_a_flood_of_requests_waits_in_bounds_and_then_in_the_peers_own_line():
    chain = MemoryChain()
    chain.gate = trio.Event()
    async with script(chain) as (node, peer):
        for _ in range(serving.WAITING + 200):
            await peer.send_message(GetBlockHeaders(0, 1, request_id=1))
        await wait_all_tasks_blocked()
        assert len(chain.asked) == serving.AT_ONCE
        assert not node.connected[0].ended
        chain.gate.set()
        for _ in range(serving.WAITING + 200):
            assert isinstance(await peer.receive_message(), BlockHeaders)
