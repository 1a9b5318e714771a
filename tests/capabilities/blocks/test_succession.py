"""Which headers may follow another: each rule with a header that breaks it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p.capabilities.ethereum.blocks import Header, child_fault, next_base_fee
from tests.capabilities.blocks.test_header import SOME

PARENT = replace(SOME, gas_limit=30_000_000, gas_used=15_000_000, timestamp=100, base_fee=10**9, withdrawals_root=bytes(32))


def child(parent: Header, **changes: Any) -> Header:
    fields: dict[str, Any] = {"parent_hash": parent.hash, "number": parent.number + 1, "timestamp": parent.timestamp + 12}
    return replace(parent, **(fields | {"base_fee": None if parent.base_fee is None else next_base_fee(parent)} | changes))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"gas_limit": 30_000_000 + 29_295}, None),
        ({"gas_limit": 30_000_000 - 29_295}, None),
        ({"gas_limit": 30_000_000 + 29_296}, "its gas limit 30029296 is too far from that of its parent, 30000000"),
        ({"gas_limit": 30_000_000 - 29_296}, "its gas limit 29970704 is too far from that of its parent, 30000000"),
        ({"parent_hash": bytes(32)}, "its parent is another block"),
        ({"number": 7}, "its number is 7, that of its parent 5"),
        ({"timestamp": 100}, "its time 100 is not later than that of its parent, 100"),
        ({"gas_used": 30_000_001}, "it uses 30000001 gas of 30000000"),
        ({"base_fee": 10**9 + 1}, "its base fee is 1000000001 and should be 1000000000"),
        ({"base_fee": None}, "it has no base_fee, and its parent has one"),
        ({"withdrawals_root": None}, "it has no withdrawals_root, and its parent has one"),
        ({"ommers_hash": bytes(32)}, "it has ommers, which proof of stake has not"),
        ({"nonce": b"12345678"}, "it has a nonce, which proof of stake has not"),
        ({"extra_data": bytes(33)}, "it has 33 bytes of extra data, more than 32"),
        ({"difficulty": 1, "ommers_hash": bytes(32), "nonce": b"12345678", "extra_data": bytes(97)}, None),
    ],
)
def test_rules(changes: Any, why: str | None) -> None:
    assert child_fault(child(PARENT, **changes), PARENT) == why


def test_the_least_gas_limit() -> None:
    parent = replace(SOME, gas_limit=5_000, difficulty=1)
    assert child_fault(child(parent), parent) is None
    assert child_fault(child(parent, gas_limit=4_999), parent) == "its gas limit 4999 is too far from that of its parent, 5000"


def test_the_first_block_of_london() -> None:
    before = replace(SOME, gas_limit=15_000_000, gas_used=15_000_000, difficulty=1)
    assert child_fault(child(before, gas_limit=30_000_000, base_fee=10**9), before) is None
    assert child_fault(child(before, gas_limit=30_000_000, base_fee=1), before) == "its base fee is 1 and should be 1000000000"
    assert child_fault(child(before, base_fee=10**9), before) == "its gas limit 15000000 is too far from that of its parent, 30000000"


@pytest.mark.parametrize(  # go-ethereum v1.17.8, consensus/misc/eip1559/eip1559_test.go, TestCalcBaseFee
    ("fee", "limit", "used", "expected"),
    [
        (10**9, 20_000_000, 10_000_000, 10**9),
        (10**9, 20_000_000, 9_000_000, 987_500_000),
        (10**9, 20_000_000, 11_000_000, 1_012_500_000),
        (7, 20_000_000, 10_000_001, 8),
        (7, 1, 1, 7),
    ],
)
def test_base_fees(fee: int, limit: int, used: int, expected: int) -> None:
    assert next_base_fee(replace(PARENT, base_fee=fee, gas_limit=limit, gas_used=used)) == expected


@given(st.integers(0, 2**64), st.integers(2_500, 2**62), st.integers(0, 100))
def test_that_a_base_fee_moves_by_an_eighth_at_most(fee: int, target: int, percent: int) -> None:
    moved = next_base_fee(replace(PARENT, base_fee=fee, gas_limit=2 * target, gas_used=2 * target * percent // 100))
    assert moved >= 0
    assert abs(moved - fee) <= max(1, fee // 8)
