"""A session goes on over another link, as a capability on both sides has agreed; nobody else can bring that about."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from devp2p import (
    Address,
    Channel,
    DisconnectReason,
    LocalProtocolError,
    Node,
    Peer,
    PeerDisconnected,
    PrivateKey,
    PublicKey,
    RemoteProtocolError,
    Successor,
    Transport,
    open_node,
)
from devp2p.node.moving import AwaitedLink
from devp2p.session import open_session
from devp2p.testing import two_nodes
from devp2p.transports import MemoryMuxTransport, MemoryTransport
from tests.chat import ChatMessage, Say, chat


class Counting:
    """A capability that says numbers, and hears the other's."""

    def __init__(self, rounds: int = 100, pace: float = 0.1) -> None:
        self.heard: list[int] = []
        self.said = 0
        self._rounds = rounds
        self._pace = pace

    async def run(self, _: Peer, channel: Channel[ChatMessage]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._talk, channel)
            async for message in channel:
                assert isinstance(message, Say)
                self.heard.append(int(message.text))

    async def _talk(self, channel: Channel[ChatMessage]) -> None:
        for number in range(self._rounds):
            await channel.send(Say(str(number)))
            self.said += 1
            await trio.sleep(self._pace)


@asynccontextmanager
async def talking(**options: Any) -> AsyncGenerator[tuple[tuple[Node, Node], tuple[Peer, Peer], tuple[Counting, Counting]]]:
    counting = Counting(), Counting()
    async with two_nodes([chat(counting[0].run)], [chat(counting[1].run)], **options) as nodes:
        peers = nodes[0].connected[0], nodes[1].connected[0]
        yield nodes, peers, counting


@pytest.mark.parametrize("dials", [0, 1])
@pytest.mark.parametrize("kind", ["rlpx", "dpx", "streams"])
async def test_a_session_goes_on_over_a_link_on_which_both_have_agreed(kind: str, dials: int) -> None:
    network: Any = MemoryMuxTransport(key=PrivateKey.generate().public_key) if kind == "streams" else MemoryTransport()

    def transport(key: PublicKey) -> Transport:
        return MemoryMuxTransport(network, key=key) if kind == "streams" else network

    async with talking(dpx=kind == "dpx", transport=transport) as (nodes, peers, counting):
        await trio.sleep(3)
        before = [peer.link for peer in peers]
        moved: list[bool] = []

        async def move(side: int) -> None:
            async with peers[side].successor() as successor:
                if side == dials:
                    await successor.open(await successor.dial(nodes[1 - side].addresses[0]))
                await successor.arrived()
                moved.append(await successor.go_on())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(move, 0)
            nursery.start_soon(move, 1)
        assert moved == [True, True]
        assert all(count.said < 50 for count in counting), "it was in mid-traffic"
        assert [nodes[side].connected for side in (0, 1)] == [(peers[0],), (peers[1],)], "the peers are the same objects"
        assert all(peer.link != old for peer, old in zip(peers, before, strict=True))
        await trio.sleep(60)
        assert [count.heard for count in counting] == [list(range(100))] * 2


async def test_a_link_of_ones_own_making_may_be_the_successor_in_either_role() -> None:
    network = MemoryTransport()
    async with talking(transport=lambda _: network) as (_, peers, counting), trio.open_nursery() as nursery:
        listener = await network.bind(peers[0].link.local)

        async def accept(link: Any) -> None:
            nursery.start_soon(answer, link)

        async def answer(link: Any) -> None:
            async with peers[1].successor() as successor:
                await successor.open(link)
                assert await successor.go_on()

        nursery.start_soon(listener.serve, accept)
        async with peers[0].successor() as successor:
            await successor.open(await network.dial(listener.addresses[0], expect=None))
            assert await successor.go_on()
        await trio.sleep(60)
        assert [count.heard for count in counting] == [list(range(100))] * 2
        nursery.cancel_scope.cancel()


async def test_without_agreement_a_further_link_is_a_rival_and_the_session_stays() -> None:
    async with talking(dpx=False) as (nodes, peers, counting):
        before = peers[1].link
        async with peers[0].successor() as successor:
            await successor.open(await successor.dial(nodes[1].addresses[0]))
            assert await successor.go_on() is False
        assert peers[1].link == before
        await trio.sleep(60)
        assert [count.heard for count in counting] == [list(range(100))] * 2
        assert peers[0].ended is None


async def test_one_side_alone_does_not_move() -> None:
    async with talking(dpx=False) as (nodes, peers, _), peers[1].successor() as there, peers[0].successor() as here:
        await here.open(await here.dial(nodes[1].addresses[0]))
        await there.arrived()
        assert await there.go_on() is False, "the other side does not go on"


async def test_a_stranger_is_no_successor() -> None:
    network = MemoryTransport()
    async with (
        talking(transport=lambda _: network) as (nodes, peers, _),
        open_node(PrivateKey.generate(), [chat()], transports=[network], listen=["memory://stranger"]) as stranger,
        peers[1].successor() as there,
    ):
        await stranger.connect(nodes[1].record)
        await trio.sleep(1)
        assert len(nodes[1].connected) == 2, "it is a peer as any other"
        with pytest.raises(LocalProtocolError, match="no link"):
            await there.go_on()
        async with peers[0].successor() as here:
            with pytest.raises((RemoteProtocolError, PeerDisconnected)):
                await here.open(await here.dial(stranger.addresses[0]))  # it does not have the peer's key
        assert peers[0].ended is peers[1].ended is None


async def test_a_successor_that_is_not_taken_is_closed_and_then_there_may_be_another() -> None:
    async with talking() as (nodes, peers, counting):
        for _ in range(3):
            async with peers[1].successor() as there, peers[0].successor() as here:
                await here.open(await here.dial(nodes[1].addresses[0]))
                await there.arrived()
        with pytest.raises(LocalProtocolError, match="one successor at a time"):
            async with peers[0].successor(), peers[0].successor():
                pass
        await trio.sleep(60)
        assert [count.heard for count in counting] == [list(range(100))] * 2
        peers[0].disconnect(DisconnectReason.REQUESTED)
        await peers[0].wait_ended()
        with pytest.raises(PeerDisconnected):
            async with peers[0].successor():
                pass


async def _both(*successors: Successor) -> list[bool]:
    moved: list[bool] = []

    async def go_on(successor: Successor) -> None:
        moved.append(await successor.go_on())

    async with trio.open_nursery() as nursery:
        for one in successors:
            nursery.start_soon(go_on, one)
    return moved


async def test_a_link_of_an_earlier_attempt_that_opens_only_now_takes_no_place() -> None:
    async with talking(dpx=False) as (nodes, peers, counting):
        where = nodes[1].addresses[0]
        async with peers[0].successor() as here, peers[1].successor():
            late = await here.dial(where)
            await trio.sleep(0.1)
        async with peers[0].successor() as here, peers[1].successor() as there:
            await here.open(await here.dial(where))
            await there.arrived()
            session = await open_session(late, nodes[0]._local, expect=nodes[1].public_key)
            await trio.sleep(0.1)
            assert await _both(here, there) == [True, True]
        assert peers[0].ended is peers[1].ended is None
        await session.close()
        await trio.sleep(60)
        assert [count.heard for count in counting] == [list(range(100))] * 2


async def test_what_the_peer_dials_besides_takes_no_place_of_a_link_that_was_opened_here() -> None:
    async with talking(dpx=False) as (nodes, peers, _), peers[0].successor() as here, peers[1].successor() as there:
        await here.open(await here.dial(nodes[1].addresses[0]))
        await there.arrived()
        network = nodes[0].given_transports
        assert network is not None
        stray = await network[0].dial(nodes[0].addresses[0], expect=nodes[0].public_key)
        session = await open_session(stray, nodes[1]._local, expect=nodes[0].public_key)
        await trio.sleep(0.1)
        assert await _both(here, there) == [True, True]
        await session.close()


async def test_of_an_awaited_host_a_few_links_may_come_and_other_hosts_are_not_noted() -> None:
    nothing: Any = None
    awaited = AwaitedLink(nothing, nothing, nothing, nothing)
    expected = Address("tcp", "45.67.0.1", 30303)
    awaited.expect(expected)
    assert not any(awaited.lets_come(number.to_bytes(4, "big")) for number in range(1000))
    assert len(awaited._expected) == 1
    assert sum(awaited.lets_come(expected.ip) for _ in range(1000)) == 8
