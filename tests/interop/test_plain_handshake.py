"""A peer from before EIP-8, of which none is left to run: the initiator's side of RLPx as it was in 2015, over a real socket."""

import os

import pytest
import trio

from devp2p import PrivateKey, PublicKey, rlp
from devp2p.keys import Keccak256, keccak256
from devp2p.wire import base, compression
from devp2p.wire.base import CapabilityVersion, Hello
from devp2p.wire.rlpx import Secrets, ecies
from devp2p.wire.rlpx.frames import FrameOpener, FrameSealer
from tests.interop.capabilities import Echoing
from tests.interop.peers import PATIENCE

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]

PLAIN_AUTH, PLAIN_ACK = 307, 210
ECHO, ECHOED = base.BASE_LENGTH, base.BASE_LENGTH + 1


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


async def shake_hands(stream: trio.SocketStream, key: PrivateKey, remote: PublicKey) -> Secrets:
    """Send auth, take ack: RLPx, section "Initial Handshake", with the packets of its version before EIP-8."""
    ephemeral, nonce = PrivateKey.generate(), os.urandom(32)
    signature = ephemeral.sign(xor(key.ecdh(remote), nonce))
    body = signature + keccak256(bytes(ephemeral.public_key)) + bytes(key.public_key) + nonce + b"\x00"
    auth = ecies.encrypt(remote, body, ephemeral=PrivateKey.generate(), iv=os.urandom(16))
    assert len(auth) == PLAIN_AUTH
    await stream.send_all(auth)

    ack = b""
    while len(ack) < PLAIN_ACK:
        piece = await stream.receive_some(PLAIN_ACK - len(ack))
        assert piece, "hung up"
        ack += piece
    body = ecies.decrypt(key, ack)
    remote_ephemeral, remote_nonce = PublicKey.from_bytes(body[:64]), body[64:96]

    agreed = ephemeral.ecdh(remote_ephemeral)
    aes = keccak256(agreed + keccak256(agreed + keccak256(remote_nonce + nonce)))
    mac = keccak256(agreed + aes)
    egress, ingress = Keccak256(xor(mac, remote_nonce) + auth), Keccak256(xor(mac, nonce) + ack)
    return Secrets(aes=aes, mac=mac, egress_mac=egress, ingress_mac=ingress)


async def test_initiator_from_before_eip_8_gets_a_session(our_node):
    key = PrivateKey.generate()
    async with our_node(Echoing()) as node:
        with trio.fail_after(PATIENCE):
            address = node.addresses[0]
            async with await trio.open_tcp_stream(address.host, address.port) as stream:
                secrets = await shake_hands(stream, key, node.public_key)
                sealer, opener = FrameSealer(secrets), FrameOpener(secrets, 2**16)

                async def send(code: int, data: bytes) -> None:
                    await stream.send_all(b"".join(sealer.seal(rlp.encode(code), data)))

                async def receive() -> tuple[int, bytes]:
                    while (frame := opener.next_frame()) is None:
                        data = await stream.receive_some()
                        assert data, "hung up"
                        opener.receive_data(data)
                    code, start = rlp.split_uint(frame)
                    return code, bytes(frame[start:])

                code, data = await receive()
                hello = base.decode_hello(data)
                assert (code, hello.public_key) == (base.HELLO, node.public_key)
                await send(base.HELLO, base.encode_hello(Hello("relic/v1", (CapabilityVersion("echo", 1),), key.public_key)))

                message = rlp.encode([b"from 2015"])
                await send(ECHO, bytes(compression.compress(message)))
                code, data = await receive()
                assert (code, compression.decompress(data, 100)) == (ECHOED, message)
                assert [peer.client_id for peer in node.connected] == ["relic/v1"]
