"""What a book remembers of nodes: which record counts, what becomes of it, and at what cost."""

import random
import threading
from dataclasses import replace
from functools import partial

import pytest

from devp2p.addresses import Address
from devp2p.book import Book, BookEntry, Source
from devp2p.errors import LocalProtocolError
from devp2p.keys import NodeId
from devp2p.records.enr import Record
from devp2p.records.node_record import NodeRecord
from tests.books import DAY, NOW, enode, fill, key, known, signed


@pytest.fixture
def book():
    with Book.open(":memory:") as book:
        yield book


# What happens to one node


def test_all_that_happens_to_a_node_is_remembered(book):
    record = enode(1)
    assert book.heard(record, Source.V4, NOW)
    assert book.get(record.id) == BookEntry(record, None, Source.V4, NOW, NOW, None, None, None, None, 0, None, 0)
    book.answered(record.id, NOW + 1)
    book.dialled(record.id, NOW + 2)
    book.failed(record.id, "refused", NOW + 3)
    book.failed(record.id, "timeout", NOW + 4)
    entry = known(book, 1)
    assert (entry.first_seen, entry.last_seen, entry.last_answered, entry.last_dialled) == (NOW, NOW + 1, NOW + 1, NOW + 2)
    assert (entry.failures, entry.failure, entry.last_failed, entry.last_connected) == (2, "timeout", NOW + 4, None)
    book.connected(record.id, NOW + 5)
    entry = known(book, 1)
    assert (entry.failures, entry.failure, entry.last_connected, entry.last_seen) == (0, "timeout", NOW + 5, NOW + 5)
    assert not book.heard(record, Source.DNS, NOW + 6)
    entry = known(book, 1)
    assert (entry.sources, entry.first_seen, entry.last_seen) == (Source.V4 | Source.DNS, NOW, NOW + 6)
    assert (entry.id, entry.sequence) == (record.id, 0)


def test_a_node_that_is_not_in_the_book_stays_out_whatever_happens_to_it(book):
    stranger = NodeId(bytes(32))
    book.answered(stranger, NOW)
    book.dialled(stranger, NOW)
    book.connected(stranger, NOW)
    book.failed(stranger, "refused", NOW)
    assert book.get(stranger) is None
    assert len(book) == 0


@pytest.mark.parametrize(
    "record",
    [
        NodeRecord(key(1).public_key),
        enode(1, "2a02:1234::1"),
        enode(1, "fe80::1%eth0"),
        enode(1, "node.example"),
        enode(1, udp_port=0),
        enode(1, udp_port=30303),
        enode(1, udp_port=9000),
        NodeRecord(key(1).public_key, (Address("tcp", "1.2.3.4", 1), Address("unix", "/run/a node"), Address("memory", "alice"))),
        signed(1, 0, "1.2.3.4"),
        signed(1, 2**64 - 1, "1.2.3.4"),
        NodeRecord.from_enr(Record.sign(key(1), 7, {"ip": "1.2.3.4", "ip6": "2a02::1", "udp": 5, "tcp6": 9, "eth": b"\xc2\x01\x02"})),
    ],
)
def test_a_record_is_read_as_it_was_written(book, record):
    book.heard(record, Source.MANUAL, NOW)
    entry = known(book, 1)
    assert entry.record == record
    assert entry.enr == record.enr
    assert entry.sequence == (record.enr.sequence if record.enr else 0)


def test_an_address_that_could_not_be_read_back_is_our_fault(book):
    for host in ("/run/a\nb",):
        with pytest.raises(LocalProtocolError, match="addresses that could not be read back"):
            book.heard(NodeRecord(key(1).public_key, (Address("unix", "/x"), Address("tcp", host, 1))), Source.MANUAL, NOW)
        with pytest.raises(LocalProtocolError, match="holds an ENR of"):
            book.heard(replace(signed(1, 1), public_key=key(2).public_key), Source.V5, NOW)
    assert len(book) == 0


# Which record counts


def test_a_signed_record_counts_more_than_an_endpoint_that_somebody_names(book):
    assert book.heard(enode(1, "1.2.3.4"), Source.V4, NOW)
    book.answered(key(1).public_key.node_id, NOW)
    assert book.heard(signed(1, 1, "1.2.3.4"), Source.V4, NOW)
    assert known(book, 1).last_answered == NOW
    for source in (Source.V4, Source.STATIC):
        assert not book.heard(enode(1, "5.6.7.8"), source, NOW + 30 * DAY)
    assert known(book, 1).record == signed(1, 1, "1.2.3.4")


def test_a_signed_record_that_does_not_say_where_the_node_is_leaves_its_endpoint(book):
    book.heard(enode(1, "1.2.3.4"), Source.V4, NOW)
    book.answered(key(1).public_key.node_id, NOW)
    nowhere = signed(1, 3)
    assert book.heard(nowhere, Source.V5, NOW)
    entry = known(book, 1)
    assert (entry.record, entry.enr, entry.sequence, entry.last_answered) == (enode(1, "1.2.3.4"), nowhere.enr, 3, NOW)
    assert book.heard(signed(1, 4, "5.6.7.8"), Source.V5, NOW)
    assert known(book, 1).record == signed(1, 4, "5.6.7.8")
    moved = replace(enode(1, "9.9.9.9"), enr=signed(1, 5).enr)  # the endpoint is where it answered from
    assert book.heard(moved, Source.V5, NOW)
    assert (known(book, 1).record, known(book, 1).sequence) == (enode(1, "9.9.9.9"), 5)


def test_nobody_can_move_a_node_that_answers_by_naming_another_endpoint(book):
    here, elsewhere = enode(1, "1.2.3.4"), enode(1, "5.6.7.8")
    book.heard(here, Source.V4, NOW)
    assert book.heard(elsewhere, Source.V4, NOW), "neither has ever answered, and the latest is as good as any"
    assert book.heard(here, Source.V4, NOW)
    book.answered(here.id, NOW)
    assert not book.heard(elsewhere, Source.V4, NOW + 4.9 * DAY)
    assert not book.heard(NodeRecord(here.public_key), Source.MANUAL, NOW + 4.9 * DAY)
    assert (known(book, 1).record, known(book, 1).last_answered) == (here, NOW)
    assert book.heard(elsewhere, Source.V4, NOW + 5.1 * DAY)
    assert (known(book, 1).record, known(book, 1).last_answered) == (elsewhere, None)
    book.answered(here.id, NOW + 5.2 * DAY)
    assert book.heard(here, Source.MANUAL, NOW + 5.3 * DAY), "our own user knows better"


def test_an_entry_that_makes_no_sense_is_forgotten_and_heard_anew(book):
    """Bits that turn over on a disk are not noticed by SQLite, but by signatures and hashes."""
    records = [signed(0, 1, "1.2.3.4"), enode(1), enode(2), enode(3), signed(4, 1)]
    for record in records:
        book.heard(record, Source.V5, NOW)
        book.answered(record.id, NOW)
    other = signed(5, 1).enr
    assert other is not None
    for number, (column, damage) in enumerate(
        [
            ("enr", bytes(100)),
            ("public_key", bytes(64)),
            ("addresses", "tcp://1.2.3.4:99999"),
            ("public_key", bytes(enode(4).public_key)),
            ("enr", other.encode()),
        ]
    ):
        assert book._database.run(f"UPDATE nodes SET {column} = ? WHERE id = ?", damage, records[number].id) == 1  # noqa: S608  (ours)
    good = enode(5)
    book.heard(good, Source.V5, NOW)
    book.answered(good.id, NOW)
    assert book.get(records[0].id) is None
    assert len(book) == 5
    assert book.seeds(now=NOW, random=random.random) == [good]
    assert len(book) == 1
    assert book.heard(records[0], Source.V5, NOW)
    assert known(book, 0).record == records[0]


# What belongs to ourselves


def test_our_own_sequence_number_only_grows(book):
    assert book.sequence == 0
    for number in (1, 7, 7, 2**64 - 1):
        book.sequence = number
        assert book.sequence == number
    for number, complaint in ((6, "was 18446744073709551615 already"), (-1, "has 64 bits"), (2**64, "has 64 bits")):
        with pytest.raises(LocalProtocolError, match=complaint):
            book.sequence = number


def test_the_highest_sequence_number_of_each_dns_tree_is_kept(book):
    assert book.dns_sequences() == {}
    for told, kept in ((0, 0), (300, 300), (2**64 - 1, 2**64 - 1), (255, 2**64 - 1)):
        book.set_dns_sequence("enrtree://A@nodes.example.org", told)
        assert book.dns_sequences() == {"enrtree://A@nodes.example.org": kept}
    book.set_dns_sequence("enrtree://B@nodes.example.org", 1)  # signed by another key, it is another tree
    book.set_dns_sequence("enrtree://A@nodes.example.org", None)
    assert book.dns_sequences() == {"enrtree://B@nodes.example.org": 1}
    with pytest.raises(LocalProtocolError):
        book.set_dns_sequence("example.org", 2**64)


def test_small_things_are_kept_by_name(book):
    assert book.state("a") is None
    book.set_state("a", b"\0")
    book.set_state("b", b"")
    book.set_state("a", b"\1")
    assert (book.state("a"), book.state("b")) == (b"\1", b"")
    book.set_state("a", None)
    book.set_state("a", None)
    assert (book.state("a"), book.state("b")) == (None, b"")


# Transactions


def test_changes_are_made_together_or_not_at_all(book):
    fill(book, [enode(1)])

    def half() -> None:
        with book.changes():
            book.heard(enode(2), Source.V4, NOW)
            book.sequence = 5
            with book.changes():
                book.failed(enode(1).id, "refused", NOW)
            assert len(book) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert (len(book), book.get(enode(2).id), book.sequence, known(book, 1).failures) == (1, None, 0, 0)
    with book.changes():
        book.heard(enode(2), Source.V4, NOW)
        book.sequence = 5
    assert (len(book), book.sequence) == (2, 5)


def test_a_book_can_be_used_from_a_worker_thread(book):
    thread = threading.Thread(target=partial(fill, book, [enode(1)]))
    thread.start()
    thread.join()
    assert known(book, 1).record == enode(1)


def test_a_closed_book_is_closed():
    book = Book.open(":memory:")
    with pytest.raises(LocalProtocolError, match="closed"), book.changes():
        book.close()
    book.close()
    for use in (partial(book.get, bytes(32)), partial(book.heard, enode(1), Source.V4, NOW), partial(book.forget_older, NOW)):
        with pytest.raises(LocalProtocolError, match="closed"):
            use()


# Cost


@pytest.mark.simulation
def test_ten_thousand_nodes_cost_ten_thousand_times_what_one_costs(book):
    """Counted in statements, and none of them may look at every row."""
    counts, statements = [], set()
    for batch in range(10):
        ran: list[str] = []
        book._database._connection.set_trace_callback(ran.append)
        with book.changes():
            for number in range(1000 * batch, 1000 * (batch + 1)):
                record = enode(number)
                book.heard(record, Source.V4, NOW)
                book.heard(record, Source.V5, NOW)
                book.answered(record.id, NOW)
                book.dialled(record.id, NOW)
                book.connected(record.id, NOW)
                book.failed(record.id, "refused", NOW)
                book.get(record.id)
        book._database._connection.set_trace_callback(None)
        counts.append(len(ran))
        statements.update(ran[1:-1:997])  # a prime number: each kind is among them
    assert len(set(counts)) == 1
    for statement in statements:
        plan = [row[-1] for row in book._database.rows(f"EXPLAIN QUERY PLAN {statement}")]
        assert not [step for step in plan if step.startswith("SCAN")], (statement, plan)
    assert len({statement.split("WHERE")[0][:30] for statement in statements}) >= 6
