"""The queues between a session and its capabilities are bounded, fair and give back what they counted."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DisconnectReason, Limits, PeerDisconnected
from devp2p.queues import Budget, Inbox, Outbox
from devp2p.wire.connection import MessageReceived
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
            assert [(await outbox.get()).code for _ in range(2)] == [0x10, 0x11]  # type: ignore[union-attr]
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
            taken = await outbox.get()
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
            assert await outbox.get() == Outgoing(0x03, b"\xc0")
        outbox.finish(END, Outgoing(0x01, b"\x08"), flush=flush)
        outbox.put_base(0x02, b"\xc0")
        rest = [await outbox.get() for _ in range(3 if flush else 2)]
        assert rest == [*([message(1)] if flush else []), Outgoing(0x01, b"\x08"), None]
        assert await outbox.get() is None


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
