"""A session over native streams: each capability has its own, is held back by itself alone, and what strangers do there harms no other."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Channel, DisconnectReason, Limits, NodeRecord, Peer, PrivateKey, rlp
from devp2p.testing import ScriptedPeer
from devp2p.wire import base, compression
from tests.chat import Blob, Chat, ChatMessage, GetTime, Say, chat, collect
from tests.wires import Wire, only

SAY, GET_TIME, TIME, BLOB, ZEAL = 0x10, 0x11, 0x12, 0x13, 0x15
NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller
QUIET = Limits(ping_interval=10**6)

pytestmark = only("streams", because="this is what streams are for")


async def never_read(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
    await trio.sleep_forever()


class Never(Chat):
    """Has room for few messages."""

    inbox_messages = 10


class Zeal(Chat):
    """A second capability with the same messages."""

    name = "zeal"


# Who takes nothing holds back itself alone


async def test_a_capability_that_takes_nothing_holds_back_its_own_stream_and_nobody_else_for_ever(wire: Wire) -> None:
    async with wire.scripted_peer([Never(never_read), Zeal()]) as (node, peer), trio.open_nursery() as nursery:
        nursery.start_soon(pour, peer, SAY)
        remote = node.connected[0]
        for number in range(1000):
            await trio.sleep(10)
            await peer.send(ZEAL + 1, rlp.encode([number, "abc"]))
            assert await next_answer(peer) == rlp.encode([number, 3])
        assert remote.ended is None
        assert remote.backlog(Never).unread_messages == 10
        nursery.cancel_scope.cancel()


async def pour(peer: ScriptedPeer, code: int, size: int = 10_000) -> None:
    """Send to a capability for ever."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while True:
            await peer.send(code, rlp.encode([NOISE[:size]]))


async def next_answer(peer: ScriptedPeer) -> bytes:
    """The next message of the second capability; Pings are answered meanwhile."""
    while True:
        code, data = await peer.receive()
        if code == base.PING:
            await peer.pong()
        else:
            assert code == ZEAL + 2
            return data


async def test_two_nodes_of_which_one_takes_nothing_go_on_with_everything_else(wire: Wire) -> None:
    async def flood(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Blob(NOISE[:50_000]))

    async with wire.two_nodes([Chat(flood), Zeal()], [Never(never_read), Zeal()]) as (one, other):
        for _ in range(100):
            await trio.sleep(60)
            assert (await one.connected[0][Zeal].request(GetTime("abc"))).seconds == 3
        assert one.connected
        limits = Limits()
        assert other.connected[0].backlog(Never).unread_bytes <= limits.inbox_bytes
        assert one.connected[0].backlog(Chat).unsent_bytes <= limits.outbox_bytes


async def test_when_it_takes_again_nothing_was_lost(wire: Wire) -> None:
    seen: list[ChatMessage] = []
    awake = trio.Event()

    async def sleep_first(peer: Peer, channel: Channel[ChatMessage]) -> None:
        await awake.wait()
        await collect(seen)(peer, channel)

    sent = [Say(f"{number}") for number in range(300)]
    async with wire.scripted_peer([chat(sleep_first, inbox_messages=2)], limits=QUIET) as (node, peer), trio.open_nursery() as nursery:

        async def say() -> None:
            for message in sent:
                await peer.send_message(message)

        nursery.start_soon(say)
        await trio.sleep(10_000)
        assert not seen
        awake.set()
        await wait_all_tasks_blocked()
        assert seen == sent
        assert node.connected


async def test_a_farewell_is_said_although_the_peer_takes_nothing_of_a_capability(wire: Wire) -> None:
    async def talk(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Blob(NOISE[:50_000]))

    async with wire.scripted_peer([chat(talk)], limits=QUIET) as (node, peer):
        await trio.sleep(1000)
        remote, started = node.connected[0], trio.current_time()
        remote.disconnect(DisconnectReason.CLIENT_QUITTING)
        first = peer._streams.first
        while (message := first.next_message()) is None:  # and only there
            assert first.framing is not None
            first.framing.receive_data(await first.receive_some())
        assert message[0] == base.DISCONNECT
        assert trio.current_time() - started <= 0.5
        await remote.wait_ended()
        assert trio.current_time() - started <= 1


async def test_a_peer_that_reads_nothing_at_all_is_ended_by_a_ping(wire: Wire) -> None:
    async def talk(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Blob(NOISE[:50_000]))

    async with wire.scripted_peer([chat(talk)]) as (node, _):
        remote, started = node.connected[0], trio.current_time()
        assert (await remote.wait_ended()).reason is DisconnectReason.PING_TIMEOUT
        assert trio.current_time() - started <= 31


@pytest.mark.parametrize("size", [1000, 120_000])
async def test_a_pong_stands_behind_no_message_so_none_excuses_that_it_does_not_come(wire: Wire, size: int) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote, started = node.connected[0], trio.current_time()
        frames = b"".join(peer.seal(rlp.encode(BLOB) + compression.compress(rlp.encode([NOISE[:size]]))) for _ in range(120_000 // size))
        with suppress(trio.BrokenResourceError):
            for at in range(0, len(frames), 2000):
                await peer.stream_of(BLOB).send_all(frames[at : at + 2000])
                await trio.sleep(1)
        assert (await remote.wait_ended()).reason is DisconnectReason.PING_TIMEOUT
        assert 30 <= trio.current_time() - started <= 32


async def test_a_full_budget_makes_a_stream_wait_and_ends_no_session(wire: Wire) -> None:
    network, capability = wire.network(), chat(never_read)
    async with network.node([capability], limits=Limits(total_inbox_bytes=100_000, ping_interval=10**6)) as node:
        first, second = [await network.peer(node, [capability]) for _ in range(2)]
        for peer in (first, second):
            await peer.begin()
        for peer in (first, second, first, second):
            await peer.send(BLOB, rlp.encode([NOISE[:30_000]]))
            await wait_all_tasks_blocked()
        await trio.sleep(1000)
        assert len(node.connected) == 2
        await second.ping()
        assert (await second.receive())[0] == base.PONG
        await first.aclose()
        await trio.sleep(2)
        assert node.connected[0].backlog(type(capability)).unread_messages == 2, "the other's end gave its bytes back"


async def test_a_flood_on_one_stream_is_held_back_by_the_transport(wire: Wire) -> None:
    network, capabilities = wire.network(), [chat(never_read), Zeal()]
    async with network.node(capabilities, limits=QUIET) as node, trio.open_nursery() as nursery:
        peer = await network.peer(node, capabilities)
        await peer.begin()
        nursery.start_soon(pour, peer, BLOB, 100_000)
        await trio.sleep(1000)
        budget = node._local.budget
        assert budget is not None
        assert budget.used <= QUIET.inbox_bytes + 2 * 110_000
        await peer.send(ZEAL + 1, rlp.encode([7, "ab"]))
        assert await next_answer(peer) == rlp.encode([7, 2])
        nursery.cancel_scope.cancel()


# The end, and the other way round


@pytest.mark.parametrize("tells", [True, False])
async def test_what_is_said_before_a_disconnect_on_other_streams_is_delivered(wire: Wire, *, tells: bool) -> None:
    seen: list[ChatMessage] = []
    async with wire.scripted_peer([chat(collect(seen))]) as (node, peer):
        remote = node.connected[0]
        for number in range(100):
            await peer.send_message(Say(str(number)))
        if tells:
            await peer.disconnect(DisconnectReason.CLIENT_QUITTING)
        else:  # without an end of the capability's stream: it is waited for, but not for long
            await peer.send(base.DISCONNECT, base.encode_disconnect(DisconnectReason.CLIENT_QUITTING))
        end, started = await remote.wait_ended(), trio.current_time()
        assert (end.reason, end.by_remote) == (DisconnectReason.CLIENT_QUITTING, True)
        assert trio.current_time() - started <= 1
    assert seen == [Say(str(number)) for number in range(100)]


async def test_a_script_may_be_called_and_finds_streams_in_the_order_of_names(wire: Wire) -> None:
    network, capabilities = wire.network(), [Zeal(), Chat()]
    async with network.node(capabilities, limits=QUIET) as node, listening(network, capabilities) as (record, peers):
        await node.connect(record)
        peer = await peers.receive()
        assert peer.space.offsets == (SAY, ZEAL)
        await peer.send(ZEAL + 1, rlp.encode([7, "ab"]))
        assert await next_answer(peer) == rlp.encode([7, 2])
        await peer.disconnect()


@asynccontextmanager
async def listening(network: Any, capabilities: Any) -> AsyncIterator[tuple[Any, trio.MemoryReceiveChannel[ScriptedPeer]]]:
    """A script that listens; each that was called comes out of the channel once it has begun."""
    key = PrivateKey.generate()
    called, peers = trio.open_memory_channel[ScriptedPeer](10)

    async def begin(link: Any) -> None:
        peer = ScriptedPeer(link, capabilities, key=key)
        await peer.begin()
        await called.send(peer)

    async def on_link(link: Any) -> None:
        nursery.start_soon(begin, link)

    address = Address("memory", "script")
    listener = await network.transport(key.public_key).bind(address)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, on_link)
        yield NodeRecord(key.public_key, (address,)), peers
        nursery.cancel_scope.cancel()
