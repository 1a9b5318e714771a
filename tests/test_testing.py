"""The tools for plugin authors do what they say."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Channel, DisconnectReason, LocalProtocolError, PeerDisconnected, PrivateKey, rlp
from devp2p.errors import DecodingError
from devp2p.session import LocalNode, open_session
from devp2p.testing import MemoryTransport, ScriptedPeer, scripted_peer, two_nodes
from devp2p.transports.links import ByteLink
from devp2p.transports.memory import memory_mux_pair, memory_stream_pair
from devp2p.wire import FrameFraming, base, compression
from devp2p.wire.rlpx import Agreement, Extension, rlpx_framing, secrets
from tests.chat import Chat, ChatMessage, GetTime, Say, Time, chat, collect
from tests.wires import Wire, only


async def test_two_nodes_are_connected_to_each_other() -> None:
    async with two_nodes([Chat()], [Chat()]) as (alice, bob):
        assert [peer.public_key for peer in alice.connected] == [bob.public_key]
        assert [peer.public_key for peer in bob.connected] == [alice.public_key]
        assert (await alice.connected[0][Chat].request(GetTime("abc"))).seconds == 3


async def test_two_nodes_are_strict() -> None:
    async def fail(_: object, channel: object) -> None:  # noqa: ARG001
        raise ZeroDivisionError("a bug")

    async def meet() -> None:
        async with two_nodes([chat(fail)], [Chat()]):
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await meet()
    assert caught.group_contains(ZeroDivisionError, match="a bug")


async def test_a_scripted_peer_talks_in_messages() -> None:
    seen: list[ChatMessage] = []
    async with scripted_peer([chat(), chat(collect(seen), name="zeal")]) as (node, peer):
        assert [capability.name for capability in node.connected[0].capabilities] == ["chat", "zeal"]
        assert peer.space.offsets == (0x10, 0x15)
        await peer.send_message(GetTime("abc", request_id=1))
        assert await peer.receive_message() == Time(1, 3)
        await peer.send(peer.space.offsets[1], rlp.encode(["hello"]))
        await wait_all_tasks_blocked()
    assert seen == [Say("hello")]


async def test_a_scripted_peer_talks_in_bytes() -> None:
    async with scripted_peer([Chat()]) as (_, peer):
        await peer.ping()
        assert await peer.receive() == (base.PONG, b"\xc0")
        frame = peer.seal(b"\x02\x01\x00\xc0")
        await peer.stream.send_all(frame[:10])
        await peer.stream.send_all(frame[10:])
        assert await peer.receive() == (base.PONG, b"\xc0")
        await peer.send(0x10, b"no RLP")
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH


async def test_a_scripted_peer_answers_pings_only_while_it_waits_for_a_message() -> None:
    async with scripted_peer([Chat()]) as (node, peer):
        with trio.move_on_after(1000):
            await peer.receive_message()
        assert node.connected, "and so it stays"
        with pytest.raises(trio.EndOfChannel, match="the other end has closed the link"):
            await read_all(peer)
        await wait_all_tasks_blocked()
        assert not node.connected


async def read_all(peer: ScriptedPeer) -> None:
    while True:
        code, _ = await peer.receive()
        if code == base.DISCONNECT:
            await peer.stream.send_eof()


async def test_a_scripted_peer_hears_of_the_end_instead_of_a_message() -> None:
    async with scripted_peer([Chat()]) as (node, peer):
        node.connected[0].disconnect(DisconnectReason.USELESS_PEER)
        with pytest.raises(trio.EndOfChannel, match="a Disconnect came: useless peer"):
            await peer.receive_message()


async def test_a_scripted_peer_can_be_called() -> None:
    ours, theirs = memory_stream_pair()
    link = ByteLink(ours, local=Address("memory", "a"), remote=Address("memory", "b"), initiator=True)
    peer = ScriptedPeer(theirs, [Chat()])
    async with trio.open_nursery() as nursery:

        async def call() -> None:
            session = await open_session(link, LocalNode(PrivateKey.generate(), "caller", (Chat(),)), expect=peer.key.public_key)
            assert session.hello.client_id == "scripted"
            with pytest.raises(PeerDisconnected):
                await session.wait_farewell()
            await session.close()

        nursery.start_soon(call)
        assert (await peer.begin()).client_id == "caller"
        await peer.disconnect()
        await peer.receive_end()


async def test_a_script_that_makes_no_sense_is_told() -> None:
    network = MemoryTransport()
    async with scripted_peer([Chat()], offers=[Chat(), chat(name="other", messages={0: Unshared}, urgent=(), bulk=())]) as (_, peer):
        with pytest.raises(LocalProtocolError, match="no shared capability has a message Unshared"):
            await peer.send_message(Unshared("x"))
    one, _ = memory_stream_pair()
    early = ScriptedPeer(one)
    for act in (early.ping, early.receive):
        with pytest.raises(LocalProtocolError, match=r"frames come after shake_hands\(\)"):
            await act()
    assert not network._names.listeners


class Unshared(Say):
    """A message of a capability that only one side has."""


async def test_a_script_that_expects_a_hello_says_what_came_instead() -> None:
    one, other = memory_stream_pair()
    caller, called = ScriptedPeer(one, call=(key := PrivateKey.generate()).public_key), ScriptedPeer(other, key=key)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.shake_hands)
        nursery.start_soon(called.shake_hands)
    await caller.ping()
    with pytest.raises(LocalProtocolError, match="the script wants a Hello here, and message 0x2 came"):
        await called.hear_hello()


# Over links of any kind


async def test_a_script_talks_over_any_wire(wire: Wire) -> None:
    seen: list[ChatMessage] = []
    async with wire.scripted_peer([Chat(), chat(collect(seen), name="zeal")]) as (node, peer):
        assert peer.space.offsets == (0x10, 0x15)
        await peer.send_message(GetTime("abc", request_id=1))
        assert await peer.receive_message() == Time(1, 3)
        frame = peer.seal(b"\x15" + compression.compress(rlp.encode(["in parts"])))
        for part in (frame[:7], frame[7:]):
            await peer.stream_of(0x15).send_all(part)
        await peer.ping()
        assert await peer.receive() == (base.PONG, b"\xc0")
        await wait_all_tasks_blocked()
        assert seen == [Say("in parts")]
        remote = node.connected[0]
        assert remote.public_key == peer.key.public_key
        await peer.disconnect(DisconnectReason.USELESS_PEER)
        assert (await remote.wait_ended()).reason == DisconnectReason.USELESS_PEER
        await peer.receive_end()


@only("one stream", "streams", because="where messages need credit, there is none after the end")
async def test_a_script_hears_what_was_said_before_a_disconnect_first(wire: Wire) -> None:
    async def speak_and_leave(_: object, channel: Channel[ChatMessage]) -> None:
        for number in range(20):
            await channel.send(Say(str(number)))

    async with wire.scripted_peer([chat(speak_and_leave)]) as (_, peer):
        assert [await peer.receive_message() for _ in range(20)] == [Say(str(number)) for number in range(20)]
        with pytest.raises(trio.EndOfChannel, match="a Disconnect came: requested"):
            await peer.receive_message()
        await peer.stream.send_eof()
        with pytest.raises(trio.EndOfChannel, match="the other end has closed the link"):
            await peer.receive()


async def test_a_script_that_is_called_wants_streams_in_their_order() -> None:
    keys = PrivateKey.generate(), PrivateKey.generate()
    ours, theirs = memory_mux_pair((keys[0].public_key, keys[1].public_key))
    caller, called = [ScriptedPeer(link, [Chat()], key=key) for link, key in zip((ours, theirs), keys, strict=True)]
    with pytest.raises(LocalProtocolError, match=r"the link's first stream comes with shake_hands\(\)"):
        await caller.say_hello()
    for act in (caller.shake_hands, called.shake_hands, caller.say_hello, called.say_hello, caller.hear_hello, called.hear_hello):
        await act()
    await (await ours.open()).send_all(b"\0\0\2ab")
    with pytest.raises(LocalProtocolError, match=r"the script wants a stream of chat/1 here, and one that begins with b'ab' came"):
        await called.open_streams()
    await (await ours.open()).send_eof()
    with pytest.raises(trio.EndOfChannel, match="the other end has closed the link"):
        await called.open_streams()


class Wrapped:
    """A framing of a class of its own, in which a script cannot seal any frame."""

    def __init__(self, framing: FrameFraming) -> None:
        self._framing = framing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._framing, name)


class Wrapping(Extension):
    def framing(self, agreement: Agreement) -> Any:
        return Wrapped(rlpx_framing(secrets(agreement)))


async def test_a_script_speaks_a_framing_that_it_does_not_know() -> None:
    async with scripted_peer([Chat()], extension=Wrapping) as (_, peer):
        await peer.send_message(GetTime("abc", request_id=1))
        assert await peer.receive_message() == Time(1, 3)
        with pytest.raises(DecodingError):
            await peer.send_frame(b"\xc0no id")


async def test_a_script_whose_link_breaks_is_told() -> None:
    one, other = memory_stream_pair()
    peer = ScriptedPeer(one)
    one._incoming.break_()
    with pytest.raises(trio.ClosedResourceError):
        await peer.receive_end()
    await other.aclose()
