"""Snappy, as p2p version 5 uses it (EIP-706): raw blocks, whose declared length is checked before anything is inflated."""

from collections.abc import Generator

import cramjam

from devp2p.errors import DecodingError

Buffer = bytes | bytearray | memoryview

_BLOCK = 64 * 1024  # what snappy compresses by itself
_MOST_EXPANSION = 22  # the densest element is a 3-byte copy of 64 bytes, so a larger claim is a lie


def compress(data: Buffer) -> memoryview:
    """Compress one message's data as a raw snappy block."""
    return memoryview(cramjam.snappy.compress_raw(data))


def compress_in_steps(data: bytes) -> Generator[None, None, bytearray]:
    """The same for a large message, with a step for every 64 KiB, between which others can have their turn.

    Snappy never refers from one block of 64 KiB to another, so the blocks may be compressed one by one; the result is the same.
    """
    size, view = len(data), memoryview(data)
    found = bytearray(_preamble(size))  # it grows piece by piece: to join them all would take as long as several steps
    for at in range(0, size, _BLOCK):
        block = compress(view[at : at + _BLOCK])
        found += block[len(_preamble(min(_BLOCK, size - at))) :]
        yield
    return found


def _preamble(size: int) -> bytes:
    """How a raw block says what it inflates to: a little-endian base-128 number."""
    found = bytearray()
    while size >= 0x80:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*found, size])


def declared_size(data: Buffer) -> int:
    """The length that a raw snappy block says it inflates to; `DecodingError` if it says none.

    A little-endian base-128 number of at most 5 bytes and below 2**32 ("format_description.txt", section 1).
    """
    size = data[0] if data else 0
    if 0 < size < 0x80:
        return size
    size = 0
    for position, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            if size >= 2**32:
                break
            return size
    raise DecodingError("a compressed message does not declare its size")


def decompress(data: Buffer, max_size: int) -> bytes:
    """Inflate a raw snappy block of at most `max_size` bytes; `DecodingError` for a larger or malformed one."""
    size = declared_size(data)
    if size > max_size:
        raise DecodingError(f"a message would inflate to {size} bytes where {max_size} are allowed")
    if size > _MOST_EXPANSION * len(data):
        raise DecodingError(f"a message of {len(data)} compressed bytes cannot inflate to {size}")
    try:
        return bytes(cramjam.snappy.decompress_raw(data, output_len=size))
    except cramjam.DecompressionError as error:
        raise DecodingError(f"bad snappy data: {error}") from None
