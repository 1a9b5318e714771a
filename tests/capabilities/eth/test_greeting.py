"""Status: who speaks first, what may come before it, and what ends the session."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from devp2p import DisconnectReason, LocalProtocolError, PeerReady, rlp
from devp2p.capabilities.eth import BlockRange, Eth, eth
from devp2p.capabilities.eth.greeting import status_of
from devp2p.capabilities.eth.messages import (
    BlockBodies,
    BlockHeaders,
    BlockRangeUpdate,
    GetBlockHeaders,
    NewBlock,
    NewBlockHashes,
    Status,
    Transactions,
)
from devp2p.capabilities.ethereum import ForkId
from devp2p.capabilities.ethereum.networks import NETWORKS
from devp2p.testing import scripted_peer
from tests.capabilities.memory_chain import MemoryChain

CHAIN = MemoryChain()
OURS = status_of(CHAIN, 72)
BREACH, SUBPROTOCOL = DisconnectReason.PROTOCOL_BREACH, DisconnectReason.SUBPROTOCOL_ERROR


@asynccontextmanager
async def ready_script():
    """A scripted peer whose Status was accepted."""
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        await peer.send_message(OURS)
        assert await peer.receive_message() == OURS
        with trio.fail_after(5):
            await node.connected[0].ready(Eth)
        yield node, peer


async def test_we_speak_first_and_do_not_wait():
    async with scripted_peer(eth(CHAIN)) as (_, peer):
        assert await peer.receive_message() == OURS
        assert Status(72, 1337, CHAIN.chain[0].hash, CHAIN.network.fork_id(20, 1240), 0, 20, CHAIN.head.hash) == OURS


async def test_a_peer_may_speak_first_and_ask_at_once():
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        await peer.send_message(OURS)
        await peer.send_message(GetBlockHeaders(0, 2, request_id=9))
        assert await peer.receive_message() == OURS
        answer = await peer.receive_message()
        assert isinstance(answer, BlockHeaders)
        assert answer.request_id == 9
        assert list(answer.headers) == [header.raw for header in CHAIN.chain[:2]]
        assert (await node.connected[0].ready(Eth)).head == 20


async def test_pings_before_status_are_answered():
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        await peer.ping()
        await peer.ping()
        codes = [(await peer.receive())[0] for _ in range(3)]
        assert sorted(codes) == [0x03, 0x03, 0x10]
        await peer.send_message(OURS)
        await node.connected[0].ready(Eth)


async def test_a_disconnect_before_status_is_no_fault():
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        connected = node.connected[0]
        await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)
        end = await connected.wait_ended()
        assert (end.reason, end.by_remote) == (DisconnectReason.TOO_MANY_PEERS, True)


@pytest.mark.parametrize(
    ("status", "reason", "why"),
    [
        (replace(OURS, network_id=1), SUBPROTOCOL, "its network id is 1, ours 1337"),
        (replace(OURS, version=71), SUBPROTOCOL, "its Status is of eth/71, and eth/72 was negotiated"),
        (replace(OURS, genesis=bytes(32)), SUBPROTOCOL, "its first block is 000000"),
        (replace(OURS, fork_id=ForkId(b"\1\2\3\4", 0)), SUBPROTOCOL, "its fork id does not fit: the peer has the fork id 01020304"),
        (replace(OURS, earliest=21), BREACH, "it has blocks from 21 to 20"),
        (replace(OURS, latest_hash=bytes(32)), BREACH, "its latest block has a hash of zeros"),
    ],
)
async def test_a_status_that_does_not_fit_ends_the_session_and_says_why(status, reason, why):
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        connected = node.connected[0]
        await peer.send_message(status)
        assert await peer.receive_disconnect() == reason
        end = await connected.wait_ended()
        assert why in end.detail
        assert not end.by_remote


@pytest.mark.parametrize(
    "status",
    [
        replace(OURS, latest=5, latest_hash=CHAIN.chain[5].hash),  # one that is behind
        replace(OURS, latest=2**64 - 1, earliest=2**63, latest_hash=b"\1" * 32),  # far ahead, without history
        replace(OURS, fork_id=ForkId(CHAIN.network.fork_hashes[1], 0)),  # it has passed our next fork
    ],
)
async def test_a_peer_elsewhere_on_our_chain_is_taken(status):
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        await peer.send_message(status)
        handle = await node.connected[0].ready(Eth)
        assert handle.head == status.latest


async def test_mainnet_is_refused_by_its_genesis_if_it_had_our_network_id():
    mainnet = NETWORKS["mainnet"]
    async with scripted_peer(eth(CHAIN)) as (_, peer):
        await peer.send_message(replace(OURS, genesis=mainnet.genesis, fork_id=mainnet.fork_id(0, 0)))
        assert await peer.receive_disconnect() == SUBPROTOCOL


@pytest.mark.parametrize(
    "message",
    [GetBlockHeaders(0, 1, request_id=1), Transactions((rlp.encode([1]),)), BlockRangeUpdate(0, 1, b"\1" * 32), BlockBodies(1, rlp.Lazy())],
    ids=lambda message: type(message).__name__,
)
async def test_nothing_may_come_before_status(message):
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        connected = node.connected[0]
        await peer.send_message(message)
        assert await peer.receive_disconnect() == BREACH
        assert "before Status" in (await connected.wait_ended()).detail or isinstance(message, BlockBodies)


async def test_a_status_that_is_no_status_ends_the_session():
    async with scripted_peer(eth(CHAIN)) as (_, peer):
        await peer.send(0x10, rlp.encode([72, 1337]))
        assert await peer.receive_disconnect() == BREACH


async def test_a_status_with_elements_of_later_versions_is_taken():
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        data = rlp.codec(Status).encode(OURS)
        await peer.send(0x10, rlp.encode_list(data[rlp.list_bounds(data, 0, len(data))[0] :] + rlp.encode(b"later") + rlp.encode([1])))
        await node.connected[0].ready(Eth)


async def test_who_says_no_status_in_five_seconds_is_left():
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        connected, started = node.connected[0], trio.current_time()
        assert await peer.receive_disconnect() == SUBPROTOCOL
        assert 4.9 < trio.current_time() - started < 5.1
        assert "eth/72 was not ready within 5 s" in (await connected.wait_ended()).detail


async def test_before_status_nobody_is_ready():
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        events = node.events()
        with pytest.raises(LocalProtocolError, match="handshake"):
            node.connected[0][Eth]
        await peer.send_message(OURS)
        async for event in events:
            if isinstance(event, PeerReady):
                break
        assert node.connected[0][Eth].head == 20


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (OURS, "a second Status came"),
        (NewBlockHashes((rlp.encode([bytes(32), 5]),)), "NewBlockHashes came, which nobody may send since the merge"),
        (NewBlock(rlp.encode([[], [], []]), 5), "NewBlock came, which nobody may send since the merge"),
        (BlockRangeUpdate(10, 8, b"\1" * 32), "it has blocks from 10 to 8"),
        (BlockRangeUpdate(0, 8, bytes(32)), "its latest block has a hash of zeros"),
        (BlockHeaders(77, rlp.Lazy()), "request 77, for which nobody waits"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_nobody_may_say_after_status_ends_the_session(message, why):
    async with ready_script() as (node, peer):
        connected = node.connected[0]
        await peer.send_message(message)
        assert await peer.receive_disconnect() == BREACH
        assert why in (await connected.wait_ended()).detail


@pytest.mark.parametrize(("earliest", "latest"), [(30, 70), (10, 20), (0, 3)])
async def test_a_range_that_may_be_is_kept(earliest, latest):
    async with ready_script() as (node, peer):
        await peer.send_message(BlockRangeUpdate(earliest, latest, b"\7" * 32))
        await peer.ping()
        assert (await peer.receive())[0] == 0x03
        await trio.testing.wait_all_tasks_blocked()
        assert node.connected[0][Eth].range == BlockRange(earliest, latest, b"\7" * 32)


@pytest.mark.parametrize("code", [0x0B, 0x0D, 0x0E, 0x12, 0x13, 0x14, 0x15])
async def test_ids_without_a_message_are_refused(code):
    async with scripted_peer(eth(CHAIN, versions=[70])) as (_, peer):
        await peer.send_message(status_of(CHAIN, 70))
        await peer.send(0x10 + code)
        assert await peer.receive_disconnect() == BREACH
