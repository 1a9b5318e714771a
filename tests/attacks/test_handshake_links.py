"""Rows H6 to H8 of THREATS.md: links that never come to a session, links without number, and two that dial each other at once.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import contextlib
import random
import resource
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, DialError, Limits, Node, NodeRecord, PeerConnected, PrivateKey, open_node
from devp2p.node.door import Door
from devp2p.node.policy import Policy
from devp2p.node.roster import Roster
from devp2p.peers.admission import Admission
from devp2p.peers.slots import Admit
from devp2p.testing import MemoryTransport, ScriptedPeer
from devp2p.transports.links import ByteLink
from tests.chat import Chat, GetTime
from tests.network import LARGE, Changed, Network, running

LIMITS: dict[str, Any] = {"limit_local_addresses": True, "ping_interval": 10**6}


class Internet(MemoryTransport):
    """Memory in which each link has the address that its caller says."""

    def __init__(self) -> None:
        super().__init__()
        self._callers: dict[str, str] = {}

    async def call(self, host: str, node: Node) -> trio.abc.HalfCloseableStream:
        link = await self.dial(node.record.addresses[0], expect=None)
        assert link.local is not None
        self._callers[link.local.host] = host
        return link.stream

    async def bind(self, address: Address) -> Any:
        def named(link: ByteLink) -> ByteLink:
            link.remote = Address("tcp", self._callers.pop(link.remote.host), 30303)
            return link

        return Changed(await super().bind(address), named)


async def drip(stream: trio.abc.SendStream) -> None:
    """Send what may be an auth, one byte a second."""
    with contextlib.suppress(trio.BrokenResourceError):
        for byte in b"\x01\x90" + bytes(400):
            await stream.send_all(bytes([byte]))
            await trio.sleep(1)
    await stream.aclose()


async def join(network: Internet, host: str, node: Node) -> float | None:
    """Seconds until an honest caller has a session; None if it has none after five, when it gives up."""
    began = trio.current_time()
    stream = await network.call(host, node)
    peer = ScriptedPeer(stream, [Chat()], call=node.public_key)
    try:
        with trio.fail_after(5):
            await peer.begin()
    except (trio.EndOfChannel, trio.TooSlowError):
        return None
    finally:
        await trio.aclose_forcefully(stream)
    return trio.current_time() - began


async def shake_hands(network: Internet, host: str, node: Node) -> None:
    """Send an auth, and no Hello: a link that has a place among those who shake hands until it is turned out."""
    stream = await network.call(host, node)
    with contextlib.suppress(trio.EndOfChannel):
        peer = ScriptedPeer(stream, [Chat()], call=node.public_key)
        await peer.shake_hands()
        await peer.receive_end()
    await trio.aclose_forcefully(stream)


# H6: one network


async def crowd_of_one_network(links: int, limits: Limits) -> tuple[int, float | None]:
    """Many links from a /24 that come no further than to the handshake. How many have a place at most, and how an honest one fares."""
    network, most = Internet(), 0
    async with running(network, limits=limits) as node, trio.open_nursery() as nursery:
        for number in range(links):
            nursery.start_soon(shake_hands, network, f"66.6.6.{number}", node)
        await wait_all_tasks_blocked()
        took = await join(network, "30.0.0.7", node)
        for _ in range(5):
            await wait_all_tasks_blocked()  # at each full second one link makes room for the next, and between the two its place is empty
            most = max(most, len(node._door.unproved) + len(node._door.hurried))
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    return most, took


async def test_h6_two_thousand_silent_links_of_one_host_have_no_place_and_delay_nobody() -> None:
    network = Internet()
    async with running(network, limits=Limits(**LIMITS)) as node, trio.open_nursery() as nursery:
        for _ in range(2000):
            nursery.start_soon(drip, await network.call("66.6.6.6", node))
        await wait_all_tasks_blocked()
        assert (node.statistics.handshakes, node._door.places.value) == (1, 50)
        assert await join(network, "30.0.0.7", node) == 0.0
        nursery.cancel_scope.cancel()


async def test_h6_those_of_one_network_have_two_places_and_delay_nobody() -> None:
    assert await crowd_of_one_network(100, Limits(**LIMITS)) == (2, 0.0)


async def test_h6_control_without_bounds_for_a_network_they_delay_everybody() -> None:
    most, took = await crowd_of_one_network(100, Limits(**LIMITS, pending_per_subnet=10**6))
    assert 40 < most <= 50
    assert took is None or took >= 1.0


# H6: sixty networks, each as often as it may, which together begin ten times as many handshakes as five places can hold for five seconds


async def in_time(limits: Limits) -> float:
    """What share of honest nodes gets in within two seconds while so many networks begin handshakes and do not end them."""
    network, chance, took = Internet(), random.Random(1), list[float | None]()

    async def hold(number: int) -> None:
        for turn in range(3):
            await trio.sleep_until(began + number / 2 + 30.1 * turn)
            await shake_hands(network, f"66.{number}.6.6", node)

    async def come(host: str) -> None:
        took.append(await join(network, host, node))

    async with running(network, limits=limits, max_peers=200) as node, trio.open_nursery() as nursery:
        began = trio.current_time()
        for number in range(60):
            nursery.start_soon(hold, number)
        await trio.sleep(10)
        for number in range(30):
            nursery.start_soon(come, f"30.0.{number}.7")
            await trio.sleep(4 * chance.random())
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    return sum(one is not None and one < 2 for one in took) / len(took)


async def test_h6_handshakes_that_are_not_ended_keep_nobody_waiting() -> None:
    assert await in_time(Limits(**LIMITS, pending_inbound=5)) == 1.0


async def test_h6_control_where_nobody_has_to_make_room_most_wait() -> None:
    assert await in_time(Limits(**LIMITS, pending_inbound=5, crowded_timeout=5.0)) < 0.5


async def test_h6_who_makes_room_is_the_one_that_came_first_and_is_told_nothing() -> None:
    network = Internet()
    async with running(network, limits=Limits(pending_inbound=3, ping_interval=10**6)) as node:
        began, gone = trio.current_time(), list[tuple[int, float]]()

        async def hold(number: int) -> None:
            await shake_hands(network, f"66.6.{number}.6", node)
            gone.append((number, trio.current_time() - began))

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(hold, number)
                await trio.sleep(0.25)
        assert gone == [(0, 1.0), (1, 5.25), (2, 5.5), (3, 5.75)]  # one makes room for the fourth; then nobody waits


async def test_h6_who_has_said_hello_takes_no_place() -> None:
    network = Network()
    async with running(network, limits=Limits(pending_inbound=1, ping_interval=10**6)) as node:
        first = await ScriptedPeer.dial(network, node.record, [Chat()], key=LARGE)
        await first.begin()
        await wait_all_tasks_blocked()
        second = await ScriptedPeer.dial(network, node.record, [Chat()], key=LARGE)  # waits two seconds for its peer to choose
        await second.begin()
        began = trio.current_time()
        third = await ScriptedPeer.dial(network, node.record, [Chat()])
        await third.begin()
        assert trio.current_time() == began
        for peer in (first, second, third):
            await peer.stream.aclose()


# H7: links without number


async def flood(limits: Limits) -> tuple[int, int]:
    """Connect 1,000 times to a node that listens at a socket, and say a word. By how many files and tasks it grows at most."""
    async with open_node(PrivateKey.generate(), [Chat()], listen=["tcp://127.0.0.1:0"], limits=limits) as node:
        await wait_all_tasks_blocked()
        where = ("127.0.0.1", node.addresses[0].port)
        clients = deque[socket.socket]()
        files, tasks = open_files(), trio.lowlevel.current_statistics().tasks_living
        most_files = most_tasks = 0
        for number in range(1000):
            clients.append(socket.create_connection(where))
            clients[-1].send(b"\x01")  # the kernel keeps what says nothing to itself for a second
            if len(clients) > 400:
                clients.popleft().close()
            if number % 10 == 9:
                for _ in range(20):
                    await trio.lowlevel.checkpoint()
                most_files = max(most_files, open_files() - len(clients) - files)
                most_tasks = max(most_tasks, trio.lowlevel.current_statistics().tasks_living - tasks)
        for client in clients:
            client.close()
    return most_files, most_tasks


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.real_clock
async def test_h7_of_a_thousand_links_fifty_are_held() -> None:
    files, tasks = await flood(Limits(unheard_inbound=50))
    assert 10 < files <= 50 + 16, "and those that are accepted in one step"
    assert tasks <= 50 + 16


@pytest.mark.real_clock
async def test_h7_control_without_bounds_each_that_stands_is() -> None:
    files, tasks = await flood(Limits(unheard_inbound=10**9))
    assert files > 100
    assert tasks > 100


@pytest.mark.real_clock
async def test_h7_no_more_links_are_held_than_half_of_the_files_that_there_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (900, hard))
    try:
        async with open_node(PrivateKey.generate(), [Chat()], listen=["tcp://127.0.0.1:0"]) as node:
            assert node._door.unheard.most == 450
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_h7_a_host_that_connects_three_thousand_times_shakes_hands_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await handshakes_of_a_flood(monkeypatch) == 1


async def test_h7_control_without_a_wait_each_link_has_a_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Admission, "knock", lambda *_: None)
    assert await handshakes_of_a_flood(monkeypatch) > 1000


async def handshakes_of_a_flood(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many of 3,000 links, which one host opens and breaks, come to where a handshake begins."""
    network, heard, hear = Internet(), 0, Door._hear

    async def count(door: Door, *arguments: Any) -> Any:
        nonlocal heard
        heard += 1
        return await hear(door, *arguments)

    monkeypatch.setattr(Door, "_hear", count)
    async with running(network, limits=Limits(**LIMITS)) as node:
        for _ in range(3000):
            await trio.aclose_forcefully(await network.call("66.6.6.6", node))
        await wait_all_tasks_blocked()
    return heard


# H8: at once


@asynccontextmanager
async def hub(network: MemoryTransport, count: int) -> AsyncIterator[tuple[Node, list[Node]]]:
    async with contextlib.AsyncExitStack() as stack:
        keys = [PrivateKey.generate() for _ in range(count)]
        others = [await stack.enter_async_context(running(network, f"n{n}", key=key)) for n, key in enumerate(keys)]
        yield await stack.enter_async_context(running(network, max_peers=2 * count)), others


async def dial(node: Node, record: NodeRecord) -> None:
    with contextlib.suppress(DialError):
        await node.connect(record)


async def test_h8_of_80_that_are_dialled_and_dial_at_once_each_has_one_session() -> None:
    await dial_each_other_at_once(80)


@pytest.mark.simulation
async def test_h8_of_200_that_are_dialled_and_dial_at_once_each_has_one_session() -> None:
    await dial_each_other_at_once(200)


async def dial_each_other_at_once(count: int) -> None:
    network = Network()
    async with hub(network, count) as (node, others):
        events = node.events()
        async with trio.open_nursery() as nursery:
            for other in others:
                nursery.start_soon(dial, node, other.record)
                nursery.start_soon(dial, other, node.record)
        await trio.sleep(10)
        assert network.dials == 2 * count
        assert Counter(peer.public_key for peer in node.connected) == {other.public_key: 1 for other in others}
        assert all([peer.public_key for peer in other.connected] == [node.public_key] for other in others)
        for other in others:
            assert (await other.connected[0][Chat].request(GetTime("abc"))).seconds == 3
        assert events.lost == 0


async def sessions_of_one_key(links: int) -> int:
    """How many sessions begin when one node opens so many links at once."""
    network, began = Network(), 0
    async with running(network) as node:
        events = node.events()
        peers = [await ScriptedPeer.dial(network, node.record, [Chat()], key=LARGE) for _ in range(links)]
        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(peer.begin)
        await wait_all_tasks_blocked()
        while events._events:
            began += isinstance(await anext(events), PeerConnected)
        for peer in peers:
            await trio.aclose_forcefully(peer.stream)
        await wait_all_tasks_blocked()
    return began


async def test_h8_two_hundred_links_of_one_node_come_to_one_session() -> None:
    assert await sessions_of_one_key(200) == 1


async def test_h8_control_if_nobody_looked_each_would_be_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Roster, "get", lambda *_: None)
    monkeypatch.setattr(Policy, "admit", lambda *_, **__: Admit(b"", "it is not looked at"))
    monkeypatch.setattr(Roster, "remove", lambda *_: None)
    assert await sessions_of_one_key(40) == 40
