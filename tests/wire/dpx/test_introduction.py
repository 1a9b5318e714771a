"""Introduction records: what is signed is read back, for one audience and one time, and nothing else is a record."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import PrivateKey, keccak256
from devp2p.wire.dpx.introduction import LIFETIME, MAX_GRADES, MAX_RECORD, SKEW, Grade, IntroductionRecord, UsedRecords
from tests.fuzz.introduction_targets import fuzz_introduction

A, B, INTRODUCER, OTHER = (PrivateKey.from_bytes(bytes(31) + bytes([number])) for number in (1, 2, 3, 4))
NOW = 1_800_000_000
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "dpx1_introduction.json").read_text())

grades = st.builds(
    Grade,
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=8),
    st.integers(0, 2**64 - 1),
    st.integers(0, 7),
)
nonces = st.binary(min_size=16, max_size=16)


def record(**other: object) -> IntroductionRecord:
    """I introduces B to A."""
    parts = {"issued": NOW, "seq": 1, "nonce": bytes(16), "grades": (Grade("eth", 69, 5),)} | other
    return IntroductionRecord.sign(INTRODUCER, B.public_key, A.public_key.node_id, **parts)  # type: ignore[arg-type]


def fault(found: IntroductionRecord, *, subject: PrivateKey = B, audience: PrivateKey = A, now: float = NOW) -> str | None:
    return found.fault(subject.public_key, audience.public_key.node_id, now)


@given(st.integers(0, 2**62), st.integers(1, LIFETIME), st.integers(0, 2**64 - 1), st.lists(grades, max_size=MAX_GRADES).map(tuple), nonces)
def test_a_record_is_read_back_as_it_was_signed(issued, lifetime, seq, named, nonce):
    signed = record(issued=issued, lifetime=lifetime, seq=seq, grades=named, nonce=nonce)
    assert len(signed.encode()) <= MAX_RECORD
    read = IntroductionRecord.decode(signed.encode())
    assert read == signed
    assert IntroductionRecord.decode(memoryview(signed.encode())) == signed
    assert read.is_signed()
    assert read.introducer_key() == INTRODUCER.public_key
    assert fault(read, now=issued) is None


def test_the_layout_is_the_designed_one():
    signed = record()
    named: list[rlp.Encodable] = [[b"eth", 69, 5]]
    content: list[rlp.Encodable] = [
        *(B.public_key.compressed, keccak256(bytes(A.public_key)), INTRODUCER.public_key.compressed),
        *(NOW, NOW + LIFETIME, 1, named, bytes(16)),
    ]
    signature = INTRODUCER.sign(keccak256(b"dpx-intro-v1" + rlp.encode(content)))
    assert signed.encode() == rlp.encode([signature, *content])
    assert 190 < len(record(nonce=b"n" * 16).encode()) <= 240


def test_the_largest_record_is_as_large_as_we_say():
    most = [Grade("capabil" + str(number), 2**64 - 1, 7) for number in range(MAX_GRADES)]
    signed = record(issued=2**62, seq=2**64 - 1, grades=most)
    assert len(signed.encode()) == MAX_RECORD
    with pytest.raises(DecodingError, match="378 bytes"):
        IntroductionRecord.decode(signed.encode() + b"\x00")


@pytest.mark.parametrize("vector", VECTORS["records"], ids=lambda vector: vector["name"])
def test_the_vectors(vector):
    found = IntroductionRecord.decode(bytes.fromhex(vector["record"]))
    keys = {name: PrivateKey.from_bytes(bytes.fromhex(secret)) for name, secret in VECTORS["keys"].items()}
    assert fault(found, subject=keys[vector["subject"]], audience=keys[vector["audience"]], now=vector["now"]) == vector["fault"]
    assert found.is_signed() is vector["signed"]
    assert found.introducer_key() == keys["introducer"].public_key


@pytest.mark.parametrize("vector", VECTORS["malformed"], ids=lambda vector: vector["name"])
def test_the_vectors_that_are_no_records(vector):
    with pytest.raises(DecodingError):
        IntroductionRecord.decode(bytes.fromhex(vector["record"]))


@pytest.mark.parametrize(
    ("now", "wrong"),
    [
        (NOW - SKEW - 1, "it is of a time to come"),
        (NOW - SKEW, None),
        (NOW + LIFETIME + SKEW - 1, None),
        (NOW + LIFETIME + SKEW, "it has expired"),
    ],
)
def test_clocks_may_differ_by_five_minutes_and_no_more(now, wrong):
    assert fault(record(), now=now) == wrong


def test_a_record_is_for_one_audience_and_one_subject():
    assert fault(record(), audience=OTHER) == "it is for another audience"
    assert fault(record(), subject=OTHER) == "it introduces another node"
    itself = IntroductionRecord.sign(B, B.public_key, A.public_key.node_id, issued=NOW, seq=1, nonce=bytes(16))
    assert fault(itself) == "a node does not introduce itself"


def test_neither_a_record_nor_a_grade_has_more_than_what_is_signed():
    signed = record()
    before: list[rlp.Encodable] = [signed.signature, signed.subject, signed.audience, signed.introducer, signed.issued, signed.expires]
    named: list[rlp.Encodable] = [[b"eth", 69, 5]]
    surplus: list[rlp.Encodable] = [[b"eth", 69, 5, b"more"]]
    assert IntroductionRecord.decode(rlp.encode([*before, 1, named, signed.nonce])) == signed
    with pytest.raises(DecodingError):
        IntroductionRecord.decode(rlp.encode([*before, 1, named, signed.nonce, b"more"]))
    with pytest.raises(DecodingError):
        IntroductionRecord.decode(rlp.encode([*before, 1, surplus, signed.nonce]))


def test_each_change_is_noticed_by_the_signature():
    signed = record(nonce=b"n" * 16)
    changes: dict[str, object] = {
        "subject": OTHER.public_key.compressed,
        "audience": OTHER.public_key.node_id,
        "introducer": OTHER.public_key.compressed,
        "issued": NOW + 1,
        "expires": NOW + 1,
        "seq": 2,
        "grades": (Grade("eth", 69, 7),),
        "nonce": b"m" * 16,
    }
    assert signed.is_signed()
    for name, value in changes.items():
        assert not dataclasses.replace(signed, **{name: value}).is_signed(), name  # type: ignore[arg-type]


@given(st.integers(0, 8 * 200 - 1))
@settings(max_examples=60)
def test_each_flipped_bit_is_noticed(place):
    data = bytearray(record(nonce=b"n" * 16).encode())
    place %= 8 * len(data)
    data[place // 8] ^= 1 << place % 8
    try:
        found = IntroductionRecord.decode(bytes(data))
    except DecodingError:
        return
    assert not found.is_signed()


def test_a_signature_of_another_domain_is_none():
    signed = record()
    start, end = rlp.list_bounds(signed.encode(), 0, len(signed.encode()))
    content = rlp.encode_list(signed.encode()[start + 67 : end])
    for domain, right in ((b"dpx-intro-v1", True), (b"", False), (b"dpx-anon-v1", False)):
        assert dataclasses.replace(signed, signature=INTRODUCER.sign(keccak256(domain + content))).is_signed() is right


def test_what_cannot_be_is_not_signed():
    for wrong in ({"lifetime": LIFETIME + 1}, {"lifetime": 0}, {"nonce": bytes(15)}, {"issued": -1}):
        with pytest.raises(LocalProtocolError):
            record(**wrong)
    with pytest.raises(LocalProtocolError, match="9"):
        record(grades=(Grade("eth", 69, 5),) * 9)
    with pytest.raises(LocalProtocolError, match="from 0 to 7"):
        Grade("eth", 69, 8)
    with pytest.raises(LocalProtocolError, match="name"):
        Grade("e h", 69, 1)
    with pytest.raises(TypeError, match="PublicKey"):
        IntroductionRecord.sign(INTRODUCER, bytes(64), A.public_key.node_id, issued=1, seq=1, nonce=bytes(16))  # type: ignore[arg-type]


@given(st.binary(max_size=MAX_RECORD + 10))
def test_any_bytes_are_a_record_or_a_decoding_error(data):
    fuzz_introduction(data)


# Which were used


def test_a_record_is_good_once():
    used = UsedRecords()
    first = record(nonce=b"1" * 16)
    assert used.fault(first, 0.0) is None
    assert used.fault(first, 0.0) is None  # a look changes nothing
    used.use(first, 0.0)
    assert used.fault(first, 1.0) == "it was used before"


def test_an_older_record_is_not_good_once_a_newer_one_was_used():
    used = UsedRecords()
    older, same, newer = (record(seq=seq, nonce=bytes([number]) * 16) for number, seq in enumerate((5, 7, 7)))
    used.use(newer, 0.0)
    assert used.fault(older, 1.0) == "a newer one was used"
    assert used.fault(same, 1.0) == "a newer one was used"
    assert used.fault(record(seq=8, nonce=b"8" * 16), 1.0) is None


def test_records_for_others_do_not_count_each_other_out():
    used = UsedRecords()
    used.use(record(seq=9), 0.0)
    for signer, subject, audience in ((INTRODUCER, B, OTHER), (OTHER, B, A), (INTRODUCER, OTHER, A)):
        other = IntroductionRecord.sign(signer, subject.public_key, audience.public_key.node_id, issued=NOW, seq=1, nonce=b"o" * 16)
        assert used.fault(other, 0.0) is None


def test_what_was_used_is_remembered_as_long_as_it_is_good_and_within_bounds():
    used = UsedRecords(size=8)
    used.use(record(), 0.0)
    assert used.fault(record(), LIFETIME + 2 * SKEW - 1) is not None
    assert used.fault(record(), LIFETIME + 2 * SKEW) is None
    for number in range(20):
        used.use(record(seq=number, nonce=bytes([number]) * 16), 0.0)
    assert len(used) == 8
