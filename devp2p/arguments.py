"""What callers give, checked where it comes in: types, numbers, and lists that are more than one text (pure).

A wrong type is a TypeError, as everywhere in Python, and a number that cannot be is a LocalProtocolError. Each message names the
argument, what is wrong with it, and what to write instead. Bytes of strangers do not come here: decoders have errors of their own.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from devp2p.errors import LocalProtocolError

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_MOST_SHOWN: Final = 80  # characters of what was given


class NotText(Protocol[T_co]):
    """A list, tuple, set or the like. Text is none for type checkers: it cannot be asked whether it contains just any object."""

    def __iter__(self) -> Iterator[T_co]: ...
    def __contains__(self, value: object, /) -> bool: ...


Several: TypeAlias = NotText[T] | Iterator[T]
"""Any number of things, but not one text, which would be taken for its letters."""


def require(value: object, kind: type | tuple[type, ...], what: str, hint: str = "") -> None:
    """Raise TypeError if a value is of the wrong type. `what` says what belongs there, such as ``"key is a PrivateKey"``.

    The value is not shown, since it may be a secret.
    """
    if not isinstance(value, kind):
        if isinstance(value, type) and issubclass(value, kind):
            hint = f"write {value.__name__}()"
        raise TypeError(f"{what}, not {named(value)}" + (f": {hint}" if hint else ""))


def named(value: object) -> str:
    """What kind of thing a value is."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    return kind if isinstance(value, bytes | bytearray) else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def several(values: "Iterable[T]", what: str) -> tuple[T, ...]:
    """Take a list, or anything like one; TypeError for a text, or for one thing that stands alone."""
    if isinstance(values, str):
        raise TypeError(f"{what} is a list, not one text: write {what}=[{values[:_MOST_SHOWN]!r}]")
    if isinstance(values, type | bytes | bytearray | memoryview) or not hasattr(values, "__iter__"):
        raise TypeError(f"{what} is a list, not {named(values)}: write {what}=[...]")
    return tuple(values)


def whole(value: object, what: str, least: int = 0, most: int | None = None) -> None:
    """Raise LocalProtocolError if a number is not whole, or out of range; TypeError if it is no number."""
    if type(value) is int and value >= least and (most is None or value <= most):
        return
    wanted = f"{what} is a whole number from {least} {'up' if most is None else f'to {most}'}"
    _require_number(value, wanted)
    if not isinstance(value, int) or value < least or (most is not None and value > most):
        raise LocalProtocolError(f"{wanted}, not {value!r}")


def number(value: object, what: str, *, zero: bool = False, infinite: bool = False) -> None:
    """Raise LocalProtocolError if a number is not above zero (or `zero`) and finite (unless `infinite`); TypeError if it is none."""
    if isinstance(value, int | float) and value is not True and 0 < value < math.inf:
        return
    wanted = f"{what} is a {'' if infinite else 'finite '}number {'from 0 up' if zero else 'above 0'}"
    _require_number(value, wanted)
    assert isinstance(value, int | float)  # noqa: S101  (it is one)
    fits = value >= 0 if zero else value > 0
    if not fits or (not infinite and math.isinf(value)):
        raise LocalProtocolError(f"{wanted}, not {value!r}")


def as_bytes(data: "Buffer", what: str, size: int | None = None) -> bytes:
    """Take bytes, or what has some; TypeError for text and numbers, LocalProtocolError for another number of bytes than `size`."""
    if not isinstance(data, bytes):
        try:
            data = bytes(memoryview(data))
        except TypeError:
            hint = ": bytes.fromhex(...) makes them of hex digits" if isinstance(data, str) else ""
            raise TypeError(f"{what} is {'bytes' if size is None else f'{size} bytes'}, not {named(data)}{hint}") from None
    if size is not None and len(data) != size:
        raise LocalProtocolError(f"{what} has {size} bytes, not {len(data)}")
    return bytes(data)


def check_bounds(bounds: Any, zero: frozenset[str] = frozenset()) -> None:  # noqa: ANN401  (any dataclass of bounds)
    """Check all fields of a dataclass of bounds: numbers are above zero, or from zero up if they are in `zero`."""
    for field in fields(bounds):
        value, what = getattr(bounds, field.name), f"{type(bounds).__name__}.{field.name}"
        if field.type is int:
            whole(value, what, 0 if field.name in zero else 1)
        elif field.type is float:
            number(value, what, zero=field.name in zero, infinite=True)
        elif isinstance(field.type, type):
            require(value, field.type, f"{what} is {named(field.type()) if field.type is not bool else 'True or False'}")


def _require_number(value: object, wanted: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{wanted}, not {value!r}" if isinstance(value, str | bool) else f"{wanted}, not {named(value)}")
    if math.isnan(value):
        raise LocalProtocolError(f"{wanted}, not {value!r}")
