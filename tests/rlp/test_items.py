"""Items without a schema: what is accepted, what is refused, and how much of it."""

import pytest
import rlp as reference
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError
from tests.rlp.shapes import BAD_ITEMS, almost_rlp, trees

GOOD_ITEMS: list[tuple[rlp.Encodable, str]] = [
    ("", "80"),
    (b"\x00", "00"),
    (b"\x7f", "7f"),
    (b"\x80", "8180"),
    ("dog", "83646f67"),
    (["cat", "dog"], "c88363617483646f67"),
    ([], "c0"),
    ([[], [[]], [[], [[]]]], "c7c0c1c0c3c0c1c0"),
    (0, "80"),
    (15, "0f"),
    (1024, "820400"),
    (2**256 - 1, "a0" + "ff" * 32),
    (2**448, "b83901" + "00" * 56),
    (True, "01"),
    (False, "80"),
    (b"a" * 55, "b7" + "61" * 55),
    (b"a" * 56, "b838" + "61" * 56),
    (bytearray(b"ab"), "826162"),
    (memoryview(b"abcd")[::2], "826163"),
    ([b"a" * 55], "f838b7" + "61" * 55),
    (b"a" * 256, "b90100" + "61" * 256),
]


@pytest.mark.parametrize(("item", "encoding"), GOOD_ITEMS)
def test_known_items(item, encoding):
    assert rlp.encode(item).hex() == encoding
    assert rlp.encode(rlp.decode(bytes.fromhex(encoding))).hex() == encoding


@pytest.mark.parametrize("encoding", BAD_ITEMS.values(), ids=BAD_ITEMS)
def test_bytes_that_are_no_item(encoding):
    with pytest.raises(DecodingError):
        rlp.decode(encoding)
    with pytest.raises(reference.DecodingError):
        reference.decode(encoding)


@pytest.mark.parametrize("item", [-1, [b"", -1], None, 1.5, {"a": 1}, [object()], "\ud800"])
def test_values_without_a_form(item):
    with pytest.raises(LocalProtocolError):
        rlp.encode(item)


def test_a_list_in_itself_is_refused():
    loop: list[rlp.Encodable] = []
    loop.append(loop)
    with pytest.raises(LocalProtocolError, match="hold itself"):
        rlp.encode(loop)


@given(trees)
def test_agrees_with_the_rlp_package_on_values(tree):
    encoding = rlp.encode(tree)
    assert encoding == reference.encode(tree, infer_serializer=True)
    assert rlp.decode(encoding) == as_tuples(reference.decode(encoding))
    assert rlp.encode(rlp.decode(encoding)) == encoding


@given(almost_rlp)
def test_agrees_with_the_rlp_package_on_bytes(data):
    try:
        expected = as_tuples(reference.decode(data))
    except reference.DecodingError:
        with pytest.raises(DecodingError):
            rlp.decode(data)
    else:
        assert rlp.decode(data, max_depth=10_000) == expected
        assert rlp.encode(expected) == data


def as_tuples(tree):
    return tuple(as_tuples(item) for item in tree) if isinstance(tree, list) else tree


def nest(depth):
    """`depth` lists in each other."""
    heads, size = [], 0
    for _ in range(depth):
        heads.append(reference.codec.length_prefix(size, 0xC0))
        size += len(heads[-1])
    return b"".join(reversed(heads))


def test_depth_is_bounded():
    assert rlp.encode(rlp.decode(nest(32))) == nest(32)
    with pytest.raises(DecodingError, match="deeper than 32"):
        rlp.decode(nest(33))
    with pytest.raises(DecodingError, match="deeper than 1"):
        rlp.decode(nest(2), max_depth=1)


def test_a_million_lists_in_each_other_cost_no_stack():
    with pytest.raises(DecodingError, match="deeper than 32"):
        rlp.decode(nest(1_000_000))
    assert rlp.decode(nest(50_000), max_depth=50_000)


def test_items_are_bounded():
    assert rlp.decode(b"\xc3\x80\x80\x80", max_items=4) == (b"", b"", b"")
    with pytest.raises(DecodingError, match="more items"):
        rlp.decode(b"\xc3\x80\x80\x80", max_items=3)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=4), st.binary(max_size=4))
def test_a_number_in_front_of_other_bytes(number, before, after):
    data = before + rlp.encode(number) + after
    at = len(data) - len(after)
    assert rlp.split_uint(data, len(before)) == (number, at)
    assert rlp.split_uint(memoryview(data), len(before)) == (number, at)


@pytest.mark.parametrize("data", ["", "00", "8100", "817f", "820001", "83ffff", "89" + "ff" * 9, "c0", "c101", "b8"])
def test_what_is_no_number(data):
    with pytest.raises(DecodingError):
        rlp.split_uint(bytes.fromhex(data))


@given(st.integers(0, 2**64 - 1), st.lists(trees, max_size=3))
def test_the_first_number_of_a_list(number, others):
    data = rlp.encode([number, *others])
    assert rlp.first_uint(data) == rlp.first_uint(memoryview(data)) == number
    with pytest.raises(DecodingError):
        rlp.first_uint(data + b"\x80")


@pytest.mark.parametrize("data", ["", "80", "01", "c0", "c100", "c1c0", "c28100", "c182", "f8", "f90001", "ca89" + "ff" * 9])
def test_what_has_no_first_number(data):
    with pytest.raises(DecodingError):
        rlp.first_uint(bytes.fromhex(data))


@given(trees, st.binary(max_size=5))
def test_an_item_in_front_of_padding(tree, padding):
    encoding = rlp.encode(tree)
    assert rlp.split_item(encoding + padding) == (encoding, len(encoding))


@given(st.integers(0, 2**20))
def test_list_size(size):
    assert rlp.list_size(size) - size == len(reference.codec.length_prefix(size, 0xC0))
