"""Faults, of the peer and of plugins: each ends its own session, with a reason, and no other."""

import logging
import random
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, Peer, RemoteProtocolError, rlp
from devp2p.testing import ScriptedPeer
from devp2p.wire import base, compression
from tests.chat import Chat, ChatMessage, GetTime, Say, Time, chat, collect
from tests.wires import Wire, only

SAY, GET_TIME, TIME, BLOB = 0x10, 0x11, 0x12, 0x13
NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller


# Faults of the peer


async def bad_mac(peer: ScriptedPeer) -> None:
    frame = bytearray(peer.seal(b"\x02\x01\x00\xc0"))
    frame[20] ^= 1
    await peer.stream.send_all(bytes(frame))


async def unknown_id(peer: ScriptedPeer) -> None:
    await peer.send(0x30)


async def bad_snappy(peer: ScriptedPeer) -> None:
    await peer.send(SAY, b"\x05\xff\xff\xff", compress=False)


async def second_hello(peer: ScriptedPeer) -> None:
    await peer.say_hello()


async def too_large(peer: ScriptedPeer) -> None:
    await peer.send(SAY, bytes(2**20 + 1))


async def too_large_frame(peer: ScriptedPeer) -> None:
    await peer.send_frame(rlp.encode(BLOB) + bytes(15 * 2**20))


async def answers_never_asked_for(peer: ScriptedPeer) -> None:
    frame = b"".join(peer.seal(rlp.encode(TIME) + compression.compress(rlp.encode([number, 0]))) for number in range(5))
    await peer.stream_of(TIME).send_all(frame)


async def fault_after_fault(peer: ScriptedPeer) -> None:
    answers = [peer.seal(rlp.encode(TIME) + compression.compress(rlp.encode([number, 0]))) for number in range(5)]
    await peer.stream_of(TIME).send_all(b"".join(answers) + bytes(200))


FAULTS = [unknown_id, bad_snappy, second_hello, answers_never_asked_for, fault_after_fault]


@pytest.mark.parametrize("misbehave", FAULTS)
async def test_a_fault_ends_the_session_and_no_other(wire: Wire, misbehave) -> None:
    await one_ends(wire, misbehave)


@pytest.mark.parametrize("misbehave", [too_large, too_large_frame])
@only("one stream", "streams", because="where messages go in chunks, one that is too large is refused, and the session goes on")
async def test_a_message_that_is_too_large_does_so_too(wire: Wire, misbehave) -> None:
    await one_ends(wire, misbehave)


@only("macs", because="it is about them")
async def test_a_bad_mac_ends_the_session_and_no_other(wire: Wire) -> None:
    await one_ends(wire, bad_mac)


async def one_ends(wire: Wire, misbehave: Callable[[ScriptedPeer], Awaitable[None]]) -> None:
    network = wire.network()
    async with network.node([Chat()], strict=True) as node:
        good, bad = [await network.peer(node, [Chat()]) for _ in range(2)]
        for peer in (good, bad):
            await peer.begin()
        await wait_all_tasks_blocked()
        remote = node.roster.get(bad.key.public_key)
        assert remote is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(misbehave, bad)
            assert await bad.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(bad.stream)
        end = await remote.wait_ended()
        assert not end.by_remote
        assert end.reason is DisconnectReason.PROTOCOL_BREACH
        await good.send_message(GetTime("abc", request_id=1))
        assert await good.receive_message() == Time(1, 3)


async def test_what_came_before_a_fault_still_counts(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote = node.connected[0]
        goodbye = peer.seal(rlp.encode(base.DISCONNECT) + compression.compress(rlp.encode([DisconnectReason.TOO_MANY_PEERS])))
        await peer.stream.send_all(goodbye + bytes(100))
        end = await remote.wait_ended()
        assert (end.reason, end.by_remote) == (DisconnectReason.TOO_MANY_PEERS, True)


async def test_messages_before_a_broken_frame_are_delivered(wire: Wire) -> None:
    seen: list[ChatMessage] = []
    async with wire.scripted_peer([chat(collect(seen))]) as (node, peer):
        remote = node.connected[0]
        await peer.stream_of(SAY).send_all(peer.seal(rlp.encode(SAY) + compression.compress(rlp.encode(["last"]))) + bytes(100))
        assert (await remote.wait_ended()).reason is DisconnectReason.PROTOCOL_BREACH
    assert seen == [Say("last")]


async def test_reserved_ids_of_the_base_protocol_are_ignored(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        for code in range(4, 16):
            await peer.send(code, b"whatever")
        await peer.ping()
        assert (await peer.receive())[0] == base.PONG
        assert node.connected


@pytest.mark.parametrize("how", ["close", "eof"])
async def test_a_peer_that_hangs_up_is_noticed(wire: Wire, how: str) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote = node.connected[0]
        if how == "eof":
            await peer.stream.send_eof()
        else:
            await trio.aclose_forcefully(peer.stream)
        end = await remote.wait_ended()
        assert (end.reason, end.by_remote) == (DisconnectReason.NETWORK_ERROR, True)


# Faults of a plugin


class Oops(Exception):  # noqa: N818
    """What a plugin did not expect."""


async def fail_on_first(_: Peer, channel: Channel[ChatMessage]) -> None:
    await channel.receive()
    raise Oops("a bug")


async def fail_in_a_nursery(_: Peer, channel: Channel[ChatMessage]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail_on_first, _, channel)
        nursery.start_soon(trio.sleep_forever)


@pytest.mark.parametrize("run", [fail_on_first, fail_in_a_nursery])
async def test_a_stray_exception_ends_one_session_with_0x10_and_a_logged_traceback(
    wire: Wire, run, caplog: pytest.LogCaptureFixture
) -> None:
    network = wire.network()
    async with network.node([chat(run)]) as node:
        good, bad = [await network.peer(node, [chat()]) for _ in range(2)]
        for peer in (good, bad):
            await peer.begin()
        await wait_all_tasks_blocked()
        remote = node.roster.get(bad.key.public_key)
        assert remote is not None
        await bad.send_message(Say("boom"))
        assert await bad.receive_disconnect() == 0x10
        await bad.stream.send_eof()
        assert (await remote.wait_ended()).detail == "chat/1 failed: Oops"
        await good.ping()
        assert (await good.receive())[0] == base.PONG
        assert len(node.connected) == 1
    (record,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    assert record.exc_info is not None
    assert "chat/1 failed" in record.getMessage()
    assert "fail_on_first" in caplog.text, "the traceback leads to the bug"


async def test_strict_lets_a_stray_exception_out(wire: Wire) -> None:
    async def provoke() -> None:
        async with wire.scripted_peer([chat(fail_on_first)]) as (_, peer):
            await peer.send_message(Say("boom"))
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await provoke()
    assert caught.group_contains(Oops, match="a bug")


async def complain(_: Peer, channel: Channel[ChatMessage]) -> None:
    await channel.receive()
    raise RemoteProtocolError("I do not like this", reason=DisconnectReason.USELESS_PEER)


async def complain_in_a_nursery(peer: Peer, channel: Channel[ChatMessage]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(complain, peer, channel)
        nursery.start_soon(wait_for_the_end)


async def wait_for_the_end() -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.1)


@pytest.mark.parametrize("run", [complain, complain_in_a_nursery])
async def test_a_plugin_may_end_a_session_with_a_reason(wire: Wire, run, caplog: pytest.LogCaptureFixture) -> None:
    async with wire.scripted_peer([chat(run)]) as (node, peer):
        remote = node.connected[0]
        await peer.send_message(Say("boom"))
        assert await peer.receive_disconnect() == DisconnectReason.USELESS_PEER
        await peer.stream.send_eof()
        end = await remote.wait_ended()
        assert (end.reason, end.detail) == (DisconnectReason.USELESS_PEER, "I do not like this")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], "it is the peer's fault, not the plugin's"


async def test_tasks_of_a_plugin_that_end_with_the_session_are_no_error(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    async def read_in_many_tasks(peer: Peer, channel: Channel[ChatMessage]) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(collect([]), peer, channel)

    async with wire.scripted_peer([chat(read_in_many_tasks)]) as (node, peer):
        remote = node.connected[0]
        await peer.disconnect(DisconnectReason.USELESS_PEER)
        assert (await remote.wait_ended()).reason is DisconnectReason.USELESS_PEER
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_plugin_that_does_not_stop_is_cancelled_half_a_second_after_the_end(wire: Wire) -> None:
    stopped: list[float] = []

    async def dawdle(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        try:
            await trio.sleep_forever()
        finally:
            stopped.append(trio.current_time())

    async with wire.scripted_peer([chat(dawdle)]) as (node, peer):
        remote, started = node.connected[0], trio.current_time()
        await peer.disconnect()
        await remote.wait_ended()
        assert stopped == [started + 0.5]
