"""The rules for transactions that need no state: each with a transaction that breaks it, and one that just does not."""

from dataclasses import replace
from typing import Any

import pytest

from devp2p.capabilities.ethereum.blocks import Authorization, Fork, Sidecar, Transaction, blob_hash_of, transaction_fault
from tests.capabilities.blocks.shapes import BLOB, KEY

TO = b"t" * 20
AUTHORIZATION = Authorization(chain_id=1, address=TO, nonce=0).signed(KEY)
COMMITMENT = b"c" * 48
GAS = 10**6
FIELDS: dict[int, Any] = {
    0: {"gas_price": 1},
    1: {"gas_price": 1},
    2: {"max_fee": 1},
    3: {"max_fee": 1, "blob_hashes": (blob_hash_of(COMMITMENT),), "to": TO},
    4: {"max_fee": 1, "authorizations": (AUTHORIZATION,), "to": TO},
}


def fault(fork: Fork, kind: int = 2, *, block_gas_limit: int | None = None, **fields: Any) -> str | None:
    transaction = Transaction(**{"type": kind, "chain_id": 1, "to": TO, "gas_limit": GAS} | FIELDS[kind] | fields).signed(KEY)
    return transaction_fault(transaction, fork, chain_id=1, block_gas_limit=block_gas_limit)


@pytest.mark.parametrize(
    ("kind", "fork"), [(0, Fork.SPURIOUS_DRAGON), (1, Fork.BERLIN), (2, Fork.LONDON), (3, Fork.CANCUN), (4, Fork.PRAGUE)]
)
def test_that_each_type_is_valid_from_its_fork_on(kind: int, fork: Fork) -> None:
    assert fault(fork, kind) is fault(Fork.AMSTERDAM, kind) is None
    assert fault(Fork(fork - 1), kind) is not None


@pytest.mark.parametrize(
    ("fork", "kind", "bad", "good", "why"),
    [
        (Fork.LONDON, 2, {"chain_id": 2}, {}, "it is for chain 2, not 1"),
        (Fork.LONDON, 0, {"chain_id": 2}, {"chain_id": None}, "it is for chain 2, not 1"),
        (Fork.FRONTIER, 0, {}, {"chain_id": None}, "it names a chain, before EIP-155"),
        (Fork.LONDON, 2, {"nonce": 2**64 - 1}, {"nonce": 2**64 - 2}, "its nonce 18446744073709551615 is the last"),
        (Fork.LONDON, 2, {"max_priority_fee": 2}, {"max_priority_fee": 1}, "its max_priority_fee 2 is above its max_fee 1"),
        (Fork.OSAKA, 2, {"gas_limit": 2**24 + 1}, {"gas_limit": 2**24}, "its gas limit 16777217 is above 16777216"),
        (Fork.AMSTERDAM, 2, {"gas_limit": 2**32}, {"gas_limit": 2**32 - 1}, "its gas limit 4294967296 is above 4294967295"),
        (Fork.LONDON, 2, {"block_gas_limit": GAS - 1}, {"block_gas_limit": GAS}, "its gas limit 1000000 is above that of a block"),
        (Fork.LONDON, 2, {"gas_limit": 20_999}, {"gas_limit": 21_000}, "its gas limit 20999 is below 21000"),
        (Fork.PRAGUE, 4, {"authorizations": ()}, {}, "it has no authorization"),
        (Fork.CANCUN, 3, {"blob_hashes": ()}, {}, "it has 0 blobs"),
        (Fork.CANCUN, 3, {"blob_hashes": (b"\1" * 32,) * 7}, {"blob_hashes": (b"\1" * 32,) * 6}, "it has 7 blobs; 1 to 6 are allowed"),
        (Fork.CANCUN, 3, {"blob_hashes": (b"\2" * 32,)}, {}, "a hash of its blobs has an unknown version"),
        (
            Fork.CANCUN,
            3,
            {"sidecar": Sidecar(0, (BLOB,), (bytes(48),), (bytes(48),))},
            {"sidecar": Sidecar(0, (BLOB,), (COMMITMENT,), (bytes(48),))},
            "commitment 0 has another hash",
        ),
        (
            Fork.SHANGHAI,
            2,
            {"to": None, "data": bytes(49_153)},
            {"to": None, "data": bytes(49_152)},
            "it creates a contract by 49153 bytes",
        ),
        (
            Fork.AMSTERDAM,
            2,
            {"to": None, "data": bytes(131_073), "gas_limit": 10**7},
            {"to": None, "data": bytes(131_072), "gas_limit": 10**7},
            "it creates a contract by 131073 bytes of code, more than 131072",
        ),
        (
            Fork.AMSTERDAM,
            2,
            {"data": bytes(262_000), "gas_limit": 2**25},
            {"data": bytes(261_000), "gas_limit": 2**25},
            "it costs 16783000 gas before it does anything, more than 16777216",
        ),
    ],
)
def test_what_breaks_a_rule_and_what_just_does_not(fork: Fork, kind: int, bad: Any, good: Any, why: str) -> None:
    assert fault(fork, kind, **good) is None
    found = fault(fork, kind, **bad)
    assert found is not None
    assert found.startswith(why)


def test_that_a_bad_signature_is_a_fault() -> None:
    transaction = Transaction(chain_id=1, to=TO, max_fee=1).signed(KEY)
    assert transaction_fault(transaction, Fork.PRAGUE, chain_id=1) is None
    assert transaction_fault(replace(transaction, r=0), Fork.PRAGUE, chain_id=1) == "not a recoverable signature"
