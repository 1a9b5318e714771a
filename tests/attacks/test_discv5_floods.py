"""Rows D12, D13 and D3 of THREATS.md: strangers who knock at a node of discovery v5, and are in no session with it.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import random
import tracemalloc
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import addresses as networks
from devp2p import rlp
from devp2p.addresses import Endpoint
from devp2p.discovery.events import PingResult
from devp2p.discovery.table.contacts import contact_of
from devp2p.discovery.table.shares import TableLimits
from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.discovery.v5 import packets as v5_packets
from devp2p.discovery.v5 import requests as v5_requests
from devp2p.discovery.v5 import sessions as v5_sessions
from devp2p.discovery.v5.answers import Discv5Limits
from devp2p.discovery.v5.messages import FindNode, Ping
from tests.discovery.nodes import endpoint_of
from tests.discovery.v5_wire import Party, Stranger, Wire, header_of, make_party, ordinary, record_of, state_of, whoareyou

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


def test_d12_control_who_has_proved_where_he_is_gets_more_than_he_sent():
    """So the proof is the defence; and the smallest packet that is answered at all is larger than the answer."""
    victim = crowded()
    smallest = ordinary(victim, bytes(32), message=bytes(16))
    victim.node.receive_datagram(smallest, endpoint_of(5), 0.0)
    ((answer, _),) = victim.node.datagrams_to_send(0.0)
    assert len(answer) == 63 < len(smallest)
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


def finished(handshakes: int, strangers: int) -> int:
    """How many of some handshakes under way can be finished after so many strangers have knocked."""
    victim = make_party(1)
    honest = [Stranger(number, victim) for number in range(2, 2 + handshakes)]
    challenges = [stranger.provoke(10.0) for stranger in honest]
    flood(victim, strangers, 10.4)
    ping = v5_messages.encode_message(Ping(b"", 1))
    return sum(
        bool(stranger.exchange(stranger.prove(challenge, ping), 10.45)) for stranger, challenge in zip(honest, challenges, strict=True)
    )


def test_d13_handshakes_under_way_are_finished_whatever_comes_meanwhile():
    assert finished(40, 10_000) == 40


def test_d13_control_without_patience_none_is():
    with patch.object(v5_sessions, "_PATIENCE", 0.0):
        assert finished(40, 10_000) == 0


def grown(strangers: int, limits: Discv5Limits | None = None) -> int:
    """By how many bytes so many strangers make a node larger."""
    victim = make_party(1, limits=limits)
    flood(victim, 10, 0.0)
    for number in range(networks._REMEMBERED):  # what the process remembers of addresses does not grow, whichever test ran before
        networks.scope_of(number.to_bytes(4))
    tracemalloc.start()
    try:
        flood(victim, strangers, 10.0)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.simulation
def test_d13_strangers_take_less_than_two_mebibytes_however_many_they_are():
    assert grown(20_000) < 2 * 2**20


@pytest.mark.simulation
def test_d13_control_without_a_bound_each_takes_some():
    assert grown(10_000, Discv5Limits(challenges=10**9)) > 3 * 2**20


@pytest.mark.long
def test_d13_a_million_strangers_take_no_more():
    victim = make_party(1)
    flood(victim, 20_000, 10.0)
    tracemalloc.start()
    try:
        for second in range(50):
            flood(victim, 20_000, 11.0 + second)
        assert tracemalloc.get_traced_memory()[0] < 2 * 2**20
    finally:
        tracemalloc.stop()
    assert state_of(victim.node) == (0, 1024, 0)


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


def waits_for_answers(hold: float) -> list[float]:
    """Ask a node ten times while somebody sends us 20 packets a second in its name; how long each answer took that came."""
    victim, other = make_party(1), make_party(2)
    wire = Wire(victim, other)
    waits: list[float] = []
    with patch.object(v5_requests, "_HOLD", hold):

        def forge() -> None:
            victim.node.receive_datagram(ordinary(victim, other.id), other.endpoint, wire.now)

        for moment in range(200):
            wire.at(moment * 0.05, forge)
        wire.run_for(0.01)
        for _ in range(10):
            began = wire.now
            number = wire.begin(victim, lambda now: victim.node.ping(other.contact, now))
            wire.run_for(0.8)
            ended = [(now, event) for now, _, event in wire.events if isinstance(event, PingResult) and event.operation == number]
            waits += [now - began for now, event in ended if event.pong is not None]
    return waits


def test_d13_whoever_forges_packets_of_a_node_delays_a_request_to_it_by_half_a_second_and_prevents_none():
    """We hold a request back while its remote is to prove itself, which anybody can bring about by packets in its name."""
    waits = waits_for_answers(v5_requests._HOLD)
    assert len(waits) == 10
    assert max(waits) < 0.5 + 0.3  # a handshake takes 0.2 s here


def test_d13_control_if_we_waited_for_the_handshake_however_long_no_request_would_be_answered():
    assert waits_for_answers(1e9) == []


# D3: proofs cost two signatures each


def verified(limits: Discv5Limits | None = None, strangers: int = 500) -> int:
    """Answer the questions to so many forged addresses by four bad proofs each, all in a moment; how many were verified."""
    victim, forger = make_party(1, limits=limits), make_party(6)
    chance = random.Random(1)
    with patch.object(v5_crypto, "verify_id", wraps=v5_crypto.verify_id) as verify:
        for number in range(strangers):
            source = endpoint_of(1000 + number)
            victim.node.receive_datagram(ordinary(victim, forger.id), source, 0.0)
            for _ in range(4):
                nonce, signature = chance.randbytes(12), chance.randbytes(64)
                header = v5_packets.Handshake(nonce, forger.id, signature, forger.key.public_key.compressed, forger.local.record.encode())
                bad = v5_packets.seal(header, b"", key=bytes(16), masking_iv=bytes(16), destination=victim.id)
                victim.node.receive_datagram(bad, source, 0.0)
        return verify.call_count


def test_d3_of_forged_proofs_a_thousand_a_second_are_verified():
    assert verified() == 1000


def test_d3_control_without_the_bound_all_are():
    assert verified(Discv5Limits(proof_rate=1e9)) == 2000


def test_d3_whom_we_ask_can_prove_itself_while_strangers_flood_us():
    for is_asked in (True, False):
        victim, other = make_party(1, limits=Discv5Limits(proof_rate=1e-9)), make_party(2)
        assert Stranger(9, victim).say(Ping(b"", 1))  # and that was the one proof that strangers have
        if is_asked:
            victim.node.ping(other.contact, 0.0)
            victim.node.datagrams_to_send(0.0)
        stranger = Stranger(2, victim)
        proof = stranger.prove(stranger.provoke(), v5_messages.encode_message(Ping(b"", 1)))
        assert bool(stranger.exchange(proof)) is is_asked


@settings(max_examples=300)
@given(st.lists(datagrams() | st.tuples(st.integers(0, 8), st.binary(max_size=600)), max_size=10))
def test_d12_d13_no_bytes_raise(sent):
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
