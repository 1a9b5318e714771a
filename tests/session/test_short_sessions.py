"""Sessions that are over before they have begun here: what the peer sent before its Disconnect is delivered, then the end."""

from collections.abc import Iterable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, Limits, Peer, PeerConnected, PeerDropped, PeerRefused, rlp
from devp2p.testing import ScriptedPeer
from devp2p.wire import base, compression
from tests.chat import Chat, ChatMessage, GetTime, Say, Time, chat, collect
from tests.network import LARGE
from tests.wires import Network, Wire, only

SAY, GET_TIME = 0x10, 0x11
ONE_PIECE = only("one stream", because="elsewhere what comes in one piece with the Hello is no message of a capability")


def frame(peer: ScriptedPeer, code: int, *fields: rlp.Encodable) -> bytes:
    return peer.seal(bytes([code]) + compression.compress(rlp.encode(fields)))


def farewell(peer: ScriptedPeer, reason: DisconnectReason = DisconnectReason.CLIENT_QUITTING) -> bytes:
    return frame(peer, base.DISCONNECT, reason)


async def say_all_at_once(network: Network, record, texts: Iterable[str], *, key=None) -> ScriptedPeer:
    """Hello, messages and Disconnect in a single piece."""
    peer = await network.peer(record, [Chat()], key=key)
    await peer.shake_hands()
    hello = peer.seal(rlp.encode(base.HELLO) + base.encode_hello(peer.hello))
    await peer.stream.send_all(hello + b"".join([frame(peer, SAY, text) for text in texts]) + farewell(peer))
    await peer.hear_hello()  # who closes before that was never there
    await peer.stream.aclose()
    return peer


@ONE_PIECE
@pytest.mark.parametrize("key", [None, LARGE], ids=["of many", "of one that comes again at once"])
async def test_what_came_with_the_hello_and_the_farewell_is_delivered(wire: Wire, key):
    seen: list[ChatMessage] = []
    network = wire.network()
    texts = [[f"{session}/{number}" for number in range(4)] for session in range(25)]
    async with network.running(capabilities=[chat(collect(seen))]) as node:
        events = node.events()
        for number, each in enumerate(texts):
            await say_all_at_once(network, node.record, each, key=key)
            if number % 2 == 0:  # of each key one link may wait for the one before it to end
                await wait_all_tasks_blocked()
        assert sorted(message.text for message in seen if isinstance(message, Say)) == sorted(text for each in texts for text in each)
        news = [await anext(events) for _ in range(3 * len(texts))]
        assert sum(isinstance(event, PeerConnected) for event in news) == len(texts)
        ends = [event.end for event in news if isinstance(event, PeerDropped)]
        assert {(end.reason, end.by_remote) for end in ends} == {(DisconnectReason.CLIENT_QUITTING, True)}
        assert not node.connected


@ONE_PIECE
async def test_a_capability_that_speaks_first_still_hears_a_peer_that_has_already_left(wire: Wire):
    seen: list[ChatMessage] = []

    async def greet(peer: Peer, channel: Channel[ChatMessage]) -> None:
        await channel.send(Say("welcome"))
        await collect(seen)(peer, channel)

    network = wire.network()
    async with network.running(capabilities=[chat(greet)]) as node:
        for number in range(25):
            await say_all_at_once(network, node.record, [str(number)])
        await wait_all_tasks_blocked()
    assert len(seen) == 25


@ONE_PIECE
async def test_a_farewell_with_nothing_before_it_is_still_a_refusal(wire: Wire):
    network = wire.network()
    async with network.running() as node:
        events = node.events()
        await say_all_at_once(network, node.record, [])
        event = await anext(events)
        assert isinstance(event, PeerRefused)
        assert "CLIENT_QUITTING" in repr(event.error) or "quitting" in str(event.error)


async def say_and_leave(peer: ScriptedPeer, number: int) -> None:
    asks = b"".join([frame(peer, GET_TIME, each + 1, b"zone") for each in range(number)])
    if (stream := peer.stream_of(GET_TIME)) is peer.stream:
        await stream.send_all(asks + farewell(peer))
    else:
        await stream.send_all(asks)
        await peer.disconnect(DisconnectReason.CLIENT_QUITTING)
    await peer.aclose()


async def test_a_full_inbox_takes_all_that_came_before_the_farewell_even_if_nothing_can_be_answered(wire: Wire):
    seen: list[ChatMessage] = []

    async def answer(_: Peer, channel: Channel[ChatMessage]) -> None:
        async for message in channel:
            seen.append(message)
            await trio.sleep(0.01)
            if isinstance(message, GetTime):
                await channel.send(Time(message.request_id, 1))

    network = wire.network()
    async with network.running(capabilities=[chat(answer)], limits=Limits(inbox_messages=8)) as node:
        peer = await network.peer(node, [Chat()])
        await peer.begin()
        remote = await anext(node.peers(Chat))
        await say_and_leave(peer, 100)
        end = await remote.wait_ended()
        assert len(seen) == 100
        assert (end.reason, end.by_remote) == (DisconnectReason.CLIENT_QUITTING, True)


async def test_a_capability_that_takes_nothing_does_not_keep_a_peer_that_has_left(wire: Wire):
    async def never_read(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep_forever()

    network = wire.network()
    async with network.running(capabilities=[chat(never_read)], limits=Limits(inbox_messages=8, inbox_patience=5)) as node:
        peer = await network.peer(node, [Chat()])
        await peer.begin()
        remote, began = await anext(node.peers(Chat)), trio.current_time()
        await say_and_leave(peer, 100)
        end = await remote.wait_ended()
        assert (end.reason, end.by_remote) == (DisconnectReason.CLIENT_QUITTING, True)
        assert trio.current_time() - began <= (6 if "one stream" in wire.traits else 6.5), "and more may come on another stream"
