"""SCTP with Go's pion/dtls and pion/sctp, where go-libp2p judges the certificates (transports/sctp.go, written from docs/spec/sctp.md)."""

import os

import pytest

from devp2p import DialError, PrivateKey, open_node
from tests.interop import peers
from tests.interop.capabilities import Echoing

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("transportpeer")]

SIZES = [1, 100, 16 * 1024, 100_000, 2**20]
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])


@HOSTS
async def test_we_dial_it(host: str):
    async with (
        peers.transport_peer("sctp", "--address", f"{host}:0") as go,
        open_node(PrivateKey.generate(), [Echoing()], strict=True) as node,
    ):
        peer = await node.connect(go.enode("sctp"))
        facts = peer.link
        assert (facts.transport, facts.native_auth, facts.native_mux, facts.path) == ("sctp", True, True, "direct")
        arrived = await go.event("peer")
        assert (arrived["pubkey"], arrived["native_auth"], arrived["native_mux"]) == (bytes(node.public_key).hex(), True, True)
        talk = await peer.ready(Echoing)
        for size in SIZES:
            data = os.urandom(size)
            assert await talk.echo(data) == data
        peer.disconnect()
        assert (await go.event("ended"))["by"] == "peer"


@HOSTS
async def test_it_dials_us(host: str):
    async with open_node(PrivateKey.generate(), [Echoing()], listen=[f"sctp://{host}:0"], strict=True) as node:
        (address,) = node.addresses
        events = await peers.transport_dial("sctp", node.public_key, address.where, "--sizes", ",".join(map(str, SIZES)))
    names = [event["event"] for event in events]
    assert names == ["peer", *["echoed"] * len(SIZES), "pong", "ended"]
    assert events[0]["pubkey"] == bytes(node.public_key).hex()
    assert [(event["size"], event["same"]) for event in events if event["event"] == "echoed"] == [(size, True) for size in SIZES]
    assert events[-1] == {"event": "ended", "by": "us", "reason": 0, "error": ""}


async def test_it_dials_another_than_it_means():
    async with open_node(PrivateKey.generate(), [Echoing()], listen=["sctp://127.0.0.1:0"], strict=True) as node:
        (address,) = node.addresses
        (refused,) = await peers.transport_dial("sctp", PrivateKey.generate().public_key, address.where)
    assert refused["event"] == "refused"
    assert "another node" in refused["error"]


async def test_we_dial_another_than_we_mean():
    other = PrivateKey.generate().public_key
    async with (
        peers.transport_peer("sctp") as go,
        open_node(PrivateKey.generate(), [Echoing()], strict=True) as node,
    ):
        with pytest.raises(DialError, match=f"is the node with the key {bytes(go.public_key).hex()}"):
            await node.connect(f"sctp://{bytes(other).hex()}@{go.address}")


@pytest.mark.parametrize("fault", ["alpn", "no-alpn", "no-certificate", "two-certificates", "ed25519"])
async def test_who_dials_us_by_other_rules_is_told(fault: str):
    async with open_node(PrivateKey.generate(), [Echoing()], listen=["sctp://127.0.0.1:0"], strict=True) as node:
        (address,) = node.addresses
        (refused,) = await peers.transport_dial("sctp", node.public_key, address.where, "--fault", fault)
        assert refused["event"] == "refused"
        assert "goes on as if nothing were wrong" not in refused["error"]
        assert "deadline" not in refused["error"]
        assert not list(node.connected)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("alpn", "no handshake of DTLS"),
        ("no-alpn", "is spoken there, not b'devp2p/1'"),
        ("two-certificates", "several certificates"),
        ("ed25519", "of the type Ed25519, not secp256k1"),
    ],
)
async def test_whom_we_dial_has_to_keep_the_rules(fault: str, told: str):
    async with (
        peers.transport_peer("sctp", "--fault", fault) as go,
        open_node(PrivateKey.generate(), [Echoing()], strict=True) as node,
    ):
        with pytest.raises(DialError, match=told):
            await node.connect(go.enode("sctp"))
