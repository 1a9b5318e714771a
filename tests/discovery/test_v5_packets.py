"""Packets of discovery v5: the published ones are read and written, and behind the mask nothing is taken on trust."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.discovery.v5 import packets as v5_packets
from devp2p.discovery.v5.packets import (
    MAX_MESSAGE,
    MAX_PACKET,
    MIN_PACKET,
    Handshake,
    Ordinary,
    WhoAreYou,
    decode,
    encode,
    encode_header,
    seal,
)
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import NodeId, PrivateKey, PublicKey
from devp2p.records.enr import Record
from tests.fuzz.discovery_targets import NODE_ID, SESSION_KEY, mask_packet

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "discv5_wire.json").read_text())
NODE_A, NODE_B = (PrivateKey.from_bytes(bytes.fromhex(VECTORS[name])) for name in ("node_a_key", "node_b_key"))
ID_A, ID_B = NODE_A.public_key.node_id, NODE_B.public_key.node_id
IV = bytes(16)
SOURCE = NodeId(b"s" * 32)


def fields(name: str) -> tuple[dict[str, bytes], bytes]:
    """One published packet: its fields, numbers as bytes, and itself."""
    (vector,) = [vector for vector in VECTORS["packets"] if vector["name"] == name]
    values = {
        key: bytes.fromhex(value[2:]) if value.startswith("0x") else int(value).to_bytes(8, "big")
        for key, value in vector["fields"].items()
    }
    assert (values["src-node-id"], values["dest-node-id"]) == (ID_A, ID_B)
    return values, bytes.fromhex(vector["packet"])


def number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def test_an_ordinary_packet_as_published():
    given, data = fields("Ping message packet (flag 0)")
    packet = decode(data, ID_B)
    header = Ordinary(given["nonce"], ID_A)
    assert packet.header == header
    message = v5_messages.Ping(given["ping.req-id"], number(given["ping.enr-seq"]))
    assert v5_messages.decode_message(packet.open(given["read-key"])) == message
    plaintext = v5_messages.encode_message(message)
    assert seal(header, plaintext, key=given["read-key"], masking_iv=IV, destination=ID_B) == data


def test_whoareyou_as_published():
    given, data = fields("WHOAREYOU packet (flag 1)")
    packet = decode(data, ID_B)
    assert packet.header == WhoAreYou(given["whoareyou.request-nonce"], given["whoareyou.id-nonce"], number(given["whoareyou.enr-seq"]))
    assert packet.header_data == given["whoareyou.challenge-data"]
    assert packet.message == b""
    assert len(data) == MIN_PACKET
    assert encode(encode_header(packet.header, IV), b"", ID_B) == data


@pytest.mark.parametrize("name", ["Ping handshake packet (flag 2)", "Ping handshake message packet (flag 2, with ENR)"])
def test_a_handshake_as_published(name):
    given, data = fields(name)
    challenge = WhoAreYou(given["whoareyou.request-nonce"], given["whoareyou.id-nonce"], number(given["whoareyou.enr-seq"]))
    challenge_data = encode_header(challenge, IV)
    assert challenge_data == given["whoareyou.challenge-data"]
    packet = decode(data, ID_B)
    header = packet.header
    assert isinstance(header, Handshake)
    assert (header.nonce, header.source, header.ephemeral_key) == (given["nonce"], ID_A, given["ephemeral-pubkey"])
    record = Record.decode(header.record) if header.record else None
    assert (record is not None) == ("with ENR" in name)
    assert record is None or (record.public_key, record.sequence) == (NODE_A.public_key, 1)

    # The recipient's side: whose proof it is, the keys, the message.
    assert v5_crypto.verify_id(NODE_A.public_key, header.id_signature, challenge_data, header.ephemeral_key, ID_B)
    secret = v5_crypto.agree(NODE_B, PublicKey.from_bytes(header.ephemeral_key))
    keys = v5_crypto.derive_keys(secret, challenge_data, ID_A, ID_B)
    assert keys.initiator == given["read-key"]
    message = v5_messages.decode_message(packet.open(keys.initiator))
    assert message == v5_messages.Ping(given["ping.req-id"], number(given["ping.enr-seq"]))

    # The initiator's side makes the same packet.
    ephemeral = PrivateKey.from_bytes(given["ephemeral-key"])
    key = ephemeral.public_key.compressed
    made = Handshake(given["nonce"], ID_A, v5_crypto.sign_id(NODE_A, challenge_data, key, ID_B), key, header.record)
    keys = v5_crypto.derive_keys(v5_crypto.agree(ephemeral, NODE_B.public_key), challenge_data, ID_A, ID_B)
    plaintext = v5_messages.encode_message(message)
    assert seal(made, plaintext, key=keys.initiator, masking_iv=IV, destination=ID_B) == data


def exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


node_ids = exactly(32).map(NodeId)
ordinary = st.builds(Ordinary, exactly(12), node_ids)
who_are_you = st.builds(WhoAreYou, exactly(12), exactly(16), st.integers(0, 2**64 - 1))
handshakes = st.builds(Handshake, exactly(12), node_ids, exactly(64), exactly(33), st.binary(max_size=300))


@given(ordinary | handshakes, st.binary(max_size=700), exactly(16), exactly(16), node_ids)
def test_what_is_sealed_is_read_back(header, plaintext, key, masking_iv, destination):
    data = seal(header, plaintext, key=key, masking_iv=masking_iv, destination=destination)
    for form in (data, bytearray(data), memoryview(data)):
        packet = decode(form, destination)
        assert packet.header == header
        assert packet.header_data == encode_header(header, masking_iv)
        assert packet.open(key) == plaintext
    assert data[:16] == masking_iv
    assert header.source not in data[16:]  # the mask is on


@given(who_are_you, exactly(16), node_ids)
def test_a_challenge_is_read_back(header, masking_iv, destination):
    data = encode(encode_header(header, masking_iv), b"", destination)
    assert len(data) == MIN_PACKET
    packet = decode(data, destination)
    assert (packet.header, packet.header_data, packet.message) == (header, encode_header(header, masking_iv), b"")


@given(ordinary | handshakes, st.binary(max_size=20), st.data())
def test_every_change_is_noticed(header, plaintext, draw):
    data = bytearray(seal(header, plaintext, key=SESSION_KEY, masking_iv=IV, destination=NODE_ID))
    place = draw.draw(st.integers(0, 8 * len(data) - 1))
    data[place // 8] ^= 1 << place % 8
    with pytest.raises(DecodingError):
        decode(data, NODE_ID).open(SESSION_KEY)


def test_two_threads_do_not_turn_one_key_stream():
    def own() -> object:
        return v5_packets._mask(NODE_ID, IV)

    with ThreadPoolExecutor(max_workers=1) as other:
        assert other.submit(own).result() is other.submit(own).result()
        assert other.submit(own).result() is not own()


def test_a_packet_to_another_node_is_not_one():
    data = seal(Ordinary(b"n" * 12, SOURCE), b"hello", key=SESSION_KEY, masking_iv=IV, destination=NODE_ID)
    with pytest.raises(DecodingError, match=r"^not a packet of discovery v5\.1, or to another node$"):
        decode(data, SOURCE)


@pytest.mark.parametrize("size", [0, 1, 16, 39, MIN_PACKET - 1, MAX_PACKET + 1, 65507])
def test_a_size_that_cannot_be_costs_nothing(size, monkeypatch):
    monkeypatch.setattr(v5_packets, "_mask", lambda *_: pytest.fail("unmasked"))
    with pytest.raises(DecodingError, match=f"a packet of {size} bytes, where 63 to 1280 are allowed"):
        decode(bytes(size), NODE_ID)


def test_an_answer_to_a_stranger_is_no_longer_than_the_question():
    """The smallest packet that can be answered by a WHOAREYOU is no smaller than that."""
    smallest = mask_packet(head(0, bytes(32)), bytes(16))
    assert decode(smallest, NODE_ID).header == Ordinary(b"n" * 12, NodeId(bytes(32)))
    assert len(smallest) >= MIN_PACKET


def head(flag: int, authdata: bytes, *, size: int | None = None, protocol: bytes = b"discv5\x00\x01") -> bytes:
    return protocol + bytes([flag]) + b"n" * 12 + (len(authdata) if size is None else size).to_bytes(2, "big") + authdata


BAD = {
    "another protocol": (head(0, bytes(32), protocol=b"discv4\x00\x01"), bytes(20), "^not a packet of discovery v5.1"),
    "another version": (head(0, bytes(32), protocol=b"discv5\x00\x02"), bytes(20), "^not a packet of discovery v5.1"),
    "flag 3": (head(3, bytes(32)), bytes(20), "^the unknown packet flag 3$"),
    "authdata behind the end": (head(0, bytes(32), size=53), bytes(20), "^authdata that ends 1 bytes after the packet$"),
    "much authdata": (head(2, bytes(200), size=65535), b"", "^authdata that ends 65335 bytes after the packet$"),
    "no authdata": (head(0, b""), bytes(40), "^an ordinary packet with 0 bytes of authdata, where 32 belong$"),
    "long ordinary authdata": (head(0, bytes(33)), bytes(40), "^an ordinary packet with 33 bytes of authdata, where 32 belong$"),
    "a message shorter than its tag": (head(0, bytes(32)), bytes(15), "^a sealed message of 15 bytes$"),
    "short WHOAREYOU": (head(1, bytes(23)), b"m", "^a WHOAREYOU with 23 bytes of authdata, where 24 belong$"),
    "long WHOAREYOU": (head(1, bytes(25)), b"", "^a WHOAREYOU with 25 bytes of authdata, where 24 belong$"),
    "WHOAREYOU with a message": (head(1, bytes(24)), b"m", "^a WHOAREYOU with a message$"),
    "handshake without a key": (head(2, bytes(32) + b"\x40\x00" + bytes(64)), bytes(20), "^a handshake with 98 bytes of authdata"),
    "handshake with half a head": (head(2, bytes(33)), bytes(20), "^a handshake with 33 bytes of authdata"),
    "handshake one byte too short": (head(2, bytes(32) + b"\x40\x21" + bytes(96)), bytes(20), "^a handshake with 130 bytes of authdata"),
    "handshake with a long record": (head(2, bytes(32) + b"\x40\x21" + bytes(398)), bytes(20), "^a handshake with 432 bytes of authdata"),
    "a signature of 65 bytes": (head(2, bytes(32) + b"\x41\x21" + bytes(98)), bytes(20), "^a signature of 65 and a key of 33 bytes"),
    "a key of 64 bytes": (head(2, bytes(32) + b"\x40\x40" + bytes(128)), bytes(20), "^a signature of 64 and a key of 64 bytes"),
    "sizes beyond the end": (head(2, bytes(32) + b"\xff\xff" + bytes(100)), bytes(20), "^a signature of 255 and a key of 255 bytes"),
    "handshake without a message": (head(2, bytes(32) + b"\x40\x21" + bytes(97)), b"", "^a sealed message of 0 bytes$"),
}


@pytest.mark.parametrize(("header", "message", "complaint"), BAD.values(), ids=BAD)
def test_a_bad_header_is_refused_with_a_reason(header, message, complaint):
    with pytest.raises(DecodingError, match=complaint):
        decode(mask_packet(header, message), NODE_ID)


def test_what_the_bad_headers_are_made_of_is_good():
    record = bytes(300)
    packet = decode(mask_packet(head(2, bytes(32) + b"\x40\x21" + b"s" * 64 + b"k" * 33 + record), bytes(16)), NODE_ID)
    assert packet.header == Handshake(b"n" * 12, NodeId(bytes(32)), b"s" * 64, b"k" * 33, record)


HANDSHAKE = Handshake(b"n" * 12, SOURCE, bytes(64), bytes(33))


@pytest.mark.parametrize(
    ("header", "masking_iv", "complaint"),
    [
        (Ordinary(b"n" * 11, SOURCE), IV, "the nonce has 12 bytes, not 11"),
        (Ordinary(b"n" * 12, SOURCE), IV[1:], "the masking-iv has 16 bytes, not 15"),
        (WhoAreYou(b"n" * 12, b"i" * 12, 0), IV, "the id-nonce has 16 bytes, not 12"),
        (WhoAreYou(b"n" * 12, b"i" * 16, 2**64), IV, "18446744073709551616 is not an integer of 64 bits"),
        (WhoAreYou(b"n" * 12, b"i" * 16, -1), IV, "-1 is not an integer of 64 bits"),
        (Handshake(b"n" * 12, SOURCE, bytes(65), bytes(33)), IV, "the id-signature has 64 bytes, not 65"),
        (Handshake(b"n" * 12, SOURCE, bytes(64), bytes(64)), IV, "the ephemeral key has 33 bytes, not 64"),
        (Handshake(b"n" * 12, SOURCE, bytes(64), bytes(33), bytes(301)), IV, "a record of 301 bytes, where 300 are allowed"),
    ],
)
def test_what_cannot_be_sent_is_named(header, masking_iv, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        encode_header(header, masking_iv)


def test_the_longest_message_fits_and_a_longer_one_does_not():
    header = Ordinary(b"n" * 12, SOURCE)
    assert len(seal(header, bytes(MAX_MESSAGE), key=SESSION_KEY, masking_iv=IV, destination=NODE_ID)) == MAX_PACKET
    with pytest.raises(LocalProtocolError, match="a packet of 1281 bytes, where 63 to 1280 are allowed"):
        seal(header, bytes(MAX_MESSAGE + 1), key=SESSION_KEY, masking_iv=IV, destination=NODE_ID)
    with pytest.raises(LocalProtocolError, match="a packet of 62 bytes"):
        encode(bytes(62), b"", NODE_ID)
