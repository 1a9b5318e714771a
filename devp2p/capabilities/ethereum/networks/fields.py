"""Values of a genesis file: JSON objects whose keys, numbers and bytes are written in the ways that go-ethereum reads.

Numbers are JSON numbers, or strings in decimal or, after ``0x``, in hexadecimal. Bytes are strings in hexadecimal after ``0x``. Upper and
lower case of keys are the same. What is wrong is a ValueError that names the key with its way from the top of the file, and says what to
write instead.
"""

import json
from collections.abc import Iterator, Mapping
from typing import NoReturn, cast

U64 = 64
U256 = 256
_SHOWN = 40


class Fields:
    """One JSON object of a file, and where it is."""

    def __init__(self, value: object, file: str, path: str = "") -> None:
        """`path`: the way to it from the top of the file. ValueError if `value`, read from JSON, is no object."""
        self.file = file
        self.path = path
        items = members(value, f"{file}: {path}" if path else file)
        self._names = {name.lower(): name for name in items}
        self._values = {name.lower(): item for name, item in items.items() if item is not None}  # null stands for nothing

    @classmethod
    def parse(cls, text: str | bytes, file: str) -> "Fields":
        """Read a file's text; ValueError if that is no JSON object."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError, and numbers of thousands of digits
            raise ValueError(f"{file}: this is not JSON: {error}") from None
        return cls(value, file)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        """The names of all fields, as they are written."""
        return iter(self._names.values())

    def at(self, name: str) -> str:
        """Name a field, for a complaint."""
        return f"{self.file}: {self.path}.{name}" if self.path else f"{self.file}: {name}"

    def get(self, name: str) -> object:
        """A field as it is; ValueError if it is missing."""
        if name not in self:
            refuse(self.at(name), "it is missing")
        return self._values[name.lower()]

    def object(self, name: str) -> "Fields":
        """An object in it."""
        return Fields(self.get(name), self.file, f"{self.path}.{name}" if self.path else name)

    def number(self, name: str, bits: int = U64, default: int | None = None) -> int:
        """A number of at most so many bits; ValueError if it is missing and has no default."""
        if default is not None and name not in self:
            return default
        return read_number(self.get(name), self.at(name), bits)

    def number_or_none(self, name: str, bits: int = U64) -> int | None:
        """The same of one that may be missing."""
        return self.number(name, bits) if name in self else None

    def data(self, name: str, size: int | None = None) -> bytes:
        """Bytes, of exactly `size` if that is given; as many zeros, or none, if they are missing."""
        return read_bytes(self.get(name), self.at(name), size) if name in self else bytes(size or 0)


def read_number(value: object, where: str, bits: int) -> int:
    """Read a number of at most so many bits."""
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value.isascii() and "_" not in value and len(value) <= 100:
        text = value.lower()
        try:
            number = int(text, 16 if text.startswith("0x") else 10) if text else 0
        except ValueError:
            number = None
    if number is None:
        refuse(where, f'{shown(value)} is no whole number: write one such as 4096, "4096" or "0x1000"')
    if not 0 <= number < 2**bits:
        refuse(where, f"{shown(value)} is out of range: it is at least 0 and has at most {bits} bits")
    return number


def read_bytes(value: object, where: str, size: int | None = None, *, bare: bool = False) -> bytes:
    """Read bytes, of exactly `size` if that is given. `bare`: the ``0x`` may be left out."""
    form = "hexadecimal digits" if size is None else f"{2 * size} hexadecimal digits"
    if not isinstance(value, str):
        refuse(where, f'{shown(value)} is not text: write "0x" and {form}')
    digits = value[2:] if value[:2] in {"0x", "0X"} else value if bare or not value else None
    data = None if digits is None else _unhex(digits)
    if data is None or (size is not None and len(data) != size):
        refuse(where, f"{shown(value)} is not {'' if bare else '0x and '}{form}")
    return data


def read_word(value: object, where: str) -> bytes:
    """Read a key or value of an account's storage: at most 32 bytes, filled up on the left."""
    data = read_bytes(value, where, bare=True)
    if len(data) > 32:
        refuse(where, f"{shown(value)} has more than 32 bytes")
    return data.rjust(32, b"\0")


def members(value: object, where: str) -> Mapping[str, object]:
    """A JSON object; ValueError if it is none."""
    if not isinstance(value, dict):
        refuse(where, f"{shown(value)} is not an object, {{...}}")
    return cast("dict[str, object]", value)


def refuse(where: str, why: str) -> NoReturn:
    """Say what is wrong with the value there."""
    raise ValueError(f"{where}: {why}")


def shown(value: object) -> str:
    """A value as it is written in the file, cut short."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _unhex(digits: str) -> bytes | None:
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        return None
    return data if 2 * len(data) == len(digits) else None  # fromhex passes over spaces
