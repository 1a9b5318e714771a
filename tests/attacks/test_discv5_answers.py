"""Rows D11, D15, D16 and D19 of THREATS.md: what a node of discovery v5 takes for an answer, and what, and how often, it answers to others.

Each name begins with its row; more of D15 is in test_nodes_states.py. A control runs the same attack with the defence disabled.
"""

from functools import partial
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.addresses import HOST, Endpoint, network_of
from devp2p.bounded import Throttle
from devp2p.discovery.events import PingResult
from devp2p.discovery.table.contacts import contact_of
from devp2p.discovery.table.kademlia import distance
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.discovery.v5 import packets as v5_packets
from devp2p.discovery.v5.answers import Discv5Limits
from devp2p.discovery.v5.messages import FindNode, Nodes, Ping, Pong, TalkRequest, TalkResponse
from devp2p.discovery.v5.nodes import MAX_PARTS, MAX_RECORDS, NodesAnswer, split_records
from devp2p.discovery.v5.protocol import NodesFound
from devp2p.errors import DecodingError
from tests.discovery.nodes import endpoint_of
from tests.discovery.v5_wire import Party, Stranger, Wire, make_party, record_of

# D15: answers to FINDNODE

CONTACT = contact_of(record_of(2))
POOL = [record_of(number) for number in range(200, 230)]
LAN = [record_of(231, endpoint=Endpoint(bytes([192, 168, 1, 1]), 30303)), record_of(232, endpoint=Endpoint(bytes([20, 1, 1, 1]), 1024))]
OWN = record_of(1)
parts = st.builds(
    Nodes,
    st.just(b"id"),
    st.sampled_from([0, 1, 2, 3, 5, 6, 16, 17, 255, 2**64 - 1]),
    st.lists(
        st.sampled_from([*POOL, *LAN, OWN, record_of(2)]).map(lambda record: record.encode())
        | st.binary(max_size=20).map(rlp.encode)
        | st.sampled_from([record_of(250).encode()[:-1] + b"!"]),
        max_size=20,
    ).map(tuple),
)


@given(st.lists(st.tuples(parts, st.integers(0, 8)), max_size=12), st.sets(st.integers(0, 256), min_size=1) | st.just({0, 254, 255, 256}))
def test_d15_whatever_is_answered_what_is_taken_was_asked_for(messages, distances):
    assert CONTACT is not None
    answer = NodesAnswer(CONTACT, distances, OWN.id)
    taken = 0
    for message, nonce in messages:
        before = answer.complete, answer.records
        try:
            answer.receive(message, nonce.to_bytes(12, "big"))
        except DecodingError:
            assert message.total in {0, 17, 255, 2**64 - 1}
            continue
        assert message.total <= MAX_RECORDS
        taken += 1
        if before[0]:
            assert before == (answer.complete, answer.records)
    ids = [record.id for record in answer.records]
    assert len(ids) <= MAX_RECORDS
    assert len(set(ids)) == len(ids)
    assert all(distance(node_id, CONTACT.id) in distances for node_id in ids)
    assert not {record.id for record in [OWN, *LAN]} & set(ids)
    assert answer.complete or taken == 0 or len({nonce for _, nonce in messages}) < MAX_RECORDS


@given(st.lists(st.sampled_from(POOL) | st.integers(0, 6).map(lambda size: record_of(300, eth=rlp.encode(bytes(size * 20)))), max_size=40))
def test_d15_what_we_answer_is_read_by_others(records):
    messages = split_records(b"12345678", records)
    assert 1 <= len(messages) <= MAX_PARTS
    assert {message.total for message in messages} == {len(messages)}
    assert all(len(v5_messages.encode_message(message)) <= v5_packets.MAX_MESSAGE for message in messages)
    sent = [data for message in messages for data in message.records]
    assert sent == [record.encode() for record in records][: len(sent)]
    assert len(sent) == min(len(records), MAX_RECORDS)


def test_d15_sixteen_of_the_largest_records_fill_five_messages():
    """Three of 300 bytes fit into one, and a sixth message would be read by nobody."""
    large = record_of(300, eth=rlp.encode(bytes(159)))
    assert len(large.encode()) == 300
    messages = split_records(b"12345678", [large] * 16)
    assert [len(message.records) for message in messages] == [3] * MAX_PARTS


def test_d15_a_datagram_that_came_twice_counts_once():
    assert CONTACT is not None
    answer = NodesAnswer(CONTACT, range(257), OWN.id)
    for nonce, complete in ((b"1", False), (b"1", False), (b"2", True)):
        answer.receive(Nodes(b"", 2, ()), nonce)
        assert answer.complete is complete


def asked(party: Party, stranger: Stranger) -> tuple[int, bytes]:
    """Let the node ask a stranger with whom it has a session for nodes: the operation, and the id of the request."""
    contact = contact_of(stranger.record)
    assert contact is not None
    operation = party.node.find_node(contact, [256, 255, 254, 253], 0.0)
    ((data, _),) = party.node.datagrams_to_send(0.0)
    message = stranger.read(data)
    return operation, message.request_id


def outcome(party: Party, now: float) -> NodesFound | None:
    party.node.handle_timer(now)
    event = party.node.next_event()
    assert event is None or isinstance(event, NodesFound)
    return event


@pytest.mark.parametrize("total", [0, 17, 255])
def test_d15_an_impossible_total_ends_it(total):
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.say(Ping(b"", 1))
    operation, request_id = asked(victim, stranger)
    stranger.say(Nodes(request_id, total, (POOL[0].encode(),)))
    found = outcome(victim, 0.0)
    assert found is not None
    assert (found.operation, found.records, found.complete) == (operation, (), False)


@pytest.mark.parametrize("wrong", ["request-id", "type", "endpoint", "unsolicited"])
def test_d15_what_does_not_answer_our_question_is_nothing(wrong):
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.say(Ping(b"", 1))
    request_id = b"" if wrong == "unsolicited" else asked(victim, stranger)[1]
    good = Nodes(request_id, 1, tuple(record.encode() for record in POOL[:5]))
    match wrong:
        case "request-id":
            stranger.say(Nodes(request_id[::-1], 1, good.records))
        case "type":
            stranger.say(Pong(request_id, 1, bytes(4), 1))
            stranger.say(TalkResponse(request_id, b""))
        case "endpoint":
            victim.node.receive_datagram(stranger.message(v5_messages.encode_message(good)), endpoint_of(3), 0.0)
        case _:
            stranger.say(good)
    assert outcome(victim, 0.0) is None
    assert all(record.id not in victim.node.table for record in POOL)
    if wrong != "unsolicited":
        stranger.say(good)  # the control
        found = outcome(victim, 0.0)
        assert found is not None
        assert found.records


# D16, D11: requests that are too long, or too many


def test_d16_a_long_request_id_is_not_answered():
    victim = make_party(1)
    stranger = Stranger(2, victim)
    assert stranger.say(Ping(b"12345678", 1))
    bodies = {1: rlp.encode([b"123456789", 1]), 3: rlp.encode([b"123456789", [0]]), 5: rlp.encode([b"123456789", b"", b""])}
    for kind, body in bodies.items():
        assert stranger.exchange(stranger.message(bytes([kind]) + body)) == []


UNBOUNDED = Discv5Limits(node_rate=1e9, host_rate=1e9, talk_rate=1e9)


@pytest.mark.parametrize("asks", [Ping(b"", 1), FindNode(b"", (0,)), TalkRequest(b"", b"p", b"")], ids=["Ping", "FindNode", "TalkRequest"])
def test_d11_d16_control_without_bounds_each_of_a_flood_of_requests_is_answered(asks):
    answers = []
    for limits in (None, UNBOUNDED):
        stranger = Stranger(2, make_party(1, limits=limits))
        assert stranger.say(Ping(b"", 1))
        answers.append(sum(len(stranger.say(asks)) for _ in range(1024)))
    assert answers[0] <= 8
    assert answers[1] == 1024


def test_d11_d16_a_node_is_answered_some_times_a_second():
    calls = []

    def count_it(*call):
        calls.append(call)
        return b""

    victim = make_party(1, talk={b"p": count_it})
    stranger = Stranger(2, victim)
    assert sum(len(stranger.say(TalkRequest(b"", b"p", b""))) for _ in range(1024)) == len(calls) == 4
    later = [len(stranger.say(Ping(b"", 1), 1.0)) for _ in range(100)]
    assert sum(later) == 8
    assert [len(stranger.say(Ping(b"", 1), 2.0)) for _ in range(8)] == [1] * 8
    other = Stranger(3, victim)
    assert other.say(Ping(b"", 1), 2.0)


def test_d11_the_nodes_of_one_host_share():
    for ip, expected in ((bytes([20, 0, 0, 9]), 9), (bytes([127, 0, 0, 1]), 40)):
        victim = make_party(1)
        strangers = [Stranger(number, victim, Endpoint(ip, 30000 + number)) for number in range(2, 12)]
        challenges = [stranger.provoke(now) for now, stranger in enumerate(strangers)]
        assert len(challenges) == 10
        answered = 0
        for stranger in strangers:
            stranger.keys = None
            for _ in range(4):
                answered += len(say_at_once(stranger))
        assert answered == expected


def say_at_once(stranger: Stranger) -> list[bytes]:
    """A Ping at 100 s, by a handshake if need be that the limit for strangers does not hold up."""
    with patch.object(stranger.victim.node._answers, "may_challenge", return_value=True):
        return [b"" for _ in stranger.say(Ping(b"", 1), 100.0)]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 3)), max_size=100))
def test_d11_a_throttle_keeps_its_rate(calls):
    throttle = Throttle(8.0, remembered=4)
    now, given_to = 0.0, dict.fromkeys(range(6), 0)
    for key, pause in calls:
        now += pause
        given_to[key] += throttle.allows(bytes([key]), now)
        assert len(throttle) <= 4
    lone = Throttle(8.0)
    assert sum(lone.allows(b"", number / 1000) for number in range(10_000)) <= 8 + 80


def test_d11_hosts():
    mapped = bytes(10) + b"\xff\xff" + bytes([1, 2, 3, 4])
    assert network_of(bytes([1, 2, 3, 4]), HOST) == network_of(mapped, HOST) == bytes([1, 2, 3, 4])
    assert network_of(bytes(range(16)), HOST) == bytes(range(8))


# D19: records that are always new


def fetches(hours: float) -> int:
    """Be pinged every ten seconds, with a newer record each time; how often it is fetched."""
    victim, churner = make_party(1), make_party(2)
    wire = Wire(victim, churner)
    known = churner.contact
    pings = int(hours * 360)
    for _ in range(pings):
        churner.local.update({"x": rlp.encode(churner.local.record.sequence)})
        number = wire.begin(victim, partial(victim.node.ping, known))
        pong = wire.result(victim, number, PingResult).pong
        assert pong is not None
        assert pong.sequence == churner.local.record.sequence
        wire.run_for(9.9)
    entry = victim.node.table.get(churner.id)
    assert entry is not None
    assert entry.contact.seq > pings / 2
    return (len(wire.log) - 2 - 2 * pings) // 2  # a question and an answer each, beside the handshake


def test_d19_the_record_of_a_node_is_fetched_once_in_ten_minutes():
    assert fetches(0.55) == 4


def test_d19_control_without_the_bound_it_is_fetched_each_time():
    with patch("devp2p.discovery.protocol.RECORD_INTERVAL", 0.0):
        assert fetches(0.1) >= 35
