"""What a node tells of its peers: nobody is lost, nobody comes twice, and news do not keep a stranger's bytes alive."""

import gc
import sys
import traceback
import weakref

import pytest
import trio

from devp2p import (
    Address,
    DialError,
    LocalProtocolError,
    NodeRecord,
    PeerDisconnected,
    PeerDropped,
    PeerRefused,
    PrivateKey,
    RemoteProtocolError,
    open_node,
    rlp,
)
from devp2p.node.events import told
from devp2p.testing import two_nodes
from devp2p.transports.memory import MemoryTransport
from tests.chat import Chat, chat
from tests.wire.handshakes import Constant


async def test_a_peer_that_is_ready_comes_once():
    """The README's loop asks each peer that it gets; it must not ask one twice."""
    network = MemoryTransport()
    async with (
        open_node(PrivateKey.generate(), [Chat()], listen=["memory://left"], transports=[network]) as left,
        open_node(PrivateKey.generate(), [Chat()], transports=[network]) as right,
    ):
        before = right.peers(Chat)
        await right.connect(left.record)
        after = right.peers(Chat)
        for peers in (before, after):
            assert (await anext(peers)).public_key == left.public_key
            with trio.move_on_after(60) as scope:
                await anext(peers)
            assert scope.cancelled_caught


async def test_strangers_that_are_refused_cannot_crowd_out_a_ready_peer():
    async with two_nodes([Chat()], [Chat()]) as (left, right):
        peers = left.peers(Chat)
        refused = PeerRefused(Address.parse("tcp://8.8.8.8:30303"), RemoteProtocolError("no"))
        events = left.events()
        for _ in range(10_000):
            left.roster.publish(refused)
        assert events.lost == 10_000 - 4096
        assert (await anext(peers)).public_key == right.public_key


async def test_a_peer_that_left_before_its_turn_is_passed_over():
    async with two_nodes([Chat()], [Chat()]) as (left, _):
        peers = left.peers(Chat)
        left.connected[0].disconnect()
        await left.connected[0].wait_ended()
        with trio.move_on_after(60) as scope:
            await anext(peers)
        assert scope.cancelled_caught


async def test_peers_end_with_the_node():
    async with two_nodes([Chat()], [Chat()]) as (left, _):
        peers, events = left.peers(Chat), left.events()
        await anext(peers)
    assert [peer async for peer in peers] == []
    assert isinstance([event async for event in events][-1], PeerDropped)


async def test_a_node_that_has_ended_dials_nobody():
    async with two_nodes([Chat()], [Chat()]) as (left, right):
        pass
    with pytest.raises(DialError, match="the node has ended"):
        await left.connect(right.record)


def test_an_error_as_news_holds_nothing_of_what_failed():
    class Received:
        pass

    def fail() -> Exception:
        received = Received()
        kept.append(weakref.ref(received))
        try:
            try:
                raise ValueError(sys._getframe().f_code.co_name)
            except ValueError as error:
                raise RemoteProtocolError("bad") from error
        except RemoteProtocolError as error:
            return told(error)

    kept: list[weakref.ref[Received]] = []
    error = fail()
    gc.collect()
    assert kept[0]() is None
    assert traceback.format_exception(error) == ["devp2p.errors.RemoteProtocolError: bad\n"]


def test_addresses_that_one_cannot_dial_are_written_as_loopback():
    async def main() -> None:
        for text, expected in (("tcp://*:0", "127.0.0.1"), ("tcp://0.0.0.0:0", "127.0.0.1"), ("tcp://[::]:0", "::1")):
            async with (
                open_node(PrivateKey.generate(), [Chat()], listen=[text]) as node,
                open_node(PrivateKey.generate(), [Chat()]) as other,
            ):
                assert NodeRecord.parse(node.enode).addresses[0].host == expected
                assert (await other.connect(node.enode)).public_key == node.public_key

    trio.run(main)


async def test_what_the_first_peer_would_find_wrong_is_found_at_the_start():
    with pytest.raises(
        LocalProtocolError, match=r"what Constant\.offer returns has 3003 bytes, where an auth of at most 2048 has room for"
    ):
        async with open_node(PrivateKey.generate(), [chat()], extension=Constant(rlp.encode(bytes(3000)))):
            pass
    with pytest.raises(LocalProtocolError, match="beside what Constant offers or answers a packet has no room for dpx/1"):
        async with open_node(PrivateKey.generate(), [chat()], extension=Constant(rlp.encode(bytes(1740)))):
            pass
    with pytest.raises(LocalProtocolError, match="name is too long"):
        async with open_node(PrivateKey.generate(), [chat()], client_id="x" * 3000):
            pass


async def test_a_capability_need_not_be_hashable():
    kind = type("Unhashable", (Chat,), {"__hash__": None})
    async with two_nodes([kind()], [Chat()]) as (left, _):
        assert kind in left.connected[0]


async def test_the_end_of_another_session_is_a_capabilitys_own_fault():
    """A relay that sends to a peer that has left must not end the session with the one that has not, as if it were over."""

    async def relay(peer, channel):  # noqa: ARG001
        raise PeerDisconnected(0, by_remote=True, detail="of another peer")

    async with two_nodes([chat(relay)], [Chat()], strict=False) as (left, _):
        end = await left.connected[0].wait_ended() if left.connected else None
    assert end is None or end.detail == "chat/1 failed: PeerDisconnected"
