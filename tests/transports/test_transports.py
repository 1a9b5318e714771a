"""Transports carry bytes both ways, say truthfully where from, and survive what systems do."""

import errno
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import check_half_closeable_stream

from devp2p import Address, PrivateKey, open_node
from devp2p.transports import connecting
from devp2p.transports.connecting import Connection
from devp2p.transports.links import Link, StreamLink, Transport
from devp2p.transports.memory import MemoryStream, MemoryTransport, memory_stream_pair
from devp2p.transports.tcp import TcpTransport
from devp2p.transports.unix import UnixTransport
from tests.chat import Chat, GetTime


@asynccontextmanager
async def serving(transport: Transport, text: str) -> AsyncIterator[tuple[tuple[Address, ...], trio.MemoryReceiveChannel[Link]]]:
    """A transport that listens: where it does, and the links that it accepts."""
    send, receive = trio.open_memory_channel[Any](100)
    async with trio.open_nursery() as nursery:
        listener = await transport.bind(Address.parse(text))
        nursery.start_soon(listener.serve, send.send)
        yield listener.addresses, receive
        nursery.cancel_scope.cancel()


async def drop(link: Link) -> None:
    await link.aclose()


async def check_both_ways(ours: Link, theirs: Link) -> None:
    """That both are ends of one plain byte stream."""
    assert (ours.initiator, theirs.initiator) == (True, False)
    assert (ours.peer, theirs.peer) == (None, None)
    assert isinstance(ours, StreamLink)
    assert isinstance(theirs, StreamLink)
    one, other = ours.stream, theirs.stream
    async with one, other:
        for a, b in ((one, other), (other, one)):
            await a.send_all(b"hello")
            assert await b.receive_some() == b"hello"
        await one.send_eof()
        assert await other.receive_some() == b""


@pytest.mark.real_clock
@pytest.mark.parametrize("text", ["memory://a", "tcp://127.0.0.1:0", "unix://{}/node.sock"])
async def test_links_that_come_before_somebody_serves_wait_and_are_closed_if_nobody_does(text: str, tmp_path: Path) -> None:
    carriers: list[Transport] = [MemoryTransport(), TcpTransport(), UnixTransport()]
    transport = next(one for one in carriers if text.partition(":")[0] in one.schemes)
    send, receive = trio.open_memory_channel[Any](100)
    for served in (True, False):
        listener = await transport.bind(Address.parse(text.format(tmp_path)))
        ours = await transport.dial(listener.addresses[0], expect=None)
        assert isinstance(ours, StreamLink)
        await ours.stream.send_all(b"early")
        async with trio.open_nursery() as nursery:
            if served:
                nursery.start_soon(listener.serve, send.send)
                theirs = await receive.receive()
                assert isinstance(theirs, StreamLink)
                assert await theirs.stream.receive_some() == b"early"
                await theirs.aclose()
            nursery.cancel_scope.cancel()
        await listener.aclose()
        with pytest.raises(OSError, match=r"refused|nobody listens|No such file"):
            await transport.dial(listener.addresses[0], expect=None)
        with suppress(trio.BrokenResourceError):
            assert await ours.stream.receive_some() == b""
        await ours.aclose()


# Memory


async def test_a_memory_stream_behaves_as_trio_wants_a_stream_to() -> None:
    async def make() -> tuple[MemoryStream, MemoryStream]:
        return memory_stream_pair()

    async def make_clogged() -> tuple[MemoryStream, MemoryStream]:
        one, other = memory_stream_pair(capacity=1)
        await one.send_all(b"x")
        await other.send_all(b"x")
        return one, other

    await check_half_closeable_stream(make, make_clogged)


async def test_a_memory_stream_is_bounded() -> None:
    one, other = memory_stream_pair(capacity=10)
    with trio.move_on_after(1) as scope:
        await one.send_all(bytes(11))
    assert scope.cancelled_caught
    assert await other.receive_some(4) == bytes(4)
    assert await other.receive_some() == bytes(6)


async def test_memory_carries_links_by_name() -> None:
    network = MemoryTransport()
    with pytest.raises(ConnectionRefusedError, match="nobody listens at memory://a"):
        await network.dial(Address("memory", "a"), expect=None)
    async with serving(network, "memory://a") as (bound, links):
        assert bound == (Address("memory", "a"),)
        with pytest.raises(OSError, match="somebody listens at memory://a already"):
            await network.bind(Address("memory", "a"))
        ours = await network.dial(bound[0], expect=None)
        theirs = await links.receive()
        assert (ours.remote, theirs.remote) == (Address("memory", "a"), ours.local)
        await check_both_ways(ours, theirs)
    with pytest.raises(ConnectionRefusedError):
        await network.dial(Address("memory", "a"), expect=None)


async def test_two_networks_are_apart() -> None:
    async with serving(MemoryTransport(), "memory://a"):
        with pytest.raises(ConnectionRefusedError):
            await MemoryTransport().dial(Address("memory", "a"), expect=None)


# TCP


@pytest.mark.real_clock
@pytest.mark.parametrize(("listen", "dial"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]"), ("*", "127.0.0.1"), ("*", "[::1]")])
async def test_tcp_carries_links_over_both_versions_of_ip(listen: str, dial: str) -> None:
    transport = TcpTransport()
    async with serving(transport, f"tcp://{listen}:0") as (bound, links):
        (address,) = bound
        assert address.port
        assert str(address) == f"tcp://{listen}:{address.port}"
        ours = await transport.dial(Address.parse(f"tcp://{dial}:{address.port}"), expect=None)
        theirs = await links.receive()
        assert str(ours.remote) == f"tcp://{dial}:{address.port}"
        assert theirs.remote == ours.local, "an IPv4 peer of a dual-stack socket is reported with its IPv4 address"
        assert theirs.local == ours.remote
        await check_both_ways(ours, theirs)


@pytest.mark.real_clock
async def test_tcp_says_when_nobody_answers_or_a_port_is_taken() -> None:
    transport = TcpTransport()
    async with serving(transport, "tcp://127.0.0.1:0") as (bound, _):
        with pytest.raises(OSError, match="in use") as caught:
            await transport.bind(bound[0])
        assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(OSError, match="refused"):
        await transport.dial(bound[0], expect=None)
    async with serving(transport, "tcp://*:0") as (bound, _):
        with pytest.raises(OSError, match="in use"):
            await transport.bind(bound[0])


@pytest.mark.real_clock
async def test_without_ipv6_every_interface_means_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    create_server = socket.create_server

    def without_ipv6(address: tuple[str, int], *, family: int = socket.AF_INET, **options: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6 here")
        return create_server(address, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_server", without_ipv6)
    transport = TcpTransport()
    async with serving(transport, "tcp://*:0") as (bound, links):
        ours = await transport.dial(Address("tcp", "127.0.0.1", bound[0].port), expect=None)
        await check_both_ways(ours, await links.receive())


@pytest.mark.real_clock
async def test_a_peer_that_is_gone_before_it_was_accepted_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = TcpTransport()
    getpeername, gone = socket.socket.getpeername, [True]

    def once_gone(self: socket.socket) -> object:
        if gone and gone.pop():
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return getpeername(self)

    async with serving(transport, "tcp://127.0.0.1:0") as (bound, links):
        address = bound[0]
        assert address.port is not None
        with socket.create_connection((address.host, address.port)) as first:
            monkeypatch.setattr(socket.socket, "getpeername", once_gone)
            first.sendall(b"x")  # the system may keep a silent one to itself
            await trio.testing.wait_all_tasks_blocked(0.01)
            with pytest.raises(ConnectionResetError):  # its byte was not read
                first.recv(1)
        await check_both_ways(await transport.dial(address, expect=None), await links.receive())
        monkeypatch.setattr(connecting, "connection_of", lose)
        with pytest.raises(OSError, match="not connected"):
            await transport.dial(address, expect=None)
        lost = await links.receive()
        assert isinstance(lost, StreamLink)
        async with lost.stream as theirs:
            assert await theirs.receive_some() == b"", "what cannot be used is closed"


def lose(stream: trio.SocketStream, scheme: str) -> Connection:  # noqa: ARG001
    raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


@pytest.mark.real_clock
@pytest.mark.parametrize("scheme", ["tcp", "unix"])
async def test_running_out_of_file_descriptors_pauses_accepting(scheme: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    transport: Transport = TcpTransport() if scheme == "tcp" else UnixTransport()
    where = "tcp://127.0.0.1:0" if scheme == "tcp" else f"unix://{tmp_path}/node.sock"
    family = socket.AF_INET if scheme == "tcp" else socket.AF_UNIX
    async with serving(transport, where) as (bound, links):
        with socket.socket(family, socket.SOCK_STREAM) as client:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            with socket.socket() as probe:
                free = probe.fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
            try:
                client.connect((bound[0].host, bound[0].port) if scheme == "tcp" else bound[0].host)
                client.sendall(b"x")
                with trio.move_on_after(0.5):  # it is tried more than once
                    await links.receive()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            link = await links.receive()
            await link.aclose()
    assert caplog.text.count("cannot accept connections now") == 1


# Unix sockets


@pytest.mark.real_clock
async def test_unix_sockets_carry_links_and_leave_no_file(tmp_path: Path) -> None:
    transport, path = UnixTransport(), tmp_path / "node.sock"
    with pytest.raises(FileNotFoundError):
        await transport.dial(Address("unix", str(path)), expect=None)
    async with serving(transport, f"unix://{path}") as (bound, links):
        assert bound == (Address("unix", str(path)),)
        ours = await transport.dial(bound[0], expect=None)
        theirs = await links.receive()
        assert ours.remote == bound[0]
        await check_both_ways(ours, theirs)
    assert not path.exists()


@pytest.mark.real_clock
async def test_a_socket_file_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    transport, path = UnixTransport(), tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    async with serving(transport, f"unix://{path}") as (bound, links):
        await check_both_ways(await transport.dial(bound[0], expect=None), await links.receive())


@pytest.mark.real_clock
async def test_a_path_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    transport, path, file = UnixTransport(), tmp_path / "node.sock", tmp_path / "file"
    file.write_text("precious")
    for taken in (path, file):
        async with serving(transport, f"unix://{path}") as (bound, links):
            with pytest.raises(OSError, match="in use"):
                await transport.bind(Address("unix", str(taken)))
            if taken is path:
                await (await links.receive()).aclose()  # the other looked whether somebody listens
            await check_both_ways(await transport.dial(bound[0], expect=None), await links.receive())
    assert file.read_text() == "precious"


async def test_a_system_without_unix_sockets_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    address = Address("unix", str(tmp_path / "node.sock"))
    with pytest.raises(OSError, match="this system has no Unix sockets"):
        await UnixTransport().dial(address, expect=None)
    with pytest.raises(OSError, match="this system has no Unix sockets"):
        await UnixTransport().bind(address)


# Whole sessions


@pytest.mark.real_clock
@pytest.mark.parametrize("where", ["tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://*:0", "unix://{}/node.sock"])
async def test_a_session_over_real_sockets(where: str, tmp_path: Path) -> None:
    async with (
        open_node(PrivateKey.generate(), [Chat()], listen=[where.format(tmp_path)], strict=True) as node,
        open_node(PrivateKey.generate(), [Chat()], strict=True) as other,
    ):
        peer = await other.connect(node.enode)
        assert (await peer[Chat].request(GetTime("abc"))).seconds == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "*"])
@pytest.mark.real_clock
async def test_one_may_dial_from_a_port_where_one_listens_and_nobody_else_can_listen_there(host: str) -> None:
    listener = await TcpTransport().bind(Address("tcp", host, 0))
    address = listener.addresses[0]
    family, local = (socket.AF_INET, "127.0.0.1") if host != "::1" else (socket.AF_INET6, "::1")
    assert address.port is not None
    with socket.socket(family) as dialling:
        dialling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        dialling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        dialling.bind((local, address.port))
        with pytest.raises(OSError, match="in use"):
            await TcpTransport().bind(address)
    await listener.aclose()
