"""TLS with Go's crypto/tls, where go-libp2p makes and judges the certificates (transports/tls.go)."""

import pytest

from devp2p import Address, HandshakeError, PrivateKey, open_node
from devp2p.transports.tls import TlsTransport
from tests.interop import meeting, peers
from tests.interop.capabilities import Echoing

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("transportpeer")]

HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])


@HOSTS
async def test_we_dial_it(host: str):
    await meeting.dial_go("tls", host, Echoing, native_mux=False)


@HOSTS
async def test_it_dials_us(host: str):
    await meeting.be_dialled_by_go("tls", host, Echoing)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("alpn", "no application protocol"),
        ("no-alpn", ""),
        ("no-certificate", "certificate required"),
        ("two-certificates", ""),
        ("stolen-certificate", "error decrypting message"),
        ("tls1.2", "protocol version"),
        ("ed25519", "certificate"),
    ],
)
async def test_t10_it_is_refused_if_it_breaks_a_rule(fault: str, told: str):
    async with open_node(PrivateKey.generate(), [Echoing()], listen=["tls://127.0.0.1:0"], strict=True) as node:
        (address,) = node.addresses
        (event,) = await peers.transport_dial("tls", node.public_key, address.where, "--fault", fault)
        assert event["event"] == "refused"
        assert "as if nothing were wrong" not in event["error"]
        assert told in event["error"]
        assert node.statistics.inbound == 0


@pytest.mark.parametrize("fault", ["alpn", "no-alpn", "two-certificates", "stolen-certificate", "tls1.2", "ed25519"])
async def test_t10_we_do_not_talk_to_it_if_it_breaks_a_rule(fault: str):
    async with peers.transport_peer("tls", "--fault", fault) as go:
        transport, (host, port) = TlsTransport(PrivateKey.generate()), go.address.rsplit(":", 1)
        with pytest.raises(HandshakeError):
            await transport.dial(Address("tls", host, int(port)), expect=go.public_key)
