"""Fields that are a number or bytes, told apart by how many bytes they have."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError


@dataclass(frozen=True)
class Place:
    block: rlp.U64 | rlp.Bytes32
    after: rlp.U8


def rlp_uint(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


@given(st.integers(0, 2**64 - 1) | st.binary(min_size=32, max_size=32), st.integers(0, 255))
def test_a_number_or_bytes_come_back_as_what_they_were(block, after):
    place = Place(block, after)
    data = rlp.codec(Place).encode(place)
    assert rlp.decode(data) == (block if isinstance(block, bytes) else rlp_uint(block), rlp_uint(after))
    assert rlp.codec(Place).decode(data) == place


@pytest.mark.parametrize("block", [b"\0" * 31, b"\1" * 9, b"\0\1", b"\1" * 33, []])
def test_what_is_neither_the_number_nor_the_bytes_is_refused(block):
    with pytest.raises(DecodingError, match=r"Place\.block"):
        rlp.codec(Place).decode(rlp.encode([block, 1]))


@pytest.mark.parametrize("block", [2**64, -1, b"short", "text", None])
def test_neither_can_be_written_of_anything_else(block):
    with pytest.raises(LocalProtocolError, match=r"Place\.block"):
        rlp.codec(Place).encode(Place(block, 1))
