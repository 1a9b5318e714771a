"""Who becomes a peer of a node: second links, caps, static peers, and strangers that knock too often."""

import contextlib
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import (
    Address,
    DialError,
    DialFailed,
    DisconnectReason,
    Limits,
    Node,
    NodeRecord,
    Peer,
    PeerConnected,
    PeerDropped,
    PeerReady,
    PeerRefused,
    PrivateKey,
    rlp,
)
from devp2p.peers import admission
from devp2p.testing import ScriptedPeer
from tests.chat import Chat, ChatMessage, GetTime, Say, Time, chat, collect
from tests.network import LARGE, SMALL, Network, listening_script, running, scripted

# Two links to one node


@pytest.mark.parametrize(("key", "patience"), [(SMALL, 3), (LARGE, 2)])
async def test_a_second_link_waits_for_the_peers_choice_and_is_then_refused(key: PrivateKey, patience: float) -> None:
    network = Network()
    async with running(network) as node:
        first = await scripted(network, node, key)
        started = trio.current_time()
        second = await scripted(network, node, key)
        assert await second.receive_disconnect() == DisconnectReason.ALREADY_CONNECTED
        assert trio.current_time() - started == patience
        await second.stream.aclose()
        await first.send_message(GetTime("abc", request_id=1))
        assert await first.receive_message() == Time(1, 3), "the first is as good as before"
        assert len(node.connected) == 1


async def test_if_the_first_link_ends_the_second_takes_its_place_and_nothing_is_lost() -> None:
    seen: list[ChatMessage] = []
    network = Network()
    async with running(network, capabilities=[chat(collect(seen))]) as node:
        first = await scripted(network, node, LARGE)
        events = node.events()
        second = await scripted(network, node, LARGE)
        await second.send_message(Say("I was early"))
        await trio.sleep(1)
        assert seen == []
        await first.disconnect(DisconnectReason.ALREADY_CONNECTED)
        came = [await anext(events) for _ in range(3)]
        assert [type(event) for event in came] == [PeerDropped, PeerConnected, PeerReady]
        await wait_all_tasks_blocked()
        assert seen == [Say("I was early")]


async def leave(peer: ScriptedPeer) -> None:
    await trio.aclose_forcefully(peer.stream)


async def say_goodbye(peer: ScriptedPeer) -> None:
    await peer.disconnect(DisconnectReason.ALREADY_CONNECTED)


async def misbehave(peer: ScriptedPeer) -> None:
    await peer.stream.send_all(bytes(200))


@pytest.mark.parametrize("behave", [leave, say_goodbye, misbehave])
async def test_whatever_a_second_link_does_while_it_waits_harms_nobody(behave: Any) -> None:
    network = Network()
    async with running(network) as node:
        first = await scripted(network, node, LARGE)
        second = await scripted(network, node, LARGE)
        events = node.events()
        await behave(second)
        assert isinstance(await anext(events), PeerRefused)
        await first.send_message(GetTime("abc", request_id=1))
        assert await first.receive_message() == Time(1, 3)


async def test_a_second_link_cannot_fill_our_memory_while_it_waits() -> None:
    network = Network()
    async with running(network) as node, trio.open_nursery() as nursery:
        await scripted(network, node, LARGE)
        second = await scripted(network, node, LARGE)
        sent = 0

        async def pour() -> None:
            nonlocal sent
            while True:
                await second.stream.send_all(second.seal(rlp.encode(0x10) + bytes(20_000)))
                sent += 20_000

        nursery.start_soon(pour)
        await wait_all_tasks_blocked()
        assert sent < 500_000
        nursery.cancel_scope.cancel()


async def test_a_dial_that_loses_against_the_peers_own_returns_the_peer() -> None:
    async def prefer_my_own(peer: ScriptedPeer) -> None:
        await peer.shake_hands()
        mine = await scripted(network, node, LARGE)
        await peer.say_hello()
        await peer.hear_hello()
        await peer.disconnect(DisconnectReason.ALREADY_CONNECTED)
        await mine.receive_end()

    network = Network()
    async with running(network) as node, listening_script(network, prefer_my_own) as record:
        peer = await node.connect(record)
        assert (peer.public_key, peer.inbound, peer.ended) == (LARGE.public_key, True, None)


async def test_two_nodes_that_dial_each_other_at_once_end_with_one_session_that_works() -> None:
    for attempt in range(50):
        network = Network()
        keys = (SMALL, LARGE) if attempt % 2 else (LARGE, SMALL)
        async with running(network, "a", key=keys[0]) as alice, running(network, "b", key=keys[1]) as bob:
            peers: list[Peer] = []

            async def connect(one: Node, other: Node, after: float, peers: list[Peer] = peers) -> None:
                await trio.sleep(after)
                peers.append(await one.connect(other.record))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(connect, alice, bob, 0.0)
                nursery.start_soon(connect, bob, alice, 0.0)
            await trio.sleep(5)
            assert [len(node.connected) for node in (alice, bob)] == [1, 1]
            for node in (alice, bob):
                answer = await node.connected[0][Chat].request(GetTime("abc"))
                assert answer.seconds == 3


# Who is let in


async def test_max_peers_holds_for_inbound_and_outbound() -> None:
    network = Network()
    async with (
        running(network, max_peers=1) as node,
        running(network, "b", key=SMALL) as first,
        running(network, "c", key=LARGE) as second,
    ):
        await first.connect(node.record)
        await wait_all_tasks_blocked()
        with pytest.raises(DialError, match=r"we ended the session: too many peers \(0x04\): all 1 places are taken"):
            await node.connect(second.record)
        peer = await scripted(network, node)
        assert await peer.receive_disconnect() == DisconnectReason.TOO_MANY_PEERS
        assert [peer.public_key for peer in node.connected] == [first.public_key]
        await peer.stream.aclose()


async def test_static_peers_stand_beside_max_peers() -> None:
    network = Network()
    async with running(network, "friend", key=LARGE) as friend:
        static = [friend.record, NodeRecord(SMALL.public_key, (Address("memory", "nowhere"),))]
        async with running(network, static_peers=static, max_peers=1) as node:
            await wait_all_tasks_blocked()
            assert [peer.public_key for peer in node.connected] == [friend.public_key]
            stranger = await scripted(network, node)
            assert len(node.connected) == 2, "the static peer takes nobody's place"
            other_friend = await scripted(network, node, SMALL)
            assert len(node.connected) == 3, "and has one when all are taken"
            late = await scripted(network, node)
            assert await late.receive_disconnect() == DisconnectReason.TOO_MANY_PEERS
            for peer in (stranger, other_friend, late):
                await peer.stream.aclose()


async def test_static_peers_are_dialled_again_with_growing_delays() -> None:
    network = Network()
    record = NodeRecord(LARGE.public_key, (Address("memory", "friend"),))
    async with running(network, static_peers=[record]) as node:
        events = node.events()
        retries: list[float] = []
        times: list[float] = []
        for _ in range(6):
            event = await anext(events)
            assert isinstance(event, DialFailed)
            assert str(event.error) == "memory://friend: nobody listens at memory://friend"
            retries.append(event.retry)
            times.append(trio.current_time())
        for retry, base_delay in zip(retries, (2, 4, 8, 16, 32, 35), strict=True):
            assert base_delay * 0.8 <= retry <= base_delay * 1.2
        for before, after, retry in zip(times, times[1:], retries, strict=False):
            assert after - before == pytest.approx(retry)
        async with running(network, "friend", key=LARGE):
            peer = await anext(node.peers(Chat))
            await trio.sleep(100)
        assert (await peer.wait_ended()).reason is DisconnectReason.CLIENT_QUITTING
        ended = trio.current_time()
        while not isinstance(event := await anext(events), DialFailed):
            pass
        assert trio.current_time() - ended < 2.5, "a session that lasted starts the delays anew"


async def test_one_network_may_not_knock_again_and_again() -> None:
    network = Network(seen_as="203.0.113.7")
    async with running(network, limits=Limits(ping_interval=10**6, limit_local_addresses=True)) as node:
        peer = await scripted(network, node)
        assert len(node.connected) == 1
        events = node.events()
        second = await ScriptedPeer.dial(network, node.record, [Chat()])
        event = await anext(events)
        assert isinstance(event, PeerRefused)
        assert "before the 28 s between two connections were over" in str(event.error)
        await second.receive_end()
        await trio.sleep(30)
        third = await scripted(network, node)
        assert len(node.connected) == 2
        for one in (peer, third):
            await one.stream.aclose()


async def shake_hands(network: Network, node: Node) -> None:
    """Get a place among those who shake hands, and say no Hello."""
    peer = await ScriptedPeer.dial(network, node.record)
    with contextlib.suppress(trio.EndOfChannel):
        await peer.shake_hands()
        await peer.receive_end()


async def test_one_network_may_not_hold_all_the_places_for_handshakes() -> None:
    network = Network()
    limits = Limits(inbound_retry=0.0, limit_local_addresses=True)
    async with running(network, limits=limits) as node, trio.open_nursery() as nursery:
        events = node.events()
        for number in range(3):
            network.seen_as = f"203.0.113.{number}"
            nursery.start_soon(shake_hands, network, node)
            await wait_all_tasks_blocked()
        event = await anext(events)
        assert isinstance(event, PeerRefused)
        assert str(event.error) == "2 connections of its network are shaking hands already"
        network.seen_as = "203.0.114.1"
        await scripted(network, node)
        await trio.sleep(6)  # the silent ones have been given up
        network.seen_as = "203.0.113.9"
        await scripted(network, node)
        assert len(node.connected) == 2


async def test_local_addresses_are_exempt_by_default() -> None:
    network = Network(seen_as="127.0.0.1")
    async with running(network) as node:
        for _ in range(4):
            await scripted(network, node)
        assert len(node.connected) == 4


async def test_too_many_handshakes_at_once_wait() -> None:
    network = Network()
    async with running(network, limits=Limits(pending_inbound=2, ping_interval=10**6)) as node, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(shake_hands, network, node)
        await wait_all_tasks_blocked()
        good = await ScriptedPeer.dial(network, node.record, [Chat()])
        started = trio.current_time()
        await good.begin()
        assert trio.current_time() - started == 1, "until those before it had to make room"
        await wait_all_tasks_blocked()
        assert len(node.connected) == 1
        await good.stream.aclose()


async def test_silent_links_take_no_place_for_handshakes() -> None:
    network = Network()
    async with running(network, limits=Limits(pending_inbound=1, ping_interval=10**6)) as node:
        silent = [await ScriptedPeer.dial(network, node.record) for _ in range(3)]
        await wait_all_tasks_blocked()
        started = trio.current_time()
        good = await scripted(network, node)
        assert (trio.current_time() - started, len(node.connected), node.statistics.handshakes) == (0, 1, 3)
        await trio.sleep(6)
        assert node.statistics.handshakes == 0
        for peer in silent:
            await peer.receive_end()
        await good.stream.aclose()


async def test_a_third_link_to_a_node_is_refused_at_once_and_a_second_one_still_waits() -> None:
    network = Network()
    async with running(network) as node:
        first = await scripted(network, node, LARGE)
        second = await scripted(network, node, LARGE)
        started = trio.current_time()
        for _ in range(3):
            third = await scripted(network, node, LARGE)
            assert await third.receive_disconnect() == DisconnectReason.ALREADY_CONNECTED
            assert trio.current_time() == started
            await third.stream.aclose()
        await first.disconnect(DisconnectReason.ALREADY_CONNECTED)
        await wait_all_tasks_blocked()
        assert len(node.connected) == 1
        await second.send_message(GetTime("abc", request_id=1))
        assert await second.receive_message() == Time(1, 3)


async def test_of_refused_links_that_do_not_hang_up_so_many_are_waited_for() -> None:
    network = Network()
    async with running(network, max_peers=1, limits=Limits(pending_inbound=2, ping_interval=10**6)) as node:
        await scripted(network, node)
        refused = [await scripted(network, node) for _ in range(5)]
        assert node._door.farewells == 2
        for peer in refused:
            assert await peer.receive_disconnect() == DisconnectReason.TOO_MANY_PEERS
        await trio.sleep(2)
        assert (node._door.farewells, node.statistics.handshakes) == (0, 0)


async def test_a_proxy_that_hides_where_strangers_come_from_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MANY", 3)
    network = Network(seen_as="172.17.0.1")
    async with running(network) as node:
        for _ in range(2):
            await scripted(network, node)
        assert caplog.text == ""
        for _ in range(3):
            await scripted(network, node)
        assert caplog.text.count("different nodes came from the local address 172.17.0.1") == 1
        for host in range(5):
            network.seen_as = f"8.8.{host}.8"
            await scripted(network, node)
    assert caplog.text.count("WARNING") == 1
