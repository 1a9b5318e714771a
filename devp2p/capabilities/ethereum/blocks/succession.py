"""Whether a header may follow another (eth, "Block Encoding and Validity"; yellow paper, section 4.3.4; EIP-1559, EIP-3675)."""

from typing import Final

from devp2p.capabilities.ethereum.blocks.header import EMPTY_OMMERS, LATER_FIELDS, Header

MIN_GAS_LIMIT: Final = 5_000
GAS_LIMIT_DIVISOR: Final = 1_024
"""A block's gas limit differs from its parent's by less than this part of it."""
ELASTICITY: Final = 2
"""How many times the gas that a block is to use it may use (EIP-1559)."""
FEE_DIVISOR: Final = 8
"""The base fee changes by at most this part of it."""
FIRST_BASE_FEE: Final = 10**9
"""Of the first block with EIP-1559, in wei."""
MAX_EXTRA_DATA: Final = 32
"""Bytes, since the merge (EIP-3675)."""


def child_fault(header: Header, parent: Header) -> str | None:
    """Say why a header cannot be that of the block behind `parent`; None if it may be.

    Checked are hash, number, time, gas, the base fee, that no field of an earlier fork is missing, and what proof of stake fixed.
    Difficulty and its proof are not, nor what needs the block's transactions or the fork's blob parameters.
    """
    if header.parent_hash != parent.hash:
        return "its parent is another block"
    if header.number != parent.number + 1:
        return f"its number is {header.number}, that of its parent {parent.number}"
    if header.timestamp <= parent.timestamp:
        return f"its time {header.timestamp} is not later than that of its parent, {parent.timestamp}"
    return _fault_of_fields(header, parent) or _fault_of_gas(header, parent)


def _fault_of_fields(header: Header, parent: Header) -> str | None:
    for name in LATER_FIELDS:
        if getattr(header, name) is None and getattr(parent, name) is not None:
            return f"it has no {name}, and its parent has one"
    if header.difficulty == 0:
        if header.ommers_hash != EMPTY_OMMERS:
            return "it has ommers, which proof of stake has not"
        if any(header.nonce):
            return "it has a nonce, which proof of stake has not"
        if len(header.extra_data) > MAX_EXTRA_DATA:
            return f"it has {len(header.extra_data)} bytes of extra data, more than {MAX_EXTRA_DATA}"
    return None


def _fault_of_gas(header: Header, parent: Header) -> str | None:
    if header.gas_used > header.gas_limit:
        return f"it uses {header.gas_used} gas of {header.gas_limit}"
    begins = header.base_fee is not None and parent.base_fee is None
    before = parent.gas_limit * (ELASTICITY if begins else 1)
    if header.gas_limit < MIN_GAS_LIMIT or abs(header.gas_limit - before) >= before // GAS_LIMIT_DIVISOR:
        return f"its gas limit {header.gas_limit} is too far from that of its parent, {before}"
    if header.base_fee is not None and header.base_fee != (fee := next_base_fee(parent)):
        return f"its base fee is {header.base_fee} and should be {fee}"
    return None


def next_base_fee(parent: Header) -> int:
    """Return the base fee of the block behind `parent` (EIP-1559), in wei per gas."""
    if parent.base_fee is None:
        return FIRST_BASE_FEE
    target = parent.gas_limit // ELASTICITY
    if target in (0, parent.gas_used):
        return parent.base_fee
    change = parent.base_fee * abs(parent.gas_used - target) // target // FEE_DIVISOR
    return parent.base_fee + max(1, change) if parent.gas_used > target else parent.base_fee - change
