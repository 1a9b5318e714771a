"""The messages of snap/1 and snap/2: their shape is that of caps/snap.md, they survive a round trip, and their bounds hold."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import DecodingError, rlp
from devp2p.capabilities.snap import Snap, Snap1, Snap2
from devp2p.capabilities.snap.messages import (
    AccountData,
    AccountRange,
    BlockAccessLists,
    ByteCodes,
    GetAccountRange,
    GetBlockAccessLists,
    GetByteCodes,
    GetStorageRanges,
    GetTrieNodes,
    SlotData,
    StorageRanges,
    TrieNodes,
)
from devp2p.rlp import Lazy

few = settings(max_examples=15)
hashes = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**64 - 1)
strings = st.lists(st.binary(max_size=40), max_size=5).map(Lazy)
many_hashes = st.lists(hashes, max_size=5).map(Lazy)
items = st.recursive(st.binary(max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=6).map(rlp.encode)
slots = st.lists(st.builds(SlotData, hashes, st.binary(max_size=33)), max_size=4).map(Lazy)

MESSAGES: list[tuple[type[Any], st.SearchStrategy[Any]]] = [
    (GetAccountRange, st.builds(GetAccountRange, hashes, hashes, hashes, numbers, request_id=numbers)),
    (AccountRange, st.builds(AccountRange, numbers, st.lists(st.builds(AccountData, hashes, items), max_size=5).map(Lazy), strings)),
    (
        GetStorageRanges,
        st.builds(GetStorageRanges, hashes, many_hashes, st.binary(max_size=32), st.binary(max_size=32), numbers, request_id=numbers),
    ),
    (StorageRanges, st.builds(StorageRanges, numbers, st.lists(slots, max_size=4).map(tuple), strings)),
    (GetByteCodes, st.builds(GetByteCodes, many_hashes, numbers, request_id=numbers)),
    (ByteCodes, st.builds(ByteCodes, numbers, strings)),
    (
        GetTrieNodes,
        st.builds(
            GetTrieNodes,
            hashes,
            st.lists(st.lists(st.binary(max_size=33), max_size=3).map(tuple), max_size=4).map(Lazy),
            numbers,
            request_id=numbers,
        ),
    ),
    (TrieNodes, st.builds(TrieNodes, numbers, strings)),
    (GetBlockAccessLists, st.builds(GetBlockAccessLists, many_hashes, numbers, request_id=numbers)),
    (BlockAccessLists, st.builds(BlockAccessLists, numbers, st.lists(items, max_size=4).map(Lazy))),
]


@pytest.mark.parametrize(("kind", "values"), MESSAGES, ids=[kind.__name__ for kind, _ in MESSAGES])
def test_each_message_of_each_version_survives_a_round_trip(kind, values):
    versions = [version for version in (Snap1, Snap2) if kind in version.messages.values()]
    assert versions

    @few
    @given(values)
    def check(message):
        for version in versions:
            table = version.table()
            code, _, data = table.encode(message)
            assert version.messages[code] is kind
            again = table.decode(code, data)
            assert again == message
            assert table.encode(again)[2] == data

    check()


A, B, C = b"\xaa" * 32, b"\xbb" * 32, b"\xcc" * 32
SHAPES = [
    (0, GetAccountRange(A, B, C, 500, request_id=7), [b"\7", A, B, C, b"\x01\xf4"]),
    (
        1,
        AccountRange(7, Lazy([AccountData(A, rlp.encode([b"\1", b"\2", b"", b""]))]), Lazy([b"node"])),
        [b"\7", [[A, [b"\1", b"\2", b"", b""]]], [b"node"]],
    ),
    (2, GetStorageRanges(A, Lazy([B, C]), b"", b"\xff", 0, request_id=7), [b"\7", A, [B, C], b"", b"\xff", b""]),
    (3, StorageRanges(7, (Lazy([SlotData(A, b"\2")]), Lazy()), Lazy()), [b"\7", [[[A, b"\2"]], []], []]),
    (4, GetByteCodes(Lazy([A, B]), 9, request_id=7), [b"\7", [A, B], b"\x09"]),
    (5, ByteCodes(7, Lazy([b"\x60\x00", b""])), [b"\7", [b"\x60\x00", b""]]),
    (6, GetTrieNodes(A, Lazy([(b"\0",), (B, b"\0", b"\x1b")]), 9, request_id=7), [b"\7", A, [[b"\0"], [B, b"\0", b"\x1b"]], b"\x09"]),
    (7, TrieNodes(7, Lazy([b"", b"node"])), [b"\7", [b"", b"node"]]),
    (8, GetBlockAccessLists(Lazy([A]), 9, request_id=7), [b"\7", [A], b"\x09"]),
    (9, BlockAccessLists(7, Lazy([b"\x80", rlp.encode([[A[:20]]])])), [b"\7", [b"", [[A[:20]]]]]),
]


@pytest.mark.parametrize(("code", "message", "shape"), SHAPES, ids=[type(message).__name__ for _, message, _ in SHAPES])
def test_messages_look_as_the_specification_writes_them(code, message, shape):
    versions = [version for version in (Snap1, Snap2) if type(message) in version.messages.values()]
    for version in versions:
        assert version.table().encode(message)[::2] == (code, rlp.encode(shape))


def test_each_version_takes_as_many_ids_as_the_specification_gives_it():
    assert [len(version.table().spec.sizes) for version in (Snap1, Snap2)] == [8, 10]
    assert [code for code in range(10) if code not in Snap2.messages] == [6, 7]
    assert all(issubclass(version, Snap) for version in (Snap1, Snap2))


@pytest.mark.parametrize("size", [0, 2**64 - 1])
def test_sizes_of_requests_may_be_any_number_of_64_bits(size):
    message = GetByteCodes(Lazy(), size, request_id=2**64 - 1)
    code, _, data = Snap1.table().encode(message)
    assert Snap1.table().decode(code, data) == message


@pytest.mark.parametrize(
    ("code", "shape"),
    [
        (0, [b"\7", A[1:], B, C, b"\1"]),  # a hash of 31 bytes
        (0, [b"\7", A, B, C]),  # no size
        (0, [b"\7", A, B, C, b"\1" * 9]),  # a size of more than 64 bits
        (2, [b"\7", A, [B], b"\0" * 33, b"", b"\1"]),  # a start of more than 32 bytes
        (2, [b"\7", A, B, b"", b"", b"\1"]),  # a string in place of a list
        (1, [b"\7", [], [b""] * 513]),  # a proof of more nodes than any has
        (3, [b"\7", [[]] * 1025, []]),  # of more accounts than are ever asked for
        (6, [b"\7", A, b"\0", b"\1"]),
    ],
)
def test_what_does_not_fit_is_refused(code, shape):
    with pytest.raises(DecodingError):
        Snap1.table().decode(code, rlp.encode(shape))


def test_lists_stay_encoded_until_somebody_asks_for_an_item():
    data = rlp.encode([b"\7", [[A[1:], b""]] * 1000, []])  # hashes that are none
    message = Snap1.table().decode(1, data)
    assert len(message.accounts) == 1000
    with pytest.raises(DecodingError, match="item 999"):
        message.accounts[999]
