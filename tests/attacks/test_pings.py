"""Row F9 of THREATS.md: Pings without number (CVE-2023-40591 was a task of its own for each).

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from dataclasses import dataclass

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DisconnectReason, Limits
from devp2p.session import StreamLine
from devp2p.testing import ScriptedPeer
from devp2p.wire import base
from tests.chat import Chat
from tests.wires import Wire, only

FLOOD = 100_000
PING = b"\x02\x01\x00\xc0"
pytestmark = only("attacked", because="Pings are the same everywhere")


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


@dataclass
class Siege:
    """What came of a flood."""

    pongs: int = 0
    taken: int = 0
    """How many Pings left before the peer was told to go."""
    farewell: int | None = None
    more_tasks: int = 0


async def flood(wire: Wire, limits: Limits, pings: int, *, at_once: int) -> Siege:
    """Send Pings, so many at a time, and read what comes back."""
    siege = Siege()
    async with wire.scripted_peer([Chat()], limits=limits) as (_, peer), trio.open_nursery() as nursery:
        nursery.start_soon(hear, peer, siege)
        await wait_all_tasks_blocked()
        before = tasks()
        while siege.farewell is None and siege.taken < pings:
            burst = b"".join(peer.seal(PING) for _ in range(at_once))
            try:
                await peer.stream.send_all(burst)
            except trio.BrokenResourceError:
                break
            siege.taken += at_once
            siege.more_tasks = max(siege.more_tasks, tasks() - before)
            await trio.sleep(at_once / FLOOD)  # as many in a second
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return siege


async def hear(peer: ScriptedPeer, siege: Siege) -> None:
    while siege.farewell is None:
        code, data = await peer.receive()
        if code == base.PONG:
            siege.pongs += 1
        elif code == base.DISCONNECT:
            siege.farewell = base.decode_disconnect(data, compressed=False)


async def test_f9_of_a_hundred_thousand_pings_in_a_second_ten_are_answered_and_then_it_is_over(wire: Wire):
    siege = await flood(wire, Limits(), FLOOD, at_once=1)
    assert (siege.pongs, siege.farewell) == (10, DisconnectReason.PROTOCOL_BREACH)
    assert siege.taken < 15
    assert siege.more_tasks <= 0


async def test_f9_nor_are_more_answered_if_a_thousand_come_at_once(wire: Wire):
    siege = await flood(wire, Limits(), FLOOD, at_once=1000)
    assert siege.pongs <= 10
    assert siege.farewell == DisconnectReason.PROTOCOL_BREACH
    assert siege.more_tasks <= 0


async def test_f9_control_without_the_bound_each_is_answered(wire: Wire):
    siege = await flood(wire, Limits(ping_burst=10**9), 3000, at_once=100)
    assert (siege.pongs, siege.farewell) == (3000, None)


async def waiting_tasks(wire: Wire, limits: Limits) -> int:
    """How many tasks there are more when a peer has sent 3,000 Pings and reads nothing."""
    async with wire.scripted_peer([Chat()], limits=limits) as (_, peer):
        before = tasks()
        with trio.move_on_after(0.01):
            await peer.stream.send_all(b"".join(peer.seal(PING) for _ in range(3000)))
            await wait_all_tasks_blocked()
        return tasks() - before


async def test_f9_pings_of_a_peer_that_never_reads_leave_no_task_behind(wire: Wire):
    assert await waiting_tasks(wire, Limits()) <= 0


async def test_f9_control_with_a_task_for_each_there_are_thousands(wire: Wire, monkeypatch):
    async with trio.open_nursery() as nursery:
        turns = trio.Lock()

        async def answer(line: StreamLine) -> None:
            async with turns:
                await trio.sleep(1)  # the peer does not read
                line._side.outbox.put_base(base.PONG, base.EMPTY_LIST)

        monkeypatch.setattr(StreamLine, "_pong", lambda line: nursery.start_soon(answer, line))
        assert await waiting_tasks(wire, Limits()) >= 2000
        nursery.cancel_scope.cancel()
