"""A node: opening it, dialling others, and what one hears of its peers."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import (
    Address,
    Capability,
    DialError,
    DisconnectReason,
    Event,
    Limits,
    LocalProtocolError,
    Node,
    NodeRecord,
    Peer,
    PeerConnected,
    PeerDropped,
    PeerReady,
    PrivateKey,
    PublicKey,
    open_node,
    rlp,
)
from devp2p.peers.dial_history import kind_of
from devp2p.testing import ScriptedPeer, two_nodes
from devp2p.transports.links import ByteLink, require_peer
from devp2p.wire import base
from tests.chat import Chat, Say
from tests.network import LARGE, MIDDLE, SMALL, Network, listening_script, running, scripted, silence

# Dialling


async def test_who_is_connected_is_not_dialled_again() -> None:
    network = Network()
    async with running(network, "a", key=SMALL) as alice, running(network, "b") as bob:
        peer = await alice.connect(bob.enode)
        assert await alice.connect(bob.record) is peer
        assert network.dials == 1
        assert (peer.public_key, peer.inbound, peer.address) == (bob.public_key, False, Address("memory", "b"))
        assert alice.connected == (peer,)
        await wait_all_tasks_blocked()
        (there,) = bob.connected
        assert (there.public_key, there.inbound) == (alice.public_key, True)
        assert await bob.connect(NodeRecord(alice.public_key)) is there, "the one that dialled us is connected, too"


async def test_dials_at_the_same_time_are_one_dial() -> None:
    network = Network()
    async with running(network, "a", key=SMALL) as alice, running(network, "b") as bob:
        peers: list[Peer] = []

        async def connect() -> None:
            peers.append(await alice.connect(bob.record))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(connect)
        assert peers == [peers[0]] * 5
        assert network.dials == 1


async def test_when_a_dial_fails_the_others_that_waited_for_it_try_themselves() -> None:
    network = Network()
    async with running(network, key=SMALL) as node, trio.open_nursery() as nursery:

        async def connect() -> None:
            with pytest.raises(DialError):
                await node.connect(NodeRecord(LARGE.public_key, (Address("memory", "nowhere"),)))

        for _ in range(3):
            nursery.start_soon(connect)
    assert network.dials == 3


async def test_a_node_does_not_dial_itself_nor_admit_itself() -> None:
    network = Network()
    async with running(network) as node:
        with pytest.raises(DialError, match="that is this node itself") as caught:
            await node.connect(node.enode)
        assert caught.value.reason is DisconnectReason.CONNECTED_TO_SELF
        assert network.dials == 0
        peer = await ScriptedPeer.dial(network, node.record, [Chat()], key=MIDDLE)
        await peer.begin()
        assert await peer.receive_disconnect() == DisconnectReason.CONNECTED_TO_SELF
        assert node.connected == ()


async def hang_up(peer: ScriptedPeer) -> None:
    await trio.aclose_forcefully(peer.stream)


async def babble(peer: ScriptedPeer) -> None:
    await peer.stream.send_all(b"SSH-2.0-OpenSSH_9.6\r\n")


async def no_room(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    await peer.disconnect(DisconnectReason.TOO_MANY_PEERS)


async def no_room_after_hello(peer: ScriptedPeer) -> None:
    await peer.shake_hands()
    hello = peer.seal(rlp.encode(base.HELLO) + base.encode_hello(peer.hello))
    await peer.stream.send_all(hello + peer.seal(rlp.encode(base.DISCONNECT) + base.encode_disconnect(DisconnectReason.TOO_MANY_PEERS)))


@pytest.mark.parametrize(
    ("behave", "text", "reason"),
    [
        (silence, "no handshake and Hello within 5 s", None),
        (hang_up, "the peer hung up during the handshake", DisconnectReason.NETWORK_ERROR),
        (babble, "a handshake packet of 21331 bytes", None),
        (no_room, "peer ended the session: too many peers (0x04)", DisconnectReason.TOO_MANY_PEERS),
        (no_room_after_hello, "peer ended the session: too many peers (0x04)", DisconnectReason.TOO_MANY_PEERS),
    ],
)
async def test_a_failed_dial_says_what_happened(behave: Any, text: str, reason: DisconnectReason | None) -> None:
    network = Network()
    async with listening_script(network, behave) as record, running(network) as node:
        with pytest.raises(DialError) as caught:
            await node.connect(record)
        assert text in str(caught.value)
        assert str(caught.value).startswith(record.enode)
        assert (caught.value.reason, caught.value.target) == (reason, record)
        assert node.connected == ()


async def test_a_dial_that_finds_nobody_names_every_address_it_tried() -> None:
    class Deaf(Network):
        async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
            if address.host == "deaf":
                await trio.sleep_forever()
            return await super().dial(address, expect=expect)

    async with running(Deaf()) as node:
        addresses = (Address("memory", "nowhere"), Address("quic", "1.2.3.4", 5), Address("memory", "deaf"))
        with pytest.raises(DialError) as caught:
            await node.connect(NodeRecord(LARGE.public_key, addresses))
        assert str(caught.value) == (
            "memory://nowhere: nobody listens at memory://nowhere; "
            "quic://1.2.3.4:5: no transport for quic://1.2.3.4:5: this node has memory; "
            "memory://deaf: no answer within 15 s"
        )
        with pytest.raises(DialError, match="has no address"):
            await node.connect(NodeRecord(LARGE.public_key))
        with pytest.raises(ValueError, match="a node is written enode://"):
            await node.connect("not a node")


async def test_the_second_address_is_tried_when_the_first_is_dead() -> None:
    network = Network()
    async with running(network, "a", key=SMALL) as alice, running(network, "b") as bob:
        record = NodeRecord(bob.public_key, (Address("memory", "nowhere"), Address("memory", "b")))
        assert (await alice.connect(record)).address == Address("memory", "b")


async def test_an_address_at_which_another_node_proves_itself_is_left_for_the_next() -> None:
    class Proving(Network):
        async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
            if address.host == "moved":
                require_peer(MIDDLE.public_key, expect, address)
            return await super().dial(address, expect=expect)

    network = Proving()
    async with running(network, "a", key=SMALL) as alice, running(network, "b", key=LARGE) as bob:
        moved = Address("memory", "moved")
        with pytest.raises(DialError, match=r"^memory://moved: at memory://moved is the node with the key ") as caught:
            await alice.connect(NodeRecord(bob.public_key, (moved,)))
        assert (caught.value.reason, kind_of(caught.value)) == (None, "unreachable")
        assert (await alice.connect(NodeRecord(bob.public_key, (moved, Address("memory", "b"))))).public_key == bob.public_key


async def test_a_node_with_another_key_is_not_what_was_dialled() -> None:
    network = Network()
    async with running(network, "a", key=SMALL) as alice, running(network, "b"):
        with pytest.raises(DialError):
            await alice.connect(NodeRecord(LARGE.public_key, (Address("memory", "b"),)))
        assert alice.connected == ()


async def test_giving_up_a_dial_leaves_nothing_behind() -> None:
    network = Network()
    async with listening_script(network, silence) as record, running(network) as node:
        before = trio.lowlevel.current_statistics().tasks_living
        with trio.move_on_after(1) as scope:
            await node.connect(record)
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before + 1, "the script's own"
        with pytest.raises(DialError):
            await node.connect(record)


# News


async def test_events_tell_a_peers_life_in_order_and_end_with_the_node() -> None:
    network = Network()
    told: list[Event] = []
    async with trio.open_nursery() as nursery:

        async def listen(node: Node) -> None:
            async for event in node.events():
                told.append(event)  # noqa: PERF401

        async with running(network) as node:
            nursery.start_soon(listen, node)
            await wait_all_tasks_blocked()
            first = await scripted(network, node, SMALL)
            await first.disconnect(DisconnectReason.USELESS_PEER)
            await wait_all_tasks_blocked()
            await scripted(network, node, LARGE)
    kinds = [PeerConnected, PeerReady, PeerDropped]
    assert [type(event) for event in told] == kinds * 2, "also of what happens when the node closes"
    first_three, last = told[:3], told[-1]
    assert {event.peer.public_key for event in first_three if isinstance(event, PeerConnected | PeerReady | PeerDropped)} == {
        SMALL.public_key
    }
    assert isinstance(last, PeerDropped)
    assert last.end.reason is DisconnectReason.CLIENT_QUITTING
    assert last.peer.ended is last.end


async def test_peers_are_iterated_those_present_and_those_to_come() -> None:
    class Other(Chat):
        name = "other"

    network = Network()
    met: list[PublicKey] = []
    async with trio.open_nursery() as nursery:

        async def meet(node: Node) -> None:
            async for peer in node.peers(Chat):
                met.append(peer.public_key)  # noqa: PERF401

        async with running(network, capabilities=[Chat(), Other()]) as node:
            keys = [PrivateKey.generate() for _ in range(3)]
            await scripted(network, node, keys[0])
            gone = await scripted(network, node, keys[1])
            peers = node.peers(Chat)
            await gone.disconnect()
            await wait_all_tasks_blocked()
            nursery.start_soon(meet, node)
            await wait_all_tasks_blocked()
            await scripted(network, node, keys[2])
            assert met == [keys[0].public_key, keys[2].public_key]
            assert [(await anext(peers)).public_key for _ in range(2)] == met, "one that has gone meanwhile is not given out"
            with trio.move_on_after(1) as scope:
                await anext(node.peers(Other))
            assert scope.cancelled_caught, "nobody shares it"


# Opening a node


async def test_a_node_knows_itself() -> None:
    async with running(Network(), "me", client_id="me/1.0") as node, running(Network(), "other", key=SMALL) as other:
        assert node.addresses == (Address("memory", "me"),)
        assert node.enode == f"memory://{bytes(MIDDLE.public_key).hex()}@me"
        assert NodeRecord.parse(node.enode) == node.record
        assert node.public_key == MIDDLE.public_key
        assert other.max_peers == 50


@pytest.mark.real_clock
async def test_a_wildcard_address_is_recorded_as_loopback() -> None:
    async with open_node(MIDDLE, [Chat()], listen=["tcp://*:0"]) as node, open_node(SMALL, [Chat()]) as other:
        assert node.addresses[0].host == "*"
        assert node.record.addresses[0].host == "127.0.0.1"
        assert (await other.connect(node.enode)).client_id.startswith("devp2p.py/v")


async def test_the_clients_name_is_told_and_made_safe_to_print() -> None:
    network = Network()
    async with running(network, "a", key=SMALL, client_id="evil\x1b[2J") as alice, running(network, "b") as bob:
        await alice.connect(bob.record)
        await wait_all_tasks_blocked()
        assert bob.connected[0].client_id == "evil\\x1b[2J"


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"listen": ["nonsense"]}, ValueError, "an address looks like tcp://"),
        ({"listen": ["quic://1.2.3.4:5"]}, ValueError, "no transport for quic://1.2.3.4:5: this node has memory"),
        ({"static_peers": ["nonsense"]}, ValueError, "a node is written enode://"),
        ({"listen": ["memory://a", "memory://a"]}, OSError, "somebody listens at memory://a already"),
        ({"capabilities": [Chat(), Chat()]}, LocalProtocolError, "two capabilities are called chat/1"),
    ],
)
async def test_what_cannot_be_opened_says_why_without_a_group_around_it(options: Any, error: type[Exception], text: str) -> None:
    network = Network()
    with pytest.raises(error, match=text):
        async with running(network, **options):
            pytest.fail("it opened")
    async with running(network, "a"):
        pass


async def test_a_capability_without_its_parts_says_which() -> None:
    class Nameless(Capability[Say]):
        async def run(self, peer: Any, channel: Any) -> None:
            pass

    with pytest.raises(LocalProtocolError, match="Nameless does not set 'name'"):
        async with running(Network(), capabilities=[Nameless()]):
            pytest.fail("it opened")


async def test_a_node_may_listen_at_one_more_address() -> None:
    network = Network()
    async with running(network, "a") as node:
        assert await node.listen(Address("memory", "b")) == (Address("memory", "b"),)
        assert node.addresses == (Address("memory", "a"), Address("memory", "b"))
        with pytest.raises(OSError, match="somebody listens"):
            await node.listen(Address("memory", "b"))
        peer = await ScriptedPeer.dial(network, NodeRecord(node.public_key, (Address("memory", "b"),)), [Chat()])
        await peer.begin()


async def test_a_node_that_has_ended_listens_nowhere() -> None:
    network = Network()
    async with running(network, "a") as node:
        pass
    with pytest.raises(RuntimeError):
        await node.listen(Address("memory", "b"))
    assert node.addresses == (Address("memory", "a"),)
    async with running(network, "b"):
        pass


async def test_who_asks_a_node_that_has_ended_does_not_wait() -> None:
    async with running(Network(), "a") as node:
        pass
    with trio.fail_after(1):
        assert [event async for event in node.events()] == []
        assert [peer async for peer in node.peers(Chat)] == []
        with pytest.raises(trio.ClosedResourceError, match="the node has ended"):
            await node.request_peers(Chat, 1)


async def test_one_object_serves_all_peers_of_a_node() -> None:
    served: list[int] = []

    class Counter(Chat):
        async def run(self, peer: Peer, channel: Any) -> None:  # noqa: ARG002
            served.append(id(self))
            await channel.receive()

    network = Network()
    async with running(network, capabilities=[Counter()]) as node:
        for _ in range(3):
            await scripted(network, node)
    assert len(served) == 3
    assert len(set(served)) == 1


async def test_links_that_nobody_accepted_are_closed_when_the_node_stops_listening() -> None:
    network = Network()
    async with running(network, limits=Limits(pending_inbound=1)) as node:
        links = [await ScriptedPeer.dial(network, node.record) for _ in range(4)]
        await wait_all_tasks_blocked()
    for link in links:
        with trio.fail_after(0.1):
            await link.receive_end()


async def test_two_nodes_of_different_client_ids_meet() -> None:
    async with two_nodes([Chat()], [Chat()]) as (alice, bob):
        assert (alice.connected[0].client_id, bob.connected[0].client_id) == ("right", "left")
