"""Lists that stay encoded."""

import tracemalloc
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.rlp import items
from devp2p.rlp.steps import budget_of, run
from tests.rlp.shapes import BAD_HEADS, almost_rlp


@dataclass(frozen=True)
class Item:
    number: rlp.U64
    text: str = ""


@dataclass(frozen=True)
class Items:
    request_id: rlp.U64
    items: rlp.Lazy[Item]


@dataclass(frozen=True)
class Hashes:
    hashes: rlp.Lazy[rlp.Bytes32]


@dataclass(frozen=True)
class Blobs:
    blobs: rlp.Lazy[bytes]


@dataclass(frozen=True)
class Few:
    few: Annotated[rlp.Lazy[bytes], rlp.MaxItems(20)]


@dataclass(frozen=True)
class ManyBlobs:
    blobs: Annotated[rlp.Lazy[bytes], rlp.MaxItems(2**24)]


untyped: Any = Items  # for what a type checker would not let through
sizes = st.lists(st.sampled_from([0, 1, 2, 3, 7, 8, 9, 55, 56, 255, 256, 300]), max_size=120)
UNITS = [
    *(b"\x80", b"\x05", b"\xc0", b"\x81\x80", b"\xc1\x05", b"\x82aa", b"\x88" + b"a" * 8, b"\xb7" + b"a" * 55, b"\xf8\xff" + b"a" * 255),
    *(b"\xb9\x01\x00" + b"a" * 256, b"\x80" * 15 + b"\x88" + b"a" * 8, b"\x80" * 15 + b"\xb8\x38" + b"a" * 56, b"\x80" * 17 + b"\x82aa"),
]
"""Items, and some in a row, that are walked over in different ways."""


@given(sizes, st.integers(0, 255))
def test_every_item_is_found_where_it_is(lengths, fill):
    blobs = tuple(bytes([fill]) * length for length in lengths)
    data = rlp.codec(Blobs).encode(Blobs(rlp.Lazy(blobs)))
    assert data == rlp.encode([blobs])
    lazy = rlp.codec(Blobs).decode(data).blobs
    assert len(lazy) == len(blobs)
    assert [lazy[i] for i in range(len(blobs))] == list(blobs) == list(lazy)
    assert [lazy[-i - 1] for i in range(len(blobs))] == list(reversed(blobs)) == list(reversed(lazy))
    assert lazy[1:40:3] == blobs[1:40:3]
    assert list(lazy.encodings()) == [rlp.encode(blob) for blob in blobs]
    for index in (len(blobs), -len(blobs) - 1):
        with pytest.raises(IndexError):
            lazy[index]


@given(st.lists(st.builds(Item, st.integers(0, 2**64 - 1), st.text(max_size=9)), max_size=40))
def test_equal_to_what_it_was_made_from(values):
    codec = rlp.codec(Items)
    sent = Items(7, rlp.Lazy(values))
    received = codec.decode(codec.encode(sent))
    assert received == sent == untyped(7, tuple(values)) == received
    assert received.items == values
    assert hash(received) == hash(sent) == hash(untyped(7, tuple(values)))
    assert codec.encode(received) == codec.encode(sent) == codec.encode(untyped(7, tuple(values)))
    assert received.items != [*values, Item(1)]
    assert received.items != "text"


def test_bytes_are_written_back_unchanged():
    """Of a class that ignores further elements, a decoded item would lose them; the list as received does not."""
    data = rlp.encode([7, [[1, "a", "more"], [2, "b"]]])
    received = rlp.codec(Items).decode(data)
    assert received.items[0] == Item(1, "a")
    assert rlp.codec(Items).encode(received) == data
    assert received == rlp.codec(Items).decode(rlp.encode([7, [[1, "a"], [2, "b"]]]))


@pytest.mark.parametrize(
    ("values", "told"),
    [(["5"], "Lazy of str"), ([b"h" * 32, 5, "5"], "Lazy of bytes, int, str"), ([None], "Lazy of NoneType")],
)
def test_what_is_in_a_list_that_cannot_be_written_is_said(values, told):
    hashes: Any = rlp.Lazy(values)
    with pytest.raises(LocalProtocolError, match=rf"Hashes\.hashes cannot hold {told}$"):
        rlp.codec(Hashes).encode(Hashes(hashes))


def test_items_of_another_kind_are_encoded_anew():
    hashes = rlp.codec(Hashes).decode(rlp.encode([[b"h" * 32]]))
    assert rlp.codec(Blobs).encode(Blobs(hashes.hashes)) == rlp.encode([[b"h" * 32]])
    with pytest.raises(LocalProtocolError, match=r"Items\.items"):
        rlp.codec(Items).encode(untyped(1, hashes.hashes))


def test_an_item_is_judged_when_it_is_asked_for():
    lazy = rlp.codec(Items).decode(rlp.encode([7, [[1, "a"], [2, b"\xff"], "no list"]])).items
    assert len(lazy) == 3
    assert lazy[0] == Item(1, "a")
    with pytest.raises(DecodingError, match=r"item 1: Item\.text: text that is not UTF-8"):
        lazy[1]
    with pytest.raises(DecodingError, match="item 2: a byte string where a list belongs"):
        lazy[2]
    with pytest.raises(DecodingError, match="item 1"):
        list(lazy)


@pytest.mark.parametrize("bad", BAD_HEADS.values(), ids=BAD_HEADS)
@pytest.mark.parametrize("before", [0, 1, 15, 16, 40])
def test_heads_are_checked_at_once(bad, before):
    with pytest.raises(DecodingError, match=r"Blobs\.blobs"):
        rlp.codec(Blobs).decode(as_list(as_list(b"\xc0" * before + bad)))


def as_list(content):
    """A list of items that may not be any."""
    size = len(content)
    return (bytes([0xC0 + size]) if size < 56 else b"\xf8" + bytes([size])) + content


def test_hashes_of_wrong_size_do_not_fool_the_count():
    data = rlp.encode([[b"h" * 32, b"i" * 31, b"j" * 33]])
    lazy = rlp.codec(Hashes).decode(data).hashes
    assert len(lazy) == 3
    assert lazy[0] == b"h" * 32
    with pytest.raises(DecodingError, match="item 2: 33 bytes where 32 belong"):
        lazy[2]


@pytest.mark.parametrize("blob", [b"", b"abc", b"a" * 40])
def test_at_most_so_many(blob):
    few = rlp.codec(Few)
    assert len(few.decode(rlp.encode([[blob] * 20])).few) == 20
    with pytest.raises(DecodingError, match=r"Few\.few: a list of more than 20 items"):
        few.decode(rlp.encode([[blob] * 21]))
    with pytest.raises(LocalProtocolError, match=r"Few\.few"):
        few.encode(Few(rlp.Lazy([blob] * 21)))
    with pytest.raises(LocalProtocolError, match=r"Few\.few"):
        few.encode(Few(rlp.codec(Blobs).decode(rlp.encode([[blob] * 21])).blobs))


def test_a_short_head_of_a_hash_list_counts_exactly():
    few = rlp.codec(Annotated[rlp.Lazy[rlp.Bytes32], rlp.MaxItems(2)])
    assert len(few.decode(rlp.encode([b"h" * 32] * 2))) == 2
    with pytest.raises(DecodingError, match="more than 2"):
        few.decode(rlp.encode([b"h" * 32] * 3))


@pytest.mark.parametrize("item", [b"", b"four", b"h" * 32])
def test_at_most_65_536_unless_told_otherwise(item):
    schema: Any
    for schema in (rlp.Lazy[bytes], rlp.Lazy[rlp.Raw], rlp.Lazy[rlp.Bytes32]):
        codec = rlp.codec(schema)
        assert len(codec.decode(rlp.encode([item] * 65_536))) == 65_536
        with pytest.raises(DecodingError, match="a list of more than 65536 items"):
            codec.decode(rlp.encode([item] * 65_537))
    with pytest.raises(LocalProtocolError, match=r"Blobs\.blobs: 65537 items where at most 65536 are allowed"):
        rlp.codec(Blobs).encode(Blobs(rlp.Lazy([item] * 65_537)))
    many = rlp.codec(ManyBlobs).decode(rlp.encode([[item] * 65_537]))
    assert len(many.blobs) == 65_537
    with pytest.raises(LocalProtocolError, match=r"Blobs\.blobs"):
        rlp.codec(Blobs).encode(Blobs(many.blobs))


@pytest.mark.parametrize("unit", UNITS)
def test_the_walk_ends_soon_after_the_bound(unit):
    """A bad head a few items further is not reached, and a long list costs no more notes than a short one."""
    many = unit * 1000
    data = many[: starts_of(many)[120]] + b"\x81\x05" + many
    with pytest.raises(DecodingError, match="more than 100 items"):
        walk(data, 100)
    long = many * 100
    tracemalloc.start()
    try:
        with pytest.raises(DecodingError, match="more than 100 items"):
            walk(long, 100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000


pieces = st.sampled_from([*UNITS, *BAD_HEADS.values(), *(rlp.encode(b"a" * size) for size in (6, 54, 55, 56, 57, 255, 256))]) | almost_rlp
runs = st.tuples(pieces, st.integers(1, 50)).map(lambda run: run[0] * run[1])


@given(st.lists(runs, max_size=6).map(b"".join))
@example(b"\x80" * 7)
@example(b"\x81\x80" * 16 + b"\xf8\xff" + b"a" * 255)
def test_the_quick_walk_agrees_with_the_slow_one(data):
    try:
        starts = starts_of(data)
    except DecodingError:
        with pytest.raises(DecodingError):
            walk(data, len(data))
        return
    count, noted = walk(data, len(starts))
    assert (count, list(noted)) == (len(starts), starts[:: items.STRIDE])
    if starts:
        with pytest.raises(DecodingError, match=f"more than {len(starts) - 1} items"):
            walk(data, len(starts) - 1)


def walk(data, most):
    return run(items.index_items(data, most, budget_of(0)))


def starts_of(data):
    """Where the items begin, one step an item."""
    starts, at = [], 0
    while at < len(data):
        starts.append(at)
        at = items.item_end(data, at, len(data))
    return starts


@pytest.mark.parametrize("unit", [b"\xc0", b"\x80", b"\x05", b"\x81\x80", b"\xc0\x80", b"\xc0\x81\x80\x82aa", b"\x84aaaa"])
def test_a_list_bomb_stays_about_as_small_as_it_was(unit):
    count = 2**20 // len(unit)
    content = unit * count
    data = (
        rlp.encode([]).replace(b"\xc0", b"\xfa" + (len(content) + 4).to_bytes(3, "big") + b"\xfa" + len(content).to_bytes(3, "big"))
        + content
    )
    codec = rlp.codec(ManyBlobs)
    tracemalloc.start()
    try:
        lazy = codec.decode(data).blobs
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(lazy) == sum(1 for _ in lazy.encodings())
    assert peak < 1.5 * len(data)


def test_it_does_not_hold_on_to_the_message():
    message = bytearray(rlp.encode([[b"blob"]]))
    lazy = rlp.codec(Blobs).decode(memoryview(message)).blobs
    message[:] = bytes(len(message))
    message.clear()  # fails while a view exists
    assert list(lazy) == [b"blob"]


def test_made_from_values():
    lazy = rlp.Lazy([3, 1, 2])
    assert (len(lazy), lazy[0], lazy[1:], list(lazy), repr(lazy)) == (3, 3, (1, 2), [3, 1, 2], "Lazy((3, 1, 2))")
    with pytest.raises(LocalProtocolError, match="made here"):
        lazy.encodings()
    received = rlp.codec(rlp.Lazy[int]).decode(rlp.encode([3, 1, 2]))
    assert repr(received) == "<Lazy: 3 items in 3 bytes>"
    assert received == lazy
    assert not rlp.Lazy()


def test_made_of_encodings():
    lazy = rlp.Lazy.encoded([rlp.encode([7, "seven"]), rlp.encode([8, ""])])
    codec = rlp.codec(Items)
    assert codec.encode(Items(1, lazy)) == codec.encode(Items(1, rlp.Lazy([Item(7, "seven"), Item(8)])))
    assert (len(lazy), repr(lazy)) == (2, "<Lazy: 2 items in 11 bytes>")
    assert [*lazy.encodings()] == [rlp.encode([7, "seven"]), rlp.encode([8, ""])]
    for take in (lambda: lazy[1], lambda: lazy[:1], lambda: [*lazy], lambda: lazy == (1, 2)):
        with pytest.raises(LocalProtocolError, match="given encoded"):
            take()
    nothing = rlp.Lazy.encoded([])
    assert (len(nothing), nothing[:], [*nothing]) == (0, (), [])
    assert rlp.codec(rlp.Lazy[rlp.Lazy[int]]).encode(rlp.Lazy.encoded([rlp.encode([3, 4])])) == rlp.encode([[3, 4]])


def test_encodings_are_counted_as_values_are():
    few = rlp.codec(Annotated[rlp.Lazy[int], rlp.MaxItems(3)])
    assert few.encode(rlp.Lazy.encoded([b"\1"] * 3)) == rlp.encode([1, 1, 1])
    with pytest.raises(LocalProtocolError):
        few.encode(rlp.Lazy.encoded([b"\1"] * 4))
