"""Attacks on QUIC: by strangers, whose addresses may be forged."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trio

from devp2p import Address, DialError, Limits, NodeRecord, PeerDisconnected, open_node
from devp2p.session import call, local_node
from devp2p.transports.certificates import certificate_for
from devp2p.transports.quic import (
    QuicListener,
    QuicTransport,
    endpoint,
    incoming,
    initial,
    transport,
)
from devp2p.transports.quic.core import (
    Core,
    configuration_for,
)
from devp2p.transports.quic.initial import destination_of
from devp2p.transports.sockets import Name
from tests.chat import Chat
from tests.transports.quic_sides import ALICE, BOB, listening
from tests.transports.test_quic_core import A, B

FLOOD = 2000
KIB = 2**10
SOON = 10
CLIENT = configuration_for(certificate_for(BOB), is_client=True)


def names() -> Iterator[Name]:
    """Addresses without end, none twice."""
    for number in range(1, 2**24):
        yield (
            ".".join(map(str, (11, number >> 16 & 255, number >> 8 & 255, number & 255))),
            1024 + number % 60000,
        )


def first_packet() -> bytes:
    """What a client begins with; the key of its handshake is a new one each time."""
    client = Core(CLIENT)
    client.connect(B, 0.0)
    return client.datagrams_to_send(0.0)[0][0]


def renamed(packet: bytes, chance: random.Random) -> bytes:
    """The same for another connection: it cannot be read, and nobody tries before it has its turn."""
    return packet[:6] + chance.randbytes(packet[5]) + packet[6 + packet[5] :]


class Socket:
    """A listener in whose socket datagrams of any address arrive, and what it sends."""

    def __init__(self, listener: QuicListener) -> None:
        self.listener = listener
        (self.endpoint,) = listener.endpoints
        self.sent: list[tuple[bytes, Name]] = []
        self.endpoint.port.send = self._send  # type: ignore[method-assign]

    def _send(self, data: bytes, name: Name) -> bool:
        self.sent.append((data, name))
        return True

    @classmethod
    async def open(cls) -> "Socket":
        return cls(await QuicTransport(ALICE).bind(Address("quic", "127.0.0.1", 0)))

    def flood(self, count: int) -> int:
        """First packets of so many clients, each from an address of its own. What was held of them in the end, in bytes."""
        chance, packet = random.Random(1), first_packet()
        for _, name in zip(range(count), names(), strict=False):
            self.endpoint._take_new(renamed(packet, chance), name)
        return sum(each._size for each in self.endpoint._beginning.values())


async def test_t20_of_a_flood_from_forged_addresses_little_is_kept_and_the_rest_is_asked_to_come_again() -> None:
    sock = await Socket.open()
    held = sock.flood(FLOOD)
    assert len(sock.endpoint._beginning) == endpoint.UNPROVED
    assert held <= endpoint.UNPROVED * incoming.QUEUED_BYTES
    assert len(sock.sent) == FLOOD - endpoint.UNPROVED
    assert all(len(data) < 1200 / 4 for data, _ in sock.sent)
    await sock.listener.aclose()
    assert not sock.endpoint._beginning


async def test_t20_control_without_the_bound_each_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint, "UNPROVED", 10**9)
    monkeypatch.setattr(endpoint, "_UNPROVED_BURST", 10**9)
    monkeypatch.setattr(endpoint, "HALF_OPEN", 10**9)
    monkeypatch.setattr(transport, "BACKLOG", 10**9)
    sock = await Socket.open()
    assert sock.flood(FLOOD) >= FLOOD * 1200
    await sock.listener.aclose()


@pytest.mark.real_clock
async def test_t20_an_honest_client_gets_in_during_the_flood() -> None:
    async with listening() as alice:
        (there,) = alice.listener.endpoints
        chance, packet = random.Random(2), first_packet()
        for _, name in zip(range(100), names(), strict=False):
            there._take_new(renamed(packet, chance), name)
        there._unproved += endpoint.UNPROVED  # as if they stayed, whatever happens
        link = await QuicTransport(BOB).dial(alice.address, expect=ALICE.public_key)
        theirs = await alice.links.receive()
        assert alice.arrivals[-1].retried is not None  # it was asked to come again, and did
        assert theirs.peer == BOB.public_key
        await link.aclose()
        await theirs.aclose()


async def refused_at_once() -> int:
    """How many of a flood from forged addresses somebody has to refuse who refuses each at once."""
    sock, refused = await Socket.open(), 0

    def refuse(one: incoming.QuicIncoming) -> bool:
        nonlocal refused
        refused += 1
        one.turn_away()
        return True

    sock.endpoint.on_incoming = refuse
    sock.flood(FLOOD)
    assert sum(len(data) < 100 for data, _ in sock.sent) <= max(100, refused)
    await sock.listener.aclose()
    return refused


async def test_t20_those_who_are_refused_cost_little_as_well() -> None:
    assert await refused_at_once() <= 64  # a hundred a second; no time passes here


async def test_t20_control_without_a_rate_each_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint, "UNPROVED_RATE", 10.0**9)
    monkeypatch.setattr(endpoint, "_UNPROVED_BURST", 10**9)
    assert await refused_at_once() == FLOOD


async def called_after_a_forged_packet(*schemes: str) -> list[str]:
    """Which calls are let in, one after the other, where a stranger has first sent a packet in the caller's name."""
    let_in: list[str] = []
    listen, limits = ["tcp://127.0.0.1:0", "quic://127.0.0.1:0"], Limits(limit_local_addresses=True)
    async with open_node(ALICE, [Chat()], listen=listen, limits=limits, strict=True) as node:
        at = {address.scheme: address for address in node.addresses}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(first_packet(), (at["quic"].host, at["quic"].port or 0))
            with trio.fail_after(SOON):
                await trio.lowlevel.wait_readable(sock)  # the answer: it has its place
        for scheme in schemes:
            with trio.fail_after(SOON), suppress(PeerDisconnected, DialError):
                session = await call(NodeRecord(node.public_key, (at[scheme],)), local_node(BOB, [Chat()]))
                with suppress(trio.TooSlowError), trio.fail_after(0.5):
                    await session.wait_farewell()
                await session.close()
                let_in.append(scheme)
    return let_in


@pytest.mark.real_clock
async def test_t20_an_address_that_was_forged_keeps_nobody_out() -> None:
    assert await called_after_a_forged_packet("tcp") == ["tcp"]
    assert await called_after_a_forged_packet("quic", "quic") == ["quic"], "one in 28 s"


@pytest.mark.real_clock
async def test_t20_control_if_it_counted_at_once_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.node.door.is_shown", lambda _: True)
    assert not await called_after_a_forged_packet("quic")


def bytes_for_one_packet(*, validated: bool) -> tuple[int, int]:
    """What a server gets from whoever falls silent after the first packet, and what it sends there in a minute."""
    packet = first_packet()
    server = Core(
        configuration_for(certificate_for(ALICE), is_client=False),
        original=destination_of(packet),
    )
    server.receive_datagram(packet, A, 0.0)
    server._network_paths[0].is_validated = validated
    now, sent = 0.0, 0
    while now < 60:
        sent += sum(len(data) for data, _ in server.datagrams_to_send(now))
        if (due := server.get_timer()) is None:
            break
        now = max(now, due)
        server.handle_timer(now)
    return len(packet), sent


def test_t21_a_handshake_that_nobody_goes_on_with_sends_three_times_what_came_at_most() -> None:
    came, sent = bytes_for_one_packet(validated=False)
    assert 0 < sent <= 3 * came


def test_t21_control_without_the_bound_it_sends_more() -> None:
    came, sent = bytes_for_one_packet(validated=True)
    assert sent > 3 * came


def feed(count: int, size: int) -> int:
    """What is kept of datagrams that come before anybody takes up their connection."""
    packet = first_packet()
    found = initial.read_initial(packet)
    assert found is not None
    one = incoming.QuicIncoming(None, found, A, Address("quic", "127.0.0.1", 1), original=None)  # type: ignore[arg-type]
    for _ in range(count):
        one.queue(bytes(size))
    return sum(map(len, one.take()))


async def test_t22_what_comes_before_a_connection_has_its_turn_is_kept_within_bounds() -> None:
    assert feed(1000, 1200) <= incoming.QUEUED * 1200
    assert feed(1000, 10_000) <= incoming.QUEUED_BYTES


async def test_t22_control_without_bounds_all_of_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incoming, "QUEUED", 10**9)
    monkeypatch.setattr(incoming, "QUEUED_BYTES", 10**9)
    assert feed(1000, 10_000) == 10_000_000


async def told_of_versions(size: int) -> list[bytes]:
    sock = await Socket.open()
    unknown = b"\xc0" + b"\x5a" * 4 + b"\x08" + os.urandom(8) + b"\x08" + os.urandom(8)
    sock.endpoint._take_new(unknown + bytes(size - len(unknown)), A)
    sock.endpoint._take_new(b"\xc0" + bytes(4) + unknown[5:] + bytes(1200), A)  # an answer is not answered
    await sock.listener.aclose()
    return [data for data, _ in sock.sent]


async def test_t27_versions_are_named_to_who_sends_a_whole_packet_and_in_fewer_bytes() -> None:
    assert await told_of_versions(1199) == []
    (answer,) = await told_of_versions(1200)
    assert len(answer) < 1200 / 30


async def test_t27_control_without_a_least_size_the_answer_is_larger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(initial, "LEAST_INITIAL", 0)
    (answer,) = await told_of_versions(23)
    assert len(answer) > 23
