"""Against go-ethereum v1.17.8, run as geth/README.md says: many sessions, two for one pair of nodes, and those that must not be."""

import pytest
import trio

from devp2p import DialError, DisconnectReason, Limits, Node, NodeRecord, Peer, PeerConnected, PeerDisconnected, PeerRefused, PrivateKey
from tests.interop.capabilities import Echoing, sha256
from tests.interop.crossing import CrossingTransport, HeldStream
from tests.interop.meeting import meet, payload
from tests.interop.peers import PATIENCE, GethPeer, geth_peer

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("geth")]

# ---------------------------------------------------------------------------------------------------------------------- many at once


async def test_100_of_our_nodes_dial_one_server(our_node):
    async with geth_peer("--no-dial", "--max-peers", "120") as go, trio.open_nursery() as nursery:
        met, all_met = [], trio.Event()

        async def one(number: int) -> None:
            data = payload("random", 100 * number)
            async with our_node(Echoing(), listen=[]) as node:
                peer = await node.connect(go.enode)
                talk = await peer.ready(Echoing)
                assert await talk.echo(data) == data
                met.append(node.public_key.node_id.hex())
                if len(met) == 100:
                    all_met.set()
                await all_met.wait()
                assert await talk.ask(data) == sha256(data)  # with all the others there
                await nursery_done.wait()

        nursery_done = trio.Event()
        for number in range(100):
            nursery.start_soon(one, number)
        with trio.fail_after(60):
            await all_met.wait()
        assert {session["peer"] for session in await go.sessions()} == set(met)
        for us in met:
            await go.command("request", peer=us, payload_size=2000)
        for us in met:
            await go.event("answered", peer=us, ok=True)
        nursery_done.set()


@pytest.mark.parametrize("count", [100])
async def test_servers_dial_one_of_our_nodes(our_node, count):
    async with our_node(Echoing(), max_peers=count, limits=Limits(handshake_timeout=30)) as node, trio.open_nursery() as nursery:
        done, ready = trio.Event(), trio.open_memory_channel[GethPeer](count)
        us, arriving = node.public_key.node_id.hex(), node.peers(Echoing)

        async def one() -> None:
            async with geth_peer("--listen", "") as go:
                await go.command("connect", enode=node.enode)
                await go.event("peer", peer=us)
                await ready[0].send(go)
                await done.wait()

        for _ in range(count):
            nursery.start_soon(one)
        servers = [await ready[1].receive() for _ in range(count)]
        with trio.fail_after(PATIENCE):
            for _ in range(count):
                await anext(arriving)
        assert len(node.connected) == count
        for go in servers:
            await go.command("request", peer=us, payload_size=2000)
            await go.command("send", peer=us, code=4, size=3)
        for go in servers:
            await go.event("answered", ok=True)
            await go.event("sent", ok=True)
        for peer in node.connected:
            talk = await peer.ready(Echoing)
            assert len(await talk.sunk()) == 3
            assert await talk.echo(bytes(peer.id)) == bytes(peer.id)
        done.set()


class Dial:
    """One call of node.connect(), and what came of it."""

    def __init__(self, node: Node, enode: str) -> None:
        self.node = node
        self.enode = enode
        self.outcome: Peer | int | None = None
        self.done = trio.Event()

    async def run(self) -> None:
        try:
            self.outcome = await self.node.connect(self.enode)
        except DialError as error:
            self.outcome = error.reason
        self.done.set()


async def settled(node: Node, go: GethPeer) -> Peer:
    """Return the session that the two have settled on, once a message went there and back."""
    events = node.events()
    while True:
        while (peer := node.roster.get(go.public_key)) is None:
            await anext(events)
        try:
            talk = await peer.ready(Echoing)
            assert await talk.echo(b"settled") == b"settled"
        except (PeerDisconnected, trio.EndOfChannel):
            await peer.wait_ended()  # they settled on the other one
        else:
            return peer


@pytest.mark.parametrize("head_start", ["ours", "theirs", "nobody's"])
async def test_simultaneous_dials_leave_one_session(our_node, head_start):
    """Again and again with new keys on our side: who is first, and whose key is larger, is different each time."""
    async with geth_peer() as go:
        for attempt in range(20):
            async with our_node(Echoing()) as node, trio.open_nursery() as nursery:
                us, dial = node.public_key.node_id.hex(), Dial(node, go.enode)
                lead = 0.0005 * attempt  # seconds, to meet in different places of the handshake; nothing depends on it
                if head_start == "ours":
                    nursery.start_soon(dial.run)
                    await trio.sleep(lead)
                await go.command("connect", enode=node.enode, tag=attempt)
                if head_start != "ours":
                    await trio.sleep(lead if head_start == "theirs" else 0)
                    nursery.start_soon(dial.run)
                connected = await go.event("connected", tag=attempt)
                with trio.fail_after(PATIENCE):
                    peer = await settled(node, go)
                    await dial.done.wait()
                assert connected["ok"] or connected["reason"] in {DisconnectReason.ALREADY_CONNECTED, None}, connected
                assert isinstance(dial.outcome, Peer) or dial.outcome == DisconnectReason.ALREADY_CONNECTED
                assert node.connected == (peer,)
                assert [session["peer"] for session in await go.sessions()] == [us]
                assert peer.ended is None
            await go.event("drop", peer=us)


@pytest.mark.parametrize("they_keep", ["they-keep-our-dial", "they-keep-their-dial"])
@pytest.mark.parametrize("first_here", ["our-dial-first-here", "their-dial-first-here"])
async def test_crossing_dials_end_with_the_link_that_they_keep(our_node, first_here, they_keep):
    """The four ways in which two links can cross, none of them left to chance."""
    ours_first, keep_ours = first_here.startswith("our"), they_keep.endswith("our-dial")
    crossing = CrossingTransport()
    async with geth_peer() as go, our_node(Echoing(), transports=[crossing]) as node, trio.open_nursery() as nursery:
        us, dial, events = node.public_key.node_id.hex(), Dial(node, go.enode), node.events()

        async def cross(*, ours: bool) -> HeldStream:
            if ours:
                crossing.may_dial.set()
            else:
                await go.command("connect", enode=node.enode)
            return await crossing.held(dialled=ours)

        with trio.fail_after(PATIENCE):
            nursery.start_soon(dial.run)
            await crossing.dialling.wait()
            links = {ours_first: await cross(ours=ours_first)}
            connected = await anext(events)
            links[not ours_first] = await cross(ours=not ours_first)
            await links[keep_ours].release()
            assert (await go.event("peer", peer=us))["inbound"] is keep_ours
            await links[not keep_ours].release()
            rejected = await go.event("rejected", peer=us)
            assert (rejected["reason"], rejected["inbound"]) == (DisconnectReason.ALREADY_CONNECTED, not keep_ours)
            peer = await settled(node, go)
            await dial.done.wait()
        assert peer.inbound is not keep_ours
        assert isinstance(connected, PeerConnected)
        assert connected.peer.inbound is not ours_first
        assert (connected.peer is peer) is (ours_first is keep_ours)
        if connected.peer is not peer:
            assert connected.peer.ended is not None
            assert (connected.peer.ended.reason, connected.peer.ended.by_remote) == (DisconnectReason.ALREADY_CONNECTED, True)
        assert node.connected == (peer,)
        assert [session["peer"] for session in await go.sessions()] == [us]


# ----------------------------------------------------------------------------------------------------------------------- admission


async def test_they_have_too_many_peers(our_node):
    """go-ethereum refuses before it sends Hello, so its Disconnect is neither compressed nor expected."""
    async with geth_peer("--no-dial", "--max-peers", "1") as go, our_node(Echoing()) as first, our_node(Echoing()) as second:
        _, talk = await meet(first, go)
        with pytest.raises(DialError) as caught:
            await second.connect(go.enode)
        assert caught.value.reason == DisconnectReason.TOO_MANY_PEERS
        assert (await go.event("rejected"))["reason"] == DisconnectReason.TOO_MANY_PEERS
        assert await talk.echo(b"unimpressed") == b"unimpressed"


async def test_we_have_too_many_peers(our_node):
    async with geth_peer() as first, geth_peer() as second, our_node(Echoing(), max_peers=1) as node:
        _, talk = await meet(node, first, we_dial=False)
        await second.command("connect", enode=node.enode)
        drop = await second.event("drop")
        assert (drop["reason"], drop["remote_requested"]) == (DisconnectReason.TOO_MANY_PEERS, True)
        assert await talk.echo(b"unimpressed") == b"unimpressed"


async def test_already_connected_to_them(our_node):
    key = PrivateKey.generate()
    async with geth_peer() as go, our_node(Echoing(), key=key) as first, our_node(Echoing(), key=key) as second:
        _, talk = await meet(first, go)
        with pytest.raises(DialError) as caught:
            await second.connect(go.enode)
        assert caught.value.reason == DisconnectReason.ALREADY_CONNECTED
        assert (await go.event("rejected"))["reason"] == DisconnectReason.ALREADY_CONNECTED
        assert await talk.echo(b"unimpressed") == b"unimpressed"


async def test_already_connected_to_us(our_node):
    key = ["--key", bytes(PrivateKey.generate()).hex()]
    async with geth_peer(*key) as first, geth_peer(*key) as second, our_node(Echoing(), limits=Limits(duplicate_wait=0.1)) as node:
        _, talk = await meet(node, first, we_dial=False)
        await second.command("connect", enode=node.enode)
        drop = await second.event("drop")
        assert (drop["reason"], drop["remote_requested"]) == (DisconnectReason.ALREADY_CONNECTED, True)
        assert await talk.echo(b"unimpressed") == b"unimpressed"


async def test_node_with_our_own_key(our_node):
    key = PrivateKey.generate()
    async with geth_peer("--key", bytes(key).hex()) as go, our_node(Echoing(), key=key) as node:
        with pytest.raises(DialError) as caught:
            await node.connect(go.enode)
        assert caught.value.reason == DisconnectReason.CONNECTED_TO_SELF
        assert not go.seen("rejected")  # nothing was dialled

        events = node.events()
        await go.command("connect", enode=node.enode)
        assert (await go.event("connected", ok=False))["reason"] == DisconnectReason.CONNECTED_TO_SELF
        with trio.fail_after(PATIENCE):
            refused = await anext(events)
        assert isinstance(refused, PeerRefused)
        assert isinstance(refused.error, PeerDisconnected)
        assert (refused.error.reason, refused.error.by_remote) == (DisconnectReason.CONNECTED_TO_SELF, True)


async def test_we_dial_the_wrong_key(our_node):
    async with geth_peer() as go, our_node(Echoing()) as node:
        stranger = NodeRecord(PrivateKey.generate().public_key, NodeRecord.parse(go.enode).addresses)
        with pytest.raises(DialError):
            await node.connect(stranger)
        await go.event("rejected", stage="rlpx")
        assert not node.connected


async def test_they_dial_the_wrong_key(our_node):
    async with geth_peer() as go, our_node(Echoing()) as node:
        events = node.events()
        await go.command("connect", enode=NodeRecord(PrivateKey.generate().public_key, node.record.addresses).enode)
        await go.event("connected", ok=False)
        with trio.fail_after(PATIENCE):
            assert isinstance(await anext(events), PeerRefused)
        assert not node.connected
