"""Annotations as schemas: ``codec(SomeDataclass)`` compiles them once.

What an annotation may be is the list in ``_compile_new``. Recursive schemas are refused, so a schema bounds how deep decoding goes.
"""

import dataclasses
from collections.abc import Generator, Hashable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints, overload

from devp2p.arguments import as_bytes, whole
from devp2p.errors import LocalProtocolError
from devp2p.rlp import ecosystem, formats, items
from devp2p.rlp.formats import UNWRITABLE, Format
from devp2p.rlp.lazy import Lazy, lazy_format
from devp2p.rlp.markers import Bits, Kept, Length, MaxItems, MaxLength
from devp2p.rlp.steps import begin_step, budget_of
from devp2p.rlp.structs import Layout, struct_format

T = TypeVar("T")

_MARKS = (Bits, Length, MaxLength, MaxItems, Kept)
_DEFAULT_BITS = Bits(256)
_UNIONS = (Union, UnionType)


class Codec(Generic[T]):
    """Encodes and decodes values of one schema; ``codec`` makes it."""

    __slots__ = ("_budget", "_read", "_steps", "_write", "schema")

    def __init__(self, schema: object, compiled: Format) -> None:
        self.schema: object = schema
        self._read = compiled.read
        self._steps = compiled.steps
        self._write = compiled.write
        self._budget = budget_of(compiled.budget)

    def encode(self, value: T) -> bytes:
        """Encode ``value``; LocalProtocolError names the field that cannot be encoded."""
        try:
            return self._write(value)
        except UNWRITABLE as error:
            if isinstance(error, LocalProtocolError):
                raise
            raise LocalProtocolError(f"{_name(self.schema)} cannot hold {type(value).__name__}") from error

    def decode(self, data: bytes | bytearray | memoryview, at: int = 0) -> T:
        """Decode the one item that ``data`` is from ``at`` on; anything else raises DecodingError, which names the field.

        The value holds no view of ``data``. Give bytes where you have them: all else is copied first.
        """
        data = as_bytes(data, "what is decoded")
        items.require_item(data, at)
        value: T
        value, stop = self._read(data, at, len(data), self._budget.copy())
        items.require_end(stop, len(data))
        return value

    def decode_in_steps(self, data: bytes) -> Generator[None, None, T]:
        """Decode as `decode` does, by a generator that yields every 512 items and returns the value.

        An event loop can do other things in between: a message may hold items that take a tenth of a second in all.
        """
        if self._steps is None:
            return self.decode(data)
        items.require_item(data)
        budget = self._budget.copy()
        steps = self._steps(data, 0, len(data), budget)
        while True:
            begin_step(budget)
            try:
                next(steps)
            except StopIteration as done:
                value, stop = done.value
                items.require_end(stop, len(data))
                return cast("T", value)
            yield

    def __repr__(self) -> str:
        return f"codec({_name(self.schema)})"


@overload
def codec(schema: type[T]) -> Codec[T]: ...
@overload
def codec(schema: object) -> Codec[Any]: ...
def codec(schema: object) -> Codec[Any]:
    """Return the codec of a schema: a dataclass, or anything that may annotate one of its fields.

    It is compiled at the first call and kept. A schema that cannot be compiled raises LocalProtocolError.
    """
    try:
        return _codec(schema)
    except TypeError:
        if isinstance(schema, Hashable):
            raise
        raise _unfit(schema, "it has no RLP form") from None


@cache
def _codec(schema: object) -> Codec[Any]:
    return Codec(schema, _compile(schema, ()))


# Formats are kept too: a Lazy is written back unchanged only where its items have the very same one.
_formats: dict[object, Format] = {}


def _compile(schema: Any, within: tuple[type, ...]) -> Format:
    """Return the format of one annotation; ``within`` are the dataclasses around it."""
    base, marks = _split(schema)
    key = (base, frozenset(marks.items()))
    if key not in _formats:
        compiled = _compile_new(base, marks, within)
        if marks:
            raise _unfit(base, f"{', '.join(map(repr, marks.values()))} does not apply to it")
        _formats[key] = compiled
    return _formats[key]


def _split(schema: Any) -> tuple[Any, dict[type, Any]]:
    """Take a type and our marks on it apart; marks of others mean nothing here."""
    marks: dict[type, Any] = {}
    while True:
        if hasattr(schema, "__supertype__"):  # typing.NewType
            schema = schema.__supertype__
        elif get_origin(schema) is Annotated:
            marks = {type(mark): mark for mark in schema.__metadata__ if isinstance(mark, _MARKS)} | marks
            schema = schema.__origin__
        else:
            return schema, marks


def _compile_new(base: Any, marks: dict[type, Any], within: tuple[type, ...]) -> Format:
    """Make the format of one type, and remove from ``marks`` what was heeded."""
    origin: Any = get_origin(base)
    kept = marks.pop(Kept, None)
    if kept is Kept.ITEM:
        return formats.raw_format()
    if kept is Kept.REST:
        raise _unfit(base, "Rest can only be the last field of a dataclass")
    if base is bool:
        return formats.bool_format()
    if base is int:
        return formats.uint_format(marks.pop(Bits, _DEFAULT_BITS).bits)
    if base is bytes and Length in marks:
        return formats.fixed_bytes_format(marks.pop(Length).size)
    if base is bytes:
        return formats.bytes_format(_most(marks.pop(MaxLength, None)))
    if base is str:
        return formats.text_format(_most(marks.pop(MaxLength, None)))
    if origin is Lazy:
        return lazy_format(_compile(get_args(base)[0], within), _most(marks.pop(MaxItems, None)))
    if origin is tuple:
        return _compile_tuple(get_args(base), marks, within)
    if _is_dataclass(base):
        return _compile_dataclass(base, within)
    if ecosystem.is_serializable(base):
        return ecosystem.serializable_format(base)
    if origin in _UNIONS:
        return _compile_union(base)
    raise _unfit(base, "it has no RLP form")


def _compile_union(base: Any) -> Format:
    """Make the format of a number or bytes of a length that no such number has, as ``U64 | Bytes32``; nothing else tells itself apart."""
    sides = dict(map(_split, get_args(base)))
    if sides.keys() == {int, bytes} and Length in sides[bytes]:
        bits, size = sides[int].get(Bits, _DEFAULT_BITS).bits, sides[bytes][Length].size
        if size > (bits + 7) // 8:
            return formats.number_or_bytes_format(bits, size)
        raise _unfit(base, f"{size} bytes may be an integer of {bits} bits as well")
    raise _unfit(base, "only `T | None = None` at the end of a dataclass is known, and a number or bytes, as in `U64 | Bytes32`")


def _is_dataclass(schema: object) -> bool:
    return isinstance(schema, type) and get_origin(schema) is None and dataclasses.is_dataclass(schema)


def _compile_tuple(elements: tuple[Any, ...], marks: dict[type, Any], within: tuple[type, ...]) -> Format:
    if len(elements) == 2 and elements[1] is ...:
        return formats.sequence_format(_compile(elements[0], within), _most(marks.pop(MaxItems, None)))
    return formats.record_format(tuple(_compile(element, within) for element in elements))


def _compile_dataclass(cls: type, within: tuple[type, ...]) -> Format:
    if cls in within:
        raise _unfit(cls, "it contains itself; use Raw for the inner one")
    within = (*within, cls)
    fields = _fields(cls)
    compiled: list[Format] = []
    required = 0
    has_rest = bool(fields) and Kept.REST in _split(fields[-1][1])[1].values()
    for name, hint, default in fields[: len(fields) - has_rest]:
        inner = _optional(hint)
        if inner is None and required < len(compiled):
            raise _unfit(cls, f"field {name} comes after optional ones, so it must be optional (`T | None = None`) too")
        if inner is not None and default is not None:
            raise _unfit(cls, f"the default of the optional field {name} must be None, which is what an absent element means")
        try:
            compiled.append(_compile(hint if inner is None else inner, within))
        except LocalProtocolError as error:
            raise LocalProtocolError(f"{cls.__name__}.{name}: {error}") from None
        required += inner is None
    budget = getattr(cls, "rlp_max_items", items.MAX_ITEMS)
    whole(budget, f"rlp_max_items of {cls.__name__}")
    nested = bool(getattr(cls, "rlp_nested", False))
    if nested and not required:
        raise _unfit(cls, "rlp_nested needs a first field that is always there")
    return struct_format(
        Layout(
            cls=cls,
            names=tuple(name for name, *_ in fields),
            formats=tuple(compiled),
            required=required,
            has_rest=has_rest,
            strict=bool(getattr(cls, "rlp_strict", False)),
            nested=nested,
            keywords=any(field.kw_only for field in dataclasses.fields(cls)),
            budget=budget,
        )
    )


def _fields(cls: type) -> list[tuple[str, Any, object]]:
    """Return name, annotation and default of every field, in order."""
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise LocalProtocolError(
            f"{cls.__qualname__}: the annotation {error.name!r} cannot be resolved; it must be a name of the module "
            f"{cls.__module__} (not local to a function, nor imported for type checkers only)"
        ) from error
    if any(isinstance(hint, dataclasses.InitVar) for hint in hints.values()):
        raise _unfit(cls, "arguments of its constructor that are not fields (InitVar) cannot be read from bytes")
    fields = dataclasses.fields(cls)
    for field in fields:
        if not field.init:
            raise _unfit(cls, f"the field {field.name} is no argument of its constructor")
    return [(field.name, hints[field.name], field.default) for field in fields]


def _optional(hint: Any) -> Any:
    """Return T for ``T | None``, else None."""
    arguments = get_args(hint)
    if get_origin(hint) in _UNIONS and len(arguments) == 2 and NoneType in arguments:
        return arguments[arguments[0] is NoneType]
    return None


def _most(mark: MaxLength | MaxItems | None) -> int | None:
    if mark is None:
        return None
    return mark.size if isinstance(mark, MaxLength) else mark.count


def _unfit(schema: object, why: str) -> LocalProtocolError:
    return LocalProtocolError(f"{_name(schema)} cannot be a schema: {why}")


def _name(schema: object) -> str:
    return schema.__qualname__ if isinstance(schema, type) and get_origin(schema) is None else str(schema)
