"""Classes of the ``rlp`` package (py-evm and others describe Ethereum's objects with it) as parts of our schemas.

Nothing of that package is imported here: whoever gives such a class has imported it already. Bytes go through our
own strict and bounded decoder first, so what reaches the package is a small tree of values; what its converters make of these is
theirs to decide.
"""

import itertools
import sys
from collections.abc import Iterable
from typing import Any

from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.rlp import items
from devp2p.rlp.formats import Format
from devp2p.rlp.steps import Steps, at_once

_COST = 8
"""How many of our own items are made in the time in which the package makes a value."""


def is_serializable(schema: object) -> bool:
    """Tell whether ``schema`` is a ``rlp.Serializable`` class."""
    package = sys.modules.get("rlp")
    return package is not None and isinstance(schema, type) and issubclass(schema, package.Serializable)


def serializable_format(cls: Any) -> Format:
    """Make the format of one ``rlp.Serializable`` class."""
    rlp = sys.modules["rlp"]
    # Its own errors, and what converters of single fields commonly raise
    faults = (rlp.RLPException, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)

    def steps(data: bytes, at: int, end: int, budget: list[int], /) -> Steps[tuple[Any, int]]:
        tree, stop = yield from items.read_item(data, at, end, budget, items.MAX_DEPTH)
        try:
            return (yield from _deserialize(cls, tree, budget)), stop
        except faults as error:
            raise DecodingError(f"{cls.__name__}: {error}") from error

    def write(value: Any, /) -> bytes:
        if not isinstance(value, cls):
            raise LocalProtocolError(f"{type(value).__name__} where {cls.__name__} belongs")
        try:
            return bytes(rlp.encode(value))
        except faults as error:
            raise LocalProtocolError(f"{cls.__name__}: {error}") from error

    return Format(at_once(steps), write, steps=steps)


def _deserialize(sedes: Any, serial: items.Item, budget: list[int]) -> Steps[Any]:
    """Do in steps what ``sedes.deserialize(serial)`` does.

    The containers of the package are walked here, unless a class does it in its own way; each value in them is made at once.
    """
    rlp = sys.modules["rlp"]
    if is_serializable(sedes):
        if sedes.deserialize.__func__ is rlp.Serializable.deserialize.__func__:
            try:
                fields = sedes._meta.sedes  # noqa: SLF001  (nothing else tells them)
                return sedes(*(yield from _deserialize(fields, serial, budget)))
            except rlp.exceptions.ListDeserializationError as error:
                raise rlp.exceptions.ObjectDeserializationError(serial=serial, sedes=sedes, list_exception=error) from error
    elif isinstance(serial, tuple):
        if type(sedes) is rlp.sedes.CountableList and (sedes.max_length is None or len(serial) <= sedes.max_length):
            return (yield from _deserialize_each(itertools.repeat(sedes.element_sedes), serial, budget))
        if type(sedes) is rlp.sedes.List and len(serial) == len(sedes):
            return (yield from _deserialize_each(sedes, serial, budget))
    return sedes.deserialize(serial)


def _deserialize_each(each: Iterable[Any], serial: tuple[items.Item, ...], budget: list[int]) -> Steps[tuple[Any, ...]]:
    errors = sys.modules["rlp"].exceptions
    values: list[Any] = []
    for sedes, element in zip(each, serial, strict=False):
        budget[1] += _COST
        if budget[0] < budget[1]:
            yield
        try:
            values.append((yield from _deserialize(sedes, element, budget)))
        except errors.DeserializationError as error:
            raise errors.ListDeserializationError(serial=serial, element_exception=error, index=len(values)) from error
    return tuple(values)
