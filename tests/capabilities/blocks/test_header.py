"""Headers: what they decode from, and which do not answer a request."""

from dataclasses import replace
from typing import Any

import pytest
import rlp as ecosystem
from hypothesis import given
from hypothesis import strategies as st

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.blocks import Header, headers_fault
from devp2p.capabilities.ethereum.blocks.header import _read, _read_usual
from tests.capabilities.blocks.shapes import FEW, headers


@given(headers())
def test_that_headers_come_back(header: Header) -> None:
    raw = header.raw
    again = Header.decode(raw)
    assert again == header
    assert again.raw == raw
    assert again.hash == header.hash == keccak256(raw)
    # The ecosystem's package sees the same elements, in the order of the specification.
    values = [value for name, value in vars(replace(header)).items() if name != "rest" and value is not None]
    plain = [value.to_bytes((value.bit_length() + 7) // 8, "big") if isinstance(value, int) else value for value in values]
    assert ecosystem.decode(raw)[: len(plain)] == plain


@FEW
@given(headers())
def test_that_both_ways_to_read_agree(header: Header) -> None:
    usual = _read_usual(header.raw)
    assert usual == (None if header.rest else _read(header.raw))


@FEW
@given(headers(), st.data())
def test_that_a_changed_header_is_another_or_none(header: Header, data: st.DataObject) -> None:
    raw = bytearray(header.raw)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        changed = Header.decode(bytes(raw))
    except DecodingError:
        assert _read_usual(bytes(raw)) is None
        return
    assert replace(changed).raw == bytes(raw)
    assert changed != header
    assert changed.hash != header.hash


def elements(**changes: object) -> bytes:
    values = {name: getattr(SOME, name) for name in Header.__dataclass_fields__ if name not in {"rest", "slot_number"}} | changes
    present: list[Any] = [value for value in values.values() if value is not None]
    return rlp.encode(present)


SOME = Header(
    parent_hash=b"p" * 32,
    coinbase=b"c" * 20,
    state_root=b"s" * 32,
    transactions_root=b"t" * 32,
    receipts_root=b"r" * 32,
    number=5,
    gas_limit=10,
    timestamp=1,
)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no bytes"),
        (b"\x80", "a byte string where a list belongs"),
        (b"\xc0", "a header, parent_hash: missing"),
        (SOME.raw + b"\x01", "1 bytes after the list's end"),
        (elements(coinbase=b"c" * 19), "a header, coinbase: 19 bytes instead of 20"),
        (elements(bloom=b"b" * 255), "a header, bloom: 255 bytes instead of 256"),
        (elements(number=2**64), "a header, number: an integer of more than 8 bytes"),
        (elements(difficulty=b"\0\1"), "a header, difficulty: an integer with leading zeros"),
        (elements(extra_data=bytes(102_401)), "a header, extra_data: 102401 bytes, more than 102400"),
        (elements(nonce=b"n"), "a header, nonce: 1 bytes instead of 8"),
        (elements(base_fee=1, withdrawals_root=b""), "a header, withdrawals_root: 0 bytes instead of 32"),
        (elements(nonce=None), "a header, nonce: missing"),
        (
            replace(
                SOME,
                base_fee=1,
                withdrawals_root=b"w" * 32,
                blob_gas_used=0,
                excess_blob_gas=0,
                parent_beacon_root=b"b" * 32,
                requests_hash=b"q" * 32,
                access_list_hash=b"a" * 32,
                slot_number=1,
                rest=(b"\x01",) * 17,
            ).raw,
            "a header, element 40: more than 16",
        ),
    ],
)
def test_that_other_bytes_are_refused(raw: bytes, why: str) -> None:
    with pytest.raises(DecodingError, match=why):
        Header.decode(raw)


def chain(count: int, *, first: int = 10) -> list[Header]:
    found: list[Header] = []
    for number in range(first, first + count):
        parent = found[-1].hash if found else bytes(32)
        found.append(replace(SOME, number=number, parent_hash=parent))
    return found


CHAIN = chain(20)


@given(start=st.integers(0, 19), count=st.integers(0, 5), skip=st.integers(0, 3), reverse=st.booleans(), by_hash=st.booleans())
def test_that_answers_to_requests_have_no_fault(start: int, count: int, skip: int, *, reverse: bool, by_hash: bool) -> None:
    step = -skip - 1 if reverse else skip + 1
    indices = range(start, -1 if reverse else len(CHAIN), step)[:count]
    given_headers = [CHAIN[index] for index in indices]
    origin = CHAIN[start].hash if by_hash else CHAIN[start].number
    assert headers_fault(given_headers, origin, count, skip=skip, reverse=reverse) is None
    if given_headers:
        assert headers_fault(given_headers, origin, len(given_headers) - 1, skip=skip, reverse=reverse) is not None
    if len(given_headers) > 1:
        assert headers_fault(given_headers, origin, count, skip=skip + 1, reverse=reverse) is not None
        assert headers_fault(given_headers, origin, count, skip=skip, reverse=not reverse) is not None
        assert headers_fault(given_headers[1:], origin, count, skip=skip, reverse=reverse) is not None


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (CHAIN[1:4], "the first header is that of block 11"),
        ([*CHAIN[:2], CHAIN[3]], "header 2 is that of block 13, where 12 belongs"),
        ([CHAIN[0], replace(CHAIN[1], extra_data=b"other"), CHAIN[2]], "header 2 is not linked"),
        ([CHAIN[0], replace(CHAIN[1], parent_hash=bytes(32))], "header 1 is not linked"),
        (CHAIN[:6], "6 headers, 5 were asked for"),
        ([CHAIN[0], replace(CHAIN[1], gas_used=11)], "header 1 uses 11 gas of 10"),
    ],
)
def test_lies_of_each_kind(lie: list[Header], why: str) -> None:
    fault = headers_fault(lie, 10, 5)
    assert fault is not None
    assert fault.startswith(why)


def test_a_lie_in_a_reversed_answer() -> None:
    assert headers_fault([CHAIN[5], CHAIN[4]], CHAIN[5].hash, 2, reverse=True) is None
    assert (
        headers_fault([CHAIN[5], replace(CHAIN[4], extra_data=b"x")], CHAIN[5].hash, 2, reverse=True)
        == "header 1 is not linked to the one before"
    )
