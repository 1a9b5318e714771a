"""Transports with a handshake of their own over TCP, and one port that several share."""

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from devp2p import Address, HandshakeError, Limits, PrivateKey, open_node
from devp2p.capability import AnyCapability
from devp2p.transports import Carriers, Incoming, TcpTransport, Transport
from tests.chat import Chat
from tests.transports.knocking import Knock

KEY = PrivateKey.generate()


class Rap(Knock):
    schemes = frozenset({"rap"})


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_node_serves_several_transports_at_one_port(host: str) -> None:
    at = [Address("tcp", host, 0), Address("knock", host, 0)]
    async with open_node(KEY, [Chat()], listen=at, transports=[TcpTransport(), Knock()], strict=True) as node:
        tcp, knock = node.addresses
        assert tcp.port == knock.port
        for address in (tcp, knock):
            async with open_node(PrivateKey.generate(), [Chat()], transports=[TcpTransport(), Knock()], strict=True) as caller:
                peer = await caller.connect(f"{address.scheme}://{bytes(KEY.public_key).hex()}@{address.where}")
                facts = peer.link
                assert (facts.transport, facts.native_auth, facts.native_mux, facts.path) == (address.scheme, False, False, "direct")
                assert facts.remote == address
                await peer.ready(Chat)
                theirs = await anext(aiter(node.peers(Chat)))
                assert theirs.link.transport == address.scheme
                assert theirs.link.local == address


@pytest.mark.real_clock
async def test_what_begins_as_nothing_that_is_served_is_refused() -> None:
    async with AsyncExitStack() as stack:
        (listener,) = await Carriers([Knock()]).bind_all([Address("knock", "127.0.0.1", 0)], stack)
        send, receive = trio.open_memory_channel[Any](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.serve, send.send)
            async with await trio.open_tcp_stream("127.0.0.1", listener.addresses[0].port or 0) as stream:
                await stream.send_all(b"\x16\x03")
                incoming = await receive.receive()
                assert isinstance(incoming, Incoming)
                with pytest.raises(HandshakeError, match="begins with the byte 0x16, which is no beginning of knock"):
                    await incoming.hear()
                await incoming.aclose()
            nursery.cancel_scope.cancel()


async def test_two_that_begin_alike_cannot_share_a_port() -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(ValueError, match="rap and knock cannot share a port, as they begin alike"):
            await Carriers([Knock(), Rap()]).bind_all([Address(scheme, "127.0.0.1", 0) for scheme in ("knock", "rap")], stack)


class Serving(Chat):
    """Has something to do beside its sessions, and a transport of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.served = trio.Event()

    async def serve(self, node: Any) -> None:
        assert node.public_key == KEY.public_key
        self.served.set()
        raise OSError("that is my end")

    def transports(self, key: PrivateKey) -> list[Transport]:
        assert key == KEY
        return [Knock()]


async def test_a_capability_serves_and_brings_transports(caplog: pytest.LogCaptureFixture) -> None:
    own: list[AnyCapability] = [Serving()]
    async with open_node(KEY, own, limits=Limits()) as node:
        await own[0].served.wait()  # type: ignore[attr-defined]
        await trio.testing.wait_all_tasks_blocked()
        assert "chat/1 has failed to serve this node" in caplog.text
        (address,) = await node.listen("knock://127.0.0.1:0")
        assert address.scheme == "knock"
    caplog.clear()
