"""What can be awaited gives other tasks their turn and can be cancelled, also when it need not wait (trio's rule for checkpoints).

Messages of a channel are the exception: a checkpoint for each would cost as much as the message; see `queues.Turn`, and row P6 of
THREATS.md for what bounds their runs.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import assert_checkpoints

from devp2p import Address, Channel, Node, NodeRecord, Peer, PrivateKey, RemoteProtocolError
from devp2p.discovery import open_discovery
from devp2p.discovery.dns.source import DnsSource
from devp2p.discovery.finding import Finder
from devp2p.node.discovering import own_candidates
from devp2p.node.events import PeerRefused
from devp2p.testing import scripted_peer, two_nodes
from tests.chat import Chat, ChatMessage, GetTime, Say, chat
from tests.discovery.zones import EAGER, URL, Zone, tree

REFUSED = PeerRefused(Address.parse("tcp://8.8.8.8:30303"), RemoteProtocolError("no"))


async def ended(node: Node) -> Peer:
    peer = node.connected[0]
    peer.disconnect()
    await peer.wait_ended()
    return peer


AWAITED: dict[str, Callable[[Node, Node], Awaitable[Any]]] = {
    "a peer that is ready": lambda left, _: anext(left.peers(Chat)),
    "so many peers": lambda left, _: left.request_peers(Chat, 1),
    "a capability that is ready": lambda left, _: left.connected[0].ready(Chat),
    "a node that is connected": lambda left, right: left.connect(right.record),
    "one more address": lambda left, _: left.listen(Address("memory", "other")),
    "a request": lambda left, _: left.connected[0][Chat].request(GetTime("utc")),
}


@pytest.mark.parametrize("awaited", AWAITED)
async def test_what_a_node_offers_to_await_is_a_checkpoint(awaited):
    async with two_nodes([Chat()], [Chat()]) as (left, right):
        await anext(left.peers(Chat))
        await anext(right.peers(Chat))
        with assert_checkpoints():
            await AWAITED[awaited](left, right)


async def test_an_event_that_is_there_is_a_checkpoint_and_so_is_the_end():
    async with two_nodes([Chat()], [Chat()]) as (left, _):
        events, peers = left.events(), left.peers(Chat)
        left.roster.publish(REFUSED)
        with assert_checkpoints():
            assert await anext(events) is REFUSED
        peer = await ended(left)
        with assert_checkpoints():
            await peer.wait_ended()
        with assert_checkpoints():
            await left.roster.wait_left(peer.public_key)
    for iterator in (events, peers):
        async for _ in iterator:
            pass
        with assert_checkpoints(), pytest.raises(StopAsyncIteration):
            await anext(iterator)


async def test_a_candidate_that_is_there_is_a_checkpoint():
    record = NodeRecord(PrivateKey.generate().public_key, (Address.parse("tcp://8.8.8.8:30303"),))
    candidates = Finder({"book": lambda: [record]}).candidates([])
    with assert_checkpoints():
        assert (await anext(candidates)).record == record


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_source_of_candidates_of_ones_own_that_never_waits_gives_others_their_turn_after_each(wanted):
    record = NodeRecord(PrivateKey.generate().public_key, (Address.parse("tcp://8.8.8.8:30303"),))
    turns = 0

    async def source() -> AsyncIterator[NodeRecord]:
        for _ in range(100):
            yield record

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        assert len([candidate async for candidate in own_candidates(source()) if wanted]) == 100 * wanted
        nursery.cancel_scope.cancel()
    assert turns >= 50  # two tasks of one batch run in any order


async def test_a_record_of_a_tree_is_a_checkpoint_each():
    zone = Zone()
    zone.publish(tree(5))
    source = DnsSource([URL], zone, limits=EAGER, once=True)
    for _ in range(5):
        with assert_checkpoints():
            await anext(source)


@pytest.mark.real_clock
async def test_an_operation_of_discovery_is_a_checkpoint_even_if_there_is_nobody_to_ask():
    nowhere = NodeRecord(PrivateKey.generate().public_key)
    async with open_discovery(PrivateKey.generate(), listen="udp://127.0.0.1:0") as discovery:
        for operation in (discovery.ping, discovery.request_enr, discovery.resolve):
            with assert_checkpoints():
                assert await operation(nowhere) is None


async def test_a_message_that_is_there_can_be_cancelled_and_is_not_lost():
    seen: list[ChatMessage] = []
    done = trio.Event()

    async def hesitate(_peer: Peer, channel: Channel[ChatMessage]) -> None:
        await trio.sleep(1)  # all of them are there
        for _ in range(3):
            with trio.CancelScope() as scope:
                scope.cancel()
                seen.append(await channel.receive())
            with trio.CancelScope() as scope:
                scope.cancel()
                await channel.send(Say("never"))
        seen.extend([await channel.receive() for _ in range(3)])
        done.set()

    async with scripted_peer([chat(hesitate)]) as (_, peer):
        for text in "abc":
            await peer.send_message(Say(text))
        await done.wait()
    assert seen == [Say(text) for text in "abc"]
