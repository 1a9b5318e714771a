"""Which transactions are valid, as far as that can be told without the state of the chain (eth, "Transaction Encoding and Validity")."""

from typing import Final

from devp2p import DecodingError
from devp2p.capabilities.ethereum.blocks.forks import Fork
from devp2p.capabilities.ethereum.blocks.transaction import Transaction

MAX_NONCE: Final = 2**64 - 2
"""EIP-2681."""
MAX_GAS: Final = 2**24
"""Of a transaction since Osaka (EIP-7825); since Amsterdam, of what it costs before it does anything."""
MAX_GAS_AMSTERDAM: Final = 2**32 - 1
"""Of a transaction since Amsterdam, in which EIP-8037 lifts the cap of EIP-7825; go-ethereum's figure."""
MAX_INITCODE: Final = 49_152
"""Bytes of the code that creates a contract, since Shanghai (EIP-3860)."""
MAX_INITCODE_AMSTERDAM: Final = 131_072
"""EIP-7954."""
MAX_BLOBS: Final = 6
"""Of a transaction (EIP-7594)."""
BLOB_VERSION: Final = 1
"""What the versioned hash of a blob begins with (EIP-4844)."""
_SINCE: Final = (Fork.FRONTIER, Fork.BERLIN, Fork.LONDON, Fork.CANCUN, Fork.PRAGUE)
"""By type."""


def transaction_fault(transaction: Transaction, fork: Fork, *, chain_id: int, block_gas_limit: int | None = None) -> str | None:
    """Say why a transaction is not valid by the rules of a fork, on the chain `chain_id`; None if it may be, by all but the state.

    Its sender is recovered, which is most of what this takes, and `sender` has it afterwards. Of a sidecar, if there is one, the proofs are
    not verified.
    """
    return (
        _fault_of_fees(transaction, fork, chain_id, block_gas_limit)
        or _fault_of_type(transaction, fork)
        or _fault_of_signature(transaction)
        or _fault_of_gas(transaction, fork)
    )


def _fault_of_fees(transaction: Transaction, fork: Fork, chain_id: int, block_gas_limit: int | None) -> str | None:
    if transaction.chain_id != chain_id and transaction.chain_id is not None:
        return f"it is for chain {transaction.chain_id}, not {chain_id}"
    if transaction.chain_id is not None and not transaction.type and fork < Fork.SPURIOUS_DRAGON:
        return "it names a chain, before EIP-155"
    if transaction.nonce > MAX_NONCE:
        return f"its nonce {transaction.nonce} is the last, behind which there is none"
    if transaction.max_priority_fee > transaction.max_fee:
        return f"its max_priority_fee {transaction.max_priority_fee} is above its max_fee {transaction.max_fee}"
    most = None if fork < Fork.OSAKA else MAX_GAS if fork < Fork.AMSTERDAM else MAX_GAS_AMSTERDAM
    if most is not None and transaction.gas_limit > most:
        return f"its gas limit {transaction.gas_limit} is above {most}"
    if block_gas_limit is not None and transaction.gas_limit > block_gas_limit:
        return f"its gas limit {transaction.gas_limit} is above that of a block, {block_gas_limit}"
    return None


def _fault_of_type(transaction: Transaction, fork: Fork) -> str | None:
    if fork < _SINCE[transaction.type]:
        return f"it is of type {transaction.type}, which comes with {_SINCE[transaction.type].name.title()}"
    if transaction.to is None and fork >= Fork.SHANGHAI:
        most = MAX_INITCODE if fork < Fork.AMSTERDAM else MAX_INITCODE_AMSTERDAM
        if len(transaction.data) > most:
            return f"it creates a contract by {len(transaction.data)} bytes of code, more than {most}"
    if transaction.type == 4 and not transaction.authorizations:
        return "it has no authorization"
    return _fault_of_blobs(transaction) if transaction.type == 3 else None


def _fault_of_blobs(transaction: Transaction) -> str | None:
    hashes = transaction.blob_hashes
    if not 0 < len(hashes) <= MAX_BLOBS:
        return f"it has {len(hashes)} blobs; 1 to {MAX_BLOBS} are allowed"
    if any(blob_hash[0] != BLOB_VERSION for blob_hash in hashes):
        return "a hash of its blobs has an unknown version"
    return transaction.sidecar.fault(hashes) if transaction.sidecar is not None else None


def _fault_of_signature(transaction: Transaction) -> str | None:
    try:
        _ = transaction.sender
    except DecodingError as error:
        return str(error)
    return None


def _fault_of_gas(transaction: Transaction, fork: Fork) -> str | None:
    least = transaction.intrinsic_gas(fork)
    if transaction.gas_limit < least:
        return f"its gas limit {transaction.gas_limit} is below {least}, which it costs before it does anything"
    if fork >= Fork.AMSTERDAM and least > MAX_GAS:
        return f"it costs {least} gas before it does anything, more than {MAX_GAS}"
    return None
