"""Row D18 of THREATS.md: records that are none, that are old, and that say one thing here and another there.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import random
from unittest.mock import patch

import pytest

from devp2p import rlp
from devp2p.book import Book, Source
from devp2p.discovery.table.kademlia import Addition
from devp2p.discovery.v5.messages import TalkRequest
from devp2p.errors import DecodingError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.records import enr
from devp2p.records.enr import Record
from devp2p.records.node_record import NodeRecord
from tests.books import NOW, key, known, signed
from tests.discovery.tables import OWN, check, node, table_of
from tests.discovery.v5_wire import Stranger, make_party, record_of
from tests.fuzz import discovery_targets

KEY = PrivateKey.from_bytes(bytes(31) + b"\x01")
GOOD = Record.sign(KEY, 7, {"ip": "20.0.0.1", "tcp": 30303, "udp": 30303})


@pytest.fixture
def book():
    with Book.open(":memory:") as book:
        yield book


# What is no record


def signed_by_its_key(*items: rlp.Encodable, sequence: rlp.Encodable = 1, signer: PrivateKey = KEY) -> bytes:
    """A list of keys and values, right or wrong, that is signed."""
    content = [sequence, *items]
    return rlp.encode([signer.sign(keccak256(rlp.encode(content)))[:64], *content])


ID: list[rlp.Encodable] = [b"id", b"v4"]
PUBLIC: list[rlp.Encodable] = [b"secp256k1", KEY.public_key.compressed]
BAD = {
    "301 bytes": signed_by_its_key(*ID, *PUBLIC, b"x", bytes(178)),
    "unsorted": signed_by_its_key(*PUBLIC, *ID),
    "a key twice": signed_by_its_key(*ID, *ID, *PUBLIC),
    "an odd list": signed_by_its_key(*ID, b"secp256k1"),
    "a sequence number of 65 bits": signed_by_its_key(*ID, *PUBLIC, sequence=2**64),
    "a port of 17 bits": signed_by_its_key(*ID, *PUBLIC, b"udp", 65_536),
    "an IP address of 3 bytes": signed_by_its_key(*ID, b"ip", bytes(3), *PUBLIC),
    "an unknown identity scheme": signed_by_its_key(b"id", b"v5", *PUBLIC),
    "another's signature": signed_by_its_key(*ID, *PUBLIC, signer=PrivateKey.from_bytes(bytes(31) + b"\x02")),
    "a changed port": GOOD.encode()[:-1] + b"!",
}


@pytest.mark.parametrize("fault", BAD)
def test_d18_what_is_no_record_is_refused(fault):
    with pytest.raises(DecodingError):
        Record.decode(BAD[fault])


def test_d18_control_the_same_without_a_fault_is_one():
    assert Record.decode(signed_by_its_key(*ID, *PUBLIC, b"x", bytes(177))).public_key == KEY.public_key
    assert Record.decode(GOOD.encode()) == GOOD


@pytest.mark.parametrize(
    ("fault", "defence"),
    [
        ("a changed port", (PublicKey, "verify", lambda *_: True)),
        ("another's signature", (PublicKey, "verify", lambda *_: True)),
        ("301 bytes", (enr, "MAX_SIZE", 10**6)),
    ],
)
def test_d18_control_without_the_defence_it_is_taken(fault, defence):
    with patch.object(*defence):
        assert Record.decode(BAD[fault]).id == GOOD.id


@pytest.mark.long
def test_d18_a_million_spoiled_records_are_refused_or_understood():
    chance = random.Random(1)
    seeds = [GOOD.encode(), record_of(1, eth=rlp.encode(bytes(40))).encode(), *BAD.values()]
    for _ in range(10**6 // 5):  # the target makes five of each
        data = bytearray(chance.choice(seeds)[chance.choice([0, 0, 66]) :])
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(data))
            data[place : place + chance.randrange(2)] = chance.randbytes(chance.randrange(3))
        discovery_targets.fuzz_enr_rlp(bytes(data))


# Which record counts: in the book


def test_d18_a_lower_sequence_number_is_ignored(book):
    new, old = signed(1, 5, "1.2.3.4"), signed(1, 4, "5.6.7.8")
    assert book.heard(new, Source.V5, NOW)
    assert not book.heard(old, Source.DNS, NOW + 1)
    assert (known(book, 1).record, known(book, 1).conflicts) == (new, 0)
    assert book.heard(signed(1, 2**64 - 1, "5.6.7.8"), Source.V5, NOW)  # what SQLite's own integers could not hold
    assert not book.heard(signed(1, 2**63, "1.2.3.4"), Source.V5, NOW)
    assert known(book, 1).sequence == 2**64 - 1


def test_d18_of_one_sequence_number_the_first_record_stays_and_others_are_counted(book):
    first, second = signed(1, 5, "1.2.3.4"), signed(1, 5, "5.6.7.8")
    book.heard(first, Source.V5, NOW)
    for _ in range(2):
        assert not book.heard(second, Source.V5, NOW)
        assert not book.heard(first, Source.V5, NOW)
    assert (known(book, 1).record, known(book, 1).conflicts) == (first, 2)


def test_d18_a_newer_record_with_another_endpoint_has_to_prove_itself(book):
    """Otherwise a node could answer once, and then have us ask whomever it likes after each start."""
    book.heard(signed(1, 1, "1.2.3.4"), Source.V5, NOW)
    book.answered(key(1).public_key.node_id, NOW)
    book.heard(NodeRecord.from_enr(Record.sign(key(1), 2, {"ip": "1.2.3.4", "tcp": 1, "udp": 30303})), Source.V5, NOW)
    assert known(book, 1).last_answered == NOW  # discovery has the endpoint that it had
    book.heard(signed(1, 3, "5.6.7.8"), Source.V5, NOW)
    assert known(book, 1).last_answered is None


def test_d18_control_without_a_look_at_the_number_the_last_to_speak_would_win(book):
    book.heard(signed(1, 5, "1.2.3.4"), Source.V5, NOW)
    with patch("devp2p.book.book.merged", lambda _, told: told):
        book.heard(signed(1, 4, "5.6.7.8"), Source.DNS, NOW + 1)
    assert known(book, 1).record == signed(1, 4, "5.6.7.8")


# In the table


def test_d18_a_new_endpoint_needs_a_newer_record_and_a_new_proof():
    table = table_of()
    table.add(node(1, seq=5), 0.0, live=True)
    entry = table.get(node(1).id)
    assert entry is not None
    for seq, place in ((4, 70), (5, 71)):
        assert table.add(node(1, seq=seq, place=place), 1.0, incoming=True) is Addition.KNOWN
        assert table.closest(OWN) == [node(1, seq=5)]
    assert table.statistics().conflicts == 1
    assert table.add(node(1, seq=6), 1.0) is Addition.UPDATED
    assert table.closest(OWN) == [node(1, seq=6)]  # at the same endpoint
    assert table.add(node(1, seq=7, port=9), 1.0) is Addition.UPDATED
    assert table.closest(OWN) == []
    assert (entry.live, entry.checks) == (False, 0)
    assert not check(table, node(1, seq=7, port=9), 1.0, ok=False)


def test_d18_control_if_a_replayed_record_had_a_higher_number_it_would_move_the_node():
    """The number is signed, so nobody but the node can do this; and all that it moves is itself, until it answers from there."""
    table = table_of()
    table.add(node(1, seq=5), 0.0, live=True)
    assert table.add(node(1, seq=2**64 - 1, place=70), 1.0, incoming=True) is Addition.UPDATED
    assert table.closest(OWN) == []
    assert table.add(node(1, seq=6), 1.0) is Addition.KNOWN  # pinned, by its own doing
    assert check(table, node(1, seq=2**64 - 1, place=70), 10.0, ok=False) is False
    assert table.add(node(1, seq=6), 20.0) is Addition.ADDED  # and silence ends that


# In a session


def test_d18_an_older_record_does_not_replace_a_newer_one():
    seen = []

    def note(record, *_):
        seen.append(record.sequence)
        return b""

    victim = make_party(1, talk={b"note": note})
    victim.node.table.accepts_incoming = True
    newest = 0
    for now, sequence in enumerate((5, 3, 9, 2**64 - 1, 9)):
        stranger = Stranger(2, victim)
        stranger.record = record_of(2, sequence)
        assert stranger.say(TalkRequest(b"", b"note", b""), float(now))
        newest = max(newest, sequence)
        assert seen[-1] == newest
        entry = victim.node.table.get(stranger.id)
        assert entry is not None
        assert entry.contact.seq == newest
