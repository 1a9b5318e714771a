"""What cannot be a schema, and how that is said."""

import sys
import types
from dataclasses import InitVar, dataclass, field
from typing import Annotated, ClassVar, TypeVar

import pytest

from devp2p import rlp
from devp2p.errors import LocalProtocolError

X = TypeVar("X")


@dataclass(frozen=True)
class Recursive:
    inner: "tuple[Recursive, ...]"


@dataclass(frozen=True)
class Chicken:
    egg: "rlp.Lazy[Egg]"


@dataclass(frozen=True)
class Egg:
    chicken: Chicken


@dataclass(frozen=True)
class Unknown:
    a: "Nowhere"  # type: ignore[name-defined] # noqa: F821 -- that is the point


@dataclass(frozen=True)
class HoleInTail:
    a: int | None = None
    b: int = 0


@dataclass(frozen=True)
class OddDefault:
    a: int | None = 5


@dataclass(frozen=True)
class RestFirst:
    a: rlp.Rest
    b: int


@dataclass
class NotAnArgument:
    a: int = field(init=False, default=0)


@dataclass
class OnlyAnArgument:
    a: InitVar[int]


@dataclass(frozen=True)
class NestedNothing:
    rlp_nested: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (Recursive, "Recursive.inner: Recursive cannot be a schema: it contains itself"),
        (Chicken, "it contains itself"),
        (Unknown, "Unknown: the annotation 'Nowhere' cannot be resolved"),
        (HoleInTail, "field b comes after optional ones"),
        (OddDefault, "must be None"),
        (RestFirst, "Rest can only be the last field"),
        (NotAnArgument, "no argument of its constructor"),
        (OnlyAnArgument, "InitVar"),
        (NestedNothing, "needs a first field"),
        (rlp.Rest, "Rest can only be the last field"),
        (float, "float cannot be a schema"),
        (object, "no RLP form"),
        (tuple, "no RLP form"),
        (list[int], "no RLP form"),
        (dict, "no RLP form"),
        (int | str, "only `T | None = None`"),
        (int | None, "only `T | None = None`"),
        (rlp.U256 | rlp.Bytes32, "32 bytes may be an integer of 256 bits as well"),
        (rlp.U64 | bytes, "a number or bytes, as in `U64 | Bytes32`"),
        (rlp.U64 | rlp.Bytes32 | str, "a number or bytes, as in `U64 | Bytes32`"),
        (X, "no RLP form"),
        (5, "no RLP form"),
        (Annotated[int, rlp.Length(3)], "does not apply"),
        (Annotated[bytes, rlp.Bits(3)], "does not apply"),
        (Annotated[tuple[int, int], rlp.MaxItems(3)], "does not apply"),
    ],
)
def test_what_cannot_be_a_schema(schema, message):
    with pytest.raises(LocalProtocolError, match=message.replace("|", r"\|")):
        rlp.codec(schema)


def test_a_refusal_is_not_forgotten():
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="does not apply"):
            rlp.codec(Annotated[int, rlp.MaxLength(3)])


def test_a_name_local_to_a_function_is_explained():
    source = """
from __future__ import annotations
from dataclasses import dataclass
def make():
    @dataclass
    class Inner:
        a: int
    @dataclass
    class Outer:
        inner: Inner
    return Outer
"""
    module = types.ModuleType("a_module")
    sys.modules["a_module"] = module
    try:
        exec(source, module.__dict__)  # noqa: S102 -- the __future__ import must not reach this file
        with pytest.raises(LocalProtocolError, match="'Inner' cannot be resolved; it must be a name of the module a_module"):
            rlp.codec(module.make())
    finally:
        del sys.modules["a_module"]
