"""Row D6 of THREATS.md: who may tell us of which addresses, and we others. Each name begins with its row."""

import ipaddress

import pytest

from devp2p.addresses import Endpoint, Scope, relay_fault, scope_of
from devp2p.discovery.table.contacts import contact_of
from devp2p.discovery.v4 import nodes as v4_nodes
from devp2p.discovery.v4 import packets
from devp2p.discovery.v5.messages import FindNode, Nodes
from devp2p.records.enr import Record
from tests.discovery.strangers import START, endpoint_of, entry_of, fresh, guest, key_of, named, pass_time
from tests.discovery.v5_wire import Stranger, make_party, record_of


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


SENDERS = {
    "h": ["127.0.0.1", "::1"],  # this host
    "l": ["192.168.1.7", "10.9.8.7", "100.64.3.2", "169.254.7.7", "fd00::7", "fe80::7", "::ffff:172.16.0.9"],  # the LAN
    "p": ["8.8.8.8", "2600::1", "::ffff:8.8.8.8", "203.0.113.5", "64:ff9b::808:808", ""],  # anyone else, whatever it seems to be
}


# An address -> whose word for it is taken.
ADDRESSES = {
    # public
    "1.1.1.1": "hlp",
    "8.8.8.8": "hlp",
    "9.255.255.255": "hlp",
    "11.0.0.0": "hlp",
    "100.63.255.255": "hlp",
    "100.128.0.0": "hlp",
    "126.255.255.255": "hlp",
    "128.0.0.1": "hlp",
    "172.15.255.255": "hlp",
    "172.32.0.0": "hlp",
    "192.0.1.1": "hlp",
    "192.167.255.255": "hlp",
    "198.17.255.255": "hlp",
    "198.20.0.0": "hlp",
    "223.255.255.255": "hlp",
    "2001:200::1": "hlp",
    "2001:4860:4860::8888": "hlp",
    "2400::1": "hlp",
    "2600::": "hlp",
    "2620:4f:8001::1": "hlp",
    "2a01:4f8::1": "hlp",
    "::ffff:1.1.1.1": "hlp",
    # the LAN
    "10.0.0.0": "hl",
    "10.255.255.255": "hl",
    "100.64.0.1": "hl",
    "100.127.255.255": "hl",
    "169.254.0.1": "hl",
    "172.16.0.1": "hl",
    "172.31.255.255": "hl",
    "192.168.0.0": "hl",
    "192.168.255.255": "hl",
    "fc00::1": "hl",
    "fdff:ffff::1": "hl",
    "fe80::1": "hl",
    "febf::1": "hl",
    "::ffff:10.0.0.1": "hl",
    # this host
    "127.0.0.1": "h",
    "127.255.255.254": "h",
    "::1": "h",
    "::ffff:127.0.0.1": "h",
    # not the address of a host
    "0.0.0.0": "",  # noqa: S104  (nobody binds here)
    "0.1.2.3": "",
    "192.0.0.1": "",
    "192.0.0.9": "",
    "192.0.0.170": "",
    "192.0.0.171": "",
    "192.0.2.1": "",
    "192.31.196.1": "",
    "192.52.193.1": "",
    "192.88.99.1": "",
    "192.175.48.1": "",
    "198.18.0.1": "",
    "198.19.255.255": "",
    "198.51.100.1": "",
    "203.0.113.1": "",
    "224.0.0.1": "",
    "239.255.255.255": "",
    "240.0.0.1": "",
    "255.255.255.255": "",
    "::": "",
    "::ffff:0.0.0.0": "",
    "::ffff:224.0.0.1": "",
    "::7f00:1": "",  # IPv4-compatible, given up long ago
    "::808:808": "",
    "64:ff9b::a00:1": "",  # NAT64 of 10.0.0.1
    "64:ff9b::808:808": "",
    "64:ff9b:1::1": "",
    "100::1": "",  # discard
    "2001::1": "",  # Teredo
    "2001:1::1": "",
    "2001:2::1": "",
    "2001:3::1": "",
    "2001:4:112::1": "",
    "2001:5::1": "",
    "2001:10::1": "",
    "2001:20::1": "",
    "2001:30::1": "",
    "2001:db8::1": "",
    "2002:a00:1::": "",  # 6to4 of 10.0.0.1
    "2002:808:808::1": "",
    "2620:4f:8000::1": "",
    "3ffe::1": "",
    "3fff::1": "",
    "4000::1": "",
    "5f00::1": "",
    "fec0::1": "",  # site-local
    "feff::1": "",
    "ff00::1": "",
    "ff02::1": "",
    "ff0e::1": "",
}


@pytest.mark.parametrize("sender", [pytest.param((who, text), id=text or "nothing") for who, texts in SENDERS.items() for text in texts])
def test_d6_nobody_tells_us_of_addresses_that_he_cannot_know(sender):
    who, text = sender
    assert len(ADDRESSES) >= 60
    taken = {a for a in ADDRESSES if relay_fault(packed(text) if text else b"", Endpoint(packed(a), 30303)) is None}
    assert taken == {a for a, senders in ADDRESSES.items() if who in senders}


# What go-ethereum's p2p/netutil refuses from anyone, as facts: its two lists, multicast and the unspecified addresses.
REFUSED_ELSEWHERE = """
    0.0.0.0/8 192.0.0.0/29 192.0.0.9/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24
    192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 255.255.255.255/32 224.0.0.0/4
    100::/64 2001::/32 2001:1::1/128 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:5::/32 2001:10::/28 2001:20::/28 2001:db8::/32 2002::/16
    ::/128 ff00::/8
"""


def test_d6_control_by_pythons_own_tables_strangers_could_name_what_leads_elsewhere():
    """What `ipaddress` calls global depends on its version, but has in each of them what is no host's address."""
    believed = {a for a in ADDRESSES if ipaddress.ip_address(a).is_global}
    public = {a for a, senders in ADDRESSES.items() if "p" in senders}
    assert {"ff0e::1", "2620:4f:8000::1", "4000::1", "::808:808"} <= believed - public


@pytest.mark.parametrize("network", REFUSED_ELSEWHERE.split())
def test_d6_what_go_ethereum_refuses_is_refused(network):
    parsed = ipaddress.ip_network(network)
    for address in (parsed[0], parsed[-1]):
        assert scope_of(address.packed) is Scope.SPECIAL


@pytest.mark.parametrize(("port", "taken"), [(0, 0), (53, 0), (1024, 0), (1025, 1), (65535, 1), (65536, 0), (-1, 0)])
def test_d6_ports_of_other_services_are_refused(port, taken):
    assert (relay_fault(b"\x08\x08\x08\x08", Endpoint(b"\x01\x01\x01\x01", port)) is None) == bool(taken)


BAD = {
    "loopback": named(20, at=Endpoint(bytes([127, 0, 0, 1]), 30303)),
    "LAN": named(20, at=Endpoint(bytes([10, 0, 0, 1]), 30303)),
    "LAN in IPv6 clothes": named(20, at=Endpoint(bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1]), 30303)),
    "multicast": named(20, at=Endpoint(bytes([224, 0, 0, 1]), 30303)),
    "NAT64": named(20, at=Endpoint(bytes.fromhex("0064ff9b00000000000000000a000001"), 30303)),
    "DNS": named(20, at=endpoint_of(20, 53)),
    "no port": named(20, at=endpoint_of(20, 0)),
    "no address": packets.Neighbor(b"", 30303, 30303, bytes(key_of(20).public_key)),
    "no key": packets.Neighbor(endpoint_of(20).ip, 30303, 30303, bytes(64)),
    "ourselves": packets.Neighbor(endpoint_of(20).ip, 30303, 30303, bytes(key_of(0).public_key)),
}


@pytest.mark.parametrize("fault", BAD)
def test_d6_bad_neighbours_are_not_listened_to(fault):
    node, other = fresh(), guest()
    other.bond(node, START)
    node.lookup(bytes(64), START + 1)
    node.datagrams_to_send(START + 1)
    other.say(node, packets.Neighbors((BAD[fault], named(21)), int(START) + 30), START + 1)
    pass_time(node, START + 1.2)
    assert {entry.contact.id for entry in node.table} == {other.contact.id, key_of(21).public_key.node_id}
    assert {to for _, to in node.datagrams_to_send(START + 1.2)} == {endpoint_of(21)}


@pytest.mark.parametrize("fault", ["loopback", "LAN", "multicast", "NAT64", "DNS"])
def test_d6_control_whoever_believes_everything_sends_packets_there(fault, monkeypatch):
    monkeypatch.setattr(v4_nodes, "relay_fault", lambda *_: None)
    node, other = fresh(), guest()
    other.bond(node, START)
    node.lookup(bytes(64), START + 1)
    node.datagrams_to_send(START + 1)
    other.say(node, packets.Neighbors((BAD[fault],), int(START) + 30), START + 1)
    pass_time(node, START + 1.2)
    assert [to for _, to in node.datagrams_to_send(START + 1.2)] == [Endpoint(BAD[fault].ip, BAD[fault].udp)]


@pytest.mark.parametrize("fault", BAD)
def test_d6_who_tells_of_bad_neighbours_only_has_told_nothing(fault):
    node, other = fresh(), guest()
    other.bond(node, START)
    node.lookup(bytes(64), START + 1)
    node.datagrams_to_send(START + 1)
    other.say(node, packets.Neighbors((BAD[fault],), int(START) + 30), START + 1)
    pass_time(node, START + 1.2)
    assert entry_of(node, other.contact.id).failures == 1


def test_d6_an_answer_is_sixteen_nodes_and_each_of_them_once():
    node, other = fresh(), guest()
    other.bond(node, START)
    node.lookup(bytes(64), START + 1)
    node.datagrams_to_send(START + 1)
    for first in (20, 20, 20, 30, 40):
        other.say(node, packets.Neighbors(tuple(named(number) for number in range(first, first + 12)), int(START) + 30), START + 1)
    told = {entry.contact.id for entry in node.table} - {other.contact.id}
    assert told == {key_of(number).public_key.node_id for number in range(20, 36)}


def test_d6_nobody_is_told_of_what_is_not_to_be_reached_from_there():
    """A node of a LAN is told to others of the LAN, and not to the world."""
    neighbour = contact_of(record_of(5, endpoint=Endpoint(bytes([192, 168, 1, 5]), 30303)))
    public = contact_of(record_of(6))
    assert neighbour is not None
    assert public is not None
    for asker, expected in (
        (endpoint_of(2), {public.record}),
        (Endpoint(bytes([192, 168, 1, 9]), 30303), {public.record, neighbour.record}),
    ):
        victim = make_party(1)
        for contact in (neighbour, public):
            victim.node.table.add(contact, 0.0, live=True)
        answers = Stranger(2, victim, asker).say(FindNode(b"", tuple(range(1, 257))))
        records = {Record.decode(data) for answer in answers if isinstance(answer, Nodes) for data in answer.records}
        assert records == expected
