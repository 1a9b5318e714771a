"""Filling a range from several real nodes at once: what one leaves out another brings, lies are not kept, and a kill loses nothing."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

import devp2p
from devp2p import Node, PrivateKey
from devp2p.capabilities.backfill import BackfillError, Journal, Order, backfill, find_anchor
from devp2p.capabilities.backfill.backfill import _Backfill
from devp2p.capabilities.eth import Eth, eth
from devp2p.capabilities.ethereum.blocks import Body, Header, body_fault, receipts_fault
from devp2p.testing import MemoryTransport
from tests.capabilities.memory_chain import MemoryChain

CHAIN = MemoryChain(40)
real_clock = pytest.mark.real_clock  # the journal is written in threads


@asynccontextmanager
async def node_with(*chains: MemoryChain) -> AsyncGenerator[tuple[Node, list[Node]]]:
    """A node that has nothing, connected to one node for each chain."""
    network = MemoryTransport()
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(
                devp2p.open_node(PrivateKey.generate(), eth(chain), listen=[f"memory://{index}"], transports=[network])
            )
            for index, chain in enumerate(chains)
        ]
        node = await stack.enter_async_context(
            devp2p.open_node(PrivateKey.generate(), eth(chains[0]), listen=["memory://asker"], transports=[network])
        )
        for server in servers:
            await (await node.connect(server.record)).ready(Eth)
        yield node, servers


def order(first: int = 0, last: int = 40, chain: MemoryChain = CHAIN) -> Order:
    return Order(first, last, chain.chain[last].hash, chain.chain[0].hash, bodies=True, receipts=True)


def check(journal: Journal, first: int = 0, last: int = 40) -> None:
    blocks = list(journal.blocks())
    assert [block.header for block in blocks] == [header.raw for header in CHAIN.chain[first : last + 1]]
    for block in blocks:
        header = Header.decode(block.header)
        assert block.body is not None
        assert block.receipts is not None
        assert body_fault(header, Body.decode(block.body)) is None
        assert receipts_fault(header, block.receipts) is None


@real_clock
async def test_a_range_is_filled_and_everything_in_it_is_true(tmp_path):
    async with node_with(CHAIN, CHAIN) as (node, _):
        with Journal.open(tmp_path / "j", order(3, 37)) as journal:
            await backfill(node, journal)
            check(journal, 3, 37)
            await backfill(node, journal)  # there is nothing to do


@real_clock
async def test_what_one_peer_leaves_out_another_brings(tmp_path):
    odd, even = MemoryChain(40), MemoryChain(40)
    for number in range(1, 41):
        (odd if number % 2 else even).forget(number)
    async with node_with(odd, even) as (node, _):
        with Journal.open(tmp_path / "j", order()) as journal:
            await backfill(node, journal)
            check(journal)


@real_clock
async def test_without_that_other_peer_it_says_what_is_missing_and_goes_on_later(tmp_path):
    lazy = MemoryChain(40)
    lazy.forget(7)
    with Journal.open(tmp_path / "j", order()) as journal:
        async with node_with(lazy) as (node, _):
            with pytest.raises(BackfillError, match=r"nothing came for 1.5 s, and 1 of 41 bodies, 1 of 41 receipts are missing") as told:
                await backfill(node, journal, patience=1.5)
            assert "connected are" in str(told.value)
        asked = len(CHAIN.asked)
        async with node_with(CHAIN) as (node, _):
            await backfill(node, journal)
        check(journal)
        assert len(CHAIN.asked) - asked == 2, "only the one body and its receipts are asked for"


class Forging(MemoryChain):
    """Says that it has the chain whose head it is told, and brings headers of another."""

    def __init__(self) -> None:
        super().__init__(40, name=b"forged")
        self.network, self.head = CHAIN.network, CHAIN.head

    async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:
        start = 40 if start == CHAIN.chain[40].hash else start
        return await super().headers(start, count, skip=skip, reverse=reverse, size=size)


@real_clock
async def test_headers_of_another_chain_are_not_kept_and_end_the_session(tmp_path):
    async with node_with(Forging(), CHAIN) as (node, (forger, _)):
        with Journal.open(tmp_path / "j", order()) as journal:
            await backfill(node, journal)
            check(journal)
        for peer in node.connected:
            if peer.public_key == forger.public_key:
                assert not (await peer.wait_ended()).by_remote


@real_clock
async def test_control_without_the_link_to_the_anchor_they_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(Journal, "edge", property(lambda _: (40, Forging().chain[40].hash)))
    async with node_with(Forging()) as (node, _):
        with Journal.open(tmp_path / "j", Order(2, 40, CHAIN.chain[40].hash)) as journal:
            await backfill(node, journal)
            assert [block.header for block in journal.blocks()] != [header.raw for header in CHAIN.chain[2:]]


@real_clock
async def test_who_is_on_another_branch_is_no_liar_and_an_anchor_of_another_block_is_named(tmp_path):
    other = MemoryChain(40, name=b"other")
    other.network = CHAIN.network
    async with node_with(other) as (node, _):
        with Journal.open(tmp_path / "other", order()) as journal, pytest.raises(BackfillError, match=r"nothing came for 0\.3 s"):
            await backfill(node, journal, patience=0.3)
        (peer,) = node.connected
        assert peer.conduct(Eth).invalid == 0
    async with node_with(CHAIN) as (node, _):
        wrong = Order(0, 30, CHAIN.chain[40].hash)
        with (
            Journal.open(tmp_path / "wrong", wrong) as journal,
            pytest.raises(BackfillError, match="is the hash of block 40, not of block 30"),
        ):
            await backfill(node, journal)


async def test_of_two_that_are_late_only_one_rests(tmp_path):
    with Journal.open(tmp_path / "j", order()) as journal:
        work: Any = _Backfill(journal)
        work._awake = {("anna", "body"), ("bert", "body"), ("bert", "headers")}
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work._rest, "anna", "body", 1)
            await trio.testing.wait_all_tasks_blocked()
            await work._rest("bert", "body", 1)
            assert trio.current_time() == began
        assert trio.current_time() > began
        await work._rest("anna", "body", 1)
        assert len(work._awake) == 3


async def test_patience_is_as_long_as_it_says(tmp_path):
    with Journal.open(tmp_path / "j", order()) as journal:
        work, nobody = _Backfill(journal), cast("Any", SimpleNamespace(connected=()))
        work._last_news = (began := trio.current_time()) + 7
        with pytest.raises(BackfillError, match="nothing came for 45 s"):
            await work._watch(nobody, 45)
        assert trio.current_time() - began == pytest.approx(7 + 45)


@real_clock
async def test_a_chain_with_another_beginning_is_not_taken_for_ours(tmp_path):
    other = Forging()
    async with node_with(other) as (node, _):
        wanted = Order(0, 40, other.chain[40].hash, CHAIN.chain[0].hash)
        for _ in range(2):  # nor when it is tried again
            with (
                Journal.open(tmp_path / "j", wanted) as journal,
                pytest.raises(BackfillError, match=r"is of another chain: that begins with 0x"),
            ):
                await backfill(node, journal)


async def test_peers_agree_on_an_anchor_or_it_says_who_says_what():
    async with node_with(CHAIN, MemoryChain(40)) as (node, _):
        assert await find_anchor(node, 40) == CHAIN.chain[40].hash
        with pytest.raises(BackfillError, match=r"no peer has block 41: connected are [0-9a-f]{16}… at .*, whose newest block is 40"):
            await find_anchor(node, 41, patience=0.5)
    async with node_with(CHAIN, Forging()) as (node, _):
        with pytest.raises(BackfillError, match=r"do not agree on block 40: .* says 0x.*; give the hash of the one that you trust"):
            await find_anchor(node, 40)


@real_clock
async def test_cancelled_at_any_moment_it_goes_on_with_what_it_had(tmp_path):
    kept = 0
    with Journal.open(tmp_path / "j", order()) as journal:
        for patience in (*range(1, 32, 3), 10**9):
            async with node_with(CHAIN, CHAIN) as (node, _):
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_cancel_after, patience, scope)
                        await backfill(node, journal)
                        nursery.cancel_scope.cancel()
            have = journal.progress
            assert have.headers + have.bodies + have.receipts >= kept
            kept = have.headers + have.bodies + have.receipts
        check(journal)


async def _cancel_after(steps: int, scope: trio.CancelScope) -> None:
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()
