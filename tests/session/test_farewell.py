"""The end of a session: what the peer is told, what is flushed, and how long it may take."""

import random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Capability, Channel, DisconnectReason, Limits, Peer, PrivateKey, open_node
from devp2p.testing import ScriptedPeer
from tests.chat import Blob, Chat, ChatMessage, Say, chat
from tests.wires import Wire

SAY, GET_TIME, TIME, BLOB = 0x10, 0x11, 0x12, 0x13
NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller


async def test_our_own_disconnect_says_why(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        remote = node.connected[0]
        remote.disconnect(DisconnectReason.USELESS_PEER, "bored")
        remote.disconnect(DisconnectReason.REQUESTED, "only the first counts")
        assert await peer.receive_disconnect() == DisconnectReason.USELESS_PEER
        await peer.stream.send_eof()
        end = await remote.wait_ended()
        assert (end.reason, end.by_remote, end.detail) == (DisconnectReason.USELESS_PEER, False, "bored")
        remote.disconnect()
        assert remote.ended is end


async def test_the_farewell_arrives_although_much_that_the_peer_sent_was_never_read(wire: Wire) -> None:
    async def never_read(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep_forever()

    limits = Limits(inbox_messages=1, inbox_patience=10**6, ping_interval=10**6)
    async with wire.scripted_peer([chat(never_read)], limits=limits) as (node, peer), trio.open_nursery() as nursery:
        remote = node.connected[0]

        async def pour() -> None:
            try:
                while True:
                    await peer.send_message(Blob(NOISE[:10_000]))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        nursery.start_soon(pour)
        await wait_all_tasks_blocked()
        remote.disconnect(DisconnectReason.CLIENT_QUITTING)
        assert await peer.receive_disconnect() == DisconnectReason.CLIENT_QUITTING
        await trio.aclose_forcefully(peer.stream)


@pytest.mark.real_clock
async def test_over_tcp_too_the_farewell_arrives_although_much_was_never_read() -> None:
    async def never_read(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep_forever()

    limits = Limits(inbox_messages=1, inbox_patience=10**6)
    async with open_node(PrivateKey.generate(), [chat(never_read)], listen=["tcp://127.0.0.1:0"], limits=limits) as node:
        port = node.addresses[0].port
        assert port is not None
        peer = ScriptedPeer(await trio.open_tcp_stream("127.0.0.1", port), [chat()], call=node.public_key)
        async with peer.stream:
            await peer.begin()
            remote = await anext(node.peers(Chat))
            for _ in range(8):
                await peer.send_message(Blob(NOISE[:10_000]))
            remote.disconnect(DisconnectReason.CLIENT_QUITTING)
            assert await peer.receive_disconnect() == DisconnectReason.CLIENT_QUITTING
            await peer.stream.aclose()
            await remote.wait_ended()


async def test_a_closing_node_tells_every_peer_and_is_done_within_a_second(wire: Wire) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    network = wire.network()
    async with trio.open_nursery() as nursery:
        reasons: list[int] = []

        async def hear_the_end(peer: ScriptedPeer) -> None:
            reasons.append(await peer.receive_disconnect())

        async with network.node([Chat()], strict=True) as node:
            for number in range(10):
                peer = await network.peer(node, [Chat()])
                await peer.begin()
                if number % 2:  # the others never read, nor close
                    nursery.start_soon(hear_the_end, peer)
            await network.peer(node)  # one that says nothing yet
            await wait_all_tasks_blocked()
            peers, started = node.connected, trio.current_time()
            assert len(peers) == 10
        assert trio.current_time() - started <= 1
        assert all(peer.ended is not None and peer.ended.reason is DisconnectReason.CLIENT_QUITTING for peer in peers)
    assert reasons == [DisconnectReason.CLIENT_QUITTING] * 5
    assert trio.lowlevel.current_statistics().tasks_living == before, "no task is left"


async def test_a_peer_that_reads_nothing_delays_the_end_by_at_most_a_second(wire: Wire) -> None:
    async def talk(_: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            await channel.send(Blob(NOISE[:50_000]))

    async with wire.scripted_peer([chat(talk)], limits=Limits(write_timeout=10**6, ping_interval=10**6)) as (node, _):
        await trio.sleep(5)
        remote, started = node.connected[0], trio.current_time()
        remote.disconnect()
        await remote.wait_ended()
        assert trio.current_time() - started <= 1


class Quick(Capability[Say]):
    name, version, messages = "quick", 1, {0: Say}

    async def run(self, peer: Peer, channel: Channel[Say]) -> None:  # noqa: ARG002
        await channel.send(Say("and out"))


async def test_what_both_sides_do_when_both_end_at_once(wire: Wire) -> None:
    async with wire.two_nodes([Quick()], [Quick()]) as (alice, bob):
        with trio.fail_after(3):
            while alice.connected or bob.connected:  # noqa: ASYNC110
                await trio.sleep(0.1)
