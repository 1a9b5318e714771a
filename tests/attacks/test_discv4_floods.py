"""Rows D2, D3 and D11 of THREATS.md: floods against a node of discovery v4, and floods that it could be made to send.

Each name begins with its row, and controls are as in test_discv4.py.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.addresses import Endpoint
from devp2p.discovery.events import PingResult
from devp2p.discovery.v4 import packets
from devp2p.discovery.v4.bonds import Bonds, Discv4Limits
from devp2p.discovery.v4.exchange import PAID_PING
from devp2p.discovery.v4.protocol import Discv4
from devp2p.keys import PublicKey, recover
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
    neighbors_of,
    quiet,
    sent,
)
from tests.fuzz.discovery_targets import sign_packet
from tools.bench.junk import Junk

VICTIM = endpoint_of(200)


@pytest.fixture
def recovered(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The digests for which a signature's key was recovered."""
    digests: list[bytes] = []

    def spy(digest: bytes, signature: bytes) -> PublicKey:
        digests.append(digest)
        return recover(digest, signature)

    monkeypatch.setattr(packets, "recover", spy)
    return digests


def flood(node: Discv4, seconds: int, each_second: int, *, keys: int = 20, size: int = 0) -> tuple[int, int, int]:
    """Send Pings of `size` bytes at least in the victim's name; how many bytes went in and out, and how many Pings of ours went out."""
    attackers = [Stranger(key_of(number), VICTIM) for number in range(300, 300 + keys)]
    into = out = pings = 0
    for tick in range(seconds * each_second):
        now = START + tick / each_second
        attacker = attackers[tick % keys]
        data, _ = packets.encode(attacker.ping(now, expiration=int(now) + 20 + tick, enr_sequence=1), attacker.key, size=size)
        into += len(data)
        node.receive_datagram(data, VICTIM, now)
        for each, to in node.datagrams_to_send(now):
            assert to == VICTIM
            out += len(each)
            pings += isinstance(packets.decode(each).packet, packets.Ping)
        node._exchange.handle_timer(now)
    return into, out, pings


@pytest.mark.parametrize("each_second", [1, 20])
def test_d2_a_flood_in_a_victims_name_is_not_made_larger(each_second):
    into, out, pings = flood(fresh(), 60, each_second)
    assert pings == 1
    assert out <= 1.2 * into
    assert out < 122 * 160  # the packets of a minute, and those that may come at once


@pytest.mark.parametrize("size", [PAID_PING, packets.MAX_PACKET])
def test_d2_large_pings_are_answered_by_a_ping_each_and_not_made_larger_either(size):
    into, out, pings = flood(fresh(), 60, 1, size=size)
    assert pings >= 20
    assert out <= 1.2 * into


def test_d2_control_without_the_bounds_it_is():
    into, out, pings = flood(fresh(OPEN), 10, 20, keys=200)
    assert pings == 200
    assert out > 2 * into


def spread(limits: Discv4Limits | None, each_second: int) -> tuple[int, int]:
    """Send Pings in the names of ever other victims, for two seconds; how many bytes went in and out."""
    node, attacker = fresh(limits), guest()
    into = out = 0
    for number in range(2 * each_second):
        now = START + number / each_second
        data, _ = packets.encode(attacker.ping(now, expiration=int(now) + 20 + number), attacker.key)
        into += len(data)
        node.receive_datagram(data, endpoint_of(1000 + number), now)
        node._exchange.handle_timer(now)
        out += sum(len(each) for each, _ in node.datagrams_to_send(now))
    return into, out


def test_d2_a_flood_in_the_names_of_many_is_not_made_larger_either():
    """Each of them gets one Pong and one Ping, 2.2 times what was sent in his name; but of all together there are only so many."""
    into, out = spread(None, 2000)
    assert out <= 1.2 * into
    assert out <= 1500 * 150 + 5 * 256 * 150  # the Pongs of two seconds, and those at once; and Pings, of which so many wait half a second


def test_d2_control_without_bounds_for_all_together_it_is():
    into, out = spread(Discv4Limits(strangers_per_second=10**9, ping_backs=10**9), 2000)
    assert out > 2 * into


packet_sizes = st.tuples(st.integers(0, 60), st.sampled_from([b"", bytes(4), bytes(16)]), st.sampled_from([None, 0, 2**64 - 1]))
moments = st.lists(st.tuples(packet_sizes, st.integers(0, 4), st.floats(0, 2)), max_size=30)


@given(moments, st.sampled_from([VICTIM, Endpoint(bytes.fromhex("2001047000010000000000000000000a"), 30303)]))
def test_d2_whatever_the_packets_little_comes_of_them(steps, victim):
    node = quiet(make_node(0, at=Endpoint(bytes.fromhex("20010470000200000000000000000001"), 30303))[0], START)
    now, into, out = START, 0, 0
    pair = 0
    for (extra, ip, sequence), who, passed in steps:
        now += passed
        where = packets.Endpoint(ip, 1, 1)
        ping = packets.Ping(where, where, int(now) + 20, sequence)
        data, _ = packets.encode(ping, key_of(who))
        data = sign_packet(data[97:] + bytes(extra), key_of(who))  # bytes behind the list are ignored
        into += len(data)
        node.receive_datagram(data, victim, now)
        for each, _ in node.datagrams_to_send(now):
            is_ping = isinstance(packets.decode(each).packet, packets.Ping)
            pair += is_ping
            out += 0 if is_ping else len(each)
    assert pair <= 1
    assert out <= 1.2 * into


def test_d3_what_is_not_worth_a_look_at_its_signature_gets_none(recovered):
    node, stranger = fresh(), guest()
    ping, _ = packets.encode(stranger.ping(START), stranger.key)

    def costs(data: bytes, *, known: bool = True, at: Endpoint = stranger.endpoint) -> int:
        recovered.clear()
        assert node.receive_datagram(data, at, START) is known
        return len(recovered)

    assert costs(b"", known=False) == costs(bytes(97), known=False) == costs(ping + bytes(1281), known=False) == 0
    assert costs(bytes(32) + ping[32:], known=False) == 0
    assert costs(sign_packet(b"\x42\xc0", stranger.key)) == 0  # an unknown type
    assert costs(sign_packet(b"\x01\xff", stranger.key)) == 0  # no RLP
    for unasked in (packets.Pong(FAR, bytes(32), 2**33), packets.Neighbors((), 2**33), packets.ENRResponse(bytes(32), b"\xc0")):
        assert costs(packets.encode(unasked, stranger.key)[0]) == 0
    for unproved in (packets.FindNode(bytes(64), 2**33), packets.ENRRequest(2**33)):
        assert costs(packets.encode(unproved, stranger.key)[0]) == 0
    assert costs(ping) == 1
    assert costs(ping) == 0  # again
    assert costs(ping, at=VICTIM) == 0


def test_d3_one_address_costs_sixty_signatures_a_minute_at_most(recovered):
    node = fresh()
    for number in range(200):
        attacker = Stranger(key_of(number % 20), Endpoint(VICTIM.ip, 1025 + number))
        attacker.say(node, attacker.ping(START, expiration=int(START) + 20 + number), START)
    assert len(recovered) == 60
    recovered.clear()
    guest().say(node, guest().ping(START), START)
    assert len(recovered) == 1  # another address has a share of its own


def test_d3_one_ipv6_host_has_one_share_whatever_addresses_it_takes(recovered):
    node = fresh()
    for number in range(100):
        attacker = Stranger(key_of(1), Endpoint(bytes.fromhex("2001047000010000") + number.to_bytes(8), 30303))
        attacker.say(node, attacker.ping(START, expiration=int(START) + 20 + number), START)
    assert len(recovered) == 60


def forge(node: Discv4, packets_a_second: int, seconds: float, *, first: int = 0) -> None:
    """Pings that cost nothing to make, each from another address."""
    junk = Junk(key_of(0).public_key.node_id, first)
    for number in range(int(packets_a_second * seconds)):
        node.receive_datagram(junk.ping(), endpoint_of(10_000 + first + number), START + number / packets_a_second)


def test_d3_forged_addresses_cost_five_hundred_signatures_a_second_all_together(recovered):
    forge(fresh(), 4000, 2.0)
    assert len(recovered) <= 500 + 2 * 500


def test_d3_control_without_a_bound_for_strangers_each_costs_one(recovered):
    forge(fresh(Discv4Limits(strangers_per_second=10**9)), 2000, 1.0)
    assert len(recovered) == 2000


def test_d3_whom_we_know_or_ask_is_heard_while_strangers_flood_us():
    node, bonded, asked, newcomer = fresh(), guest(), guest(8), guest(7)
    bonded.bond(node, START)
    forge(node, 10_000, 0.1)
    node.datagrams_to_send(START)
    now = START + 0.1
    newcomer.say(node, newcomer.ping(now), now)  # the control
    assert kinds(node, now) == []
    bonded.say(node, bonded.ping(now, enr_sequence=1), now)
    assert kinds(node, now, bonded.endpoint) == ["Pong"]
    assert neighbors_of(bonded, node, now) == []
    node.ping(asked.contact, now)
    assert kinds(node, now) == ["Ping"]
    asked.say(node, asked.ping(now), now)
    assert kinds(node, now) == ["Pong"]


def test_d3_addresses_of_ones_own_network_have_no_bound_unless_it_is_wished(recovered):
    for limits, expected in ((None, 100), (Discv4Limits(limit_local_addresses=True), 60)):
        recovered.clear()
        node = fresh(limits)
        for number in range(100):
            attacker = Stranger(key_of(1), Endpoint(bytes([127, 0, 0, 1]), 30303))
            attacker.say(node, attacker.ping(START, expiration=int(START) + 20 + number), START)
        assert len(recovered) == expected


def test_d3_a_node_is_not_silenced_by_floods_in_its_name():
    node, honest = fresh(), guest()
    for number in range(300):
        Stranger(key_of(1), honest.endpoint).say(node, honest.ping(START, expiration=int(START) + 20 + number), START)
    node.datagrams_to_send(START)
    operation = node.ping(honest.contact, START)
    for number in range(300):
        Stranger(key_of(1), honest.endpoint).say(node, packets.Pong(FAR, number.to_bytes(32), int(START) + 20), START)
    ((_, packet_hash, _),) = [each for each in sent(node, START) if isinstance(each[0], packets.Ping)]
    honest.say(node, packets.Pong(FAR, packet_hash, int(START) + 20), START)
    (result,) = events(node)
    assert isinstance(result, PingResult)
    assert (result.operation, result.pong is not None) == (operation, True)


@pytest.mark.parametrize("answer", [packets.Pong, packets.ENRResponse])
def test_d3_answers_that_do_not_name_the_question_cost_nothing(recovered, answer):
    node, other = fresh(), guest()
    other.bond(node, START)
    node.ping(other.contact, START + 1)
    node.request_enr(other.contact, START + 1)
    recovered.clear()
    for number in range(100):
        token = number.to_bytes(32)
        other.say(node, packets.Pong(FAR, token, 2**33) if answer is packets.Pong else packets.ENRResponse(token, b"\xc0"), START + 1)
    assert recovered == []


def test_d3_neighbors_that_were_asked_for_have_their_bound_too(recovered):
    node, other = fresh(), guest()
    other.bond(node, START)
    node.lookup(bytes(64), START + 1)
    recovered.clear()
    for number in range(100):
        Stranger(key_of(1), other.endpoint).say(node, packets.Neighbors((), int(START) + 20 + number), START + 1)
    assert len(recovered) == 16


def answered(limits: Discv4Limits | None, each_second: int, seconds: int) -> int:
    """Ask for nodes many times, as one with an endpoint proof; how often there was an answer."""
    node, attacker = fresh(limits), guest()
    attacker.bond(node, START)
    answers = 0
    for number in range(each_second * seconds):
        now = START + number / each_second
        attacker.say(node, packets.FindNode(number.to_bytes(64), int(now) + 20), now)
        answers += len(node.datagrams_to_send(now))
    return answers


def test_d11_many_questions_get_few_answers():
    assert answered(None, 100, 1) <= 16
    assert answered(None, 100, 60) <= 480
    assert answered(Discv4Limits(proved_packets_per_minute=10**9), 100, 10) <= 88  # where the address has no bound, the endpoint has one


def test_d11_control_without_the_bounds_each_gets_one():
    assert answered(OPEN, 100, 1) == 100


def test_forged_pings_do_not_take_the_places_of_our_own_questions():
    node = fresh()
    for number in range(1000):
        attacker = Stranger(key_of(number % 7), endpoint_of(number + 1000))
        attacker.say(node, attacker.ping(START, expiration=int(START) + 20 + number), START)
    pings = kinds(node, START).count("Ping")
    assert pings == Discv4Limits().ping_backs
    node.ping(guest().contact, START)
    assert kinds(node, START) == ["Ping"]
    node._exchange.handle_timer(START + 0.5)
    assert not node._exchange._pings


def test_forged_pings_leave_nothing_behind():
    node = fresh(Discv4Limits(bonds=100, duplicates=100))
    for number in range(500):
        attacker = Stranger(key_of(number % 50), endpoint_of(number + 1000))
        attacker.say(node, attacker.ping(START, expiration=int(START) + 20 + number), START + number)
        node._exchange.handle_timer(START + number)
    node._exchange.handle_timer(START + 600)
    exchange = node._exchange
    bounded: list[Any] = [exchange._bonds._served, exchange._bonds._proofs, exchange._gate._seen, exchange._expirations]
    assert [len(each) for each in bounded] == [100, 0, 20, 100]
    assert (exchange._pings, exchange._conversations, exchange._ping_backs, len(node.table)) == ({}, {}, 0, 0)


def test_what_is_remembered_is_bounded_and_the_newest_stays():
    bonds = Bonds(2)
    for number in range(3):
        bonds.prove(bytes([number]) * 32, endpoint_of(number), START)
    assert [bonds.is_proved(bytes([number]) * 32, endpoint_of(number), START) for number in range(3)] == [False, True, True]
