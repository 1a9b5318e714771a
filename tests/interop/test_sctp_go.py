"""SCTP with Go's pion/dtls and pion/sctp, where go-libp2p judges the certificates (transports/sctp.go, written from docs/spec/sctp.md)."""

import pytest

from devp2p import DialError, PrivateKey, open_node
from tests.interop import meeting, peers
from tests.interop.capabilities import Echoing

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("transportpeer")]

HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])


@HOSTS
async def test_we_dial_it(host: str):
    await meeting.dial_go("sctp", host, Echoing, native_mux=True)


@HOSTS
async def test_it_dials_us(host: str):
    await meeting.be_dialled_by_go("sctp", host, Echoing)


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
