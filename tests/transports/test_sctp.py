"""SCTP's parts that need no aiortc: what of the peer's packets is handed on, and streams in messages."""

import random
import tracemalloc
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from struct import pack

import pytest
import trio
import trio.testing

from devp2p.errors import RemoteProtocolError
from devp2p.transports.sctp.streams import CREDIT, DATA, END, FIRST_CREDIT, FREE, OPEN, STOP, WINDOW, SctpStream, Streams
from devp2p.transports.sctp.vetting import AHEAD, LEAST_FRAGMENT, MOST_CONTROLS, STREAMS, Standing, is_sound

# Packets


def chunk(kind: int, body: bytes = b"", flags: int = 0, size: int | None = None) -> bytes:
    return pack("!BBH", kind, flags, len(body) + 4 if size is None else size) + body + bytes(-len(body) & 3)


def packet(*chunks: bytes) -> bytes:
    return bytes(12) + b"".join(chunks)


def data(tsn: int, stream: int = 0, text: bytes = b"x", flags: int = 3) -> bytes:
    return chunk(0, pack("!LHHL", tsn, stream, 0, 0) + text, flags)


def sack(acknowledged: int, *gaps: tuple[int, int], window: int = 1000, duplicates: int = 0) -> bytes:
    return chunk(
        3,
        pack("!LLHH", acknowledged, window, len(gaps), duplicates) + b"".join(pack("!HH", *gap) for gap in gaps) + bytes(4 * duplicates),
    )


def standing() -> Standing:
    return Standing(established=True, last_received=2**32 - 1, next_sent=100)


@pytest.mark.parametrize(
    "good",
    [
        packet(data(0), data(1, STREAMS - 1), data(AHEAD - 1)),
        packet(data(2**32 - 5)),  # once more
        packet(data(0, text=bytes(LEAST_FRAGMENT), flags=2), data(1, text=b"x", flags=1)),
        packet(sack(99)),
        packet(sack(89, (2, 3), (5, 5), (10, 10), duplicates=2)),
        packet(chunk(4, pack("!HH", 1, 6) + b"abcd")),
        packet(chunk(6)),
        packet(chunk(7, bytes(4))),
        packet(chunk(11), data(0)),
        packet(chunk(77, b"unknown to us")),
        packet(*[chunk(11)] * MOST_CONTROLS),
    ],
)
def test_what_keeps_to_the_rules_is_handed_on(good: bytes) -> None:
    assert is_sound(good, standing())


@pytest.mark.parametrize(
    "bad",
    [
        packet(chunk(0, size=3)),
        packet(chunk(11, size=8)),
        packet(data(AHEAD)),
        packet(sack(100)),  # not sent yet
        packet(sack(89, (2, 3), (3, 4))),
        packet(sack(89, (3, 2))),
        packet(sack(89, (0, 1))),
        packet(sack(89, (2, 11))),
        packet(sack(89, *[(1, 65535)] * 100)),
        packet(chunk(3, bytes(8))),
        packet(chunk(3, pack("!LLHH", 99, 1000, 300, 0))),
        packet(chunk(4, pack("!HH", 1, 0) + bytes(8))),
        packet(chunk(4, pack("!HH", 1, 3) + bytes(8))),
        packet(chunk(4, pack("!HH", 1, 100) + bytes(8))),
        packet(chunk(1, bytes(16))),  # INIT, INIT ACK
        packet(chunk(2, bytes(16))),
        packet(chunk(130, bytes(16))),  # RE-CONFIG, FORWARD TSN
        packet(chunk(192, bytes(16))),
        packet(*[chunk(11)] * (MOST_CONTROLS + 1)),
    ],
)
def test_what_breaks_them_is_not(bad: bytes) -> None:
    assert not is_sound(bad, standing())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (packet(data(0, STREAMS)), "numbers are below 128"),
        (packet(data(0, text=b"")), "without data"),
        (packet(data(0, flags=7)), "unordered"),
        (packet(data(0, text=bytes(LEAST_FRAGMENT - 1), flags=2)), "in fragments of 255 bytes"),
    ],
)
def test_what_no_mishap_explains_ends_the_link(bad: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        is_sound(bad, standing())


def test_before_the_handshake_there_is_no_data_but_an_init_that_is_alone() -> None:
    before = Standing()
    init = chunk(1, bytes(16) + pack("!HH", 0x8008, 6) + b"ab")
    assert is_sound(packet(init), before)
    assert not is_sound(packet(init, init), before)
    assert not is_sound(packet(chunk(11), init), before)
    assert not is_sound(packet(data(0)), before)
    assert not is_sound(packet(chunk(1, bytes(12))), before)
    assert not is_sound(packet(chunk(1, bytes(16) + bytes(4))), before)


def test_the_window_is_what_the_peer_said_last() -> None:
    now = standing()
    assert is_sound(packet(sack(99, window=5)), now)
    assert now.window == 5
    assert not is_sound(packet(sack(100, window=7)), now)
    assert now.window == 5


def test_bytes_at_random_raise_nothing_else() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201  (a failure shows it)
    chance = random.Random(seed)
    for _ in range(5000):
        size = chance.choice((0, 4, 11, 12, 16, 20, 60, 300))
        kind = bytes((chance.choice((0, 1, 2, 3, 4, 6, 9, 130, 255)), chance.randrange(8), 0, chance.choice((0, 4, 16, 20, size & 255))))
        with suppress(RemoteProtocolError):
            is_sound(bytes(12) + kind + chance.randbytes(size), Standing(chance.random() < 0.8, 7, 9))


# Streams


class Wire:
    """Two ends whose messages are carried when it is said, stream by stream in order."""

    def __init__(self) -> None:
        self.room = 10**9
        self.sent = [deque[tuple[int, bytes]](), deque[tuple[int, bytes]]()]
        self.ends = [Streams(_End(self, way), is_client=not way, on_said=lambda: None) for way in (0, 1)]

    def carry(self, way: int, count: int = 10**9) -> None:
        while self.sent[way] and count:
            self.ends[1 - way].take(*self.sent[way].popleft())
            count -= 1
        for end in self.ends:
            end.look_again()

    def carry_all(self) -> None:
        while self.sent[0] or self.sent[1]:
            self.carry(0)
            self.carry(1)


class _End:
    def __init__(self, made: Wire, way: int) -> None:
        self._wire = made
        self._way = way

    @property
    def has_room(self) -> bool:
        return len(self._wire.sent[self._way]) < self._wire.room

    def send(self, stream: int, message: bytes) -> None:
        self._wire.sent[self._way].append((stream, message))


async def opened() -> tuple[Wire, SctpStream, SctpStream]:
    made = Wire()
    ours = await made.ends[0].open()
    made.carry_all()
    theirs = await made.ends[1].accept()
    made.carry_all()
    return made, ours, theirs


async def test_a_stream_carries_bytes_and_each_direction_ends_by_itself() -> None:
    made, ours, theirs = await opened()
    await ours.send_all(b"question")
    await ours.send_eof()
    made.carry_all()
    assert await theirs.receive_some(3) == b"que"
    assert await theirs.receive_some() == b"stion"
    assert await theirs.receive_some() == b""
    await theirs.send_all(bytearray(b"answer"))
    await theirs.send_eof()
    made.carry_all()
    assert await ours.receive_some(100) == b"answer"
    assert await ours.receive_some(100) == b""
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"more")


async def test_who_does_not_read_is_sent_a_window_and_no_more() -> None:
    made, ours, theirs = await opened()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, bytes(2 * WINDOW))
        await trio.sleep(1)
        made.carry_all()
        await trio.sleep(1)
        assert sum(len(piece) for piece in theirs._received) == WINDOW
        assert not made.sent[0]
        got = 0
        while got < 2 * WINDOW:
            got += len(await theirs.receive_some())
            made.carry_all()
            await trio.sleep(0.01)


async def test_one_that_was_not_accepted_is_sent_little() -> None:
    made = Wire()
    ours = await made.ends[0].open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, bytes(WINDOW))
        await trio.sleep(1)
        made.carry_all()
        await trio.sleep(1)
        theirs = await made.ends[1].accept()
        assert sum(len(piece) for piece in theirs._received) == FIRST_CREDIT
        made.carry_all()


def kept_of_bytes(stream: SctpStream, streams: Streams) -> int:
    """What Python takes for so many bytes that nobody reads, and that come one by one."""
    tracemalloc.start()
    try:
        for _ in range(FIRST_CREDIT):
            streams.take(stream.number, b"\x01x")
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


async def test_t55_bytes_that_come_one_by_one_take_what_bytes_do() -> None:
    made, _, theirs = await opened()
    assert kept_of_bytes(theirs, made.ends[1]) < 3 * FIRST_CREDIT
    assert len(await theirs.receive_some(3)) == 3
    read = 3
    while read < FIRST_CREDIT:
        read += len(await theirs.receive_some())
    assert read == FIRST_CREDIT


async def test_t55_control_kept_as_they_come_they_take_a_hundred_times_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.transports.sctp.streams._PIECE", 0)
    made, _, theirs = await opened()
    assert kept_of_bytes(theirs, made.ends[1]) > 100 * FIRST_CREDIT


async def test_streams_are_accepted_in_the_order_in_which_they_were_opened() -> None:
    made = Wire()
    first, second = await made.ends[0].open(), await made.ends[0].open()
    messages = [*made.sent[0]]
    for number, message in sorted(messages, key=lambda one: -one[0]):  # SCTP keeps no order between streams
        made.ends[1].take(number, message)
    assert (await made.ends[1].accept()).number == first.number
    assert (await made.ends[1].accept()).number == second.number


async def test_a_closed_stream_breaks_the_peers_and_frees_its_number() -> None:
    made, ours, theirs = await opened()
    await ours.send_all(b"last words")
    await ours.aclose()
    made.carry_all()
    with pytest.raises(trio.BrokenResourceError):
        await theirs.send_all(b"x")
    assert await theirs.receive_some() == b"last words"
    assert await theirs.receive_some() == b""
    assert not made.ends[0]._streams
    assert not made.ends[1]._streams
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some()


async def test_more_streams_than_there_are_numbers_come_one_after_the_other() -> None:
    made = Wire()
    for turn in range(2 * STREAMS):
        ours = await made.ends[turn % 2].open()
        await ours.send_all(b"%d" % turn)
        made.carry_all()
        theirs = await made.ends[1 - turn % 2].accept()
        assert await theirs.receive_some() == b"%d" % turn
        await (ours, theirs)[turn % 3 == 0].aclose()
        await (theirs, ours)[turn % 3 == 0].aclose()
        made.carry_all()
    held = [await made.ends[0].open() for _ in range(STREAMS // 2)]
    made.carry_all()
    with trio.move_on_after(1) as scope:
        await made.ends[0].open()
    assert scope.cancelled_caught
    accepted = [await made.ends[1].accept() for _ in held]
    await held[3].aclose()
    await accepted[3].aclose()
    made.carry_all()
    assert (await made.ends[0].open()).number == held[3].number


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([(0, bytes((OPEN, 0, 0, 0, 0))), (0, bytes((OPEN, 0, 0, 0, 1)))], "cannot be"),
        ([(1, bytes((OPEN, 0, 0, 0, 0)))], "cannot be"),
        ([(0, bytes((OPEN, 0, 0, 1, 0)))], "not its turn"),
        ([(0, bytes((OPEN, 0, 0, 0, 0))), (2, bytes((OPEN, 0, 0, 0, 0)))], "not its turn"),
        ([(0, bytes((OPEN, 0, 0, 0)))], "a number of 4 is due"),
        ([(0, bytes((DATA, 1)))], "not open"),
        ([(0, bytes((END,)))], "not open"),
        ([(0, bytes((OPEN, 0, 0, 0, 0))), (0, bytes((FREE,)))], "not over"),
        ([(0, bytes((OPEN, 0, 0, 0, 0))), (0, bytes((DATA,)))], "0 bytes"),
        ([(0, bytes((OPEN, 0, 0, 0, 0))), (0, bytes((DATA,)) + bytes(12000))] * 2, "cannot be"),
        ([(0, bytes((OPEN, 0, 0, 0, 0))), *[(0, bytes((DATA,)) + bytes(12000))] * 2], "12000 bytes in a stream of SCTP that may have 1 to"),
        ([(0, bytes((OPEN, 0, 0, 0, 0))), (0, bytes((END,))), (0, b"\1x")], "behind the end"),
        ([(0, bytes((OPEN, 0, 0, 0, 0))), (0, bytes((END,))), (0, bytes((END,)))], "ends twice"),
        ([(0, bytes((OPEN, 0, 0, 0, 0))), *[(0, bytes((CREDIT, 255, 255, 255, 255)))] * 2], "4 GiB"),
        ([(0, bytes((STOP, 1)))], "none"),
        ([(0, bytes((6,)))], "none"),
        ([(0, bytes(16 * 1024 + 1))], "16385 bytes"),
    ],
)
async def test_messages_that_break_the_rules_are_told(messages: list[tuple[int, bytes]], fault: str) -> None:
    made = Wire()
    made.sent[0].extend(messages)
    with pytest.raises(RemoteProtocolError, match=fault):
        made.carry(0)


async def test_one_task_at_a_time() -> None:
    _, ours, _ = await opened()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await ours.receive_some()
        nursery.start_soon(partial(ours.send_all, bytes(2 * WINDOW)))
        await trio.testing.wait_all_tasks_blocked()
        for call in (partial(ours.send_all, b"x"), ours.send_eof, ours.wait_send_all_might_not_block):
            with pytest.raises(trio.BusyResourceError):
                await call()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("by_us", [False, True])
async def test_all_ends_with_the_link(by_us: bool) -> None:  # noqa: FBT001
    made, ours, theirs = await opened()
    await theirs.send_all(b"still here")
    made.carry_all()
    error = trio.ClosedResourceError if by_us else trio.BrokenResourceError
    ended = list[str]()

    async def wait(name: str, call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(error):
            await call()
        ended.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "accept", made.ends[0].accept)
        nursery.start_soon(wait, "send", partial(ours.send_all, bytes(2 * WINDOW)))
        await trio.testing.wait_all_tasks_blocked()
        if by_us:
            made.ends[0].close(tell=True)
        else:
            made.ends[0].break_("the peer is gone")
    assert sorted(ended) == ["accept", "send"]
    if not by_us:
        assert await ours.receive_some() == b"still here"
    for call in (made.ends[0].open, ours.receive_some, partial(ours.send_all, b"x")):
        with pytest.raises(error):
            await call()
    await ours.aclose()
