"""What the policy knows of a transaction, and why one is refused. Pure."""

import enum
from dataclasses import dataclass
from typing import NamedTuple

BLOB_TYPE = 3
"""The type of blob transactions (EIP-4844)."""


class Fault(enum.Enum):
    """What is wrong with a transaction that is refused; who sent it is judged by that."""

    KNOWN = "known"
    """It is here already."""
    CHEAP = "cheap"
    """It pays too little to replace, to displace, or at all."""
    FULL = "full"
    """There is no room, for nothing that is wrong with it."""
    GAPPED = "gapped"
    """Too many transactions before it are missing."""
    POOR = "poor"
    """Its sender cannot pay for it, at this head and with its others."""
    INVALID = "invalid"
    """It cannot be executed now, or ever."""
    UNSUPPORTED = "unsupported"
    """We cannot judge it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a transaction is not taken."""

    fault: Fault
    why: str

    def __str__(self) -> str:
        return self.why


class Prices(NamedTuple):
    """What the next block takes from every transaction, in wei per gas."""

    base_fee: int = 0
    blob_base_fee: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction, as far as a `Ledger` cares. Prices are in wei per gas."""

    hash: bytes
    sender: bytes
    nonce: int
    type: int
    size: int
    """The bytes that it takes here."""
    cost: int
    """All that its sender may have to pay for it, in wei."""
    fee: int
    """The most that it pays for gas (EIP-1559, max_fee_per_gas)."""
    tip: int
    """The most of it that goes to whoever includes it."""
    blob_fee: int = 0
    """The most that it pays for blob gas."""
    authorities: frozenset[bytes] = frozenset()
    """Accounts that it gives a delegation (EIP-7702)."""

    def worth(self, prices: Prices) -> int:
        """What whoever includes it gets for a gas; below zero, how much is missing to what the block takes."""
        own = min(self.tip, self.fee - prices.base_fee)
        missing = self.blob_fee - prices.blob_base_fee if self.type == BLOB_TYPE else 0
        return min(own, missing) if missing < 0 else own

    def bumps(self, other: "Entry", percent: int) -> bool:
        """Whether it pays so much more than another, in each of its fees."""
        pairs = ((self.fee, other.fee), (self.tip, other.tip), (self.blob_fee, other.blob_fee))
        return all(100 * ours >= (100 + percent) * theirs for ours, theirs in pairs)
