"""Where an address can be reached from, and which networks it counts for, is the same for all who ask."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.addresses import (
    GROUP,
    HOST,
    PROVIDER,
    SITE,
    SUBNET,
    Address,
    Endpoint,
    Scope,
    is_local,
    network_of,
    pack_ip,
    scope_of,
    unmapped,
    unpack_ip,
)
from devp2p.keys import PrivateKey
from devp2p.limits import Limits
from devp2p.peers.admission import RACE, Admission, Caller
from devp2p.peers.dial_history import DialHistory
from devp2p.records import NodeRecord

SIZES = (HOST, SUBNET, SITE, PROVIDER, GROUP)


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


@pytest.mark.parametrize("size", [0, 1, 3, 5, 8, 15, 17, 32])
def test_what_is_no_address_is_special(size):
    assert scope_of(b"\x08" * size) is Scope.SPECIAL
    assert str(Endpoint(b"\x08" * size, 1)) == f"[{'08' * size}]:1"


def test_networks():
    assert {network_of(packed(text), SITE) for text in ("8.1.2.3", "8.1.2.200", "::ffff:8.1.2.9")} == {b"\x08\x01\x02"}
    assert network_of(packed("8.1.2.3"), PROVIDER) == b"\x08\x01\x02"
    site, provider = network_of(packed("2a01:4f8:1:2::3"), SITE), network_of(packed("2a01:4f8:9:2::3"), PROVIDER)
    assert (site, provider) == (packed("2a01:4f8:1::")[:6], packed("2a01:4f8::")[:4])
    assert network_of(packed("2a01:4f8:2:2::3"), SITE) != site
    assert network_of(packed("2a01:4f9::"), PROVIDER) != provider


def test_addresses_in_the_clothes_of_others():
    assert unmapped(packed("::ffff:1.2.3.4")) == packed("1.2.3.4")
    assert unmapped(packed("::1.2.3.4")) == packed("::1.2.3.4")
    assert is_local(packed("::ffff:192.168.0.1"))
    assert not is_local(packed("2002:c0a8:1::"))


def test_endpoints_as_text():
    assert str(Endpoint(packed("1.2.3.4"), 30303)) == "1.2.3.4:30303"
    assert str(Endpoint(packed("fe80::1"), 9000)) == "[fe80::1]:9000"


# Addresses of any scheme

IPS = st.one_of(st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address), st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
NEAR = ["10.0.0.0", "172.15.255.255", "172.32.0.0", "127.255.255.255", "100.63.255.255", "100.128.0.0", "169.254.1.1", "192.167.255.255"]
NEAR6 = ["::", "::1", "::2", "fbff::1", "fe00::1", "fe7f::1", "febf::1", "fec0::1", "2000::", "3fff:ffff::", "4000::", "2001:1ff::"]


def is_in(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, *networks: str) -> bool:
    return any(ip in ipaddress.ip_network(text) for text in networks)


@given(IPS | st.sampled_from([ipaddress.ip_address(text) for text in NEAR + NEAR6]), st.booleans(), st.sampled_from(["tcp", "quic"]))
@settings(max_examples=500)
def test_an_ip_address_counts_for_the_same_networks_wherever_limits_ask(ip, in_clothes, scheme):
    """The rules, as they are promised where each is applied."""
    written = ipaddress.IPv6Address(f"::ffff:{ip}") if in_clothes and ip.version == 4 else ip
    ip = getattr(ip, "ipv4_mapped", None) or ip
    loopback = is_in(ip, "127.0.0.0/8", "::1/128")
    lan = is_in(
        ip, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"
    )  # fmt: skip
    address = Address(scheme, str(written), 30303)
    bits = {4: {HOST: 32, SUBNET: 24, SITE: 24, PROVIDER: 24, GROUP: 16}, 6: {HOST: 64, SUBNET: 64, SITE: 48, PROVIDER: 32, GROUP: 32}}
    for size, prefix in bits[ip.version].items():
        expected = ipaddress.ip_network((ip, prefix), strict=False).network_address.packed[: prefix // 8]
        assert address.network(size) == network_of(written.packed, size) == expected
        assert address.limited_network(size, limit_local=True) == expected
        assert address.limited_network(size) == (None if loopback or lan else expected)
    assert address.is_local == is_local(written.packed) == (loopback or lan)
    assert (address.scope is Scope.LOOPBACK, address.scope is Scope.LAN) == (loopback, lan)
    assert address.scope is scope_of(written.packed)
    assert address.ip == ip.packed == pack_ip(str(written))
    assert unpack_ip(address.ip) == ip


def test_whose_limits_are_of_which_size():
    """An address that each of the rules would take for another, if it counted in another size."""
    one, other = Address("tcp", "5.6.7.8", 1), Address("tcp", "2a02:1234:5:6:7::8", 1)
    gate = Admission(Limits())
    assert gate.identify(one) == Caller(bytes([5, 6, 7, 8]), bytes([5, 6, 7]), exempt=False)
    assert gate.identify(other) == Caller(other.ip[:8], other.ip[:8], exempt=False)
    assert [DialHistory()._hosts_of([address]) for address in (one, other)] == [{bytes([5, 6, 7, 8])}, {other.ip[:8]}]


@pytest.mark.parametrize("text", ["unix:///run/node.sock", "memory://alice", "memory://8.8.8.8"])
def test_what_stays_inside_this_machine_is_local_and_counts_for_itself(text):
    address = Address.parse(text)
    assert (address.ip, address.scope, address.is_local) == (b"", Scope.LOOPBACK, True)
    for size in SIZES:
        assert address.limited_network(size) is None
        assert address.limited_network(size, limit_local=True) == address.network(size) == f"address {text}".encode()


def test_a_name_counts_for_itself_however_it_is_written_and_by_whichever_transport():
    addresses = [Address("tcp", "Node.Example", 1), Address("quic", "node.example", 2), Address("tcp", "node.example.", 3)]
    assert {address.limited_network(size) for address in addresses for size in SIZES} == {b"host name node.example"}
    assert {address.scope for address in addresses} == {Scope.PUBLIC}
    assert Address("tcp", "other.example", 1).network(HOST) != addresses[0].network(HOST)


def test_no_name_can_be_taken_for_an_ip_address():
    """A name of four letters would have been four bytes, as an IPv4 address has."""
    for name in ("ab", "abc", "abcd", "abcdef", "abcdefgh"):
        assert not any(len(Address(scheme, name).network(size)) <= 8 for scheme in ("tcp", "unix", "memory") for size in SIZES)


def test_any_text_that_an_address_may_hold_has_a_network():
    """A path from the command line may hold bytes that are no UTF-8, which Python writes as lone surrogates."""
    assert Address("unix", "/run/\udcff").network(HOST) != Address("unix", "/run/\udcfe").network(HOST)
    assert Address("tcp", "\udcff.example", 1).limited_network(HOST) is not None


def test_what_localhost_and_wildcards_are():
    assert (Address("tcp", "localhost", 1).scope, Address("tcp", "LocalHost", 1).is_local) == (Scope.LOOPBACK, True)
    assert {Address("tcp", host, 1).scope for host in ("*", "0.0.0.0", "::")} == {Scope.SPECIAL}  # noqa: S104  (nothing is bound)


def test_a_zone_does_not_make_another_address():
    assert Address("tcp", "fe80::1%eth0", 1).ip == packed("fe80::1")
    assert Address("tcp", "fe80::1%eth0", 1).scope is Scope.LAN


def test_the_size_of_a_packed_address():
    assert (pack_ip(None), unpack_ip(b"")) == (b"", None)
    for size in (1, 3, 5, 15, 17):
        with pytest.raises(ValueError, match=f"an IP address of {size} bytes"):
            unpack_ip(bytes(size))
    with pytest.raises(ValueError, match="node"):
        pack_ip("node")


KEY = "ab" * 64


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "relay.example"])
def test_a_relayed_address_is_that_of_the_relay_with_its_key(host):
    text = f"relay://{KEY}@{host}:30303"
    address, short = Address.parse(text), Address.parse(f"relay://{host}:30303")
    assert (str(address), address.via, address.port) == (text, KEY, 30303)
    assert (str(short), short.via) == (f"relay://{host}:30303", "")
    assert Address.parse(text.replace("ab", "AB")) == address
    plain = Address.parse(f"tcp://{host}:30303")
    assert (address.ip, address.scope, address.network(HOST)) == (plain.ip, plain.scope, plain.network(HOST))
    assert address.is_relayed
    assert not plain.is_relayed
    key = PrivateKey(b"1" * 32).public_key
    node = NodeRecord(key, (address,))
    assert node.enode == f"relay://{bytes(key).hex()}@{KEY}@{host}:30303"
    assert NodeRecord.parse(node.enode) == node


@pytest.mark.parametrize("where", ["aa@host:1", f"{KEY}x@host:1", "@host:1", f"{KEY}@:1", ":1", f"{KEY}@{KEY}@host:1", f"{KEY}@host"])
def test_what_is_no_relayed_address_is_refused(where):
    with pytest.raises(ValueError, match=r"relay|host|port"):
        Address.parse(f"relay://{where}")
    with pytest.raises(ValueError, match="no host"):
        Address.parse(f"tcp://{KEY}@host:1")


def test_relayed_links_of_one_relay_need_not_wait_for_each_other():
    gate = Admission(Limits())
    through, direct = (Address.parse(f"{scheme}://1.2.3.4:30303") for scheme in ("relay", "tcp"))
    assert [gate.knock(gate.identify(through), 1.0) for _ in range(3)] == [None] * 3
    assert gate.knock(gate.identify(direct), 1.0) is None
    assert gate.knock(gate.identify(direct), 2.0) is not None


def test_in_a_moment_a_host_may_come_once_by_each_transport():
    gate, caller = Admission(Limits()), Caller(b"host", b"net", exempt=False)
    assert gate.knock(caller, 1.0, "tls") is None
    assert "came again after 0.5 s" in str(gate.knock(caller, 1.5, "tls"))
    assert gate.knock(caller, 1.5, None) is None, "its first bytes are to say it"
    assert gate.heard(caller, 6.0, "tcp") is None, "they may be slow"
    assert gate.heard(caller, 6.0, "tcp") is not None
    assert gate.knock(caller, 1.0 + RACE, "quic") is not None
    assert gate.knock(caller, 1.0 + RACE, None) is not None
    assert gate.knock(caller, 29.0, "tls") is None
