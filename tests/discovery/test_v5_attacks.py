"""Strangers against a node of discovery v5: what they can make it send, keep, believe and do.

The names of the tests begin with the rows of the attack table that they are for.
"""

import random
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.discovery import v5_messages, v5_packets, v5_sessions
from devp2p.discovery.contacts import contact_of
from devp2p.discovery.kademlia import TableLimits
from devp2p.discovery.networks import Endpoint
from devp2p.discovery.v5_answers import Discv5Limits
from devp2p.discovery.v5_messages import FindNode, Ping, TalkRequest
from devp2p.discovery.v5_sessions import Keys, Remote, Sessions
from tests.discovery.toy import endpoint_of
from tests.discovery.v5_wire import Party, Stranger, Wire, header_of, key_of, make_party, ordinary, record_of, state_of, whoareyou

RECORDS = [record_of(number) for number in range(100, 110)]


def crowded(**options) -> Party:
    """A node with something to tell."""
    party = make_party(1, **options)
    for record in RECORDS:
        contact = contact_of(record)
        assert contact is not None
        party.node.table.add(contact, 0.0, live=True)
    return party


# D12: nothing is answered by more bytes

VICTIM = crowded()


def handshake_header(data: bytes) -> bytes:
    return bytes(32) + b"\x40\x21" + data[:97].ljust(97, b"s") + data[97:]


@st.composite
def datagrams(draw):
    """Any bytes; and such that get past the mask, the header and, with luck, the rest."""
    data = draw(st.binary(max_size=1300))
    header = draw(st.sampled_from([b"", b"discv5\x00\x01", b"ordinary", b"whoareyou", b"handshake"]))
    match header:
        case b"ordinary":
            plain = b"discv5\x00\x01\x00" + b"n" * 12 + b"\x00\x20" + data[:32].ljust(32, b"s")
        case b"whoareyou":
            plain, data = b"discv5\x00\x01\x01" + b"n" * 12 + b"\x00\x18" + data[:24].ljust(24, b"s"), b""
        case b"handshake":
            authdata = handshake_header(data[:397])
            plain = b"discv5\x00\x01\x02" + b"n" * 12 + len(authdata).to_bytes(2, "big") + authdata
        case _:
            plain = header + data[:200]
    whole = 16 + len(plain) + len(data)
    if not header or not v5_packets.MIN_PACKET <= whole <= v5_packets.MAX_PACKET:
        return data
    return v5_packets.encode(bytes(16) + plain, data, VICTIM.id)


@given(st.lists(datagrams(), max_size=20), st.integers(2, 250))
def test_d12_nothing_a_stranger_sends_is_answered_by_more(sent, number):
    for data in sent:
        VICTIM.node.receive_datagram(data, endpoint_of(number), 0.0)
        answers = VICTIM.node.datagrams_to_send(0.0)
        assert sum(len(answer) for answer, _ in answers) <= len(data)
        assert {to for _, to in answers} <= {endpoint_of(number)}


def test_d12_that_is_measured_where_something_is_answered():
    """The smallest packet there is gets an answer of its own size; and one whose sender has proved where it is, a larger one."""
    victim = crowded()
    smallest = ordinary(victim, bytes(32), message=bytes(16))
    victim.node.receive_datagram(smallest, endpoint_of(5), 0.0)
    ((answer, _),) = victim.node.datagrams_to_send(0.0)
    assert len(answer) == 63 <= len(smallest)
    stranger = Stranger(6, victim)
    challenge = stranger.provoke()
    proof = stranger.prove(challenge, v5_messages.encode_message(FindNode(b"", (256, 255, 254))))
    assert sum(map(len, stranger.exchange(proof))) > len(proof)


# D13: many strangers at once


def flood(victim: Party, strangers: int, now: float) -> None:
    chance = random.Random(strangers)
    packets = [ordinary(victim, chance.randbytes(32), chance.randbytes(12)) for _ in range(min(strangers, 500))]
    for number in range(strangers):
        victim.node.receive_datagram(packets[number % len(packets)], Endpoint(bytes([9, *number.to_bytes(3, "big")]), 30303), now)
        victim.node.datagrams_to_send(now)


def test_d13_a_flood_neither_fills_the_memory_nor_ends_a_handshake_under_way():
    victim = make_party(1)
    honest = Stranger(2, victim)
    challenge = honest.provoke(10.0)
    flood(victim, 100_000, 10.4)
    assert state_of(victim.node) == (0, 1024, 0)
    assert len(victim.node._answers._strangers) <= 4096
    assert honest.exchange(honest.prove(challenge, v5_messages.encode_message(Ping(b"", 1))), 10.45)
    assert state_of(victim.node) == (1, 1023, 0)


def test_d13_without_patience_the_handshake_would_be_lost():
    with patch.object(v5_sessions, "_PATIENCE", 0.0):
        victim = make_party(1)
        honest = Stranger(2, victim)
        challenge = honest.provoke(10.0)
        flood(victim, 2000, 10.4)
        assert not honest.exchange(honest.prove(challenge, v5_messages.encode_message(Ping(b"", 1))), 10.45)


def test_d13_who_waits_long_enough_gets_in_after_the_flood():
    victim = make_party(1)
    flood(victim, 2000, 10.0)
    honest = Stranger(2, victim)
    assert honest.exchange(ordinary(victim, honest.id), 10.1) == []
    assert honest.say(Ping(b"", 1), 10.6)
    flood(victim, 10, 20.0)
    assert state_of(victim.node) == (1, 10, 0)  # those of a second ago are gone


def test_d13_sessions_are_bounded_too():
    victim = make_party(1, limits=Discv5Limits(sessions=16))
    strangers = [Stranger(number, victim) for number in range(2, 32)]
    assert all(stranger.say(Ping(b"", 1)) for stranger in strangers)
    assert state_of(victim.node)[0] == 16
    assert strangers[-1].say(Ping(b"", 1))


def test_d13_one_host_is_not_answered_for_ever():
    """Packets that do not open, from one address, get nine questions a second; local addresses only if they are held to it."""
    for local, limits, expected in (
        (False, TableLimits(), 9),
        (True, TableLimits(), 30),
        (True, TableLimits(limit_local_addresses=True), 9),
    ):
        victim = make_party(1, limits=Discv5Limits(table=limits))
        for number in range(30):
            source = Endpoint(bytes([127, 0, 0, 1] if local else [9, 9, 9, 9]), 30000 + number)
            victim.node.receive_datagram(ordinary(victim, bytes(32)), source, 0.0)
        assert len(victim.node.datagrams_to_send(0.0)) == expected


def test_d13_who_is_asked_by_us_is_not_shut_out_by_others_at_its_address():
    for is_asked in (True, False):
        victim, other = make_party(1), make_party(2)
        for number in range(20):
            victim.node.receive_datagram(ordinary(victim, bytes(32)), Endpoint(other.endpoint.ip, 40000 + number), 0.0)
        if is_asked:
            victim.node.ping(other.contact, 0.0)
        victim.node.datagrams_to_send(0.0)
        victim.node.receive_datagram(ordinary(victim, other.id), other.endpoint, 0.0)
        assert len(victim.node.datagrams_to_send(0.0)) == is_asked


# D14: handshakes that are not what they should be


def proof_of(stranger: Stranger) -> bytes:
    return stranger.prove(stranger.provoke(), v5_messages.encode_message(Ping(b"", 1)))


def test_d14_each_changed_byte_is_noticed():
    size = len(proof_of(Stranger(2, make_party(1))))
    for place in range(16, size):
        victim = make_party(1)
        stranger = Stranger(2, victim)
        proof = bytearray(proof_of(stranger))
        proof[place] ^= 0x01
        victim.node.receive_datagram(bytes(proof), stranger.endpoint, 0.0)
        assert victim.node.datagrams_to_send(0.0) == []
        assert state_of(victim.node)[0] == 0


def test_d14_a_proof_counts_once_and_only_from_where_it_was_asked_for():
    victim = make_party(1)
    stranger = Stranger(2, victim)
    proof = proof_of(stranger)
    for elsewhere in (endpoint_of(3), Endpoint(stranger.endpoint.ip, 1)):
        victim.node.receive_datagram(proof, elsewhere, 0.0)
        assert victim.node.datagrams_to_send(0.0) == []
    assert len(stranger.exchange(proof)) == 1
    assert stranger.exchange(proof) == []
    assert state_of(victim.node)[:2] == (1, 0)


def test_d14_a_proof_that_comes_too_late_is_none():
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.exchange(proof_of(stranger), 1.0) == []
    assert state_of(victim.node)[:2] == (0, 0)


def test_d14_nobody_ends_the_handshake_of_another_by_a_bad_proof():
    """But only so many are verified: who sends more has to begin again."""
    for bad, answers in ((3, 1), (4, 0)):
        victim = make_party(1)
        stranger = Stranger(2, victim)
        challenge = stranger.provoke()
        for _ in range(bad):
            assert stranger.exchange(stranger.prove(challenge, b"", signer=key_of(3))) == []
        assert len(stranger.exchange(stranger.prove(challenge, v5_messages.encode_message(Ping(b"", 1))))) == answers


@pytest.mark.parametrize(
    "record",
    [
        b"",  # none, and we have none
        record_of(3).encode(),  # another's
        record_of(2).encode()[:-1],
        record_of(2).encode()[:20] + b"!" + record_of(2).encode()[21:],
        bytes(300),
    ],
)
def test_d14_d18_a_record_that_is_not_the_senders_own_is_no_identity(record):
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.exchange(stranger.prove(stranger.provoke(), v5_messages.encode_message(Ping(b"", 1)), record=record)) == []
    assert state_of(victim.node)[0] == 0


def test_d14_who_proves_one_identity_does_not_get_another():
    """With a proof and record that agree with each other, but not with the ID that the packet is from."""
    victim = make_party(1)
    stranger = Stranger(2, victim)
    message = v5_messages.encode_message(Ping(b"", 1))
    assert stranger.exchange(stranger.prove(stranger.provoke(), message, record=record_of(3).encode(), signer=key_of(3))) == []
    assert state_of(victim.node)[0] == 0


def test_d14_nobody_can_use_the_session_of_another():
    """With the keys of the session, from another address: a question who that is, and no answer."""
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.say(Ping(b"", 1))
    stolen = stranger.message(v5_messages.encode_message(Ping(b"", 1)))
    victim.node.receive_datagram(stolen, endpoint_of(3), 0.0)
    ((answer, _),) = victim.node.datagrams_to_send(0.0)
    assert isinstance(v5_packets.decode(answer, stranger.id).header, v5_packets.WhoAreYou)
    assert stranger.say(Ping(b"", 1))  # and the session itself goes on


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


def test_d7_who_comes_by_itself_must_be_where_its_record_says():
    victim = make_party(1)
    victim.node.table.accepts_incoming = True
    for number, told, known in ((2, endpoint_of(2), True), (3, endpoint_of(33), False), (4, Endpoint(endpoint_of(4).ip, 1), False)):
        stranger = Stranger(number, victim)
        stranger.record = record_of(number, endpoint=told)
        assert stranger.say(Ping(b"", 1))
        assert (stranger.id in victim.node.table) is known


# D17: no nonce twice


def test_d17_no_nonce_meets_a_key_twice_even_if_chance_fails():
    sessions = Sessions(key_of(1), bytes, sessions=4, challenges=4, handshake_timeout=1.0)
    remote, keys = Remote(key_of(2).public_key.node_id, endpoint_of(2)), Keys(b"w" * 16, b"r" * 16)
    packets = (sessions.seal_answer(remote, keys, b"") for _ in range(20_000))
    assert len({v5_packets.decode(packet, remote.id).header.nonce for packet in packets}) == 20_000


def test_d17_a_key_is_given_up_before_its_counter_ends():
    with patch.object(v5_sessions, "MAX_SEALED", 8):
        alice, bob = make_party(1), make_party(2)
        wire = Wire(alice, bob)
        assert all(wire.ping(alice, bob) for _ in range(40))
    used: dict[bytes, int] = {}
    for sent in wire.log:
        if not isinstance(sent.header, v5_packets.WhoAreYou):
            assert used.setdefault(sent.header.nonce, id(sent)) == id(sent)
            assert int.from_bytes(sent.header.nonce[:4], "big") < 8 or sent in provocations(wire)
    assert wire.kinds.count("Handshake") >= 4


def provocations(wire: Wire) -> list[object]:
    challenged = {sent.header.nonce for sent in wire.of_kind("WhoAreYou")}
    return [sent for sent in wire.of_kind("Ordinary") if sent.header.nonce in challenged]


# Whatever comes


@settings(max_examples=300)
@given(st.lists(datagrams() | st.tuples(st.integers(0, 8), st.binary(max_size=600)), max_size=10))
def test_no_bytes_raise(sent):
    """Datagrams of strangers, and any message of somebody with a session."""
    victim = crowded()
    victim.node.table.accepts_incoming = True
    friend = Stranger(2, victim)
    assert friend.say(Ping(b"", 1))
    for number, item in enumerate(sent):
        if isinstance(item, bytes):
            victim.node.receive_datagram(item, endpoint_of(number + 3), float(number))
        else:
            kind, rest = item
            friend.exchange(friend.message(bytes([kind]) + rest), float(number))
            friend.exchange(friend.message(bytes([kind]) + rlp.encode([rest[:8], rest[8:]])), float(number))
        victim.node.handle_timer(float(number))
    assert state_of(victim.node)[1] <= len(sent)


def test_our_own_packets_come_back():
    victim = make_party(1)
    assert victim.node.receive_datagram(ordinary(victim, victim.id), endpoint_of(2), 0.0)
    assert victim.node.datagrams_to_send(0.0) == []


def test_an_answer_that_does_not_open_leads_nowhere():
    """Both sides have lost the session in turn: a question for an answer is not answered by a proof."""
    alice, bob = make_party(1), make_party(2)
    wire = Wire(alice, bob)
    assert wire.ping(alice, bob) is not None
    (answer,) = wire.log[3:]
    nonce = answer.header.nonce
    bob.node.receive_datagram(whoareyou(bob, nonce), alice.endpoint, wire.now)
    assert bob.node.datagrams_to_send(wire.now) == []
    assert isinstance(header_of(answer.data, alice), v5_packets.Ordinary)
