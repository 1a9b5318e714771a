"""One type for nodes, whether they were named by an enode URL or by their own record."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.addresses import Address
from devp2p.keys import PrivateKey
from devp2p.records.enr import Record
from devp2p.records.node_record import NodeRecord

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "enr.json").read_text())
KEY = PrivateKey.from_bytes(bytes(31) + b"\x01")
HEX = bytes(KEY.public_key).hex()


def node(**entries: object) -> NodeRecord:
    return NodeRecord.from_enr(Record.sign(KEY, 1, entries))


def test_the_text_of_a_record_is_that_of_a_node():
    record = NodeRecord.parse(f" {VECTOR['enr']}\n")
    assert record.enr == Record.parse(VECTOR["enr"])
    assert record.public_key.compressed.hex() == VECTOR["secp256k1"]
    assert record.id.hex() == VECTOR["node_id"]
    assert record.addresses == ()  # it says nothing of TCP
    assert record.udp_endpoints == ((VECTOR["ip"], VECTOR["udp"]),)
    assert record.enode == f"enode://{bytes(record.public_key).hex()}@127.0.0.1:0?discport=30303"


@pytest.mark.parametrize(
    ("entries", "addresses", "endpoints", "where"),
    [
        ({}, [], [], ""),
        ({"tcp": 1, "udp": 2}, [], [], ""),
        ({"ip": "9.9.9.9"}, [], [], ""),
        ({"ip": "9.9.9.9", "tcp": 1}, [("9.9.9.9", 1)], [], "@9.9.9.9:1?discport=0"),
        ({"ip": "9.9.9.9", "tcp": 1, "udp": 1}, [("9.9.9.9", 1)], [("9.9.9.9", 1)], "@9.9.9.9:1"),
        ({"ip": "9.9.9.9", "tcp": 1, "udp": 2}, [("9.9.9.9", 1)], [("9.9.9.9", 2)], "@9.9.9.9:1?discport=2"),
        ({"ip6": "2620:fe::9", "udp": 2}, [], [("2620:fe::9", 2)], "@[2620:fe::9]:0?discport=2"),
        ({"ip6": "2620:fe::9", "tcp": 1, "udp6": 3}, [("2620:fe::9", 1)], [("2620:fe::9", 3)], "@[2620:fe::9]:1?discport=3"),
        (
            {"ip": "9.9.9.9", "ip6": "2620:fe::9", "tcp": 1, "udp": 1, "tcp6": 2, "udp6": 3},
            [("9.9.9.9", 1), ("2620:fe::9", 2)],
            [("9.9.9.9", 1), ("2620:fe::9", 3)],
            "@9.9.9.9:1",
        ),
        # An address that the whole world can reach goes first.
        ({"ip": "10.0.0.1", "ip6": "2620:fe::9", "tcp": 1}, [("2620:fe::9", 1), ("10.0.0.1", 1)], [], "@[2620:fe::9]:1?discport=0"),
        ({"ip": "10.0.0.1", "ip6": "fe80::1", "tcp": 1}, [("10.0.0.1", 1), ("fe80::1", 1)], [], "@10.0.0.1:1?discport=0"),
        # The best address for TCP has no port for UDP, while another one has.
        (
            {"ip": "9.9.9.9", "ip6": "2620:fe::9", "tcp": 1, "udp6": 3},
            [("9.9.9.9", 1), ("2620:fe::9", 1)],
            [("2620:fe::9", 3)],
            "@9.9.9.9:1?discport=0",
        ),
        # What cannot be sent to is left out.
        ({"ip": "9.9.9.9", "tcp": 0, "udp": 0}, [], [], ""),
        ({"ip": "0.0.0.0", "ip6": "::", "tcp": 1, "udp": 1}, [], [], ""),  # noqa: S104 -- nothing is bound to it
        ({"ip": "224.0.0.1", "ip6": "ff02::1", "tcp": 1, "udp": 1}, [], [], ""),
        # An IPv4 address does not become another one by being written as IPv6.
        ({"ip6": "::ffff:9.9.9.9", "tcp": 1, "udp": 2}, [("9.9.9.9", 1)], [("9.9.9.9", 2)], "@9.9.9.9:1?discport=2"),
        ({"ip": "9.9.9.9", "ip6": "::ffff:9.9.9.9", "tcp": 1, "tcp6": 2}, [("9.9.9.9", 1)], [], "@9.9.9.9:1?discport=0"),
        ({"ip6": "::ffff:0.0.0.0", "tcp": 1}, [], [], ""),
    ],
)
def test_addresses_and_ports_of_a_record(entries, addresses, endpoints, where):
    record = node(**entries)
    assert record.addresses == tuple(Address("tcp", host, port) for host, port in addresses)
    assert record.udp_endpoints == tuple(endpoints)
    assert record.enode == f"enode://{HEX}{where}"


@pytest.mark.parametrize(
    ("text", "endpoints"),
    [
        (f"enode://{HEX}", []),
        (f"enode://{HEX}@9.9.9.9:1", [("9.9.9.9", 1)]),
        (f"enode://{HEX}@9.9.9.9:1?discport=2", [("9.9.9.9", 2)]),
        (f"enode://{HEX}@9.9.9.9:1?discport=0", []),
        (f"enode://{HEX}@9.9.9.9:0?discport=2", [("9.9.9.9", 2)]),
        (f"enode://{HEX}@[2620:fe::9]:1", [("2620:fe::9", 1)]),
        (f"enode://{HEX}@example.org:1", [("example.org", 1)]),
        (f"unix://{HEX}@/run/node.sock", []),
    ],
)
def test_an_enode_url_names_a_discovery_port_too(text, endpoints):
    record = NodeRecord.parse(text)
    assert record.enr is None
    assert record.udp_endpoints == tuple(endpoints)


ports = st.integers(0, 65535)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "ip": st.ip_addresses(v=4),
            "ip6": st.ip_addresses(v=6),
            "tcp": ports,
            "tcp6": ports,
            "udp": ports,
            "udp6": ports,
        },
    )
)
def test_the_enode_url_of_a_record_leads_to_the_same_place(entries):
    record = node(**entries)
    assert record.enr is not None
    assert NodeRecord.parse(record.enr.text) == record
    again = NodeRecord.parse(record.enode)
    assert again.public_key == record.public_key
    assert again.enode == record.enode
    if record.addresses:
        assert again.addresses == record.addresses[:1]
        assert set(again.udp_endpoints) <= set(record.udp_endpoints)
    else:
        assert again.udp_endpoints == record.udp_endpoints[:1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("enr:", r"^'enr:' is no node's record: the text is mistyped or cut short \(no bytes where an item belongs\)"),
        (VECTOR["enr"][:-1], "^'enr:-IS4QHCYrYZbAKWCBRlA'… is no node's record: "),
        ("enr:" + "A" * 5000, "a record's text of 5004 characters"),
        ("enr:\x1b[31m", r"is no node's record: a record's text that is not base64url"),
    ],
)
def test_a_bad_record_is_refused_with_a_reason(text, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        NodeRecord.parse(text)
    assert type(caught.value) is ValueError
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
