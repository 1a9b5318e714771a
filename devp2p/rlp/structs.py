"""Dataclasses as lists: how their fields are read and written.

The work is in two layers. ``fields_format`` turns a list of items into a list of values and back, with optional values at the end,
a rest, and names for errors. ``struct_format`` puts a class on top, and where the class asks for it (``rlp_nested``) a second
list in between.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, NoReturn

from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.rlp import items
from devp2p.rlp.formats import UNWRITABLE, Format, Stepper, Writer, take, write_elements, write_raw
from devp2p.rlp.steps import Steps, run

MAX_IGNORED = 64
"""How many elements behind the fields of a list are ignored. Later versions of a message add a few, which are to be ignored; a list of
thousands is there to cost time, since each must be found to end where the list still goes on."""
_DESCRIBED = 1024  # items of a list that are looked at to say what it has


class Layout(NamedTuple):
    """What the annotations of one dataclass say."""

    cls: type
    names: tuple[str, ...]
    """Of all fields, in the order of the wire; a field for the rest is the last."""
    formats: tuple[Format, ...]
    """Of the same fields, the one for the rest not among them."""
    required: int
    """How many of these are always there; the others are optional."""
    has_rest: bool
    """Whether the last field takes all further elements."""
    strict: bool
    """Whether elements that no field takes are an error."""
    nested: bool
    """Whether the fields after the first are in a list of their own: ``[a, [b, c]]``."""
    keywords: bool
    """Whether a field can be given by name only."""
    budget: int


def struct_format(layout: Layout) -> Format:
    """Make the format of one dataclass."""
    cls, names, formats, required, has_rest, strict, nested, *_ = layout
    labels = tuple(f"{cls.__name__}.{name}" for name in names) or (cls.__name__,)
    if nested:
        second = f"{cls.__name__}[1]"
        inner = fields_format(labels[1:] or (second,), formats[1:], required - 1, has_rest=has_rest, strict=strict)
        fields = _unnested(fields_format((labels[0], second), (formats[0], inner), 2, has_rest=False, strict=strict))
    else:
        fields = fields_format(labels, formats, required, has_rest=has_rest, strict=strict)
    read_fields, write_fields = fields.read, fields.write
    get, keywords = _getter(names), layout.keywords
    weight = 1 + nested + sum(format_.weight for format_ in formats)

    def make(values: list[Any]) -> Any:
        try:
            return cls(**dict(zip(names, values, strict=False))) if keywords else cls(*values)
        except (ValueError, LocalProtocolError) as error:  # the class itself refuses such values
            raise DecodingError(f"{cls.__name__}: {error}") from error

    def read(data: bytes, at: int, end: int, budget: list[int], /) -> tuple[Any, int]:
        values, stop = read_fields(data, at, end, budget)
        try:  # as `make` does, whose call would cost time here
            return (cls(**dict(zip(names, values, strict=False))) if keywords else cls(*values)), stop
        except (ValueError, LocalProtocolError) as error:
            raise DecodingError(f"{cls.__name__}: {error}") from error

    def write(value: Any, /) -> bytes:
        if not isinstance(value, cls):
            raise LocalProtocolError(f"{type(value).__name__} where {cls.__name__} belongs")
        return write_fields(get(value))

    if (fields_in_steps := fields.steps) is None:
        return Format(read, write, weight=weight, budget=layout.budget)

    def steps(data: bytes, at: int, end: int, budget: list[int], /) -> Steps[tuple[Any, int]]:
        values, stop = yield from fields_in_steps(data, at, end, budget)
        return make(values), stop

    return Format(read, write, weight=weight, budget=layout.budget, steps=steps)


def _unnested(outer: Format) -> Format:
    """Present the values of ``[a, [b, c]]`` as a, b, c."""

    def read(data: bytes, at: int, end: int, budget: list[int], /) -> tuple[list[Any], int]:
        (first, others), stop = outer.read(data, at, end, budget)
        return [first, *others], stop

    def write(values: tuple[Any, ...], /) -> bytes:
        return outer.write((values[0], values[1:]))

    if (outer_in_steps := outer.steps) is None:
        return Format(read, write)

    def steps(data: bytes, at: int, end: int, budget: list[int], /) -> Steps[tuple[list[Any], int]]:
        (first, others), stop = yield from outer_in_steps(data, at, end, budget)
        return [first, *others], stop

    return Format(read, write, steps=steps)


def fields_format(labels: Sequence[str], formats: Sequence[Format], required: int, *, has_rest: bool, strict: bool) -> Format:
    """Make the format of a list of different values, which it reads as a list and writes from a tuple.

    ``labels`` name the values in errors; if there are none, the one label names the list.
    """
    readers = [format_.read for format_ in formats]
    writers = [format_.write for format_ in formats]
    size = len(formats)
    ignore_further = _refuse_further if strict else _ignore_further
    list_bounds, encode_list = items.list_bounds, items.encode_list

    def read(data: bytes, at: int, end: int, budget: list[int], /) -> tuple[list[Any], int]:
        at, stop = list_bounds(data, at, end)
        values: list[Any] = []
        try:
            for reader in readers:
                if at == stop:
                    break
                value, at = reader(data, at, stop, budget)
                values.append(value)
        except DecodingError as error:
            raise DecodingError(f"{labels[len(values)]}: {error}") from None
        if len(values) < required:
            raise DecodingError(f"{labels[len(values)]}: missing")
        if has_rest:
            values += [None] * (size - len(values))
            values.append(run(_read_further(data, at, stop, budget, labels[-1])))
        elif at != stop:
            ignore_further(data, at, stop, budget, labels[-1])
        return values, stop

    def write(values: tuple[Any, ...], /) -> bytes:
        present = writers
        if required < size and not (has_rest and values[-1]):
            count = size
            while count > required and values[count - 1] is None:
                count -= 1
            present = writers[:count]
        try:
            parts = [write_one(value) for write_one, value in zip(present, values)]  # noqa: B905 -- a keyword costs time here
            if has_rest:
                parts += write_elements(values[-1], write_raw, None)
        except UNWRITABLE:
            fields = [*zip(labels, present, values, strict=False)]
            _explain([*fields, (labels[-1], _write_rest, values[-1])] if has_rest else fields)
        return encode_list(b"".join(parts))

    is_long = has_rest or any(format_.steps for format_ in formats)
    return Format(read, write, steps=_fields_in_steps(labels, formats, required, has_rest=has_rest, strict=strict) if is_long else None)


def _fields_in_steps(labels: Sequence[str], formats: Sequence[Format], required: int, *, has_rest: bool, strict: bool) -> Stepper:
    """Do in steps what the reader of `fields_format` does at once."""
    ignore_further = _refuse_further if strict else _ignore_further

    def steps(data: bytes, at: int, end: int, budget: list[int], /) -> Steps[tuple[list[Any], int]]:
        at, stop = items.list_bounds(data, at, end)
        values: list[Any] = []
        try:
            for format_ in formats:
                if at == stop:
                    break
                if format_.steps is None:
                    value, at = format_.read(data, at, stop, budget)
                else:
                    value, at = yield from format_.steps(data, at, stop, budget)
                values.append(value)
        except DecodingError as error:
            raise DecodingError(f"{labels[len(values)]}: {error}") from None
        if len(values) < required:
            raise DecodingError(f"{labels[len(values)]}: missing")
        if has_rest:
            values += [None] * (len(formats) - len(values))
            values.append((yield from _read_further(data, at, stop, budget, labels[-1])))
        elif at != stop:
            ignore_further(data, at, stop, budget, labels[-1])
        return values, stop

    return steps


def _read_further(data: bytes, at: int, stop: int, budget: list[int], label: str) -> Steps[tuple[bytes, ...]]:
    """Read in steps the encodings of all items from ``at`` on."""
    encodings: list[bytes] = []
    try:
        while at < stop:
            take(budget, 1)
            if budget[0] < budget[1]:
                yield
            start, at = at, items.item_end(data, at, stop)
            encodings.append(data[start:at])
    except DecodingError as error:
        raise DecodingError(f"{label}: {error}") from None
    return tuple(encodings)


def _refuse_further(_data: bytes, _at: int, _stop: int, _budget: list[int], label: str) -> None:
    raise DecodingError(f"more elements than {label}")


def _ignore_further(data: bytes, at: int, stop: int, budget: list[int], label: str) -> None:
    """Walk over the heads of all items from ``at`` on; they count as made, so that many lists of a few are bounded too."""
    count = 0
    try:
        while at < stop:
            if count == MAX_IGNORED:
                raise DecodingError(f"more than {MAX_IGNORED}")
            at = items.item_end(data, at, stop)
            count += 1
        take(budget, count)
    except DecodingError as error:
        raise DecodingError(f"elements behind {label}: {error}") from None


def _write_rest(value: Sequence[bytes]) -> bytes:
    return b"".join(write_elements(value, write_raw, None))


def _explain(fields: Sequence[tuple[str, Writer, Any]]) -> NoReturn:
    """Find out which of the fields cannot be written, and say so."""
    for label, write, value in fields:
        try:
            write(value)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"{label}: {error}") from error
        except UNWRITABLE as error:
            raise LocalProtocolError(f"{label} cannot hold {_describe(value)}") from error
    raise LocalProtocolError(f"a value that changed while it was written: {', '.join(label for label, *_ in fields)}")


def _describe(value: Any) -> str:
    kind = type(value).__name__
    if value is None:
        return "None"
    if issubclass(type(value), Sequence) and not hasattr(value, "isascii"):  # a list of whatever kind, but neither text nor bytes
        kinds = dict.fromkeys(type(item).__name__ for item in value[:_DESCRIBED])
        return f"{kind} of {', '.join(kinds) or 'nothing'}"
    return f"{kind} ({value!r})" if isinstance(value, int | float | str) else kind


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what takes the values of all fields out of an object."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple([getattr(value, name) for name in names])
