"""A node list as a directory, in the form that go-ethereum's ``devp2p dns`` reads and writes, so that lists can be exchanged.

nodes.json          {"<node-ID>": {"seq": 1, "record": "enr:..."}, ...}        what crawlers write; further fields are let pass
enrtree-info.json   {"url": "enrtree://...", "seq": 1, "signature": "...", "links": ["enrtree://..."], "lastModified": "..."}
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from devp2p.discovery.dns import TreeUrl
from devp2p.errors import DecodingError
from devp2p.records import Record
from devp2p.terminal import Exit, Failure

INFO: Final = "enrtree-info.json"
NODES: Final = "nodes.json"


@dataclass(frozen=True, slots=True)
class TreeInfo:
    """What there is to say about a tree, but for its records."""

    url: TreeUrl | None = None
    """None before it was signed."""
    sequence: int = 0
    signature: str = ""
    links: tuple[TreeUrl, ...] = ()


def read_info(directory: Path) -> TreeInfo:
    """Read a directory's enrtree-info.json; without it, a tree was never signed. `Failure` says what is wrong."""
    path = directory / INFO
    if not path.exists():
        return TreeInfo()
    fields = _read_object(path)
    url, sequence, signature, links = (fields.get(name) for name in ("url", "seq", "signature", "links"))
    if (
        not isinstance(sequence, int)
        or not isinstance(links or [], list)
        or not all(isinstance(text or "", str) for text in (url, signature))
    ):
        raise Failure(f"{path} is not of the right form: url, seq, signature and links are wanted")
    try:
        return TreeInfo(
            TreeUrl.parse(url) if url else None, sequence, signature or "", tuple(TreeUrl.parse(str(link)) for link in links or ())
        )
    except DecodingError as error:
        raise Failure(f"{path}: {error}") from None


def write_info(directory: Path, info: TreeInfo) -> None:
    """Write a directory's enrtree-info.json, and make the directory if there is none; `Failure` if that cannot be done."""
    fields = {
        "url": str(info.url),
        "seq": info.sequence,
        "signature": info.signature,
        "links": [str(link) for link in info.links],
        "lastModified": datetime.now(UTC).isoformat(),
    }
    _write(directory / INFO, fields)


def read_nodes(path: Path) -> list[Record]:
    """Read records: a nodes.json, or a text with one ``enr:...`` in each line. `Failure` says what is wrong."""
    text = _read(path)
    if not text.lstrip().startswith("{"):
        return [_record(line.strip(), f"{path}, line {number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    records: list[Record] = []
    for node_id, node in _object(text, path).items():
        where = f"{path}, node {node_id}"
        fields = cast("dict[str, Any]", node) if isinstance(node, dict) else {}
        encoded = fields.get("record")
        if not isinstance(encoded, str):
            raise Failure(f"{where}: there is no record")
        record = _record(encoded, where)
        if record.id.hex() != node_id or fields.get("seq", record.sequence) != record.sequence:
            raise Failure(f"{where}: the record has another node-ID or sequence number")
        records.append(record)
    return records


def write_nodes(directory: Path, records: Iterable[Record]) -> None:
    """Write a directory's nodes.json, and make the directory if there is none; `Failure` if that cannot be done."""
    nodes = sorted(records, key=lambda record: record.id)
    _write(directory / NODES, {record.id.hex(): {"seq": record.sequence, "record": record.text} for record in nodes})


def write_texts(path: Path, texts: Mapping[str, str]) -> None:
    """Write names and texts of TXT records as a JSON object; `Failure` if that cannot be done."""
    _write(path, texts)


def format_json(value: object) -> str:
    """JSON as these files have it."""
    return json.dumps(value, indent=4)


def _record(text: str, where: str) -> Record:
    try:
        return Record.parse(text)
    except DecodingError as error:
        raise Failure(f"{where}: {error}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise Failure(f"there is no {path}") from None
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Failure(f"{path} is not a text") from None


def _read_object(path: Path) -> dict[str, Any]:
    return _object(_read(path), path)


def _object(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Failure(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Failure(f"{path} is not a JSON object")
    return cast("dict[str, Any]", value)


def _write(path: Path, value: object) -> None:
    """Put a new file into the place of an old one, which is complete until then."""
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(exist_ok=True)
        new.write_text(format_json(value) + "\n", "utf-8")
        new.replace(path)
    except OSError as error:
        with suppress(OSError):  # half a file would only lie about
            new.unlink(missing_ok=True)
        raise Failure(f"cannot write {path}: {error.strerror}", Exit.FAILED) from None
