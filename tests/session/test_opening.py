"""The beginning of a session: handshake and Hello, their deadline, and what strangers do instead."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import (
    Channel,
    DisconnectReason,
    LocalProtocolError,
    Peer,
    PeerDisconnected,
    PeerRefused,
    PrivateKey,
    RemoteProtocolError,
    rlp,
)
from devp2p.node.roster import Subscription
from devp2p.session import LocalNode, open_session, run_session
from devp2p.testing import ScriptedPeer
from devp2p.transports import Link, MuxLink
from devp2p.transports.memory import memory_link_pair
from devp2p.wire import base
from devp2p.wire.base import CapabilityVersion
from tests.chat import Chat, ChatMessage, GetTime, Run, Say, Time, chat, collect
from tests.wires import Wire, only

SAY, GET_TIME, TIME, BLOB = 0x10, 0x11, 0x12, 0x13
NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller


ONE_PIECE = only("one stream", because="on others, what comes in one piece with the Hello is no message of a capability")
HANDSHAKE = only("handshake", because="a link that has proved its peer needs none")


@asynccontextmanager
async def stranger(wire: Wire, *capabilities: Chat) -> AsyncIterator[tuple[Subscription, ScriptedPeer]]:
    """The events of a node, and a link to it over which nothing has been said."""
    network = wire.network()
    async with network.node(capabilities or [Chat()], strict=True) as node:
        events = node.events()
        peer = await network.peer(node, capabilities or [Chat()])
        yield events, peer
        await peer.aclose()


async def refusal(events: Subscription) -> Exception:
    async for event in events:
        if isinstance(event, PeerRefused):
            return event.error
    raise AssertionError("the node closed")


async def say_nothing(peer: ScriptedPeer) -> None:  # noqa: ARG001
    await trio.sleep_forever()


async def shake_hands_only(peer: ScriptedPeer) -> None:
    await trio.sleep(3)
    await peer.shake_hands()
    await trio.sleep_forever()


async def a_byte_a_second(peer: ScriptedPeer) -> None:
    await drip(peer, b"\x01\x90" + NOISE[:400])


async def a_byte_of_hello_a_second(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    await drip(peer, peer.seal(rlp.encode(base.HELLO) + base.encode_hello(peer.hello)))


async def drip(peer: ScriptedPeer, data: bytes) -> None:
    with suppress(trio.BrokenResourceError):
        for byte in data:
            await peer.stream.send_all(bytes([byte]))
            await trio.sleep(1)


@pytest.mark.parametrize("behave", [say_nothing, shake_hands_only, a_byte_of_hello_a_second])
async def test_handshake_and_hello_have_five_seconds_together(wire: Wire, behave) -> None:
    await take_too_long(wire, behave)


@HANDSHAKE
async def test_a_slow_auth_has_no_more(wire: Wire) -> None:
    await take_too_long(wire, a_byte_a_second)


async def take_too_long(wire: Wire, behave: Callable[[ScriptedPeer], Awaitable[None]]) -> None:
    async with stranger(wire) as (events, peer), trio.open_nursery() as nursery:
        started = trio.current_time()
        nursery.start_soon(behave, peer)
        error = await refusal(events)
        assert str(error) == "no handshake and Hello within 5 s"
        assert trio.current_time() - started == 5
        nursery.cancel_scope.cancel()


@HANDSHAKE
async def test_garbage_is_answered_by_nothing_at_all(wire: Wire) -> None:
    async with stranger(wire) as (events, peer):
        await peer.stream.send_all(b"GET / HTTP/1.1\r\n\r\n" + bytes(600))
        assert isinstance(await refusal(events), RemoteProtocolError)
        assert await peer.stream.receive_some() == b""


async def test_a_hello_that_names_another_key_is_told_so(wire: Wire) -> None:
    async with stranger(wire) as (events, peer):
        await peer.shake_hands()
        peer.hello = replace(peer.hello, public_key=PrivateKey.generate().public_key)
        await peer.say_hello()
        await peer.hear_hello()
        assert await peer.receive_disconnect() == DisconnectReason.UNEXPECTED_IDENTITY
        await peer.stream.send_eof()
        assert str(await refusal(events)) == "Hello names another node than the handshake"


async def test_only_a_small_hello_or_a_disconnect_may_come_first(wire: Wire) -> None:
    for frame in (b"\x80", bytes(3000), rlp.encode(SAY) + b"\xc0", b"\x80\xc1"):
        async with stranger(wire) as (events, peer):
            await peer.shake_hands()
            await peer.send_frame(frame)
            await peer.hear_hello()
            peer.compressed = False
            assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
            await peer.stream.send_eof()
            assert isinstance(await refusal(events), RemoteProtocolError)


async def test_a_disconnect_instead_of_a_hello_is_understood(wire: Wire) -> None:
    async with stranger(wire) as (events, peer):
        await peer.shake_hands()
        await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)
        error = await refusal(events)
        assert isinstance(error, PeerDisconnected)
        assert (error.reason, error.by_remote) == (DisconnectReason.TOO_MANY_PEERS, True)


async def test_hanging_up_during_the_handshake_is_no_fault_of_ours(wire: Wire) -> None:
    for shake in (False, True):
        async with stranger(wire) as (events, peer):
            if shake:
                await peer.shake_hands()
            await peer.aclose()
            error = await refusal(events)
            assert isinstance(error, PeerDisconnected)
            assert (error.reason, error.by_remote) == (DisconnectReason.NETWORK_ERROR, True)


async def test_a_peer_without_a_shared_capability_is_useless(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()], offers=[chat(version=2), chat(name="other")]) as (node, peer):
        assert await peer.receive_disconnect() == DisconnectReason.USELESS_PEER
        assert node.connected == ()


@ONE_PIECE
async def test_what_comes_in_one_piece_with_the_hello_is_not_lost(wire: Wire) -> None:
    seen: list[ChatMessage] = []
    async with stranger(wire, chat(collect(seen))) as (_, peer):
        await peer.shake_hands()
        hello = peer.seal(rlp.encode(base.HELLO) + base.encode_hello(replace(peer.hello, version=4)))
        await peer.stream.send_all(hello + peer.seal(rlp.encode(SAY) + rlp.encode(["early"])))
        await wait_all_tasks_blocked()
        assert seen == [Say("early")]


async def test_a_peer_of_version_4_gets_and_sends_uncompressed_messages(wire: Wire) -> None:
    async with stranger(wire) as (_, peer):
        peer.hello = replace(peer.hello, version=4)
        await peer.begin()
        assert not peer.compressed
        await peer.send_message(GetTime("x" * 300, request_id=1))
        assert await peer.receive_message() == Time(1, 300)


async def test_the_highest_shared_version_runs_and_versions_may_share_an_object(wire: Wire) -> None:
    class Store:
        def __init__(self) -> None:
            self.served: list[int] = []

    def versions(store: Store, numbers: tuple[int, ...]) -> list[Chat]:
        def note(number: int) -> Run:
            async def run(_: Peer, channel: Channel[ChatMessage]) -> None:
                store.served.append(number)
                await collect([])(_, channel)

            return run

        return [chat(note(number), version=number) for number in numbers]

    ours, theirs = Store(), Store()
    async with wire.two_nodes(versions(ours, (1, 2, 3)), versions(theirs, (1, 2, 4))) as (alice, bob):
        await wait_all_tasks_blocked()
        assert [capability.version for capability in alice.connected[0].capabilities] == [2]
        assert CapabilityVersion("chat", 4) in alice.connected[0].offers
        await trio.sleep(1)
        assert bob.connected
    assert (ours.served, theirs.served) == ([2], [2])


async def test_the_initiator_must_know_whom_it_calls() -> None:
    link, _ = memory_link_pair()
    with pytest.raises(LocalProtocolError, match="must know the key"):
        await open_session(link, LocalNode(PrivateKey.generate(), "test", (Chat(),)))


def halves(wire: Wire, *, initiator: bool) -> tuple[Link, LocalNode, ScriptedPeer]:
    """A link of ours, what we are, and a script at its other end."""
    ours, theirs = PrivateKey.generate(), PrivateKey.generate()
    if initiator:
        link, other = wire.links(ours.public_key, theirs.public_key)
    else:
        other, link = wire.links(theirs.public_key, ours.public_key)
    call = None if initiator else ours.public_key
    return link, wire.local(ours, [Chat()]), wire.script(other, [Chat()], call=call, key=theirs, extension=wire.of_script())


async def wait_closed(link: Link) -> None:
    """Wait until the other end of a link is closed."""
    if not isinstance(link, MuxLink):
        while await link.stream.receive_some():
            pass
    else:
        with suppress(trio.BrokenResourceError):
            while True:
                await link.accept()


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("after", [0, 1])
async def test_a_cancelled_handshake_closes_its_link(wire: Wire, after: int, *, initiator: bool) -> None:
    keys = PrivateKey.generate(), PrivateKey.generate()
    ends = wire.links(keys[0].public_key, keys[1].public_key)
    own, other = (0, 1) if initiator else (1, 0)
    with trio.move_on_after(after):
        expect = keys[other].public_key if initiator else None
        await open_session(ends[own], wire.local(keys[own], [Chat()]), expect=expect)
    with trio.fail_after(1):
        await wait_closed(ends[other])


@pytest.mark.parametrize("initiator", [True, False])
async def test_run_session_returns_how_it_ended_and_closes_the_link(wire: Wire, *, initiator: bool) -> None:
    link, local, peer = halves(wire, initiator=initiator)
    ends: list[PeerDisconnected] = []

    async def live() -> None:
        ends.append(await run_session(await open_session(link, local, expect=peer.key.public_key if initiator else None)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(live)
        await peer.begin()
        await peer.disconnect(0x42)
        await peer.receive_end()
    assert (ends[0].reason, ends[0].by_remote) == (0x42, True)
    assert str(ends[0]) == "peer ended the session: unknown reason (0x42)"
    with pytest.raises(trio.ClosedResourceError):
        await (link.accept() if isinstance(link, MuxLink) else link.stream.receive_some())


@pytest.mark.parametrize("together", [True, False])
async def test_a_farewell_is_heard_while_a_session_waits_even_if_it_came_with_the_hello(wire: Wire, *, together: bool) -> None:
    link, local, peer = halves(wire, initiator=False)

    async def goodbye() -> None:
        await peer.shake_hands()
        hello = peer.seal(rlp.encode(base.HELLO) + base.encode_hello(peer.hello))
        farewell = peer.seal(rlp.encode(base.DISCONNECT) + base.encode_disconnect(DisconnectReason.TOO_MANY_PEERS))
        await peer.stream.send_all(hello + farewell if together else hello)
        if not together:
            await wait_all_tasks_blocked()
            await peer.stream.send_all(farewell)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(goodbye)
        session = await open_session(link, local)
        with trio.fail_after(1), pytest.raises(PeerDisconnected) as caught:
            await session.wait_farewell()
        assert (caught.value.reason, caught.value.by_remote) == (DisconnectReason.TOO_MANY_PEERS, True)
        await session.close()


async def test_a_peer_that_refuses_and_closes_at_once_is_still_heard(wire: Wire) -> None:
    link, local, peer = halves(wire, initiator=True)

    async def refuse() -> None:
        await peer.shake_hands()
        await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)
        await peer.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse)
        with pytest.raises(PeerDisconnected) as caught:
            await open_session(link, local, expect=peer.key.public_key)
    assert (caught.value.reason, caught.value.by_remote) == (DisconnectReason.TOO_MANY_PEERS, True)
