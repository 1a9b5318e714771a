"""What a line is told of the messages that it delivered: each once, when it is taken, and of no message of another line."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, Limits, PeerDisconnected, rlp
from devp2p.capability import Budget, Inbox, Outbox, Turn
from devp2p.wire import MessageReceived
from tests.chat import Chat, GetTime

SAY, TIME, BLOB = 0, 2, 3
NOISE = random.Random(1).randbytes(10_000)
OVER = PeerDisconnected(DisconnectReason.REQUESTED, by_remote=False)


def message(code: int, *fields: Any) -> MessageReceived:
    return MessageReceived(0, code, rlp.encode(fields), 2**24, compressed=False)


@pytest.fixture
def channel() -> Channel[Any]:
    limits = Limits()
    return Channel(
        Chat().table(limits),
        Outbox([1], limits),
        Inbox(2**20, 100, Budget(2**20)),
        limits,
        index=0,
        fits=lambda *_: True,
        request_timeout=10,
        ready_at_once=True,
    )


async def test_each_message_is_told_when_it_is_taken_and_by_itself(channel: Channel[Any]) -> None:
    told: list[MessageReceived] = []
    channel.receipts.begin(told.append)
    sent = [message(SAY, "a"), message(BLOB, NOISE), message(SAY, "b")]
    for one in sent:
        assert channel.offer(one)
    for count in range(1, 4):
        await channel.receive()
        assert told == sent[:count]


async def test_what_an_older_line_delivered_is_told_nobody(channel: Channel[Any]) -> None:
    first: list[MessageReceived] = []
    second: list[MessageReceived] = []
    channel.receipts.begin(first.append)
    old, new = message(SAY, "old"), message(SAY, "new")
    channel.offer(old)
    channel.receipts.begin(second.append)
    channel.offer(new)
    await channel.receive()
    await channel.receive()
    assert (first, second) == ([], [new])


async def test_nor_what_is_being_decoded_when_the_line_is_replaced(channel: Channel[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[MessageReceived] = []
    channel.receipts.begin(lambda _: None)
    channel.offer(message(BLOB, NOISE))
    decode = channel._table.decode_in_steps

    def moved(code: int, data: bytes) -> Iterator[None]:
        channel.receipts.begin(told.append)
        return decode(code, data)

    monkeypatch.setattr(channel._table, "decode_in_steps", moved)
    await channel.receive()
    assert told == []
    monkeypatch.undo()
    new = message(SAY, "new")
    channel.offer(new)
    await channel.receive()
    assert told == [new]


@pytest.mark.parametrize("moves", [True, False])
async def test_a_message_whose_decoding_was_cancelled_is_told_when_it_is_taken(
    channel: Channel[Any], monkeypatch: pytest.MonkeyPatch, *, moves: bool
) -> None:
    first: list[MessageReceived] = []
    second: list[MessageReceived] = []
    channel.receipts.begin(first.append)
    large, small = message(BLOB, NOISE), message(SAY, "new")
    channel.offer(large)
    with trio.CancelScope() as scope:

        async def cancelled(*_: object) -> None:
            if moves:
                channel.receipts.begin(second.append)
            scope.cancel()
            await trio.lowlevel.checkpoint()

        with monkeypatch.context() as patch:
            patch.setattr(channel, "_decode_in_steps", cancelled)
            await channel.receive()
    assert scope.cancelled_caught
    assert first == second == []
    channel.offer(small)
    await channel.receive()
    assert (first, second) == (([], []) if moves else ([large], []))
    await channel.receive()
    assert (first, second) == (([], [small]) if moves else ([large, small], []))


async def test_an_answer_is_told_to_the_line_that_delivered_it(channel: Channel[Any]) -> None:
    first: list[MessageReceived] = []
    second: list[MessageReceived] = []
    channel.receipts.begin(first.append)
    answer = message(TIME, 1, 7)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.request, GetTime("utc"))
        await wait_all_tasks_blocked()
        assert await channel.deliver(answer, Turn())
        channel.receipts.begin(second.append)  # before the one who asked runs
        assert first == []
    assert (first, second) == ([], [])


async def test_once_a_capability_is_done_what_is_there_and_what_comes_counts_as_taken(channel: Channel[Any]) -> None:
    told: list[MessageReceived] = []
    channel.offer(message(SAY, "of an older line"))
    channel.receipts.begin(told.append)
    there, later = message(SAY, "there"), message(SAY, "later")
    channel.offer(there)
    channel.close(OVER)
    channel.retire()
    assert told == [there]
    assert channel.offer(later)
    assert told == [there, later]
    channel.discard()
    channel.offer(message(SAY, "after the end"))
    assert told == [there, later]
