"""What a node of discovery v4 does: endpoint proofs, questions and answers, the table, records."""

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.events import LookupDone, PingResult
from devp2p.discovery.v4 import packets
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v4.exchange import PAID_PING
from devp2p.discovery.v4.nodes import contact_at, contact_of, judge_neighbor
from devp2p.discovery.v4.protocol import Discv4
from devp2p.keys import keccak256
from devp2p.records.enr import LocalRecord
from devp2p.records.node_record import NodeRecord
from tests.discovery.strangers import (
    FAR,
    START,
    Stranger,
    contact_to,
    deliver,
    endpoint_of,
    entry_of,
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
    record_of,
    sent,
)


def test_two_nodes_prove_their_endpoints_to_each_other_with_one_ping_each():
    (one, here), (two, there) = (make_node(0), make_node(1))
    for node in (one, two):
        quiet(node, START)
    operation = one.ping(contact_to(two), START)
    pinged = one.datagrams_to_send(START)
    assert [to for _, to in pinged] == [there]
    assert two.receive_datagram(pinged[0][0], here, START)
    back = two.datagrams_to_send(START)
    assert [type(packets.decode(data).packet).__name__ for data, _ in back] == ["Pong", "Ping"]
    for data, to in back:
        assert to == here
        one.receive_datagram(data, there, START + 0.05)
    deliver(START + 0.05, (one, here), (two, there))
    (result,) = events(one)
    assert isinstance(result, PingResult)
    assert (result.operation, result.contact) == (operation, contact_to(two))
    assert result.rtt == pytest.approx(0.05)
    assert result.pong is not None
    assert (result.pong.seen_as, result.pong.sequence) == (here, 1)
    assert [entry.live for entry in one.table] == [entry.live for entry in two.table] == [True]
    assert not entry_of(one, record_of(two).id).incoming
    assert entry_of(two, record_of(one).id).incoming


def test_whoever_is_not_pinged_back_asks_with_a_larger_ping_and_is():
    """The first Ping of the other is lost, and we are pinged back but once a minute: else neither could ask the other anything."""
    (one, here), (two, there) = (make_node(0), make_node(1))
    for node in (one, two):
        quiet(node, START)
    one.find_nodes(contact_to(two), bytes(64), START)
    for data, _ in one.datagrams_to_send(START):
        two.receive_datagram(data, here, START)
    (pong, _), (back, _) = two.datagrams_to_send(START)
    assert type(packets.decode(back).packet) is packets.Ping  # which is lost
    one.receive_datagram(pong, there, START)
    deliver(START, (one, here), seconds=5.0)
    pass_time(two, START + 5)
    one.find_nodes(contact_to(two), bytes(64), START + 5)
    ((again, _),) = one.datagrams_to_send(START + 5)
    assert len(again) == PAID_PING
    two.receive_datagram(again, here, START + 5)
    assert kinds(two, START + 5) == ["Pong", "Ping"]


def test_a_ping_says_where_its_sender_is_and_the_number_of_its_record():
    node = fresh()
    node.ping(guest().contact, START)
    (ping, _, to) = sent(node, START)[0]
    assert to == guest().endpoint
    assert ping == packets.Ping(packets.Endpoint(*endpoint_of(0), 30300), packets.Endpoint(*to, 0), int(START) + 20, 1)


@pytest.mark.parametrize("ip", [bytes([20, 0, 0, 1]), bytes.fromhex("20010470000000000000000000000001")], ids=len)
def test_a_node_without_a_tcp_port_is_found_again_where_it_was_told_of(ip: bytes):
    endpoint = Endpoint(ip, 30303)
    contact = judge_neighbor(packets.Neighbor(ip, 30303, 0, bytes(key_of(1).public_key)), ip)
    assert contact is not None
    assert contact_of(contact.record) == contact
    assert contact.endpoint == endpoint
    assert NodeRecord.parse(contact.record.enode).udp_endpoints == contact.record.udp_endpoints
    assert not any(address.is_dialable for address in contact.record.addresses)


def test_a_node_without_an_address_says_so_in_as_many_bytes_as_the_recipients_address_has():
    key = key_of(0)
    for ip in (bytes([20, 0, 0, 1]), bytes.fromhex("20010470000000000000000000000001")):
        node = quiet(Discv4(LocalRecord(key), key, random=lambda: 0.5, random_bytes=bytes, tcp_port=7), START)
        node.ping(contact_at(key_of(1).public_key, Endpoint(ip, 30303), 0), START)
        ((ping, _, _),) = sent(node, START)
        assert isinstance(ping, packets.Ping)
        assert ping.sender == packets.Endpoint(bytes(len(ip)), 0, 7)


def test_silence_ends_a_ping_after_half_a_second():
    node = fresh()
    operation = node.ping(guest().contact, START)
    node.datagrams_to_send(START)
    assert node.next_timer() == START + 0.5
    node.handle_timer(START + 0.49)
    assert events(node) == []
    node.handle_timer(START + 0.5)
    assert events(node) == [PingResult(operation, guest().contact, None, 0.5)]


def test_two_pings_of_one_node_at_once_are_one_packet():
    node = fresh()
    operations = [node.ping(guest().contact, START), node.ping(guest().contact, START)]
    ((_, packet_hash, _),) = sent(node, START)
    guest().say(node, packets.Pong(FAR, packet_hash, int(START) + 20), START)
    assert [event.operation for event in events(node) if isinstance(event, PingResult)] == operations
    assert node.next_event() is None


def test_no_two_questions_to_a_node_are_the_same_bytes():
    # Within one second they would be, and the second one taken for a datagram that came twice.
    node = fresh()
    hashes = []
    for _ in range(5):
        node.ping(guest().contact, START)
        ((_, packet_hash, _),) = sent(node, START)
        hashes.append(packet_hash)
        guest().say(node, packets.Pong(FAR, packet_hash, int(START) + 20), START)
    assert len(set(hashes)) == 5


def test_nodes_and_records_are_for_those_with_an_endpoint_proof():
    node, asker = fresh(), guest()
    asker.say(node, packets.FindNode(bytes(64), int(START) + 20), START)
    asker.say(node, packets.ENRRequest(int(START) + 20), START)
    assert kinds(node, START) == []
    asker.bond(node, START)
    request = asker.say(node, packets.ENRRequest(int(START) + 21), START)
    ((answer, _, to),) = sent(node, START)
    assert to == asker.endpoint
    assert answer == packets.ENRResponse(request, node._exchange._local.record.encode())
    assert neighbors_of(asker, node, START) == []  # an answer, though there is nobody to tell of


def test_an_endpoint_proof_holds_for_a_day_as_go_ethereum_and_reth_trust_it_to():
    node, asker = fresh(), guest()
    asker.bond(node, START)
    assert neighbors_of(asker, node, START + 24 * 3600 - 1) is not None
    assert neighbors_of(asker, node, START + 24 * 3600) is None


def test_a_go_ethereum_node_in_a_small_network_is_always_answered():
    # Both its server and its eth protocol begin a search each second, the latter asks for the record of each node it hears of, and it
    # checks its table every three seconds (1.17.6; p2p/discover/lookup.go, eth/backend.go, p2p/discover/table_reval.go).
    for limits, answered in ((None, 600), (Discv4Limits(proved_packets_per_minute=60), 240)):
        node, geth, answers = fresh(limits), guest(), 0
        geth.bond(node, START)
        for second in range(1, 181):
            now, expiration = START + second, int(START) + second + 20
            asked: list[packets.Packet] = [packets.FindNode(bytes([number]) * 64, expiration) for number in range(2)]
            asked.append(packets.ENRRequest(expiration))
            for packet in asked:
                geth.say(node, packet, now)
            if second % 3 == 0:
                geth.say(node, geth.ping(now), now)
            answers += len(kinds(node, now))
        assert answers == pytest.approx(answered, abs=2)


@pytest.mark.parametrize("at", [endpoint_of(9, 30304), endpoint_of(8)], ids=["other port", "other address"])
def test_an_endpoint_proof_holds_for_one_address_and_port(at):
    node, asker = fresh(), guest()
    asker.bond(node, START)
    assert neighbors_of(Stranger(asker.key, at), node, START) is None
    assert neighbors_of(asker, node, START) is not None


def test_an_endpoint_proof_holds_for_one_key():
    node, asker = fresh(), guest()
    asker.bond(node, START)
    assert neighbors_of(Stranger(key_of(8), asker.endpoint), node, START) is None


def test_an_ipv4_address_in_ipv6_clothes_is_one():
    node, asker = fresh(), guest()
    dressed = Endpoint(bytes(10) + b"\xff\xff" + asker.endpoint.ip, asker.endpoint.port)
    asker.say(node, asker.ping(START), START, at=dressed)
    assert {to for _, to in node.datagrams_to_send(START)} == {asker.endpoint}


def known(node: Discv4, numbers, now: float = START) -> None:
    """Let nodes be in the table, live."""
    for number in numbers:
        node.table.add(Stranger(key_of(number), endpoint_of(number)).contact, now, live=True)


def test_sixteen_nodes_are_told_in_two_packets_that_are_not_too_large():
    node, asker = fresh(), guest()
    asker.bond(node, START)
    known(node, range(100, 200))
    target = bytes(key_of(150).public_key)
    asker.say(node, packets.FindNode(target, int(START) + 20), START)
    datagrams = node.datagrams_to_send(START)
    told = [packets.decode(data).packet for data, _ in datagrams]
    assert [len(packet.nodes) for packet in told if isinstance(packet, packets.Neighbors)] == [12, 4]
    assert all(len(data) <= 1280 for data, _ in datagrams)
    ids = [keccak256(each.public_key) for packet in told if isinstance(packet, packets.Neighbors) for each in packet.nodes]
    assert ids == [contact.id for contact in node.table.closest(keccak256(target), 17) if contact.id != asker.contact.id][:16]


def test_nobody_is_told_of_nodes_that_never_answered_of_himself_or_of_addresses_he_cannot_reach():
    node, asker = fresh(), guest()
    asker.bond(node, START)
    home, near = Stranger(key_of(50), Endpoint(bytes([192, 168, 1, 7]), 30303)), Stranger(key_of(51), endpoint_of(51))
    for stranger in (home, near):
        node.table.add(stranger.contact, START, live=True)
    node.table.add(Stranger(key_of(52), endpoint_of(52)).contact, START)
    assert [each.public_key for each in neighbors_of(asker, node, START) or ()] == [bytes(near.key.public_key)]
    home.bond(node, START)
    told = {each.public_key for each in neighbors_of(home, node, START) or ()}
    assert told == {bytes(near.key.public_key), bytes(asker.key.public_key)}


def lookup(node: Discv4, stranger: Stranger, now: float = START) -> int:
    """Have a node search from one other on."""
    node.table.add(stranger.contact, now)
    return node.lookup(bytes(64), now)


def test_before_its_first_question_a_node_waits_for_the_others_ping_and_lets_its_pong_arrive():
    node, other = fresh(), guest()
    lookup(node, other)
    ((ping, packet_hash, _),) = sent(node, START)
    other.say(node, packets.Pong(FAR, packet_hash, int(START) + 20), START + 0.1)
    assert isinstance(ping, packets.Ping)
    assert kinds(node, START + 0.1) == []
    other.say(node, other.ping(START + 0.2), START + 0.2)
    assert kinds(node, START + 0.2) == ["Pong"]
    assert node.next_timer() == pytest.approx(START + 0.3)
    node.handle_timer(START + 0.3001)
    assert kinds(node, START + 0.3001) == ["FindNode"]


def test_a_node_that_does_not_ping_back_is_asked_all_the_same():
    node, other = fresh(), guest()
    lookup(node, other)
    ((_, packet_hash, _),) = sent(node, START)
    other.say(node, packets.Pong(FAR, packet_hash, int(START) + 20), START + 0.1)
    node.handle_timer(START + 0.5)
    assert kinds(node, START + 0.5) == []
    node.handle_timer(START + 0.6)
    assert kinds(node, START + 0.6) == ["FindNode"]


def test_known_to_each_other_two_nodes_ask_at_once():
    node, other = fresh(), guest()
    other.bond(node, START)
    node.lookup(bytes(64), START + 1)
    assert kinds(node, START + 1, other.endpoint) == ["FindNode"]


def test_one_that_is_silent_twice_gets_a_ping_before_it_is_asked_again():
    node, other = fresh(), guest()
    other.bond(node, START)
    node.lookup(bytes(64), START + 1)
    for now, expected in ((START + 1, "FindNode"), (START + 1.5, "FindNode"), (START + 2, "Ping")):
        pass_time(node, now)
        assert kinds(node, now, other.endpoint) == [expected]


def asked(node: Discv4, other: Stranger) -> None:
    """Have `node` ask `other` for nodes, and no more."""
    other.bond(node, START)
    node.lookup(bytes(64), START + 1)
    assert "FindNode" in kinds(node, START + 1, other.endpoint)


def test_neighbors_come_in_several_packets():
    node, other = fresh(), guest()
    asked(node, other)
    other.say(node, packets.Neighbors(tuple(named(number) for number in range(20, 32)), int(START) + 30), START + 1.1)
    assert events(node) == []
    other.say(node, packets.Neighbors(tuple(named(number) for number in range(32, 40)), int(START) + 30), START + 1.2)
    told = {key_of(number).public_key.node_id for number in range(20, 36)}
    assert {entry.contact.id for entry in node.table} - {other.contact.id} <= told
    assert kinds(node, START + 1.2).count("Ping") == 3  # the search goes on with the closest of them


def test_half_an_answer_counts_when_the_time_is_over():
    node, other = fresh(), guest()
    asked(node, other)
    other.say(node, packets.Neighbors(tuple(named(number) for number in range(20, 32)), int(START) + 30), START + 1.4)
    node.handle_timer(START + 1.49)
    assert "Ping" not in kinds(node, START + 1.49)
    node.handle_timer(START + 1.5)
    assert kinds(node, START + 1.5).count("Ping") >= 3


def test_after_a_packet_that_is_not_full_more_is_awaited_for_a_moment_only():
    node, other = fresh(), guest()
    asked(node, other)
    other.say(node, packets.Neighbors((named(20),), int(START) + 30), START + 1.1)
    node.handle_timer(START + 1.21)
    assert kinds(node, START + 1.21, endpoint_of(20)) == ["Ping"]


def test_two_searches_ask_one_node_one_after_the_other():
    # Neighbors does not say what it answers.
    node, other = fresh(), guest()
    other.bond(node, START)
    operations = [node.lookup(bytes([place]) * 64, START + 1) for place in range(2)]
    assert kinds(node, START + 1, other.endpoint) == ["FindNode"]
    for place in range(2):
        other.say(node, packets.Neighbors((), int(START) + 30), START + 1.1 + place)
        pass_time(node, START + 1.3 + place)
    assert [event.operation for event in events(node) if isinstance(event, LookupDone)] == operations
