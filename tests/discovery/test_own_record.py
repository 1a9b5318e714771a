"""Our own record while discovery runs."""

from ipaddress import ip_address
from typing import Any

import pytest

from devp2p.addresses import Endpoint
from devp2p.book import Book
from devp2p.discovery.external_address import QUORUM
from devp2p.discovery.own_record import OwnRecord
from devp2p.discovery.settings import parse_external
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey

KEY = PrivateKey.generate()
WILDCARD = Endpoint(bytes(16), 30303)


def packed(text: str) -> bytes:
    return ip_address(text).packed


def make(bound: Endpoint = WILDCARD, *external: str, book: Book | None = None, **entries: Any) -> OwnRecord:
    return OwnRecord(KEY, entries=entries, bound=bound, external=map(parse_external, external), book=book, now=1000.0)


def agree(own: OwnRecord, text: str, port: int, *, voters: int = QUORUM) -> bool:
    """Have nodes of different networks say where we are; whether that changed our record."""
    prefix, suffix = ("2a{:02x}::", "1") if ":" in text else ("{}.2.3.", "4")
    votes = [own.external.vote(packed(prefix.format(16 + n) + suffix), Endpoint(packed(text), port), 1000.0) for n in range(voters)]
    return any(votes) and own.address_changed()


def where(own: OwnRecord) -> tuple[str, int | None, str, int | None]:
    record = own.record
    return str(record.ip), record.udp, str(record.ip6), record.udp6


def test_what_enough_others_see_gets_into_the_record_under_a_new_number():
    own = make(tcp=30303)
    first = own.record.sequence
    assert where(own) == ("None", 30303, "None", 30303)
    assert not agree(own, "9.9.9.9", 40404, voters=QUORUM - 1)
    assert own.record.sequence == first
    assert agree(own, "9.9.9.9", 40404)
    assert where(own) == ("9.9.9.9", 40404, "None", 40404)
    assert agree(own, "2a00::5", 5)
    assert where(own) == ("9.9.9.9", 40404, "2a00::5", 5)
    assert (own.record.sequence, own.record.tcp) == (first + 2, 30303)


@pytest.mark.parametrize("explicit", [{"external": ("203.0.113.5",)}, {"ip": "203.0.113.5"}])
def test_what_the_user_says_stays(explicit):
    own = make(WILDCARD, *explicit.pop("external", ()), **explicit)
    assert not agree(own, "9.9.9.9", 30303)
    assert where(own)[:2] == ("203.0.113.5", 30303)
    assert agree(own, "2a00::5", 30303)  # of the other kind the user has said nothing
    assert where(own) == ("203.0.113.5", 30303, "2a00::5", 30303)


def test_a_bound_address_holds_until_others_know_better():
    own = make(Endpoint(packed("10.0.0.5"), 30303))
    assert where(own)[:2] == ("10.0.0.5", 30303)
    assert agree(own, "9.9.9.9", 30303)
    assert where(own)[:2] == ("9.9.9.9", 30303)


def test_each_number_is_in_the_book_before_it_is_used():
    with Book.open(":memory:") as book:
        book.sequence = 41
        own = make(book=book)
        assert own.record.sequence == book.sequence == 42
        assert agree(own, "9.9.9.9", 30303)
        assert own.record.sequence == book.sequence == 43


def test_a_book_that_cannot_be_written_is_no_end(tmp_path, caplog):
    book = Book.open(tmp_path / "nodes.db")
    own = make(book=book)
    book._database._connection.execute("PRAGMA query_only = ON")
    assert own.update({"eth": b"\xc0"})
    assert "the node goes on without: the number of our own record" in caplog.text
    book.close()


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("203.0.113.5", ("203.0.113.5", 0)),
        ("203.0.113.5:9", ("203.0.113.5", 9)),
        ("2001:db8::5", ("2001:db8::5", 0)),
        ("[2001:db8::5]:9", ("2001:db8::5", 9)),
        ("::ffff:9.9.9.9", ("9.9.9.9", 0)),
    ],
)
def test_external_addresses_are_read(text, endpoint):
    host, port = endpoint
    assert parse_external(text) == Endpoint(packed(host), port)


def test_what_is_offered_is_there_until_it_is_not_offered_any_more():
    own = make(tcp=30303)
    assert own.offer({b"eth": b"\xc0", b"snap": b"\xc0"})
    assert not own.offer({b"eth": b"\xc0", b"snap": b"\xc0"})
    assert own.offer({"eth": b"\xc1\x05"})
    assert (own.record.get("eth"), own.record.get("snap")) == (b"\xc1\x05", None)


def test_what_is_offered_is_neither_the_users_nor_where_we_are():
    own = make(tcp=30303, eth=b"\xc0")
    assert not own.offer({"eth": b"\xc1\x05"})
    own.update({"snap": b"\xc0"})
    assert not own.offer({"eth": b"\xc1\x05", "snap": b"\xc1\x05"})
    own.update({"snap": None})
    assert not own.offer({"snap": b"\xc1\x05"})  # the user wants it away
    with pytest.raises(LocalProtocolError, match="'ip' in a record says who and where the node is, and cannot be offered"):
        own.offer({"ip": "203.0.113.5"})


def test_an_address_that_the_user_sets_later_stays_too():
    own = make(tcp=30303)
    own.update({"ip": "203.0.113.5", "udp": 5})
    assert not agree(own, "9.9.9.9", 40404)
    assert where(own)[:2] == ("203.0.113.5", 5)
