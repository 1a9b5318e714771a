"""Block access lists: what they decode from, the rules of EIP-7928, and hashes."""

from dataclasses import replace
from typing import Any

import pytest
import rlp as ecosystem
from hypothesis import given

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.blocks import AccountChanges, access_list_fault, account_changes, check_access_list, encode_access_list
from tests.capabilities.blocks.shapes import FEW, access_lists
from tests.capabilities.blocks.test_header import SOME

ONE, TWO = b"\1" * 20, b"\2" * 20


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


@FEW
@given(access_lists())
def test_that_access_lists_come_back(accounts: list[AccountChanges]) -> None:
    raw = encode_access_list(accounts)
    assert list(account_changes(raw)) == accounts
    assert ecosystem.encode(ecosystem.decode(raw)) == raw
    items = sum(1 + len(account.storage_changes) + len(account.storage_reads) for account in accounts)
    check_access_list(raw, gas_limit=2000 * items, transactions=8)
    if items:
        with pytest.raises(DecodingError, match="more"):
            check_access_list(raw, gas_limit=2000 * items - 1)
    last = max((index for account in accounts for index in indices(account)), default=0)
    if last > 1:
        with pytest.raises(DecodingError, match=f"the last is {last - 1}"):
            check_access_list(raw, transactions=last - 2)


def indices(account: AccountChanges) -> list[int]:
    lists: list[Any] = [
        account.balance_changes,
        account.nonce_changes,
        account.code_changes,
        *(found for _, found in account.storage_changes),
    ]
    return [index for each in lists for index, _ in each]


@FEW
@given(access_lists())
def test_hashes(accounts: list[AccountChanges]) -> None:
    raw = encode_access_list(accounts)
    header = replace(SOME, access_list_hash=keccak256(raw))
    assert access_list_fault(header, raw) is None
    assert access_list_fault(header, raw + b"\0") == "its access list has another hash"
    assert access_list_fault(SOME, raw) == "there is an access list, and its header has no hash of one"


def test_the_hash_of_an_empty_list() -> None:
    known = bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347")  # EIP-7928
    assert access_list_fault(replace(SOME, access_list_hash=known), encode_access_list([])) is None


def account(**lists: Any) -> Any:
    names = ("storage", "reads", "balances", "nonces", "codes")
    return [lists.get("address", ONE), *(lists.get(name, []) for name in names)]


@pytest.mark.parametrize(
    ("accounts", "why"),
    [
        ([account(address=TWO), account()], "account 01010101.* is out of order"),
        ([account(), account()], "is out of order"),
        ([account(address=bytes(19))], "an account of an access list, address: 19 bytes instead of 20"),
        ([[ONE]], "an account of an access list, storage-changes: missing"),
        ([[*account(), 1]], "an account of an access list, element 7: more elements"),
        ([account(storage=[[1, []]])], "storage-changes: a slot without a change"),
        ([account(storage=[[2, [[1, 1]]], [1, [[1, 1]]]])], "storage-changes: slots out of order"),
        ([account(storage=[[1, [[1, 1]]], [1, [[1, 1]]]])], "storage-changes: slots out of order"),
        ([account(storage=[[1, [[1, 1], [1, 2]]]])], "storage-changes: index 1 behind 1"),
        ([account(storage=[[b"\0\1", [[1, 1]]]])], "storage-changes: an integer with leading zeros"),
        ([account(storage=[[2**256, [[1, 1]]]])], "storage-changes: an integer of more than 32 bytes"),
        ([account(storage=[[1, [[1, 1]], 1]])], "storage-changes: more elements"),
        ([account(reads=[2, 1])], "storage-reads: slots out of order"),
        ([account(reads=[1, 1])], "storage-reads: slots out of order"),
        ([account(storage=[[1, [[1, 1]]]], reads=[1])], "storage-reads: a slot that was written as well"),
        ([account(balances=[[2, 1], [1, 1]])], "balance-changes: index 1 behind 2"),
        ([account(balances=[[1, 2**256]])], "balance-changes: an integer of more than 32 bytes"),
        ([account(nonces=[[1, 2**64]])], "nonce-changes: an integer of more than 8 bytes"),
        ([account(nonces=[[1, 1, 1]])], "nonce-changes: more elements"),
        ([account(nonces=[[2**32, 1]])], "nonce-changes: an integer of more than 4 bytes"),
        ([account(codes=[[1, bytes(65_537)]])], "code-changes: 65537 bytes, more than 65536"),
    ],
)
def test_rules_that_are_broken(accounts: Any, why: str) -> None:
    with pytest.raises(DecodingError, match=why):
        check_access_list(rlp.encode(accounts))


@pytest.mark.parametrize("lists", [{"reads": [1, 2, 3]}, {"storage": [[slot, [[1, 1]]] for slot in (1, 2, 3)]}])
def test_that_one_account_cannot_have_more_slots_than_gas_allows(lists: Any) -> None:
    check_access_list(rlp.encode([account(**lists)]), gas_limit=8_000)
    with pytest.raises(DecodingError, match="more items than a block of 7999 gas has"):
        check_access_list(rlp.encode([account(**lists)]), gas_limit=7_999)
    with pytest.raises(DecodingError, match="more slots than the gas of the block allows"):
        check_access_list(rlp.encode([account(**lists)]), gas_limit=5_999)


def test_that_lists_begin_at_once() -> None:
    # Account by account, so that whoever reads a long list can give way: the first comes although the second is bad.
    accounts = account_changes(rlp.encode([account(balances=[[0, 5]]), b""]))
    assert next(accounts) == AccountChanges(ONE, balance_changes=((0, 5),))
    with pytest.raises(DecodingError):
        next(accounts)


def test_what_slots_are_made_of() -> None:
    [found] = account_changes(rlp.encode([account(storage=[[0, [[3, 0]]], [256, [[4, 1]]]], reads=[1])]))
    assert found.storage_changes == ((word(0), ((3, word(0)),)), (word(256), ((4, word(1)),)))
    assert found.storage_reads == (word(1),)
