"""Against ethereumjs: npm package @ethereumjs/devp2p 10, as tests/interop/ethereumjs runs it."""

import pytest
import trio

from devp2p import DialError, DisconnectReason, Limits, NodeRecord, PeerDisconnected, PeerRefused, PrivateKey, rlp
from devp2p.wire.base import CapabilityVersion
from tests.interop.capabilities import BlobV1, BlobV2, Echo, Echoing, Store, Unheard, sha256
from tests.interop.meeting import REASONS, ended, meet, payload
from tests.interop.peers import PATIENCE, ethereumjs_peer

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("ethereumjs")]

SIZES = [0, 1, 55, 56, 2**10, 2**16 - 1, 2**16, 2**16 + 1, 2**20]


async def exchange(js, talk, kind, size):
    """Send `size` bytes every way there is."""
    data = payload(kind, size)
    assert await talk.echo(data) == data
    assert await talk.ask(data) == sha256(data)

    await talk.send(data)
    arrived = await js.event("message", code=4)
    encoded = rlp.encode(data)
    assert (arrived["size"], arrived["sha256"]) == (len(encoded), sha256(encoded).hex())

    await js.command("send", code=4, size=size, kind=kind, rlp=True)
    sent = await js.event("sent", code=4)
    assert sha256(rlp.encode(await talk.sunk())).hex() == sent["sha256"]


async def test_hello(our_node, we_dial):
    async with ethereumjs_peer("--protocols", "echo/1:8,later/7:3") as js, our_node(Echoing(), client_id="hello/v1") as node:
        peer, _ = await meet(node, js, we_dial=we_dial)
        assert peer.offers == (CapabilityVersion("echo", 1), CapabilityVersion("later", 7))
        assert peer.client_id.startswith("ethereumjs-devp2p/")
        (seen,) = js.seen("peer")
        assert (seen["name"], seen["p2p"], seen["capabilities"]) == ("hello/v1", 5, ["echo/1"])


@pytest.mark.parametrize("kind", ["random", "zeros"])
async def test_messages_of_all_sizes_echo_and_requests(our_node, we_dial, kind):
    async with ethereumjs_peer() as js, our_node(Echoing()) as node:
        peer, talk = await meet(node, js, we_dial=we_dial)
        for size in SIZES:
            await exchange(js, talk, kind, size)
        assert peer.ended is None


async def test_16_mib_of_zeros(our_plain_node, we_dial):
    async with ethereumjs_peer() as js, our_plain_node(Echoing()) as node:
        peer, talk = await meet(node, js, we_dial=we_dial)
        await exchange(js, talk, "zeros", 2**24 - 64)
        assert peer.ended is None


async def test_their_request_is_answered(our_node, we_dial):
    async with ethereumjs_peer() as js, our_node(Echoing()) as node:
        await meet(node, js, we_dial=we_dial)
        await js.command("send", code=2, data=rlp.encode([5, b"abc"]).hex())
        answer = await js.event("message", code=3)
        assert bytes.fromhex(answer["data"]) == rlp.encode([5, sha256(b"abc")])
        await js.command("send", code=0, data=rlp.encode([b"abc"]).hex())
        assert bytes.fromhex((await js.event("message", code=1))["data"]) == rlp.encode([b"abc"])


async def test_many_messages_both_ways_at_once(our_node, we_dial):
    count = 100
    async with ethereumjs_peer() as js, our_node(Echoing()) as node:
        peer, talk = await meet(node, js, we_dial=we_dial)
        ours = [payload("random", 37 * number) for number in range(count)]

        async def speak() -> None:
            for data in ours:
                await talk.channel.send(Echo(data))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak)
            for number in range(count):
                await js.command("send", code=4, size=50 * number, rlp=True)
            for data in ours:
                assert await talk.next_echo() == data
            for _ in range(count):
                sent = await js.event("sent", code=4)
                assert sha256(rlp.encode(await talk.sunk())).hex() == sent["sha256"]
        assert peer.ended is None


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
async def test_our_disconnect_reaches_them(our_node, we_dial, reason):
    async with ethereumjs_peer() as js, our_node(Echoing()) as node:
        peer, _ = await meet(node, js, we_dial=we_dial)
        peer.disconnect(DisconnectReason(reason))
        end = await js.event("end")
        assert (end["reason"], end["by"], end["established"]) == (reason, "remote", True)
        assert not (await ended(peer)).by_remote


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
async def test_their_bare_uncompressed_disconnect_reaches_us(our_node, we_dial, reason):
    """ethereumjs sends the reason as one byte, no list, and never compresses it."""
    async with ethereumjs_peer() as js, our_node(Echoing()) as node:
        peer, _ = await meet(node, js, we_dial=we_dial)
        await js.command("disconnect", reason=reason)
        end = await ended(peer)
        assert (end.reason, end.by_remote, end.detail) == (reason, True, "")
        assert (await js.event("end"))["by"] == "local"


async def test_no_shared_capability_we_dial(our_node):
    async with ethereumjs_peer() as js, our_node(Unheard()) as node:
        with pytest.raises(DialError) as caught:
            await node.connect(js.enode)
        assert caught.value.reason == DisconnectReason.USELESS_PEER
        assert (await js.event("end"))["reason"] == DisconnectReason.USELESS_PEER


async def test_no_shared_capability_they_dial(our_node):
    async with ethereumjs_peer() as js, our_node(Unheard()) as node:
        events = node.events()
        await js.command("connect", enode=node.enode)
        with trio.fail_after(PATIENCE):
            refused = await anext(events)
        assert isinstance(refused, PeerRefused)
        assert isinstance(refused.error, PeerDisconnected)
        assert refused.error.reason == DisconnectReason.USELESS_PEER
        assert (await js.event("end"))["reason"] == DisconnectReason.USELESS_PEER


@pytest.mark.parametrize(("theirs", "used"), [([1], 1), ([2], 2), ([1, 2], 2)], ids=str)
async def test_highest_shared_version_runs(our_node, we_dial, theirs, used):
    lengths = {1: BlobV1.length, 2: BlobV2.length}
    protocols = ",".join([*(f"blob/{version}:{lengths[version]}" for version in theirs), "echo/1:8"])
    store = Store()
    async with ethereumjs_peer("--protocols", protocols) as js, our_node(BlobV1(store), BlobV2(store), Echoing()) as node:
        peer, talk = await meet(node, js, we_dial=we_dial)
        assert await talk.echo(b"in its place") == b"in its place"
        assert [str(capability) for capability in peer.capabilities] == [f"<BlobV{used} blob/{used}>", "<Echoing echo/1>"]
        assert js.seen("peer", protocol="blob", version=used)


async def test_they_have_too_many_peers(our_node):
    """ethereumjs thinks of it only after both Hellos, so that there is a session for a moment."""
    async with ethereumjs_peer("--max-peers", "1") as js, our_node(Echoing()) as first, our_node(Echoing()) as second:
        _, talk = await meet(first, js)
        assert await refused_by(js, second) == DisconnectReason.TOO_MANY_PEERS
        assert await talk.echo(b"unimpressed") == b"unimpressed"


async def refused_by(js, node):
    """The reason for which ethereumjs refuses: it says so behind its Hello, so a session may have begun before we read it."""
    try:
        return (await ended(await node.connect(js.enode))).reason
    except DialError as error:
        return error.reason


async def test_we_have_too_many_peers(our_node):
    async with ethereumjs_peer() as first, ethereumjs_peer() as second, our_node(Echoing(), max_peers=1) as node:
        _, talk = await meet(node, first, we_dial=False)
        await second.command("connect", enode=node.enode)
        end = await second.event("end")
        assert (end["reason"], end["by"]) == (DisconnectReason.TOO_MANY_PEERS, "remote")
        assert await talk.echo(b"unimpressed") == b"unimpressed"


async def test_already_connected_to_them(our_node):
    key = PrivateKey.generate()
    async with ethereumjs_peer() as js, our_node(Echoing(), key=key) as first, our_node(Echoing(), key=key) as second:
        _, talk = await meet(first, js)
        assert await refused_by(js, second) == DisconnectReason.ALREADY_CONNECTED
        assert await talk.echo(b"unimpressed") == b"unimpressed"


async def test_already_connected_to_us(our_node):
    key = ["--key", bytes(PrivateKey.generate()).hex()]
    limits = Limits(duplicate_wait=0.1)
    async with ethereumjs_peer(*key) as first, ethereumjs_peer(*key) as second, our_node(Echoing(), limits=limits) as node:
        _, talk = await meet(node, first, we_dial=False)
        await second.command("connect", enode=node.enode)
        end = await second.event("end")
        assert (end["reason"], end["by"]) == (DisconnectReason.ALREADY_CONNECTED, "remote")
        assert await talk.echo(b"unimpressed") == b"unimpressed"


async def test_we_dial_the_wrong_key(our_node):
    """ethereumjs answers an auth that it cannot open with silence."""
    async with ethereumjs_peer() as js, our_node(Echoing(), limits=Limits(handshake_timeout=0.5)) as node:
        with pytest.raises(DialError):
            await node.connect(NodeRecord(PrivateKey.generate().public_key, NodeRecord.parse(js.enode).addresses))
        assert not node.connected
