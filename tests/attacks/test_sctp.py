"""Attacks on SCTP in DTLS by strangers, who send datagrams."""

import os
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib import import_module
from struct import pack
from typing import Any

import pytest
import trio
from OpenSSL import SSL

from devp2p import Address, PrivateKey
from devp2p.errors import HandshakeError

pytestmark = pytest.mark.interop

OURS, OTHER = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
SOON = 20


@pytest.fixture
def sctp() -> Any:
    return import_module("tests.interop.sctp_ends")


class Stranger:
    """A client of DTLS that goes as far as it is told, over a socket of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, port))
        self.socket.settimeout(0)
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        context.set_alpn_protos([b"devp2p/1"])
        self.connection = SSL.Connection(context)
        self.connection.set_connect_state()
        self.connection.set_ciphertext_mtu(1400)

    def hello(self) -> bytes:
        """What it says next."""
        with suppress(SSL.WantReadError):
            self.connection.do_handshake()
        return self.connection.bio_read(4096)

    async def answer(self) -> bytes:
        with trio.fail_after(SOON):
            await trio.lowlevel.wait_readable(self.socket)
        return self.socket.recv(4096)

    async def echo_cookie(self) -> None:
        """Come to where the server has to compute."""
        self.socket.send(self.hello())
        self.connection.bio_write(await self.answer())
        self.socket.send(self.hello())

    def __del__(self) -> None:
        self.socket.close()


@asynccontextmanager
async def listening(sctp: Any, host: str = "127.0.0.1") -> AsyncGenerator[Any]:
    listener = await sctp.transport.SctpTransport(OURS).bind(Address("sctp", host, 0))
    try:
        yield listener
    finally:
        await listener.aclose()


async def met(sctp: Any, listener: Any) -> tuple[Any, Any]:
    """Two ends of a link, if there is room for it."""
    ends = list[Any]()

    async def take(incoming: Any) -> None:
        with suppress(trio.BrokenResourceError, HandshakeError):
            await incoming.hear()
            if incoming.remote.port == ours_at:
                ends.append(await incoming.upgrade())
                nursery.cancel_scope.cancel()

    async def serve() -> None:
        while True:
            nursery.start_soon(take, await listener._next())

    ours_at = 0
    with trio.fail_after(SOON):
        async with trio.open_nursery() as nursery:
            real = sctp.transport.udp_socket

            def made(family: int) -> socket.socket:
                nonlocal ours_at
                sock: socket.socket = real(family)
                sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
                ours_at = sock.getsockname()[1]
                return sock

            sctp.transport.udp_socket = made
            try:
                nursery.start_soon(serve)
                ours = await sctp.transport.SctpTransport(OTHER).dial(listener.addresses[0], expect=OURS.public_key)
                await trio.sleep_forever()
            finally:
                sctp.transport.udp_socket = real
    return ours, ends[0]


async def works(ours: Any, theirs: Any) -> None:
    with trio.fail_after(SOON):
        stream = await ours.open()
        await stream.send_all(b"still here")
        assert await (await theirs.accept()).receive_some() == b"still here"


@HOSTS
@pytest.mark.real_clock
async def test_t50_who_sends_no_cookie_back_costs_nothing(sctp: Any, host: str) -> None:
    async with listening(sctp, host) as listener:
        sock = listener._sockets[0]
        strangers = [Stranger(host, listener.addresses[0].port) for _ in range(50)]
        for stranger in strangers:
            hello = stranger.hello()
            for _ in range(20):
                stranger.socket.send(hello)
            assert len(await stranger.answer()) < len(hello)
        assert not sock._half_open
        assert not sock._endpoint._streams
        await works(*await met(sctp, listener))


@pytest.mark.real_clock
async def test_t50_control_who_sends_it_back_is_kept(sctp: Any) -> None:
    async with listening(sctp) as listener:
        stranger = Stranger("127.0.0.1", listener.addresses[0].port)
        await stranger.echo_cookie()
        with trio.fail_after(SOON):
            while not listener._sockets[0]._half_open:  # noqa: ASYNC110
                await trio.sleep(0.001)


async def _begin(listener: Any, count: int, wait_for: int) -> int:
    """So many begin a handshake and leave it; how many are kept."""
    strangers = [Stranger("127.0.0.1", listener.addresses[0].port) for _ in range(count)]
    for stranger in strangers:
        await stranger.echo_cookie()
    table = listener._sockets[0]._half_open
    with trio.fail_after(SOON):
        while len(table) < wait_for:  # noqa: ASYNC110
            await trio.sleep(0.001)
    await trio.sleep(0.05)
    return len(table)


@pytest.mark.real_clock
async def test_t51_handshakes_that_are_left_are_few_and_keep_nobody_out(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp.transport, "MOST_HALF_OPEN", 20)
    async with listening(sctp) as listener:
        assert await _begin(listener, 60, 20) == 20
        await works(*await met(sctp, listener))


@pytest.mark.real_clock
async def test_t51_control_without_a_bound_all_are_kept(sctp: Any) -> None:
    async with listening(sctp) as listener:
        assert await _begin(listener, 60, 60) == 60


async def _flood_early(listener: Any) -> int:
    """Datagrams for a handshake that nobody does yet; how many are kept."""
    stranger = Stranger("127.0.0.1", listener.addresses[0].port)
    await stranger.echo_cookie()
    incoming = await listener._next()
    for _ in range(6):
        for _ in range(50):
            stranger.socket.send(b"\x17" + os.urandom(900))
        await trio.sleep(0.01)
    return int(incoming.channel._q.r.statistics().current_buffer_used)


@pytest.mark.real_clock
async def test_t51_few_datagrams_wait_for_a_handshake(sctp: Any) -> None:
    async with listening(sctp) as listener:
        assert await _flood_early(listener) <= sctp.transport.MOST_EARLY


@pytest.mark.real_clock
async def test_t51_control_without_counting_them_all_do(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp.transport, "MOST_EARLY", 10**6)
    async with listening(sctp) as listener:
        assert await _flood_early(listener) > 100


@pytest.mark.real_clock
async def test_t52_who_shows_no_certificate_is_told_and_is_nobody(sctp: Any) -> None:
    async with listening(sctp) as listener:
        stranger = Stranger("127.0.0.1", listener.addresses[0].port)
        await stranger.echo_cookie()
        incoming = await listener._next()
        failed = []

        async def upgrade() -> None:
            try:
                await incoming.upgrade()
            except HandshakeError as error:
                failed.append(str(error))
            await incoming.aclose()

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(upgrade)
                while True:
                    data = await stranger.answer()
                    if data[0] == 21:
                        break
                    stranger.connection.bio_write(data)
                    if more := stranger.hello():
                        stranger.socket.send(more)
        assert "refused" in failed[0] or "given" in failed[0] or "DTLS" in failed[0]
        assert not listener._sockets[0]._half_open


@HOSTS
@pytest.mark.real_clock
async def test_t52_control_who_shows_one_is_the_node_in_it(sctp: Any, host: str) -> None:
    async with listening(sctp, host) as listener:
        ours, theirs = await met(sctp, listener)
        assert (ours.peer, theirs.peer) == (OURS.public_key, OTHER.public_key)
        await works(ours, theirs)


def _sends(link: Any) -> Callable[[bytes], object]:
    """What sends datagrams from where an end of a link is, past DTLS."""
    datagrams = link._channel.endpoint.socket
    if datagrams._connected:
        return partial(datagrams._socket.send)
    return lambda packet: datagrams._socket.sendto(packet, link._channel.peer_address)


@HOSTS
@pytest.mark.real_clock
async def test_t53_datagrams_of_others_between_two_ends_change_nothing(sctp: Any, host: str) -> None:
    async with listening(sctp, host) as listener:
        ours, theirs = await met(sctp, listener)
        for link in (ours, theirs):
            send = _sends(link)
            for kind in (20, 21, 22, 23, 25):
                for epoch in (0, 1, 2):
                    send(bytes((kind, 0xFE, 0xFD)) + pack("!H", epoch) + os.urandom(6) + b"\0\2\2\x28")
                    send(bytes((kind, 0xFE, 0xFD)) + pack("!H", epoch) + os.urandom(60))
            send(os.urandom(1200))
            send(os.urandom(60000 if link is ours else 3000))
        await works(ours, theirs)
        await works(theirs, ours)


@pytest.mark.real_clock
async def test_t53_control_an_alert_while_they_shake_hands_ends_it(sctp: Any) -> None:
    async with listening(sctp) as listener:
        stranger = Stranger("127.0.0.1", listener.addresses[0].port)
        await stranger.echo_cookie()
        incoming = await listener._next()
        stranger.socket.send(b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\x28")
        with trio.fail_after(SOON), pytest.raises(HandshakeError, match="refused it by an alert"):
            await incoming.upgrade()
