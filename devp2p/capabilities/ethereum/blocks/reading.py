"""The elements of an RLP list, taken one after another: for what is decoded so often that a schema would take too long."""

from collections.abc import Sequence
from sys import maxsize
from typing import Self

from devp2p import DecodingError
from devp2p.rlp import item_end, list_bounds, read_uint, split_items, string_bounds


class Fields:
    """A place in the content of a list. Each method reads the next element and goes past it; DecodingError if it is another kind."""

    __slots__ = ("at", "begun", "data", "end", "start")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        """`at` and `end` say where the content of the list begins and ends."""
        self.data: bytes = data
        self.at: int = at
        self.begun: int = at
        self.start: int = at
        self.end: int = end

    @classmethod
    def of(cls, data: bytes, at: int = 0) -> Self:
        """Go into the list that `data` is from `at` to its end; DecodingError if it is none, or ends elsewhere."""
        if at >= len(data):
            raise DecodingError("no bytes where a list belongs")
        start, stop = list_bounds(data, at, len(data))
        if stop != len(data):
            raise DecodingError(f"{len(data) - stop} bytes after the list's end")
        return cls(data, start, stop)

    def __bool__(self) -> bool:
        """Whether there is another element."""
        return self.at < self.end

    def uint(self, size: int = 32) -> int:
        """Take an integer of at most `size` bytes."""
        at = self.begun = self.at
        if at >= self.end:
            raise DecodingError("missing")
        value, self.at = read_uint(self.data, at, self.end, size)
        return value

    def string(self, most: int = maxsize) -> bytes:
        """Take a byte string of at most `most` bytes."""
        at = self.begun = self.at
        if at >= self.end:
            raise DecodingError("missing")
        start, self.at = string_bounds(self.data, at, self.end)
        if self.at - start > most:
            raise DecodingError(f"{self.at - start} bytes, more than {most}")
        return self.data[start : self.at]

    def fixed(self, size: int) -> bytes:
        """Take a byte string of `size` bytes."""
        value = self.string()
        if len(value) != size:
            raise DecodingError(f"{len(value)} bytes instead of {size}")
        return value

    def list(self) -> "Fields":
        """Take a list, to be gone into."""
        at = self.begun = self.at
        if at >= self.end:
            raise DecodingError("missing")
        start, self.at = list_bounds(self.data, at, self.end)
        return Fields(self.data, start, self.at)

    def item(self) -> bytes:
        """Take whatever comes, as its encoding. Of a list only the head is checked."""
        at = self.begun = self.at
        if at >= self.end:
            raise DecodingError("missing")
        self.at = item_end(self.data, at, self.end)
        return self.data[at : self.at]

    def items(self, most: int) -> tuple[bytes, ...]:
        """Take a list, each item of it as its encoding; more than `most` raise DecodingError."""
        inner = self.list()
        return tuple(split_items(inner.data, inner.at, inner.end, most))

    def strings(self, size: int, most: int) -> tuple[bytes, ...]:
        """Take a list of byte strings of `size` bytes each; more than `most` raise DecodingError."""
        inner = self.list()
        found: list[bytes] = []
        while inner.at < inner.end:
            if len(found) == most:
                raise DecodingError(f"a list of more than {most} items")
            found.append(inner.fixed(size))
        return tuple(found)

    def close(self) -> None:
        """Raise DecodingError if there is another element."""
        self.begun = self.at
        if self.at < self.end:
            raise DecodingError("more elements than belong here")

    def named(self, what: str, names: Sequence[str], error: DecodingError) -> DecodingError:
        """Say of an error in which element of `what` it arose, the one that was begun last; `names` are those of the elements, in order."""
        at, index = self.start, 0
        while at < self.begun:
            at = item_end(self.data, at, self.end)
            index += 1
        return DecodingError(f"{what}, {names[index] if index < len(names) else f'element {index + 1}'}: {error}")


def envelope_of(item: bytes) -> bytes:
    """Return the consensus encoding (EIP-2718) of a transaction as it stands in a list; DecodingError if it can be none.

    A legacy transaction is a list, any other a byte string. The same list within a byte string would have the same place in a trie, so it
    is refused: a block has one encoding.
    """
    if item[0] >= 0xC0:
        return item
    start, stop = string_bounds(item, 0, len(item))
    if stop - start < 2 or item[start] >= 0x80:
        raise DecodingError("neither a legacy transaction nor one with a type")
    return item[start:stop]
