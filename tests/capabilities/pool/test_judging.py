"""Which transactions are good: each rule with the value at which it begins to hold."""

from dataclasses import replace
from typing import Any

import pytest

from devp2p import DecodingError, LocalProtocolError, keccak256
from devp2p.capabilities.eth.pool import PoolLimits
from devp2p.capabilities.eth.pool.entries import Prices
from devp2p.capabilities.eth.pool.judging import Rules, fake_exponential, fault_of
from devp2p.capabilities.ethereum import Account
from devp2p.capabilities.ethereum.blocks import Authorization, Fork, Sidecar, Transaction
from tests.capabilities.pool.seals import Seals, blob_transaction
from tests.capabilities.pool.worlds import ADDRESSES, CHAIN_ID, ETHER, KEYS, TO, LittleChain, Script, pool_of, transfer

RULES = Rules(CHAIN_ID, Fork.OSAKA, 30_000_000, Prices(7, 1), 6)
LIMITS = PoolLimits()


def why(transaction: Transaction, rules: Rules = RULES) -> str:
    refusal = fault_of(transaction, rules, LIMITS)
    return "" if refusal is None else refusal.why


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"chain_id": CHAIN_ID + 1}, "for chain"),
        ({"type": 0, "gas_price": 5, "max_fee": 0, "max_priority_fee": 0, "chain_id": None}, ""),
        ({"type": 0, "gas_price": 5, "max_fee": 0, "max_priority_fee": 0, "chain_id": 5}, "for chain"),
        ({"nonce": 2**64 - 2}, ""),
        ({"nonce": 2**64 - 1}, "the last"),
        ({"max_fee": 10, "max_priority_fee": 11}, "above its max_fee"),
        ({"max_priority_fee": 0}, "below 1"),
        ({"gas_limit": 2**24}, ""),
        ({"gas_limit": 2**24 + 1}, "above 16777216"),
        ({"gas_limit": 20_999}, "below 21000"),
        ({"gas_limit": 21_000}, ""),
        ({"data": bytes(129 * 1024), "gas_limit": 10**7}, "more than 131072"),
        ({"to": None, "data": b"\x01" * 49_152, "gas_limit": 10**7}, ""),
        ({"to": None, "data": b"\x01" * 49_153, "gas_limit": 10**7}, "more than 49152"),
        ({"data": b"\x01" * 1000, "gas_limit": 60_999}, "below 61000"),  # the floor of EIP-7623
        ({"type": 4}, "no authorization"),
    ],
)
def test_rules_of_a_transaction_itself(fields: dict[str, Any], reason: str) -> None:
    found = why(transfer(**fields))
    assert reason in found
    assert bool(reason) is bool(found)


@pytest.mark.parametrize(
    ("fields", "fork"),
    [({"type": 1, "gas_price": 9, "max_fee": 0, "max_priority_fee": 0}, "BERLIN"), ({}, "LONDON"), ({"type": 4}, "PRAGUE")],
)
def test_types_come_with_their_forks(fields: dict[str, Any], fork: str) -> None:
    values = dict(fields)
    if values.get("type") == 4:
        values["authorizations"] = (Authorization(chain_id=0, address=TO, nonce=0).signed(KEYS[5]),)
        values["gas_limit"] = 100_000
    before, after = Fork(Fork[fork] - 1), Fork[fork]
    assert "comes with" in why(transfer(**values), replace(RULES, fork=before))
    assert why(transfer(**values), replace(RULES, fork=after)) == ""


def test_amsterdam_has_larger_bounds_and_other_gas() -> None:
    amsterdam = replace(RULES, fork=Fork.AMSTERDAM, gas_limit=2**40)
    assert why(transfer(gas_limit=2**32 - 1), amsterdam) == ""
    assert "above that of a block" in why(transfer(gas_limit=2**32 - 1), replace(amsterdam, gas_limit=2**32 - 2))
    assert "above 4294967295" in why(transfer(gas_limit=2**32), amsterdam)
    assert why(transfer(gas_limit=15_000), amsterdam) == ""
    assert why(transfer(to=None, data=b"\x01" * 130_900, gas_limit=2**24), amsterdam) == ""


def test_a_signature_is_verified() -> None:
    transaction = transfer()
    assert "signature" in why(replace(transaction, r=0))
    assert "signature" in why(replace(transaction, v=7))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda each: each, ""),
        (lambda each: each.with_sidecar(None), "no sidecar with cell proofs"),
        (lambda each: each.with_sidecar(Sidecar(1, (), each.sidecar.commitments, each.sidecar.proofs[1:])), "127 proofs"),
        (lambda each: each.with_sidecar(Sidecar(0, (), each.sidecar.commitments, each.sidecar.proofs[:1])), "no sidecar with cell proofs"),
        (lambda each: replace(each, max_blob_fee=0), "nothing for blobs"),
        (lambda each: replace(each, blob_hashes=()), "0 blobs"),
    ],
)
def test_rules_of_blobs(spoil: Any, reason: str) -> None:
    found = why(spoil(blob_transaction().elided()))
    assert reason in found
    assert bool(reason) is bool(found)
    assert "7 blobs" in why(replace(blob_transaction().elided(), blob_hashes=(bytes(32),) * 7))
    assert "may have 2" in why(replace(blob_transaction().elided(), blob_hashes=(bytes(32),) * 3), replace(RULES, blobs=2))


def test_prices_of_the_next_block() -> None:
    """EIP-1559 and EIP-4844, with figures computed by hand, and go-ethereum's."""
    chain = LittleChain()
    for base_fee, gas_used, expected in (
        (1000, 15_000_000, 1000),
        (1000, 30_000_000, 1125),
        (1000, 0, 875),
        (7, 15_000_001, 8),
        (None, 0, 0),
    ):
        header = replace(chain.header, base_fee=base_fee, gas_used=gas_used)
        assert Rules.behind(chain.network, header).prices.base_fee == expected
    vectors = [(1, 0, 1), (38493, 0, 1000), (1, 2, 1), (1, 6, 2), (10, 8, 2), (1, 5, 2), (1, 50_000_000, 2_225_652)]  # go-ethereum's
    assert [fake_exponential(*each) for each in vectors] == [1, 38493, 6, 18, 542, 11, 5_709_098_764]


def account(nonce: int = 0, balance: int = 100 * ETHER, code: bytes = b"") -> Account:
    return Account(nonce, balance, bytes(32), keccak256(code))


async def refusal(chain: LittleChain, transaction: Transaction) -> str:
    try:
        await pool_of(chain, prover=Seals()).add(transaction)
    except LocalProtocolError as error:
        return str(error)
    return ""


async def test_rules_of_the_account() -> None:
    chain = LittleChain()
    transaction = transfer(0, 5)
    cost = 50_000 * 110
    for its, reason in (
        (account(5, cost), ""),
        (account(5, cost - 1), "may cost"),
        (account(6), "its nonce is 5"),
        (account(0), ""),
        (None, "may cost"),
    ):
        chain.all_accounts[ADDRESSES[0]] = its  # type: ignore[assignment]
        found = await refusal(chain, transaction)
        assert reason in found
        assert bool(reason) is bool(found)


async def test_a_sender_with_code_is_none_but_with_a_delegation() -> None:
    chain, delegation, contract = LittleChain(), b"\xef\x01\x00" + TO, b"\x60\x00"
    chain.all_codes = {keccak256(code): code for code in (delegation, contract)}
    chain.all_accounts |= {ADDRESSES[0]: account(code=delegation), ADDRESSES[1]: account(code=contract), ADDRESSES[2]: account(code=b"?")}
    assert "EIP-3607" in await refusal(chain, transfer(1))
    assert "code that is not here" in await refusal(chain, transfer(2))
    pool = pool_of(chain)
    with pytest.raises(LocalProtocolError, match="only its next nonce"):
        await pool.add(transfer(0, 1))
    await pool.add(transfer(0, 0))
    with pytest.raises(LocalProtocolError, match="another transaction here"):
        await pool.add(transfer(0, 1))
    await pool.add(transfer(0, 0, 100, max_fee=300))  # a replacement is none more


async def test_who_is_given_a_delegation_has_one_transaction_at_a_time() -> None:
    pool = pool_of()
    authority = Authorization(chain_id=0, address=TO, nonce=0).signed(KEYS[1])
    delegating = transfer(0, type=4, authorizations=(authority, Authorization(chain_id=0, address=TO, nonce=0)), gas_limit=100_000)
    for nonce in range(2):
        await pool.add(transfer(1, nonce))
    with pytest.raises(LocalProtocolError, match="to an account that has others here"):
        await pool.add(delegating)
    other = pool_of()
    await other.add(delegating)
    await other.add(transfer(1, 0))
    with pytest.raises(LocalProtocolError, match="another transaction here"):
        await other.add(transfer(1, 1))


async def test_without_a_head_nothing_is_taken_and_nobody_blamed() -> None:
    chain, peer = LittleChain(), Script()
    pool = pool_of(chain, junk=1, pause=0.0)
    chain.network = replace(chain.network)

    async def nothing(*_: object, **__: object) -> list[bytes]:
        return []

    chain.headers = nothing  # type: ignore[method-assign]
    await pool.received(peer, [transfer().raw])
    assert (len(pool), peer.faults) == (0, 0)
    del chain.headers
    await pool.received(Script(), [transfer().raw])
    assert len(pool) == 1


async def test_accounts_are_read_once_a_head() -> None:
    chain = LittleChain()
    pool = pool_of(chain)
    for nonce in range(5):
        await pool.add(transfer(0, nonce))
    assert chain.reads == 1
    chain.advance()
    await pool.add(transfer(0, 5))
    assert chain.reads == 2


def test_bounds_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="transactions of PoolLimits is at least 1"):
        PoolLimits(transactions=0)
    with pytest.raises(ValueError, match="broadcast_bytes of PoolLimits is at least 1"):
        PoolLimits(broadcast_bytes=0)
    with pytest.raises(ValueError, match="announce_hashes of PoolLimits is at most 8192"):
        PoolLimits(announce_hashes=8193)
    with pytest.raises(ValueError, match="a number from 0 on"):
        PoolLimits(junk=-1)
    with pytest.raises(ValueError, match="from 0 to 1"):
        PoolLimits(full_probability=1.5)


async def test_bytes_are_no_transaction_of_our_own() -> None:
    raw: Any = transfer(0).raw
    with pytest.raises(LocalProtocolError, match=r"a Transaction is wanted, not bytes: Transaction.from_envelope makes it of bytes"):
        await pool_of().add(raw)


async def test_a_damaged_state_is_no_fault_of_the_peer() -> None:
    class Damaged(LittleChain):
        async def account(self, address: bytes) -> Account | None:
            raise DecodingError(f"the record of {address.hex()} is no RLP")

    pool, peer = pool_of(Damaged(), junk=1), Script()
    await pool.received(peer, [transfer().raw])
    assert (len(pool), peer.faults) == (0, 0)
