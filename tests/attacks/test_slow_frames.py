"""Row F16 of THREATS.md: large frames of which most comes at once and the rest never.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import random
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, Limits, Peer, PrivateKey, rlp
from devp2p.capability.budget import Arriving
from devp2p.testing import ScriptedPeer
from devp2p.wire import compression
from tests.attacks.test_frames import crowd, grown, hang_up
from tests.chat import Blob, Chat, ChatMessage, chat, collect
from tests.network import NO_PINGS
from tests.wires import Wire, only

BLOB = b"\x13"
COUNT = 20
pytestmark = only("attacked", because="the rest is as on one of those")
SENT, WHOLE = 256 * 1024, 320 * 1024  # of each frame; a thirtieth of 11 and 14 MiB
FULL = COUNT * SENT
NOISE = random.Random(16).randbytes(WHOLE)


def frame(peer: ScriptedPeer, size: int = WHOLE) -> bytes:
    return peer.seal(BLOB + compression.compress(rlp.encode([NOISE[:size]])))


async def send(peer: ScriptedPeer, data: bytes) -> None:
    with suppress(trio.BrokenResourceError):  # its session may have ended
        await peer.stream_of(BLOB[0]).send_all(data)


@dataclass
class Siege:
    """What came of it."""

    bytes_held: int
    """Once all have sent most of their frames."""
    bytes_counted: int
    left_soon: int
    """How many of them there are after five seconds."""
    alive: int
    """How many of them there are after two minutes."""
    last_ended: float
    """After how many seconds the last one that ended did so."""
    why: set[str]


async def besiege(wire: Wire, limits: Limits) -> Siege:
    """Let twenty peers send most of a large frame, then a byte each 25 s, and never a Pong."""
    network = wire.network()
    async with network.running(capabilities=[Chat()], max_peers=200, limits=limits) as node:
        with ExitStack() as stack:
            peers = await crowd(network, node, COUNT)
            hang_up(stack, peers)
            frames = [frame(peer) for peer in peers]
            remotes = [node.roster.get(peer.key.public_key) for peer in peers]
            budget = node._local.budget
            assert budget is not None
            began, ends = trio.current_time(), {}

            async def attack() -> None:
                for peer, data in zip(peers, frames, strict=True):
                    await send(peer, data[:SENT])
                    await wait_all_tasks_blocked()

            async def watch(number: int, remote: Peer) -> None:
                ends[number] = (await remote.wait_ended()).detail, trio.current_time() - began

            async with trio.open_nursery() as nursery:
                for number, remote in enumerate(remotes):
                    assert remote is not None
                    nursery.start_soon(watch, number, remote)
                held = await grown(attack)
                counted = budget.used
                for second in (25, 50, 75, 100):
                    await trio.sleep_until(began + second)
                    for peer, data in zip(peers, frames, strict=True):
                        await send(peer, data[SENT + second : SENT + second + 1])
                await trio.sleep_until(began + 120)
                left_soon = COUNT - sum(when <= 5 for _, when in ends.values())
                nursery.cancel_scope.cancel()
            alive = len(node.connected)
        last_ended = max((when for _, when in ends.values()), default=0.0)
        return Siege(held, counted, left_soon, alive, last_ended, {why for why, _ in ends.values()})


async def test_f16_who_sends_most_of_a_large_frame_and_then_trickles_is_gone_within_thirty_seconds(wire: Wire):
    siege = await besiege(wire, Limits())
    assert siege.left_soon == COUNT, "all of it fits"
    assert siege.bytes_counted >= 0.99 * FULL
    assert (siege.alive, siege.why) == (0, {"a frame came too slowly"})
    assert siege.last_ended <= 30


async def test_f16_what_they_hold_counts_and_a_full_budget_ends_the_slowest(wire: Wire):
    siege = await besiege(wire, Limits(total_inbox_bytes=FULL // 4))
    assert 3 <= siege.left_soon <= 5
    assert siege.bytes_counted <= FULL // 4
    assert siege.bytes_held < FULL // 2
    assert siege.alive == 0
    assert siege.last_ended <= 30


def credit_without_end(arriving: Arriving, size: int, waited: float) -> None:
    arriving._left += size / arriving._limits.frame_rate - waited


@only("rlpx", because="a frame on a stream of its own stands for no Pong")
async def test_f16_control_with_credit_without_end_they_stay_and_with_frames_uncounted_for_nothing(wire: Wire, monkeypatch):
    monkeypatch.setattr(Arriving, "progressed", credit_without_end)
    monkeypatch.setattr(Arriving, "hold", lambda *_: None)
    siege = await besiege(wire, Limits(total_inbox_bytes=FULL // 4))
    assert (siege.alive, siege.bytes_counted) == (COUNT, 0)
    assert siege.bytes_held > 0.99 * FULL


# A full budget and an honest peer


async def send_beside_a_full_budget(wire: Wire, step: int) -> tuple[list[int], int]:
    """Let the budget be full of frames that come at the least rate, and a peer send a large message at `step` bytes a second.

    Returns the sizes of what its capability got, and how many of the others are left.
    """
    seen: list[ChatMessage] = []
    network, limits = wire.network(), Limits(total_inbox_bytes=FULL // 4, ping_interval=10**6)
    async with network.running(capabilities=[chat(collect(seen))], max_peers=200, limits=limits) as node:
        with ExitStack() as stack:
            slow = await crowd(network, node, 5)
            honest = await network.peer(node, [Chat()], key=PrivateKey.generate())
            await honest.begin()
            hang_up(stack, [*slow, honest])
            frames = [frame(peer) for peer in slow]
            for peer, data in zip(slow, frames, strict=True):
                await send(peer, data[: SENT - 10_000])
            data, at = frame(honest, 300 * 1024), 0
            for second in range(60):
                await trio.sleep(1)
                await send(honest, data[at : at + step])
                at += step
                for peer, other in zip(slow, frames, strict=True):
                    start = SENT - 10_000 + 1024 * second
                    await send(peer, other[start : start + 1024])
            await wait_all_tasks_blocked()
            return [len(message.data) for message in seen if isinstance(message, Blob)], len(node.connected)


async def test_f16_an_honest_large_message_gets_room_from_those_that_come_slower(wire: Wire):
    got, left = await send_beside_a_full_budget(wire, 20_000)
    assert got == [300 * 1024]
    assert 1 < left <= 5, "it, and of the others those for whom there was room"


async def test_f16_a_frame_that_comes_steadily_is_never_too_slow_however_long_it_takes(wire: Wire):
    network = wire.network()
    seen: list[ChatMessage] = []
    limits = Limits(frame_rate=1024.0, ping_interval=15 if "one stream" in wire.traits else 10**6)
    async with network.running(capabilities=[chat(collect(seen))], limits=limits) as node:
        peer = (await crowd(network, node, 1, chat(collect([]))))[0]
        noise = random.Random(1).randbytes(2**20) * 11
        data = peer.seal(BLOB + compression.compress(rlp.encode([noise])))
        step = 24 * 1024
        for at in range(0, len(data), step):  # three hours, without a Pong, which stands behind it
            await peer.stream_of(BLOB[0]).send_all(data[at : at + step])
            await trio.sleep(step / 1024)
        await wait_all_tasks_blocked()
        assert [len(message.data) for message in seen if isinstance(message, Blob)] == [len(noise)]


async def test_f16_one_slow_frame_after_the_other_does_not_stand_for_a_pong_for_ever(wire: Wire):
    network = wire.network()
    async with network.running(capabilities=[chat(collect([]))], limits=Limits()) as node:
        with ExitStack() as stack:
            peers = await crowd(network, node, 1)
            hang_up(stack, peers)
            remote, began = node.connected[0], trio.current_time()
            while remote.ended is None and trio.current_time() - began < 200:
                data = frame(peers[0], 20_000)
                for at in range(0, len(data), 2000):  # ten seconds each, and hardly a moment between two
                    await send(peers[0], data[at : at + 2000])
                    await trio.sleep(1)
            assert remote.ended is not None
            assert remote.ended.detail == "no pong within 15 s"
            assert trio.current_time() - began < 100


@only("rlpx", because="on a stream of its own a message may wait for ever, and counts: session/test_streams.py")
async def test_f16_a_message_that_waits_for_room_counts_too(wire: Wire):
    async def never_read(_: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep_forever()

    network = wire.network()
    async with network.running(capabilities=[chat(never_read)], limits=NO_PINGS) as node:
        with ExitStack() as stack:
            peers = await crowd(network, node, 1)
            hang_up(stack, peers)
            budget = node._local.budget
            assert budget is not None
            await peers[0].send_message(Blob(NOISE[:1000]))
            noise = random.Random(1).randbytes(2**20) * 6
            await peers[0].send_message(Blob(noise))
            await wait_all_tasks_blocked()
            assert budget.used > len(noise)
            await trio.sleep(7)
            assert not node.connected, "patience"
            assert budget.used == 0
