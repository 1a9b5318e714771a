"""Rows F1, F7 and F10 of THREATS.md: sizes that are only announced, ids of nobody, and peers that never read.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import gc
import random
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, Limits, Peer, PrivateKey, rlp
from devp2p.testing import ScriptedPeer
from devp2p.wire import FrameFraming, compression
from devp2p.wire.messages import MessageSpace
from devp2p.wire.rlpx import frames as wire_frames
from tests.chat import Blob, Chat, ChatMessage, GetTime, Time, chat
from tests.network import NO_PINGS
from tests.wires import Network, Wire, only

BLOB = 0x13
pytestmark = only("attacked", because="the rest is as on one of those")
KEYS = [PrivateKey.generate() for _ in range(100)]
NOISE = random.Random(1).randbytes(2**16)


async def crowd(network: Network, node, count: int, capability=None) -> list[ScriptedPeer]:
    """So many peers, each with a session."""
    peers = []
    for key in KEYS[:count]:
        peer = await network.peer(node, [capability or Chat()], key=key)
        await peer.begin()
        peers.append(peer)
    await wait_all_tasks_blocked()
    assert len(node.connected) == count
    return peers


def hang_up(stack: ExitStack, peers: list[ScriptedPeer]) -> None:
    """Let the peers be gone without a word when the stack ends."""
    for peer in peers:
        stack.callback(peer.stream._incoming.break_)  # type: ignore[attr-defined]
        stack.callback(peer.stream._outgoing.end)  # type: ignore[attr-defined]


async def grown(attack: Callable[[], Awaitable[None]]) -> int:
    """How many bytes an attack leaves allocated, and nothing is tidied up meanwhile."""
    gc.collect()
    tracemalloc.start()
    try:
        await attack()
        await wait_all_tasks_blocked()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


# F1: a frame of 16 MiB, announced and not sent


def first_piece(peer: ScriptedPeer, frame_data: bytes) -> bytes:
    """The beginning of a sealed frame, for what all of it would take to seal."""
    framing = peer._streams.owner(BLOB).framing
    assert isinstance(framing, FrameFraming)
    return next(iter(framing.sealer.seal(frame_data)))


async def announce(wire: Wire, count: int) -> tuple[int, float, int]:
    """Let so many peers announce 16 MiB each: what each costs in bytes, after how many seconds the last has gone, and who is left."""
    network = wire.network()
    async with network.running(capabilities=[Chat()], max_peers=200) as node:
        with ExitStack() as stack:
            honest = await network.peer(node, [Chat()])
            await honest.begin()
            await wait_all_tasks_blocked()
            peers = []
            for key in KEYS[:count]:
                peer = await network.peer(node, [Chat()], key=key)
                await peer.begin()
                peers.append(peer)
            hang_up(stack, peers)
            await wait_all_tasks_blocked()
            heads = [first_piece(peer, bytes(14 * 2**20))[:1000] for peer in peers]

            async def attack() -> None:
                for peer, head in zip(peers, heads, strict=True):
                    await peer.stream_of(BLOB).send_all(head)

            bytes_each = await grown(attack) // count
            began = trio.current_time()
            remotes = [node.roster.get(peer.key.public_key) for peer in peers]
            for remote in remotes:
                assert remote is not None
                assert (await remote.wait_ended()).detail == "a frame came too slowly"
            gone = trio.current_time() - began
            await honest.ping()
            await honest.receive()
            return bytes_each, gone, len(node.connected)


async def test_f1_a_hundred_announced_giants_cost_what_they_bring_and_are_gone_in_thirty_seconds(wire: Wire):
    bytes_each, gone, left = await announce(wire, 100)
    assert bytes_each < 16 * 1024
    assert gone <= 30
    assert left == 1


class SetAside(wire_frames.FrameOpener):
    """Sets memory aside for what a header announces, as is natural."""

    def _open_header(self, received, mac) -> bool:
        opened = super()._open_header(received, mac)
        if opened:
            self.buffer = bytearray(self._size)
        return opened


@only("rlpx", because="its opener is replaced")
async def test_f1_control_who_sets_aside_what_is_announced_pays_for_it(wire: Wire, monkeypatch):
    monkeypatch.setattr("devp2p.wire.rlpx.frames.FrameOpener", SetAside)
    bytes_each, _, _ = await announce(wire, 5)
    assert bytes_each > 13 * 2**20


async def test_f1_control_without_deadlines_they_stay(wire: Wire):
    network, limits = wire.network(), Limits(ping_interval=10**6, frame_timeout=10**9)
    async with network.running(limits=limits) as node:
        with ExitStack() as stack:
            peers = await crowd(network, node, 5)
            hang_up(stack, peers)
            for peer in peers:
                await peer.stream_of(BLOB).send_all(peer.seal(b"\x13" + bytes(100))[:50])
            await trio.sleep(1000)
            assert len(node.connected) == 5


# F7: ids that belong to nobody


class Gappy(Chat):
    """Takes ids that it does not use: 0x15 to 0x17 on the wire."""

    length = 8


async def say(wire: Wire, data: bytes) -> tuple[DisconnectReason | int, int]:
    """Send frame-data to a node with two capabilities; how the session ends, and how many others are left."""
    network, second = wire.network(), chat(name="zeal")
    async with network.running(capabilities=[Gappy(), second]) as node:
        honest, bad = [await network.peer(node, [Gappy(), second], key=key) for key in KEYS[:2]]
        for peer in (honest, bad):
            await peer.begin()
        await wait_all_tasks_blocked()
        remote = node.roster.get(bad.key.public_key)
        assert remote is not None
        await bad.send_frame(data)
        await bad.stream.send_eof()
        end = await remote.wait_ended()
        await honest.send_message(GetTime("abc", request_id=1))
        assert await honest.receive_message() == Time(1, 3)
        return end.reason, len(node.connected)


OF_NOBODY = [0x15, 0x17, 0x1D, 0x1E, 0x7F, *(2**bits + more for bits in (7, 8, 16, 31, 32, 63) for more in (0, 1)), 2**64 - 1]


@pytest.mark.parametrize("code", OF_NOBODY, ids=hex)
async def test_f7_an_id_of_nobody_ends_the_session_and_no_other(wire: Wire, code):
    assert await say(wire, rlp.encode(code) + compression.compress(b"\xc0")) == (DisconnectReason.PROTOCOL_BREACH, 1)


@pytest.mark.parametrize("head", ["00", "8100", "820010", "89" + "01" * 9, "bf" + "ff" * 8, "c0", "c110", "ff" * 9])
async def test_f7_what_is_no_id_does_so_too(wire: Wire, head):
    assert await say(wire, bytes.fromhex(head) + b"\x01\x00\xc0") == (DisconnectReason.PROTOCOL_BREACH, 1)


def locate_without_a_look(_: MessageSpace, code: int) -> tuple[int, int, int]:
    """Divides the ids among the capabilities, and believes that they come out."""
    index = max(0, code - 0x10) // 8
    return index, (code - 0x10) % 8, 2**20


@only("rlpx", because="where a stream has its own ids, another table knows them")
async def test_f7_control_without_bounds_an_id_ends_the_whole_node(wire: Wire, monkeypatch):
    monkeypatch.setattr(MessageSpace, "locate", locate_without_a_look)
    with pytest.raises(BaseExceptionGroup) as caught:
        await say(wire, rlp.encode(1000) + compression.compress(b"\xc0"))
    assert caught.group_contains(IndexError)


# F10: peers that never read what they ask for

PIECE = NOISE[: 32 * 1024]


async def give(_: Peer, channel: Channel[ChatMessage]) -> None:
    """Answer any request by a large message, and after it the request itself."""
    async for message in channel:
        if isinstance(message, GetTime):
            if message.zone:
                await channel.send(Blob(PIECE))
            await channel.send(Time(message.request_id, 0))


async def ask_and_never_read(wire: Wire, limits: Limits, count: int, questions: int) -> tuple[int, float, int]:
    """Let peers ask for pieces that they do not read: bytes that each costs, how late another is answered, and who is left in the end."""
    network = wire.network()
    async with network.running(capabilities=[chat(give)], max_peers=200, limits=limits) as node:
        with ExitStack() as stack:
            peers = await crowd(network, node, count)
            hang_up(stack, peers)
            honest = await network.peer(node, [Chat()])
            await honest.begin()
            await wait_all_tasks_blocked()
            asked = [b"".join(peer.seal(b"\x11" + compression.compress(rlp.encode([n, "a"]))) for n in range(questions)) for peer in peers]

            async def attack() -> None:
                for peer, data in zip(peers, asked, strict=True):
                    with trio.move_on_after(1):  # it may not be taken
                        await peer.stream_of(0x11).send_all(data)

            bytes_each = await grown(attack) // count
            began = trio.current_time()
            await honest.send_message(GetTime("", request_id=1))
            assert await honest.receive_message() == Time(1, 0)
            late = trio.current_time() - began
            await trio.sleep(25)
            return bytes_each, late, len(node.connected)


SMALL = 512 * 1024
READS = only("rlpx", because="who does not read a stream of its own is waited for: session/test_streams.py")


@READS
async def test_f10_eighty_that_never_read_cost_an_outbox_each_and_delay_nobody(wire: Wire):
    limits = Limits(ping_interval=10**6, outbox_bytes=SMALL)
    bytes_each, late, left = await ask_and_never_read(wire, limits, 80, 60)
    assert bytes_each < SMALL + 256 * 1024
    assert late == 0
    assert left == 1, "after the write deadline those that never read are gone"


@READS
async def test_f10_with_the_usual_limits_it_is_little_more_than_four_mebibytes(wire: Wire):
    bytes_each, late, left = await ask_and_never_read(wire, NO_PINGS, 10, 400)
    assert bytes_each < 4.5 * 2**20
    assert (late, left) == (0, 1)


@READS
async def test_f10_control_without_bounds_they_cost_whatever_they_ask_for(wire: Wire):
    endless = Limits(ping_interval=10**6, outbox_bytes=10**12, outbox_messages=10**9, write_timeout=10**9, closing_timeout=0.1)
    bytes_each, _, left = await ask_and_never_read(wire, endless, 10, 400)
    assert bytes_each > 12 * 2**20
    assert left == 11
