"""The shapes, sizes and numbers of eth's messages."""

import dataclasses
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import DecodingError, Request, Response, rlp
from devp2p.capabilities.eth.messages import (
    LENGTHS,
    MESSAGES,
    BlockHeaders,
    GetBlockHeaders,
    NewBlockHashes,
    NewPooledTransactionHashes,
    Receipts,
    Status,
    Transactions,
    bitmap_of,
    bounds,
    columns_of,
)
from devp2p.capabilities.ethereum import ForkId
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.rlp import markers

raws = st.recursive(st.binary(max_size=40), lambda inner: st.lists(inner, max_size=3), max_leaves=4).map(rlp.encode)
KINDS = sorted({kind for table in MESSAGES.values() for kind in table.values()}, key=lambda kind: kind.__name__)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values that an annotation allows; short lists, since what long ones do is shown by the tests of `Lazy`."""
    if get_origin(hint) is Annotated:
        base, mark = get_args(hint)
        match mark:
            case markers.Bits(bits):
                return st.integers(0, 2**bits - 1)
            case markers.MaxLength(size):
                return st.binary(max_size=size)
            case markers.Length(size):
                return st.binary(min_size=size, max_size=size) if size < 1000 else st.sampled_from([b"\0" * size, b"\xff" * size])
            case markers.Kept.ITEM:
                return raws
            case _:
                assert mark is markers.Kept.REST, base
                return st.lists(raws, max_size=4).map(tuple)
    if get_origin(hint) is rlp.Lazy:
        return st.lists(values(get_args(hint)[0]), max_size=4).map(rlp.Lazy)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return messages(hint)
    if hint is int:
        return st.integers(0, 2**256 - 1)
    if hint in {bool, bytes}:
        return st.booleans() if hint is bool else st.binary(max_size=20)
    return st.one_of([values(each) for each in get_args(hint)])


def messages(kind: type) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{field.name: values(hints[field.name]) for field in dataclasses.fields(kind)})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_message_comes_back_as_it_was(kind):
    codec = rlp.codec(kind)

    @settings(max_examples=8)
    @given(messages(kind))
    def check(message):
        data = codec.encode(message)
        assert codec.decode(data) == message
        assert codec.encode(codec.decode(data)) == data

    check()


@pytest.mark.parametrize("version", [69, 70, 71, 72])
def test_a_version_takes_as_many_ids_as_in_go_ethereum(version):
    assert LENGTHS[version] == {69: 18, 70: 18, 71: 20, 72: 22}[version]
    assert max(MESSAGES[version]) < LENGTHS[version]
    assert not {0x0B, 0x0C, 0x0D, 0x0E} & MESSAGES[version].keys()  # the last two were GetNodeData and NodeData


def test_versions_differ_where_the_specification_says_so():
    names = {version: {code: kind.__name__ for code, kind in table.items()} for version, table in MESSAGES.items()}
    assert {code for code in names[69] if names[69][code] != names[70][code]} == {0x0F, 0x10}
    assert names[71].keys() - names[70].keys() == {0x12, 0x13}
    assert names[72].keys() - names[71].keys() == {0x14, 0x15}
    assert {code for code in names[71] if names[71][code] != names[72][code]} == {0x08}


def test_every_message_has_a_bound_of_its_own_and_none_is_above_ten_mebibytes():
    assert bounds.BLOCK_DATA == 10 * 2**20 < MAX_MESSAGE_SIZE
    for kind in KINDS:
        size = vars(kind)["max_size"]
        assert size <= (bounds.REQUEST if issubclass(kind, Request) else bounds.BLOCK_DATA)  # nobody needs a large question


def test_messages_look_as_the_specification_writes_them():
    h, number = b"\x11" * 32, b"\x07"
    status = Status(72, 1, h, ForkId(b"abcd", 5), 0, 9, h)
    assert rlp.codec(Status).encode(status) == rlp.encode([72, 1, h, [b"abcd", 5], 0, 9, h])
    assert rlp.codec(GetBlockHeaders).encode(GetBlockHeaders(7, 3, 1, reverse=True, request_id=8)) == rlp.encode([8, [number, 3, 1, 1]])
    assert rlp.codec(GetBlockHeaders).encode(GetBlockHeaders(h, 3, request_id=8)) == rlp.encode([8, [h, 3, 0, 0]])
    receipts = Receipts(1, incomplete=False, receipts=rlp.Lazy([rlp.encode([[1, 2]])]))
    assert rlp.codec(Receipts).encode(receipts) == rlp.encode([1, 0, [[[1, 2]]]])
    assert rlp.codec(Transactions).encode(Transactions((rlp.encode(b"\x02ab"), rlp.encode([1])))) == rlp.encode([b"\x02ab", [1]])
    assert rlp.codec(NewBlockHashes).encode(NewBlockHashes((rlp.encode([h, 1]),))) == rlp.encode([[h, 1]])
    announcement = NewPooledTransactionHashes(b"\x00\x02", rlp.Lazy([1, 2]), rlp.Lazy([h, h]), b"\x01" + bytes(15))
    assert rlp.codec(NewPooledTransactionHashes).encode(announcement) == rlp.encode([b"\x00\x02", [1, 2], [h, h], b"\x01" + bytes(15)])


def test_column_i_is_bit_i_mod_8_of_byte_i_div_8():
    assert bitmap_of(1 << 9) == b"\0\2" + bytes(14)
    assert columns_of(b"\0\2" + bytes(14)) == 1 << 9
    assert bitmap_of(2**128 - 1) == b"\xff" * 16


def test_a_list_of_too_many_items_is_refused_before_it_is_made():
    with pytest.raises(DecodingError, match="65536"):
        rlp.codec(BlockHeaders).decode(rlp.encode([5, [b""] * 70_000]))
    with pytest.raises(DecodingError):
        rlp.codec(Transactions).decode(rlp.encode([b""] * 5001))


def test_every_request_has_an_answer_of_its_own():
    for version, table in MESSAGES.items():
        requests = [kind for kind in table.values() if issubclass(kind, Request)]
        answers = [kind for kind in table.values() if issubclass(kind, Response)]
        assert len(requests) == len(answers) == {69: 4, 70: 4, 71: 5, 72: 6}[version]
