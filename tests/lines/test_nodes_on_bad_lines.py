"""Nodes on real sockets whose lines are bad: slow, cut, half open, losing datagrams."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
import trio

from devp2p import Address, Channel, DialError, DisconnectReason, Limits, Node, NodeRecord, Peer, PrivateKey, open_node
from devp2p.discovery import Discovery
from tests.chat import Blob, Chat, ChatMessage, Say, chat, collect
from tests.discovery.services import running
from tests.relay import GOOD, Air, Line, TcpRelay, UdpSwitch, tcp_relay, udp_switch

pytestmark = pytest.mark.real_clock

QUICK = Limits(ping_interval=0.1, ping_timeout=0.4, handshake_timeout=1.0, closing_timeout=0.2, frame_timeout=0.5, write_timeout=0.5)
NOISE = random.Random(1).randbytes(400_000)  # what snappy cannot make smaller


@pytest.fixture(autouse=True)
def quick_redials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.peers.backoff._FIRST", 0.1)


@dataclass
class Pair:
    """Two nodes with a relay in between: `one` dials `other` through it."""

    one: Node
    other: Node
    relay: TcpRelay
    record: NodeRecord
    """The other, as it is reached through the relay."""
    seen: tuple[list[ChatMessage], list[ChatMessage]]

    async def connect(self) -> tuple[Peer, Peer]:
        peer = await self.one.connect(self.record)
        return peer, await anext(self.other.peers(Chat))


@asynccontextmanager
async def pair(limits: Limits = QUICK, *, static: bool = False, there: Line = GOOD, back: Line = GOOD) -> AsyncIterator[Pair]:
    seen: tuple[list[ChatMessage], list[ChatMessage]] = [], []
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(
            open_node(PrivateKey.generate(), [chat(collect(seen[1]))], listen=["tcp://127.0.0.1:0"], limits=limits, strict=True)
        )
        relay = await stack.enter_async_context(tcp_relay(other.addresses[0].port or 0, there=there, back=back))
        record = NodeRecord(other.public_key, (Address("tcp", "127.0.0.1", relay.port),))
        one = await stack.enter_async_context(
            open_node(PrivateKey.generate(), [chat(collect(seen[0]))], limits=limits, strict=True, static_peers=[record] if static else [])
        )
        yield Pair(one, other, relay, record, seen)


async def talk(channel: Channel[ChatMessage], count: int) -> None:
    for number in range(count):
        await channel.send(Blob(NOISE[:30_000]) if number % 20 == 10 else Say(str(number)))


def expected(count: int) -> list[ChatMessage]:
    """What `talk` says. Blobs are in a lane of their own and may come later."""
    return [Say(str(number)) for number in range(count) if number % 20 != 10]


async def test_a_session_on_a_slow_shaky_line_loses_nothing_and_keeps_the_order():
    bad = Line(delay=0.02, jitter=0.03, rate=1_000_000)
    async with pair(there=bad, back=bad) as two:
        async with trio.open_nursery() as nursery:
            for peer in await two.connect():
                nursery.start_soon(talk, peer._channel(Chat), 200)
        while min(map(len, two.seen)) < 200:  # noqa: ASYNC110
            await trio.sleep(0.01)
        for seen in two.seen:
            assert [message for message in seen if isinstance(message, Say)] == expected(200)
            assert seen.count(Blob(NOISE[:30_000])) == 10


@pytest.mark.parametrize("cut", ["reset", "end"])
async def test_a_cut_ends_both_sides_and_a_static_peer_comes_back(cut):
    async with pair(static=True) as two:
        peers = await anext(two.one.peers(Chat)), await anext(two.other.peers(Chat))
        two.relay.cut(cut)
        for peer in peers:
            end = await peer.wait_ended()
            assert (end.reason, end.by_remote) == (DisconnectReason.NETWORK_ERROR, True)
        again = await anext(two.one.peers(Chat))
        assert again is not peers[0]
        assert two.relay.connections == 2


async def test_wherever_a_connection_is_cut_the_next_one_works():
    reached = 0
    async with pair() as two:
        for after in range(0, 1200, 75):
            two.relay.there = Line(cut_after=after)
            with suppress(DialError):
                peer = await two.one.connect(two.record)
                reached += 1
                await peer.wait_ended()
            two.relay.there = Line()
            peer, back = await two.connect()
            await peer._channel(Chat).send(Say(str(after)))
            while Say(str(after)) not in two.seen[1]:  # noqa: ASYNC110
                await trio.sleep(0.005)
            assert len(two.one.connected) == len(two.other.connected) == 1
            peer.disconnect()
            await back.wait_ended()
            await peer.wait_ended()
    assert 0 < reached < 16, "some were cut before the Hello, and some after it"


@pytest.mark.parametrize(("there", "back"), [(True, False), (False, True), (True, True)])
async def test_a_half_open_connection_is_noticed_by_pings(there, back):
    async with pair() as two:
        peers = await two.connect()
        two.relay.silence(there=there, back=back)
        ends = [await peer.wait_ended() for peer in peers]
        assert DisconnectReason.PING_TIMEOUT in {end.reason for end in ends}
        assert {end.reason for end in ends} <= {DisconnectReason.PING_TIMEOUT, DisconnectReason.NETWORK_ERROR}
        if there and back:
            assert [end.by_remote for end in ends] == [False, False]


async def test_control_without_pings_a_half_open_connection_lasts():
    async with pair(Limits()) as two:
        await two.connect()
        two.relay.silence()
        await trio.sleep(1.5)
        assert len(two.one.connected) == len(two.other.connected) == 1


async def test_silence_in_the_handshake_fails_the_dial_in_time():
    async with pair(back=Line(silent_after=10)) as two:
        started = trio.current_time()
        with pytest.raises(DialError, match="no handshake and Hello within 1 s"):
            await two.one.connect(two.record)
        assert trio.current_time() - started < 3


async def test_a_line_that_stalls_inside_a_frame_is_given_up_and_a_short_stall_is_not():
    for stall, lives in ((0.2, True), (3.0, False)):
        async with pair(there=Line(stall_after=200_000, stall=stall)) as two:
            peer, back = await two.connect()
            await peer._channel(Chat).send(Blob(NOISE))
            if lives:
                while two.seen[1] != [Blob(NOISE)]:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                assert peer.ended is back.ended is None
            else:
                end = await back.wait_ended()
                assert (end.reason, end.detail) == (DisconnectReason.NETWORK_ERROR, "a frame came too slowly")
                await peer.wait_ended()


# Discovery


@asynccontextmanager
async def scattered(size: int, version: int) -> AsyncIterator[tuple[UdpSwitch, list[Discovery]]]:
    """Nodes behind a switch, of which each knows the first one."""
    async with udp_switch(Air()) as switch, AsyncExitStack() as stack:
        nodes: list[Discovery] = []
        for _ in range(size):
            port = await switch.open_port()
            known = [nodes[0].record.text] if nodes else []
            node = await stack.enter_async_context(running(external=[f"127.0.0.1:{port}"], bootnodes=known, versions={version}))
            switch.attach(port, node.address.port or 0)
            nodes.append(node)
        yield switch, nodes


async def searched(nodes: list[Discovery], steps: range) -> float:
    """The share of lookups that find the node that they look for, of some by each node."""
    hits = 0

    async def look(one: Discovery, other: Discovery) -> None:
        nonlocal hits
        found = await one.lookup(other.record.public_key)
        hits += any(node.public_key == other.record.public_key for node in found)

    for step in steps:  # one search of each node at once, as each answers but a few questions a second
        async with trio.open_nursery() as nursery:
            for index, node in enumerate(nodes):
                nursery.start_soon(look, node, nodes[(index + step) % len(nodes)])
    return hits / (len(steps) * len(nodes))


@pytest.mark.simulation
@pytest.mark.parametrize("version", [4, 5])
async def test_searches_among_nodes_that_know_each_other_bear_bad_air(monkeypatch, version):
    monkeypatch.setattr("devp2p.discovery.table.kademlia._FAST", 0.2)
    async with scattered(8, version) as (switch, nodes):
        await trio.sleep(1)
        assert await searched(nodes, range(1, 3)) == 1.0, "each finds each, and so has a proof of its address"
        switch.air = Air(loss=0.05, duplication=0.02, delay=0.002, jitter=0.02)
        share = await searched(nodes, range(1, 3))
        assert switch.lost > 0
        assert share > 0.9


@pytest.mark.long
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(("loss", "least"), [(0.05, 0.99), (0.2, 0.85), (1.0, 0.0)])
def test_most_searches_bear_much_loss(monkeypatch, version, loss, least):
    """A search has found a node if that node itself has answered it; so with one datagram of five lost, some do not."""
    monkeypatch.setattr("devp2p.discovery.table.kademlia._FAST", 0.2)

    async def main() -> float:
        async with scattered(8, version) as (switch, nodes):
            await trio.sleep(1)
            assert await searched(nodes, range(1, 8)) == 1.0
            switch.air = Air(loss=loss, duplication=0.02, delay=0.002, jitter=0.02)
            return sum([await searched(nodes, range(1, 8)) for _ in range(4)]) / 4

    share = trio.run(main)
    assert share >= least
    assert (share == 0.0) == (loss == 1.0)
