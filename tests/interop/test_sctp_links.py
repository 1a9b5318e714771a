"""What of SCTP over DTLS the conformance suite does not show: silence, refusals, listeners that are closed, certificates that grow old."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any

import pytest
import trio
from OpenSSL import SSL

from devp2p import Address, PrivateKey
from devp2p.errors import HandshakeError
from devp2p.transports.sctp.datagrams import Judge

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]

OURS, OTHER = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
SOON = 20


@pytest.fixture
def sctp() -> Any:
    return import_module("tests.interop.sctp_ends")


@asynccontextmanager
async def met(sctp: Any, host: str = "127.0.0.1", dialled: str = "") -> AsyncGenerator[tuple[Any, Any, Any]]:
    """Both ends of a link, and the listener."""
    ends = list[Any]()
    there = trio.Event()

    async def take(incoming: Any) -> None:
        await incoming.hear()
        ends.append(await incoming.upgrade())
        there.set()

    listener = await sctp.transport.SctpTransport(OURS).bind(Address("sctp", host, 0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, take)
        with trio.fail_after(SOON):
            where = Address("sctp", dialled or host, listener.addresses[0].port)
            ours = await sctp.transport.SctpTransport(OTHER).dial(where, expect=OURS.public_key)
            await there.wait()
        yield ours, ends[0], listener
        nursery.cancel_scope.cancel()
    await ours.aclose()
    await ends[0].aclose()


async def works(ours: Any, theirs: Any) -> None:
    with trio.fail_after(SOON):
        stream = await ours.open()
        await stream.send_all(b"still here")
        assert await (await theirs.accept()).receive_some() == b"still here"


async def test_a_peer_that_falls_silent_is_gone_and_one_that_is_asked_is_not(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sctp.link, "QUIET", 0.1)
    monkeypatch.setattr(sctp.link, "LOST", 0.6)
    async with met(sctp) as (ours, theirs, _):
        await trio.sleep(1)  # nobody has anything to say
        await works(ours, theirs)
        monkeypatch.setattr(ours._channel.endpoint.socket, "sendto", _lose)
        with trio.fail_after(SOON), pytest.raises(trio.BrokenResourceError, match=r"nothing has come for 0\.6 s"):
            await theirs.accept()


async def _lose(*_: object) -> None:
    await trio.lowlevel.checkpoint()


async def test_closing_waits_for_nobody_and_what_was_sent_arrives(sctp: Any) -> None:
    async with met(sctp) as (ours, theirs, _):
        with trio.fail_after(SOON):
            stream = await ours.open()
            other = await theirs.accept()
            await stream.send_all(bytes(60_000))
            await ours.aclose()
            got = 0
            while data := await other.receive_some():
                got += len(data)
        assert got == 60_000


async def test_where_nobody_listens_a_dial_ends_at_once(sctp: Any) -> None:
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with trio.fail_after(SOON), pytest.raises(ConnectionRefusedError):
        await sctp.transport.SctpTransport(OURS).dial(Address("sctp", "127.0.0.1", port), expect=None)


async def test_who_is_turned_away_is_told(sctp: Any) -> None:
    listener = await sctp.transport.SctpTransport(OURS).bind(Address("sctp", "127.0.0.1", 0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, lambda incoming: incoming.aclose())
        with trio.fail_after(SOON), pytest.raises(HandshakeError, match="refused it by an alert"):
            await sctp.transport.SctpTransport(OTHER).dial(listener.addresses[0], expect=None)
        nursery.cancel_scope.cancel()


async def test_links_go_on_when_their_listener_is_closed_and_nobody_else_gets_in(sctp: Any) -> None:
    async with met(sctp) as (ours, theirs, listener):
        await listener.aclose()
        await works(ours, theirs)
        await works(theirs, ours)
        with trio.fail_after(SOON), pytest.raises(HandshakeError, match="refused it by an alert"):
            await sctp.transport.SctpTransport(OTHER).dial(listener.addresses[0], expect=None)
        await works(ours, theirs)


@pytest.mark.parametrize("dialled", ["127.0.0.1", "::1", "localhost"])
async def test_every_interface_is_one_socket(sctp: Any, dialled: str) -> None:
    async with met(sctp, "*", dialled) as (ours, theirs, listener):
        assert [address.host for address in listener.addresses] == ["*"]
        assert theirs.remote.host in {"127.0.0.1", "::1"}
        assert theirs.remote.port == ours.local.port
        await works(ours, theirs)


async def test_a_certificate_of_a_month_ago_is_replaced_while_it_listens(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with met(sctp) as (ours, theirs, listener):
        await works(ours, theirs)
        monkeypatch.setattr("devp2p.transports.certificates.NodeCertificate.is_fresh", lambda _: False)
        shown = list[bytes]()
        real = Judge.look_at

        def look_at(judge: Judge, der: bytes, depth: int) -> bool:
            if judge._of_server and der not in shown:
                shown.append(der)
            return real(judge, der, depth)

        monkeypatch.setattr(Judge, "look_at", look_at)
        for _ in range(2):
            link = await sctp.transport.SctpTransport(OTHER).dial(listener.addresses[0], expect=OURS.public_key)
            await link.aclose()
        assert len(shown) == 2
        await works(ours, theirs)


async def test_a_link_that_is_lost_in_the_middle_of_much_data_is_made_good(sctp: Any) -> None:
    """Each seventh datagram is lost in both directions."""
    async with met(sctp) as (ours, theirs, _):
        for link in (ours, theirs):
            _lossy(link)
        stream = await ours.open()
        text = bytes(range(256)) * 400
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, text)
            with trio.fail_after(2 * SOON):
                other, got = await theirs.accept(), b""
                while len(got) < len(text):
                    got += await other.receive_some()
        assert got == text


def _lossy(link: Any) -> None:
    datagrams = link._channel.endpoint.socket
    send, count = datagrams.sendto, 0

    async def sendto(packet: bytes, address: Any) -> None:
        nonlocal count
        count += 1
        if count % 7:
            await send(packet, address)

    datagrams.sendto = sendto


def _begin(sock: socket.socket, context: SSL.Context) -> None:
    """Send a ClientHello, and the same with the cookie that comes; then no more."""
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    for is_last in (False, True):
        with suppress(SSL.Error):
            connection.do_handshake()
        sock.send(connection.bio_read(65536))
        if not is_last:
            connection.bio_write(sock.recv(65536))


async def test_who_begins_anew_breaks_its_own_handshake_and_nothing_else(sctp: Any) -> None:
    context = sctp.transport.context_for(sctp.transport.OwnCertificate(OTHER).current)
    send, arrived = trio.open_memory_channel[Any](9)
    listener = await sctp.transport.SctpTransport(OURS).bind(Address("sctp", "127.0.0.1", 0))
    faults, broken = list[Exception](), trio.Event()

    async def upgrade(incoming: Any, begun: trio.Event) -> None:
        await incoming.hear()
        begun.set()
        try:
            await incoming.upgrade()
        except (HandshakeError, trio.BrokenResourceError) as error:
            faults.append(error)
            if len(faults) == 2:
                broken.set()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SOON)
        sock.connect(("127.0.0.1", listener.addresses[0].port))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.serve, send.send)
            with trio.fail_after(SOON):
                for _ in range(3):
                    await trio.to_thread.run_sync(_begin, sock, context)
                    nursery.start_soon(upgrade, await arrived.receive(), begun := trio.Event())
                    await begun.wait()
                    await trio.to_thread.run_sync(sock.recv, 65536)  # the first flight of the answer, all that it sends unasked
                await broken.wait()
            nursery.cancel_scope.cancel()
    assert len(faults) == 2
