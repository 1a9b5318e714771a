"""Accounts in their two forms."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum import Account
from devp2p.capabilities.ethereum.tries import EMPTY_CODE, EMPTY_ROOT, full_account, read_slim_account, slim_account

HASHES = st.binary(min_size=32, max_size=32)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**256 - 1), st.just(EMPTY_ROOT) | HASHES, st.just(keccak256(b"")) | HASHES)
def test_the_slim_form_lacks_what_most_accounts_share(nonce, balance, root, code):
    full = rlp.encode([nonce, balance, root, code])
    slim = slim_account(full)
    assert rlp.decode(slim) == rlp.decode(
        rlp.encode([nonce, balance, b"" if root == EMPTY_ROOT else root, b"" if code == EMPTY_CODE else code])
    )
    assert full_account(slim) == full
    assert read_slim_account(slim) == (nonce, balance, root, code, full)


def test_slim_as_the_specification_has_it():
    assert (
        full_account(bytes.fromhex("c40102c0c0")) == full_account(bytes.fromhex("c401028080")) == rlp.encode([1, 2, EMPTY_ROOT, EMPTY_CODE])
    )


BAD = {
    "nothing": b"",
    "a string": rlp.encode(b"account"),
    "an empty list": b"\xc0",
    "three items": rlp.encode([1, 2, b""]),
    "five items": rlp.encode([1, 2, b"", b"", b""]),
    "a short hash": rlp.encode([1, 2, b"", bytes(31)]),
    "a long hash": rlp.encode([1, 2, bytes(33), b""]),
    "a list for a hash": rlp.encode([1, 2, [bytes(31)], b""]),
    "a number for a hash": rlp.encode([1, 2, 3, b""]),
    "more behind it": rlp.encode([1, 2, b"", b""]) + b"\x80",
    "cut": rlp.encode([1, 2, b"", bytes(32)])[:-1],
    "a nonce longer than the list": b"\xc4\x85\x02\x80\x80",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_account_is_refused(name):
    for convert in (slim_account, full_account, read_slim_account):
        with pytest.raises(DecodingError):
            convert(BAD[name])


def test_a_slim_account_that_is_read_has_the_numbers_of_one():
    two = 2**256
    refused: list[list[rlp.Encodable]] = [[bytes(1), 2], [1, b"\x00\x02"], [1, [2]], [[], 2], [two, 2], [1, two]]
    for numbers in refused:
        with pytest.raises(DecodingError):
            read_slim_account(rlp.encode([*numbers, b"", b""]))


parts = st.one_of(st.integers(0, 2**264), st.binary(max_size=34), st.lists(st.integers(0, 300), max_size=2))


@given(st.lists(parts, min_size=3, max_size=5))
def test_what_is_read_of_a_slim_account_is_what_its_schema_says(items):
    try:
        expected = rlp.codec(Account).decode(full := full_account(rlp.encode(items)))
    except DecodingError:
        with pytest.raises(DecodingError):
            read_slim_account(rlp.encode(items))
        return
    assert read_slim_account(rlp.encode(items)) == (*dataclasses.astuple(expected), full)


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_or_stay_what_they_are(data):
    try:
        full = full_account(data)
    except DecodingError:
        return
    assert full_account(slim_account(full)) == full
