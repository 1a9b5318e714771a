"""QUIC with Go's quic-go, where go-libp2p makes and judges the certificates (transports/quic.go)."""

import pytest
import trio

from devp2p import DialError, PrivateKey, open_node
from devp2p.node import Subscription
from devp2p.node.events import PeerRefused
from tests.interop import meeting, peers
from tests.interop.capabilities import Echoing

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("transportpeer")]

HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])


class More(Echoing):
    """The same once more, on a stream of its own."""

    name = "more"


@HOSTS
async def test_we_dial_it(host: str):
    await meeting.dial_go("quic", host, Echoing, More, native_mux=True)


@HOSTS
async def test_it_dials_us(host: str):
    await meeting.be_dialled_by_go("quic", host, Echoing, More)


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
