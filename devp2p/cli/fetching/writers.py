"""The formats of `devp2p fetch`: RLP, JSON lines, CSV, Parquet."""

import csv
import importlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from types import TracebackType
from typing import IO, Any, Protocol, Self

from devp2p.capabilities.backfill import Filled
from devp2p.cli.fetching.rows import Kind, Row, Type, Value
from devp2p.terminal import Failure

_AT_ONCE = 4096  # rows of a group in Parquet, at most
_BYTES_AT_ONCE = 16 * 1024 * 1024  # of the blocks in a group: as rows they take ten times as much


class Writer(AbstractContextManager["Writer"], Protocol):
    """Writes blocks one after another; what it writes is whole once it is closed."""

    def write(self, block: Filled) -> None:
        """Write one block."""
        ...


class _Plain:
    """A file to which each block is added."""

    def __init__(self, file: IO[bytes], kind: Kind) -> None:
        self._file = file
        self._kind = kind

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass


class _Rlp(_Plain):
    """One RLP item a block, as `devp2p chain import` and `geth import` read them."""

    def write(self, block: Filled) -> None:
        self._file.write(self._kind.raw(block))


class _Json(_Plain):
    """One object a line: numbers and bytes are in hexadecimal, as JSON-RPC has them, so that none is too large for whoever reads it."""

    def write(self, block: Filled) -> None:
        for row in self._kind.rows(block):
            self._file.write(json.dumps(_to_json(row)).encode() + b"\n")


class _Csv(_Plain):
    """A line for each row, below the names of the columns: numbers are decimal, bytes in hexadecimal, lists in JSON."""

    def __init__(self, file: IO[bytes], kind: Kind) -> None:
        super().__init__(file, kind)
        self._line(kind.columns)

    def write(self, block: Filled) -> None:
        for row in self._kind.rows(block):
            self._line(_to_text(row[name]) for name in self._kind.columns)

    def _line(self, cells: Iterable[object]) -> None:
        text = io.StringIO()
        csv.writer(text).writerow(cells)
        self._file.write(text.getvalue().encode())


class _Parquet(_Plain):
    """Columns: numbers up to 64 bits are integers, larger ones decimal text, bytes hexadecimal text, lists JSON."""

    def __init__(self, file: IO[bytes], kind: Kind) -> None:
        pa: Any = importlib.import_module("pyarrow")  # an extra, and without types
        parquet: Any = importlib.import_module("pyarrow.parquet")
        super().__init__(file, kind)
        types: Mapping[Type, Any] = {"uint": pa.uint64(), "big": pa.string(), "bytes": pa.string(), "list": pa.string()}
        self._arrow: Any = pa
        self._schema: Any = pa.schema([(name, types[column]) for name, column in kind.columns.items()])
        self._writer: Any = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[Row] = []
        self._size = 0

    def write(self, block: Filled) -> None:
        self._rows += self._kind.rows(block)
        self._size += len(block.header) + len(block.body or b"") + sum(map(len, block.receipts or ()))
        if len(self._rows) >= _AT_ONCE or self._size >= _BYTES_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        columns = self._kind.columns
        values = {name: [row[name] if kind == "uint" else _to_text(row[name]) for row in self._rows] for name, kind in columns.items()}
        self._writer.write_table(self._arrow.table(values, schema=self._schema))
        self._rows.clear()
        self._size = 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._flush()
        self._writer.close()


FORMATS: Mapping[str, Callable[[IO[bytes], Kind], Writer]] = {"json": _Json, "csv": _Csv, "rlp": _Rlp, "parquet": _Parquet}


def open_writer(name: str, file: IO[bytes], kind: Kind) -> Writer:
    """Write blocks into a file in a format of `FORMATS`."""
    return FORMATS[name](file, kind)


def check_format(name: str) -> None:
    """`Failure` if a format needs something that is not installed."""
    if name == "parquet" and find_spec("pyarrow") is None:
        raise Failure("--format parquet needs pyarrow: pip install 'trio-devp2p[parquet]'")


def _to_json(value: Value) -> object:
    if value is None:
        return None
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, int):
        return hex(value)
    if isinstance(value, Mapping):
        return {name: _to_json(one) for name, one in value.items() if one is not None or name == "to"}
    return [_to_json(one) for one in value]


def _to_text(value: Value) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return str(value) if isinstance(value, int) else json.dumps(_to_json(value))
