"""Whether a transaction is worth keeping, by itself and by its sender's account (eth, "Transaction Encoding and Validity"). Pure."""

from dataclasses import dataclass
from typing import Final

from devp2p import keccak256
from devp2p.capabilities.eth.pool.entries import BLOB_TYPE, Entry, Fault, Prices, Refusal
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.ethereum import Account, Network
from devp2p.capabilities.ethereum.blocks import Fork, Header, Transaction, next_base_fee, transaction_fault

EMPTY_CODE: Final = keccak256(b"")
DELEGATION: Final = b"\xef\x01\x00"
"""What the code of an account begins with that uses another's (EIP-7702)."""
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
            Prices(0 if head.base_fee is None else next_base_fee(head), blob_base_fee),
            parameters.max if parameters else BLOBS_UNTOLD,
        )


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """Approximate factor * e ** (numerator / denominator) (EIP-4844)."""
    index, total, term = 1, 0, factor * denominator
    while term > 0:
        total += term
        term = term * numerator // (denominator * index)
        index += 1
    return total // denominator


def fault_of(transaction: Transaction, rules: Rules, limits: PoolLimits) -> Refusal | None:
    """Say what is wrong with a transaction, whatever its sender's account is; what is cheap to find out first, its signature last."""
    refusal = _policy_fault(transaction, rules, limits)
    if refusal is not None:
        return refusal
    fault = transaction_fault(transaction, rules.fork, chain_id=rules.chain_id, block_gas_limit=rules.gas_limit)
    return None if fault is None else Refusal(Fault.INVALID, fault)


def _policy_fault(transaction: Transaction, rules: Rules, limits: PoolLimits) -> Refusal | None:
    """What this pool wants beyond the rules of the chain."""
    is_blob = transaction.type == BLOB_TYPE
    most = limits.blob_size if is_blob else limits.transaction_size
    size = transaction.elided().size
    if size > most:
        return Refusal(Fault.INVALID, f"it has {size} bytes, more than {most}")
    if transaction.max_priority_fee < limits.minimum_tip:
        return Refusal(Fault.CHEAP, f"its priority fee is {transaction.max_priority_fee}, below {limits.minimum_tip}")
    if not is_blob:
        return None
    blobs = min(limits.blobs, rules.blobs)
    if len(transaction.blob_hashes) > blobs:
        return Refusal(Fault.INVALID, f"it has {len(transaction.blob_hashes)} blobs, and may have {blobs}")
    if transaction.max_blob_fee < 1:
        return Refusal(Fault.CHEAP, "it pays nothing for blobs")
    if transaction.sidecar is None or transaction.sidecar.version != 1:
        return Refusal(Fault.INVALID, "it has no sidecar with cell proofs (version 1)")
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
