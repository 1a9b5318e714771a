"""Nodes to write into books."""

from functools import cache

from devp2p.addresses import Address
from devp2p.book import Book, BookEntry, Source
from devp2p.keys import PrivateKey
from devp2p.records.enr import Record
from devp2p.records.node_record import NodeRecord

DAY = 86400.0
NOW = 1_790_000_000.0  # seconds since 1970


@cache
def key(number: int) -> PrivateKey:
    return PrivateKey.from_bytes((number + 1).to_bytes(32, "big"))


def enode(number: int, host: str | None = None, *, udp_port: int | None = None) -> NodeRecord:
    """A node that has signed nothing, by default in a network of its own."""
    host = host or f"{20 + number // 65536}.{number // 256 % 256}.{number % 256}.7"
    return NodeRecord(key(number).public_key, (Address("tcp", host, 30303),), udp_port)


@cache
def signed(number: int, sequence: int, host: str | None = None) -> NodeRecord:
    """A node with a record, which says where it is, or does not."""
    entries = {"ip": host, "tcp": 30303, "udp": 30303} if host else {"tcp": 30303}
    return NodeRecord.from_enr(Record.sign(key(number), sequence, entries))


def fill(book: Book, records: list[NodeRecord], answered: float | None = NOW) -> None:
    with book.changes():
        for record in records:
            book.heard(record, Source.V4, NOW)
            if answered is not None:
                book.answered(record.id, answered)


def known(book: Book, number: int) -> BookEntry:
    entry = book.get(key(number).public_key.node_id)
    assert entry is not None
    return entry
