"""Addresses and enode URLs: what is written can be read back, and a slip of the pen is named."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.addresses import Address
from devp2p.keys import PrivateKey, keccak256
from devp2p.records.node_record import NodeRecord, enode_address, enr_entries

PUBLIC = PrivateKey.from_bytes(bytes(31) + b"\x01").public_key
HEX = bytes(PUBLIC).hex()

keys = st.integers(1, 2**200).map(lambda secret: PrivateKey.from_bytes(secret.to_bytes(32, "big")).public_key)
ports = st.integers(0, 65535)
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}\.?){1,4}", fullmatch=True)
hosts = st.ip_addresses().map(str) | names
paths = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=30).filter(lambda text: text != "*")
tcp_addresses = st.builds(Address, st.just("tcp"), hosts, ports)
addresses = tcp_addresses | st.builds(Address, st.sampled_from(["unix", "memory"]), paths)


@given(addresses)
def test_an_address_is_read_back_as_it_was_written(address):
    assert Address.parse(str(address)) == address


@given(keys, st.none() | addresses, st.none() | ports)
def test_a_record_is_read_back_as_it_was_written(key, address, udp_port):
    record = NodeRecord(key, () if address is None else (address,), udp_port)
    again = NodeRecord.parse(record.enode)
    assert (again.public_key, again.addresses, again.enode) == (record.public_key, record.addresses, record.enode)
    if address is not None and address.scheme == "tcp" and udp_port != address.port:
        assert again.udp_port == udp_port


@given(keys, tcp_addresses, ports)
def test_a_discovery_port_survives_when_it_differs(key, address, udp_port):
    text = f"enode://{bytes(key).hex()}@{str(address).removeprefix('tcp://')}?discport={udp_port}"
    assert NodeRecord.parse(text) == NodeRecord(key, (address,), udp_port)


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda text: f"enode://{HEX}@{text}") | st.text(max_size=40).map("tcp://{}".format))
def test_any_text_is_a_record_or_a_value_error(text):
    """A typing error in a configuration must not end in a traceback about something else."""
    for parse in (Address.parse, NodeRecord.parse):
        try:
            parse(text)
        except UnicodeError as error:  # a ValueError too, but one that says nothing useful
            raise AssertionError(text) from error
        except ValueError:
            pass


def test_an_enode_url_as_go_ethereum_prints_it():
    record = NodeRecord.parse(f"  enode://{HEX.upper()}@10.3.58.6:30303?discport=30301\n")
    assert record == NodeRecord(PUBLIC, (Address("tcp", "10.3.58.6", 30303),), 30301)
    assert record.enode == f"enode://{HEX}@10.3.58.6:30303?discport=30301"
    assert record.id == keccak256(bytes(PUBLIC))


def test_other_parameters_are_ignored():
    assert NodeRecord.parse(f"enode://{HEX}@10.3.58.6:1?color=blue&discport=2&x").udp_port == 2


@pytest.mark.parametrize("host", ["::1", "2001:db8::8a2e:370:7334", "fe80::1%eth0", "::ffff:1.2.3.4"])
def test_ipv6_stands_in_brackets(host):
    text = f"enode://{HEX}@[{host}]:30303"
    record = NodeRecord.parse(text)
    assert record.addresses == (Address("tcp", host, 30303),)
    assert ipaddress.ip_address(record.addresses[0].host).version == 6
    assert record.enode == text


def test_a_discovery_port_equal_to_the_tcp_port_is_not_written():
    assert NodeRecord(PUBLIC, (Address("tcp", "::1", 5),), 5).enode == f"enode://{HEX}@[::1]:5"


def test_only_the_best_address_is_written():
    best, other = Address("tcp", "1.2.3.4", 1), Address("tcp", "::1", 2)
    assert NodeRecord(PUBLIC, (best, other)).enode == f"enode://{HEX}@1.2.3.4:1"


def test_other_transports_are_written_with_their_scheme():
    for text, address in [
        (f"unix://{HEX}@/run/node@2.sock", Address("unix", "/run/node@2.sock")),
        (f"memory://{HEX}@alice?", Address("memory", "alice?")),
    ]:
        assert NodeRecord.parse(text) == NodeRecord(PUBLIC, (address,))
        assert NodeRecord.parse(text).enode == text
    assert NodeRecord.parse(f"tcp://{HEX}@[::1]:1").enode == f"enode://{HEX}@[::1]:1"


def test_a_discovery_port_does_not_end_up_in_a_path():
    assert NodeRecord(PUBLIC, (Address("unix", "/run/a.sock"),), 30303).enode == f"unix://{HEX}@/run/a.sock"


def test_a_key_alone_is_a_record():
    assert NodeRecord.parse(f"enode://{HEX}") == NodeRecord(PUBLIC)
    assert NodeRecord(PUBLIC).enode == f"enode://{HEX}"


def test_a_listener_can_take_every_interface_and_any_port():
    assert Address.parse("tcp://:0") == Address.parse("tcp://*:0") == Address("tcp", "*", 0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "looks like tcp://127.0.0.1:30303, not ''"),
        ("127.0.0.1:30303", "looks like tcp://127.0.0.1:30303, not '127.0.0.1:30303'"),
        ("://x:1", "looks like tcp://127.0.0.1:30303"),
        ("t-p://x:1", "looks like tcp://127.0.0.1:30303"),
        ("тcp://x:1", "looks like tcp://127.0.0.1:30303"),
        ("unix://", "unix:// wants a path"),
        ("memory://", "memory:// wants a name"),
        ("tcp://localhost", "the port is missing in 'localhost'"),
        ("tcp://localhost:", "a port is a number from 0 to 65535, not ''"),
        ("tcp://localhost:65536", "not '65536'"),
        ("tcp://localhost:-1", "not '-1'"),
        ("tcp://localhost:+1", "not '\\+1'"),
        ("tcp://localhost:000001", "not '000001'"),
        ("tcp://localhost:٣", "a port is a number"),  # int() would take this digit
        ("tcp://localhost:30303/", "not '30303/'"),
        ("tcp://::1:30303", "an IPv6 address stands in brackets, as in \\[::1\\]:30303: '::1:30303'"),
        ("tcp://[::1]", "an IPv6 address with its port looks like"),
        ("tcp://[::1", "an IPv6 address with its port looks like"),
        ("tcp://[]:1", "'' is no IPv6 address"),
        ("tcp://[example.org]:1", "'example.org' is no IPv6 address"),
        ("tcp://user@example.org:1", "'user@example.org' is no host"),
        ("tcp://a b:1", "'a b' is no host"),
        ("tcp://\x1b[31m:1", r"is no host"),
        ("tcp://http://x:1", "'http://x' is no host"),
    ],
)
def test_a_bad_address_is_refused_with_a_reason(text, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        Address.parse(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a node is written enode://<public key>@<host>:<port> or enr:..., not ''"),
        (HEX, "a node is written enode://"),
        (f"{HEX}@1.2.3.4:1", "a node is written enode://"),
        (f"enode://{HEX}@1.2.3.4:1?x={'9' * 2048}", "a node is written enode://"),
        (f"enode://{HEX[2:]}@1.2.3.4:1", "a node's public key is 128 hex digits, not 126 characters"),
        (f"enode://04{HEX}@1.2.3.4:1", "not 130 characters"),
        (f"enode://{HEX[:-1]}g@1.2.3.4:1", "a node's public key is 128 hex digits"),
        (f"enode://{HEX[:64]} {HEX[64:]}@1.2.3.4:1", "a node's public key is 128 hex digits"),  # fromhex() skips blanks
        (f"enode://{HEX[:-2]}  @1.2.3.4:1", "a node's public key is 128 hex digits"),
        ("enode://@1.2.3.4:1", "not 0 characters"),
        (f"enode://{'ff' * 64}@1.2.3.4:1", "is no public key: not a point of secp256k1"),
        (f"enode://{HEX}@", "the port is missing"),
        (f"enode://{HEX}@1.2.3.4", "the port is missing in '1.2.3.4'"),
        (f"enode://{HEX}@:30303", "the host is missing in enode://79be667e…@:30303"),
        (f"enode://{HEX}@*:30303", "the host is missing"),
        (f"enode://{HEX}@1.2.3.4:1?discport=x", "a port is a number from 0 to 65535, not 'x'"),
        (f"enode://{HEX}@1.2.3.4:1?discport=65536", "not '65536'"),
        (f"unix://{HEX}@", "unix:// wants a path"),
    ],
)
def test_a_bad_record_is_refused_with_a_reason(text, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        NodeRecord.parse(text)
    assert len(str(caught.value)) < 200  # whatever was pasted, the log line stays readable


def test_of_many_addresses_enode_urls_and_records_name_the_first_of_tcp():
    unix, first, second = Address("unix", "/run/node.sock"), Address("tcp", "1.2.3.4", 30303), Address("tcp", "::1", 30304)
    assert enode_address([unix, first, second]) == first
    assert enode_address([unix]) is None
    assert enr_entries([unix, first, second]) == {"tcp": 30303}
    assert enr_entries([unix]) == {}


def test_port_0_takes_no_connections_but_no_port_may():
    assert [Address("tcp", "1.2.3.4", port).is_dialable for port in (0, 1, 30303)] == [False, True, True]
    assert Address("memory", "alice").is_dialable
