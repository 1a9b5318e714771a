"""The table of nodes as CSV, NDJSON and Parquet. Whatever a stranger has put into a text is inert in each of them, and can be had back."""

import csv
import importlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import IO, Any, Final

from devp2p_crawler.exports.columns import COLUMNS, Type, Value, row_of
from devp2p_crawler.exports.node_set import format_time
from devp2p_crawler.filters import Described
from devp2p_crawler.model import KnownNode

_ROWS: Final = 1_000  # of a batch of Parquet: as many are Python objects at a time
_BATCHES: Final = 20  # of a row group: some 10 MB while it is made
_TRIGGERS: Final = tuple("=+-@'＝＋－＠")  # noqa: RUF001  (what spreadsheets take for the beginning of a formula; and our mark itself)
_MARKS: Final = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")
_TAGS: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


class ExportError(Exception):
    """An export cannot be made; the text says why and what to do."""


def cell_of(text: str) -> str:
    r"""A stranger's text for a cell of CSV: printable, on one line, no formula, and no second cell in whatever way it is split.

    Characters that cannot be seen, backslashes and semicolons (at which spreadsheets of some countries split) become `\xNN`, `\uNNNN` or
    `\UNNNNNNNN`, and `\\`; a text that would begin a formula gets an apostrophe before it. `text_of` undoes all that.
    """
    inert = "".join(character if character.isprintable() and character not in "\\;" else _mark(character) for character in text)
    return f"'{inert}" if inert.startswith(_TRIGGERS) else inert


def text_of(cell: str) -> str:
    """What `cell_of` made a cell of."""

    def unmark(match: re.Match[str]) -> str:
        digits = match[1] or match[2] or match[3]
        return chr(int(digits, 16)) if digits else "\\"

    return _MARKS.sub(unmark, cell.removeprefix("'"))


def list_cell_of(texts: Iterable[str]) -> str:
    r"""Several texts for one cell, with a space between each two; spaces in a text become `\x20`, and no text at all `\x`."""
    cells = [cell_of(text).removeprefix("'").replace(" ", "\\x20") or "\\x" for text in texts]
    joined = " ".join(cells)
    return f"'{joined}" if joined.startswith(_TRIGGERS) else joined


def texts_of(cell: str) -> list[str]:
    """What `list_cell_of` made a cell of."""
    parts = cell.removeprefix("'").split(" ") if cell else []
    return ["" if part == "\\x" else text_of(f"'{part}") for part in parts]


def write_csv(nodes: Iterable[KnownNode], file: IO[bytes], *, private: bool = False) -> int:
    """Write nodes as CSV (RFC 4180) in UTF-8, with a header; times as RFC 3339, UTC. Returns how many."""
    writer = csv.writer(_Encoder(file))
    writer.writerow([column.name for column in COLUMNS])
    count = 0
    for row in _rows(nodes, private=private):
        writer.writerow([_CELLS[column.type](value) for column, value in zip(COLUMNS, row, strict=True)])
        count += 1
    return count


def write_ndjson(nodes: Iterable[KnownNode], file: IO[bytes], *, private: bool = False) -> int:
    """Write nodes as JSON, an object a line, in ASCII; times as RFC 3339, UTC. Returns how many."""
    count = 0
    for row in _rows(nodes, private=private):
        fields = {
            column.name: format_time(value) if column.type is Type.TIME and isinstance(value, int) else value
            for column, value in zip(COLUMNS, row, strict=True)
        }
        file.write(f"{json.dumps(fields).translate(_TAGS)}\n".encode())
        count += 1
    return count


def write_parquet(nodes: Iterable[KnownNode], file: IO[bytes], *, private: bool = False) -> int:
    """Write nodes as Parquet, with typed columns; a row group at a time is in memory. Returns how many.

    ExportError if the package for it is missing.
    """
    arrow, parquet = _arrow()
    types: dict[Type, Any] = {
        Type.TEXT: arrow.string(),
        Type.STRANGE: arrow.string(),
        Type.STRANGE_LIST: arrow.list_(arrow.string()),
        Type.WHOLE: arrow.uint64(),
        Type.TIME: arrow.timestamp("us", tz="UTC"),
    }
    schema = arrow.schema([(column.name, types[column.type]) for column in COLUMNS])
    rows = _rows(nodes, private=private)
    count = 0

    def batches() -> Iterator[Any]:
        nonlocal count
        while group := list(islice(rows, _ROWS)):
            columns = [[_utf8(value) for value in values] for values in zip(*group, strict=True)]
            arrays = [arrow.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
            count += len(group)
            yield arrow.RecordBatch.from_arrays(arrays, schema=schema)

    waiting = batches()
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(waiting, _BATCHES)):
            writer.write_table(arrow.Table.from_batches(group), row_group_size=_ROWS * _BATCHES)
    return count


class _Encoder:
    """A file of text on one of bytes, which stays open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        self._file.write(text.encode())


def _rows(nodes: Iterable[KnownNode], *, private: bool) -> Iterator[list[Value]]:
    return (row_of(Described(node), private=private) for node in nodes)


def _arrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ExportError("Parquet needs the package pyarrow: pip install 'devp2p-crawler[parquet]'") from None


def _mark(character: str) -> str:
    number = ord(character)
    if character == "\\":
        return "\\\\"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _utf8(value: Value) -> Value:
    """A text that UTF-8 can hold: half of a surrogate pair, which no decoder of ours makes, becomes a question mark."""
    if isinstance(value, list):
        return [text.encode("utf-8", "replace").decode() for text in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _plain(value: Value) -> str:
    return "" if value is None else str(value)


_CELLS: Final[dict[Type, Callable[[Any], str]]] = {
    Type.TEXT: _plain,
    Type.STRANGE: lambda value: "" if value is None else cell_of(value),
    Type.STRANGE_LIST: list_cell_of,
    Type.WHOLE: _plain,
    Type.TIME: lambda value: "" if value is None else format_time(value),
}
