"""Row F2 of THREATS.md: snappy blocks that inflate to too much, or lie about it.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import tracemalloc

import cramjam
import pytest
from trio.testing import wait_all_tasks_blocked

from devp2p import DisconnectReason, rlp
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.testing import ScriptedPeer
from devp2p.wire import compression
from tests.chat import Chat, ChatMessage, GetTime, Time, chat, collect
from tests.network import Network, running

SAY, OF_NOBODY, PONG, DISCONNECT = 0x10, 0x30, 0x03, 0x01
BOMB = bytes(compression.compress(b"\xfa\xff\xff\xf7" + bytes(MAX_MESSAGE_SIZE - 8)))
"""An RLP list of 16 MiB in 787 kB."""


def varint(number: int) -> bytes:
    groups = [number >> shift & 0x7F for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


LIES = {
    "4 GiB": varint(2**32 - 1) + b"\x00a",
    "beyond 32 bits": varint(2**32) + b"\x00a",
    "negative, as 32 bits are read": varint(2**31) + b"\x00a",
    "negative, as 64 bits are read": varint(2**63) + b"\x00a",
    "minus one": b"\xff" * 9 + b"\x01" + b"\x00a",
    "never ends": b"\xff" * 200,
    "no size": b"",
    "more than is there": varint(2**20) + b"\x00a",
    "less than is there": varint(2) + bytes(compression.compress(bytes(5000)))[2:],
    "a literal of 4 GiB": varint(100) + b"\xfc\xff\xff\xff\xff" + bytes(20),
    "a literal of -1": varint(100) + b"\xfc\xff\xff\xff\xff",
    "a copy from before the start": varint(64) + b"\x00a\xfe\xff\xff",
    "a copy from nowhere": varint(64) + b"\x00a\xfe\x00\x00",
    "only copies": varint(64) + b"\xfe\x01\x00" * 3,
}


async def bombarded(code: int, block: bytes, *, seen: list[ChatMessage] | None = None) -> tuple[DisconnectReason | int | None, int, int]:
    """Send a block to a node under an id: how the session ended, the most bytes that it took, and who is left."""
    network, capability = Network(), chat(collect([] if seen is None else seen))
    async with running(network, capabilities=[capability]) as node:
        honest, bad = [await ScriptedPeer.dial(network, node.record, [capability]) for _ in range(2)]
        for peer in (honest, bad):
            await peer.begin()
        await wait_all_tasks_blocked()
        remote = node.roster.get(bad.key.public_key)
        assert remote is not None
        frame = bad.seal(bytes([code]) + block)
        tracemalloc.start()
        try:
            await bad.stream.send_all(frame)
            await wait_all_tasks_blocked()
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        await bad.stream.send_eof()
        end = await remote.wait_ended()
        await honest.ping()
        assert (await honest.receive())[0] == PONG
        return end.reason, most, len(node.connected)


@pytest.mark.parametrize("code", [OF_NOBODY, SAY], ids=["of nobody", "1 MiB allowed"])
async def test_f2_a_bomb_is_not_inflated_and_costs_less_than_twice_its_bytes(code, monkeypatch):
    inflated, inflate = list[int](), cramjam.snappy.decompress_raw

    def spy(data: bytes, **options: int) -> object:
        inflated.append(len(data))
        return inflate(data, **options)

    monkeypatch.setattr(cramjam.snappy, "decompress_raw", spy)
    reason, most, left = await bombarded(code, BOMB)
    assert (reason, left) == (DisconnectReason.PROTOCOL_BREACH, 1)
    assert max(inflated) < 10, "Disconnect, Ping and Pong"
    assert most < 2 * len(BOMB)


@pytest.mark.parametrize("lie", LIES)
async def test_f2_a_block_that_lies_ends_the_session_and_no_other(lie):
    reason, most, left = await bombarded(SAY, LIES[lie])
    assert (reason, left) == (DisconnectReason.PROTOCOL_BREACH, 1)
    assert most < 2**18


@pytest.mark.parametrize("lie", LIES)
async def test_f2_a_goodbye_that_lies_is_a_goodbye(lie):
    reason, most, left = await bombarded(DISCONNECT, LIES[lie])
    assert (reason, left) == (DisconnectReason.REQUESTED, 1)
    assert most < 2**18


def without_a_look(data: bytes, max_size: int) -> bytes:  # noqa: ARG001
    return bytes(cramjam.snappy.decompress_raw(data))


async def test_f2_control_without_a_look_at_the_size_a_bomb_inflates_to_twenty_times_its_bytes(monkeypatch):
    monkeypatch.setattr(compression, "declared_size", lambda _: 0)
    monkeypatch.setattr(compression, "decompress", without_a_look)
    _, most, _ = await bombarded(SAY, BOMB)
    assert most > 20 * len(BOMB)


async def test_f2_control_what_does_not_lie_gets_through():
    seen: list[ChatMessage] = []
    network, capability = Network(), Chat()
    async with running(network, capabilities=[capability]) as node:
        peer = await ScriptedPeer.dial(network, node.record, [capability])
        await peer.begin()
        await peer.send_message(GetTime("a" * 100_000, request_id=1))
        assert await peer.receive_message() == Time(1, 100_000)
    reason, _, left = await bombarded(SAY, bytes(compression.compress(rlp.encode(["a" * 10_000]))), seen=seen)
    assert (reason, left, len(seen)) == (DisconnectReason.NETWORK_ERROR, 1, 1)
