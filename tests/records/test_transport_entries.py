"""What a record says of transports: written within its bounds, read back, and never believed beyond a port."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import Address, NodeRecord, PrivateKey, rlp
from devp2p.records import Record, enr_entries, transport_entries
from devp2p.records.transport_entries import MOST_ADDRESSES, MOST_BYTES, SCHEMES

KEY = PrivateKey.from_bytes(b"\x07" * 32)
IP, IP6 = "5.9.1.7", "2a00::5"
LISTEN = st.builds(Address, st.sampled_from([*SCHEMES, "tcp", "memory2"]), st.sampled_from([IP, IP6, "*", "::"]), st.integers(1025, 65535))


def record(**entries: object) -> Record:
    return Record.sign(KEY, 1, entries)


def addresses(**entries: object) -> list[str]:
    return [str(address) for address in NodeRecord.from_enr(record(**entries)).addresses]


def test_a_record_names_the_transports_that_a_node_has() -> None:
    listens = [Address("tcp", IP, 30303), Address("quic", IP, 30304), Address("quic", IP6, 30305), Address("tls", "*", 443)]
    assert enr_entries(listens) == {"tcp": 30303, "quic": 30304, "quic6": 30305, "tls": 443}
    assert addresses(ip=IP, ip6=IP6, **enr_entries(listens)) == [
        f"tcp://{IP}:30303",
        f"tcp://[{IP6}]:30303",
        f"quic://{IP}:30304",
        f"quic://[{IP6}]:30305",
        f"tls://{IP}:443",
        f"tls://[{IP6}]:443",
    ]
    assert transport_entries([Address("quic", IP, 9), Address("quic", IP6, 9)]) == {"quic": 9}, "one entry counts for both"
    assert transport_entries([Address("tls", IP6, 9)]) == {"tls6": 9}
    assert transport_entries([Address("tls", IP, 1), Address("tls", IP, 2)]) == {"tls": 1}, "the first"
    assert transport_entries([Address("unix", "/x"), Address("memory", "x"), Address("relay", "x", 1)]) == {}


def test_a_node_without_tcp_is_named_by_what_it_has() -> None:
    node = NodeRecord.from_enr(record(ip=IP, udp=9000, quic=9001))
    assert [*map(str, node.addresses)] == [f"quic://{IP}:9001"]
    assert node.udp_endpoints == ((IP, 9000),)
    assert node.enode == f"quic://{bytes(KEY.public_key).hex()}@{IP}:9001"
    assert NodeRecord.parse(node.enode).addresses == node.addresses


@given(st.lists(LISTEN, max_size=14))
def test_what_is_written_is_read_back_and_leaves_room(listens: list[Address]) -> None:
    entries = enr_entries(listens)
    own = {key: value for key, value in entries.items() if key != "tcp"}
    assert sum(len(rlp.encode(key)) + len(rlp.encode(int(str(port)))) for key, port in own.items()) <= MOST_BYTES
    signed = Record.sign(KEY, 2**63, {"ip": IP, "ip6": IP6, "udp": 65535, "udp6": 65534, **entries, "eth": b"\xd0" + bytes(16)})
    found = NodeRecord.from_enr(signed).addresses
    others = [address for address in found if address.scheme != "tcp"]
    assert len(others) <= MOST_ADDRESSES
    bound = {(one.scheme, one.port) for one in listens}
    assert {(one.scheme, one.port) for one in found} <= bound
    if len(own) <= MOST_ADDRESSES // 2:
        assert {one.scheme for one in others} == {key.removesuffix("6") for key in own}


@pytest.mark.parametrize(
    "value",
    [b"\x80", b"\xc0", b"\x83\x01\x00\x00", b"\x82\x00\x50", rlp.encode(b"x" * 60), rlp.encode(["a"]), b"\x00"],
    ids=lambda value: value.hex()[:12],
)
def test_what_is_no_port_is_ignored(value: bytes) -> None:
    for key in ("quic", "tls", "ws6"):
        assert addresses(ip=IP, ip6=IP6, tcp=30303, **{key: value}) == [f"tcp://{IP}:30303", f"tcp://[{IP6}]:30303"]


def test_datagrams_go_to_no_service_at_a_low_port() -> None:
    assert addresses(ip=IP, quic=53, sctp=161, tls=443) == [f"tls://{IP}:443"]


def test_a_record_leads_to_few_addresses() -> None:
    everything = {scheme: number for number, scheme in enumerate(SCHEMES, 2000)}
    found = addresses(ip=IP, ip6=IP6, tcp=30303, **everything)
    assert len(found) == 2 + MOST_ADDRESSES
    assert {Address.parse(text).host for text in found} == {IP, IP6}
    assert addresses(tcp=30303, **everything) == [], "and to none without an address"


@given(st.dictionaries(st.sampled_from([f"{scheme}{six}" for scheme in SCHEMES for six in ("", "6")]), st.binary(max_size=6), max_size=6))
def test_whatever_is_signed_is_read(values: dict[str, bytes]) -> None:
    entries = {key: rlp.encode(value) for key, value in values.items()}
    for address in NodeRecord.from_enr(record(ip=IP, **entries)).addresses:
        assert 0 < (address.port or 0) < 65536
