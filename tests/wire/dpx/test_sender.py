"""Messages are cut as late as possible: nothing lost, doubled or overtaken by its own lane, and nothing beyond the peer's credit."""

import random
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.wire import compression
from devp2p.wire.dpx.credit import LEAST_CHUNK
from devp2p.wire.dpx.schedule import LEAST_WINDOW, Turns
from devp2p.wire.dpx.sender import Frame, Sender
from devp2p.wire.schedule import Lane, Outgoing

FRAME = 4096


class Waiting:
    """A source."""

    def __init__(self, count: int) -> None:
        self.lanes = {(index, lane): deque[Outgoing]() for index in range(count) for lane in Lane}
        self.cuts = dict.fromkeys(self.lanes, 0)

    def add(self, index: int, data: bytes, lane: Lane = Lane.NORMAL, code: int = 0) -> None:
        self.lanes[index, lane].append(Outgoing(code, data, index))

    def waiting_in(self, lane: Lane) -> list[int]:
        return [index for (index, its), found in self.lanes.items() if its is lane and found]

    def first(self, index: int, lane: Lane) -> Outgoing | None:
        return self.lanes[index, lane][0] if self.lanes[index, lane] else None

    def cut(self, index: int, lane: Lane, size: int) -> None:
        self.cuts[index, lane] += size

    def take(self, index: int, lane: Lane) -> None:
        taken = self.lanes[index, lane].popleft()
        assert self.cuts[index, lane] <= len(taken.data)
        self.cuts[index, lane] = 0


class Ledger:
    """Credit of a peer that takes so much of each, and `most` messages of each in chunks at a time."""

    def __init__(self, credit: float = float("inf"), most: int = 4) -> None:
        self.credit, self.most = credit, most
        self.opened: dict[int, set[int]] = {}
        self._next = 0

    def room(self, capability: int) -> int:
        assert capability > 0
        return int(min(self.credit, 2**40))

    def spend(self, capability: int, size: int, context: int = 0) -> None:
        assert not context or context in self.opened[capability]
        assert 0 < size <= self.room(capability)
        self.credit -= size

    def fits(self, total: int) -> bool:
        return total < 10**7

    def may_open(self, capability: int, total: int) -> bool:
        assert total > FRAME
        return len(self.opened.get(capability, ())) < self.most

    def open(self, capability: int, total: int) -> int:
        assert self.may_open(capability, total)
        self._next += 1
        self.opened.setdefault(capability, set()).add(self._next)
        return self._next


class Joined:
    """What a receiver puts together."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.messages: dict[int, list[tuple[int, bytes]]] = {}
        self._ledger = ledger
        self._parts: dict[tuple[int, int], tuple[int, bytearray]] = {}

    def take(self, frame: Frame) -> None:
        data = frame.head + bytes(frame.body)
        assert len(data) <= FRAME
        if frame.context:
            total, parts = self._parts.pop((frame.capability, frame.context), (frame.total, bytearray()))
            assert bool(frame.total) == (not parts), "the first chunk, and no other, says how long the message is"
            parts += data
            assert len(data) >= LEAST_CHUNK or len(parts) == total
            assert (len(parts) == total) == bool(frame.message_size)
            if len(parts) < total:
                self._parts[frame.capability, frame.context] = total, parts
                return
            data = bytes(parts)
            if self._ledger:
                self._ledger.opened[frame.capability + 1].discard(frame.context)
        code, start = rlp.split_uint(data)
        self.messages.setdefault(frame.capability, []).append((code, data[start:]))


def sender_of(source: Waiting, ledger: Ledger, *weights: int, compressed: bool = False) -> Sender:
    return Sender(source, Turns(weights), ledger, max_frame=FRAME, compressed=compressed)


def drain(sender: Sender, room: int = 10**9) -> Iterator[Frame]:
    while True:
        frames = list(sender.frames(room))
        yield from frames
        if not frames:
            if not sender.is_preparing:
                return
            sender.prepare()


sizes = st.sampled_from([0, 1, 500, FRAME - 2, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 40_000])
additions = st.tuples(st.integers(0, 2), st.sampled_from(Lane), sizes)


@settings(max_examples=60)
@given(st.lists(additions | st.integers(1, 30_000)), st.booleans(), st.randoms(use_true_random=False))
def test_everything_arrives_once_byte_by_byte_and_in_order(steps, compressed, maker):
    """In any mix of adding (a tuple), and of giving credit and sending (a number)."""
    source, ledger = Waiting(3), Ledger(0)
    sender, joined, number = sender_of(source, ledger, 1, 2, 3, compressed=compressed), Joined(ledger), 0
    added: dict[tuple[int, Lane], list[tuple[int, bytes]]] = {}
    lanes: dict[int, tuple[int, Lane]] = {}
    for step in [*steps, 10**9]:
        if isinstance(step, int):
            ledger.credit += step
            sender.more_credit(None)
            for frame in drain(sender, maker.randint(1, 50_000)):
                joined.take(frame)
                if not frame.context and maker.random() < 0.5:
                    sender.more_credit(frame.capability)
            if step == 10**9:  # contexts that have ended may be used again
                for _ in range(len(lanes)):
                    sender.more_credit(None)
                    for frame in drain(sender):
                        joined.take(frame)
        else:
            index, lane, size = step
            data = maker.randbytes(size)
            source.add(index, data, lane, number)
            added.setdefault((index, lane), []).append((number, data))
            lanes[number] = index, lane
            number += 1
    found = {
        index: [(code, compression.decompress(data, 10**6) if compressed else data) for code, data in got]
        for index, got in joined.messages.items()
    }
    for key, messages in added.items():
        assert [one for one in found.get(key[0], []) if lanes[one[0]] == key] == messages
    assert sum(map(len, found.values())) == number
    assert not sender.has_begun


def test_urgent_messages_and_other_capabilities_go_between_the_chunks_of_a_large_one():
    source, ledger = Waiting(2), Ledger()
    sender = sender_of(source, ledger, 1, 1)
    sender.turns.window = LEAST_WINDOW
    source.add(0, bytes(100_000), code=1)
    source.add(0, b"behind", code=2)
    first = next(sender.frames(10**6))
    assert first.total == 100_001
    source.add(0, b"urgent", Lane.URGENT, 3)
    source.add(1, b"other", Lane.NORMAL, 4)
    frames = list(drain(sender))
    whole = [frame.head[0] for frame in frames if not frame.context]
    assert whole == [3, 4, 2]
    assert not frames[0].context, "urgent goes next"
    assert [bool(frame.context) for frame in frames].index(True) < len(frames) - 2
    assert frames[-1].head[0] == 2, "what stands behind it in its lane waits for the last chunk"
    assert sum(len(frame.head) + len(frame.body) for frame in [first, *frames] if frame.context) == 100_001


def test_without_credit_nothing_is_sent_and_others_go_on():
    source = Waiting(2)

    class Selective(Ledger):
        def room(self, capability: int) -> int:
            return 0 if capability == 1 else 10**6

    sender = sender_of(source, Selective(), 1, 1)
    for _ in range(3):
        source.add(0, bytes(100))
        source.add(1, bytes(100))
    assert [frame.capability for frame in drain(sender)] == [1, 1, 1]


def test_a_message_waits_for_a_context_and_its_lane_with_it():
    source, ledger = Waiting(1), Ledger(most=1)
    sender, joined = sender_of(source, ledger, 1), Joined()
    for code in (1, 2):
        source.add(0, bytes(10_000), code=code)
    source.add(0, b"", code=3)
    for frame in drain(sender):
        joined.take(frame)
    assert [code for code, _ in joined.messages[0]] == [1]
    ledger.opened[1].clear()
    sender.more_credit(0)
    for frame in drain(sender):
        joined.take(frame)
    assert [code for code, _ in joined.messages[0]] == [1, 2, 3]


def test_a_message_that_the_peer_refuses_is_sent_no_further():
    source, ledger = Waiting(1), Ledger()
    sender = sender_of(source, ledger, 1)
    source.add(0, bytes(50_000), code=1)
    source.add(0, b"", code=2)
    first = next(sender.frames(10**6))
    assert sender.has_begun
    assert not sender.give_up(0, first.context + 1)
    assert sender.give_up(0, first.context)
    assert not sender.has_begun
    assert [frame.head[0] for frame in drain(sender)] == [2]
    assert not sender.give_up(0, first.context), "nothing of it is left"


def test_what_has_begun_can_be_finished_without_beginning_more():
    source, ledger = Waiting(1), Ledger()
    sender, joined = sender_of(source, ledger, 1), Joined()
    source.add(0, bytes(50_000), code=1)
    source.add(0, b"", Lane.URGENT, code=2)
    source.add(0, b"", code=3)
    source.add(0, bytes(50_000), Lane.BULK, code=4)
    for _, frame in zip(range(3), sender.frames(10**6), strict=False):
        joined.take(frame)
    sender.only_begun = True
    for frame in drain(sender):
        joined.take(frame)
    assert [code for code, _ in joined.messages[0]] == [2, 1]
    assert not sender.has_begun
    sender.only_begun = False
    for frame in drain(sender):
        joined.take(frame)
    assert [code for code, _ in joined.messages[0]] == [2, 1, 3, 4]


def test_a_large_message_is_compressed_in_steps_while_others_are_sent():
    source, ledger = Waiting(2), Ledger()
    sender, joined = sender_of(source, ledger, 1, 1, compressed=True), Joined(ledger)
    data = random.Random(1).randbytes(500_000) + bytes(500_000)
    source.add(0, data)
    source.add(1, b"small")
    assert [frame.capability for frame in sender.frames(10**7)] == [1]
    steps = 0
    while sender.is_preparing:
        assert not list(sender.frames(10**7))
        sender.prepare()
        steps += 1
    assert steps > 10
    for frame in drain(sender):
        joined.take(frame)
    ((_, found),) = joined.messages[0]
    assert compression.decompress(found, len(data)) == data
    assert len(found) < 600_000


@pytest.mark.parametrize("window", [LEAST_WINDOW, 100_000])
def test_busy_capabilities_share_by_weight_whatever_their_messages_weigh(window: int):
    source, ledger = Waiting(3), Ledger(most=2)
    sender = sender_of(source, ledger, 1, 1, 2)
    sender.turns.window = window
    joined, sent, sizes = Joined(ledger), [0, 0, 0], (200_000, 3000, 50)
    while sum(sent) < 2_000_000:
        for index, size in enumerate(sizes):
            while len(source.lanes[index, Lane.NORMAL]) < 3 + 20_000 // size:
                source.add(index, bytes(size))
        for frame in sender.frames(10_000):
            joined.take(frame)
            sent[frame.capability] += 64 + len(frame.body)
        sender.more_credit(0)
    for index, weight in enumerate((1, 1, 2)):
        assert abs(sent[index] / sum(sent) - weight / 4) < 0.02, sent
