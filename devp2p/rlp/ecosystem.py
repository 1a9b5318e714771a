"""Classes of the ``rlp`` package (py-evm and others describe Ethereum's objects with it) as parts of our schemas.

Nothing of that package is imported here: whoever gives such a class has imported it already. Bytes go through our
own strict and bounded decoder first, so what reaches the package is a small tree of values; what its converters make of these is
theirs to decide.
"""

import sys
from typing import Any

from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.rlp import items
from devp2p.rlp.formats import Format


def is_serializable(schema: object) -> bool:
    """Tell whether ``schema`` is a ``rlp.Serializable`` class."""
    package = sys.modules.get("rlp")
    return package is not None and isinstance(schema, type) and issubclass(schema, package.Serializable)


def serializable_format(cls: Any) -> Format:
    """Make the format of one ``rlp.Serializable`` class."""
    rlp = sys.modules["rlp"]
    # Its own errors, and what converters of single fields commonly raise
    faults = (rlp.RLPException, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)

    def read(data: bytes, at: int, end: int, budget: list[int], /) -> tuple[Any, int]:
        tree, stop = items.read_item(data, at, end, budget, items.MAX_DEPTH)
        try:
            return cls.deserialize(tree), stop
        except faults as error:
            raise DecodingError(f"{cls.__name__}: {error}") from error

    def write(value: Any, /) -> bytes:
        if not isinstance(value, cls):
            raise LocalProtocolError(f"{type(value).__name__} where {cls.__name__} belongs")
        try:
            return bytes(rlp.encode(value))
        except faults as error:
            raise LocalProtocolError(f"{cls.__name__}: {error}") from error

    return Format(read, write)
