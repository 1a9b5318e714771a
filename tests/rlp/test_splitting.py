"""Lists cut into their items."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import DecodingError, rlp

ITEMS = st.lists(st.binary(max_size=80) | st.lists(st.binary(max_size=30), max_size=3), max_size=8)


@given(ITEMS)
def test_that_the_parts_make_the_whole(items: list[rlp.Encodable]) -> None:
    parts = rlp.split_list(rlp.encode(items))
    assert parts == [rlp.encode(item) for item in items]
    assert rlp.split_list(rlp.encode(items), len(items)) == parts
    if items:
        with pytest.raises(DecodingError, match=f"more than {len(items) - 1} items"):
            rlp.split_list(rlp.encode(items), len(items) - 1)


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x01", b"\xc1", b"\xc0\x00", b"\xc2\x81\x01", b"\xc1\x82", b"\xf8\x01\x01", b"\xc2\xb8\x00"]
)
def test_that_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DecodingError):
        rlp.split_list(data)
