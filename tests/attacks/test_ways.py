"""Rows T90 to T94 of THREATS.md: what strangers and peers try over every transport, and what records of theirs make us dial.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trio

from devp2p import Address, Channel, DialError, DisconnectReason, Limits, Node, NodeRecord, Peer, PrivateKey, dial
from devp2p.records import Record, transport_entries
from devp2p.testing import ScriptedPeer
from devp2p.transports import Link
from devp2p.wire import base
from tests.attacks.test_frames import BLOB, NOISE, first_piece
from tests.chat import Blob, Chat, ChatMessage, GetTime
from tests.network import NO_PINGS
from tests.transports.linking import ALICE, BOB, SOON, node_of
from tests.transports.middle import between
from tests.transports.ways import Case, Ground, cases, node_at, open_ground

NEVER = 10**6
OVER_SOCKETS = cases(lambda way: way.real, once=True)
"""Those without have their rows above, over every wire."""
OVER_SOME = cases(lambda way: way.name in {"tcp", "tls", "quic"}, once=True)
"""For controls: one of each kind of link."""


async def until(true: Callable[[], object]) -> None:
    with trio.fail_after(SOON):
        while not true():  # noqa: ASYNC110  (it is the node's to change)
            await trio.sleep(0.01)


@asynccontextmanager
async def attacked(case: Case, folder: Path, limits: Limits, chat: Chat | None = None) -> AsyncGenerator[tuple[Ground, Node]]:
    async with open_ground(case.way, case.text, folder) as ground, node_of(ground, ALICE, chat or Chat(), limits, listens=True) as alice:
        yield ground, alice


async def a_peer(ground: Ground, alice: Node) -> ScriptedPeer:
    """One that does as a test says, with a session that works."""
    key = PrivateKey.generate()
    peer = await ScriptedPeer.dial(ground.transport(key), node_at(ALICE, alice.addresses[0]), [Chat()], key=key)
    await peer.begin()
    await until(lambda: any(one.public_key == key.public_key for one in alice.connected))
    return peer


async def check_serves(ground: Ground, alice: Node) -> None:
    """An honest node has its answer."""
    async with node_of(ground, BOB, Chat()) as bob:
        with trio.fail_after(SOON):
            peer = await bob.connect(node_at(ALICE, alice.addresses[0]))
            assert (await peer[Chat].request(GetTime("abc"))).seconds == 3


# T90: a record that names many ports of somebody's


class Counting:
    """A transport for everything that leads nowhere."""

    schemes = frozenset({"tcp", "quic", "tls", "wss", "ws", "ssh", "sctp", "mptcp"})

    def __init__(self) -> None:
        self.dialled: list[Address] = []

    async def dial(self, address: Address, *, expect: object) -> Link:  # noqa: ARG002
        self.dialled.append(address)
        raise ConnectionRefusedError

    async def bind(self, address: Address) -> Any:
        raise NotImplementedError


async def dials_of_a_record() -> list[Address]:
    schemes = ("quic", "tls", "wss", "ws", "ssh", "sctp", "mptcp")
    ports = {f"{scheme}{six}": 5000 + number for number, scheme in enumerate(schemes) for six in ("", "6")}
    record = Record.sign(ALICE, 1, {"ip": "5.9.1.7", "ip6": "2a00::7", "tcp": 22, **ports, "quic": 53, "sctp6": 123})
    transport = Counting()
    with pytest.raises(DialError):
        await dial(NodeRecord.from_enr(record), [transport])
    return transport.dialled


async def test_t90_a_record_leads_to_eight_dials_and_to_no_low_port_of_udp() -> None:
    dialled = await dials_of_a_record()
    assert len(dialled) == 8
    assert not [address for address in dialled if address.scheme in {"quic", "sctp"} and (address.port or 0) < 1025]


async def test_t90_control_without_bounds_it_leads_to_sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("devp2p.records.transport_entries")
    monkeypatch.setattr(module, "MOST_ADDRESSES", 1000)
    monkeypatch.setattr(module, "LOWEST_PORT", 1)
    dialled = await dials_of_a_record()
    assert len(dialled) == 16
    assert {53, 123} <= {address.port for address in dialled}


def test_t90_our_own_record_has_room_for_what_capabilities_say() -> None:
    hosts = ("5.9.1.7", "2a00::7")
    everything = [Address(scheme, host, 60_000 + 9 * n + m) for n, scheme in enumerate(Counting.schemes) for m, host in enumerate(hosts)]
    Record.sign(
        ALICE, 2**63, {"ip": "5.9.1.7", "ip6": "2a00::7", "udp": 1, "udp6": 2, "tcp": 3, **transport_entries(everything), "eth": b"\x80"}
    )


# T91: handshakes that are begun and left


async def left(case: Case, folder: Path, limits: Limits, count: int = 20) -> int:
    """So many begin as a caller does, and stop in the middle of their first words; how many the node has then, while it serves others."""
    async with attacked(case, folder, limits) as (ground, alice):
        async with between("tcp", alice.addresses[0]) as middle, node_of(ground, BOB, Chat()) as bob:
            await bob.connect(node_at(ALICE, middle.address))
            beginning = bytes(middle.first[: max(1, len(middle.first) // 2)])
        streams = []
        most = 0
        for _ in range(count):
            stream = await trio.open_tcp_stream(alice.addresses[0].host, alice.addresses[0].port or 0)
            await stream.send_all(beginning)
            streams.append(stream)
            await trio.sleep(0.001)
            most = max(most, alice._door.waiting)
        await trio.sleep(0.05)
        most = max(most, alice._door.waiting)
        await check_serves(ground, alice)
        for stream in streams:
            await stream.aclose()
        await until(lambda: not alice._door.waiting)
    return most


@pytest.mark.parametrize("case", cases(lambda way: way.carrier == "tcp", once=True))
async def test_t91_handshakes_that_are_left_are_few_and_keep_nobody_out(case: Case, tmp_path: Path) -> None:
    assert await left(case, tmp_path, Limits(unheard_inbound=6, pending_inbound=3, crowded_timeout=0.1, inbound_retry=0)) <= 9


@pytest.mark.parametrize("case", cases(lambda way: way.carrier == "tcp", once=True))
async def test_t91_control_without_bounds_all_are_held(case: Case, tmp_path: Path) -> None:
    assert await left(case, tmp_path, Limits(crowded_timeout=NEVER, handshake_timeout=NEVER, inbound_retry=0)) > 9


# T92: a giant frame, announced and not sent (F1)


async def announced(case: Case, folder: Path, frame_timeout: float) -> bool:
    """Whether a peer that announces 14 MiB and sends nothing of it is still there after a while."""
    async with attacked(case, folder, Limits(frame_timeout=frame_timeout, closing_timeout=0.1, ping_interval=NEVER)) as (ground, alice):
        peer = await a_peer(ground, alice)
        piece = first_piece(peer, bytes([BLOB]) + bytes(14 * 2**20))
        await peer.stream_of(BLOB).send_all(piece[: len(piece) // 2 if len(piece) < 100 else 40])
        with trio.move_on_after(0.4 if frame_timeout == NEVER else SOON):
            await until(lambda: not list(alice.connected))
        await check_serves(ground, alice)
        there = any(one.public_key == peer.key.public_key for one in alice.connected)
        await peer.aclose()
    return there


@pytest.mark.parametrize("case", OVER_SOCKETS)
async def test_t92_who_announces_a_giant_and_does_not_send_it_is_gone(case: Case, tmp_path: Path) -> None:
    assert not await announced(case, tmp_path, 0.1)


@pytest.mark.parametrize("case", OVER_SOME)
async def test_t92_control_without_the_deadline_he_stays(case: Case, tmp_path: Path) -> None:
    assert await announced(case, tmp_path, NEVER)


# T93: Pings without number (F9)


async def pongs(case: Case, folder: Path, limits: Limits, count: int = 60) -> tuple[int, int | None]:
    """How many of so many Pings are answered, and the reason that is given for the end, if it came to one."""
    async with attacked(case, folder, limits) as (ground, alice):
        peer, heard, reason = await a_peer(ground, alice), 0, None
        await peer.stream.send_all(b"".join(peer.seal(b"\x02\x01\x00\xc0") for _ in range(count)))
        with trio.fail_after(SOON):
            while heard < count and reason is None:
                code, data = await peer.receive()
                heard += code == base.PONG
                reason = base.decode_disconnect(data, compressed=False) if code == base.DISCONNECT else None
        await peer.aclose()
    return heard, reason


@pytest.mark.parametrize("case", OVER_SOCKETS)
async def test_t93_of_many_pings_ten_at_most_are_answered_and_then_it_is_over(case: Case, tmp_path: Path) -> None:
    heard, reason = await pongs(case, tmp_path, NO_PINGS)
    assert heard <= 10
    assert reason == DisconnectReason.PROTOCOL_BREACH


@pytest.mark.parametrize("case", OVER_SOME)
async def test_t93_control_without_the_bound_all_are_answered(case: Case, tmp_path: Path) -> None:
    assert await pongs(case, tmp_path, Limits(ping_burst=NEVER, ping_interval=NEVER)) == (60, None)


# T94: a peer that never reads (F10)


async def unread(case: Case, folder: Path, limits: Limits) -> bool:
    """Whether a peer that reads nothing of what it is sent without end is still there after a while."""
    sent = 0

    async def flood(peer: Peer, channel: Channel[ChatMessage]) -> None:
        nonlocal sent
        if peer.client_id == "scripted":
            while True:
                await channel.send(Blob(NOISE))
                sent += len(NOISE)

    async with attacked(case, folder, limits, Chat(flood)) as (ground, alice):
        peer = await a_peer(ground, alice)
        with trio.move_on_after(1 if limits.write_timeout == NEVER else SOON / 2):
            await until(lambda: not list(alice.connected))
        there = bool(list(alice.connected))
        assert sent < 32 * 2**20
        await peer.aclose()
    return there


@pytest.mark.parametrize("case", OVER_SOCKETS)
async def test_t94_who_never_reads_is_gone(case: Case, tmp_path: Path) -> None:
    assert not await unread(case, tmp_path, Limits(write_timeout=0.3, ping_interval=0.3, ping_timeout=0.3, closing_timeout=0.1))


@pytest.mark.parametrize("case", OVER_SOME)
async def test_t94_control_without_deadlines_he_stays(case: Case, tmp_path: Path) -> None:
    assert await unread(case, tmp_path, Limits(write_timeout=NEVER, ping_interval=NEVER))
