"""Dataclasses as schemas."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, Any, ClassVar, NewType, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError

Height = NewType("Height", int)


@dataclass(frozen=True)
class Point:
    x: rlp.U64
    y: rlp.U64


@dataclass(frozen=True)
class Flat:
    number: rlp.U16
    hash: rlp.Bytes32
    name: str


@dataclass(frozen=True)
class Full:
    rlp_strict: ClassVar[bool] = True
    big: int
    odd: Annotated[int, rlp.Bits(12)]
    height: Height
    blob: bytes
    short: Annotated[bytes, rlp.MaxLength(3)]
    byte: Annotated[bytes, rlp.Length(1)]
    key: rlp.Bytes64
    label: Annotated[str, rlp.MaxLength(8)]
    flag: bool
    pair: tuple[rlp.U8, str]
    unit: tuple[()]
    points: Annotated[tuple[Point, ...], rlp.MaxItems(5)]
    hashes: tuple[rlp.Bytes32, ...]
    keys: Annotated[tuple[rlp.Bytes64, ...], rlp.MaxItems(3)]
    raw: rlp.Raw
    lazy: rlp.Lazy[tuple[int, ...]]
    late: Optional[rlp.U64] = None  # noqa: UP045 -- both spellings are in use
    later: "Point | None" = None
    rest: rlp.Rest = ()


untyped: Any = Flat  # for what a type checker would not let through
u64 = st.integers(0, 2**64 - 1)
points = st.builds(Point, u64, u64)
ENCODABLE: list[rlp.Encodable] = [0, 5, b"abc", [], [1, [b"d" * 60]]]
encodings = st.sampled_from([rlp.encode(item) for item in ENCODABLE])
fulls = st.builds(
    Full,
    big=st.integers(0, 2**256 - 1),
    odd=st.integers(0, 4095),
    height=st.integers(0, 300),
    blob=st.binary(max_size=70),
    short=st.binary(max_size=3),
    byte=st.binary(min_size=1, max_size=1),
    key=st.binary(min_size=64, max_size=64),
    label=st.text(max_size=2),
    flag=st.booleans(),
    pair=st.tuples(st.integers(0, 255), st.text(max_size=5)),
    unit=st.just(()),
    points=st.lists(points, max_size=5).map(tuple),
    hashes=st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple),
    keys=st.lists(st.binary(min_size=64, max_size=64), max_size=3).map(tuple),
    raw=encodings,
    lazy=st.lists(st.lists(st.integers(0, 1000), max_size=3).map(tuple), max_size=4).map(rlp.Lazy),
    late=u64,
    later=points,
    rest=st.lists(encodings, max_size=3).map(tuple),
)


@given(fulls)
def test_a_value_of_every_kind_comes_back(value):
    codec = rlp.codec(Full)
    encoding = codec.encode(value)
    assert codec.decode(encoding) == codec.decode(memoryview(encoding)) == codec.decode(bytearray(encoding)) == value
    assert codec.decode(b"\x07" + encoding, 1) == value
    assert codec.encode(codec.decode(encoding)) == encoding
    assert rlp.encode(rlp.decode(encoding)) == encoding


def test_the_list_is_that_of_the_fields():
    assert rlp.codec(Flat).encode(Flat(5, b"h" * 32, "dog")) == rlp.encode([5, b"h" * 32, "dog"])
    assert rlp.codec(Flat) is rlp.codec(Flat)
    assert repr(rlp.codec(Flat)) == "codec(Flat)"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ([5, b"h" * 32], r"Flat\.name: missing"),
        ([2**16, b"h" * 32, "dog"], r"Flat\.number: an integer of more than 2 bytes"),
        ([b"\x00", b"h" * 32, "dog"], r"Flat\.number: an integer with leading zeros"),
        ([b"\x00\x05", b"h" * 32, "dog"], r"Flat\.number: an integer with leading zeros"),
        ([[], b"h" * 32, "dog"], r"Flat\.number: a list where a byte string belongs"),
        ([5, b"h" * 31, "dog"], r"Flat\.hash: 31 bytes where 32 belong"),
        ([5, b"h" * 33, "dog"], r"Flat\.hash: 33 bytes where 32 belong"),
        ([5, [], "dog"], r"Flat\.hash: a list where a byte string belongs"),
        ([5, b"h" * 32, b"\xff"], r"Flat\.name: text that is not UTF-8"),
        (b"", "a byte string where a list belongs"),
    ],
)
def test_errors_name_the_field(item, message):
    with pytest.raises(DecodingError, match=message):
        rlp.codec(Flat).decode(rlp.encode(item))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (untyped("5", b"h" * 32, "dog"), r"Flat\.number cannot hold str"),
        (untyped(5.0, b"h" * 32, "dog"), r"Flat\.number cannot hold float"),
        (untyped(None, b"h" * 32, "dog"), r"Flat\.number cannot hold None"),
        (untyped(-1, b"h" * 32, "dog"), r"Flat\.number: -1 is not an integer of 16 bits"),
        (untyped(2**16, b"h" * 32, "dog"), r"Flat\.number: 65536 is not an integer of 16 bits"),
        (untyped(5, b"h" * 31, "dog"), r"Flat\.hash: 31 bytes where 32 belong"),
        (untyped(5, "h" * 32, "dog"), r"Flat\.hash cannot hold str"),
        (untyped(5, 32, "dog"), r"Flat\.hash cannot hold int"),
        (untyped(5, b"h" * 32, b"dog"), r"Flat\.name cannot hold bytes"),
        (untyped(5, b"h" * 32, "\ud800"), r"Flat\.name cannot hold str"),
        (Point(1, 2), "Point where Flat belongs"),
        (None, "NoneType where Flat belongs"),
    ],
)
def test_values_that_do_not_fit_are_our_fault(value, message):
    with pytest.raises(LocalProtocolError, match=message):
        rlp.codec(Flat).encode(value)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (int, [2**256 - 1, 0], [2**256, -1, "1", b"", 1.0]),
        (rlp.U8, [255], [256]),
        (Annotated[int, rlp.Bits(1)], [0, 1], [2]),
        (Annotated[int, rlp.Bits(12)], [4095], [4096, 65535]),
        (bool, [True, False], [1, 0, None, b"\x01"]),
        (bytes, [b"", b"\x00", b"a" * 300], ["", 3, None, [1]]),
        (Annotated[bytes, rlp.Length(0)], [b""], [b"a"]),
        (Annotated[bytes, rlp.Length(1)], [b"\x05", b"\x85"], [b"", b"ab"]),
        (Annotated[bytes, rlp.MaxLength(0)], [b""], [b"a"]),
        (Annotated[str, rlp.MaxLength(2)], ["ab", "é"], ["abc", "éa", b"ab"]),
        (rlp.Bytes256, [b"a" * 256], [b"a" * 255, b"a" * 257]),
        (tuple[int, str], [(1, "a")], [(1,), (1, "a", 2), ("a", 1), "1a", b"1a", 5]),
        (tuple[int, ...], [(), (1, 2)], [("a",), b"ab", 5, (1, None)]),
        (Annotated[tuple[int, ...], rlp.MaxItems(2)], [(1, 2)], [(1, 2, 3)]),
        (Annotated[tuple[rlp.Bytes32, ...], rlp.MaxItems(1)], [(b"h" * 32,)], [(b"h" * 32,) * 2, (b"h",)]),
        (rlp.Raw, [b"\x05", b"\xc0", b"\x82ab"], [b"", b"\xc1", b"\x81\x05", b"\x05\x05", "a", [b"\x05"]]),
        (rlp.Lazy[int], [rlp.Lazy([1, 2])], [b"ab", ["a"], 5]),
    ],
)
def test_each_kind_by_itself(schema, good, bad):
    codec = rlp.codec(schema)
    for value in good:
        assert codec.decode(codec.encode(value)) == value
        assert type(codec.decode(codec.encode(value))) is type(value)
    for value in bad:
        with pytest.raises(LocalProtocolError):
            codec.encode(value)
        try:
            encoding = rlp.encode(value)
        except LocalProtocolError:
            continue
        try:
            decoded = codec.decode(encoding)
        except DecodingError:
            continue
        assert codec.encode(decoded) == encoding  # a good value of this kind looks the same


@pytest.mark.parametrize(
    ("schema", "encoding"),
    [
        (rlp.U8, "820100"),
        (Annotated[int, rlp.Bits(12)], "821000"),
        (Annotated[int, rlp.Bits(1)], "02"),
        (rlp.U64, "8100"),
        (rlp.U64, "817f"),
        (rlp.U64, "b838" + "61" * 56),
        (rlp.U64, "82ff"),
        (bool, "02"),
        (bool, "00"),
        (bool, "8101"),
        (bool, "c0"),
        (rlp.Bytes4, "8461626364" + "80"),
        (rlp.Bytes4, "84616263"),
        (rlp.Bytes64, "b840" + "61" * 63),
        (rlp.Bytes64, "b9"),
        (Annotated[bytes, rlp.Length(1)], "8105"),
        (Annotated[bytes, rlp.MaxLength(2)], "83616263"),
        (tuple[int, int], "c101"),
        (tuple[int, int], "c3010203"),
        (tuple[rlp.Bytes4, ...], "c584616263" + "64" + "80"),
        (tuple[rlp.Bytes4, ...], "c383616263"),
        (Annotated[tuple[rlp.Bytes4, ...], rlp.MaxItems(1)], "ca84616263648461626364"),
        (Annotated[tuple[int, ...], rlp.MaxItems(1)], "c20102"),
        (rlp.Raw, "c28105" + "00"),
        (rlp.Raw, ""),
        (rlp.Raw, "8105"),
    ],
)
def test_bytes_that_do_not_fit(schema, encoding):
    with pytest.raises(DecodingError):
        rlp.codec(schema).decode(bytes.fromhex(encoding))


def test_bytes_like_values_and_whole_numbers_of_other_types():
    class Reason(IntEnum):
        GONE = 7

    value = untyped(Reason.GONE, memoryview(bytearray(b"h" * 32)), "dog")
    assert rlp.codec(Flat).decode(rlp.codec(Flat).encode(value)) == Flat(7, b"h" * 32, "dog")


@dataclass(frozen=True)
class Tail:
    a: int
    b: int | None = None
    c: int | None = None


@dataclass(frozen=True)
class TailAndRest(Tail):
    rest: rlp.Rest = ()


@pytest.mark.parametrize(("value", "item"), [(Tail(1), [1]), (Tail(1, 2), [1, 2]), (Tail(1, 2, 0), [1, 2, 0])])
def test_optional_elements_are_absent_from_the_end(value, item):
    assert rlp.codec(Tail).encode(value) == rlp.encode(item)
    assert rlp.codec(Tail).decode(rlp.encode(item)) == value


def test_no_hole_before_a_present_element():
    with pytest.raises(LocalProtocolError, match=r"Tail\.b cannot hold None"):
        rlp.codec(Tail).encode(Tail(1, None, 3))
    with pytest.raises(LocalProtocolError, match=r"TailAndRest\.c cannot hold None"):
        rlp.codec(TailAndRest).encode(TailAndRest(1, 2, None, (b"\x05",)))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=7))
def test_the_rest_loses_nothing(numbers):
    encoding = rlp.encode([*numbers[:3], *[[number] for number in numbers[3:]]])
    value = rlp.codec(TailAndRest).decode(encoding)
    assert value.rest == tuple(rlp.encode([number]) for number in numbers[3:])
    assert rlp.codec(TailAndRest).encode(value) == encoding


@pytest.mark.parametrize("rest", [(b"",), (b"\xc1",), (5,), b"\x05", "ab", None, 5])
def test_a_rest_of_other_things(rest):
    with pytest.raises(LocalProtocolError, match=r"TailAndRest\.rest"):
        rlp.codec(TailAndRest).encode(TailAndRest(1, 2, 3, rest))


@dataclass(frozen=True)
class Request:
    request_id: rlp.U64 = field(kw_only=True, default=-1)


@dataclass(frozen=True)
class GetHeaders(Request):
    rlp_nested: ClassVar[bool] = True
    start: rlp.U64
    reverse: bool
    step: int | None = None


@dataclass(frozen=True)
class StrictGetHeaders(GetHeaders):
    rlp_strict: ClassVar[bool] = True


def test_all_but_the_first_in_a_list_of_their_own():
    codec = rlp.codec(GetHeaders)
    cases: list[tuple[GetHeaders, rlp.Encodable]] = [
        (GetHeaders(5, reverse=True, request_id=9), [9, [5, True]]),
        (GetHeaders(5, reverse=True, step=7, request_id=9), [9, [5, True, 7]]),
    ]
    for value, item in cases:
        assert codec.encode(value) == rlp.encode(item)
        assert codec.decode(rlp.encode(item)) == value
    assert codec.decode(rlp.encode([9, [5, True, 7, 8], 6])) == GetHeaders(5, reverse=True, step=7, request_id=9)
    with pytest.raises(DecodingError, match=r"GetHeaders\.reverse: missing"):
        codec.decode(rlp.encode([9, [5]]))
    with pytest.raises(DecodingError, match=r"GetHeaders\[1\]: missing"):
        codec.decode(rlp.encode([9]))
    with pytest.raises(DecodingError, match=r"GetHeaders\[1\]: a byte string where a list belongs"):
        codec.decode(rlp.encode([9, 5, True]))
    too_long: list[rlp.Encodable] = [[9, [5, True, 7, 8]], [9, [5, True], 6]]
    for more in too_long:
        with pytest.raises(DecodingError, match="more elements"):
            rlp.codec(StrictGetHeaders).decode(rlp.encode(more))


def test_a_request_without_an_id_is_our_fault():
    with pytest.raises(LocalProtocolError, match=r"GetHeaders\.request_id: -1 is not an integer of 64 bits"):
        rlp.codec(GetHeaders).encode(GetHeaders(5, reverse=True))
    with pytest.raises(LocalProtocolError, match=r"GetHeaders\.start"):
        rlp.codec(GetHeaders).encode(GetHeaders(-5, reverse=True, request_id=1))


@dataclass(frozen=True)
class Empty:
    pass


def test_a_class_without_fields():
    assert rlp.codec(Empty).encode(Empty()) == b"\xc0"
    assert rlp.codec(Empty).decode(b"\xc1\x05") == Empty()


@dataclass(frozen=True)
class Choosy:
    number: int

    def __post_init__(self):
        if self.number == 13:
            raise ValueError("an unlucky number")


def test_what_the_class_refuses_is_the_fault_of_the_bytes():
    assert rlp.codec(Choosy).decode(b"\xc1\x0c") == Choosy(12)
    with pytest.raises(DecodingError, match="Choosy: an unlucky number"):
        rlp.codec(Choosy).decode(b"\xc1\x0d")


@dataclass(frozen=True)
class Many:
    points: tuple[Point, ...]
    others: tuple[tuple[int, ...], ...] = ()
    hashes: tuple[rlp.Bytes4, ...] = ()


@dataclass(frozen=True)
class More(Many):
    rlp_max_items: ClassVar[int] = 100_000


@pytest.mark.parametrize(
    "item",
    [
        [[[1, 2]] * 21_846, [], []],  # a point is three items
        [[], [[1] * 40_000, [1] * 30_000], []],
        [[], [], [b"four"] * 65_537],
    ],
)
def test_one_message_makes_so_many_objects_and_no_more(item):
    encoding = rlp.encode(item)
    with pytest.raises(DecodingError, match="more items"):
        rlp.codec(Many).decode(encoding)
    assert rlp.codec(More).encode(rlp.codec(More).decode(encoding)) == rlp.encode(item[:3])


def test_just_so_many_are_fine():
    encoding = rlp.encode([[], [], [b"four"] * 65_536])
    assert rlp.codec(Many).encode(rlp.codec(Many).decode(encoding)) == encoding


def test_marks_of_others_are_ignored():
    assert rlp.codec(Annotated[int, "a remark", rlp.Bits(8)]).encode(255) == b"\x81\xff"
    assert rlp.codec(Annotated[rlp.U64, rlp.Bits(8)]).encode(255) == b"\x81\xff"
    with pytest.raises(LocalProtocolError):
        rlp.codec(Annotated[rlp.U64, rlp.Bits(8)]).encode(256)
