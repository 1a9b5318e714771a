"""Against go-ethereum v1.17.8: its p2p.Server as tests/interop/geth runs it, and its ``devp2p`` command."""

import random
import subprocess

import pytest
import trio

from devp2p import DialError, DisconnectReason, LocalProtocolError, PeerDisconnected, PeerRefused, rlp
from tests.interop.capabilities import LARGEST_PAYLOAD, BlobV1, BlobV2, Echo, Echoing, Store, Unheard, sha256
from tests.interop.meeting import REASONS, ended, meet, payload
from tests.interop.peers import DEVP2P, PATIENCE, geth_peer

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("geth")]

KINDS = ["random", "zeros"]
SIZES = [0, 1, 55, 56, 255, 256, 2**10, 2**16 - 1, 2**16, 2**16 + 1, 2**20]

# ------------------------------------------------------------------------------------------------------------------------- messages


async def exchange(node, go, talk, kind, size):
    """Send `size` bytes every way there is."""
    us, data = node.public_key.node_id.hex(), payload(kind, size)
    assert await talk.echo(data) == data

    await talk.send(data)
    arrived = await go.event("message", peer=us, code=4)
    encoded = rlp.encode(data)
    assert (arrived["size"], arrived["sha256"]) == (len(encoded), sha256(encoded).hex())

    await go.command("send", peer=us, code=4, size=size, kind=kind)
    sent = await go.event("sent", peer=us, ok=True)
    assert sha256(rlp.encode(await talk.sunk())).hex() == sent["sha256"]

    assert await talk.ask(data) == sha256(data)
    await go.command("request", peer=us, payload_size=size, kind=kind)
    await go.event("answered", peer=us, size=size, ok=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
async def test_message_echo_and_requests(our_node, we_dial, kind, size):
    async with geth_peer() as go, our_node(Echoing()) as node:
        peer, talk = await meet(node, go, we_dial=we_dial)
        await exchange(node, go, talk, kind, size)
        assert peer.ended is None


@pytest.mark.parametrize("kind", KINDS)
async def test_message_of_10_mib(our_plain_node, we_dial, kind):
    async with geth_peer() as go, our_plain_node(Echoing()) as node:
        peer, talk = await meet(node, go, we_dial=we_dial)
        await exchange(node, go, talk, kind, 10 * 2**20)
        assert peer.ended is None


# Snappy makes 16 MiB of random data 772 bytes longer, and the message id takes one. Go counts the payload before compression, too. What it
# draws is new each time: one in some hundreds repeats four bytes by chance, which costs two more. Ours is always the same.
@pytest.mark.parametrize(("kind", "largest"), [("zeros", LARGEST_PAYLOAD), ("random", LARGEST_PAYLOAD - 1 - 772)])
async def test_largest_message_that_a_frame_can_hold(our_plain_node, kind, largest):
    head = 4  # bytes before a byte string of this size
    async with geth_peer() as go, our_plain_node(Echoing()) as node:
        peer, talk = await meet(node, go)
        us = node.public_key.node_id.hex()

        theirs = largest - (16 if kind == "random" else 0)
        await go.command("send", peer=us, code=4, size=theirs - head, kind=kind)
        sent = await go.event("sent", peer=us, ok=True)
        assert sent["size"] == theirs
        assert sha256(rlp.encode(await talk.sunk())).hex() == sent["sha256"]

        data = payload(kind, largest - head)
        await talk.send(data)
        arrived = await go.event("message", peer=us, code=4)
        assert (arrived["size"], arrived["sha256"]) == (largest, sha256(rlp.encode(data)).hex())

        data = payload(kind, largest - 2 * head)  # two heads: it is a list with one byte string
        assert await talk.echo(data) == data

        with pytest.raises(LocalProtocolError):
            await talk.send(payload(kind, largest - head + 1))
        assert await talk.echo(b"still here") == b"still here"
        assert peer.ended is None


async def test_message_that_they_cannot_send_ends_the_session(our_plain_node):
    async with geth_peer() as go, our_plain_node(Echoing()) as node:
        peer, _ = await meet(node, go)
        await go.command("send", peer=node.public_key.node_id.hex(), code=4, size=LARGEST_PAYLOAD, kind="zeros")
        assert not (await go.event("sent"))["ok"]
        assert (await ended(peer)).by_remote


async def test_messages_of_all_sizes_both_ways_at_once(our_node, we_dial):
    count, seed = 150, 5
    async with geth_peer() as go, our_node(Echoing()) as node:
        peer, talk = await meet(node, go, we_dial=we_dial)
        us = node.public_key.node_id.hex()
        draw = random.Random(seed)
        ours = [draw.randbytes(int(2 ** draw.uniform(0, 17))) for _ in range(count)]

        async def speak():
            for data in ours:
                await talk.channel.send(Echo(data))

        async def ask():
            for data in ours:
                assert await talk.ask(data) == sha256(data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak)
            nursery.start_soon(ask)
            for size in (1, 100, 40_000):
                await go.command("send", peer=us, code=4, size=size, count=count)
            await go.command("request", peer=us, payload_size=5000, count=count)
            for data in ours:
                assert await talk.next_echo() == data
            for _ in range(3 * count):
                sent = await go.event("sent", peer=us, ok=True)
                assert sha256(rlp.encode(await talk.sunk())).hex() == sent["sha256"]
            for _ in range(count):
                await go.event("answered", peer=us, ok=True)
        assert peer.ended is None


async def test_payload_that_is_no_rlp_ends_the_session_as_a_breach(our_node):
    async with geth_peer() as go, our_node(Echoing()) as node:
        peer, _ = await meet(node, go)
        await go.command("send", peer=node.public_key.node_id.hex(), code=4, payload="")
        assert (await ended(peer)).reason is DisconnectReason.PROTOCOL_BREACH
        assert (await go.event("drop"))["reason"] == DisconnectReason.PROTOCOL_BREACH


# ---------------------------------------------------------------------------------------------------------------------- disconnects


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
async def test_our_disconnect_reaches_them(our_node, we_dial, reason):
    async with geth_peer() as go, our_node(Echoing()) as node:
        peer, _ = await meet(node, go, we_dial=we_dial)
        peer.disconnect(DisconnectReason(reason))
        drop = await go.event("drop", peer=node.public_key.node_id.hex())
        assert (drop["reason"], drop["remote_requested"]) == (reason, True)
        end = await ended(peer)
        assert (end.reason, end.by_remote) == (reason, False)


@pytest.mark.parametrize("reason", [*REASONS.values(), 0x42], ids=[*REASONS, "unknown"])
async def test_their_disconnect_reaches_us(our_node, we_dial, reason):
    async with geth_peer() as go, our_node(Echoing()) as node:
        peer, _ = await meet(node, go, we_dial=we_dial)
        await go.command("disconnect", peer=node.public_key.node_id.hex(), reason=reason)
        end = await ended(peer)
        assert (end.reason, end.by_remote) == (reason, True)
        # Of all reasons go-ethereum keeps this one to itself and closes the socket.
        assert bool(end.detail) is (reason == DisconnectReason.NETWORK_ERROR)
        await go.event("drop", peer=node.public_key.node_id.hex(), remote_requested=False)


async def test_leaving_peers_says_so_on_both_sides(our_node, we_dial):
    async with geth_peer() as go:
        async with our_node(Echoing()) as node:
            await meet(node, go, we_dial=we_dial)
        drop = await go.event("drop")
        assert (drop["reason"], drop["remote_requested"]) == (DisconnectReason.CLIENT_QUITTING, True)
        async with our_node(Echoing()) as node:
            peer, _ = await meet(node, go, we_dial=we_dial)
            await go.quit()
            end = await ended(peer)
            assert (end.reason, end.by_remote) == (DisconnectReason.CLIENT_QUITTING, True)


# --------------------------------------------------------------------------------------------------------------------- capabilities


async def test_no_shared_capability_we_dial(our_node):
    async with geth_peer() as go, our_node(Unheard()) as node:
        with pytest.raises(DialError) as caught:
            await node.connect(go.enode)
        assert caught.value.reason == DisconnectReason.USELESS_PEER
        rejected = await go.event("rejected", stage="checks")
        assert (rejected["reason"], rejected["inbound"]) == (DisconnectReason.USELESS_PEER, True)
        assert not node.connected


async def test_no_shared_capability_they_dial(our_node):
    async with geth_peer() as go, our_node(Unheard()) as node:
        events = node.events()
        await go.command("connect", enode=node.enode)
        assert (await go.event("connected", ok=False))["reason"] == DisconnectReason.USELESS_PEER
        with trio.fail_after(PATIENCE):
            refused = await anext(events)
        assert isinstance(refused, PeerRefused)
        assert isinstance(refused.error, PeerDisconnected)
        assert refused.error.reason == DisconnectReason.USELESS_PEER


@pytest.mark.parametrize(
    ("ours", "theirs", "used"),
    [
        ([1, 2], [1, 2], 2),
        ([1, 2], [1], 1),
        ([1, 2], [2], 2),
        ([1], [1, 2], 1),
        ([2], [1, 2], 2),
        ([1], [2], None),
        ([2], [1], None),
    ],
    ids=lambda item: "+".join(map(str, item)) if isinstance(item, list) else f"uses-{item}",
)
async def test_highest_shared_version_runs(our_node, we_dial, ours, theirs, used):
    store, versions = Store(), {1: BlobV1, 2: BlobV2}
    protocols = [f"blob/{version}:{versions[version].length}" for version in theirs]
    async with (
        geth_peer("--protocols", ",".join([*protocols, "echo/1:8"])) as go,
        our_node(*(versions[version](store) for version in ours), Echoing()) as node,
    ):
        peer, talk = await meet(node, go, we_dial=we_dial)
        # Echo comes behind blob in the message space, so it works only if both sides agree on blob's version.
        assert await talk.echo(b"in its place") == b"in its place"
        assert [capability.version for capability in peer.capabilities if capability.name == "blob"] == ([used] if used else [])
        assert {offer.version for offer in peer.offers if offer.name == "blob"} == set(theirs)
        if used:
            with trio.fail_after(PATIENCE):
                while not store.used:
                    await store.more.park()
            assert store.used == [(used, used)]
            assert go.seen("peer", protocol="blob", version=used)
        else:
            assert BlobV1 not in peer
            assert not go.seen("peer", protocol="blob")


# --------------------------------------------------------------------------------------------------------------- the devp2p command


async def test_devp2p_rlpx_ping(our_node):
    async with our_node(Echoing(), BlobV1(Store()), client_id="pinged/v1") as node:
        with trio.fail_after(PATIENCE):
            result = await trio.run_process([str(DEVP2P), "rlpx", "ping", node.enode], capture_stdout=True, stderr=subprocess.STDOUT)
        hello = result.stdout.decode()
        assert "pinged/v1" in hello
        assert "echo" in hello
        assert " ".join(map(str, bytes(node.public_key))) in hello
