"""One UDP port for discovery and QUIC."""

import os
import socket
from typing import cast

import pytest
import trio

from devp2p import Address, Node, PrivateKey, open_node
from devp2p.node import DiscoverySettings
from devp2p.transports import SharedSocket
from devp2p.transports.quic import QuicTransport
from devp2p.transports.quic.port import Port
from tests.chat import Chat

pytestmark = pytest.mark.real_clock
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])


def free_port(host: str) -> int:
    """A port that is free for TCP and for UDP, most likely still when it is bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            tcp.bind((host.strip("[]"), 0))
            try:
                udp.bind(tcp.getsockname()[:2])
            except OSError:
                continue
            return int(tcp.getsockname()[1])


async def until_pinged(node: Node, other: Node, version: int) -> None:
    assert node.discovery is not None
    record = other.record
    with trio.fail_after(20):
        while await node.discovery.ping(record, version=version) is None:  # noqa: ASYNC110
            await trio.sleep(0.05)


@HOSTS
async def test_a_node_serves_quic_and_discovery_at_one_udp_port(host: str) -> None:
    port = free_port(host)
    where = [f"tcp://{host}:{port}", f"quic://{host}:{port}"]
    settings = DiscoverySettings(external=[host.strip("[]")], dials=False)
    async with (
        open_node(PrivateKey.generate(), [Chat()], listen=where, discovery=settings, strict=True) as node,
        open_node(PrivateKey.generate(), [Chat()], listen=[f"tcp://{host}:0"], discovery=settings, strict=True) as other,
    ):
        assert node.discovery is not None
        assert node.discovery.address.port == port
        for version in (4, 5):
            await until_pinged(other, node, version)
            await until_pinged(node, other, version)
        peer = await other.connect(f"quic://{bytes(node.public_key).hex()}@{host}:{port}")
        await peer.ready(Chat)
        assert peer.link.transport == "quic"
        for version in (4, 5):
            await until_pinged(other, node, version)
        assert node.discovery.statistics.unhandled > 0  # the first packet of QUIC, which discovery gave back


@HOSTS
async def test_discovery_takes_the_port_of_quic_where_there_is_no_tcp(host: str) -> None:
    async with (
        open_node(PrivateKey.generate(), [Chat()], listen=[f"quic://{host}:0"], discovery=True, strict=True) as node,
        open_node(PrivateKey.generate(), [Chat()], discovery=DiscoverySettings(listen=f"udp://{host}:0"), strict=True) as other,
    ):
        assert node.discovery is not None
        assert node.discovery.address == Address("udp", host.strip("[]"), node.addresses[0].port)
        assert node.record.udp_endpoints == ((node.discovery.address.host, node.discovery.address.port),)
        await until_pinged(other, node, 5)
        assert (await other.connect(node.record)).link.transport == "quic"


@pytest.mark.parametrize("scheme", ["tls", "ws"])
@HOSTS
async def test_discovery_listens_no_wider_than_the_node_does(host: str, scheme: str) -> None:
    async with open_node(PrivateKey.generate(), [Chat()], listen=[f"{scheme}://{host}:0"], discovery=True, strict=True) as node:
        assert node.discovery is not None
        assert node.discovery.address.host == host.strip("[]")


async def test_what_is_of_neither_is_dropped() -> None:
    transport = QuicTransport(PrivateKey.generate())
    listener = await transport.bind(Address("quic", "127.0.0.1", 0))
    shared = listener.share(listener.addresses[0])
    assert isinstance(shared, SharedSocket)
    assert listener.share(listener.addresses[0]) is None  # there is one guest
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(("127.0.0.1", listener.addresses[0].port))
        sock.send(os.urandom(100))
        with trio.fail_after(10):
            await shared.wait_readable()
        data, name = shared.recvfrom(2048)
        assert (len(data), name) == (100, sock.getsockname())
        with pytest.raises(BlockingIOError):
            shared.recvfrom(2048)
        shared.give_back(data, name)
        assert listener.endpoints[0].dropped == 1
        assert shared.sendto(b"pong", name) == 4
        assert sock.recv(10) == b"pong"
        shared.close()
        sock.send(os.urandom(100))
        with trio.fail_after(10):
            while listener.endpoints[0].dropped < 2:  # noqa: ASYNC110
                await trio.sleep(0.001)
    await listener.aclose()


async def test_a_guest_that_is_slow_loses_what_comes_and_takes_no_room() -> None:
    listener = await QuicTransport(PrivateKey.generate()).bind(Address("quic", "127.0.0.1", 0))
    shared = listener.share(listener.addresses[0])
    assert shared is not None
    for number in range(1000):
        shared.take(number.to_bytes(2), ("127.0.0.1", 9))
    taken = 0
    while True:
        try:
            shared.recvfrom(2048)
        except BlockingIOError:
            break
        taken += 1
    assert taken + shared.lost == 1000
    assert taken == 256
    await listener.aclose()
    shared.close()


class Deaf:
    """A socket of a system that keeps no errors to be asked for, and so has no `recvmsg` (Windows), or another use for the flag (macOS)."""

    def __init__(self) -> None:
        self.errors: list[OSError] = [ConnectionResetError(10054, "of a datagram that was sent earlier")]

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 9

    def setsockopt(self, *_: int) -> None:
        """It has as much room as it has."""

    def recvfrom_into(self, room: memoryview) -> tuple[int, tuple[str, int]]:
        if self.errors:
            raise self.errors.pop()
        room[:4] = b"next"
        self.errors = [BlockingIOError()]
        return 4, ("127.0.0.1", 7)


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_an_error_of_an_earlier_datagram_costs_nothing_where_it_is_not_kept(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    port = Port(cast("socket.socket", Deaf()), lambda *_: pytest.fail("nobody knows which it was"))
    assert [*port.receive()] == [(b"next", ("127.0.0.1", 7))]
