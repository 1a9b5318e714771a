"""What requests may ask for, in one table: requests are checked by it, and /openapi.json is made of it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

MOST_NODES: Final = 1000
MOST_VISITS: Final = 1000


class RequestError(Exception):
    """What is wrong with a request, for who made it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query."""

    name: str
    description: str
    schema: Mapping[str, object]
    read: Callable[[str], Any]
    default: Any = None


def whole(name: str, description: str, least: int, most: int, default: int | None = None) -> Parameter:
    """A whole number."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,20}", text) or not least <= int(text) <= most:
            raise RequestError(f"{name} is a whole number from {least} to {most}, not {text[:40]!r}")
        return int(text)

    return Parameter(name, description, {"type": "integer", "minimum": least, "maximum": most}, read, default)


def truth(name: str, description: str) -> Parameter:
    """True or false."""

    def read(text: str) -> bool:
        if text not in {"true", "false"}:
            raise RequestError(f"{name} is true or false, not {text[:40]!r}")
        return text == "true"

    return Parameter(name, description, {"type": "boolean"}, read)


def words(name: str, description: str, longest: int) -> Parameter:
    """A text."""

    def read(text: str) -> str:
        if not 0 < len(text) <= longest or "\0" in text:
            raise RequestError(f"{name} is a text of 1 to {longest} characters")
        return text

    return Parameter(name, description, {"type": "string", "maxLength": longest}, read)


def identity(name: str, description: str) -> Parameter:
    """A node-ID."""
    return Parameter(name, description, {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}, node_id)


def read_all(known: tuple[Parameter, ...], given: list[tuple[str, str]]) -> dict[str, Any]:
    """The values of all parameters; RequestError for those that are not known, given twice, or wrong."""
    by_name = {parameter.name: parameter for parameter in known}
    values = {parameter.name: parameter.default for parameter in known}
    seen = set[str]()
    for name, text in given:
        if name not in by_name:
            raise RequestError(f"there is no parameter {name[:40]!r} here; there {_list(by_name)}")
        if name in seen:
            raise RequestError(f"{name} is given twice")
        seen.add(name)
        values[name] = by_name[name].read(text)
    return values


def _list(names: Mapping[str, object]) -> str:
    return f"are {', '.join(names)}" if len(names) > 1 else f"is {next(iter(names))}" if names else "are none"


def node_id(text: str) -> bytes:
    """The node-ID in a path; RequestError says how it is written."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise RequestError("a node is named by its id: 64 hexadecimal digits")
    return bytes.fromhex(text)
