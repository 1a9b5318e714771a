"""The three uses of the whitepaper, pairwise, broadcast and groupwise, as the examples write them, over one set of peers in memory."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Capability, Node, NodeId, PrivateKey, RemoteProtocolError, keccak256, open_node
from devp2p.testing import MemoryTransport, scripted_peer
from examples.gossip import Gossip, Known, News
from examples.group import Get, Group, Put, distance
from examples.pairwise import Letter, Post, Receipt, write


class Member:
    """One of several nodes, which share all three capabilities over each of their sessions."""

    def __init__(self, key: PrivateKey) -> None:
        self.post, self.gossip, self.group = Post(), Gossip(), Group(key.public_key.node_id)
        self.capabilities: list[Capability[Any, Any]] = [self.post, self.gossip, self.group]


@asynccontextmanager
async def members(count: int, links: Sequence[tuple[int, int]]) -> AsyncIterator[list[tuple[Node, Member]]]:
    """So many nodes, of which those in `links` are connected."""
    network, found = MemoryTransport(), list[tuple[Node, Member]]()
    async with AsyncExitStack() as stack:
        for number in range(count):
            key = PrivateKey(bytes(31) + bytes([number + 1]))
            member = Member(key)
            listen, transports = [f"memory://{number}"], [network]
            opened = open_node(key, member.capabilities, listen=listen, transports=transports, strict=True)
            found.append((await stack.enter_async_context(opened), member))
        for one, other in links:
            await found[one][0].connect(found[other][0].record)
        await wait_all_tasks_blocked()
        yield found


LINE = [(0, 1), (1, 2), (2, 3)]
ALL = [(one, other) for one in range(4) for other in range(one)]


async def test_pairwise_a_letter_reaches_the_node_with_an_id_and_nobody_else():
    async with members(4, ALL) as nodes:
        (sender, _), (reader, mine) = nodes[0], nodes[2]
        await write(sender, reader.public_key.node_id, "Meet me at noon.")
        assert mine.post.box == [(sender.public_key.node_id, "Meet me at noon.")]
        assert [member.post.box for _, member in nodes if member is not mine] == [[], [], []]
        (peer,) = [peer for peer in sender.connected if peer.id == reader.public_key.node_id]
        assert peer.conduct(Post).useful == 1


async def test_pairwise_a_node_that_is_no_peer_is_named():
    stranger = PrivateKey.generate().public_key.node_id
    async with members(2, [(0, 1)]) as nodes:
        with pytest.raises(LookupError, match=stranger.hex()):
            await write(nodes[0][0], stranger, "Hello?")


@pytest.mark.parametrize("text", ["Hello.", "Goodbye."])
async def test_pairwise_a_receipt_for_another_letter_is_a_lie(text):
    async with scripted_peer([Post()]) as (node, script), trio.open_nursery() as nursery:
        (peer,) = node.connected

        async def sign() -> None:
            letter: Letter = await script.receive_message()
            await script.send_message(Receipt(letter.request_id, keccak256(b"Hello.")))

        nursery.start_soon(sign)
        if text == "Hello.":
            await write(node, peer.id, text)
        else:
            with pytest.raises(RemoteProtocolError):
                await write(node, peer.id, text)
        assert bool(peer.conduct(Post).invalid) is (text != "Hello.")


async def test_broadcast_news_reach_nodes_that_are_no_peers_of_who_has_them(capsys):
    async with members(4, LINE) as nodes:
        nodes[0][1].gossip.publish(News(1, "It rains in Lisbon."))
        await wait_all_tasks_blocked()
    assert capsys.readouterr().out.count("It rains in Lisbon.") == 3  # each of the others once


async def test_broadcast_news_cross_each_link_once_at_most_in_either_direction():
    async with members(4, ALL) as nodes:
        for number in range(10):
            nodes[number % 4][1].gossip.publish(News(number, "news"))
        await wait_all_tasks_blocked()
        for node, member in nodes:
            assert all(peer.traffic(Gossip).messages_in <= 10 for peer in node.connected)
            assert not any(member.gossip.publish(News(number, "news")) for number in range(10))


async def test_broadcast_a_newcomer_hears_what_came_last(capsys):
    async with members(2, []) as nodes:
        (one, first), (other, _) = nodes
        first.gossip.publish(News(1, "It rains in Lisbon."))
        await one.connect(other.record)
        await wait_all_tasks_blocked()
    assert capsys.readouterr().out.count("It rains in Lisbon.") == 1


async def test_broadcast_a_peer_that_takes_nothing_holds_nobody_up(capsys):
    gossip = Gossip()
    async with scripted_peer([gossip]):
        for number in range(500):  # more than wait for one peer
            gossip.publish(News(number, "x" * 280))
            await wait_all_tasks_blocked()
    assert not capsys.readouterr().out


def test_broadcast_what_is_known_is_bounded():
    known = Known(10)
    assert all(known.add(News(number, "")) for number in range(100))
    assert not known.add(News(99, ""))
    assert known.add(News(89, ""))  # forgotten


async def test_groupwise_a_value_lies_with_the_nearest_member_whoever_keeps_it_and_asks():
    async with members(4, ALL) as nodes:
        ids = [node.public_key.node_id for node, _ in nodes]
        for number in range(12):
            key = keccak256(bytes([number]))
            nearest = min(ids, key=lambda one, key=key: distance(one, key))  # type: ignore[misc]
            kept = await nodes[number % 4][1].group.ask(Put(key, b"value %d" % number))
            found = await nodes[(number + 1) % 4][1].group.ask(Get(key))
            assert (kept.holder, found.value, found.holder) == (nearest, b"value %d" % number, nearest)
        assert sum(len(member.group.values) for _, member in nodes) == 12


def is_on_the_way(ids: list[NodeId], key: bytes) -> bool:
    """Whether each of the first three is nearer to the key than the one before, and the last is not."""
    first, second, third, last = (distance(one, key) for one in ids)
    return third < second < first and third < last


async def test_groupwise_a_question_goes_on_to_a_member_that_the_asker_does_not_know():
    async with members(4, LINE) as nodes:
        ids = [node.public_key.node_id for node, _ in nodes]
        key = next(key for key in map(keccak256, (bytes([number]) for number in range(256))) if is_on_the_way(ids, key))
        assert (await nodes[0][1].group.ask(Put(key, b"far"))).holder == ids[2]
        assert nodes[2][1].group.values == {key: b"far"}


async def test_groupwise_a_new_member_is_handed_what_it_is_nearest_to():
    async with members(2, []) as nodes:
        (one, first), (other, second) = nodes
        keys = [keccak256(bytes([number])) for number in range(20)]
        for key in keys:
            await first.group.ask(Put(key, b"value"))
        await one.connect(other.record)
        await wait_all_tasks_blocked()
        near = {key for key in keys if distance(other.public_key.node_id, key) < distance(one.public_key.node_id, key)}
        assert 0 < len(near) < len(keys)
        assert set(second.group.values) == near
