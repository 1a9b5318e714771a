"""The beginning of a session: handshake and Hello, their deadline, and what strangers do instead."""

import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
    open_node,
    rlp,
)
from devp2p.addresses import Address
from devp2p.node.roster import Subscription
from devp2p.session import LocalNode, open_session, run_session
from devp2p.testing import MemoryTransport, ScriptedPeer, scripted_peer, two_nodes
from devp2p.transports.links import ByteLink
from devp2p.transports.memory import memory_stream_pair
from devp2p.wire import base
from devp2p.wire.base import CapabilityVersion
from devp2p.wire.rlpx.agreement import secrets
from devp2p.wire.rlpx.frames import FrameSealer
from devp2p.wire.rlpx.handshake import Entropy, Recipient
from tests.chat import Chat, ChatMessage, GetTime, Run, Say, Time, chat, collect

SAY, GET_TIME, TIME, BLOB = 0x10, 0x11, 0x12, 0x13
NOISE = random.Random(1).randbytes(2**20)  # what snappy cannot make smaller


@asynccontextmanager
async def stranger(*capabilities: Chat) -> AsyncIterator[tuple[Subscription, ScriptedPeer]]:
    """The events of a node, and a link to it over which nothing has been said."""
    network = MemoryTransport()
    key = PrivateKey.generate()
    async with open_node(key, capabilities or [Chat()], listen=["memory://node"], transports=[network], strict=True) as node:
        events = node.events()
        peer = await ScriptedPeer.dial(network, node.record, capabilities or [Chat()])
        yield events, peer
        await trio.aclose_forcefully(peer.stream)


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
    with contextlib.suppress(trio.BrokenResourceError):
        for byte in data:
            await peer.stream.send_all(bytes([byte]))
            await trio.sleep(1)


@pytest.mark.parametrize("behave", [say_nothing, shake_hands_only, a_byte_a_second, a_byte_of_hello_a_second])
async def test_handshake_and_hello_have_five_seconds_together(behave) -> None:
    async with stranger() as (events, peer), trio.open_nursery() as nursery:
        started = trio.current_time()
        nursery.start_soon(behave, peer)
        error = await refusal(events)
        assert str(error) == "no handshake and Hello within 5 s"
        assert trio.current_time() - started == 5
        nursery.cancel_scope.cancel()


async def test_garbage_is_answered_by_nothing_at_all() -> None:
    async with stranger() as (events, peer):
        await peer.stream.send_all(b"GET / HTTP/1.1\r\n\r\n" + bytes(600))
        assert isinstance(await refusal(events), RemoteProtocolError)
        assert await peer.stream.receive_some() == b""


async def test_a_hello_that_names_another_key_is_told_so() -> None:
    async with stranger() as (events, peer):
        await peer.shake_hands()
        peer.hello = replace(peer.hello, public_key=PrivateKey.generate().public_key)
        await peer.say_hello()
        await peer.hear_hello()
        assert await peer.receive_disconnect() == DisconnectReason.UNEXPECTED_IDENTITY
        await peer.stream.send_eof()
        assert str(await refusal(events)) == "Hello names another node than the handshake"


async def test_only_a_small_hello_or_a_disconnect_may_come_first() -> None:
    for frame in (b"\x80", bytes(3000), rlp.encode(SAY) + b"\xc0", b"\x80\xc1"):
        async with stranger() as (events, peer):
            await peer.shake_hands()
            await peer.send_frame(frame)
            await peer.hear_hello()
            peer.compressed = False
            assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
            await peer.stream.send_eof()
            assert isinstance(await refusal(events), RemoteProtocolError)


async def test_a_disconnect_instead_of_a_hello_is_understood() -> None:
    async with stranger() as (events, peer):
        await peer.shake_hands()
        await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)
        error = await refusal(events)
        assert isinstance(error, PeerDisconnected)
        assert (error.reason, error.by_remote) == (DisconnectReason.TOO_MANY_PEERS, True)


async def test_hanging_up_during_the_handshake_is_no_fault_of_ours() -> None:
    for shake in (False, True):
        async with stranger() as (events, peer):
            if shake:
                await peer.shake_hands()
            await trio.aclose_forcefully(peer.stream)
            error = await refusal(events)
            assert isinstance(error, PeerDisconnected)
            assert (error.reason, error.by_remote) == (DisconnectReason.NETWORK_ERROR, True)


async def test_a_peer_without_a_shared_capability_is_useless() -> None:
    async with scripted_peer([Chat()], offers=[chat(version=2), chat(name="other")]) as (node, peer):
        assert await peer.receive_disconnect() == DisconnectReason.USELESS_PEER
        assert node.connected == ()


async def test_what_comes_in_one_piece_with_the_hello_is_not_lost() -> None:
    seen: list[ChatMessage] = []
    async with stranger(chat(collect(seen))) as (_, peer):
        await peer.shake_hands()
        hello = peer.seal(rlp.encode(base.HELLO) + base.encode_hello(replace(peer.hello, version=4)))
        await peer.stream.send_all(hello + peer.seal(rlp.encode(SAY) + rlp.encode(["early"])))
        await wait_all_tasks_blocked()
        assert seen == [Say("early")]


async def test_a_peer_of_version_4_gets_and_sends_uncompressed_messages() -> None:
    async with stranger() as (_, peer):
        peer.hello = replace(peer.hello, version=4)
        await peer.begin()
        assert not peer.compressed
        await peer.send_message(GetTime("x" * 300, request_id=1))
        assert await peer.receive_message() == Time(1, 300)


async def test_the_highest_shared_version_runs_and_versions_may_share_an_object() -> None:
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
    async with two_nodes(versions(ours, (1, 2, 3)), versions(theirs, (1, 2, 4))) as (alice, bob):
        await wait_all_tasks_blocked()
        assert [capability.version for capability in alice.connected[0].capabilities] == [2]
        assert CapabilityVersion("chat", 4) in alice.connected[0].offers
        await trio.sleep(1)
        assert bob.connected
    assert (ours.served, theirs.served) == ([2], [2])


async def test_the_initiator_must_know_whom_it_calls() -> None:
    ours, _ = memory_stream_pair()
    link = ByteLink(ours, local=Address("memory", "a"), remote=Address("memory", "b"), initiator=True)
    with pytest.raises(LocalProtocolError, match="must know the key"):
        await open_session(link, LocalNode(PrivateKey.generate(), "test", (Chat(),)))


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("after", [0, 1])
async def test_a_cancelled_handshake_closes_its_link(after: int, *, initiator: bool) -> None:
    ours, theirs = memory_stream_pair()
    link = ByteLink(ours, local=Address("memory", "a"), remote=Address("memory", "b"), initiator=initiator)
    with trio.move_on_after(after):
        expect = PrivateKey.generate().public_key if initiator else None
        await open_session(link, LocalNode(PrivateKey.generate(), "test", (Chat(),)), expect=expect)
    with trio.fail_after(1):
        while await theirs.receive_some():
            pass


async def test_run_session_returns_how_it_ended_and_closes_the_link() -> None:
    ours, theirs = memory_stream_pair()
    key = PrivateKey.generate()
    link = ByteLink(ours, local=Address("memory", "a"), remote=Address("memory", "b"), initiator=False)
    peer = ScriptedPeer(theirs, [Chat()], call=key.public_key)
    ends: list[PeerDisconnected] = []

    async def live() -> None:
        ends.append(await run_session(await open_session(link, LocalNode(key, "test", (Chat(),)))))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(live)
        await peer.begin()
        await peer.disconnect(0x42)
        await peer.receive_end()
    assert (ends[0].reason, ends[0].by_remote) == (0x42, True)
    assert str(ends[0]) == "peer ended the session: unknown reason (0x42)"
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some()


@pytest.mark.parametrize("together", [True, False])
async def test_a_farewell_is_heard_while_a_session_waits_even_if_it_came_with_the_hello(*, together: bool) -> None:
    ours, theirs = memory_stream_pair()
    key = PrivateKey.generate()
    link = ByteLink(ours, local=Address("memory", "a"), remote=Address("memory", "b"), initiator=False)
    peer = ScriptedPeer(theirs, [Chat()], call=key.public_key)

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
        session = await open_session(link, LocalNode(key, "test", (Chat(),)))
        with trio.fail_after(1), pytest.raises(PeerDisconnected) as caught:
            await session.wait_farewell()
        assert (caught.value.reason, caught.value.by_remote) == (DisconnectReason.TOO_MANY_PEERS, True)
        await session.close()


async def test_a_peer_that_refuses_and_closes_at_once_is_still_heard() -> None:
    ours, theirs = memory_stream_pair()
    link = ByteLink(ours, local=Address("memory", "a"), remote=Address("memory", "b"), initiator=True)
    peer = ScriptedPeer(theirs, [Chat()])

    async def refuse() -> None:
        sent: list[bytes] = []
        handshake = Recipient(peer.key, Entropy.draw(random.Random(1).randbytes))
        agreement = None
        while agreement is None:
            agreement = handshake.receive_data(await theirs.receive_some())
        sent += [handshake.packet, *FrameSealer(secrets(agreement)).seal(b"\x01" + base.encode_disconnect(DisconnectReason.TOO_MANY_PEERS))]
        await theirs.send_all(b"".join(sent))
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse)
        with pytest.raises(PeerDisconnected) as caught:
            await open_session(link, LocalNode(PrivateKey.generate(), "test", (Chat(),)), expect=peer.key.public_key)
    assert (caught.value.reason, caught.value.by_remote) == (DisconnectReason.TOO_MANY_PEERS, True)
