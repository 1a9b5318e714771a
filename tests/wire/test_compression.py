"""Snappy from strangers: what is declared is checked before it is believed, and nothing is set aside for a lie."""

import tracemalloc
from collections.abc import Generator

import cramjam
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devp2p.errors import DecodingError
from devp2p.wire import compression
from tests.fuzz.session_targets import fuzz_snappy

MIB = 2**20


def varint(number: int) -> bytes:
    """Little-endian, base 128."""
    groups = [number >> shift & 0x7F for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


def dense(size: int) -> bytes:
    """The densest honest block: one literal byte, then copies of 64 bytes, 3 bytes each."""
    copies, rest = divmod(size - 1, 64)
    return varint(size) + b"\x00a" + b"\xfe\x01\x00" * copies + (bytes([(rest - 1) << 2 | 2]) + b"\x01\x00" if rest else b"")


@given(st.binary(max_size=300) | st.builds(lambda data, times: data * times, st.binary(max_size=30), st.integers(0, 500)))
@example(b"")
@example(bytes(70_000))
@example(b"\x00")
@example(b"\xff\xff\xff\xff\xff")
def test_any_bytes_inflate_to_what_they_declare_or_are_refused(data):
    fuzz_snappy(data)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_compressed_in_steps_it_is_the_same(size):
    data = (bytes(range(256)) * 1000)[:size]
    found: list[bytearray] = []

    def collect() -> Generator[None]:
        found.append((yield from compression.compress_in_steps(data)))

    count = len(list(collect()))
    assert found == [bytearray(compression.compress(data))]
    assert count == -(-size // 65_536)


@given(st.integers(0, 2**32 - 1), st.binary(max_size=10))
@example(2**32 - 1, b"")
def test_the_declared_size_is_read_from_the_first_bytes(size, more):
    assert compression.declared_size(varint(size) + more) == size
    assert compression.declared_size(memoryview(varint(size) + more)) == size


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", b"\xff" * 4, b"\xff" * 5, b"\xff\xff\xff\xff\x10", b"\xff\xff\xff\xff\x7f", b"\x80" * 5 + b"\x00"],
)
def test_a_size_that_is_cut_off_or_beyond_32_bits_is_no_size(data):
    with pytest.raises(DecodingError, match="does not declare its size"):
        compression.declared_size(data)
    with pytest.raises(DecodingError, match="does not declare its size"):
        compression.decompress(data, 2**40)


@pytest.mark.parametrize(
    "size",
    [1, 2, 64, 65, 66, 129, 1000, 65_536, 2**24 - 1],
)
def test_the_densest_honest_block_is_accepted(size):
    """Runs of zeros in real messages come close to this bound."""
    assert compression.decompress(dense(size), size) == b"a" * size


BOMBS = {
    "4 GiB declared": varint(2**32 - 1) + b"\x00a",
    "16 MiB from 10 bytes": varint(2**24 - 1) + b"\xfe\x01\x00aaa",
    "1 MiB from 47 KiB": varint(MIB) + b"\x00a" + bytes(47_000),
    "16 MiB, honest": dense(2**24 - 1),
    "one byte too large": dense(MIB + 1),
    "size of six bytes": b"\xff\xff\xff\xff\xff\x01",
    "size cut off": b"\xff\xff",
    "empty": b"",
    "nothing behind the size": varint(20),
    "more than declared": varint(10) + dense(2**20)[3:],
    "less than declared": varint(2**20) + dense(2**20 - 1)[3:],
    "literal beyond the end": varint(100) + b"\xf0\x63" + bytes(20),
    "literal of 4 GiB": varint(100) + b"\xfc\xff\xff\xff\xff" + bytes(20),
    "copy from before the start": varint(64) + b"\x00a\xfe\xff\xff",
    "copy of nothing": varint(64) + b"\x00a\xfe\x00\x00",
    "copy of nowhere": varint(64) + b"\xff\x01\x00\x00\x00" * 10,
    "only copies": varint(64) + b"\xfe\x01\x00",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_for_less_than_it_wanted(bomb):
    """100 peers that send bombs at once must not cost 1.6 GB, nor raise what no caller expects."""
    data = BOMBS[bomb]
    tracemalloc.start()
    try:
        with pytest.raises(DecodingError):
            compression.decompress(data, MIB)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_a_lie_costs_the_declared_size_only_where_the_bytes_could_make_it():
    """The library's own memory is not traced; that it is not even asked for bombs is what bounds it."""
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cramjam.snappy, "decompress_raw", lambda *_, **__: calls.append(1))
        for bomb in ("4 GiB declared", "16 MiB from 10 bytes", "16 MiB, honest", "1 MiB from 47 KiB", "one byte too large", "empty"):
            with pytest.raises(DecodingError):
                compression.decompress(BOMBS[bomb], MIB)
    assert calls == []


def test_the_error_says_how_large_and_how_large_it_may_be():
    with pytest.raises(DecodingError, match="would inflate to 4294967295 bytes where 1048576 are allowed"):
        compression.decompress(BOMBS["4 GiB declared"], MIB)
    with pytest.raises(DecodingError, match="of 10 compressed bytes cannot inflate to 1048576"):
        compression.decompress(varint(MIB) + bytes(7), MIB)


@pytest.mark.parametrize("limit", [0, 1, 100])
def test_the_limit_itself_is_allowed(limit):
    block = compression.compress(bytes(limit))
    assert compression.decompress(block, limit) == bytes(limit)
    if limit:
        with pytest.raises(DecodingError):
            compression.decompress(block, limit - 1)


def test_blocks_are_raw_and_not_framed():
    """The stream format of snappy begins with ff 06; peers would not understand it."""
    assert compression.compress(b"\xc0") == bytes.fromhex("0100c0")
    assert compression.decompress(bytearray.fromhex("0100c0"), 1) == b"\xc0"
