"""Whether a transaction is worth keeping, by itself and by its sender's account (eth, "Transaction Encoding and Validity"). Pure."""

from dataclasses import dataclass
from typing import Final

from devp2p import DecodingError, keccak256
from devp2p.capabilities.eth.pool.entries import BLOB_TYPE, Entry, Fault, Prices, Refusal
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.ethereum import Account, Network
from devp2p.capabilities.ethereum.blocks import Fork, Header, Transaction

EMPTY_CODE: Final = keccak256(b"")
DELEGATION: Final = b"\xef\x01\x00"
"""What the code of an account begins with that uses another's (EIP-7702)."""
SET_CODE_TYPE: Final = 4
SINCE: Final = {1: Fork.BERLIN, 2: Fork.LONDON, 3: Fork.CANCUN, 4: Fork.PRAGUE}
"""With which fork each type came."""
INITCODE: Final = 49_152
"""Bytes of code that creates a contract, at most, since Shanghai (EIP-3860)."""
INITCODE_AMSTERDAM: Final = 131_072
GAS_OSAKA: Final = 2**24
"""The gas of one transaction, at most (EIP-7825)."""
GAS_AMSTERDAM: Final = 2**32 - 1
"""The same since Amsterdam, with state gas (EIP-8037); what is not for state has the bound of Osaka."""
ELASTICITY: Final = 2
FEE_CHANGE: Final = 8
"""The base fee changes by one part of so many at most from block to block (EIP-1559)."""
BLOBS_UNTOLD: Final = 6
"""Blobs of a block where the network says nothing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds behind a head."""

    chain_id: int
    fork: Fork
    gas_limit: int
    prices: Prices
    blobs: int

    @classmethod
    def behind(cls, network: Network, head: Header) -> "Rules":
        """The rules for what follows a block; its fork is the block's, as go-ethereum's pool has it."""
        number, timestamp = head.number, head.timestamp
        parameters = network.blobs(number, timestamp)
        blob_base_fee = fake_exponential(1, head.excess_blob_gas or 0, parameters.update_fraction) if parameters else 1
        return cls(
            network.chain_id,
            Fork.among(lambda name: network.is_active(name, number, timestamp)),
            head.gas_limit,
            Prices(next_base_fee(head), blob_base_fee),
            parameters.max if parameters else BLOBS_UNTOLD,
        )


def next_base_fee(head: Header) -> int:
    """The base fee of the block behind a head (EIP-1559); 0 before London."""
    if head.base_fee is None:
        return 0
    target = head.gas_limit // ELASTICITY
    if head.gas_used == target or not target:
        return head.base_fee
    change = head.base_fee * abs(head.gas_used - target) // target // FEE_CHANGE
    return head.base_fee + max(change, 1) if head.gas_used > target else head.base_fee - change


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """Approximate factor * e ** (numerator / denominator) (EIP-4844)."""
    index, total, term = 1, 0, factor * denominator
    while term > 0:
        total += term
        term = term * numerator // (denominator * index)
        index += 1
    return total // denominator


def fault_of(transaction: Transaction, rules: Rules, limits: PoolLimits) -> Refusal | None:
    """Say what is wrong with a transaction whoever sent it; cheap, and before its signature is looked at."""
    kind = transaction.type
    if kind in SINCE and rules.fork < SINCE[kind]:
        return Refusal(Fault.INVALID, f"transactions of type {kind} come with {SINCE[kind].name.capitalize()}")
    most = limits.transaction_size if kind != BLOB_TYPE else limits.blob_size
    size = transaction.elided().size
    if size > most:
        return Refusal(Fault.INVALID, f"it has {size} bytes, more than {most}")
    if transaction.chain_id not in {None, rules.chain_id}:
        return Refusal(Fault.INVALID, f"it is for the chain {transaction.chain_id}, and this is {rules.chain_id}")
    if transaction.nonce + 1 >= 2**64:
        return Refusal(Fault.INVALID, "its nonce is the last there is (EIP-2681)")
    if transaction.max_priority_fee > transaction.max_fee:
        return Refusal(Fault.INVALID, "its priority fee is above its fee")
    if transaction.max_priority_fee < limits.minimum_tip:
        return Refusal(Fault.CHEAP, f"its priority fee is {transaction.max_priority_fee}, below {limits.minimum_tip}")
    return _gas_fault(transaction, rules) or _type_fault(transaction, rules, limits)


def _gas_fault(transaction: Transaction, rules: Rules) -> Refusal | None:
    gas, fork = transaction.gas_limit, rules.fork
    if gas > rules.gas_limit:
        return Refusal(Fault.INVALID, f"its gas is {gas}, more than a block's, {rules.gas_limit}")
    most = GAS_AMSTERDAM if fork >= Fork.AMSTERDAM else GAS_OSAKA if fork >= Fork.OSAKA else gas
    if gas > most:
        return Refusal(Fault.INVALID, f"its gas is {gas}, more than {most}")
    longest = INITCODE_AMSTERDAM if fork >= Fork.AMSTERDAM else INITCODE
    if transaction.to is None and fork >= Fork.SHANGHAI and len(transaction.data) > longest:
        return Refusal(Fault.INVALID, f"its code has {len(transaction.data)} bytes, more than {longest}")
    return None


def _type_fault(transaction: Transaction, rules: Rules, limits: PoolLimits) -> Refusal | None:
    if transaction.type == SET_CODE_TYPE and not transaction.authorizations:
        return Refusal(Fault.INVALID, "it has no authorization")
    if transaction.type != BLOB_TYPE:
        return None
    most = min(limits.blobs, rules.blobs)
    if not 1 <= len(transaction.blob_hashes) <= most:
        return Refusal(Fault.INVALID, f"it has {len(transaction.blob_hashes)} blobs, and may have 1 to {most}")
    if transaction.max_blob_fee < 1:
        return Refusal(Fault.CHEAP, "it pays nothing for blobs")
    sidecar = transaction.sidecar
    if sidecar is None:
        return Refusal(Fault.BREACH, "a blob transaction without a sidecar")
    fault = sidecar.fault(transaction.blob_hashes)
    if fault is not None:
        return Refusal(Fault.BREACH, f"a sidecar with {fault}")
    if sidecar.version != 1:
        return Refusal(Fault.INVALID, "its sidecar has no cell proofs (version 0)")
    return None


def sender_fault(transaction: Transaction, rules: Rules) -> Refusal | None:
    """Verify a transaction's signature, and its gas, which may depend on the sender; about a tenth of a millisecond."""
    try:
        least = transaction.intrinsic_gas(rules.fork)
        _ = transaction.sender
    except DecodingError as error:
        return Refusal(Fault.INVALID, f"its signature is invalid: {error}")
    if transaction.gas_limit < least:
        return Refusal(Fault.INVALID, f"its gas is {transaction.gas_limit}, and {least} is the least")
    if rules.fork >= Fork.AMSTERDAM and least > GAS_OSAKA:
        return Refusal(Fault.INVALID, f"its gas is {least} before it does anything, more than {GAS_OSAKA}")
    return None


def account_fault(transaction: Transaction, account: Account | None) -> Refusal | None:
    """Say what its sender's account at the head has against a transaction."""
    nonce, balance = (account.nonce, account.balance) if account else (0, 0)
    if transaction.nonce < nonce:
        return Refusal(Fault.INVALID, f"its nonce is {transaction.nonce}, and the account's next one is {nonce}")
    if transaction.max_cost > balance:
        return Refusal(Fault.POOR, f"it may cost {transaction.max_cost} wei, and the account has {balance}")
    return None


def code_fault(code: bytes | None) -> Refusal | None:
    """Say what the code of a sender, None if it is not known, has against its transactions (EIP-3607, EIP-7702)."""
    if code is None:
        return Refusal(Fault.UNSUPPORTED, "its sender has code that is not here")
    if code.startswith(DELEGATION) and len(code) == len(DELEGATION) + 20:
        return None
    return Refusal(Fault.INVALID, "its sender is a contract (EIP-3607)")


def entry_of(transaction: Transaction, size: int, authorities: frozenset[bytes] = frozenset()) -> Entry:
    """What a `Ledger` is told of a transaction, of which the pool keeps so many bytes."""
    return Entry(
        transaction.hash,
        transaction.sender,
        transaction.nonce,
        transaction.type,
        size,
        transaction.max_cost,
        transaction.max_fee,
        transaction.max_priority_fee,
        transaction.max_blob_fee,
        authorities,
    )
