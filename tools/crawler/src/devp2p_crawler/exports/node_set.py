"""go-ethereum's file of nodes, `nodes.json`: what its crawlers and `devp2p nodeset` read and write, to the byte.

    {
        "<node-ID>": {
            "seq": 7,
            "record": "enr:...",
            "score": 12,                                   left out where it is 0
            "firstResponse": "2026-11-30T12:00:00Z",       "0001-01-01T00:00:00Z" where nothing happened yet
            "lastResponse": "2026-11-30T13:00:00Z",
            "lastCheck": "2026-11-30T13:30:00Z"
        },
        ...

by node-ID. A node without a record has its enode URL there, and the sequence number 0.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any, Final, cast

from devp2p import DecodingError, NodeRecord
from devp2p_crawler.filters import YEAR_ONE
from devp2p_crawler.model import KnownNode, SignedRecord

MOST_NODES: Final = 1_000_000
"""Nodes of a file that are read; go-ethereum's crawls of all networks together have some 40,000."""
MOST_OF_ONE: Final = 16_384
"""Characters of one node in a file, with the spaces around it; go-ethereum writes less than 800."""

_CHUNK: Final = 65_536
_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_ID: Final = re.compile(r"[0-9a-f]{64}")
_TIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000: Final = 253_402_300_800 * 10**6
_MOST_SCORE: Final = 2**63 - 1


class InputError(ValueError):
    """A file is not what it should be; the text says where, what is wrong, and what to give instead."""


class NodeSetReader:
    """Reads a file node by node, so that it holds little of it at a time. Iterate over it once.

    InputError for a file that is not of the form. A node whose record breaks the rules that this library holds records to is no fault of
    the file: it is left out, `left_out` counts it and `last_fault` says why.
    """

    def __init__(self, file: IO[str], name: str) -> None:
        self.left_out: int = 0
        self.last_fault: str = ""
        self._file = file
        self._name = name
        self._text = ""
        self._at = 0
        self._ended = False

    def __iter__(self) -> Iterator[KnownNode]:
        """Yield the nodes in the order of the file."""
        if self._next() != "{":
            raise InputError(f"{self._name} is no nodes.json: it does not begin with {{ as those of go-ethereum do")
        seen: set[bytes] = set()
        self._at += 1
        while self._next() != "}":
            if seen:
                self._take(",")
            node_id = self._value()
            if not isinstance(node_id, str) or not _ID.fullmatch(node_id):
                raise InputError(f"{self._name}: a node-ID of 64 hex digits is wanted as a key, not {_shown(node_id)}")
            identity = bytes.fromhex(node_id)
            if identity in seen:
                raise InputError(f"{self._name}: node {node_id} is there twice")
            if len(seen) >= MOST_NODES:
                raise InputError(f"{self._name} has more than {MOST_NODES} nodes: split it")
            seen.add(identity)
            self._take(":")
            node = self._node(identity, self._value())
            if node is not None:
                yield node
        self._at += 1
        if self._next():
            raise InputError(f"{self._name}: something stands behind the last node")

    def _node(self, identity: bytes, value: object) -> KnownNode | None:
        where = f"{self._name}, node {identity.hex()}"
        if not isinstance(value, dict):
            raise InputError(f"{where}: an object is wanted, not {_shown(value)}")
        fields = cast("dict[str, Any]", value)
        text, score = fields.get("record"), _whole(fields.get("score", 0), f"{where}: score", _MOST_SCORE)
        sequence = _whole(fields.get("seq", 0), f"{where}: seq", 2**64 - 1)
        first, last, check = (_time(fields.get(name), f"{where}: {name}") for name in ("firstResponse", "lastResponse", "lastCheck"))
        if not isinstance(text, str) or not text.startswith(("enr:", "enode:")):
            raise InputError(f"{where}: its record is wanted, enr:... or enode://..., not {_shown(text)}")
        try:
            record = _parse(text)
        except ValueError as error:
            self.left_out += 1
            self.last_fault = f"{where}: {error}"
            return None
        if record.id != identity:
            raise InputError(f"{where}: this is the record of node {record.id.hex()}")
        if sequence != (record.enr.sequence if record.enr else 0):
            raise InputError(f"{where}: seq is {sequence}, and its record has {record.enr.sequence if record.enr else 0}")
        return _known(record, score, first, last, check)

    def _next(self) -> str:
        """The next character that is no space, which stays where it is; empty at the end of the file."""
        while True:
            self._at = cast("re.Match[str]", _SPACE.match(self._text, self._at)).end()
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _take(self, wanted: str) -> None:
        found = self._next()
        if found != wanted:
            raise InputError(f"{self._name}: {wanted!r} is wanted, not {_shown(found)}: the file is cut short, or damaged")
        self._at += 1

    def _value(self) -> object:
        """The next value; a number, which may go on in what was not read yet, is never read here by itself."""
        self._next()
        while True:
            try:
                value, self._at = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._at > MOST_OF_ONE or not self._more():
                    what = "is cut short" if self._ended and len(self._text) - self._at <= MOST_OF_ONE else f"is not JSON: {error}"
                    raise InputError(f"{self._name} {what}") from None
            else:
                return value

    def _more(self) -> bool:
        """Read on; False at the end of the file."""
        try:
            chunk = "" if self._ended else self._file.read(_CHUNK)
        except UnicodeDecodeError:
            raise InputError(f"{self._name} is no text: a nodes.json is wanted") from None
        self._ended = not chunk
        self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)


def read_node_set(path: Path) -> Iterator[KnownNode]:
    """Read a go-ethereum nodes.json node by node. InputError says what is wrong with it, or that it cannot be opened."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from NodeSetReader(file, str(path))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def node_set_lines(nodes: Iterable[KnownNode], *, whole_seconds: bool = False) -> Iterator[str]:
    """The text of a nodes.json in pieces, one for each of `nodes`, which come by node-ID; go-ethereum ends it without a newline.

    `whole_seconds` cuts times as go-ethereum's crawler does.
    """
    unit = 10**6 if whole_seconds else 1
    opened = False
    for node in nodes:
        fields: dict[str, object] = {
            "seq": node.record.sequence if node.record else 0,
            "record": record_text(node),
            **({"score": node.score} if node.score else {}),
            **{
                name: format_time(None if time is None else time // unit * unit)
                for name, time in (("firstResponse", node.first_ok), ("lastResponse", node.last_ok), ("lastCheck", node.last_visit))
            },
        }
        lines = ",\n".join(f'        "{name}": {json.dumps(value)}' for name, value in fields.items())
        yield f'{"," if opened else "{"}\n    "{node.node.hex()}": {{\n{lines}\n    }}'
        opened = True
    yield "\n}" if opened else "{}"


def record_text(node: KnownNode) -> str:
    """A node as text: its record, or an enode URL where it has none."""
    if node.record is not None:
        return f"enr:{base64.urlsafe_b64encode(node.record.raw).decode().rstrip('=')}"
    where = f"@{_host(node.ip)}:{node.tcp}" if node.ip else ""
    return f"enode://{node.public_key.hex()}{where}{f'?discport={node.udp}' if where and node.udp != node.tcp else ''}"


def format_time(time: int | None) -> str:
    """A time in microseconds since 1970, UTC, as Go writes it (RFC 3339); None is the first moment of the year 1."""
    moment = _EPOCH + timedelta(microseconds=YEAR_ONE if time is None else time)
    fraction = f".{moment.microsecond:06}".rstrip("0").rstrip(".")
    return f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:{moment.minute:02}:{moment.second:02}{fraction}Z"


def _parse(text: str) -> NodeRecord:
    record = NodeRecord.parse(text)
    if record.enr is None and record.addresses:
        try:
            ip_address(record.addresses[0].host)
        except ValueError:
            raise DecodingError(f"an IP address is wanted in an enode URL, not {record.addresses[0].host[:80]!r}") from None
    return record


def _known(record: NodeRecord, score: int, first: int | None, last: int | None, check: int | None) -> KnownNode:
    times = [time for time in (first, last, check) if time is not None]
    address = record.addresses[0] if record.addresses else None
    host, udp = record.udp_endpoints[0] if record.udp_endpoints else ("", 0)
    return KnownNode(
        node=bytes(record.id),
        public_key=bytes(record.public_key),
        first_seen=min(times, default=0),
        last_seen=max(times, default=0),
        first_ok=first,
        last_ok=last,
        last_visit=check,
        score=score,
        record=None
        if record.enr is None
        else SignedRecord(node=bytes(record.id), sequence=record.enr.sequence, raw=record.enr.encode(), seen=first or 0),
        ip=ip_address(address.host if address else host).packed if address or host else b"",
        udp=udp,
        tcp=(address.port or 0) if address else 0,
        said=None,
        said_at=None,
        outcomes={},
        rtt=None,
        handshakes=0,
        vantages=frozenset(),
    )


def _whole(value: object, where: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise InputError(f"{where}: a whole number from 0 to {most} is wanted, not {_shown(value)}")
    return value


def _time(value: object, where: str) -> int | None:
    """Microseconds since 1970; None if it is missing, or nothing happened yet."""
    if value is None:
        return None
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        if match is None:
            raise ValueError(value)
        zone = "+00:00" if match[3] in "Zz" else match[3]
        moment = datetime.fromisoformat(f"{match[1]}{zone}") - _EPOCH
        time = (moment.days * 86_400 + moment.seconds) * 10**6 + int((match[2] or "0").ljust(6, "0")[:6])
        if not YEAR_ONE <= time < _YEAR_10000:
            raise ValueError(value)
    except ValueError:
        raise InputError(f"{where}: a time such as 2026-11-30T12:00:00Z is wanted, not {_shown(value)}") from None
    return None if time == YEAR_ONE else time


def _host(packed: bytes) -> str:
    address = ip_address(packed)
    return str(address) if address.version == 4 else f"[{address}]"


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
