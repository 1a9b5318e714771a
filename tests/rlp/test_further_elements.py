"""Elements behind the fields of a list: ignored, as EIP-8 asks, but only a few, and refused where the class is strict."""

import tracemalloc
from dataclasses import dataclass
from typing import ClassVar

import pytest

from devp2p import rlp
from devp2p.errors import DecodingError


@dataclass(frozen=True)
class Point:
    x: rlp.U64
    y: rlp.U64


@dataclass(frozen=True)
class StrictPoint(Point):
    rlp_strict: ClassVar[bool] = True


@dataclass(frozen=True)
class Points:
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Keeping:
    rest: rlp.Rest


@dataclass(frozen=True)
class KeepingMore(Keeping):
    rlp_max_items: ClassVar[int] = 65_537


@dataclass(frozen=True)
class Nested:
    rlp_nested: ClassVar[bool] = True
    number: rlp.U64
    late: rlp.U64
    later: rlp.U64 | None = None


@dataclass(frozen=True)
class NestedNothing:
    rlp_nested: ClassVar[bool] = True
    number: rlp.U64


@dataclass(frozen=True)
class Empty:
    pass


@dataclass(frozen=True)
class StrictEmpty:
    rlp_strict: ClassVar[bool] = True


def test_ignored_or_refused():
    encoding = rlp.encode([1, 2, [3], b"four"])
    assert rlp.codec(Point).decode(encoding) == Point(1, 2)
    with pytest.raises(DecodingError, match=r"more elements than StrictPoint\.y"):
        rlp.codec(StrictPoint).decode(encoding)
    with pytest.raises(DecodingError, match="more elements than StrictEmpty"):
        rlp.codec(StrictEmpty).decode(encoding)


def test_their_heads_are_checked():
    with pytest.raises(DecodingError, match=r"elements behind Point\.y: the byte 0x05 with a head"):
        rlp.codec(Point).decode(b"\xc4\x01\x02\x81\x05")


more = [b"four"] * 64


@pytest.mark.parametrize(
    ("value", "item", "label"),
    [
        (Point(1, 2), [1, 2, *more], "Point.y"),
        (Empty(), more, "Empty"),
        (Nested(1, 2, 3), [1, [2, 3, *more]], "Nested.later"),
        (Nested(1, 2), [1, [2], *more], "Nested[1]"),
        (NestedNothing(1), [1, more], "NestedNothing[1]"),
    ],
)
def test_only_a_few_are_ignored(value, item, label):
    codec = rlp.codec(type(value))
    assert codec.decode(rlp.encode(item)) == value
    longest = item[-1] if isinstance(item[-1], list) else item
    with pytest.raises(DecodingError) as caught:
        codec.decode(rlp.encode([*item[:-1], [*longest, 5]] if longest is item[-1] else [*item, 5]))
    assert f"elements behind {label}: more than 64" in str(caught.value)


def test_they_are_not_copied():
    encoding = rlp.encode([1, 2, *[b"a" * 10_000] * 64])
    codec = rlp.codec(Point)
    codec.decode(encoding)
    tracemalloc.start()
    try:
        codec.decode(encoding)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000


def test_a_few_in_each_of_many_lists_are_many():
    encoding = rlp.encode([[[1, 2, *more]] * 1000])
    with pytest.raises(DecodingError, match=r"Points\.points: item \d+: elements behind Point\.y: more items"):
        rlp.codec(Points).decode(encoding)


def test_those_that_are_kept_are_objects_like_others():
    for cls, most in ((Keeping, 65_536), (KeepingMore, 65_537)):
        assert len(rlp.codec(cls).decode(rlp.encode([b""] * most)).rest) == most
        with pytest.raises(DecodingError, match=r"\.rest: more items"):
            rlp.codec(cls).decode(rlp.encode([b""] * (most + 1)))
