"""Attacks on QUIC by peers that have proved themselves, and on what they say."""

import os
import random
from contextlib import suppress
from typing import Any

import pytest
import trio
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicErrorCode

from devp2p import PrivateKey
from devp2p.transports.certificates import certificate_for
from devp2p.transports.quic import (
    QuicStream,
    QuicTransport,
    core,
    endpoint,
    streams,
    transport,
)
from devp2p.transports.quic.core import (
    STREAMS,
    UNACCEPTED,
    WINDOW,
    Core,
    configuration_for,
)
from devp2p.transports.quic.initial import destination_of
from devp2p.transports.sockets import Name
from tests.transports.quic_sides import ALICE, BOB, listening, relayed
from tests.transports.test_quic_core import A, B, Pair

KIB = 2**10
CLIENT = configuration_for(certificate_for(BOB), is_client=True)


def unread(pair: Pair, count: int, size: int) -> int:
    """What a server holds of streams that nobody reads, whatever a client sends on them."""
    for _ in range(count):
        number = pair.client.begin_stream()
        pair.client.send_stream_data(number, bytes(size))
    held = 0
    for _ in range(60):
        pair.run(10)
        while (event := pair.server.next_event()) is not None:
            held += len(getattr(event, "data", b""))
    return held


def test_t23_streams_that_nobody_has_accepted_hold_little() -> None:
    pair = Pair()
    assert unread(pair, 4, 4 * UNACCEPTED) == 4 * UNACCEPTED
    assert STREAMS * UNACCEPTED == 4 << 20  # all that a peer may open
    assert pair.server.end is None


def test_t23_t24_control_as_aioquic_does_it_they_grow_as_long_as_the_peer_sends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Core, "_write_stream_limits", QuicConnection._write_stream_limits)
    assert unread(Pair(), 4, 4 * UNACCEPTED) == 16 * UNACCEPTED


async def opened_and_broken_off(count: int) -> tuple[int, bool]:
    """How many streams of a peer are kept that opens and breaks off so many, and whether it has to wait to open more."""
    async with listening() as alice:
        bobs = await QuicTransport(BOB).dial(alice.address, expect=ALICE.public_key)
        alices = await alice.links.receive()
        with trio.move_on_after(2) as scope:
            for _ in range(count):
                (await bobs.open()).close_now()
        kept = len(alices._conduit._arrived)
        if scope.cancelled_caught:  # each that is accepted makes room for one more
            with trio.fail_after(10):
                for _ in range(count):
                    await alices.accept()
                    (await bobs.open()).close_now()
        await bobs.aclose()
        await alices.aclose()
        return kept, scope.cancelled_caught


@pytest.mark.real_clock
async def test_t23_streams_that_are_broken_off_before_anybody_accepts_them_are_bounded_too() -> None:
    assert await opened_and_broken_off(3 * STREAMS) == (STREAMS, True)


@pytest.mark.real_clock
async def test_t23_control_as_aioquic_does_it_there_is_no_end_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core._PeersStreams, "accepted", property(lambda _: 10**9, lambda *_: None), raising=False)
    kept, waits = await opened_and_broken_off(3 * STREAMS)
    assert not waits
    assert kept > 2 * STREAMS  # the last ones may be on their way


class Deaf:
    """A connection whose peer takes nothing."""

    def __init__(self) -> None:
        self.core = Pair().client

    def flush(self) -> None:
        self.core.datagrams_to_send(100.0)

    def why_not(self) -> None:
        return None


async def sent_to_the_deaf(most: int) -> int:
    deaf = Deaf()
    stream = QuicStream(deaf, deaf.core.begin_stream())
    sent = 0
    with trio.move_on_after(10):
        while sent < most:
            await stream.send_all(bytes(64 * KIB))
            sent += 64 * KIB
    return len(deaf.core._streams[stream.number].sender._buffer)


async def test_t24_whoever_reads_nothing_holds_up_who_sends_and_little_waits() -> None:
    assert await sent_to_the_deaf(20 << 20) < WINDOW + 2 * streams.CHUNK


async def test_t24_control_without_a_bound_all_of_it_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(QuicStream, "_is_full", lambda _: False)
    assert await sent_to_the_deaf(20 << 20) >= 20 << 20


def in_pieces() -> Pair:
    """A client that sends every second byte of a stream."""
    pair = Pair()
    number = pair.client.begin_stream()
    pair.client.send_stream_data(number, bytes(3000))
    sender = pair.client._streams[number].sender
    for offset in range(0, 3000, 2):
        sender._pending.subtract(offset, offset + 1)
    for _ in range(320):
        pair.run(1)
        if pair.server.is_in_pieces:
            pair.server.close(error_code=QuicErrorCode.PROTOCOL_VIOLATION)
    return pair


def far_ahead(monkeypatch: pytest.MonkeyPatch) -> Core:
    """A server to whom a client sends one byte of a handshake far beyond its end."""
    client = Core(CLIENT)
    client.connect(B, 0.0)
    sender = next(iter(client._crypto_streams.values())).sender
    monkeypatch.setattr(sender, "_buffer_start", 500_000 - len(sender._buffer))
    sender._pending.subtract(0, len(sender._buffer))
    sender._pending.add(499_999, 500_000)
    packet = client.datagrams_to_send(0.0)[0][0]
    server = Core(
        configuration_for(certificate_for(ALICE), is_client=False),
        original=destination_of(packet),
    )
    server.receive_datagram(packet, A, 0.0)
    return server


def room_for(server: Core) -> int:
    return sum(len(stream.receiver._buffer) for stream in server._crypto_streams.values())


def test_t25_no_room_is_made_for_a_handshake_that_begins_far_beyond_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = far_ahead(monkeypatch)
    assert room_for(server) == 0
    assert server.end == (
        QuicErrorCode.CRYPTO_BUFFER_EXCEEDED,
        "too much of the handshake before what is missing",
    )


def test_t25_a_stream_in_too_many_pieces_ends_the_connection() -> None:
    pair = in_pieces()
    assert pair.server.end is not None
    assert max(len(stream.receiver._ranges) for stream in pair.server._streams.values()) < 900


def test_t25_control_aioquic_makes_room_and_takes_any_number_of_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Core, "_handle_crypto_frame", QuicConnection._handle_crypto_frame)
        assert room_for(far_ahead(monkeypatch)) > 499_000
    monkeypatch.setattr(core, "_PIECES", 10**9)
    pair = in_pieces()
    assert pair.server.end is None
    assert max(len(stream.receiver._ranges) for stream in pair.server._streams.values()) > 900


async def garbage(seed: int) -> tuple[int, int]:
    """Datagrams of all kinds, spoiled, from a peer and from strangers, at a link in use; how often what was said arrived, and was said."""
    chance, arrived = random.Random(seed), 0
    async with relayed() as (relay, link, theirs):
        stream = await link.open()
        await stream.send_all(b"!")
        back = await theirs.accept()
        assert await back.receive_some() == b"!"
        for number in range(30):
            await stream.send_all(bytes([number]))
            arrived += await back.receive_some(1) == bytes([number])
            for _ in range(10):
                data = bytearray(chance.choice([*relay.passed, chance.randbytes(chance.randrange(1, 1500))]))
                for _ in range(chance.randrange(4)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                await relay.outer.sendto(bytes(data[: chance.randrange(1, len(data) + 1)]), relay._to)
    return arrived, 30


@pytest.mark.real_clock
async def test_t26_garbage_and_packets_sent_again_change_nothing() -> None:
    seed = int.from_bytes(os.urandom(4))
    assert await garbage(seed) == (30, 30), f"seed {seed}"


async def fail_within(monkeypatch: pytest.MonkeyPatch) -> tuple[bool, bool]:
    """Let a datagram of one of two peers make aioquic raise; whether the other's link goes on, and whether the first one's does."""
    async with listening() as alice:
        one = await QuicTransport(BOB).dial(alice.address, expect=None)
        theirs = await alice.links.receive()
        other = await QuicTransport(PrivateKey.generate()).dial(alice.address, expect=None)
        others = await alice.links.receive()

        def explode(*_: Any) -> None:
            raise AssertionError("what a peer has found out")

        monkeypatch.setattr(theirs._conduit.core, "receive_datagram", explode)
        await (await one.open()).send_all(b"x")
        alive = [False, False]
        with suppress(trio.BrokenResourceError), trio.move_on_after(1):
            stream = await other.open()
            await stream.send_all(b"y")
            alive[0] = await (await others.accept()).receive_some() == b"y"
        with suppress(trio.BrokenResourceError), trio.move_on_after(0.1) as scope:
            await theirs.accept()
        alive[1] = scope.cancelled_caught
        for link in (one, theirs, other, others):
            await link.aclose()
    return alive[0], alive[1]


@pytest.mark.real_clock
async def test_t26_a_fault_that_a_peer_provokes_ends_its_own_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await fail_within(monkeypatch) == (True, False)


@pytest.mark.real_clock
async def test_t26_control_uncaught_it_ends_all(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def hand(_: Any, conduit: Any, data: bytes, name: Name, now: float) -> None:
        conduit.core.receive_datagram(data, name, now)

    monkeypatch.setattr(endpoint.Endpoint, "_hand", hand)
    others, _ = await fail_within(monkeypatch)
    assert not others
    assert "failed, and what it drove is closed" in caplog.text


async def moved(*, copied: bool) -> list[tuple[bytes, Name]]:
    """Somebody on the way sends a packet of a client's again, before the client does, from an address that he wants us to flood."""
    pair = Pair()
    number = pair.client.begin_stream()
    pair.client.send_stream_data(number, b"give me much")
    (data, _), *_ = pair.client.datagrams_to_send(pair.now)
    victim = ("203.0.113.9", 9)
    pair.server.receive_datagram(data, victim, pair.now)
    if not copied:
        pair.server._network_paths[0].is_validated = True
    pair.server.send_stream_data(number, bytes(200_000))
    sent = []
    for _ in range(200):
        pair.now += 0.05
        if (due := pair.server.get_timer()) is not None and due <= pair.now:
            pair.server.handle_timer(pair.now)
        sent += [(out, name) for out, name in pair.server.datagrams_to_send(pair.now) if name == victim]
    return [*sent, (data, victim)]


async def test_t28_who_moves_a_link_to_a_victim_has_three_times_his_bytes_sent_there() -> None:
    *sent, (came, _) = await moved(copied=True)
    assert sum(len(data) for data, _ in sent) <= 3 * max(len(came), 1200)


async def test_t28_control_were_the_new_address_believed_it_would_be_flooded() -> None:
    *sent, _ = await moved(copied=False)
    assert sum(len(data) for data, _ in sent) > 10_000


async def dial_another() -> bool:
    async with listening() as alice:
        try:
            link = await QuicTransport(BOB).dial(alice.address, expect=PrivateKey.generate().public_key)
        except Exception:  # noqa: BLE001  (any will do)
            return False
        await link.aclose()
        return True


@pytest.mark.real_clock
async def test_t29_another_node_than_the_one_that_was_meant_is_no_link() -> None:
    assert not await dial_another()


@pytest.mark.real_clock
async def test_t29_control_without_a_look_at_the_key_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "require_peer", lambda *_: None)
    assert await dial_another()
