"""QUIC with Go's quic-go, where go-libp2p makes and judges the certificates (transports/quic.go)."""

import os

import pytest
import trio

from devp2p import DialError, PrivateKey, open_node
from devp2p.node import Subscription
from devp2p.node.events import PeerRefused
from tests.interop import peers
from tests.interop.capabilities import Echoing, Talk

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("transportpeer")]

SIZES = [1, 100, 16 * 1024, 100_000, 2**20]


class More(Echoing):
    """The same once more, on a stream of its own."""

    name = "more"


HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])


async def echo_at(talk: Talk, size: int) -> None:
    data = os.urandom(size)
    assert await talk.echo(data) == data


@HOSTS
async def test_we_dial_it(host: str):
    async with (
        peers.transport_peer("quic", "--address", f"{host}:0") as go,
        open_node(PrivateKey.generate(), [Echoing(), More()], strict=True) as node,
    ):
        peer = await node.connect(go.enode("quic"))
        facts = peer.link
        assert (facts.transport, facts.native_auth, facts.native_mux, facts.path) == ("quic", True, True, "direct")
        arrived = await go.event("peer")
        assert arrived["pubkey"] == bytes(node.public_key).hex()
        assert (arrived["native_auth"], arrived["native_mux"]) == (True, True)
        talks = await peer.ready(Echoing), await peer.ready(More)
        for size in SIZES:
            async with trio.open_nursery() as nursery:
                for talk in talks:
                    nursery.start_soon(echo_at, talk, size)
        peer.disconnect()
        assert (await go.event("ended"))["by"] == "peer"


@HOSTS
async def test_it_dials_us(host: str):
    async with open_node(PrivateKey.generate(), [Echoing(), More()], listen=[f"quic://{host}:0"], strict=True) as node:
        (address,) = node.addresses
        events = await peers.transport_dial("quic", node.public_key, address.where, "--sizes", ",".join(map(str, SIZES)))
    names = [event["event"] for event in events]
    assert names == ["peer", *["echoed"] * 2 * len(SIZES), "pong", "ended"], events
    assert events[0]["pubkey"] == bytes(node.public_key).hex()
    assert [(event["size"], event["same"]) for event in events if event["event"] == "echoed"] == [
        (size, True) for size in SIZES for _ in "ab"
    ]
    assert events[-1] == {"event": "ended", "by": "us", "reason": 0, "error": ""}


@pytest.mark.parametrize(
    ("fault", "ours", "told"),
    [
        ("alpn", "No common ALPN protocols", "CRYPTO_ERROR 0x178"),
        ("no-certificate", "no certificates, where the peer has to send one", "CRYPTO_ERROR 0x12a"),
        ("two-certificates", "2 certificates, where the peer has to send one", "CRYPTO_ERROR 0x12a"),
        ("ed25519", "a node's key of the type Ed25519, not secp256k1", "CRYPTO_ERROR 0x12a"),
    ],
)
async def test_one_that_proves_nobody_is_refused_by_quic_itself(fault: str, ours: str, told: str):
    async with open_node(PrivateKey.generate(), [Echoing()], listen=["quic://127.0.0.1:0"], strict=True) as node:
        events: Subscription = node.events()
        (address,) = node.addresses
        said = await peers.transport_dial("quic", node.public_key, address.where, "--fault", fault)
        assert said[0]["event"] == "refused"
        assert told in said[0]["error"], said
        with trio.fail_after(peers.PATIENCE):
            refused = await anext(aiter(events))
        assert isinstance(refused, PeerRefused)
        assert ours in str(refused.error)


@pytest.mark.parametrize(
    ("fault", "told"), [("alpn", "TLS alert"), ("no-certificate", "TLS alert"), ("ed25519", "a node's key of the type Ed25519")]
)
async def test_a_listener_that_proves_nobody_is_no_peer(fault: str, told: str):
    async with (
        peers.transport_peer("quic", "--fault", fault) as go,
        open_node(PrivateKey.generate(), [Echoing()], strict=True) as node,
    ):
        with pytest.raises(DialError, match=told):
            await node.connect(go.enode("quic"))
