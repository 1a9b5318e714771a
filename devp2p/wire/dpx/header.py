"""What the header of a frame says of its data: whose it is, and whether it is a whole message (dpx/1, section 4).

    normal      [capability] or [capability, 0]        a whole message
    chunked-0   [capability, context, total]           the beginning of a message of `total` bytes
    chunked-n   [capability, context]                  more of it

It is the header-data of RLPx as it was specified from 2015 to 2019, with one difference: there [capability, context] could be either of
two things, and here a context that is not 0 always means more of a message.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.wire.dpx.control import CONNECTION, LAST_CONTEXT

BASE: Final = 0
"""The capability of the base protocol's messages."""
SIZE: Final = 13
"""Bytes that header-data has in a frame, with the zeros behind it."""
_ZEROS: Final = bytes(SIZE)
_LAST_TOTAL: Final = 2**32 - 1


class Header(NamedTuple):
    """Whose frame-data it is. `context` is 0 where it is a whole message, and `total` where it is not the beginning of one."""

    capability: int
    context: int = 0
    total: int = 0


@lru_cache(512)
def encode(header: Header) -> bytes:
    """Header-data, without the zeros behind it. LocalProtocolError for a header that cannot be."""
    capability, context, total = header
    if not 0 <= capability <= CONNECTION or not 0 <= context <= LAST_CONTEXT or not 0 <= total <= _LAST_TOTAL or (total and not context):
        raise LocalProtocolError(f"no frame can have {header}")
    if total:
        return rlp.encode([capability, context, total])
    return rlp.encode([capability, context] if context else [capability])


@lru_cache(512)
def decode(data: bytes) -> Header:
    """Read header-data with the zeros behind it; DecodingError if it is malformed."""
    end = data[0] - 0xC0 + 1 if data else 0
    if not 1 < end <= len(data) or data[end:] != _ZEROS[: len(data) - end]:
        raise DecodingError(f"a frame's header-data is a short list and zeros, not {data.hex()}")
    numbers: list[int] = []
    at = 1
    while at < end:
        number, at = rlp.split_uint(data[:end], at)
        numbers.append(number)
    capability, context, total = (*numbers, 0, 0)[:3]
    if len(numbers) > 3 or capability > CONNECTION or context > LAST_CONTEXT or total > _LAST_TOTAL:
        raise DecodingError(f"no frame can have the header-data {numbers}")
    if len(numbers) == 3 and not (context and total):
        raise DecodingError(f"the first chunk of a message has a context and a total above 0, not {numbers}")
    return Header(capability, context, total)
