"""Packets of discovery v4: the published ones are understood, ours are read back, and forged ones cost little."""

import json
import random
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.discovery.v4 import packets as v4_packets
from devp2p.discovery.v4.packets import (
    MAX_NEIGHBORS,
    MAX_PACKET,
    MIN_PACKET,
    PACKETS,
    Endpoint,
    ENRRequest,
    ENRResponse,
    FindNode,
    Neighbor,
    Neighbors,
    Ping,
    Pong,
    check_hash,
    decode,
    encode,
    is_expired,
)
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import PrivateKey, keccak256
from devp2p.records.enr import Record
from tests.fuzz.discovery_targets import sign_packet

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "discv4_packets.json").read_text())
SIGNER = PrivateKey.from_bytes(bytes.fromhex(VECTORS["signer_key"]))
KEY = PrivateKey.from_bytes(bytes(31) + b"\x01")
HERE, THERE = Endpoint.of("127.0.0.1", 3322, 5544), Endpoint.of("::1", 2222, 3333)

u16, u64 = st.integers(0, 2**16 - 1), st.integers(0, 2**64 - 1)
ips = st.just(b"") | st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
hashes = st.binary(min_size=32, max_size=32)
keys = st.binary(min_size=64, max_size=64)
endpoints = st.builds(Endpoint, ips, u16, u16)
packets = st.one_of(
    st.builds(Ping, endpoints, endpoints, u64, st.none() | u64, version=st.integers(0, 2**256 - 1)),
    st.builds(Pong, endpoints, hashes, u64, st.none() | u64),
    st.builds(FindNode, keys, u64),
    st.builds(Neighbors, st.lists(st.builds(Neighbor, ips, u16, u16, keys), max_size=MAX_NEIGHBORS).map(tuple), u64),
    st.builds(ENRRequest, u64),
    st.builds(ENRResponse, hashes, st.binary(max_size=300).map(rlp.encode)),
)


def expected(vector):
    match vector["type"]:
        case "ping":
            sender, recipient = (Endpoint.of(*vector[side]) for side in ("from", "to"))
            return Ping(sender, recipient, vector["expiration"], vector.get("enr_seq"), version=vector["version"])
        case "findnode":
            return FindNode(bytes.fromhex(vector["target"]), vector["expiration"])
        case "neighbors":
            nodes = [(Endpoint.of(node["ip"], 0).ip, node["udp"], node["tcp"], bytes.fromhex(node["id"])) for node in vector["nodes"]]
            return Neighbors(tuple(Neighbor(*node) for node in nodes), vector["expiration"])
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize("vector", VECTORS["packets"], ids=lambda vector: vector["type"])
def test_the_vectors_are_understood(vector):
    """They carry what EIP-8 says must be ignored: more elements, and bytes behind the list."""
    data = bytes.fromhex(vector["packet"])
    decoded = decode(data)
    assert decoded.packet == expected(vector)
    assert decoded.public_key == SIGNER.public_key
    assert decoded.hash == data[:32]
    further = rlp.codec(tuple[rlp.Raw, ...]).decode(rlp.split_item(data, 98)[0])[-len(vector.get("extra", [])) :]
    assert "extra" not in vector or [item.hex() for item in further] == vector["extra"]
    assert encode(decoded.packet, SIGNER)[0][97] == data[97]


@given(packets, st.integers(1, 2**200), st.lists(st.integers(0, 300) | st.binary(max_size=3), max_size=3), st.binary(max_size=20))
def test_what_is_sent_is_read_back(packet, secret, further, behind):
    key = PrivateKey.from_bytes(secret.to_bytes(32, "big"))
    data, packet_hash = encode(packet, key)
    for form in (data, bytearray(data), memoryview(data)):
        assert decode(form) == v4_packets.Decoded(packet, key.public_key, packet_hash)
    assert check_hash(data) == packet_hash == data[:32] == keccak256(data[32:])
    assert PACKETS[data[97]] is type(packet)
    optional = isinstance(packet, Ping | Pong) and packet.enr_sequence is None
    elements = rlp.codec(tuple[rlp.Raw, ...]).decode(data[98:])
    longer = rlp.codec(tuple[rlp.Raw, ...]).encode((*elements, *([] if optional else map(rlp.encode, further))))
    assert len(data) > 1200 or decode(sign_packet(data[97:98] + longer + behind, key)).packet == packet


@given(packets, st.data())
def test_every_change_is_noticed_before_the_signature_is_looked_at(packet, draw):
    data = bytearray(encode(packet, KEY)[0])
    place = draw.draw(st.integers(0, 8 * len(data) - 1))
    data[place // 8] ^= 1 << place % 8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(v4_packets, "recover", lambda *_: pytest.fail("recovered too early"))
        with pytest.raises(DecodingError, match="hash is wrong"):
            decode(data)


def test_a_packet_of_another_node_says_so():
    """With a right hash, any signature is somebody's: whoever reads a packet must look whose."""
    source = random.Random(1)
    found = set()
    for _ in range(20):
        signed = source.randbytes(64) + b"\0" + encode(ENRRequest(1), KEY)[0][97:]
        try:
            found.add(decode(keccak256(signed) + signed).public_key)
        except DecodingError as error:
            assert str(error) == "not a recoverable signature"  # noqa: PT017 -- about half of them are
    assert len(found) > 3
    assert KEY.public_key not in found


@pytest.mark.parametrize("size", [0, 1, 32, 97, MAX_PACKET + 1, 65507])
def test_a_size_that_cannot_be_costs_nothing(size, monkeypatch):
    monkeypatch.setattr(v4_packets, "keccak256", lambda _: pytest.fail("hashed"))
    with pytest.raises(DecodingError, match=f"a packet of {size} bytes, where {MIN_PACKET} to 1280 are allowed"):
        decode(bytes(size))


def body(kind: int, *items: rlp.Encodable) -> bytes:
    return bytes([kind]) + rlp.encode(items)


ENDPOINT: rlp.Encodable = [b"abcd", 1, 2]
NEIGHBOR: rlp.Encodable = [b"abcd", 1, 2, bytes(64)]
BAD = {
    "no data": (b"\x01", "no bytes where an item belongs"),
    "no list": (b"\x01\x80", "a byte string where a list belongs"),
    "a list that is not all there": (b"\x01\xf8\xff", "an item that ends 255 bytes after"),
    "type 0": (b"\x00\xc0", "the unknown packet type 0x00"),
    "type 7": (b"\x07\xc0", "the unknown packet type 0x07"),
    "an empty ping": (body(1), "Ping.version: missing"),
    "a ping without expiration": (body(1, 4, ENDPOINT, ENDPOINT), "Ping.expiration: missing"),
    "a sender without port": (body(1, 4, [b"abcd"], ENDPOINT, 1), "Ping.sender: Endpoint.udp: missing"),
    "a sender at 5 bytes": (body(1, 4, [b"abcde", 1, 2], ENDPOINT, 1), "Ping.sender: Endpoint: an IP address of 5 bytes"),
    "a port of 17 bits": (body(1, 4, ENDPOINT, [b"abcd", 65536, 2], 1), "Ping.recipient: Endpoint.udp: an integer of more than 2 bytes"),
    "an expiration of 65 bits": (body(1, 4, ENDPOINT, ENDPOINT, 2**64), "Ping.expiration: an integer of more than 8 bytes"),
    "a record number that is none": (body(1, 4, ENDPOINT, ENDPOINT, 1, []), "Ping.enr_sequence: a list|Ping.enr_sequence"),
    "a short ping hash": (body(2, ENDPOINT, bytes(31), 1), "Pong.ping_hash: 31 bytes where 32 belong"),
    "a long target": (body(3, bytes(65), 1), "FindNode.target: 65 bytes where 64 belong"),
    "a neighbour with a short key": (body(4, [[b"abcd", 1, 2, bytes(63)]], 1), "Neighbors.nodes: item 0: Neighbor.public_key: 63 bytes"),
    "a neighbour at 3 bytes": (body(4, [NEIGHBOR, [b"abc", 1, 2, bytes(64)]], 1), "nodes: item 1: Neighbor: an IP address of 3 bytes"),
    "an empty request": (body(5), "ENRRequest.expiration: missing"),
    "a response without record": (body(6, bytes(32)), "ENRResponse.record: missing"),
}


@pytest.mark.parametrize(("content", "complaint"), BAD.values(), ids=BAD)
def test_a_bad_packet_is_refused_before_its_signature_is_looked_at(content, complaint, monkeypatch):
    monkeypatch.setattr(v4_packets, "recover", lambda *_: pytest.fail("recovered too early"))
    with pytest.raises(DecodingError, match=complaint):
        decode(sign_packet(content))


def test_any_version_is_accepted():
    for version in (0, 3, 5, 555, 2**64):
        assert decode(sign_packet(body(1, version, ENDPOINT, ENDPOINT, 1))).packet == Ping(
            Endpoint(b"abcd", 1, 2), Endpoint(b"abcd", 1, 2), 1, version=version
        )


def test_a_node_need_not_know_its_own_address():
    """Go-ethereum, as long as it does not, sends three empty strings."""
    ping = decode(sign_packet(body(1, 4, [b"", b"", b""], ENDPOINT, 1))).packet
    assert ping == Ping(Endpoint.of(None, 0), Endpoint(b"abcd", 1, 2), 1)
    assert isinstance(ping, Ping)
    assert ping.sender.address is None


@given(st.ip_addresses())
def test_addresses_are_4_or_16_bytes(address):
    for form in (address, str(address)):
        endpoint = Endpoint.of(form, 1, 2)
        neighbor = Neighbor.of(KEY.public_key, form, 1, 2)
        assert endpoint.ip == neighbor.ip
        assert endpoint.address == neighbor.address == ip_address(endpoint.ip)
        assert endpoint.address == (getattr(address, "ipv4_mapped", None) or address)


def test_an_ipv4_address_does_not_become_another_one_by_being_written_as_ipv6():
    assert Endpoint.of("::ffff:1.2.3.4", 1).ip == bytes([1, 2, 3, 4])
    assert Endpoint(ip_address("::ffff:1.2.3.4").packed, 1, 2).address == ip_address("1.2.3.4")


@pytest.mark.parametrize("make", [lambda: Endpoint(b"abc", 1, 2), lambda: Neighbor(bytes(5), 1, 2, bytes(64)), lambda: Endpoint.of("x", 1)])
def test_what_is_no_address_is_refused_here_too(make):
    with pytest.raises(ValueError, match=r"an IP address of . bytes|'x' does not appear"):
        make()


def test_as_many_neighbours_fit_as_is_said():
    longest = Neighbor(b"\xff" * 16, 65535, 65535, bytes(64))
    data, _ = encode(Neighbors((longest,) * MAX_NEIGHBORS, 2**64 - 1), KEY)
    assert len(data) <= MAX_PACKET
    with pytest.raises(LocalProtocolError, match=r"a Neighbors of 1\d+ bytes, where 1280 are allowed"):
        encode(Neighbors((longest,) * (MAX_NEIGHBORS + 1), 2**64 - 1), KEY)


def test_a_record_is_carried_as_it_is():
    record = Record.sign(KEY, 3, {"ip": "9.9.9.9", "udp": 30303})
    response = decode(encode(ENRResponse(bytes(32), record.encode()), KEY)[0]).packet
    assert isinstance(response, ENRResponse)
    assert Record.decode(response.record) == record


@pytest.mark.parametrize(
    ("packet", "complaint"),
    [
        (Ping(HERE, THERE, -1), "Ping.expiration: -1 is not an integer of 64 bits"),
        (Pong(HERE, bytes(31), 1), "Pong.ping_hash: 31 bytes where 32 belong"),
        (FindNode(bytes(65), 1), "FindNode.target"),
        (ENRResponse(bytes(32), b"\xc1"), "ENRResponse.record: not the encoding of one item"),
        (HERE, "Endpoint is no packet of discovery v4"),
    ],
)
def test_what_cannot_be_sent_is_named(packet, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        encode(packet, KEY)


def test_a_packet_expires_when_its_time_is_over():
    for packet in (Ping(HERE, THERE, 100), Pong(HERE, bytes(32), 100), FindNode(bytes(64), 100), Neighbors((), 100), ENRRequest(100)):
        assert not is_expired(packet, 99.9)
        assert not is_expired(packet, 100)
        assert is_expired(packet, 100.1)
    assert not is_expired(ENRResponse(bytes(32), b"\xc0"), 1e12)
    assert not is_expired(ENRRequest(2**63 - 1), 1e12)
    assert is_expired(ENRRequest(2**63), 1e12)
    assert is_expired(ENRRequest(2**64 - 1), 1e12)
