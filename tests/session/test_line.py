"""A session's line: keepalive, slow peers, and inboxes that fill."""

import random
from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, Limits, Peer, rlp
from devp2p.wire import base, compression
from tests.chat import Blob, Chat, ChatMessage, Say, chat, collect
from tests.wires import Wire, only

SAY, GET_TIME, TIME, BLOB = 0x10, 0x11, 0x12, 0x13
NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller

HELD_UP = only("one stream", because="elsewhere who takes nothing holds up itself alone, and for ever: test_streams.py")
BEHIND = only("one stream", because="elsewhere a Pong stands behind nothing of a capability's: test_streams.py")


# Keepalive


async def test_a_ping_is_answered(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (_, peer):
        await peer.ping()
        assert await peer.receive() == (base.PONG, b"\xc0")


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_ping_flood_gets_ten_pongs_and_the_end(wire: Wire, *, at_once: bool) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote = node.connected[0]
        pings = [peer.seal(b"\x02\x01\x00\xc0") for _ in range(20)]
        for data in [b"".join(pings)] if at_once else pings[:11]:
            await peer.stream.send_all(data)
            await wait_all_tasks_blocked()
        assert (await remote.wait_ended()).detail == "too many pings"
        pongs = 0
        while (received := await peer.receive())[0] == base.PONG:
            pongs += 1
        assert received == (base.DISCONNECT, rlp.encode([DisconnectReason.PROTOCOL_BREACH]))
        assert pongs == (0 if at_once else 10)


# Seconds between two Pings, by default; docs/bounds.md says where that is to be found, and which other clients keep the same.
RHYTHMS = {"OpenEthereum": 120, "reth": 60, "aleth": 30, "go-ethereum": 15, "Nethermind": 10, "EthereumJ": 5, "once a second": 1}


@pytest.mark.parametrize("client", RHYTHMS)
async def test_no_client_pings_too_often(wire: Wire, client: str) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer), trio.open_nursery() as nursery:
        pongs = 0

        async def ping() -> None:
            while True:
                await trio.sleep(RHYTHMS[client])
                await peer.ping()

        async def hear() -> None:
            nonlocal pongs
            while True:
                code, _ = await peer.receive()
                assert code in {base.PING, base.PONG}
                if code == base.PING:
                    await peer.pong()
                else:
                    pongs += 1

        nursery.start_soon(ping)
        nursery.start_soon(hear)
        await trio.sleep(600.5)
        assert node.connected
        assert pongs == 600 // RHYTHMS[client]
        nursery.cancel_scope.cancel()


async def test_pings_a_little_more_often_than_once_a_second_end_the_session_in_the_end(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote, sent = node.connected[0], 0
        while remote.ended is None and sent < 100:
            with suppress(trio.BrokenResourceError):
                await peer.ping()
            sent += 1
            await trio.sleep(0.8)
        assert (await remote.wait_ended()).detail == "too many pings"
        assert 45 < sent < 55, "ten, and then one in five is too many"


@HELD_UP
async def test_pings_that_we_held_up_ourselves_may_come_at_once(wire: Wire) -> None:
    async def sleepy(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await trio.sleep(40)
            await channel.receive()

    limits = Limits(ping_interval=10**6, inbox_patience=10**6)
    async with wire.scripted_peer([chat(sleepy, inbox_messages=1)], limits=limits) as (node, peer):
        remote = node.connected[0]
        await peer.send_message(Say("1"))
        await peer.send_message(Say("2"))  # there is room for it after 40 seconds, in which a client pings eight times
        for _ in range(8 + 5):
            await peer.ping()
        await trio.sleep(41)
        assert remote.ended is None
        for _ in range(40):
            with suppress(trio.BrokenResourceError):
                await peer.ping()
        await trio.sleep(2)
        assert remote.ended is not None, "it is no credit for later"


async def test_a_quiet_peer_is_pinged_and_its_latency_known(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote = node.connected[0]
        for _ in range(3):
            started = trio.current_time()
            assert await peer.receive() == (base.PING, b"\xc0")
            assert trio.current_time() - started == 15
            await trio.sleep(2)
            await peer.pong()
            await wait_all_tasks_blocked()
            assert remote.latency == 2


async def test_a_peer_that_does_not_answer_a_ping_is_ended(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote, started = node.connected[0], trio.current_time()
        assert await peer.receive_disconnect() == DisconnectReason.PING_TIMEOUT
        assert trio.current_time() - started == 30
        await peer.stream.send_eof()
        assert (await remote.wait_ended()).detail == "no pong within 15 s"


@BEHIND
async def test_a_pong_may_stand_behind_a_large_message_that_is_still_coming(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote, started = node.connected[0], trio.current_time()
        frame = peer.seal(rlp.encode(BLOB) + compression.compress(rlp.encode([NOISE[:120_000]])))
        for at in range(0, len(frame), 2000):  # 60 seconds
            await peer.stream_of(BLOB).send_all(frame[at : at + 2000])
            await trio.sleep(1)
            assert remote.ended is None
        assert trio.current_time() - started > 45
        await peer.receive_disconnect()
        assert 75 <= trio.current_time() - started <= 91, "and then its Pong is missed again"
        await peer.stream.send_eof()
        assert (await remote.wait_ended()).reason is DisconnectReason.PING_TIMEOUT


@BEHIND
@pytest.mark.parametrize("answers", [True, False])
async def test_a_pong_may_stand_behind_many_small_messages_but_not_for_ever(wire: Wire, *, answers: bool) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote, started = node.connected[0], trio.current_time()
        for number in range(100):
            await trio.sleep(1)
            if remote.ended is not None:
                break
            if answers and number == 65:
                await peer.pong()  # 51 seconds after our Ping; reth would have hung up
            with suppress(trio.BrokenResourceError):
                await peer.send_message(Say("one of many"))
        if answers:
            assert remote.ended is None
        else:
            assert (await remote.wait_ended()).reason is DisconnectReason.PING_TIMEOUT
            assert 75 <= trio.current_time() - started <= 77


# Slow peers


async def test_a_frame_must_come_on(wire: Wire) -> None:
    for rate, survives in ((0, False), (300, False), (1100, True)):
        async with wire.scripted_peer([Chat()], limits=Limits(ping_interval=10**6)) as (node, peer):
            remote, started = node.connected[0], trio.current_time()
            frame = peer.seal(rlp.encode(BLOB) + compression.compress(rlp.encode([NOISE[:16_000]])))
            await peer.stream_of(BLOB).send_all(frame[:100])
            try:
                for at in range(100, len(frame), rate or len(frame)):
                    await trio.sleep(1 if rate else 100)
                    await peer.stream_of(BLOB).send_all(frame[at : at + rate])
            except trio.BrokenResourceError:
                pass
            await wait_all_tasks_blocked()
            assert (remote.ended is None) == survives, rate
            if not survives:
                assert trio.current_time() - started < 110
                assert (await remote.wait_ended()).detail == "a frame came too slowly"


async def test_time_between_frames_is_free(wire: Wire) -> None:
    seen: list[ChatMessage] = []
    async with wire.scripted_peer([chat(collect(seen))], limits=Limits(ping_interval=10**6)) as (_, peer):
        await peer.send_message(Say("1"))
        await trio.sleep(10**4)
        await peer.send_message(Say("2"))
        await wait_all_tasks_blocked()
    assert seen == [Say("1"), Say("2")]


@HELD_UP
async def test_a_peer_that_never_reads_is_ended_after_the_write_deadline(wire: Wire) -> None:
    async def talk(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Blob(NOISE[:50_000]))

    async with wire.scripted_peer([chat(talk)], limits=Limits(ping_interval=10**6)) as (node, _):
        remote, started = node.connected[0], trio.current_time()
        end = await remote.wait_ended()
        assert end.reason is DisconnectReason.NETWORK_ERROR
        assert end.detail == "the peer took no data for 20 s"
        assert 20 <= trio.current_time() - started <= 21


@HELD_UP
async def test_a_peer_that_reads_a_few_bytes_at_a_time_is_ended_by_the_same_deadline(wire: Wire) -> None:
    async def talk(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Blob(NOISE[:50_000]))

    async with wire.scripted_peer([chat(talk)], limits=Limits(ping_interval=10**6)) as (node, peer):
        remote, started = node.connected[0], trio.current_time()
        while remote.ended is None:
            assert trio.current_time() - started < 60
            await trio.sleep(1)
            await peer.stream.receive_some(100)
        assert (await remote.wait_ended()).detail == "the peer took no data for 20 s"
        assert trio.current_time() - started <= 22


async def test_a_ping_may_wait_behind_a_large_message_of_ours(wire: Wire) -> None:
    async def talk(_: Peer, channel: Channel[ChatMessage]) -> None:
        await channel.send(Blob(NOISE))
        await collect([])(_, channel)

    async with wire.scripted_peer([chat(talk)]) as (node, peer):
        remote = node.connected[0]
        await trio.sleep(14)
        for _ in range(40):  # a slow line: 64 KiB each 5 seconds, so the Ping of the 15th second goes out in the 90th
            await trio.sleep(5)
            while True:
                with trio.move_on_after(0.001) as scope:
                    code, _ = await peer.receive()
                    if code == base.PING:
                        await peer.pong()
                if scope.cancelled_caught:
                    break
            assert remote.ended is None


# Full inboxes


@HELD_UP
async def test_a_capability_that_does_not_read_hurts_nobody_until_its_limit_and_then_is_named(wire: Wire) -> None:
    async def never_read(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep_forever()

    seen: list[ChatMessage] = []
    capabilities = [chat(never_read, name="lazy", inbox_messages=10), chat(collect(seen), name="zeal")]
    async with wire.scripted_peer(capabilities) as (node, peer):
        remote = node.connected[0]
        lazy, zeal = peer.space.offsets[0], peer.space.offsets[1]
        for _ in range(10):
            await peer.send(lazy, rlp.encode(["x"]))
        await peer.send(zeal, rlp.encode(["on"]))
        await peer.ping()
        assert await peer.receive() == (base.PONG, b"\xc0")
        assert seen == [Say("on")]
        started = trio.current_time()
        await peer.send(lazy, rlp.encode(["too much"]))
        assert await peer.receive_disconnect() == DisconnectReason.SUBPROTOCOL_ERROR
        assert trio.current_time() - started == 5, "patience"
        await peer.stream.send_eof()
        assert (await remote.wait_ended()).detail == "lazy/1 left 40 bytes unread"


async def test_a_consumer_that_reads_slowly_gets_everything_and_keeps_its_session(wire: Wire) -> None:
    seen: list[ChatMessage] = []

    async def read_slowly(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await trio.sleep(4)
            seen.append(await channel.receive())

    sent = [Say(f"{number}") for number in range(60)]
    async with wire.scripted_peer([chat(read_slowly, inbox_messages=2)]) as (node, peer), trio.open_nursery() as nursery:
        remote = node.connected[0]

        async def answer_pings() -> None:
            while True:
                code, _ = await peer.receive()
                assert code == base.PING
                await peer.pong()

        nursery.start_soon(answer_pings)
        for message in sent:
            await peer.send_message(message)
        await trio.sleep(4 * 60 + 2)
        assert seen == sent
        assert remote.ended is None
        await trio.sleep(100)
        assert remote.ended is None
        nursery.cancel_scope.cancel()


@HELD_UP
async def test_the_inbox_is_bounded_in_bytes_too(wire: Wire) -> None:
    async def never_read(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep_forever()

    async with wire.scripted_peer([chat(never_read)], limits=Limits(inbox_bytes=100_000)) as (node, peer):
        remote = node.connected[0]
        for _ in range(4):
            await peer.send_message(Blob(NOISE[:30_000]))
        assert await peer.receive_disconnect() == DisconnectReason.SUBPROTOCOL_ERROR
        await peer.stream.send_eof()
        assert (await remote.wait_ended()).detail.startswith("chat/1 left 90")


@HELD_UP
async def test_all_inboxes_of_a_node_share_a_budget(wire: Wire) -> None:
    async def never_read(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep_forever()

    network, capability = wire.network(), chat(never_read)
    limits = Limits(total_inbox_bytes=100_000)
    async with network.node([capability], limits=limits) as node:
        first, second = [await network.peer(node, [capability]) for _ in range(2)]
        for peer in (first, second):
            await peer.begin()
        for peer in (first, second, first):
            await peer.send_message(Blob(NOISE[:30_000]))
            await wait_all_tasks_blocked()
        started = trio.current_time()
        await second.send_message(Blob(NOISE[:30_000]))
        assert await second.receive_disconnect() == DisconnectReason.SUBPROTOCOL_ERROR
        assert trio.current_time() - started == 5
        await second.stream.send_eof()
        await trio.sleep(1)
        assert len(node.connected) == 1
        await first.send_message(Blob(NOISE[:30_000]))  # the other's end gave its bytes back
        await trio.sleep(8)
        assert len(node.connected) == 1
