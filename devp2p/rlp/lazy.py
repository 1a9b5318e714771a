"""Long lists that stay encoded: ``Lazy[T]``.

A list of empty lists costs 65 times its encoded size once it is made of objects. So a field annotated ``Lazy[Header]`` keeps its
bytes, and reading it only walks once over the heads of its items: that fixes how many there are, and that they fill the list
exactly. The walk takes its time too, so it ends in an error behind 65,536 items unless ``MaxItems`` says otherwise. An item is
decoded whenever it is asked for, and not kept. Where every 16th item begins is noted, so that any item can be found in a few steps;
items that all have one size need no notes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar, cast, overload

from devp2p.arguments import several
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.rlp import items
from devp2p.rlp.formats import Format, require_few, write_elements
from devp2p.rlp.steps import Steps, at_once, budget_of

T_co = TypeVar("T_co", covariant=True)


class Lazy(Sequence[T_co]):
    """A sequence that decodes an item when it is asked for.

    ``Lazy(values)`` makes one for sending; where a field is annotated ``Lazy[T]``, any other sequence of T, such as a tuple, is
    encoded just as well. One that was received writes its bytes back unchanged. Such a field holds at most 65,536 items;
    ``Annotated[Lazy[T], MaxItems(n)]`` raises or lowers that.

    Taking an item out of a received one (by index, slice or iteration, in a comparison or for a hash) raises DecodingError if its
    bytes are not a T. The length is known and true from the start. Lazy sequences, tuples and lists of equal items are equal.

    ``Lazy.encoded(items)`` makes one for sending of items that are encoded already: see there.
    """

    __slots__ = ("_items",)

    def __init__(self, values: Iterable[T_co] = ()) -> None:
        self._items: tuple[T_co, ...] | _Region | _Encodings = (
            values if isinstance(values, _Region | _Encodings) else several(values, "Lazy")
        )

    @classmethod
    def encoded(cls, values: Iterable[bytes]) -> "Lazy[Any]":
        """Make one for sending of items that are encoded already, each as one RLP item, which is trusted.

        To encode 50,000 small objects takes 80 ms, in which nothing else happens: who has that many encodes them bit by bit beforehand, and
        hands them over so. LocalProtocolError for whoever takes an item out.
        """
        return Lazy(cast("Iterable[Any]", _Encodings(several(values, "Lazy.encoded"))))

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> T_co | tuple[T_co, ...]:
        if isinstance(self._items, tuple):
            return self._items[index]
        if isinstance(index, slice):
            return tuple([self._items.value(i) for i in range(len(self))[index]])
        return cast("T_co", self._items.value(range(len(self))[index]))

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._items)

    def encodings(self) -> Iterator[bytes]:
        """Iterate over the items as they were received, undecoded: what to hash, or to hand on.

        Raises LocalProtocolError for a sequence that was made from values.
        """
        if isinstance(self._items, tuple):
            raise LocalProtocolError("these items were made here and have not been encoded")
        return self._items.encodings()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lazy | tuple | list):
            return NotImplemented
        theirs = cast("Sequence[object]", other)
        if _encoded_alike(self, theirs):
            return True
        return len(self) == len(theirs) and all(mine == their for mine, their in zip(self, theirs, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        if isinstance(self._items, tuple):
            return f"Lazy({self._items!r})"
        return f"<Lazy: {len(self)} items in {len(self._items.data)} bytes>"


class _Encodings:
    """Items that were given as their encodings."""

    __slots__ = ("count", "data")

    def __init__(self, values: Sequence[bytes]) -> None:
        self.data = b"".join(values)
        self.count = len(values)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return iter([self.value(index) for index in range(self.count)])

    def value(self, index: int) -> NoReturn:
        raise LocalProtocolError(f"item {index} of {self.count} that were given encoded: take it out by encodings()")

    def encodings(self) -> Iterator[bytes]:
        return _split(self.data)


class _Region:
    """The encoded items of one list, and where they are."""

    __slots__ = ("count", "data", "format", "starts", "stride")

    def __init__(self, data: bytes, format_: Format, count: int, starts: Sequence[int], stride: int) -> None:
        """``starts``: where every ``stride``-th of the ``count`` items begins."""
        self.data = data
        self.format = format_
        self.count = count
        self.starts = starts
        self.stride = stride

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        at, end, read, budget = 0, len(self.data), self.format.read, self.format.budget
        index = 0
        while at < end:
            try:
                value, at = read(self.data, at, end, budget_of(budget))
            except DecodingError as error:
                raise _named(index, error) from None
            yield value
            index += 1

    def value(self, index: int) -> Any:
        """Decode the item at ``index``, which is in range."""
        near, further = divmod(index, self.stride)
        at, end = self.starts[near], len(self.data)
        for _ in range(further):
            at = items.item_end(self.data, at, end)
        try:
            return self.format.read(self.data, at, end, budget_of(self.format.budget))[0]
        except DecodingError as error:
            raise _named(index, error) from None

    def encodings(self) -> Iterator[bytes]:
        return _split(self.data)


def _split(data: bytes) -> Iterator[bytes]:
    at, end = 0, len(data)
    while at < end:
        start, at = at, items.item_end(data, at, end)
        yield data[start:at]


def _region(value: object) -> _Region | None:
    """Return the bytes behind a sequence, if it is one that was received."""
    inner: object = getattr(value, "_items", None)
    return inner if isinstance(inner, _Region) else None


def _encoded_alike(one: object, other: object) -> bool:
    mine, theirs = _region(one), _region(other)
    return mine is not None and theirs is not None and mine.format is theirs.format and mine.data == theirs.data


def _named(index: int, error: DecodingError) -> DecodingError:
    return DecodingError(f"item {index}: {error}")


def lazy_format(element: Format, most: int | None) -> Format:
    """Make the format of ``Lazy[T]``, of at most ``most`` items; None stands for 65,536."""
    most = items.MAX_ITEMS if most is None else most

    head, width = element.head, element.width

    def steps(data: bytes, at: int, end: int, budget: list[int], /) -> Steps[tuple[Lazy[Any], int]]:
        start, stop = items.list_bounds(data, at, end)
        content = data[start:stop]
        if width and items.is_uniform(content, 0, len(content), head, width):
            require_few(len(content) // width, most)
            return Lazy(_Region(content, element, len(content) // width, range(0, len(content), width), 1)), stop
        count, starts = yield from items.index_items(content, most, budget)
        return Lazy(_Region(content, element, count, starts, items.STRIDE)), stop

    def write(value: Sequence[Any], /) -> bytes:
        region = _region(value)
        if region is not None and region.format is element and region.count <= most:
            return items.encode_list(region.data)
        given: object = getattr(value, "_items", None)
        if isinstance(given, _Encodings) and given.count <= most:
            return items.encode_list(given.data)
        return items.encode_list(b"".join(write_elements(value, element.write, most)))

    return Format(at_once(steps), write, steps=steps)
