"""Rows D1, D4, D5 and D19 of THREATS.md: strangers against a node of discovery v4. Each name begins with its row.

A control runs the same attack with the defence disabled, and there it must succeed: or else the test beside it would show nothing.
"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.addresses import Endpoint
from devp2p.discovery.events import PingResult, RecordFound
from devp2p.discovery.v4 import packets
from devp2p.discovery.v4.bonds import Bonds
from devp2p.discovery.v4.protocol import Discv4
from devp2p.keys import keccak256
from devp2p.records.enr import Record
from tests.discovery.strangers import (
    FAR,
    OPEN,
    START,
    Stranger,
    endpoint_of,
    events,
    fresh,
    guest,
    key_of,
    kinds,
    make_node,
    named,
    neighbors_of,
    pass_time,
    quiet,
    sent,
)
from tests.fuzz.discovery_targets import sign_packet

VICTIM = endpoint_of(200)


def reflected(kind: str) -> tuple[int, int]:
    """Ask a node that could tell of many others a hundred times in a victim's name: the bytes that it took, and those that it sent."""
    node, attacker = fresh(OPEN), guest()
    for number in range(100, 130):
        node.table.add(guest(number).contact, START, live=True)
    attacker.bond(node, START)
    into = out = 0
    for number in range(100):
        expiration = int(START) + 20 + number
        question = packets.FindNode(bytes(64), expiration) if kind == "FindNode" else packets.ENRRequest(expiration)
        data, _ = packets.encode(question, attacker.key)
        into += len(data)
        assert node.receive_datagram(data, VICTIM, START)
        out += sum(len(answer) for answer, _ in node.datagrams_to_send(START))
    return into, out


@pytest.mark.parametrize("kind", ["FindNode", "ENRRequest"])
def test_d1_not_a_byte_goes_to_who_has_not_proved_that_he_is_there(kind):
    into, out = reflected(kind)
    assert into > 10_000
    assert out == 0


@pytest.mark.parametrize(("kind", "times"), [("FindNode", 8), ("ENRRequest", 2)])
def test_d1_control_without_endpoint_proofs_the_victim_gets_many_times_what_was_sent(kind, times, monkeypatch):
    monkeypatch.setattr(Bonds, "is_proved", lambda *_: True)
    monkeypatch.setattr(Bonds, "is_anybody_at", lambda *_: True)
    into, out = reflected(kind)
    assert out >= times * into


@pytest.mark.parametrize("question", [packets.FindNode(bytes(64), int(START) + 20), packets.ENRRequest(int(START) + 20)])
def test_d1_a_proof_holds_for_one_address_and_one_port(question):
    node, attacker = fresh(), guest()
    for number in range(100, 130):
        node.table.add(guest(number).contact, START, live=True)
    attacker.bond(node, START)
    attacker.say(node, question, START, at=VICTIM)
    attacker.say(node, question, START, at=Endpoint(attacker.endpoint.ip, 30304))
    assert kinds(node, START) == []
    attacker.say(node, question, START)
    assert set(kinds(node, START, attacker.endpoint)) in ({"Neighbors"}, {"ENRResponse"})
    assert kinds(node, START) == []


def test_d1_a_pong_that_names_another_ping_proves_nothing():
    node, attacker = fresh(), guest()
    attacker.say(node, attacker.ping(START), START)
    assert kinds(node, START) == ["Pong", "Ping"]
    attacker.say(node, packets.Pong(FAR, bytes(32), int(START) + 20), START)
    assert neighbors_of(attacker, node, START) is None


def replayed(node: Discv4, packet: packets.Packet, times: int) -> int:
    """Send one packet of a bonded guest many times, from its own endpoint; how many packets came of it."""
    data, _ = packets.encode(packet, guest().key)
    for number in range(times):
        assert node.receive_datagram(data, guest().endpoint, START + number / 100)
    return len(node.datagrams_to_send(START))


QUESTIONS: list[packets.Packet] = [
    guest(9).ping(START, enr_sequence=3),
    packets.FindNode(bytes(64), int(START) + 20),
    packets.ENRRequest(int(START) + 20),
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_d4_a_packet_is_answered_once(question):
    node = fresh()
    guest().bond(node, START)
    assert replayed(node, question, 1000) == 1


@pytest.mark.parametrize("question", QUESTIONS)
def test_d4_control_without_a_memory_each_repetition_is_answered(question):
    node = fresh(OPEN)
    guest().bond(node, START)
    assert replayed(node, question, 100) == 100


@pytest.mark.parametrize("question", QUESTIONS)
def test_d4_a_packet_that_has_expired_is_not_answered(question):
    node = fresh()
    guest().bond(node, START)
    data, _ = packets.encode(question, guest().key)
    assert node.receive_datagram(data, guest().endpoint, START + 21)
    assert node.datagrams_to_send(START + 21) == []


def test_d4_control_without_a_look_at_the_time_it_is(monkeypatch):
    monkeypatch.setattr(packets, "is_expired", lambda *_: False)
    node = fresh()
    guest().bond(node, START)
    data, _ = packets.encode(QUESTIONS[0], guest().key)
    assert node.receive_datagram(data, guest().endpoint, START + 10**4)
    assert kinds(node, START + 10**4) == ["Pong"]


def test_d4_an_expired_pong_proves_nothing():
    node, other = fresh(), guest()
    other.say(node, other.ping(START), START)
    ((_, packet_hash, _),) = [each for each in sent(node, START) if isinstance(each[0], packets.Ping)]
    other.say(node, packets.Pong(FAR, packet_hash, int(START) - 1), START)
    assert neighbors_of(other, node, START) is None


def test_d5_nobody_gets_into_the_table_or_the_record_by_answers_to_nothing():
    node, attacker = fresh(), guest()
    attacker.bond(node, START)
    before = [entry.contact for entry in node.table]
    for number in range(20, 60):
        attacker.say(node, packets.Neighbors((named(number),), int(START) + 20), START)
        stranger = guest(number)
        stranger.say(node, packets.Pong(packets.Endpoint(VICTIM.ip, 1, 0), bytes(32), int(START) + 20), START)
        stranger.say(node, packets.ENRResponse(bytes(32), Record.sign(stranger.key, 1, {}).encode()), START)
    assert [entry.contact for entry in node.table] == before
    assert node.external_address.ipv4 is None
    assert events(node) == []


@pytest.mark.parametrize("knows_the_hash", [False, True], ids=["guess", "control"])
def test_d5_control_whoever_knows_the_hash_of_our_ping_can_answer_from_a_victims_address(knows_the_hash):
    """The hash is the defence: an attacker who sees it gets all that the victim could have had."""
    node, attacker = fresh(), guest()
    attacker.say(node, attacker.ping(START), START, at=VICTIM)
    (_, (ping, packet_hash, to)) = sent(node, START)
    assert (type(ping), to) == (packets.Ping, VICTIM)
    attacker.say(node, packets.Pong(FAR, packet_hash if knows_the_hash else bytes(32), int(START) + 20), START, at=VICTIM)
    assert (attacker.key.public_key.node_id in node.table) is knows_the_hash
    attacker.say(node, packets.FindNode(bytes(64), int(START) + 20), START, at=VICTIM)
    assert kinds(node, START, VICTIM) == (["Neighbors"] if knows_the_hash else [])


def test_d5_an_answer_must_come_from_the_key_the_address_and_the_port_that_were_asked():
    node, other = fresh(), guest()
    other.bond(node, START)
    node.lookup(bytes(64), START + 1)
    assert kinds(node, START + 1, other.endpoint) == ["FindNode"]
    answer = packets.Neighbors((named(20),), int(START) + 30)
    for liar in (Stranger(key_of(1), other.endpoint), Stranger(other.key, endpoint_of(10)), Stranger(other.key, endpoint_of(9, 30304))):
        liar.say(node, answer, START + 1)
        assert node._exchange._timers.next() == START + 1.5  # it still waits for any answer
    other.say(node, answer, START + 1)
    pass_time(node, START + 1.2)
    assert key_of(20).public_key.node_id in node.table


def test_d5_an_answer_must_be_one_to_what_was_asked():
    node, other = fresh(), guest()
    other.bond(node, START)
    operation = node.request_enr(other.contact, START + 1)
    record = Record.sign(other.key, 3, {})
    ((_, packet_hash, _),) = [each for each in sent(node, START + 1) if isinstance(each[0], packets.ENRRequest)]
    other.say(node, packets.Neighbors((named(20),), int(START) + 30), START + 1)
    other.say(node, packets.ENRResponse(bytes(32), record.encode()), START + 1)
    assert len(node.table) == 1
    assert events(node) == []
    other.say(node, packets.ENRResponse(packet_hash, record.encode()), START + 1)
    (found,) = events(node)
    assert isinstance(found, RecordFound)
    assert (found.operation, found.record) == (operation, record)


def test_d5_a_pong_must_name_the_ping_to_the_same_key():
    node, one, two = fresh(), guest(), Stranger(key_of(8), guest().endpoint)
    node.ping(one.contact, START)
    node.ping(two.contact, START)
    (_, hash_one, _), (_, hash_two, _) = sent(node, START)
    one.say(node, packets.Pong(FAR, hash_two, int(START) + 20), START)
    assert events(node) == []
    one.say(node, packets.Pong(FAR, hash_one, int(START) + 20), START)
    assert [event.contact.id for event in events(node) if isinstance(event, PingResult)] == [one.contact.id]


@pytest.mark.parametrize("record", [Record.sign(key_of(1), 3, {}).encode(), b"\xc0", b"\x80"])
def test_d5_a_record_must_be_signed_by_who_gives_it(record):
    node, other = fresh(), guest()
    other.bond(node, START)
    operation = node.request_enr(other.contact, START + 1)
    ((_, packet_hash, _),) = [each for each in sent(node, START + 1) if isinstance(each[0], packets.ENRRequest)]
    other.say(node, packets.ENRResponse(packet_hash, record), START + 1)
    assert events(node) == [RecordFound(operation, other.contact, None)]


def record_requests() -> list[float]:
    """Claim a newer record every ten seconds for twenty minutes; when it was asked for."""
    node, attacker = fresh(), guest()
    requests: list[float] = []
    now = START
    for round_ in range(1, 120):
        attacker.say(node, attacker.ping(now, enr_sequence=100 * round_), now)
        for packet, packet_hash, _ in sent(node, now):
            if isinstance(packet, packets.Ping):
                attacker.say(node, packets.Pong(FAR, packet_hash, int(now) + 20, 100 * round_), now)
        pass_time(node, now + 0.5)
        for packet, packet_hash, _ in sent(node, now + 0.5):
            if isinstance(packet, packets.ENRRequest):
                requests.append(now)
                attacker.say(node, packets.ENRResponse(packet_hash, Record.sign(attacker.key, round_, {}).encode()), now + 0.5)
        now += 10
    return requests


def test_d19_a_record_that_is_ever_newer_is_asked_for_once_in_ten_minutes():
    requests = record_requests()
    assert len(requests) == 2
    assert requests[1] - requests[0] >= 600


def test_d19_control_without_the_interval_it_is_asked_for_each_time(monkeypatch):
    monkeypatch.setattr("devp2p.discovery.protocol.RECORD_INTERVAL", 0.0)
    assert len(record_requests()) > 100


def test_d19_the_owner_is_given_a_record_that_has_just_come():
    node, other = fresh(), guest()
    other.bond(node, START)
    record = Record.sign(other.key, 3, {})
    for now, asks in ((START + 1, True), (START + 500, False), (START + 602, True)):
        operation = node.request_enr(other.contact, now)
        asked = [packet_hash for packet, packet_hash, _ in sent(node, now) if isinstance(packet, packets.ENRRequest)]
        assert bool(asked) is asks
        for packet_hash in asked:
            other.say(node, packets.ENRResponse(packet_hash, record.encode()), now)
        (found,) = events(node)
        assert isinstance(found, RecordFound)
        assert (found.operation, found.record) == (operation, record)


def test_our_own_packets_come_back_to_nothing():
    node, _ = make_node(0)
    mirror = Stranger(key_of(0), endpoint_of(1))
    mirror.say(quiet(node, START), mirror.ping(START), START)
    assert kinds(node, START) == []


def test_nothing_is_sent_to_port_0():
    node = fresh()
    guest().say(node, guest().ping(START), START, at=endpoint_of(9, 0))
    assert kinds(node, START) == []


def busy(seed: int) -> Discv4:
    """A node that waits for answers of every kind from the same endpoint."""
    node, other = fresh(OPEN), guest()
    other.bond(node, START)
    node.lookup(seed.to_bytes(64), START)
    node.ping(guest(8).contact, START)
    node.request_enr(other.contact, START)
    node.handle_timer(START + 0.1)
    return node


def fields(kind: int) -> st.SearchStrategy[bytes]:
    """Bodies of packets that are nearly right."""
    hashes = st.binary(min_size=32, max_size=32)
    near = st.one_of(
        st.builds(packets.Ping, st.just(FAR), st.just(FAR), st.integers(0, 2**64 - 1)),
        st.builds(packets.Pong, st.just(FAR), hashes, st.integers(0, 2**64 - 1)),
        st.builds(packets.FindNode, st.binary(min_size=64, max_size=64), st.integers(0, 2**64 - 1)),
        st.builds(packets.ENRResponse, hashes, st.binary(max_size=40).map(rlp.encode)),
    ).map(lambda packet: packets.encode(packet, key_of(9))[0][98:])
    return st.one_of(st.binary(max_size=300), near).map(lambda body: bytes([kind]) + body)


@given(st.binary(max_size=1500), st.sampled_from([guest().endpoint, guest(8).endpoint, VICTIM]))
def test_any_bytes_are_refused_or_taken_but_never_raise(data, source):
    node = fresh()
    assert node.receive_datagram(data, source, START) is False


@given(st.lists(st.tuples(st.integers(0, 7).flatmap(fields), st.integers(7, 9), st.integers(7, 9)), max_size=8), st.integers(0, 9))
def test_any_signed_bytes_never_raise_either(bodies, seed):
    node = busy(seed)
    for body, signer, source in bodies:
        data = sign_packet(body, key_of(signer))
        assert node.receive_datagram(data, endpoint_of(source), START + 0.1) is (len(data) <= packets.MAX_PACKET)
    node.handle_timer(START + 1)
    for data, _ in node.datagrams_to_send(START + 1):
        assert packets.check_hash(data) == keccak256(data[32:])


def test_a_packet_with_one_wrong_bit_is_nobodys():
    node, chance = fresh(), random.Random(1)
    data, _ = packets.encode(guest().ping(START), guest().key)
    for _ in range(200):
        place = chance.randrange(len(data) * 8)
        wrong = bytearray(data)
        wrong[place // 8] ^= 1 << place % 8
        assert not node.receive_datagram(bytes(wrong), guest().endpoint, START)
    assert node.datagrams_to_send(START) == []
