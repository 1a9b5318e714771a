"""Rows H10 and H11 of THREATS.md: who knocks without end at a node, and keeps nobody out.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed. How long an honest
node waits over sockets is measured by ``make bench`` (tools/bench/knocks.py).
"""

import contextlib
from collections.abc import Awaitable
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Limits, Peer, PeerRefused, PrivateKey
from devp2p.node.door import Visit
from devp2p.node.sessions import Sessions
from devp2p.session import Heard, Session, wait_for_choice
from devp2p.testing import ScriptedPeer
from devp2p.transports.links import StreamLink
from tests.attacks.test_handshake_links import LIMITS, Internet, join
from tests.chat import Chat
from tests.network import running

# H10: further links of nodes that are connected


async def visitors_among(further: int) -> tuple[list[float | None], int]:
    """How long each of 20 honest nodes takes to get in while 8 connected nodes open so many further links; and how often it was refused."""
    network, took, keys = Internet(), list[float | None](), [PrivateKey.generate() for _ in range(8)]
    limits = Limits(pending_inbound=8, ping_interval=10**6)

    async def insist(number: int) -> None:
        stream = await network.call(f"66.{number}.6.6", node)
        with contextlib.suppress(trio.EndOfChannel):
            peer = ScriptedPeer(stream, [Chat()], call=node.public_key, key=keys[number % len(keys)])
            await peer.begin()
            await peer.receive_end()

    async with running(network, limits=limits, max_peers=100) as node, trio.open_nursery() as nursery:
        for number in range(len(keys)):
            nursery.start_soon(insist, number)
        await wait_all_tasks_blocked()
        assert len(node.connected) == len(keys)
        events = node.events()
        for number in range(further):
            nursery.start_soon(insist, len(keys) + number)
            if number % 4 == 3:
                took.append(await join(network, f"30.0.{number}.7", node))
        await trio.sleep(10)
        refused = sum(isinstance(event, PeerRefused) for event in events._events)
        nursery.cancel_scope.cancel()
    return took, refused


async def test_h10_links_of_connected_nodes_keep_nobody_waiting() -> None:
    assert await visitors_among(80) == ([0.0] * 20, 80)


async def test_h10_control_where_each_may_wait_in_its_place_they_keep_most_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait_in_its_place(sessions: Sessions, session: Session, _first: Peer) -> bool:
        left = partial(sessions._roster.wait_left, session.public_key)
        return await wait_for_choice(session, left, sessions._limits.duplicate_wait)

    leave, proved = Visit.leave, Visit.proved
    waiting = set[Visit]()

    def say_hello(visit: Visit) -> None:
        waiting.add(visit)
        proved(visit)

    def leave_at_the_end(visit: Visit) -> None:
        """Who has said Hello is asked to leave once when it has to wait, or when it is let in, and again when it is gone."""
        if visit in waiting:
            waiting.remove(visit)
        else:
            leave(visit)

    monkeypatch.setattr(Sessions, "_follows", wait_in_its_place)
    monkeypatch.setattr(Visit, "proved", say_hello)
    monkeypatch.setattr(Visit, "leave", leave_at_the_end)
    took, _ = await visitors_among(80)
    assert sum(one is None or one > 1 for one in took) > 10


# H11: silent links from many networks


async def silent_flood(seconds: float, limits: Limits) -> tuple[list[float | None], int]:
    """2,000 links a second from 300 networks that say nothing. How long each honest node takes to get in, and how many links were held."""
    network, took, most = Internet(), list[float | None](), 0
    async with running(network, limits=limits, max_peers=200) as node, trio.open_nursery() as nursery:
        for number in range(int(20 * seconds)):
            for link in range(100 * number, 100 * (number + 1)):
                await network.call(f"66.{link % 300 // 150}.{link % 150}.{link // 300 % 254}", node)
            await trio.lowlevel.checkpoint()
            most = max(most, node.statistics.handshakes)
            if number % 10 == 5:
                nursery.start_soon(note, took, join(network, f"30.0.{number}.7", node))
            await trio.sleep(0.05)
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    return took, most


async def note(took: list[float | None], joining: Awaitable[float | None]) -> None:
    took.append(await joining)


async def test_h11_two_thousand_silent_links_a_second_keep_nobody_out() -> None:
    took, most = await silent_flood(1, Limits(**LIMITS))
    assert took == [0.0] * 2
    assert most == 1024


async def test_h11_control_where_silence_takes_a_place_everybody_waits_for_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hear_nothing(link: StreamLink, **_: object) -> Heard:
        return Heard(link, link.stream)

    monkeypatch.setattr("devp2p.node.door.hear", hear_nothing)
    took, _ = await silent_flood(0.5, Limits(**LIMITS))
    assert all(one is None or one > 2 for one in took)


async def speak(stream: trio.abc.SendStream) -> None:
    """Send what has the size of an auth, if it is not too late."""
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(b"\x01\x90" + bytes(400))


async def test_h11_a_link_may_speak_just_when_it_has_to_make_room() -> None:
    network = Internet()
    async with running(network, limits=Limits(unheard_inbound=1, inbound_retry=0, ping_interval=10**6)) as node:
        for _ in range(20):  # the loop takes the two in any order
            speaker = await network.call("66.0.0.6", node)
            await wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(speak, speaker)
                nursery.start_soon(network.call, "66.0.1.6", node)
            assert await speaker.receive_some() == b""
            await wait_all_tasks_blocked()
            assert node.statistics.handshakes == 1
        assert await join(network, "30.0.0.7", node) == 0.0
        await trio.sleep(6)
        assert (node.statistics.handshakes, node._door.places.value) == (0, 50)
