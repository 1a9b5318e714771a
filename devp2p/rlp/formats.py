"""How one kind of value is read and written: closures for byte strings, integers, text, truth values and tuples.

A schema is compiled once into a tree of these closures (see ``schema.py``); what is left for each value is calls without any
lookup. A reader takes ``(data, at, end, budget)`` with ``at < end <= len(data)``, returns the value and the offset after it, and
raises DecodingError and nothing else. ``budget`` comes from ``steps.budget_of``. A writer takes a value and returns its encoding; what
it cannot write raises one of ``UNWRITABLE``, which the writer of the dataclass around it turns into a LocalProtocolError with a name in it.

Values that can hold any number of items can also be read in steps, by a generator that yields once ``steps.SLICE`` items were read, so
that whoever takes the steps can do other things in between. What is small is read at once there, too.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.rlp import items
from devp2p.rlp.steps import SLICE, Steps, at_once

Reader: TypeAlias = Callable[[bytes, int, int, list[int]], tuple[Any, int]]
Stepper: TypeAlias = Callable[[bytes, int, int, list[int]], Steps[tuple[Any, int]]]
Writer: TypeAlias = Callable[[Any], bytes]

UNWRITABLE = (LocalProtocolError, TypeError, ValueError, AttributeError, OverflowError)
"""What a writer raises for a value that is not of its kind; duck typing decides what is."""


class Format(NamedTuple):
    """One compiled schema."""

    read: Reader
    write: Writer
    weight: int = 1
    """How many items a value is made of, what tuples hold not counted."""
    head: bytes = b""
    """What every encoding begins with, where all have one size; else empty."""
    width: int = 0
    """That size, else 0."""
    budget: int = items.MAX_ITEMS
    """How many items one decoding may make."""
    steps: Stepper | None = None
    """What reads in steps; None where reading is short whatever the bytes are."""


def uint_format(bits: int) -> Format:
    """Make the format of integers from 0 to ``2**bits - 1``, for 1 to 256 bits."""
    size, limit = (bits + 7) >> 3, 1 << bits
    encode_uint, read_uint = items.encode_uint, items.read_uint

    def read(data: bytes, at: int, end: int, _budget: list[int], /) -> tuple[int, int]:
        value, stop = read_uint(data, at, end, size)
        if value >= limit:
            raise DecodingError(f"an integer of more than {bits} bits")
        return value, stop

    def write(value: int, /) -> bytes:
        if 0 <= value < limit:
            return encode_uint(value)
        raise LocalProtocolError(f"{value} is not an integer of {bits} bits")

    return Format(read, write)


def bytes_format(most: int | None) -> Format:
    """Make the format of byte strings, of at most ``most`` bytes."""
    string_bounds, encode_bytes = items.string_bounds, items.encode_bytes
    most = sys.maxsize if most is None else most

    def read(data: bytes, at: int, end: int, _budget: list[int], /) -> tuple[bytes, int]:
        start, stop = string_bounds(data, at, end)
        if stop - start > most:
            raise DecodingError(_too_long(stop - start, most))
        return data[start:stop], stop

    def write(value: bytes, /) -> bytes:
        if value.__class__ is not bytes:
            value = as_bytes(value)
        if len(value) > most:
            raise LocalProtocolError(_too_long(len(value), most))
        return encode_bytes(value)

    return Format(read, write)


def fixed_bytes_format(size: int) -> Format:
    """Make the format of byte strings of exactly ``size`` bytes."""
    if size < 2:  # one byte may stand alone, so encodings of these differ in size
        return _tiny_bytes_format(size)
    head = items.string_head(size)
    skip, width = len(head), len(head) + size

    def read(data: bytes, at: int, end: int, _budget: list[int], /) -> tuple[bytes, int]:
        start, stop = at + skip, at + width
        if stop > end or data[at:start] != head:
            start, stop = items.string_bounds(data, at, end)
            raise DecodingError(_wrong_size(stop - start, size))
        return data[start:stop], stop

    def write(value: bytes, /) -> bytes:
        if value.__class__ is not bytes:
            value = as_bytes(value)
        if len(value) != size:
            raise LocalProtocolError(_wrong_size(len(value), size))
        return head + value

    return Format(read, write, head=head, width=width)


def number_or_bytes_format(bits: int, size: int) -> Format:
    """Make the format of either an integer of ``bits`` bits or exactly ``size`` bytes, which are more than such an integer has."""
    number, fixed = uint_format(bits), fixed_bytes_format(size)
    string_bounds = items.string_bounds

    def read(data: bytes, at: int, end: int, budget: list[int], /) -> tuple[int | bytes, int]:
        start, stop = string_bounds(data, at, end)
        return (fixed if stop - start == size else number).read(data, at, end, budget)

    def write(value: int | bytes, /) -> bytes:
        return number.write(value) if isinstance(value, int) else fixed.write(value)

    return Format(read, write)


def _tiny_bytes_format(size: int) -> Format:
    general = bytes_format(None)

    def read(data: bytes, at: int, end: int, budget: list[int], /) -> tuple[bytes, int]:
        value, stop = general.read(data, at, end, budget)
        if len(value) != size:
            raise DecodingError(_wrong_size(len(value), size))
        return value, stop

    def write(value: bytes, /) -> bytes:
        value = as_bytes(value)
        if len(value) != size:
            raise LocalProtocolError(_wrong_size(len(value), size))
        return general.write(value)

    return Format(read, write)


def text_format(most: int | None) -> Format:
    """Make the format of UTF-8 text, of at most ``most`` bytes."""
    read_bytes, write_bytes, *_ = bytes_format(most)

    def read(data: bytes, at: int, end: int, budget: list[int], /) -> tuple[str, int]:
        value, stop = read_bytes(data, at, end, budget)
        try:
            return value.decode(), stop
        except UnicodeDecodeError as error:
            raise DecodingError(f"text that is not UTF-8: {error.reason}") from None

    def write(value: str, /) -> bytes:
        return write_bytes(value.encode())

    return Format(read, write)


def bool_format() -> Format:
    """Make the format of truth values, which are the integers 0 and 1."""

    def read(data: bytes, at: int, end: int, _budget: list[int], /) -> tuple[bool, int]:
        head = data[at]
        if head == 0x01:
            return True, at + 1
        if head == 0x80:
            return False, at + 1
        items.string_bounds(data, at, end)
        raise DecodingError("a truth value that is neither 0 nor 1")

    def write(value: bool, /) -> bytes:  # noqa: FBT001 -- the value is what this is about
        if value is True:
            return b"\x01"
        if value is False:
            return b"\x80"
        raise TypeError(value)

    return Format(read, write)


def raw_format() -> Format:
    """Make the format of items that stay encoded."""

    def read(data: bytes, at: int, end: int, _budget: list[int], /) -> tuple[bytes, int]:
        stop = items.item_end(data, at, end)
        return data[at:stop], stop

    return Format(read, write_raw)


def write_raw(value: bytes) -> bytes:
    """Return ``value``, having checked that it is the encoding of one item."""
    value = as_bytes(value)
    try:
        items.require_item(value)
        items.require_end(items.item_end(value, 0, len(value)), len(value))
    except DecodingError as error:
        raise LocalProtocolError(f"not the encoding of one item: {error}") from error
    return value


def sequence_format(element: Format, most: int | None) -> Format:
    """Make the format of ``tuple[T, ...]``, of at most ``most`` elements."""
    read_element, write_element, weight, head, width, _, element_in_steps = element
    skip = len(head)

    def read(data: bytes, at: int, end: int, budget: list[int], /) -> tuple[tuple[Any, ...], int]:
        at, stop = items.list_bounds(data, at, end)
        if width and items.is_uniform(data, at, stop, head, width):
            count = (stop - at) // width
            take(budget, count)
            require_few(count, most)
            return tuple([data[i : i + width - skip] for i in range(at + skip, stop, width)]), stop
        values: list[Any] = []
        try:
            while at < stop:
                budget[0] -= weight
                if budget[0] < 0:
                    raise items.too_many_items()
                value, at = read_element(data, at, stop, budget)
                values.append(value)
                if most is not None and len(values) > most:
                    require_few(len(values), most)
        except DecodingError as error:
            raise DecodingError(f"item {len(values)}: {error}") from None
        return tuple(values), stop

    def steps(data: bytes, at: int, end: int, budget: list[int], /) -> Steps[tuple[tuple[Any, ...], int]]:
        at, stop = items.list_bounds(data, at, end)
        values: list[Any] = []
        if width and items.is_uniform(data, at, stop, head, width):
            take(budget, (stop - at) // width)
            require_few((stop - at) // width, most)
            for first in range(at + skip, stop, width * SLICE):
                values += [data[i : i + width - skip] for i in range(first, min(first + width * SLICE, stop), width)]
                yield
            return tuple(values), stop
        try:
            while at < stop:
                budget[0] -= weight
                if budget[0] < 0:
                    raise items.too_many_items()
                if budget[0] < budget[1]:
                    yield
                if element_in_steps is None or items.item_end(data, at, stop) - at <= SLICE:
                    value, at = read_element(data, at, stop, budget)
                else:
                    value, at = yield from element_in_steps(data, at, stop, budget)
                values.append(value)
                if most is not None and len(values) > most:
                    require_few(len(values), most)
        except DecodingError as error:
            raise DecodingError(f"item {len(values)}: {error}") from None
        return tuple(values), stop

    def write(value: Any, /) -> bytes:
        return items.encode_list(b"".join(write_elements(value, write_element, most)))

    return Format(read, write, steps=steps)


def record_format(elements: tuple[Format, ...]) -> Format:
    """Make the format of ``tuple[A, B]``, a list with just these elements."""
    writers = [element.write for element in elements]

    def steps(data: bytes, at: int, end: int, budget: list[int], /) -> Steps[tuple[tuple[Any, ...], int]]:
        at, stop = items.list_bounds(data, at, end)
        values: list[Any] = []
        try:
            for element in elements:
                if at == stop:
                    raise items.missing()
                if element.steps is None:
                    value, at = element.read(data, at, stop, budget)
                else:
                    value, at = yield from element.steps(data, at, stop, budget)
                values.append(value)
        except DecodingError as error:
            raise DecodingError(f"item {len(values)}: {error}") from None
        items.require_end(at, stop)
        return tuple(values), stop

    def write(value: Any, /) -> bytes:
        if isinstance(value, bytes | str) or len(value) != len(writers):
            raise LocalProtocolError(f"not a tuple of {len(writers)}: {type(value).__name__}")
        return items.encode_list(b"".join([writer(item) for writer, item in zip(writers, value, strict=True)]))

    weight = 1 + sum(element.weight for element in elements)
    is_long = any(element.steps for element in elements)
    return Format(at_once(steps), write, weight, steps=steps if is_long else None)


def write_elements(value: Any, write: Writer, most: int | None) -> list[bytes]:
    """Write each element of a list, a tuple or what else is a sequence of values, and of at most ``most``."""
    if isinstance(value, bytes | str):
        raise TypeError(value)
    parts = list(map(write, value))
    if most is not None and len(parts) > most:
        raise LocalProtocolError(f"{len(parts)} items where at most {most} are allowed")
    return parts


def as_bytes(value: "bytes | bytearray | memoryview") -> bytes:
    """Return any bytes-like object as bytes, and refuse all else by TypeError."""
    return value if isinstance(value, bytes) and value.__class__ is bytes else bytes(memoryview(value))


def take(budget: list[int], count: int) -> None:
    """Take ``count`` items from the budget, or raise DecodingError."""
    budget[0] -= count
    if budget[0] < 0:
        raise items.too_many_items()


def require_few(count: int, most: int | None) -> None:
    """Raise DecodingError for a list of more than ``most`` items."""
    if most is not None and count > most:
        raise DecodingError(f"a list of more than {most} items")


def _too_long(size: int, most: int) -> str:
    return f"{size} bytes where at most {most} are allowed"


def _wrong_size(size: int, wanted: int) -> str:
    return f"{size} bytes where {wanted} belong"
