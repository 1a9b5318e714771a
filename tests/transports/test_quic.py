"""What QUIC does beside what every transport must do (test_conformance.py)."""

import os

import pytest
import trio
from aioquic.quic.configuration import QuicConfiguration

from devp2p import Address, HandshakeError, PrivateKey
from devp2p.transports.certificates import NodeCertificate
from devp2p.transports.quic import QuicTransport, conduit, core, endpoint, transport
from devp2p.transports.quic.core import STREAMS
from tests.transports.linking import flood
from tests.transports.quic_sides import ALICE, BOB, HOSTS, Relay, linked, listening, relayed

pytestmark = pytest.mark.real_clock
EACH_HOST = pytest.mark.parametrize("host", HOSTS)
SOON = 20


@EACH_HOST
async def test_a_node_dials_from_where_it_listens(host: str) -> None:
    bob = QuicTransport(BOB)
    async with listening(host) as alice:
        own = await bob.bind(Address("quic", host, 0))
        link = await bob.dial(alice.address, expect=ALICE.public_key)
        theirs = await alice.links.receive()
        assert theirs.remote == own.addresses[0] == link.local
        again = await bob.dial_from(own.addresses[0], alice.address, expect=ALICE.public_key)
        assert again.local == own.addresses[0]
        await own.aclose()  # links go on
        stream = await link.open()
        await stream.send_all(b"still")
        assert await (await theirs.accept()).receive_some() == b"still"
        with pytest.raises(OSError, match="nothing listens at"):
            await bob.dial_from(own.addresses[0], alice.address, expect=None)
        await link.aclose()
        await again.aclose()


@EACH_HOST
async def test_a_bare_datagram_leaves_from_the_listening_socket(host: str) -> None:
    bob = QuicTransport(BOB)
    own = await bob.bind(Address("quic", host, 0))
    relay = Relay(own.addresses[0])
    there = await relay.open()
    await bob.send_bare(b"a hole", there, local=own.addresses[0])
    data, name = await relay.inner.recvfrom(100)
    assert (data, name[:2]) == (b"a hole", (host, own.addresses[0].port))
    await bob.send_bare(b"another", there)
    assert (await relay.inner.recvfrom(100))[1][:2] == (host, own.addresses[0].port)
    await own.aclose()
    relay.inner.close()
    relay.outer.close()


@EACH_HOST
async def test_a_peer_whose_address_changes_is_followed(host: str) -> None:
    async with relayed(host) as (relay, link, theirs):
        stream = await link.open()
        await stream.send_all(b"before")
        back = await theirs.accept()
        assert await back.receive_some() == b"before"
        for _ in range(2):
            port = await relay.move()
            await stream.send_all(b"after")
            with trio.fail_after(SOON):
                assert await back.receive_some() == b"after"
                await back.send_all(b"found")
                assert await stream.receive_some() == b"found"
            assert theirs.remote == Address("quic", host, port)


async def test_a_peer_that_vanishes_is_gone_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "IDLE", 0.3)
    async with relayed() as (relay, link, theirs):
        relay.silent = True
        with trio.fail_after(SOON):
            for each in (link, theirs):
                with pytest.raises(trio.BrokenResourceError, match="nothing came from the peer"):
                    await each.accept()


async def test_a_silent_link_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "IDLE", 0.6)
    monkeypatch.setattr(conduit, "KEEPALIVE", 0.1)
    monkeypatch.setattr(endpoint, "KEEPALIVE", 0.1)
    async with linked() as (ours, theirs):
        await trio.sleep(1)
        stream = await ours.open()
        await stream.send_all(b"here")
        assert await (await theirs.accept()).receive_some() == b"here"


async def test_a_stream_is_reset_and_stopped() -> None:
    async with linked() as (ours, theirs):
        stream = await ours.open()
        await stream.send_all(b"x")
        back = await theirs.accept()
        assert await back.receive_some() == b"x"
        stream.reset(7)
        with pytest.raises(trio.BrokenResourceError, match=r"reset the stream \(code 7\)"):
            await back.receive_some()
        await back.send_all(b"the other direction goes on")
        assert await stream.receive_some() == b"the other direction goes on"
        await stream.aclose()
        with trio.fail_after(SOON), pytest.raises(trio.BrokenResourceError, match="reads no more"):
            await flood(back)
        await back.aclose()


async def test_streams_that_are_closed_make_room_for_others() -> None:
    async with linked() as (ours, theirs):
        with trio.fail_after(SOON):
            for number in range(STREAMS + 20):
                stream = await ours.open()
                await stream.send_all(number.to_bytes(2))
                back = await theirs.accept()
                assert await back.receive_some() == number.to_bytes(2)
                await stream.aclose()
                await back.aclose()


async def test_two_tasks_may_not_read_or_write_one_stream() -> None:
    async with linked() as (ours, _):
        stream = await ours.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.receive_some)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await stream.receive_some()
            nursery.cancel_scope.cancel()


async def test_the_task_of_a_socket_ends_with_its_last_link() -> None:
    async with listening() as alice:
        bob = QuicTransport(BOB)
        link = await bob.dial(alice.address, expect=ALICE.public_key)
        (own,) = bob._dialling.values()
        assert not own.is_over
        await link.aclose()
        with trio.fail_after(SOON):
            while not own.is_over:  # noqa: ASYNC110
                await trio.sleep(0.001)
        link = await bob.dial(alice.address, expect=ALICE.public_key)  # and there is another then
        await link.aclose()
        (theirs,) = alice.listener.endpoints
    assert theirs.driver.is_over or alice.links.statistics().current_buffer_used
    while alice.links.statistics().current_buffer_used:
        await alice.links.receive_nowait().aclose()
    with trio.fail_after(SOON):
        while not theirs.is_over:  # noqa: ASYNC110
            await trio.sleep(0.001)


async def test_what_is_lost_is_sent_again() -> None:
    async with relayed() as (relay, link, theirs), trio.open_nursery() as nursery:
        stream = await link.open()
        whole, came = os.urandom(300_000), bytearray()

        async def send() -> None:
            for begin in range(0, len(whole), 30_000):
                relay.silent = begin % 90_000 == 30_000
                await stream.send_all(whole[begin : begin + 30_000])
                await trio.sleep(0.02)
            relay.silent = False

        nursery.start_soon(send)
        back = await theirs.accept()
        with trio.fail_after(SOON):
            while len(came) < len(whole):
                came += await back.receive_some()
        assert came == whole


async def test_whoever_is_turned_away_hears_it_at_once() -> None:
    listener = await QuicTransport(ALICE).bind(Address("quic", "127.0.0.1", 0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, lambda incoming: incoming.aclose())
        with trio.fail_after(SOON), pytest.raises(ConnectionResetError, match="connection refused"):
            await QuicTransport(BOB).dial(listener.addresses[0], expect=ALICE.public_key)
        nursery.cancel_scope.cancel()


async def test_a_peer_of_another_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as alice:
        made = core.configuration_for

        def other(own: NodeCertificate, *, is_client: bool) -> QuicConfiguration:
            configuration = made(own, is_client=is_client)
            configuration.alpn_protocols = ["h3"] if is_client else configuration.alpn_protocols
            return configuration

        monkeypatch.setattr(transport, "configuration_for", other)
        with pytest.raises(HandshakeError, match="TLS alert 120, No common ALPN protocols"):
            await QuicTransport(BOB).dial(alice.address, expect=ALICE.public_key)
        with trio.fail_after(SOON):
            while not alice.refused:  # noqa: ASYNC110
                await trio.sleep(0.001)
        assert isinstance(alice.refused[0], HandshakeError)


async def test_a_key_of_its_own_is_needed_to_be_dialled() -> None:
    async with listening() as alice:
        with pytest.raises(HandshakeError, match="is the node with the key"):
            await QuicTransport(BOB).dial(alice.address, expect=PrivateKey.generate().public_key)
        with trio.fail_after(SOON), pytest.raises(trio.BrokenResourceError):
            await (await alice.links.receive()).accept()


async def test_who_does_not_listen_may_send_a_bare_datagram_and_keeps_no_socket_for_it() -> None:
    listener = await QuicTransport(ALICE).bind(Address("quic", "127.0.0.1", 0))
    bob = QuicTransport(BOB)
    await bob.send_bare(b"hello", listener.addresses[0])
    (own,) = bob._dialling.values()
    with trio.fail_after(SOON):
        while not (own.is_over and listener.endpoints[0].dropped):  # noqa: ASYNC110
            await trio.sleep(0.001)
    await listener.aclose()
