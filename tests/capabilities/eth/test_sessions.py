"""Two nodes of eth: Status, requests and answers between them, in every version."""

from typing import Any, cast

import pytest
import trio

from devp2p import LocalProtocolError, PeerDisconnected
from devp2p.capabilities.eth import BlockRange, Eth, Eth69, Eth71, EthPeer, eth, serving
from devp2p.capabilities.eth.capability import UPDATE_INTERVAL
from devp2p.capabilities.ethereum import ChainError
from devp2p.capabilities.ethereum.blocks import Receipt
from devp2p.testing import two_nodes
from tests.capabilities.memory_chain import MemoryChain

CHAIN = MemoryChain()


async def test_peers_agree_on_the_highest_version_and_know_each_others_head():
    async with two_nodes(eth(CHAIN), eth(CHAIN, versions=[69, 71])) as (left, right):
        theirs = await left.connected[0].ready(Eth)
        ours = await right.connected[0].ready(Eth71)
        assert isinstance(theirs, EthPeer)
        assert theirs.version == ours.version == 71
        assert theirs.head == 20
        assert theirs.range == BlockRange(0, 20, CHAIN.head.hash)
        assert theirs.status.genesis == CHAIN.chain[0].hash
        with pytest.raises(KeyError):
            left.connected[0][Eth69]


@pytest.mark.parametrize("version", [69, 70, 71, 72])
async def test_each_kind_of_data_is_fetched_and_counted(version):
    async with two_nodes(eth(CHAIN, versions=[version]), eth(CHAIN, versions=[version])) as (left, _):
        connected = left.connected[0]
        peer = await connected.ready(Eth)
        headers = await peer.headers(0, 100)
        assert [header.number for header in headers] == list(range(21))
        assert headers == tuple(CHAIN.chain)
        bodies = await peer.bodies(headers)
        assert [len(body.transactions) for body in bodies if body] == [number % 4 for number in range(21)]
        receipts = await peer.receipts(headers)
        assert [len(each or ()) for each in receipts] == [number % 4 for number in range(21)]
        assert Receipt.decode((receipts[3] or (b"",))[0]).logs
        if version >= 71:
            access_lists = await peer.access_lists(headers)
            assert [each is not None for each in access_lists] == [number >= 10 for number in range(21)]
        else:
            with pytest.raises(LocalProtocolError, match="eth/71 brought them"):
                await peer.access_lists(headers)
        assert connected.conduct(Eth).useful > 10
        assert connected.conduct(Eth).invalid == 0
        assert connected.conduct(Eth).latency is not None


async def test_headers_are_found_by_hash_backwards_and_with_skips():
    async with two_nodes(eth(CHAIN), eth(CHAIN)) as (left, _):
        peer = await left.connected[0].ready(Eth)

        async def numbers(*arguments, **options):
            return [header.number for header in await peer.headers(*arguments, **options)]

        assert await numbers(CHAIN.chain[5].hash, 3) == [5, 6, 7]
        assert await numbers(CHAIN.chain[5].hash, 9, reverse=True) == [5, 4, 3, 2, 1, 0]
        assert await numbers(4, 4, skip=2) == [4, 7, 10, 13]
        assert await numbers(19, 4, skip=2) == [19]
        assert await numbers(4, 4, skip=1, reverse=True) == [4, 2, 0]
        assert await numbers(bytes(32), 4) == []
        assert await numbers(20, 2**64 - 1) == [20]


@pytest.mark.parametrize("start", [0, 7, 20, b"hash"])
@pytest.mark.parametrize("reverse", [False, True])
async def test_skips_and_counts_beyond_any_chain_bring_the_first_header(start, reverse):
    start = CHAIN.chain[7].hash if start == b"hash" else start
    async with two_nodes(eth(CHAIN), eth(CHAIN)) as (left, _):
        peer = await left.connected[0].ready(Eth)
        for skip in (20, 21, 2**63, 2**64 - 1):
            assert len(await peer.headers(start, 2**64 - 1, skip=skip, reverse=reverse)) == 1
        assert await peer.headers(start, 0, reverse=reverse) == ()
        assert await peer.headers(2**64 - 1, 5, reverse=reverse) == ()


async def test_what_a_peer_lacks_is_none_in_its_place_and_no_fault():
    lacking = MemoryChain()
    lacking.forget(7)
    async with two_nodes(eth(CHAIN), eth(lacking)) as (left, _):
        connected = left.connected[0]
        peer = await connected.ready(Eth)
        headers = CHAIN.chain[5:10]
        assert [body is not None for body in await peer.bodies(headers)] == [True, True, False, True, True]  # left out, as Besu does
        assert [each is not None for each in await peer.receipts(headers)] == [True, True, False, False, False]  # it ends there
        assert await peer.bodies(CHAIN.chain[7:8]) == (None,)
        assert await peer.receipts(CHAIN.chain[7:8]) == (None,)
        before = connected.conduct(Eth).useful
        assert await peer.headers(30, 5) == ()
        assert connected.conduct(Eth).useful == before
        assert connected.conduct(Eth).invalid == 0


async def test_nothing_is_asked_for_nothing():
    served = MemoryChain()
    async with two_nodes(eth(CHAIN), eth(served)) as (left, _):
        peer = await left.connected[0].ready(Eth)
        for found in (await peer.bodies([]), await peer.receipts([]), await peer.access_lists([]), await peer.transactions([])):
            assert len(found) == 0
        assert served.asked == []


async def test_receipts_of_a_large_block_come_in_parts(monkeypatch):
    monkeypatch.setattr(serving, "HARD_LIMIT", 40_000)
    large = MemoryChain(3, logs=4, log_size=4_000, gas=2**24)  # block 3: three receipts of 16 kB
    async with two_nodes(eth(large), eth(large)) as (left, _):
        peer = await left.connected[0].ready(Eth)
        (receipts,) = await peer.receipts(large.chain[3:])
        assert receipts is not None
        assert len(receipts) == 3
        assert large.asked.count("receipts") == 2
        assert left.connected[0].conduct(Eth).invalid == 0


async def test_in_eth_69_a_block_of_too_many_receipts_cannot_be_had(monkeypatch):
    monkeypatch.setattr(serving, "HARD_LIMIT", 40_000)
    large = MemoryChain(3, logs=4, log_size=4_000, gas=2**24)
    async with two_nodes(eth(large, versions=[69]), eth(large)) as (left, _):
        peer = await left.connected[0].ready(Eth)
        assert await peer.receipts(large.chain[3:]) == (None,)
        assert await peer.receipts(large.chain[2:]) == (tuple(large.receipts_of(2)), None)
        assert left.connected[0].conduct(Eth).invalid == 0


@pytest.mark.real_clock  # a thread checks it
async def test_what_is_large_is_proved_by_a_thread():
    large = MemoryChain(1, logs=4, log_size=20_000, gas=2**24)
    async with two_nodes(eth(large), eth(large)) as (left, _):
        peer = await left.connected[0].ready(Eth)
        assert await peer.receipts(large.chain) == ((), tuple(large.receipts_of(1)))


async def test_of_more_blocks_than_anybody_serves_the_first_are_asked_for():
    async with two_nodes(eth(CHAIN), eth(CHAIN)) as (left, _):
        peer = await left.connected[0].ready(Eth)
        bodies = await peer.bodies([CHAIN.chain[1]] * 1100)
        assert [body is not None for body in bodies] == [True] * 1024 + [False] * 76


async def test_a_chain_that_fails_answers_nothing_and_the_session_lives():
    class Failing(MemoryChain):
        async def bodies(self, hashes, *, size):  # noqa: ARG002
            raise ChainError("the disk is gone")

    async with two_nodes(eth(CHAIN), eth(Failing())) as (left, _):
        peer = await left.connected[0].ready(Eth)
        assert await peer.bodies(CHAIN.chain[:2]) == (None, None)
        assert len(await peer.headers(0, 2)) == 2


async def test_without_a_pool_there_are_no_transactions_and_no_cells():
    async with two_nodes(eth(CHAIN), eth(CHAIN)) as (left, _):
        peer = await left.connected[0].ready(Eth)
        assert await peer.transactions([bytes(32)]) == (None,)
        assert await peer.cells([bytes(32)], 3) == ((), [], 3)


async def test_a_new_head_is_told_after_a_while_and_only_if_there_is_one():
    chain = MemoryChain()
    chain.move(15)
    async with two_nodes(eth(CHAIN), eth(chain)) as (left, _):
        peer = await left.connected[0].ready(Eth)
        assert peer.head == 15
        received = left.connected[0].traffic(Eth).messages_in
        await trio.sleep(UPDATE_INTERVAL * 3.5)
        assert left.connected[0].traffic(Eth).messages_in == received
        chain.move(18)
        await trio.sleep(UPDATE_INTERVAL * 1.5)
        assert peer.head == 18
        assert peer.range.latest_hash == CHAIN.chain[18].hash
        assert left.connected[0].traffic(Eth).messages_in == received + 1


async def test_after_the_end_a_handle_says_so():
    async with two_nodes(eth(CHAIN), eth(CHAIN)) as (left, right):
        peer = await left.connected[0].ready(Eth)
        right.connected[0].disconnect()
        await peer.peer.wait_ended()
        with pytest.raises(PeerDisconnected):
            await peer.headers(0, 1)


async def test_a_peer_that_asks_too_fast_waits_and_holds_up_neither_others_nor_its_own_answers():
    slow = MemoryChain()
    slow.gate = trio.Event()
    async with two_nodes(eth(CHAIN), eth(slow)) as (left, right):
        asking = await left.connected[0].ready(Eth)
        asked_back = await right.connected[0].ready(Eth)
        answered: list[int] = []

        async def ask() -> None:
            answered.append(len(await asking.headers(0, 3, timeout=10_000)))

        async with trio.open_nursery() as nursery:
            for _ in range(250):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert slow.asked.count("headers") == 2  # so many at a time
            assert len(await asked_back.headers(0, 5)) == 5  # an answer comes past the requests
            assert not answered
            slow.gate.set()
        assert answered == [3] * 250


def test_a_version_that_is_none_is_named():
    with pytest.raises(LocalProtocolError, match=r"69, 70, 71, 72, not \[68\]"):
        eth(CHAIN, versions=[68, 69])
    with pytest.raises(LocalProtocolError, match="not none"):
        eth(CHAIN, versions=[])
    with pytest.raises(
        LocalProtocolError, match=r'a str is no Chain: it lacks network, .*; for a public network write GenesisChain.public\("hoodi"\)'
    ):
        eth(cast("Any", "hoodi"))
    with pytest.raises(LocalProtocolError, match=r"a MemoryChain is no Pool: it lacks run, received, announced, transactions, cells$"):
        eth(CHAIN, pool=cast("Any", CHAIN))
    with pytest.raises(LocalProtocolError, match="the class MemoryChain itself is no Chain"):
        eth(cast("Any", MemoryChain))


async def test_blocks_are_asked_for_by_their_headers():
    async with two_nodes(eth(CHAIN), eth(CHAIN)) as (left, _):
        peer = await left.connected[0].ready(Eth)
        (header,) = await peer.headers(3, 1)
        for given, told in (([header.hash], "bytes"), ([3], "int"), (header, "one")):
            for request in (peer.bodies, peer.receipts, peer.access_lists):
                with pytest.raises(LocalProtocolError, match=f"give a list of Header, not {told}$"):
                    await request(cast("Any", given))
    assert [one.version for one in eth(CHAIN, versions=[72, 69, 72])] == [69, 72]


async def test_without_a_chain_one_is_at_the_first_block_of_mainnet():
    async with two_nodes(eth(), eth(versions=[70])) as (left, _):
        peer = await left.connected[0].ready(Eth)
        assert (peer.head, peer.status.network_id, peer.status.fork_id.hash.hex()) == (0, 1, "fc64ec04")
        (header,) = await peer.headers(0, 5)
        assert header.hash == peer.status.genesis
        bodies = await peer.bodies([header])
        assert bodies[0] is not None
        assert not bodies[0].transactions


async def test_answers_are_proved_one_after_another_so_that_the_next_request_can_go_out_after_the_first():
    steps: list[str] = []

    async def prove(handle: EthPeer, name: str) -> None:
        async with handle._proving():
            for _ in range(3):
                steps.append(name)
                await trio.lowlevel.checkpoint()

    async with two_nodes(eth(CHAIN), eth(CHAIN)) as (left, _), trio.open_nursery() as nursery:
        handle = await left.connected[0].ready(Eth)
        for name in ("one", "other"):
            nursery.start_soon(prove, handle, name)
    assert steps in (["one"] * 3 + ["other"] * 3, ["other"] * 3 + ["one"] * 3)
