"""Two nodes of discovery v5: how they come to a session, and how they keep it when datagrams and sessions are lost."""

import random
from functools import partial

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.events import PingResult
from devp2p.discovery.v5.packets import Handshake, WhoAreYou
from devp2p.discovery.v5.protocol import Discv5
from tests.discovery.nodes import endpoint_of
from tests.discovery.v5_wire import Party, Wire, header_of, lose, make_party, pair, restart, whoareyou

HANDSHAKE = ["Ordinary", "WhoAreYou", "Handshake", "Ordinary"]  # provocation, challenge, proof with the request, answer


def test_a_first_request_goes_through_a_handshake_and_the_next_does_not():
    wire, alice, bob = pair()
    pong = wire.ping(alice, bob)
    assert wire.kinds == HANDSHAKE
    assert (pong.sequence, pong.seen_as) == (bob.local.record.sequence, alice.endpoint)
    assert wire.ping(bob, alice).sequence == alice.local.record.sequence
    assert wire.kinds == [*HANDSHAKE, "Ordinary", "Ordinary"]


def test_the_first_packet_says_nothing():
    """Its content is random: nobody can have the key."""
    wire, alice, bob = pair()
    wire.loses = lambda _: True
    wire.ping(alice, bob)
    alice.node.ping(bob.contact, wire.now)
    again = alice.node.datagrams_to_send(wire.now)[0][0]
    first = wire.log[0].data
    assert len(first) == len(again)
    assert first != again


def test_nobody_answers():
    wire, alice, bob = pair()
    wire.silence(bob.endpoint)
    assert wire.ping(alice, bob) is None
    assert wire.kinds == ["Ordinary"]
    assert wire.now <= 0.8


def test_both_call_each_other_at_the_same_moment():
    wire, alice, bob = pair()
    first = wire.begin(alice, lambda now: alice.node.ping(bob.contact, now))
    second = wire.begin(bob, lambda now: bob.node.ping(alice.contact, now))
    assert wire.result(alice, first, PingResult).pong is not None
    assert wire.result(bob, second, PingResult).pong is not None
    assert sorted(wire.kinds) == sorted(HANDSHAKE * 2)
    # Both sessions go on: what either sends, the other can open.
    for _ in range(3):
        assert wire.ping(alice, bob) is not None
        assert wire.ping(bob, alice) is not None
    assert wire.kinds[8:] == ["Ordinary"] * 12


@pytest.mark.parametrize("delay", [(0.0, 0.0), (0.0, 0.3)])
@pytest.mark.parametrize("seed", range(10))
def test_both_call_at_nearly_the_same_moment_with_many_requests(seed, delay):
    alice, bob = make_party(1), make_party(2)
    wire = Wire(alice, bob, seed=seed, delay=delay)
    begun = []
    for number in range(8):
        party, other = (alice, bob) if number % 2 else (bob, alice)
        begun.append((party, wire.begin(party, partial(party.node.ping, other.contact))))
        wire.run_for(wire.random.uniform(0, 0.05))
    pongs = [wire.result(party, number, PingResult).pong for party, number in begun]
    assert all(pongs) or delay[1]  # with delays that long some may be too late
    assert wire.ping(alice, bob) is not None
    assert wire.ping(bob, alice) is not None


def test_requests_that_come_while_the_handshake_is_under_way_wait_for_it():
    wire, alice, bob = pair()
    numbers = [wire.begin(alice, lambda now: alice.node.ping(bob.contact, now)) for _ in range(4)]
    assert all(wire.result(alice, number, PingResult).pong for number in numbers)
    assert wire.kinds[:3] == HANDSHAKE[:3]
    assert wire.kinds.count("Handshake") == 1
    assert wire.kinds.count("Ordinary") == 1 + 4 + 3


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_one_datagram_of_a_handshake_is_lost_and_the_next_request_gets_through(place):
    wire, alice, bob = pair()
    lose(wire, place)
    assert wire.ping(alice, bob) is None
    assert wire.ping(alice, bob) is not None
    assert wire.now < 2


def test_a_lost_whoareyou_is_repeated_as_it_was():
    """The second request gets the question that the first one got, and answers it, though nobody waits for the first any more."""
    wire, alice, bob = pair()
    lose(wire, 1)
    assert wire.ping(alice, bob) is None
    assert wire.ping(alice, bob) is not None
    lost, repeated = wire.of_kind("WhoAreYou")
    assert (lost.data, lost.header) == (repeated.data, repeated.header)


def test_a_handshake_whose_answer_is_lost_is_not_in_vain():
    """Its keys are tried before another handshake is made, and they open."""
    wire, alice, bob = pair()
    lose(wire, 3)
    assert wire.ping(alice, bob) is None
    assert wire.ping(alice, bob) is not None
    assert wire.kinds == [*HANDSHAKE, "Ordinary", "Ordinary"]


def test_who_waited_behind_a_request_that_failed_tries_itself():
    wire, alice, bob = pair()
    lose(wire, 0)
    first = wire.begin(alice, lambda now: alice.node.ping(bob.contact, now))
    wire.run_for(0.5)
    second = wire.begin(alice, lambda now: alice.node.ping(bob.contact, now))
    assert wire.result(alice, first, PingResult).pong is None
    assert wire.result(alice, second, PingResult).pong is not None


def test_the_one_called_has_restarted():
    wire, alice, bob = pair()
    assert wire.ping(alice, bob) is not None
    bob = restart(wire, bob, 2)
    assert wire.ping(alice, bob) is not None
    assert wire.kinds[4:] == HANDSHAKE


def test_the_caller_has_restarted():
    wire, alice, bob = pair()
    assert wire.ping(alice, bob) is not None
    alice = restart(wire, alice, 1)
    assert wire.ping(alice, bob) is not None
    assert wire.kinds[4:] == HANDSHAKE
    assert wire.ping(bob, alice) is not None
    assert wire.kinds[8:] == ["Ordinary"] * 2


def test_all_requests_to_one_that_has_restarted_are_answered():
    wire, alice, bob = pair()
    assert wire.ping(alice, bob) is not None
    restart(wire, bob, 2)
    numbers = [wire.begin(alice, lambda now: alice.node.ping(bob.contact, now)) for _ in range(3)]
    assert all(wire.result(alice, number, PingResult).pong for number in numbers)
    assert wire.kinds.count("Handshake") == 2


def test_a_forged_whoareyou_does_not_cost_the_session():
    """Who saw a request can ask us to prove ourselves; the proof is for nothing, and the old keys go on."""
    wire, alice, bob = pair()
    assert wire.ping(alice, bob) is not None
    alice.node.ping(bob.contact, wire.now)
    ((request, _),) = alice.node.datagrams_to_send(wire.now)
    alice.node.receive_datagram(whoareyou(alice, header_of(request, bob).nonce), bob.endpoint, wire.now)
    ((proof, to),) = alice.node.datagrams_to_send(wire.now)
    assert (type(header_of(proof, bob)), to) == (Handshake, bob.endpoint)
    wire.run_for(2)
    assert wire.ping(bob, alice) is not None
    assert wire.kinds[4:] == ["Ordinary"] * 2


def test_a_whoareyou_is_answered_once_even_where_the_request_still_waits():
    wire, alice, bob = pair()
    assert wire.ping(alice, bob) is not None
    bob = restart(wire, bob, 2)
    lose(wire, 3)  # the answer
    wire.begin(alice, partial(alice.node.ping, bob.contact))
    wire.run_for(0.16)
    assert wire.kinds[4:] == HANDSHAKE
    wire.begin(bob, partial(bob.node.ping, alice.contact))  # by which the new keys are confirmed
    wire.run_for(0.06)
    challenge = wire.of_kind("WhoAreYou")[-1]
    alice.node.receive_datagram(challenge.data, bob.endpoint, wire.now)
    assert alice.node.datagrams_to_send(wire.now) == []


def test_the_handshake_of_the_one_called_serves_as_well():
    """Its own was lost; what waits is sent in the session that the other has made."""
    wire, alice, bob = pair()
    lose(wire, 0)
    first = wire.begin(alice, partial(alice.node.ping, bob.contact))
    second = wire.begin(bob, partial(bob.node.ping, alice.contact))
    assert wire.result(alice, first, PingResult).pong is not None
    assert wire.result(bob, second, PingResult).pong is not None
    assert wire.kinds.count("Handshake") == 1


def test_a_whoareyou_that_nobody_provoked_is_ignored():
    wire, alice, bob = pair()
    alice.node.ping(bob.contact, wire.now)
    ((request, _),) = alice.node.datagrams_to_send(wire.now)
    nonce = header_of(request, bob).nonce
    for data, source in ((whoareyou(alice, b"x" * 12), bob.endpoint), (whoareyou(alice, nonce), endpoint_of(3))):
        alice.node.receive_datagram(data, source, wire.now)
        assert alice.node.datagrams_to_send(wire.now) == []
    alice.node.receive_datagram(whoareyou(alice, nonce), bob.endpoint, wire.now)  # the control
    assert len(alice.node.datagrams_to_send(wire.now)) == 1
    alice.node.receive_datagram(whoareyou(alice, nonce), bob.endpoint, wire.now)  # only once
    assert alice.node.datagrams_to_send(wire.now) == []


def test_a_session_belongs_to_one_endpoint():
    wire, alice, bob = pair()
    assert wire.ping(alice, bob) is not None
    elsewhere = Endpoint(endpoint_of(77).ip, 30303)
    wire.silence(alice.endpoint)
    alice.endpoint = elsewhere
    wire.parties[elsewhere] = alice
    wire.add(elsewhere, alice.node)
    assert wire.ping(alice, bob).seen_as.ip == elsewhere.ip
    assert wire.kinds[4:] == HANDSHAKE


def test_a_record_travels_in_the_handshake_when_it_is_news():
    wire, alice, bob = pair()
    assert wire.ping(alice, bob) is not None
    alice.local.update({"tcp": 30303})
    bob.node.table.accepts_incoming = True
    for expected in (True, False):
        alice = again(wire, alice)
        assert wire.ping(alice, bob) is not None
        header = wire.of_kind("Handshake")[-1].header
        assert isinstance(header, Handshake)
        assert bool(header.record) is expected
        (challenge,) = wire.of_kind("WhoAreYou")[-1:]
        assert isinstance(challenge.header, WhoAreYou)
        assert challenge.header.enr_sequence == (1 if expected else 2)
    entry = bob.node.table.get(alice.id)
    assert entry is not None
    assert entry.contact.record == alice.local.record


def again(wire: Wire, party: Party) -> Party:
    """The same node with the same record, and without sessions."""
    chance = random.Random(len(wire.log))
    node = Discv5(party.local, party.key, random=chance.random, random_bytes=chance.randbytes, maintains=False)
    fresh = Party(node, party.key, party.local, party.endpoint)
    wire.parties[party.endpoint] = fresh
    wire.add(party.endpoint, node)
    return fresh
