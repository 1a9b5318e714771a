"""The queues between a session and its capabilities are bounded, fair and give back what they counted."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from devp2p import DisconnectReason, Limits, PeerDisconnected
from devp2p.capability.budget import Arriving, Budget
from devp2p.capability.queues import Inbox, Outbox
from devp2p.wire.framing import MessageReceived
from devp2p.wire.schedule import Lane, Outgoing

END = PeerDisconnected(DisconnectReason.REQUESTED, by_remote=True, detail="over")


def message(size: int, capability: int = 0, code: int = 0x10) -> Outgoing:
    return Outgoing(code, bytes(size), capability)


def received(size: int) -> MessageReceived:
    return MessageReceived(0, 0, bytes(size), 2**20, compressed=False)


# The outbox


async def test_put_waits_for_room_in_bytes_and_in_messages() -> None:
    for limits, size in ((Limits(outbox_bytes=100), 40), (Limits(outbox_messages=2), 0)):
        outbox = Outbox([1], limits)
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(outbox.put, message(size, code=0x10 + number), Lane.NORMAL)
                await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1, "the third waits"
            assert [(await outbox.get(0)).code for _ in range(2)] == [0x10, 0x11]  # type: ignore[union-attr]
            await wait_all_tasks_blocked()
            assert not nursery.child_tasks
        assert outbox.get_nowait() == message(size, code=0x12)
        assert outbox.get_nowait() is None


async def test_a_message_above_the_limit_goes_alone_and_is_not_overtaken() -> None:
    outbox = Outbox([1], Limits(outbox_bytes=100))
    await outbox.put(message(90), Lane.NORMAL)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.put, message(500, code=0x11), Lane.NORMAL)
        await wait_all_tasks_blocked()
        nursery.start_soon(outbox.put, message(1, code=0x12), Lane.NORMAL)
        await wait_all_tasks_blocked()
        codes = []
        for _ in range(3):
            taken = await outbox.get(0)
            assert taken is not None
            codes.append(taken.code)
            await wait_all_tasks_blocked()
    assert codes == [0x10, 0x11, 0x12]


async def test_a_capability_that_fills_its_share_does_not_keep_its_sibling_from_sending() -> None:
    outbox = Outbox([1, 1], Limits(outbox_messages=1))
    await outbox.put(message(1), Lane.NORMAL)
    with trio.fail_after(1):
        await outbox.put(message(1, 1), Lane.NORMAL)
    with trio.move_on_after(1) as scope:
        await outbox.put(message(1), Lane.NORMAL)
    assert scope.cancelled_caught
    assert [outbox.get_nowait(), outbox.get_nowait(), outbox.get_nowait()] == [message(1), message(1, 1), None], "nothing half put stays"


async def test_the_base_protocol_goes_first_and_the_last_word_last() -> None:
    for flush in (True, False):
        outbox = Outbox([1], Limits())
        await outbox.put(message(1), Lane.NORMAL)
        outbox.put_base(0x03, b"\xc0")
        if flush:
            assert await outbox.get(0) == Outgoing(0x03, b"\xc0")
        outbox.finish(END, Outgoing(0x01, b"\x08"), flush=flush)
        outbox.put_base(0x02, b"\xc0")
        rest = [await outbox.get(0) for _ in range(3 if flush else 2)]
        assert rest == [*([message(1)] if flush else []), Outgoing(0x01, b"\x08"), None]
        assert await outbox.get(0) is None


async def test_a_line_may_choose_for_itself_and_room_comes_with_each_part_that_is_sent() -> None:
    outbox, added = Outbox([1, 1], Limits(outbox_bytes=1000)), []
    first = Outgoing(1, bytes(900), 1)
    await outbox.put(first, Lane.NORMAL)
    await outbox.put(Outgoing(2, b"", 1), Lane.URGENT)
    assert [list(outbox.waiting_in(lane)) for lane in Lane] == [[1], [1], []]

    async def add() -> None:
        await outbox.put(Outgoing(3, bytes(500), 1), Lane.NORMAL)
        added.append(3)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        await wait_all_tasks_blocked()
        for left in (700, 500):
            assert not added
            outbox.cut(1, Lane.NORMAL, 200)
            assert outbox.waiting(1) == (2, left)
            await wait_all_tasks_blocked()
    assert outbox.first(1, Lane.NORMAL) is first, "it stays the first until all of it is sent"
    assert outbox.waiting(1) == (3, 1000)
    outbox.take(1, Lane.NORMAL)
    outbox.take(1, Lane.URGENT)
    assert outbox.waiting(1) == (1, 500)
    assert outbox.first(1, Lane.NORMAL) == Outgoing(3, bytes(500), 1)
    assert outbox.first(1, Lane.URGENT) is outbox.first(0, Lane.NORMAL) is None


async def test_put_raises_after_the_end_and_so_do_those_that_wait() -> None:
    outbox = Outbox([1], Limits(outbox_messages=1))
    await outbox.put(message(1), Lane.NORMAL)
    async with trio.open_nursery() as nursery:

        async def wait_and_fail() -> None:
            with pytest.raises(PeerDisconnected, match="over"):
                await outbox.put(message(1), Lane.NORMAL)

        nursery.start_soon(wait_and_fail)
        nursery.start_soon(wait_and_fail)
        await wait_all_tasks_blocked()
        outbox.finish(END, None, flush=False)
    await wait_and_fail()


# The inbox and the budget


async def test_an_inbox_counts_bytes_and_messages_and_gives_both_back() -> None:
    budget = Budget(1000)
    inbox = Inbox(100, 2, budget)
    assert inbox.has_room(500), "an empty one takes any message"
    inbox.put(received(60))
    assert inbox.has_room(40)
    assert not inbox.has_room(41)
    inbox.put(received(40))
    assert not inbox.has_room(0)
    assert (len(inbox), inbox.bytes, budget.has_room(900), budget.has_room(901)) == (2, 100, True, False)
    assert len((await inbox.get()).data) == 60
    assert len((await inbox.get()).data) == 40
    assert (len(inbox), inbox.bytes, budget.has_room(1000)) == (0, 0, True)


async def test_wait_room_wakes_for_what_it_waits_for() -> None:
    budget = Budget(100)
    mine, other = Inbox(100, 1, budget), Inbox(100, 9, budget)
    mine.put(received(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mine.wait_room, 1)  # its own limit is in the way
        await wait_all_tasks_blocked()
        other.put(received(90))
        await wait_all_tasks_blocked()
        assert nursery.child_tasks
        await mine.get()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mine.wait_room, 50)  # the node's budget is
        await wait_all_tasks_blocked()
        assert nursery.child_tasks
        await other.get()
    assert mine.has_room(50)


async def test_after_the_end_what_is_left_can_be_taken_and_then_it_raises() -> None:
    budget = Budget(100)
    inbox = Inbox(100, 9, budget)
    for size in (1, 2):
        inbox.put(received(size))
    inbox.close(END)
    inbox.put(received(3))
    assert [len((await inbox.get()).data) for _ in range(2)] == [1, 2]
    for _ in range(2):
        with pytest.raises(PeerDisconnected) as caught:
            await inbox.get()
        assert caught.value is not END, "each task gets an exception, and so a traceback, of its own"
    assert budget.has_room(100)


async def test_get_wakes_at_the_end() -> None:
    inbox = Inbox(100, 9, Budget(100))
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(PeerDisconnected):
                await inbox.get()

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        inbox.close(END)


async def test_what_nobody_takes_is_given_back() -> None:
    budget = Budget(100)
    inbox = Inbox(100, 9, budget)
    inbox.put(received(60))
    inbox.discard()
    assert (len(inbox), inbox.bytes, budget.has_room(100)) == (0, 0, True)


async def test_a_message_that_is_put_back_goes_to_whoever_waits_for_one() -> None:
    inbox, sizes = Inbox(100, 9, Budget(100)), list[int]()
    inbox.put(received(60))
    taken = await inbox.get()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            sizes.append(len((await inbox.get()).data))

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        inbox.put_back(taken)
        await wait_all_tasks_blocked()
        assert sizes == [60]
        nursery.cancel_scope.cancel()


async def test_a_message_that_is_put_back_when_nobody_is_left_counts_no_more() -> None:
    """A task of the user's may still be decoding it when the session is over, and be cancelled then."""
    budget = Budget(100)
    inbox = Inbox(100, 9, budget)
    inbox.put(received(60))
    taken = await inbox.get()
    inbox.close(END)
    inbox.discard()
    inbox.put_back(taken)
    assert (len(inbox), inbox.bytes, budget.used) == (0, 0, 0)


async def test_whoever_waits_for_room_gets_what_another_has_given_up_to_wait_for() -> None:
    budget = Budget(100)
    stopped, mine = Inbox(100, 9, budget), Inbox(100, 9, budget)
    mine.put(received(10))
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def wait_in_vain() -> None:
            with scope:
                await stopped.wait_room(60)

        nursery.start_soon(wait_in_vain)
        await wait_all_tasks_blocked()
        nursery.start_soon(mine.wait_room, 60)
        await wait_all_tasks_blocked()
        assert not mine.put(received(60))
        scope.cancel()
        await wait_all_tasks_blocked()
        stopped.discard()
        await wait_all_tasks_blocked()
        waiting = len(nursery.child_tasks)
        nursery.cancel_scope.cancel()
    assert waiting == 0
    assert mine.put(received(60))


# Frames that arrive


def ended(ends: list[str], name: str) -> Callable[[PeerDisconnected], None]:
    return lambda _: ends.append(name)


def arriving(budget: Budget, ends: list[str], name: str, *, size: int = 100_000) -> Arriving:
    frame = Arriving(Limits(), budget, ended(ends, name))
    frame.patience(0)
    frame.hold(size)
    return frame


async def test_when_no_more_fits_the_frame_that_came_slowest_is_given_up() -> None:
    budget = Budget(300_000)
    ends: list[str] = []
    slow, quick = arriving(budget, ends, "slow"), arriving(budget, ends, "quick")
    for _ in range(20):
        await trio.sleep(1)
        slow.progressed(1024, 1.0)
        quick.progressed(20_000, 1.0)
    arriving(budget, ends, "new")
    assert (ends, budget.used) == ([], 300_000)
    quick.hold(100_001)
    assert (ends, budget.used) == (["slow"], 200_001)
    slow.hold(150_000)
    assert budget.used == 200_001, "its reader has not noticed yet"
    slow.close()
    quick.hold(0)
    assert budget.used == 100_000


async def test_a_frame_that_has_the_budget_for_itself_may_be_as_large_as_it_likes() -> None:
    budget = Budget(1000)
    ends: list[str] = []
    first = arriving(budget, ends, "first")
    first.hold(200_000)
    assert not ends
    await trio.sleep(1)
    arriving(budget, ends, "second")
    assert ends == ["first"]


async def test_a_message_gets_room_from_frames_but_nobody_is_ended_in_vain() -> None:
    budget = Budget(300_000)
    ends: list[str] = []
    inbox, other = Inbox(10**6, 9, budget), Inbox(10**6, 9, budget)
    inbox.put(received(150_000))
    arriving(budget, ends, "frame")
    assert not inbox.put(received(160_000))
    assert not ends
    assert inbox.put(received(140_000))
    assert (ends, budget.used) == (["frame"], 290_000)
    other.put(received(1000))
    arriving(budget, ends, "small", size=60_000)
    assert (ends, budget.used) == (["frame"], 351_000), "it is none of those that take the room"


async def test_a_message_that_waits_for_room_counts_but_is_not_in_its_own_way() -> None:
    budget = Budget(100)
    full, mine = Inbox(100, 9, budget), Inbox(100, 9, budget)
    full.put(received(60))
    mine.put(received(10))
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(mine.wait_room, 60)
        await wait_all_tasks_blocked()
        assert budget.used == 190
        assert not mine.put(received(60))
        await full.get()
    assert budget.used == 10
    assert mine.put(received(60))


@given(st.lists(st.tuples(st.floats(0.125, 30, width=16), st.integers(0, 200_000)), max_size=20))
def test_a_frame_may_fall_behind_its_rate_so_far_in_any_span_of_time(pieces: list[tuple[float, int]]) -> None:
    limits = Limits(frame_timeout=25.0, frame_rate=1024.0)
    frame = Arriving(limits, Budget(10**9), lambda _: None)
    with patch("devp2p.capability.budget.trio.current_time", return_value=0.0):
        for number, (waited, size) in enumerate(pieces):
            # Of all spans that end with this wait and began with the frame or with some bytes of it, one has brought too little.
            spans = [pieces[begin:number] for begin in range(number + 1)]
            behind = max(sum(wait for wait, _ in span) + waited - sum(came for _, came in span) / 1024 for span in spans)
            assert (waited > frame.patience(0)) == (behind > 25), (number, behind)
            if behind > 25:
                break
            frame.progressed(size, waited)
