"""RLP items: headers, bounds, and encoding and decoding without a schema.

Follows "Recursive Length Prefix" of the Ethereum specifications (yellow paper, appendix B). An item is a byte string or a
list of items, behind a head that says which, and how long:

    00..7f   the byte itself           80..b7   string of 0..55 bytes     b8..bf   string, length in 1..8 bytes
                                       c0..f7   list of 0..55 bytes       f8..ff   list, length in 1..8 bytes

There is exactly one right encoding of every item, and nothing else is accepted: no length that could be shorter, no leading
zeros, no prefix before a byte that could stand alone. All functions that look into bytes share one convention: ``at`` is where
the item begins, ``end`` is where the region that holds it ends, and the caller has made sure that ``at < end <= len(data)``.
"""

import re
from array import array
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import TypeAlias, cast

from devp2p.arguments import as_bytes
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.rlp.steps import Steps, budget_of, run

Item: TypeAlias = "bytes | tuple[Item, ...]"
"""What decoding without a schema gives."""
Encodable: TypeAlias = "bytes | bytearray | memoryview | int | str | Sequence[Encodable]"
"""What can be encoded without a schema; of sequences, lists and tuples (and what derives from these)."""

MAX_ITEMS = 65_536
"""How many items one decoding makes objects of, and how many a ``Lazy`` list holds, unless told otherwise."""
MAX_DEPTH = 32
"""How deep lists may nest in bytes that no schema describes, unless told otherwise."""
_MAX_OWN_DEPTH = 1024

_STRING_HEADS = tuple(bytes([0x80 + size] if size < 56 else [0xB8, size]) for size in range(256))
_LIST_HEADS = tuple(bytes([0xC0 + size] if size < 56 else [0xF8, size]) for size in range(256))
"""By size in bytes. Leaves of tries have 56 to 255 bytes, and to make their heads would take half of the time of all."""
_two_bytes_head = Struct(">BH").pack
_SMALL_UINTS = (b"\x80", *(bytes([value]) for value in range(1, 0x80)))
_LEAST = tuple(0x80 if size == 1 else 256**size >> 8 for size in range(65))
"""By size in bytes: the smallest integer that needs a head and that many bytes."""


# Writing


def encode_bytes(value: bytes) -> bytes:
    """Encode one byte string."""
    size = len(value)
    if size < 256:
        return value if size == 1 and value[0] < 0x80 else _STRING_HEADS[size] + value
    return _long_head(0xB7, size) + value


def encode_list(content: bytes) -> bytes:
    """Encode one list whose items are already encoded, one after another, in ``content``."""
    size = len(content)
    return (_LIST_HEADS[size] if size < 256 else _long_head(0xF7, size)) + content


def encode_uint(value: int) -> bytes:
    """Encode one integer >= 0 of at most 55 bytes; the caller has checked its range."""
    if value < 0x80:
        return _SMALL_UINTS[value]
    size = (value.bit_length() + 7) >> 3
    return _STRING_HEADS[size] + value.to_bytes(size, "big")


def string_head(size: int) -> bytes:
    """Return the head of a byte string of ``size`` bytes that does not stand alone."""
    return _STRING_HEADS[size] if size < 256 else _long_head(0xB7, size)


def list_size(content: int) -> int:
    """Return how many bytes a list takes whose encoded items take ``content`` bytes together."""
    return content + (1 if content < 56 else 1 + ((content.bit_length() + 7) >> 3))


def _long_head(offset: int, size: int) -> bytes:
    if size < 65_536:
        return _two_bytes_head(offset + 2, size)
    width = (size.bit_length() + 7) >> 3
    return (offset + width << 8 * width | size).to_bytes(1 + width, "big")


def encode(item: Encodable) -> bytes:
    """Encode ``item`` without a schema.

    Byte strings stand for themselves, text for its UTF-8, integers for their shortest big-endian form (0 is the empty string),
    True and False for 1 and 0, lists and tuples for lists. Anything else, and an integer below 0, raises LocalProtocolError.
    """
    if not isinstance(item, list | tuple):
        return _encode_leaf(item)
    outer: list[tuple[list[bytes], Iterator[Encodable]]] = []
    parts: list[bytes] = []
    pending: Iterator[Encodable] = iter(item)
    while True:
        for child in pending:
            if isinstance(child, list | tuple):
                outer.append((parts, pending))
                parts, pending = [], iter(child)
                break
            parts.append(_encode_leaf(child))
        else:
            encoded = encode_list(b"".join(parts))
            if not outer:
                return encoded
            parts, pending = outer.pop()
            parts.append(encoded)
        if len(outer) > _MAX_OWN_DEPTH:
            raise LocalProtocolError(f"lists nest deeper than {_MAX_OWN_DEPTH}; does a list hold itself?")


def _encode_leaf(item: object) -> bytes:
    if isinstance(item, bytes):
        return encode_bytes(item)
    if isinstance(item, int):
        if item < 0:
            raise LocalProtocolError(f"RLP has no integers below 0: {item}")
        size = (item.bit_length() + 7) >> 3
        return encode_uint(item) if size < 56 else encode_bytes(item.to_bytes(size, "big"))
    if isinstance(item, str):
        try:
            return encode_bytes(item.encode())
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"text that has no UTF-8 form: {error}") from error
    if isinstance(item, bytearray):
        return encode_bytes(bytes(item))
    if isinstance(item, memoryview):
        return encode_bytes(cast("memoryview[int]", item).tobytes())
    raise LocalProtocolError(f"RLP has no form for {type(item).__name__}; give bytes, int, str, bool, list or tuple")


# Reading heads


def item_end(data: bytes, at: int, end: int) -> int:
    """Return the offset after the item at ``at``; only its own head is looked at."""
    head = data[at]
    if head < 0x80:
        return at + 1
    if head < 0xB8:
        stop = at + head - 0x7F
        if stop > end:
            raise _past_end(stop, end)
        if head == 0x81 and data[at + 1] < 0x80:
            raise _not_alone(data[at + 1])
        return stop
    if 0xC0 <= head < 0xF8:
        stop = at + head - 0xBF
        if stop > end:
            raise _past_end(stop, end)
        return stop
    return _long_bounds(data, at, end, head - (0xB7 if head < 0xC0 else 0xF7))[1]


def string_bounds(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the content of the byte string at ``at`` begins and ends."""
    head = data[at]
    if head < 0x80:
        return at, at + 1
    if head < 0xB8:
        stop = at + head - 0x7F
        if stop > end:
            raise _past_end(stop, end)
        if head == 0x81 and data[at + 1] < 0x80:
            raise _not_alone(data[at + 1])
        return at + 1, stop
    if head < 0xC0:
        return _long_bounds(data, at, end, head - 0xB7)
    raise DecodingError("a list where a byte string belongs")


def list_bounds(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the content of the list at ``at`` begins and ends."""
    head = data[at]
    if head < 0xC0:
        raise DecodingError("a byte string where a list belongs")
    if head < 0xF8:
        stop = at + head - 0xBF
        if stop > end:
            raise _past_end(stop, end)
        return at + 1, stop
    return _long_bounds(data, at, end, head - 0xF7)


def read_uint(data: bytes, at: int, end: int, size: int) -> tuple[int, int]:
    """Return the integer of at most ``size`` <= 55 bytes at ``at``, and the offset after it."""
    head = data[at]
    if 0 < head < 0x80:
        return head, at + 1
    if head == 0x80:
        return 0, at + 1
    stop = at + head - 0x7F
    if not 0x80 < head <= 0x80 + size or stop > end:
        raise _not_uint(data, at, end, size)
    value = int.from_bytes(data[at + 1 : stop], "big")
    if value < _LEAST[head - 0x80]:
        raise _not_uint(data, at, end, size)
    return value, stop


def _long_bounds(data: bytes, at: int, end: int, width: int) -> tuple[int, int]:
    start = at + 1 + width
    if start > end:
        raise _past_end(start, end)
    if data[at + 1] == 0:
        raise DecodingError("a length with leading zeros")
    size = data[at + 1] << 8 | data[at + 2] if width == 2 else int.from_bytes(data[at + 1 : start], "big")  # the first is faster
    if size < 56:
        raise DecodingError(f"a long head for a length of {size}, which fits into a short one")
    if start + size > end:
        raise _past_end(start + size, end)
    return start, start + size


def _past_end(stop: int, end: int) -> DecodingError:
    return DecodingError(f"an item that ends {stop - end} bytes after what holds it")


def _not_alone(value: int) -> DecodingError:
    return DecodingError(f"the byte {value:#04x} with a head, though it stands for itself")


def _not_uint(data: bytes, at: int, end: int, size: int) -> DecodingError:
    """Say why the item at ``at`` is no such integer; it never is one when this is called."""
    if 0x80 + size < data[at] < 0xC0:
        return DecodingError(f"an integer of more than {size} bytes")
    try:
        string_bounds(data, at, end)
    except DecodingError as error:
        return error
    return DecodingError("an integer with leading zeros")


# Reading without a schema


def decode(data: bytes | bytearray | memoryview, *, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> Item:
    """Decode the one item that ``data`` is, without a schema: byte strings as bytes, lists as tuples.

    ``max_depth`` bounds how deep lists nest (a list of strings is 1 deep), ``max_items`` how many items there are in all.
    Everything that is not the one right encoding of an item within these bounds raises DecodingError.
    """
    data = as_bytes(data, "what is decoded")
    require_item(data)
    value, stop = run(read_item(data, 0, len(data), budget_of(max_items), max_depth))
    require_end(stop, len(data))
    return value


def read_item(data: bytes, at: int, end: int, budget: list[int], max_depth: int) -> Steps[tuple[Item, int]]:
    """Read in steps the item at ``at`` with all that it holds, and the offset after it; ``budget[0]`` items are left to make."""
    outer: list[tuple[list[Item], int]] = []
    siblings: list[Item] = []
    stop = end
    while True:
        budget[0] -= 1
        if budget[0] < 0:
            raise too_many_items()
        if budget[0] < budget[1]:
            yield
        if data[at] < 0xC0:
            start, at = string_bounds(data, at, stop)
            siblings.append(data[start:at])
        else:
            at, inner = list_bounds(data, at, stop)
            if len(outer) == max_depth:
                raise DecodingError(f"lists nest deeper than {max_depth}")
            outer.append((siblings, stop))
            siblings, stop = [], inner
        while outer and at == stop:
            value = tuple(siblings)
            siblings, stop = outer.pop()
            siblings.append(value)
        if not outer:
            return siblings[0], at


def split_uint(data: bytes | memoryview, at: int = 0) -> tuple[int, int]:
    """Return the 64-bit unsigned integer encoded at ``at`` and the offset after it: a message code, say."""
    require_item(data, at)
    head = bytes(data[at : at + 9])
    value, stop = read_uint(head, 0, len(head), 8)
    return value, at + stop


def first_uint(data: bytes | memoryview) -> int:
    """Return the first element of the list that ``data`` is, a 64-bit unsigned integer: a request id, say.

    The elements behind it are not looked at.
    """
    require_item(data)
    head = bytes(data[:18])  # the longest head of a list, and the longest such integer
    at, stop = list_bounds(head, 0, len(data))
    require_end(stop, len(data))
    if at == stop:
        raise DecodingError("an empty list where a number belongs first")
    return read_uint(head, at, min(stop, len(head)), 8)[0]


def split_item(data: bytes | memoryview, at: int = 0) -> tuple[bytes, int]:
    """Return the encoding of the item at ``at``, and the offset after it, whatever may follow there.

    Only the item's own head is checked; what a list holds is checked by whoever decodes it.
    """
    require_item(data, at)
    end = len(data)
    stop = at + item_end(bytes(data[at : at + 9]), 0, end - at)
    return bytes(data[at:stop]), stop


def require_item(data: bytes | memoryview, at: int = 0) -> None:
    """Raise DecodingError if nothing begins at ``at``."""
    if at >= len(data):
        raise DecodingError("no bytes where an item belongs")


def require_end(stop: int, end: int) -> None:
    """Raise DecodingError if the item ends at ``stop`` and the data, later, at ``end``."""
    if stop != end:
        raise DecodingError(f"{end - stop} bytes after the item's end")


def missing() -> DecodingError:
    """Build the error for a list that ends too early."""
    return DecodingError("missing")


def too_many_items() -> DecodingError:
    """Build the error for bytes that would become more objects than allowed."""
    return DecodingError("more items than one message may hold")


# Finding items in a long list

STRIDE = 16
"""Of how many items ``index_items`` notes where one begins: a note of 4 bytes for at least 16 bytes of items."""

# Small items are what a hostile list is made of, and 16 MiB of them would keep the interpreter busy for seconds. So items of one byte
# are taken a run at a time, and items with up to 255 bytes of content sixteen at a time. Finding the right alternative takes longer the
# larger the item is, and so never long for its size. The last plus sign says that nothing else is tried after a failure: the first bytes
# of an item leave no choice.
_BYTE_ITEMS = re.compile(rb"[\x00-\x80\xc0]{%d,}" % STRIDE)
_SMALL_ITEMS = re.compile(
    rb"(?:[\x00-\x80\xc0]|\x81[\x80-\xff]|\xc1.|%s|[\xb8\xf8](?:%s)){%d}+"
    % (
        b"|".join(b"[\\x%02x\\x%02x].{%d}" % (0x80 + size, 0xC0 + size, size) for size in (32, *range(2, 56))),  # hashes first
        b"|".join(b"\\x%02x.{%d}" % (size, size) for size in range(56, 256)),
        STRIDE,
    ),
    re.DOTALL,
)
_RUN = 128  # items of one byte that are passed over in the time of one that is made
_SIZES = bytes([*[1] * 0x81, 0, *range(3, 57), *[0] * 8, *range(1, 57), *[0] * 8])
"""By the first byte of an item: its size, or 0 where more than that byte must be looked at."""


def index_items(data: bytes, max_items: int, budget: list[int]) -> Steps[tuple[int, Sequence[int]]]:
    """Count in steps the items that ``data`` consists of, checking their heads, and note where every 16th begins.

    More than ``max_items`` items raise DecodingError, at most 16 items behind the last that may be there. The items do not count in the
    budget, but they bring the end of the step nearer, each by as much as it costs beside one that is made.
    """
    starts = array("I" if len(data) < 2**32 else "Q")
    at, end, count = 0, len(data), 0
    byte_items, small_items, sizes = _BYTE_ITEMS.match, _SMALL_ITEMS.match, _SIZES
    while at < end:
        if run := byte_items(data, at, at + max_items - count + STRIDE):
            size = (run.end() - at) // STRIDE * STRIDE
            starts.extend(range(at, at + size, STRIDE))
            at += size
            count += size
            budget[1] += 1 + size // _RUN
        elif small := small_items(data, at):
            starts.append(at)
            at = small.end()
            count += STRIDE
            budget[1] += 1 + STRIDE // 4
        else:
            starts.append(at)
            taken = 0
            while taken < STRIDE and at < end:
                at += sizes[data[at]] or item_end(data, at, end) - at
                taken += 1
            if at > end:
                raise _past_end(at, end)
            count += taken
            budget[1] += taken
        if count > max_items:
            raise DecodingError(f"a list of more than {max_items} items")
        if budget[0] < budget[1]:
            yield
    return count, starts


def is_uniform(data: bytes, start: int, stop: int, head: bytes, width: int) -> bool:
    """Tell whether the region consists of items of ``width`` bytes that all begin with ``head``."""
    count, odd = divmod(stop - start, width)
    return not odd and all(data[start + i : stop : width] == head[i : i + 1] * count for i in range(len(head)))
