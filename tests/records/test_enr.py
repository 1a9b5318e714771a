"""Node records (EIP-778): what is signed is read back, whoever signed it, and nothing else is a record."""

import base64
import dataclasses
import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import PrivateKey, keccak256
from devp2p.records.enr import MAX_SIZE, LocalRecord, Record
from devp2p.rlp.items import encode_list

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "enr.json").read_text())
VECTOR_KEY = PrivateKey.from_bytes(bytes.fromhex(VECTOR["private_key"]))
KEY = PrivateKey.from_bytes(bytes(31) + b"\x01")
COMPRESSED = KEY.public_key.compressed


@dataclass(frozen=True)
class ForkId:
    hash: rlp.Bytes4
    next: rlp.U64


@dataclass(frozen=True)
class EthEntry:
    """The entry "eth" of enr-entries/eth.md, as a capability would declare it."""

    fork_id: ForkId


def make(*items: rlp.Encodable, sequence: rlp.Encodable = 1, signer: PrivateKey = KEY) -> bytes:
    """Sign a list of keys and values, right or wrong."""
    content = rlp.encode([sequence, *items])
    return rlp.encode([signer.sign(keccak256(content))[:64], sequence, *items])


def make_v4(**entries: rlp.Encodable) -> bytes:
    """Sign a record in which only the given entries may be wrong."""
    pairs = sorted({b"id": b"v4", b"secp256k1": COMPRESSED, **{key.encode(): value for key, value in entries.items()}}.items())
    return make(*(part for pair in pairs for part in pair))


def test_the_vector_is_read():
    record = Record.parse(VECTOR["enr"])
    assert record.sequence == VECTOR["seq"]
    assert record.id.hex() == VECTOR["node_id"]
    assert record.public_key.compressed.hex() == VECTOR["secp256k1"]
    assert record.ip == IPv4Address(VECTOR["ip"])
    assert record.udp == VECTOR["udp"]
    assert (record.tcp, record.ip6, record.tcp6) == (None, None, None)
    assert record.udp6 == VECTOR["udp"]  # as the specification says of a record without udp6
    assert list(record.entries) == [b"id", b"ip", b"secp256k1", b"udp"]
    assert record.text == VECTOR["enr"]


def test_the_vector_is_written():
    record = Record.sign(VECTOR_KEY, VECTOR["seq"], {"udp": VECTOR["udp"], "ip": VECTOR["ip"]})
    assert record.text == VECTOR["enr"]
    assert record == Record.parse(VECTOR["enr"])


ports = st.integers(0, 65535)
standard = st.fixed_dictionaries(
    {},
    optional={
        "ip": st.ip_addresses(v=4),
        "ip6": st.ip_addresses(v=6),
        "tcp": ports,
        "tcp6": ports,
        "udp": ports,
        "udp6": ports,
        "eth": st.builds(EthEntry, st.builds(ForkId, st.binary(min_size=4, max_size=4), st.integers(0, 2**64 - 1))),
        "topic-discovery": st.integers(0, 2**64),
        "client": st.text(max_size=10),
    },
)


@given(standard, st.integers(0, 2**64 - 1), st.integers(1, 2**200))
def test_what_is_signed_is_read_back(entries, sequence, secret):
    key = PrivateKey.from_bytes(secret.to_bytes(32, "big"))
    made = Record.sign(key, sequence, entries)
    for record in (made, Record.decode(made.encode()), Record.parse(made.text), Record.decode(memoryview(made.encode()))):
        assert record == made
        assert hash(record) == hash(made)
        assert (record.public_key, record.id, record.sequence) == (key.public_key, key.public_key.node_id, sequence)
        for name in ("ip", "ip6", "tcp", "udp"):
            assert getattr(record, name) == entries.get(name)
        assert record.tcp6 == entries.get("tcp6", entries.get("tcp"))
        assert record.udp6 == entries.get("udp6", entries.get("udp"))
        assert record.get_as("eth", EthEntry) == entries.get("eth")
        assert record.get_as(b"client", str) == entries.get("client")
        assert record.get_as("topic-discovery", int) == entries.get("topic-discovery")
    own = {key: item for key, item in made.entries.items() if key not in {b"id", b"secp256k1"}}
    assert Record.sign(key, sequence, own) == made  # encoded items can be handed on


def test_a_capability_reads_and_writes_an_entry_of_its_own():
    entry = EthEntry(ForkId(b"\x97\xc2\xc3\x4c", 1_920_000))
    record = Record.sign(KEY, 1, {"eth": entry})
    assert record.get("eth") == rlp.encode([[entry.fork_id.hash, entry.fork_id.next]])
    assert record.get_as("eth", EthEntry) == entry
    assert record.get("les") is None
    assert record.get_as("les", EthEntry) is None
    later = Record.decode(make_v4(eth=[[b"abcd", 7, b"new"], b"more"]))
    assert later.get_as("eth", EthEntry) == EthEntry(ForkId(b"abcd", 7))  # further elements are for others
    assert later.get_as("eth", tuple[rlp.Raw, bytes]) == (rlp.encode([b"abcd", 7, b"new"]), b"more")


def test_an_entry_of_another_form_is_refused_when_it_is_read():
    record = Record.decode(make_v4(eth=[[b"abc", 7]]))
    with pytest.raises(DecodingError, match=r"^the record's 'eth': EthEntry.fork_id: ForkId.hash: 3 bytes where 4 belong"):
        record.get_as("eth", EthEntry)


def test_a_record_cannot_be_changed():
    record = Record.parse(VECTOR["enr"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.sequence = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="does not support item assignment"):
        record.entries[b"ip"] = b""  # type: ignore[index]


def test_records_are_equal_if_their_encodings_are():
    one, same, other = (Record.sign(KEY, sequence, {"tcp": 1}) for sequence in (1, 1, 2))
    assert one == same
    assert len({one, same, other}) == 2
    assert one != other
    assert one != one.encode()
    assert repr(other) == f"<Record {KEY.public_key.node_id[:4].hex()} sequence 2>"


TWO_ADDRESSES = {"ip": "1.2.3.4", "ip6": "2001:db8::1"}


@pytest.mark.parametrize(
    ("entries", "tcp", "tcp6", "udp", "udp6"),
    [
        ({}, None, None, None, None),
        ({"tcp": 1, "udp": 2}, 1, 1, 2, 2),
        ({"tcp": 1, "udp": 2, "tcp6": 3, "udp6": 4}, 1, 3, 2, 4),
        ({"tcp6": 3, "udp6": 4}, None, 3, None, 4),
        ({"tcp": 1, "tcp6": 0}, 1, 0, None, None),
        ({"tcp": 1, "tcp6": 1}, 1, 1, None, None),  # "should be avoided but doesn't render the record invalid"
    ],
)
def test_ports_for_ipv6_fall_back_to_the_others(entries, tcp, tcp6, udp, udp6):
    record = Record.sign(KEY, 1, TWO_ADDRESSES | entries)
    assert (record.tcp, record.tcp6, record.udp, record.udp6) == (tcp, tcp6, udp, udp6)
    assert (record.ip, record.ip6) == (IPv4Address("1.2.3.4"), IPv6Address("2001:db8::1"))


BAD = {
    "nothing": (b"", "no bytes where an item belongs"),
    "no list": (b"\x80", "a byte string where a list belongs"),
    "an empty list": (b"\xc0", "SignedRecord.signature: missing"),
    "a signature alone": (rlp.encode([bytes(64)]), "SignedRecord.sequence: missing"),
    "a short signature": (rlp.encode([bytes(63), 1, b"id", b"v4"]), "SignedRecord.signature: 63 bytes where 64 belong"),
    "a signature with recovery id": (rlp.encode([bytes(65), 1, b"id", b"v4"]), "SignedRecord.signature: 65 bytes where 64 belong"),
    "a signature that is a list": (rlp.encode([[], 1]), "SignedRecord.signature: a list where a byte string belongs"),
    "a sequence number with a leading zero": (make(b"id", b"v4", sequence=b"\0\1"), "SignedRecord.sequence: an integer with leading zeros"),
    "a sequence number of 9 bytes": (make(b"id", b"v4", sequence=2**64), "SignedRecord.sequence: an integer of more than 8 bytes"),
    "bytes after the list": (make_v4() + b"\0", "1 bytes after the item's end"),
    "a key without value": (make(b"id", b"v4", b"secp256k1"), "a record whose last key has no value"),
    "a key that is a list": (make([], b"v4"), "a record's key: a list where a byte string belongs"),
    "a key twice": (make(b"id", b"v4", b"id", b"v4"), "a record's keys are sorted, and 'id' is there twice"),
    "keys out of order": (make(b"ip", bytes(4), b"id", b"v4"), "a record's keys are sorted, and 'id' comes after 'ip'"),
    "a longer key first": (make(b"id", b"v4", b"tcp6", 1, b"tcp", 1), "'tcp' comes after 'tcp6'"),
    "unprintable keys": (make(b"\x1b[31m\xff", b"", b"\x00", b""), r"'\\x00' comes after '\\x1b\[31m\\xff'"),
    "no identity scheme": (make(b"secp256k1", COMPRESSED), "a record without an identity scheme"),
    "another identity scheme": (make(b"id", b"v5", b"secp256k1", COMPRESSED), "a record of the unknown identity scheme 'v5'"),
    "an identity scheme that is a list": (make(b"id", []), "the record's 'id': a list where a byte string belongs"),
    "no public key": (make(b"id", b"v4"), "a record without a public key"),
    "an uncompressed public key": (make_v4(secp256k1=b"\4" + bytes(KEY.public_key)), "the record's 'secp256k1': 65 bytes where 33 belong"),
    "a public key with another first byte": (make_v4(secp256k1=b"\4" + COMPRESSED[1:]), "not the format of a public key"),
    "a public key off the curve": (make_v4(secp256k1=b"\2" + b"\xff" * 32), "not a point of secp256k1"),
    "IPv4 of 3 bytes": (make_v4(ip=b"abc"), "the record's 'ip': 3 bytes where 4 belong"),
    "IPv4 of 16 bytes": (make_v4(ip=bytes(16)), "the record's 'ip': 16 bytes where 4 belong"),
    "IPv6 of 4 bytes": (make_v4(ip6=bytes(4)), "the record's 'ip6': 4 bytes where 16 belong"),
    "IPv4 that is a list": (make_v4(ip=[1, 2, 3, 4]), "the record's 'ip': a list where a byte string belongs"),
    **{
        f"{name} of 3 bytes": (make_v4(**{name: 65536}), f"the record's '{name}': an integer of more than 2 bytes")
        for name in ("tcp", "tcp6", "udp", "udp6")
    },
    "a port with a leading zero": (make_v4(udp=b"\0\1"), "the record's 'udp': an integer with leading zeros"),
    "a value behind the end": (
        encode_list(b"\xb8\x40" + bytes(64) + b"\x01\x82id\x83v4"),
        "SignedRecord.pairs: an item that ends 1 bytes after",
    ),
    "the signature of another key": (make(b"id", b"v4", b"secp256k1", COMPRESSED, signer=VECTOR_KEY), "that its own key has not signed"),
    "301 bytes": (make_v4(x=bytes(178)), "a record of 301 bytes, where 300 are allowed"),
}


@pytest.mark.parametrize(("data", "complaint"), BAD.values(), ids=BAD)
def test_a_bad_record_is_refused_with_a_reason(data, complaint):
    with pytest.raises(DecodingError, match=complaint) as caught:
        Record.decode(data)
    assert str(caught.value).isprintable()
    if len(data) <= MAX_SIZE:
        text = base64.urlsafe_b64encode(data).decode().rstrip("=")
        with pytest.raises(DecodingError, match=complaint):
            Record.parse(f"enr:{text}")


def test_a_complaint_about_two_long_keys_is_one_line_of_a_log():
    """Each byte of them may take four characters, as fuzzing found out."""
    with pytest.raises(DecodingError, match="comes after") as caught:
        Record.decode(make(b"\xad" * 33, b"", b"\xac" * 33, b""))
    assert len(str(caught.value)) < 250


def test_what_the_bad_records_are_made_of_is_good():
    assert Record.decode(make_v4()) == Record.sign(KEY, 1, {})
    assert len(make_v4(x=bytes(177))) == len(Record.decode(make_v4(x=bytes(177))).encode()) == 300


def test_every_flipped_bit_is_noticed():
    data = Record.parse(VECTOR["enr"]).encode()
    for position in range(len(data) * 8):
        forged = bytearray(data)
        forged[position // 8] ^= 1 << position % 8
        with pytest.raises(DecodingError):
            Record.decode(bytes(forged))


def test_a_signature_has_one_form():
    """Of the two values of s that are right, only the lower counts: nobody can give a record another encoding."""
    record = Record.sign(KEY, 1, {})
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    signature, *others = rlp.codec(tuple[rlp.Raw, ...]).decode(record.encode())
    s = order - int.from_bytes(signature[-32:], "big")
    with pytest.raises(DecodingError, match="that its own key has not signed"):
        Record.decode(encode_list(signature[:-32] + s.to_bytes(32, "big") + b"".join(others)))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a record's text begins with enr:, not with ''"),
        (VECTOR["enr"][4:], "begins with enr:, not with '-IS4QHCY'"),
        ("ENR" + VECTOR["enr"][3:], "begins with enr:"),
        (" " + VECTOR["enr"], "begins with enr:"),
        (VECTOR["enr"] + "=", "not base64url without padding"),
        (VECTOR["enr"] + "\n", "not base64url without padding"),
        (VECTOR["enr"].replace("_", "/"), "not base64url without padding"),
        (VECTOR["enr"].replace("_", "é"), "not base64url without padding"),
        (VECTOR["enr"][:-2], "not base64url without padding"),
        (VECTOR["enr"][:-1] + "9", "with bits set behind its last byte"),
        ("enr:", "no bytes where an item belongs"),
        ("enr:" + "A" * 401, "text of 405 characters, where 404 are allowed"),
        ("enr:" + "A" * 400, "1 bytes after|299 bytes after|a byte string where a list belongs"),
    ],
)
def test_a_bad_text_is_refused_with_a_reason(text, complaint):
    with pytest.raises(DecodingError, match=complaint):
        Record.parse(text)


def test_a_long_text_costs_nothing(monkeypatch):
    monkeypatch.setattr(base64, "urlsafe_b64decode", lambda _: pytest.fail("decoded too early"))
    with pytest.raises(DecodingError, match="where 404 are allowed"):
        Record.parse("enr:" + "A" * 10**6)


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({"ip": "1.2.3"}, "^'ip': .*1.2.3"),
        ({"ip": IPv6Address("::1")}, "^'ip': IPv6Address is not what can be its value"),
        ({"ip": 0x01020304}, "^'ip': int is not what can be its value"),
        ({"ip6": "1.2.3.4"}, "^'ip6'"),
        ({"tcp": 65536}, "^'tcp': an integer of more than 2 bytes"),
        ({"tcp": -1}, "^'tcp': RLP has no integers below 0"),
        ({"tcp": "80"}, "^'tcp': str is not what can be its value"),
        ({"udp": b"\x80\x80"}, "^'udp': 1 bytes after the item's end"),
        ({"x": b"\xc2\x81\x01"}, "^'x': the byte 0x01 with a head"),
        ({"x": None}, "^'x': NoneType is not what can be its value"),
        ({"x": ForkId}, "^'x': type is not what can be its value"),
        ({"x": ForkId(b"abc", 1)}, "^'x': ForkId.hash: 3 bytes where 4 belong"),
        ({b"x\n": 1.5}, r"^'x\\n': float is not what can be its value"),
        ({"id": "v4"}, "^'id' comes with the signature and cannot be given"),
        ({b"secp256k1": rlp.encode(COMPRESSED)}, "^'secp256k1' comes with the signature"),
        ({"x": "a" * 178}, "^a record of 301 bytes, where 300 are allowed"),
    ],
)
def test_what_cannot_be_signed_is_named(entries, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        Record.sign(KEY, 1, entries)


@pytest.mark.parametrize("sequence", [-1, 2**64])
def test_a_sequence_number_has_64_bits(sequence):
    with pytest.raises(LocalProtocolError, match=f"sequence: {sequence} is not an integer of 64 bits"):
        Record.sign(KEY, sequence, {})


class TestLocalRecord:
    def test_it_begins_behind_the_last_sequence_number(self):
        assert LocalRecord(KEY).record == Record.sign(KEY, 1, {})
        assert LocalRecord(KEY, {"tcp": 1}, last_sequence=41).record == Record.sign(KEY, 42, {"tcp": 1})

    def test_only_a_change_takes_a_new_number(self):
        local = LocalRecord(KEY, {"ip": "1.2.3.4", "tcp": 30303})
        first = local.record
        assert not local.update({})
        assert not local.update({"tcp": 30303})
        assert not local.update({b"ip": IPv4Address("1.2.3.4"), b"udp": None})
        assert local.record is first
        assert local.update({"udp": 30303, "tcp": 30303})
        assert local.record == Record.sign(KEY, 2, {"ip": "1.2.3.4", "tcp": 30303, "udp": 30303})
        assert local.update({"ip": None, "tcp": None, "udp": 1})
        assert local.record == Record.sign(KEY, 3, {"udp": 1})
        assert (first.sequence, first.tcp) == (1, 30303)

    def test_what_cannot_be_signed_changes_nothing(self):
        local = LocalRecord(KEY, {"tcp": 1}, last_sequence=2**64 - 3)
        assert local.update({"tcp": 2})
        before = local.record
        for entries in ({"tcp": 3, "udp": -1}, {"tcp": 3, "x": "a" * 300}, {"tcp": 3}):  # the last has no number left
            with pytest.raises(LocalProtocolError):
                local.update(entries)
            assert local.record is before
            assert not local.update({"tcp": 2})
