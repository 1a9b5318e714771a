"""One node in a book: as the rest of the program sees it, as its row, and what news of it changes (all pure).

Which record is kept. A signed record (ENR) that says where the node is counts more than anything unsigned, and the one with the higher
sequence number more than the other. Of two with the same number and different content the first stays, and `conflicts` counts the others.

An endpoint without a signature (an enode URL, a v4 packet) is whatever some stranger said. It counts only where no signed record names
one, and it stays for as long as the node has lately answered from it: otherwise anybody could make us forget where others are.

That a node has answered says something of the endpoint it answered from. A record that names another one is not trusted because of that:
`last_answered` is empty until the node answers from there.
"""

import enum
import math
from dataclasses import dataclass
from types import UnionType
from typing import Final, NamedTuple

from devp2p.addresses import PROVIDER, Address
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import NodeId, PublicKey
from devp2p.records import NodeRecord, Record

SEED_AGE: Final = 5 * 86400.0
"""For how many seconds an answer makes a node a seed, and keeps its unsigned endpoint; as in go-ethereum."""


class Source(enum.IntFlag):
    """Who has told us of a node. The numbers are kept in files: they do not change."""

    V4 = 1
    V5 = 2
    DNS = 4
    STATIC = 8
    """The configuration: our own user wants to be connected with it."""
    MANUAL = 16
    """Our own user, in passing."""


OWNED: Final = Source.STATIC | Source.MANUAL


@dataclass(frozen=True, slots=True)
class BookEntry:
    """What is known of one node. Times are seconds since 1970, None for never."""

    record: NodeRecord
    """Where it is: its signed record, or, if that does not say, the endpoint that we were told."""
    enr: Record | None
    """The newest signed record, whether it says where the node is or not."""
    sources: Source
    first_seen: float
    last_seen: float
    """When we were last told of it, or it answered or was connected."""
    last_answered: float | None
    """When it last proved in discovery that it is where `record` says."""
    last_dialled: float | None
    last_connected: float | None
    last_failed: float | None
    failures: int
    """Dials in a row that did not lead to a session."""
    failure: str | None
    """Why the last of all such dials failed."""
    conflicts: int
    """Records of it that had the number of the kept one and other content."""

    @property
    def id(self) -> NodeId:
        """The 32-byte node-ID."""
        return self.record.id

    @property
    def sequence(self) -> int:
        """The sequence number of `enr`, 0 without one."""
        return self.enr.sequence if self.enr is not None else 0


class Row(NamedTuple):
    """The columns of the table `nodes`, in the order in which they are asked for."""

    id: bytes
    public_key: bytes
    enr: bytes | None
    sequence: bytes
    addresses: str | None
    udp_port: int | None
    network: bytes | None
    sources: int
    first_seen: float
    last_seen: float
    last_answered: float | None = None
    last_dialled: float | None = None
    last_connected: float | None = None
    last_failed: float | None = None
    failures: int = 0
    failure: str | None = None
    conflicts: int = 0


def new_row(record: NodeRecord, source: Source, now: float) -> Row:
    """The row of a node that was not known."""
    enr = record.enr
    if enr is not None and enr.public_key != record.public_key:
        raise LocalProtocolError(f"the record of {record.id} holds an ENR of {enr.id}")
    told = NodeRecord.from_enr(enr) if enr is not None else None
    if told is not None and _places(told):
        addresses, udp_port = None, None
    else:
        told, addresses, udp_port = record, _format_addresses(record.addresses), record.udp_port
    return Row(
        id=record.id,
        public_key=bytes(record.public_key),
        enr=enr.encode() if enr is not None else None,
        sequence=(enr.sequence if enr is not None else 0).to_bytes(8, "big"),
        addresses=addresses,
        udp_port=udp_port,
        network=_network(told),
        sources=int(source),
        first_seen=now,
        last_seen=now,
    )


def merged(old: Row, new: Row) -> Row:
    """What the row of a known node becomes by news of it, which is given as the row of an unknown one."""
    row = old._replace(sources=old.sources | new.sources, last_seen=new.last_seen)
    newer = new.enr is not None and (old.enr is None or new.sequence > old.sequence)
    if newer:
        row = row._replace(enr=new.enr, sequence=new.sequence)
    elif new.enr is not None and new.enr != old.enr:
        return row._replace(conflicts=old.conflicts + (new.sequence == old.sequence))
    if not (newer if new.addresses is None or old.addresses is None else _may_move(old, new)):
        return row
    row = row._replace(addresses=new.addresses, udp_port=new.udp_port, network=new.network)
    return row if _is_same_place(old, row) else row._replace(last_answered=None)


def entry_of(row: Row) -> BookEntry | None:
    """What a row says, or None if it says nothing that could be: the file is damaged in a way that SQLite cannot see."""
    if not is_possible(row):
        return None
    try:
        enr = Record.decode(row.enr) if row.enr is not None else None
        if row.addresses is not None:
            record = NodeRecord(PublicKey.from_bytes(row.public_key), _parse_addresses(row.addresses), row.udp_port)
        elif enr is not None:
            record = NodeRecord.from_enr(enr)
        else:
            return None
    except (DecodingError, ValueError):
        return None
    if record.id != row.id or (enr is not None and enr.id != row.id):
        return None
    return BookEntry(
        record=record,
        enr=enr,
        sources=Source(row.sources),
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        last_answered=row.last_answered,
        last_dialled=row.last_dialled,
        last_connected=row.last_connected,
        last_failed=row.last_failed,
        failures=row.failures,
        failure=row.failure,
        conflicts=row.conflicts,
    )


_KINDS: Final = (
    *(bytes, bytes, bytes | None, bytes, str | None, int | None, bytes | None, int),
    *(float, float, float | None, float | None, float | None, float | None, int, str | None, int),
)


def is_possible(row: Row) -> bool:
    """Whether each column has a value of its kind. SQLite sees to that, but not any more when a file is damaged while it is open."""
    return (
        fits(row, _KINDS)
        and all(0 <= value < 2**62 for value in (row.sources, row.failures, row.conflicts))
        and 0 <= (row.udp_port or 0) <= 65535
        and all(math.isfinite(value) for value in row if isinstance(value, float))
    )


def fits(row: tuple[object, ...], kinds: tuple[type | UnionType, ...]) -> bool:
    """Whether the values of a row are of these kinds."""
    return all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True))


def _may_move(old: Row, new: Row) -> bool:
    """Whether an unsigned endpoint is replaced by another one."""
    if not new.addresses or (new.addresses, new.udp_port) == (old.addresses, old.udp_port):
        return False
    return bool(new.sources & OWNED) or old.last_answered is None or old.last_answered < new.last_seen - SEED_AGE


def _is_same_place(old: Row, new: Row) -> bool:
    """Whether the best endpoint is one that was known."""
    before, after = entry_of(old), entry_of(new)
    if before is None or after is None:
        return False
    known = _places(before.record)
    return any(place in known for place in _places(after.record)[:1])


def _places(record: NodeRecord) -> tuple[object, ...]:
    """Where a node can be found, best first: in discovery, and then by sessions."""
    return (*record.udp_endpoints, *record.addresses)


def _network(record: NodeRecord) -> bytes | None:
    """The network that a node counts for, or None if it counts for none, as what costs nothing to make: local addresses, and names."""
    places = (*(Address("udp", host, port) for host, port in record.udp_endpoints), *record.addresses)
    return places[0].limited_network(PROVIDER) if places and places[0].ip else None


def _format_addresses(addresses: tuple[Address, ...]) -> str:
    text = "\n".join(map(str, addresses))
    try:
        if _parse_addresses(text) == addresses:
            return text
    except ValueError:
        pass
    raise LocalProtocolError(f"addresses that could not be read back: {text[:200]!r}")


def _parse_addresses(text: str) -> tuple[Address, ...]:
    return tuple(Address.parse(line) for line in text.split("\n") if line)
