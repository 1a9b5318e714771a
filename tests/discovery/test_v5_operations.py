"""What the owner of a node of discovery v5 can ask for, and what comes of it."""

from functools import partial

import pytest

from devp2p.discovery.events import RecordFound
from devp2p.discovery.table.contacts import Contact, contact_of
from devp2p.discovery.table.kademlia import distance
from devp2p.discovery.v5.answers import MAX_TALK
from devp2p.discovery.v5.protocol import Discv5, NodesFound, TalkAnswered
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.records import NodeRecord
from devp2p.records.enr import Record
from tests.discovery.nodes import endpoint_of
from tests.discovery.v5_wire import key_of, lose, pair, record_of


def contact(record: Record) -> Contact[Record]:
    made = contact_of(record)
    assert made is not None
    return made


def test_nodes_are_told_by_their_distance():
    wire, alice, bob = pair()
    records = [record_of(number) for number in range(100, 140)]
    for record in records:
        bob.node.table.add(contact(record), 0.0, live=True)
    silent = record_of(500)
    bob.node.table.add(contact(silent), 0.0)
    number = wire.begin(alice, lambda now: alice.node.find_node(bob.contact, [256, 255, 0], now))
    found = wire.result(alice, number, NodesFound)
    assert found.complete
    assert len(found.records) == 16
    assert found.records[0] == bob.local.record
    assert {distance(record.id, bob.id) for record in found.records[1:]} == {256}
    assert set(found.records[1:]) <= set(records)
    number = wire.begin(alice, lambda now: alice.node.find_node(bob.contact, [distance(bob.id, alice.id) - 10], now))
    assert wire.result(alice, number, NodesFound).complete
    assert max(len(sent.data) for sent in wire.log) <= 1280


def test_what_a_node_is_told_it_has_still_to_verify():
    wire, alice, bob = pair()
    record = record_of(100)
    bob.node.table.add(contact(record), 0.0, live=True)
    number = wire.begin(alice, lambda now: alice.node.find_node(bob.contact, range(257), now))
    assert set(wire.result(alice, number, NodesFound).records) == {record, bob.local.record}
    entry, teller = alice.node.table.get(record.id), alice.node.table.get(bob.id)
    assert entry is not None
    assert teller is not None
    assert (entry.live, teller.live) == (False, True)


def test_a_part_of_the_answer_is_lost():
    wire, alice, bob = pair()
    for number in range(100, 140):
        bob.node.table.add(contact(record_of(number, eth=b"\xb8\x64" + bytes(100))), 0.0, live=True)
    assert wire.ping(alice, bob) is not None
    lose(wire, 2)
    number = wire.begin(alice, lambda now: alice.node.find_node(bob.contact, [256], now))
    found = wire.result(alice, number, NodesFound)
    assert not found.complete
    assert 0 < len(found.records) < 16


def test_talk():
    seen = []

    def shout(asker, endpoint, request):
        seen.append((asker.id, endpoint))
        if not request:
            raise DecodingError("nothing said")
        return request.upper()

    wire, alice, bob = pair(talk={b"shout": shout})
    said = {b"hello": b"HELLO", b"": b""}
    for request, response in said.items():
        number = wire.begin(alice, partial(alice.node.talk, bob.contact, b"shout", request))
        assert wire.result(alice, number, TalkAnswered).response == response
    assert seen == [(alice.id, alice.endpoint)] * 2
    bob.node.on_talk(b"shout", None)
    number = wire.begin(alice, lambda now: alice.node.talk(bob.contact, b"shout", b"hello", now))
    assert wire.result(alice, number, TalkAnswered).response == b""
    wire.silence(bob.endpoint)
    number = wire.begin(alice, lambda now: alice.node.talk(bob.contact, b"shout", b"hello", now))
    assert wire.result(alice, number, TalkAnswered).response is None


def test_the_longest_talk_needs_a_session_first_and_gets_it():
    """It does not fit into a handshake packet, so a Ping goes before it."""
    wire, alice, bob = pair(talk={b"long": lambda *_: bytes(MAX_TALK)})
    request = bytes(MAX_TALK - len(b"long"))
    number = wire.begin(alice, lambda now: alice.node.talk(bob.contact, b"long", request, now))
    assert wire.result(alice, number, TalkAnswered).response == bytes(MAX_TALK)
    assert max(len(sent.data) for sent in wire.log) <= 1280
    with pytest.raises(LocalProtocolError, match="bytes of talk"):
        alice.node.talk(bob.contact, b"long", request + b"!", wire.now)


def test_a_handler_with_a_bug_is_not_covered_up():
    wire, alice, bob = pair(talk={b"bug": lambda *_: bytes(MAX_TALK + 1)})
    wire.begin(alice, lambda now: alice.node.talk(bob.contact, b"bug", b"", now))
    with pytest.raises(LocalProtocolError, match=f"gave {MAX_TALK + 1} bytes, where at most {MAX_TALK} bytes belong"):
        wire.run_for(1)


def test_resolve_asks_the_node_itself():
    wire, alice, bob = pair()
    old = bob.local.record
    bob.local.update({"tcp": 1})
    number = wire.begin(alice, lambda now: alice.node.resolve(NodeRecord.from_enr(old), now))
    assert wire.result(alice, number, RecordFound) == RecordFound(number, bob.contact, bob.local.record)


def test_resolve_asks_others_where_the_node_has_moved():
    wire, alice, bob = pair()
    moved = record_of(50, 7, endpoint_of(51))
    bob.node.table.add(contact(moved), 0.0, live=True)
    alice.node.table.add(bob.contact, 0.0, live=True)
    number = wire.begin(alice, lambda now: alice.node.resolve(NodeRecord.from_enr(record_of(50)), now))
    assert wire.result(alice, number, RecordFound) == RecordFound(number, contact(moved), moved)


def test_resolve_of_nobody_gives_nothing_new():
    wire, alice, _ = pair()
    known = record_of(50)
    number = wire.begin(alice, lambda now: alice.node.resolve(NodeRecord.from_enr(known), now))
    assert wire.result(alice, number, RecordFound) == RecordFound(number, None, None)


@pytest.mark.parametrize(
    ("misuse", "complaint"),
    [
        (lambda node, other: node.find_node(other, [], 0.0), "distances are from 0 to 256"),
        (lambda node, other: node.find_node(other, [257], 0.0), "distances are from 0 to 256"),
        (lambda node, _: node.lookup(b"short", 0.0), "a target has 32 or 64 bytes, not 5"),
        (lambda node, other: node.ping(other._replace(id=bytes(32)), 0.0), "a contact with the record of another node"),
        (lambda node, other: [node.ping(other, 0.0) for _ in range(1025)], "more than 1024 operations at a time"),
    ],
)
def test_misuse_is_named(misuse, complaint):
    _, alice, bob = pair()
    with pytest.raises(LocalProtocolError, match=complaint):
        misuse(alice.node, bob.contact)


def test_the_record_must_be_of_the_key():
    _, alice, _ = pair()
    with pytest.raises(LocalProtocolError, match="the record is not that of the key"):
        Discv5(alice.local, key_of(9), random=lambda: 0.0, random_bytes=bytes)


def test_what_is_not_for_us_is_left_to_others():
    _, alice, bob = pair()
    alice.node.ping(bob.contact, 0.0)
    ((data, _),) = alice.node.datagrams_to_send(0.0)
    assert not alice.node.receive_datagram(data, bob.endpoint, 0.0)
    assert not bob.node.receive_datagram(b"hello", alice.endpoint, 0.0)
    assert bob.node.datagrams_to_send(0.0) == []
    assert bob.node.receive_datagram(data, alice.endpoint, 0.0)
