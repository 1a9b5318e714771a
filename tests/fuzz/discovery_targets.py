"""Fuzz targets for everything that reads bytes of strangers in discovery: records, and the packets of both versions.

Each takes arbitrary bytes, so that Hypothesis and coverage-guided fuzzers can share it. Random bytes never have the right hash, mask or
signature, so the targets also sign, mask and seal them, and what is fuzzed is the decoder behind.
"""

import base64
from typing import Final

from devp2p import rlp
from devp2p.discovery.v4 import packets as v4_packets
from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.discovery.v5 import packets as v5_packets
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.records.enr import Record
from devp2p.records.node_record import NodeRecord
from devp2p.rlp.items import encode_list

KEY: Final = PrivateKey.from_bytes(bytes(31) + b"\x01")
NODE_ID: Final = KEY.public_key.node_id
SESSION_KEY: Final = b"k" * 16
_ID: Final = rlp.encode(b"id") + rlp.encode(b"v4")
_PUBLIC_KEY: Final = rlp.encode(b"secp256k1") + rlp.encode(KEY.public_key.compressed)


def sign_record(pairs: bytes, sequence: int = 1) -> bytes:
    """Make a record of encoded keys and values, whatever they are, that lacks nothing but sense."""
    content = rlp.encode(sequence) + pairs
    signature = KEY.sign(keccak256(encode_list(content)))[:64]
    return encode_list(rlp.encode(signature) + content)


def sign_packet(body: bytes, key: PrivateKey = KEY) -> bytes:
    """Make a packet of discovery v4 of a type and whatever follows it."""
    signed = key.sign(keccak256(body)) + body
    return keccak256(signed) + signed


def mask_packet(header: bytes, message: bytes = b"", masking_iv: bytes = bytes(16)) -> bytes:
    """Make a packet of discovery v5 to NODE_ID of any header."""
    return v5_packets.encode(masking_iv + header, message, NODE_ID)


def check_refusal(error: DecodingError) -> None:
    """What is said of a stranger's bytes can be put on one line of a log."""
    assert str(error).isprintable()
    assert len(str(error)) < 250


def fuzz_enr_rlp(data: bytes) -> None:
    # Invariant: any bytes are refused as DecodingError or make a record that can be read, written, said as an enode, and signed again.
    for encoded in (
        data,
        sign_record(data),
        sign_record(_ID + _PUBLIC_KEY + data),
        sign_record(_ID + data + _PUBLIC_KEY),
        sign_record(data + _ID + _PUBLIC_KEY),
    ):
        try:
            record = Record.decode(encoded)
        except DecodingError as error:
            check_refusal(error)
            continue
        assert record.encode() == encoded
        assert len(encoded) <= 300
        assert Record.parse(record.text) == record
        assert [*record.entries] == sorted(set(record.entries))
        assert all(port is None or 0 <= port < 2**16 for port in (record.tcp, record.tcp6, record.udp, record.udp6))
        node = NodeRecord.from_enr(record)
        assert NodeRecord.parse(node.enode).enode == node.enode
        own = {key: item for key, item in record.entries.items() if key not in {b"id", b"secp256k1"}}
        try:
            again = Record.sign(KEY, record.sequence, own)
        except LocalProtocolError:
            continue  # a value that is a list, and no well-formed one
        assert again == record or record.public_key != KEY.public_key


def fuzz_enr_text(data: bytes) -> None:
    # Invariant: any text is refused as DecodingError, or is the one text of the record that it is.
    for text in (data.decode("latin-1"), "enr:" + data.decode("latin-1"), "enr:" + base64.urlsafe_b64encode(data).decode().rstrip("=")):
        try:
            record = Record.parse(text)
        except DecodingError as error:
            check_refusal(error)
            continue
        assert record.text == text


def fuzz_enode(data: bytes) -> None:
    # Invariant: any text is refused as ValueError (people write enodes), or is a node whose own text says the same.
    text = data.decode("utf-8", "surrogateescape")
    for candidate in (text, f"enode://{bytes(KEY.public_key).hex()}{text}"):
        try:
            node = NodeRecord.parse(candidate)
        except ValueError:
            continue
        again = NodeRecord.parse(node.enode)
        assert again.enode == node.enode
        assert again.public_key == node.public_key


def fuzz_v4_packet(data: bytes) -> None:
    # Invariant: any datagram, and anything in a sound envelope, is refused as DecodingError or makes a packet that can be sent on.
    for datagram in (data, sign_packet(data), *(sign_packet(bytes([kind]) + data) for kind in v4_packets.PACKETS)):
        try:
            decoded = v4_packets.decode(datagram)
        except DecodingError as error:
            check_refusal(error)
            continue
        assert decoded.hash == datagram[:32]
        assert v4_packets.MIN_PACKET <= len(datagram) <= v4_packets.MAX_PACKET
        again, _ = v4_packets.encode(decoded.packet, KEY)
        assert v4_packets.decode(again).packet == decoded.packet
        before_1970 = not isinstance(decoded.packet, v4_packets.ENRResponse) and decoded.packet.expiration >= 2**63
        assert v4_packets.is_expired(decoded.packet, 0) == before_1970


def fuzz_v5_packet(data: bytes) -> None:
    # Invariant: any datagram, and any header behind the mask, is refused as DecodingError or makes a packet that is the same when sent on.
    flag, rest = data[:1], data[1:]
    size = len(rest).to_bytes(2, "big")
    head = b"discv5\x00\x01" + flag + b"n" * 12
    handshake = bytes(32) + b"\x40\x21" + rest
    datagrams = [data]
    for header, message in (
        (data, b""),
        (b"discv5\x00\x01" + data, b""),
        (head + size + rest, b"m" * 20),
        (b"discv5\x00\x01\x00" + b"n" * 12 + b"\x00\x20" + rest[:32], rest[32:]),
        (b"discv5\x00\x01\x01" + b"n" * 12 + b"\x00\x18" + rest[:24], rest[24:]),
        (b"discv5\x00\x01\x02" + b"n" * 12 + len(handshake).to_bytes(2, "big") + handshake, b"m" * 20),
    ):
        if v5_packets.MIN_PACKET <= 16 + len(header) + len(message) <= v5_packets.MAX_PACKET:
            datagrams.append(mask_packet(header, message))
    for datagram in datagrams:
        try:
            packet = v5_packets.decode(datagram, NODE_ID)
        except DecodingError as error:
            check_refusal(error)
            continue
        assert v5_packets.encode_header(packet.header, datagram[:16]) == packet.header_data
        assert v5_packets.encode(packet.header_data, packet.message, NODE_ID) == datagram
        try:
            packet.open(SESSION_KEY)
        except DecodingError:
            continue
        raise AssertionError("a forged message opened")


def fuzz_v5_handshake(data: bytes) -> None:
    # Invariant: whatever stands for key and signature in a handshake packet, the key is refused as DecodingError or agrees on session keys.
    ephemeral_key, signature = data[:33].ljust(33, b"\0"), data[33:97].ljust(64, b"\0")
    challenge_data = data[97:]
    for key in (ephemeral_key, b"\x02" + ephemeral_key[1:]):
        assert not v5_crypto.verify_id(KEY.public_key, signature, challenge_data, key, NODE_ID)
        assert not v5_crypto.verify_id(KEY.public_key, data, challenge_data, key, NODE_ID)
        try:
            point = PublicKey.from_bytes(key)
        except DecodingError:
            continue
        secret = v5_crypto.agree(KEY, point)
        assert len(secret) == 33
        keys = v5_crypto.derive_keys(secret, challenge_data, NODE_ID, NODE_ID)
        assert (len(keys.initiator), len(keys.recipient)) == (16, 16)


def fuzz_v5_message(data: bytes) -> None:
    # Invariant: any bytes are refused as DecodingError or make a message that can be sent on; what is sealed opens, unless changed.
    for plaintext in (data, *(bytes([kind]) + data for kind in v5_messages.MESSAGES)):
        try:
            message = v5_messages.decode_message(plaintext)
        except DecodingError as error:
            check_refusal(error)
            continue
        assert len(message.request_id) <= 8
        again = v5_messages.encode_message(message)
        assert len(again) <= len(plaintext)
        assert v5_messages.decode_message(again) == message
    header = v5_packets.Ordinary(b"n" * 12, NODE_ID)
    plaintext = data[: v5_packets.MAX_MESSAGE]
    datagram = v5_packets.seal(header, plaintext, key=SESSION_KEY, masking_iv=bytes(16), destination=NODE_ID)
    packet = v5_packets.decode(datagram, NODE_ID)
    assert packet.header == header
    assert packet.open(SESSION_KEY) == plaintext
    place = 8 * (39 + len(data) % (len(datagram) - 39))
    forged = bytearray(datagram)
    forged[place // 8] ^= 1 << len(data) % 8
    try:
        v5_packets.decode(forged, NODE_ID).open(SESSION_KEY)
    except DecodingError:
        return
    raise AssertionError("a changed packet opened")
