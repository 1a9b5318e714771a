"""NODES, which answers one FINDNODE in several messages: taking them apart, and making them (pure; discv5-wire.md, "NODES Response").

Whoever was asked may answer anything. So at most five messages of one answer are looked at and 16 records are taken, each of which must be
valid, of a distance that was asked for, not our own, and such that the sender may know of it.
"""

from collections.abc import Callable, Iterable
from typing import Final

from devp2p.discovery.table import BUCKET_SIZE, Contact, distance, endpoints_of
from devp2p.discovery.v5.messages import Nodes
from devp2p.discovery.v5.packets import MAX_MESSAGE
from devp2p.errors import DecodingError
from devp2p.records import Record

MAX_PARTS: Final = 5
"""How many messages of one answer are read, and sent."""
MAX_RECORDS: Final = BUCKET_SIZE
"""How many records of one answer are taken, and sent."""

_ROOM: Final = MAX_MESSAGE - 17  # behind type, list headers, request-id and total


class NodesAnswer:
    """What has come of the answer to one FINDNODE."""

    def __init__(
        self,
        contact: Contact[Record],
        distances: Iterable[int],
        own_id: bytes,
        decode: Callable[[bytes], Record] = Record.decode,
    ) -> None:
        """`contact` was asked for the nodes at `distances` from itself; `decode` is what reads a record."""
        self._contact = contact
        self._distances = frozenset(distances)
        self._own_id = own_id
        self._decode = decode
        self._records: dict[bytes, Record] = {}
        self._nonces: set[bytes] = set()
        self._total: int | None = None

    @property
    def records(self) -> tuple[Record, ...]:
        """The records that were taken, in the order in which they came."""
        return tuple(self._records.values())

    @property
    def complete(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._total is not None and len(self._nonces) >= self._total

    def receive(self, message: Nodes, nonce: bytes) -> bool:
        """Take in one message, which came in the packet of that nonce; False if it was there before, or nothing is waited for any more.

        DecodingError if it announces what no answer can be.

        An answer of 16 large records is six messages from some implementations, so that is no fault; but five are all that is read.
        """
        if not 0 < message.total <= MAX_RECORDS:
            raise DecodingError(f"an answer in {message.total} messages")
        if self.complete or nonce in self._nonces:  # the network may double a datagram, and whoever asks for patience may do it for ever
            return False
        self._nonces.add(nonce)
        if self._total is None:
            self._total = min(message.total, MAX_PARTS)
        for data in message.records[:MAX_RECORDS]:
            if len(self._records) < MAX_RECORDS:
                self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        try:
            record = self._decode(data)
        except DecodingError:
            return
        if record.id not in self._records and self._is_plausible(record):
            self._records[record.id] = record

    def _is_plausible(self, record: Record) -> bool:
        away = distance(record.id, self._contact.id)
        if away not in self._distances or record.id == self._own_id:
            return False
        if away == 0:  # its own record may name no endpoint
            return True
        return bool(endpoints_of(record, told_by=self._contact.endpoint.ip))


def split_records(request_id: bytes, records: Iterable[Record]) -> list[Nodes]:
    """Make an answer of up to 16 records in up to five messages, each of which fits into a packet."""
    parts: list[list[bytes]] = [[]]
    room = _ROOM
    for record, _ in zip(records, range(MAX_RECORDS), strict=False):
        data = record.encode()
        if len(data) > room:
            if len(parts) == MAX_PARTS:
                break
            parts.append([])
            room = _ROOM
        parts[-1].append(data)
        room -= len(data)
    return [Nodes(request_id, len(parts), tuple(part)) for part in parts]
