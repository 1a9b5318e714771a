"""What a node of discovery v4 keeps and finds: searches, records, the table, its own address, its clock."""

from dataclasses import replace
from itertools import pairwise

import pytest

from devp2p.addresses import Address, Endpoint
from devp2p.discovery.events import AddressChanged, ClockDoubtful, LookupDone, RecordFound
from devp2p.discovery.external_address import ExternalAddress
from devp2p.discovery.v4 import packets
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v4.nodes import contact_of, judge_neighbor
from devp2p.discovery.v4.protocol import Discv4
from devp2p.errors import LocalProtocolError
from devp2p.records.enr import LocalRecord, Record
from devp2p.records.node_record import NodeRecord
from tests.discovery.strangers import (
    START,
    Stranger,
    contact_to,
    deliver,
    due_of,
    endpoint_of,
    entry_of,
    events,
    fresh,
    guest,
    key_of,
    kinds,
    make_node,
    moved,
    neighbors_of,
    pass_time,
    quiet,
    record_of,
    sent,
)


def test_the_result_of_a_search_are_those_who_answered():
    nodes = [make_node(number, bootnodes=[record_of(make_node(0)[0])] if number else []) for number in range(8)]
    now = deliver(START, *nodes, seconds=10)
    node = nodes[5][0]
    operation = node.lookup(key_of(3).public_key, now)
    deliver(now, *nodes, seconds=5)
    (done,) = [event for event in events(node) if isinstance(event, LookupDone)]
    assert done.operation == operation
    expected = [key_of(number).public_key.node_id for number in range(8) if number != 5]
    aim = int.from_bytes(key_of(3).public_key.node_id)
    assert [contact.id for contact in done.contacts] == sorted(expected, key=lambda each: int.from_bytes(each) ^ aim)
    assert done.contacts[0].record.public_key == key_of(3).public_key


def test_a_search_with_nobody_to_ask_is_over_at_once():
    node = fresh()
    operation = node.lookup(key_of(3).public_key, START)
    assert events(node) == [LookupDone(operation, bytes(key_of(3).public_key), ())]


def test_resolving_finds_a_node_and_its_record():
    nodes = [make_node(number, bootnodes=[record_of(make_node(0)[0])] if number else []) for number in range(6)]
    now = deliver(START, *nodes, seconds=10)
    for wanted in (3, 77):
        operation = nodes[5][0].resolve(NodeRecord(key_of(wanted).public_key), now)
        now = deliver(now, *nodes, seconds=5)
        (found,) = [event for event in events(nodes[5][0]) if isinstance(event, RecordFound)]
        assert found.operation == operation
        if wanted == 77:
            assert (found.contact, found.record) == (None, None)
        else:
            assert found.record == record_of(nodes[3][0]).enr
            assert found.contact is not None
            assert found.contact.record.enr == found.record


def give_record(node: Discv4, other: Stranger, record: Record, now: float) -> list[str]:
    """Answer the ENRRequest that a node sends, if it sends one within a moment; what it sent."""
    node.handle_timer(now + 0.2)
    heard = [(packet, packet_hash) for packet, packet_hash, to in sent(node, now) if to == other.endpoint]
    for packet, packet_hash in heard:
        if isinstance(packet, packets.ENRRequest):
            other.say(node, packets.ENRResponse(packet_hash, record.encode()), now)
    return [type(packet).__name__ for packet, _ in heard]


def test_a_record_tells_more_of_a_node_but_not_where_it_takes_datagrams():
    node, other = fresh(), guest()
    other.bond(node, START)
    record = Record.sign(other.key, 5, {"ip": "20.0.77.1", "udp": 40404, "tcp": 40405})
    operation = node.request_enr(other.contact, START + 1)
    assert "ENRRequest" in give_record(node, other, record, START + 1)
    (found,) = events(node)
    assert isinstance(found, RecordFound)
    assert (found.operation, found.record) == (operation, record)
    contact = found.contact
    assert contact is not None
    assert (contact.endpoint, contact.seq, contact.record.addresses) == (other.endpoint, 5, (Address("tcp", "20.0.77.1", 40405),))
    assert entry_of(node, contact.id).contact == contact


def test_a_record_that_names_an_address_of_ours_does_not_have_us_dial_it():
    node, other = fresh(), guest()
    other.bond(node, START)
    record = Record.sign(other.key, 5, {"ip": "127.0.0.1", "udp": 40404, "tcp": 8545})
    node.request_enr(other.contact, START + 1)
    give_record(node, other, record, START + 1)
    (found,) = events(node)
    assert isinstance(found, RecordFound)
    assert found.contact is not None
    assert found.contact.record.addresses == other.contact.record.addresses


def test_a_pong_with_a_newer_record_has_the_node_ask_for_it():
    node, other = fresh(), guest()
    other.bond(node, START, enr_sequence=7)
    record = Record.sign(other.key, 7, {})
    assert "ENRRequest" in give_record(node, other, record, START)
    assert entry_of(node, other.contact.id).contact.record.enr == record
    assert entry_of(node, other.contact.id).incoming


def test_where_others_see_us_is_believed_when_ten_networks_agree():
    external, key = ExternalAddress(), key_of(0)
    node = quiet(Discv4(LocalRecord(key), key, random=lambda: 0.5, random_bytes=bytes, external_address=external), START)
    for number in range(10):
        assert external.ipv4 is None
        stranger = Stranger(key_of(number + 100), endpoint_of(number + 100))
        node.ping(stranger.contact, START)
        packet_hash = next(packet_hash for packet, packet_hash, _ in sent(node, START) if isinstance(packet, packets.Ping))
        stranger.say(node, packets.Pong(packets.Endpoint(bytes([20, 9, 9, 9]), 30999, 0), packet_hash, int(START) + 20), START)
    here = Endpoint(bytes([20, 9, 9, 9]), 30999)
    assert external.ipv4 == here
    assert [event for event in events(node) if isinstance(event, AddressChanged)] == [AddressChanged(here, None)]


def silence(node: Discv4, now: float, times: int) -> float:
    """Have so many questions go unanswered."""
    for number in range(times):
        node.ping(Stranger(key_of(number + 500), endpoint_of(number + 500)).contact, now)
        now += 0.5
        node.handle_timer(now)
    return now


def test_the_clock_is_doubted_when_nobody_answers_at_all():
    node = fresh()
    now = silence(node, START, 20)
    guest().bond(node, now)
    node.table.remove(guest().contact.id, now)  # or else it would be checked
    now = silence(node, now, 31)
    assert not [event for event in events(node) if isinstance(event, ClockDoubtful)]
    guest(8).say(node, guest(8).ping(now, expiration=int(now) - 5), now)
    now = silence(node, now, 1)
    assert [event for event in events(node) if isinstance(event, ClockDoubtful)] == [ClockDoubtful(32, 1)]
    silence(node, now, 40)
    assert not [event for event in events(node) if isinstance(event, ClockDoubtful)]


def test_the_clock_is_doubted_however_long_nobody_answered_before_something_came_too_late():
    """As on a machine that began offline: nobody answers for hours, and then it is the clock."""
    node = fresh()
    now = silence(node, START, 100)
    assert not [event for event in events(node) if isinstance(event, ClockDoubtful)]
    guest(8).say(node, guest(8).ping(now, expiration=int(now) - 5), now)
    silence(node, now, 1)
    assert [event for event in events(node) if isinstance(event, ClockDoubtful)] == [ClockDoubtful(101, 1)]


def test_by_how_much_packets_were_too_old_is_known():
    node, now = fresh(), START
    assert node.expired_by is None
    for age in (5, 3600, 7):
        guest(8).say(node, guest(8).ping(now, expiration=int(now) - age), now)
    assert node.expired == 3
    assert node.expired_by == 7 + now - int(now)
    guest().bond(node, now)
    node.ping(guest().contact, now)
    packet_hash = next(packet_hash for packet, packet_hash, _ in sent(node, now) if isinstance(packet, packets.Ping))
    guest().say(node, packets.Pong(packets.Endpoint(bytes(4), 0, 0), packet_hash, int(now) + 20), now)
    assert node.expired == 0


def test_forged_pings_do_not_cast_doubt_on_the_clock():
    node = fresh()
    for number in range(40):
        forger = Stranger(key_of(1), endpoint_of(number + 500))
        forger.say(node, forger.ping(START, expiration=int(START) + 20 + number), START)
    assert kinds(node, START).count("Ping") == 40
    pass_time(node, START + 1)
    assert events(node) == []


def test_nodes_of_the_table_are_checked_and_the_silent_leave():
    (one, here), (two, there) = (make_node(0), make_node(1))
    deliver(START, (one, here), (two, there))
    one.ping(contact_to(two), START)
    now = deliver(START, (one, here), (two, there), seconds=60)
    assert entry_of(one, record_of(two).id).checks > 5
    now = deliver(now, (one, here), seconds=120)
    assert len(one.table) == 0
    assert now == START + 180


def refreshings(node: Discv4, other: Stranger, until: float) -> list[float]:
    """When a node asks another one anything, who does not answer."""
    times: list[float] = []
    while (due := due_of(node)) < until:
        node.table._fast.due = node.table._slow.due = None  # no checks: they are another matter
        node.handle_timer(due)
        times += [due - START] if kinds(node, due, other.endpoint) else []
    return times


def test_a_young_node_searches_for_itself_again_soon_and_then_less_and_less_often():
    node, other = fresh(), guest()
    other.bond(node, START)
    times = refreshings(node, other, START + 7200)
    pauses = [later - earlier for earlier, later in pairwise([0.0, *times])]
    firsts = [pause for pause in pauses if pause > 20]  # the rest is asking again, and the searches for other places
    expected = [60, 120, 240, 480, 960, 1800, 1800, 1800]
    assert all(0.89 * right <= pause <= 1.11 * right for pause, right in zip(firsts, expected, strict=False)), firsts
    assert len(firsts) >= 7


def test_a_lonely_node_calls_its_bootnodes_again_soon():
    boot = make_node(1)
    node, here = make_node(0, bootnodes=[record_of(boot[0])])
    now = deliver(START, (node, here), seconds=29)
    assert len(node.table) == 0
    deliver(now, (node, here), boot, seconds=40)
    assert [entry.contact.id for entry in node.table] == [record_of(boot[0]).id]


def test_nobody_who_comes_by_himself_gets_into_the_table_before_the_first_search_is_over():
    node, _ = make_node(0, bootnodes=[record_of(make_node(1)[0])])
    node.handle_timer(START)
    assert kinds(node, START) == ["Ping"]
    guest().bond(node, START)
    assert guest().contact.id not in node.table
    assert neighbors_of(guest(), node, START) is not None


def test_a_node_that_has_moved_is_found_at_its_new_place_once_it_has_a_newer_record():
    node, other = fresh(), guest()
    other.bond(node, START)
    there = Stranger(other.key, endpoint_of(10))
    there.bond(node, START + 1, enr_sequence=4)
    assert entry_of(node, other.contact.id).contact.endpoint == other.endpoint
    assert "ENRRequest" in give_record(node, there, Record.sign(other.key, 4, {}), START + 1)
    assert entry_of(node, other.contact.id).contact.endpoint == there.endpoint


def test_what_is_misused_says_so():
    node, key = fresh(limits=Discv4Limits(operations=2)), key_of(1)
    with pytest.raises(LocalProtocolError, match="64 bytes"):
        node.lookup(bytes(32), START)
    with pytest.raises(LocalProtocolError, match="not that of the key"):
        Discv4(LocalRecord(key_of(2)), key, random=lambda: 0.5, random_bytes=bytes)
    for number in range(2):
        node.ping(moved(guest().contact, endpoint_of(number)), START)
    with pytest.raises(LocalProtocolError, match="more than 2 operations"):
        node.ping(guest().contact, START)
    with pytest.raises(LocalProtocolError, match="more than 2 operations"):
        node.resolve(NodeRecord(key.public_key), START)
    node.handle_timer(START + 1)
    node.ping(guest().contact, START + 1)


def test_a_contact_has_what_its_record_says():
    enr = Record.sign(key_of(1), 9, {"ip": "20.0.1.1", "udp": 1234, "tcp": 4321})
    contact = contact_of(NodeRecord.from_enr(enr))
    assert contact is not None
    assert (contact.id, contact.endpoint, contact.seq) == (enr.id, Endpoint(bytes([20, 0, 1, 1]), 1234), 9)
    without = contact_of(replace(contact.record, enr=None))
    assert without is not None
    assert without.seq == 0
    assert contact_of(NodeRecord(key_of(1).public_key, (Address("tcp", "node.example", 30303),))) is None
    assert contact_of(NodeRecord(key_of(1).public_key)) is None


def test_nodes_that_we_cannot_send_to_are_no_neighbors_and_no_bootnodes():
    key, sender = key_of(1), endpoint_of(2)
    told = packets.Neighbor(b"\x26" + bytes(14) + b"\x01", 30303, 30303, bytes(key_of(3).public_key))
    assert judge_neighbor(told, sender.ip) is not None
    assert judge_neighbor(told, sender.ip, (4,)) is None
    record = NodeRecord.from_enr(Record.sign(key_of(4), 1, {"ip": "20.0.1.1", "udp": 1234, "ip6": "2600::1", "udp6": 4321}))
    for versions, contacted in (((6,), ["[2600::1]:4321"]), ((4,), ["20.0.1.1:1234"]), ((), [])):
        node = Discv4(LocalRecord(key), key, random=lambda: 0.5, random_bytes=bytes, bootnodes=[record], ip_versions=versions)
        node.handle_timer(START)
        assert [str(to) for _, to in node.datagrams_to_send(START)] == contacted
