"""Rows F3 to F6 of THREATS.md: RLP that wants to be large, deep, ambiguous or endless (CVE-2026-26313, CVE-2024-32972).

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from devp2p import Capability, Channel, DisconnectReason, Peer, rlp
from devp2p.errors import DecodingError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.testing import scripted_peer
from devp2p.wire import base, compression
from devp2p.wire.framing import MessageReceived
from examples.bulk import PIECE, Bulk, BulkMessage, GetPieces, Pieces, piece
from tests.attacks import plain_rlp
from tests.chat import Chat
from tests.rlp.shapes import trees

UNITS = (b"\xc0", b"\x80", b"\x81\x80")
SIZE = 4 * 2**20  # a quarter of what is possible, since all of it is traced; the ratio is the same


@dataclass(frozen=True)
class Hoard:
    """What a careless author might write: as many items as fit."""

    items: Annotated[rlp.Lazy[bytes], rlp.MaxItems(2**24)]
    max_size: ClassVar[int] = MAX_MESSAGE_SIZE


@dataclass(frozen=True)
class Small:
    number: rlp.U64
    text: str


@dataclass(frozen=True)
class Eager:
    """Not lazy: each item is made at once."""

    items: tuple[Small, ...]


def a_list(content: bytes) -> bytes:
    size = len(content).to_bytes(8).lstrip(b"\0")
    return bytes([0xF7 + len(size)]) + size + content if len(content) > 55 else bytes([0xC0 + len(content)]) + content


def peak(action: Callable[[], object]) -> int:
    """How many bytes something takes at its worst."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# F3: many items


@pytest.mark.parametrize("unit", UNITS, ids=bytes.hex)
def test_f3_four_mebibytes_of_nothing_take_less_than_three_times_as_much(unit):
    bomb = a_list(a_list(unit * (SIZE // len(unit))))
    codec = rlp.codec(Hoard)
    assert peak(lambda: codec.decode(bomb)) < 3 * len(bomb)


@pytest.mark.parametrize("unit", UNITS, ids=bytes.hex)
def test_f3_without_leave_for_so_many_they_are_refused_for_nothing(unit):
    bomb = a_list(unit * (SIZE // len(unit)))

    def refuse() -> None:
        for schema in (rlp.Lazy[bytes], tuple[rlp.Raw, ...], tuple[bytes, ...], Eager):
            with pytest.raises(DecodingError):
                rlp.codec(schema).decode(bomb)
        with pytest.raises(DecodingError, match="more items"):
            rlp.decode(bomb)

    assert peak(refuse) < 1.7 * len(bomb)


def test_f3_control_each_item_an_object_takes_fifty_times_as_much():
    bomb = a_list(b"\xc0" * 2**17)
    assert peak(lambda: plain_rlp.decode(bomb)) > 50 * len(bomb)


def test_f3_what_is_made_at_once_is_bounded_by_number():
    """65,536 items in all, so 21,844 of these: 2.2 MiB, if 35 times the bytes that made them."""
    most = a_list(a_list(b"\xc2\x80\x80" * 21_844))
    assert peak(lambda: rlp.codec(Eager).decode(most)) < 4 * 2**20
    with pytest.raises(DecodingError, match="more items"):
        rlp.codec(Eager).decode(a_list(a_list(b"\xc2\x80\x80" * 21_846)))


class Hoarder(Capability[Hoard]):
    name, version = "hoard", 1
    messages = {0: Hoard}

    def __init__(self) -> None:
        self.take = trio.Event()
        self.taken = 0

    async def run(self, peer: Peer, channel: Channel[Hoard]) -> None:  # noqa: ARG002
        await self.take.wait()
        while True:
            self.taken += len((await channel.receive()).items)


async def test_f3_bombs_wait_as_they_came_and_are_inflated_one_at_a_time():
    hoarder, items = Hoarder(), SIZE
    bomb = a_list(a_list(b"\xc0" * items))
    wire = b"\x10" + bytes(compression.compress(bomb))
    async with scripted_peer([hoarder]) as (_, peer):
        frames = [peer.seal(wire) for _ in range(5)]
        tracemalloc.start()
        try:
            for frame in frames:
                await peer.stream.send_all(frame)
            await wait_all_tasks_blocked()
            assert tracemalloc.get_traced_memory()[1] < 1.5 * 5 * len(wire), "while they wait"
            hoarder.take.set()
            await wait_all_tasks_blocked()
            assert tracemalloc.get_traced_memory()[1] < 3 * len(bomb) + 5 * len(wire), "while each is taken"
        finally:
            tracemalloc.stop()
    assert hoarder.taken == 5 * items


async def test_f3_control_what_is_inflated_as_it_comes_takes_all_at_once(monkeypatch):
    """Inflating and decoding in the reader, into a queue of objects."""
    hoarder, count = Hoarder(), 2**14
    wire = b"\x10" + bytes(compression.compress(a_list(a_list(b"\xc0" * count))))
    queue: list[object] = []

    def offer(_: object, received: MessageReceived) -> bool:
        queue.append(plain_rlp.decode(received.decompress()))
        return True

    monkeypatch.setattr(Channel, "offer", offer)
    async with scripted_peer([hoarder]) as (_, peer):
        frames = [peer.seal(wire) for _ in range(5)]
        tracemalloc.start()
        try:
            for frame in frames:
                await peer.stream.send_all(frame)
            await wait_all_tasks_blocked()
            assert tracemalloc.get_traced_memory()[0] > 500 * 5 * len(wire)
        finally:
            tracemalloc.stop()


# F4: lists, one in the other


def nested(depth: int) -> bytes:
    heads = []
    size = 0
    for _ in range(depth):
        width = (size.bit_length() + 7) // 8
        head = bytes([0xC0 + size]) if size < 56 else bytes([0xF7 + width]) + size.to_bytes(width)
        heads.append(head)
        size += len(head)
    return b"".join(reversed(heads))


def on_a_small_stack(action: Callable[[], None]) -> None:
    """Run something where the C stack has 256 KiB; what it raises is raised here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001  (it is raised again)
            raised.append(error)

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    if raised:
        raise raised[0]


def test_f4_a_million_lists_in_each_other_are_refused_on_a_small_stack():
    bomb = nested(10**6)
    outer: Any = (rlp.Lazy[bytes], rlp.Lazy[rlp.Raw], tuple[rlp.Raw, ...], Hoard, Eager)

    def decode() -> None:
        with pytest.raises(DecodingError, match="deeper than 32"):
            rlp.decode(bomb)
        for schema in outer:
            try:
                list(rlp.codec(schema).decode(bomb))
            except (DecodingError, TypeError):
                continue  # TypeError: that one is no list

    on_a_small_stack(decode)


def test_f4_control_a_decoder_that_calls_itself_fails_at_four_kilobytes():
    bomb = nested(1500)
    assert len(bomb) < 4300
    with pytest.raises(RecursionError):
        plain_rlp.decode(bomb)


async def test_f4_a_node_ends_the_session_of_who_sends_that():
    async with scripted_peer([Chat()]) as (node, peer):
        remote = node.connected[0]
        await peer.send(0x10, nested(200_000))
        await peer.receive_disconnect()
        await peer.stream.send_eof()
        assert (await remote.wait_ended()).reason is DisconnectReason.PROTOCOL_BREACH


# F5: more than one spelling


def spellings(item: bytes) -> list[bytes]:
    """Other ways to write a canonical item, all of which a generous decoder understands alike."""
    head = item[0]
    if head < 0x80:
        return [b"\x81" + item, b"\xb8\x01" + item]
    kind = 0x80 if head < 0xC0 else 0xC0
    short = head - kind
    content = item[1:] if short < 56 else item[1 + short - 55 :]
    least = (len(content).bit_length() + 7) // 8
    widths = range(max(1, least) if short < 56 else least + 1, 9)
    return [bytes([kind + 55 + width]) + len(content).to_bytes(width) + content for width in widths]


@given(trees)
def test_f5_each_item_has_one_spelling(tree):
    item = rlp.encode(tree)
    value = rlp.decode(item)
    assert rlp.encode(value) == item
    for other in spellings(item):
        for data in (other, a_list(other), a_list(b"\x80" + other)):
            with pytest.raises(DecodingError):
                rlp.decode(data)
        for schema in (Annotated[rlp.Lazy[bytes], rlp.MaxItems(2**20)], tuple[rlp.Raw, ...]):
            with pytest.raises(DecodingError):
                rlp.codec(schema).decode(a_list(b"\x80" + other))


def test_f5_control_a_generous_decoder_knows_many():
    for item in (rlp.encode(5), rlp.encode(b"dog"), rlp.encode([b"cat", b"dog"]), rlp.encode(bytes(100))):
        others = spellings(item)
        assert len(others) >= 2
        assert all(plain_rlp.decode(other) == plain_rlp.decode(item) for other in others)


# F6: numbers without end


@given(st.integers(0, 2**2048), st.sampled_from([(rlp.U8, 1), (rlp.U64, 8), (rlp.U256, 32), (int, 32)]))
def test_f6_a_number_has_the_width_of_its_field(number, field):
    kind, width = field
    data = rlp.encode(number)
    if number < 256**width:
        assert rlp.codec(kind).decode(data) == number
    else:
        with pytest.raises(DecodingError, match="more than"):
            rlp.codec(kind).decode(data)


LONG = rlp.encode(b"\xff" * 2**20)


def test_f6_a_number_of_a_mebibyte_is_refused_by_its_head():
    def refuse() -> None:
        with pytest.raises(DecodingError, match="more than 32 bytes"):
            rlp.codec(int).decode(LONG)

    assert peak(refuse) < 64 * 1024


def test_f6_control_a_number_of_any_width_cannot_even_be_logged():
    data = plain_rlp.decode(LONG)
    assert isinstance(data, bytes)
    number = int.from_bytes(data)
    with pytest.raises(ValueError, match="integer string conversion"):
        str(number)


async def asked(capability: Bulk, body: bytes) -> tuple[int | None, int]:
    """Send a request as given: how the session ended, if it did, or else how many bytes the answer has."""
    async with scripted_peer([capability]) as (_, peer):
        await peer.send(0x10, body)
        code, data = await peer.receive()
        return (None, len(data)) if code == 0x11 else (base.decode_disconnect(data, compressed=False), 0)


LAST = 2**64 - 1


EDGES = [(0, 0, 0), (LAST, 0, 0), (LAST, 1, 1), (LAST, 8, 8), (0, 9, None), (0, 255, None)]


@pytest.mark.parametrize(("first", "count", "answered"), EDGES)
async def test_f6_counts_at_the_edges_are_answered_by_so_many_or_refused(first, count, answered):
    end, size = await asked(Bulk(), rlp.encode([1, first, count]))
    assert end == (None if answered is not None else DisconnectReason.PROTOCOL_BREACH)
    if answered is not None:
        assert 0 <= size - answered * PIECE < 100


@pytest.mark.parametrize("count", [256, 2**32, LAST, 2**64, 2**300])
async def test_f6_counts_beyond_the_field_are_a_breach(count):
    assert await asked(Bulk(), rlp.encode([1, 0, count])) == (DisconnectReason.PROTOCOL_BREACH, 0)


class Obliging(Bulk):
    async def run(self, peer: Peer, channel: Channel[BulkMessage]) -> None:  # noqa: ARG002
        async for message in channel:
            if isinstance(message, GetPieces):
                await channel.send(Pieces(message.request_id, bytes(32), tuple(piece(n) for n in range(message.count))))


async def test_f6_control_a_handler_without_a_bound_answers_a_hundred_thousand_times_as_much(monkeypatch):
    monkeypatch.setattr(Pieces, "max_size", MAX_MESSAGE_SIZE, raising=False)
    request = rlp.encode([1, 0, 255])
    end, size = await asked(Obliging(), request)
    assert end is None
    assert size > 100_000 * len(request)
