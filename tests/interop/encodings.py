"""What ``chaintool encodings`` printed (geth/README.md, "chaintool"), and messages of this library made of it."""

import dataclasses
import types
import typing
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from devp2p import rlp
from tests.interop.chains import chaintool

Line = dict[str, Any]


@cache
def printed() -> dict[str, list[Line]]:
    """All lines, by what they are about. It takes some seconds, and is done once."""
    found: dict[str, list[Line]] = {}
    for line in chaintool("encodings"):
        found.setdefault(line["event"], []).append(line)
    return found


def data(text: str) -> bytes:
    """The bytes that ``0x...`` stands for."""
    assert text.startswith("0x")
    return bytes.fromhex(text[2:])


def message_of(kind: type[Any], tree: Sequence[Any]) -> Any:
    """Make a message of its values alone, which come in the order of the wire."""
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)]
    values = [tree[0], *tree[1]] if getattr(kind, "rlp_nested", False) else list(tree)
    made: dict[str, Any] = {}
    for place, name in enumerate(names):
        if hints[name] == rlp.Rest:
            made[name] = tuple(data(item["raw"]) for item in values[place:])
            break
        made[name] = value_of(hints[name], values[place])
    else:
        assert len(values) == len(names), kind
    return kind(**made)


def value_of(hint: Any, tree: Any) -> Any:
    """Make a value of a field's annotation and of what go-ethereum said of it."""
    if hint == rlp.Raw:
        return data(tree["raw"])
    if get_origin(hint) is Annotated:
        return value_of(get_args(hint)[0], tree)
    if get_origin(hint) in (typing.Union, types.UnionType):
        return data(tree) if isinstance(tree, str) else tree
    if get_origin(hint) in (tuple, rlp.Lazy):
        return tuple(value_of(get_args(hint)[0], item) for item in tree)
    if dataclasses.is_dataclass(hint):
        return message_of(typing.cast("type[Any]", hint), tree)
    made = data(tree) if hint is bytes else tree
    assert isinstance(made, hint), (hint, tree)
    return made
