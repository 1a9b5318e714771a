"""Whole blocks, and files of them."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import DecodingError, rlp
from devp2p.capabilities.ethereum.blocks import Block, Body, read_blocks, read_items
from tests.capabilities.blocks.shapes import FEW, headers
from tests.capabilities.blocks.test_body import BODIES
from tests.capabilities.blocks.test_header import SOME

BLOCKS = st.builds(Block, headers(), BODIES) | st.builds(
    Block, headers(), BODIES.filter(lambda body: body.withdrawals is not None), st.just(b"\xc1\xc0")
)
ITEMS = st.binary(max_size=70).map(rlp.encode) | st.lists(st.binary(max_size=40), max_size=3).map(rlp.encode)


@FEW
@given(BLOCKS)
def test_that_blocks_come_back(block: Block) -> None:
    again = Block.decode(block.raw)
    assert again == block
    assert again.raw == block.raw
    assert again.hash == block.header.hash


@FEW
@given(st.lists(BLOCKS, max_size=3))
def test_that_files_of_blocks_are_read(blocks: list[Block]) -> None:
    assert list(read_blocks(BytesIO(b"".join(block.raw for block in blocks)))) == blocks


@FEW
@given(st.lists(ITEMS, max_size=4))
def test_that_files_of_items_are_read(items: list[bytes]) -> None:
    read = list(read_items(BytesIO(b"".join(items))))
    assert [raw for _, raw in read] == items
    assert [at for at, _ in read] == [sum(map(len, items[:index])) for index in range(len(items))]


@FEW
@given(ITEMS.filter(lambda item: len(item) > 1), st.data())
def test_that_a_file_that_ends_early_says_where(item: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(item) - 1))
    with pytest.raises(DecodingError, match="byte 3: "):
        list(read_items(BytesIO(b"\x01\x02\x03" + item[:cut])))


def test_what_people_see() -> None:
    block = Block(SOME, Body((b"\xc0",)))
    name = f"0x{SOME.hash.hex()}"
    assert repr(block) == f"<Block 5, {name}: 1 transactions>"
    assert repr(block.header) == f"<Header of block 5, {name}>"
    assert repr(block.body) == "<Body: 1 transactions, 0 ommers, no withdrawals>"
    assert repr(Body(withdrawals=())) == "<Body: 0 transactions, 0 ommers, 0 withdrawals>"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xbb\xff\xff\xff\xff", "byte 0: an item of 4294967300 bytes, more than 67108864"),
        (b"\xff" * 9, "byte 0: an item of 18446744073709551624 bytes, more than 67108864"),
        (b"\x01\xb8\x01\x05", "byte 1: a long head for a length of 1"),
        (b"\x01\x81\x05", "byte 1: the byte 0x05 with a head"),
    ],
)
def test_that_bad_heads_in_a_file_allocate_nothing(data: bytes, why: str) -> None:
    with pytest.raises(DecodingError, match=why):
        list(read_items(BytesIO(data)))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\xc0", "a block: missing"),
        (b"\xc1\xc0", "a block: a header, parent_hash: missing"),
        (b"\x05", "a byte string where a list belongs"),
    ],
)
def test_that_other_bytes_are_no_block(raw: bytes, why: str) -> None:
    with pytest.raises(DecodingError, match=why):
        Block.decode(raw)
    with pytest.raises(DecodingError, match=f"byte 0: {why}"):
        list(read_blocks(BytesIO(raw)))
