"""Messages of discovery v5: what is said is read back, and nothing else is a message."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.discovery.v5.messages import MESSAGES, FindNode, Nodes, Ping, Pong, TalkRequest, TalkResponse, decode_message, encode_message
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.records.enr import Record

KEY = PrivateKey.from_bytes(bytes(31) + b"\x01")

u16, u64 = st.integers(0, 2**16 - 1), st.integers(0, 2**64 - 1)
ids = st.binary(max_size=8)
ips = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
messages = st.one_of(
    st.builds(Ping, ids, u64),
    st.builds(Pong, ids, u64, ips, u16),
    st.builds(FindNode, ids, st.lists(st.integers(0, 256), max_size=20).map(tuple)),
    st.builds(Nodes, ids, u64, st.lists(st.binary(max_size=60).map(lambda data: rlp.encode([data])), max_size=4).map(tuple)),
    st.builds(TalkRequest, ids, st.binary(max_size=20), st.binary(max_size=100)),
    st.builds(TalkResponse, ids, st.binary(max_size=100)),
)


@given(messages, st.lists(st.integers(0, 300) | st.binary(max_size=3), max_size=3))
def test_what_is_said_is_read_back(message, further):
    data = encode_message(message)
    assert decode_message(data) == message
    assert MESSAGES[data[0]] is type(message)
    elements = rlp.codec(tuple[rlp.Raw, ...]).decode(data[1:])
    assert rlp.decode(elements[0]) == message.request_id
    longer = rlp.codec(tuple[rlp.Raw, ...]).encode((*elements, *map(rlp.encode, further)))
    assert decode_message(data[:1] + longer) == message


@pytest.mark.parametrize(
    ("message", "encoding"),
    [
        (Ping(b"\0\0\0\1", 2), "01c6840000000102"),
        (Ping(b"", 0), "01c28080"),
        (Pong(b"\1", 1, bytes([127, 0, 0, 1]), 5000), "02ca0101847f000001821388"),
        (FindNode(b"\1", (256, 0)), "03c601c482010080"),
        (Nodes(b"\1", 1, ()), "04c30101c0"),
        (TalkRequest(b"\1", b"foo", b"bar"), "05c90183666f6f83626172"),
        (TalkResponse(b"\1", b"baz"), "06c5018362617a"),
    ],
)
def test_the_layout_of_each(message, encoding):
    assert encode_message(message).hex() == encoding
    assert decode_message(bytes.fromhex(encoding)) == message


def body(kind: int, *items: rlp.Encodable) -> bytes:
    return bytes([kind]) + rlp.encode(items)


BAD = {
    "nothing": (b"", "an empty message"),
    "a type alone": (b"\x01", "no bytes where an item belongs"),
    "type 0": (b"\x00\xc0", "the unknown message type 0x00"),
    "type 7": (b"\x07\xc0", "the unknown message type 0x07"),
    "no list": (b"\x01\x01", "a byte string where a list belongs"),
    "bytes behind the list": (body(1, b"1", 1) + b"\0", "1 bytes after the item's end"),
    "no request id": (body(1), "Ping.request_id: missing"),
    "a request id of 9 bytes": (body(1, bytes(9), 1), "Ping.request_id: 9 bytes where at most 8 are allowed"),
    "a request id that is a list": (body(3, [], []), "FindNode.request_id: a list"),
    "a record number of 65 bits": (body(1, b"", 2**64), "Ping.enr_sequence: an integer of more than 8 bytes"),
    "an address of 5 bytes": (body(2, b"", 1, bytes(5), 1), "Pong: an IP address of 5 bytes"),
    "no address": (body(2, b"", 1, b"", 1), "Pong: an IP address of 0 bytes"),
    "a port of 17 bits": (body(2, b"", 1, bytes(4), 65536), "Pong.recipient_port: an integer of more than 2 bytes"),
    "distances that are no list": (body(3, b"", 1), "FindNode.distances: a byte string"),
    "a distance that does not exist": (body(3, b"", [1, 257, 2]), "FindNode: the distance 257, where 256 is the greatest"),
    "records that are no list": (body(4, b"", 1, b""), "Nodes.records: a byte string"),
    "a protocol that is a list": (body(5, b"", [], b""), "TalkRequest.protocol: a list"),
    "no response": (body(6, b""), "TalkResponse.response: missing"),
}


@pytest.mark.parametrize(("data", "complaint"), BAD.values(), ids=BAD)
def test_a_bad_message_is_refused_with_a_reason(data, complaint):
    with pytest.raises(DecodingError, match=complaint):
        decode_message(data)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (Ping(bytes(9), 1), "Ping.request_id: 9 bytes where at most 8 are allowed"),
        (Ping(b"", -1), "Ping.enr_sequence: -1 is not an integer of 64 bits"),
        (Nodes(b"", 1, (b"\xc1",)), "Nodes.records: .*not the encoding of one item"),
        ("ping", "str is no message of discovery v5"),
    ],
)
def test_what_cannot_be_said_is_named(message, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        encode_message(message)


def test_what_cannot_be_is_refused_here_too():
    with pytest.raises(ValueError, match="the distance 257"):
        FindNode(b"", (0, 257))
    with pytest.raises(ValueError, match="an IP address of 3 bytes"):
        Pong(b"", 1, b"abc", 1)


def test_records_are_carried_one_by_one():
    """One that is bad does not spoil the others."""
    record = Record.sign(KEY, 1, {"ip": "9.9.9.9", "udp": 1})
    nodes = decode_message(body(4, b"1", 1, [rlp.decode(record.encode()), [b"no record"]]))
    assert isinstance(nodes, Nodes)
    assert Record.decode(nodes.records[0]) == record
    with pytest.raises(DecodingError):
        Record.decode(nodes.records[1])


def test_a_pong_tells_an_address():
    for text in ("9.9.9.9", "2620:fe::9"):
        pong = Pong.of(b"1", 2, text, 3)
        assert pong == Pong.of(b"1", 2, ip_address(text), 3)
        assert decode_message(encode_message(pong)) == pong
        assert pong.recipient_address == ip_address(text)
    assert Pong(b"1", 2, ip_address("::ffff:9.9.9.9").packed, 3).recipient_address == ip_address("9.9.9.9")
