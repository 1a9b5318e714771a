"""TLS beyond what the conformance suite asks of every transport: its ends, its words, its port."""

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
import trio
from trio.abc import HalfCloseableStream
from trio.testing import lockstep_stream_pair, memory_stream_pair

from devp2p import Address, HandshakeError, PeerMismatch, PrivateKey, open_node
from devp2p.transports import Arrival, ByteLink, Connection, Incoming, OverTcp, keep_unsent
from devp2p.transports.certificates import certificate_for
from devp2p.transports.tls import ALPN, TlsTransport
from tests.chat import Chat

NODE, CALLER = PrivateKey(b"\1" * 32), PrivateKey(b"\2" * 32)
AT = Address("tls", "127.0.0.1", 30303)
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


@asynccontextmanager
async def linked(
    pair: Callable[[], tuple[HalfCloseableStream, HalfCloseableStream]] = memory_stream_pair,
) -> AsyncGenerator[tuple[ByteLink, ByteLink]]:
    """The links of a caller and of a node."""
    here, there = (Connection(stream, AT, replace(AT, port=4)) for stream in pair())
    links = list[ByteLink]()

    async def respond() -> None:
        links.append(await TlsTransport(NODE).respond(there))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(respond)
        links.append(await TlsTransport(CALLER).initiate(here, AT, NODE.public_key))
    links.sort(key=lambda link: not link.initiator)
    yield links[0], links[1]
    for link in links:
        await link.aclose()


async def test_both_know_who_the_other_is():
    async with linked() as (ours, theirs):
        assert (ours.peer, ours.initiator) == (NODE.public_key, True)
        assert (theirs.peer, theirs.initiator) == (CALLER.public_key, False)
        assert theirs.local == AT


async def test_a_direction_ends_and_the_other_goes_on():
    async with linked() as (ours, theirs):
        await ours.stream.send_all(b"last words")
        await ours.stream.send_eof()
        await ours.stream.send_eof()  # harmless
        assert await theirs.stream.receive_some() == b"last words"
        for _ in range(2):
            assert await theirs.stream.receive_some() == b""
        for size in (1, 100_000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(theirs.stream.send_all, bytes(size))
                left = size
                while left:
                    left -= len(await ours.stream.receive_some())
        with pytest.raises(trio.ClosedResourceError):
            await ours.stream.send_all(b"more")
        await theirs.stream.send_eof()
        assert await ours.stream.receive_some() == b""


async def test_one_task_sends_while_another_receives_and_receiving_may_be_cancelled_at_any_time():
    async with linked() as (ours, theirs), trio.open_nursery() as nursery:
        sent = bytes(range(256)) * 2_000
        for link in (ours, theirs):
            nursery.start_soon(link.stream.send_all, sent)
        for link in (theirs, ours):
            got = b""
            while len(got) < len(sent):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    got += await link.stream.receive_some()
                got += await link.stream.receive_some(1 + len(got) % 50_000)
            assert got == sent


async def flood(stream: HalfCloseableStream) -> None:
    """Send until it cannot."""
    with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
        while True:
            await stream.send_all(bytes(100_000))


async def test_closing_waits_for_nobody():
    async with linked(lockstep_stream_pair) as (ours, _), trio.open_nursery() as nursery:
        nursery.start_soon(flood, ours.stream)
        await trio.testing.wait_all_tasks_blocked()
        await ours.aclose()


@pytest.mark.real_clock
@HOSTS
async def test_a_node_serves_it_with_tcp_at_one_port_and_the_session_is_native(host: str):
    at = [Address("tls", host, 0), Address("tcp", host, 0)]
    async with open_node(NODE, [Chat()], listen=at, strict=True) as node:
        tls, tcp = sorted(node.addresses, key=lambda address: address.scheme, reverse=True)
        assert tls.port == tcp.port
        for address in (tls, tcp):
            async with open_node(PrivateKey.generate(), [Chat()], strict=True) as caller:
                peer = await caller.connect(f"{address.scheme}://{bytes(NODE.public_key).hex()}@{address.where}")
                assert (peer.link.transport, peer.link.native_auth) == (address.scheme, address.scheme == "tls")
                await peer.ready(Chat)


@pytest.mark.real_clock
async def test_what_goes_wrong_is_said():
    transport = TlsTransport(CALLER)
    listener = await TlsTransport(NODE).bind(Address("tls", "127.0.0.1", 0))
    (address,) = listener.addresses

    async def refuse(link: Arrival) -> None:
        await link.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, refuse)
        with pytest.raises(ConnectionResetError, match="hung up during the"):
            await transport.dial(address, expect=None)
        nursery.cancel_scope.cancel()
    with pytest.raises(ConnectionRefusedError):
        await transport.dial(address, expect=None)
    for says, told in (
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "wrong version number|packet length"),
        (b"\x15\3\3\0\2\2\x28", "handshake failure"),
    ):
        here, there = memory_stream_pair()
        await there.send_all(says)
        with pytest.raises(HandshakeError, match=told):
            await transport.initiate(Connection(here, AT, AT), AT, None)
        await there.aclose()


async def upgrade(arriving: trio.MemoryReceiveChannel[Arrival]) -> None:
    """Do the handshake of the next connection, and wait until it is closed."""
    arrived = await arriving.receive()
    assert isinstance(arrived, Incoming)
    await arrived.hear()
    link = await arrived.upgrade()
    assert isinstance(link, ByteLink)
    with suppress(trio.BrokenResourceError):
        await link.stream.receive_some()
    await link.aclose()


@pytest.mark.real_clock
async def test_the_system_holds_little_on_a_slow_line_under_tls_too():
    listener = await TlsTransport(NODE).bind(Address("tls", "127.0.0.1", 0))
    async with trio.open_nursery() as nursery:
        accepted, arriving = trio.open_memory_channel[Arrival](1)
        nursery.start_soon(listener.serve, accepted.send)
        nursery.start_soon(upgrade, arriving)
        link = await TlsTransport(CALLER).dial(listener.addresses[0], expect=NODE.public_key)
        assert isinstance(link, ByteLink)
        keep_unsent(link.stream, 8192)
        under = getattr(link.stream, "under", None)
        assert isinstance(under, trio.SocketStream)
        assert under.getsockopt(socket.IPPROTO_TCP, trio.socket.TCP_NOTSENT_LOWAT) == 8192
        await link.aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()


async def test_another_certificate_is_used_when_one_is_old(monkeypatch: pytest.MonkeyPatch):
    transport = TlsTransport(NODE)
    first = transport._current_context
    assert transport._current_context is first
    monkeypatch.setattr(type(certificate_for(NODE)), "is_fresh", lambda _: False)
    assert transport._current_context is not first


def test_it_is_tls_by_its_first_byte():
    assert issubclass(TlsTransport, OverTcp)
    assert TlsTransport.first_bytes == {0x16}
    assert ALPN == b"devp2p/1"
    assert issubclass(PeerMismatch, HandshakeError)
