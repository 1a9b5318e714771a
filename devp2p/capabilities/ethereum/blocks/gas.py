"""The gas that a transaction costs before it does anything (eth, "Transaction Encoding and Validity"), by the rules of each fork.

What changed when: EIP-2 (Homestead: creation), EIP-2028 (Istanbul: data), EIP-2930 (Berlin: access lists), EIP-3860 (Shanghai: code that
creates), EIP-7702 and EIP-7623 (Prague: authorizations; a floor for data), EIP-2780, 7976, 7981, 8037 and 8038 (Amsterdam: everything).
"""

from typing import Final, Protocol

from devp2p.capabilities.ethereum.blocks.forks import Fork

BASE: Final = 21_000
CREATION: Final = 32_000
ZERO_BYTE: Final = 4
OTHER_BYTE: Final = 68
OTHER_BYTE_ISTANBUL: Final = 16
CODE_WORD: Final = 2
ADDRESS: Final = 2_400
KEY: Final = 1_900
AUTHORIZATION: Final = 25_000
FLOOR_PER_TOKEN: Final = 10

BASE_AMSTERDAM: Final = 12_000
VALUE_AMSTERDAM: Final = 6_000
RECIPIENT_AMSTERDAM: Final = 3_000
CREATION_AMSTERDAM: Final = 12_000
ADDRESS_AMSTERDAM: Final = 2_900
KEY_AMSTERDAM: Final = 2_000
AUTHORIZATION_AMSTERDAM: Final = 7_816
BYTE_AMSTERDAM: Final = 64
"""The floor for each byte of data (EIP-7976), and what a byte of an access list costs on top (EIP-7981)."""


class Priced(Protocol):
    """What the price depends on; a `Transaction`."""

    @property
    def to(self) -> bytes | None:
        """Whom it calls."""
        ...

    @property
    def value(self) -> int:
        """What it transfers."""
        ...

    @property
    def data(self) -> bytes:
        """What it brings."""
        ...

    @property
    def access_list(self) -> tuple[tuple[bytes, tuple[bytes, ...]], ...]:
        """What it will touch."""
        ...

    @property
    def authorizations(self) -> tuple[object, ...]:
        """Whose code it sets."""
        ...


def intrinsic_gas(transaction: Priced, sender: bytes, fork: Fork) -> int:
    """Return what including a transaction costs, but for the floor of its data."""
    amsterdam = fork >= Fork.AMSTERDAM
    data, creates = transaction.data, transaction.to is None
    gas = _base(transaction, sender, fork)
    zeros = data.count(0)
    gas += zeros * ZERO_BYTE + (len(data) - zeros) * (OTHER_BYTE_ISTANBUL if fork >= Fork.ISTANBUL else OTHER_BYTE)
    if creates and fork >= Fork.SHANGHAI:
        gas += (len(data) + 31) // 32 * CODE_WORD
    if transaction.access_list:
        addresses, keys = _touched(transaction)
        gas += addresses * (ADDRESS_AMSTERDAM if amsterdam else ADDRESS) + keys * (KEY_AMSTERDAM if amsterdam else KEY)
        if amsterdam:
            gas += BYTE_AMSTERDAM * (20 * addresses + 32 * keys)
    return gas + len(transaction.authorizations) * (AUTHORIZATION_AMSTERDAM if amsterdam else AUTHORIZATION)


def floor_gas(transaction: Priced, sender: bytes, fork: Fork) -> int:
    """Return what a transaction costs at least, whatever it does: a floor for data (EIP-7623); 0 before Prague."""
    if fork < Fork.PRAGUE:
        return 0
    data = transaction.data
    if fork < Fork.AMSTERDAM:
        return BASE + FLOOR_PER_TOKEN * (4 * len(data) - 3 * data.count(0))
    addresses, keys = _touched(transaction)
    return _base(transaction, sender, fork) + BYTE_AMSTERDAM * (len(data) + 20 * addresses + 32 * keys)


def _base(transaction: Priced, sender: bytes, fork: Fork) -> int:
    to = transaction.to
    if fork < Fork.AMSTERDAM:
        return BASE + CREATION if to is None and fork >= Fork.HOMESTEAD else BASE
    if to is None:
        return BASE_AMSTERDAM + CREATION_AMSTERDAM
    if to == sender:
        return BASE_AMSTERDAM
    return BASE_AMSTERDAM + RECIPIENT_AMSTERDAM + (VALUE_AMSTERDAM if transaction.value else 0)


def _touched(transaction: Priced) -> tuple[int, int]:
    return len(transaction.access_list), sum(len(keys) for _, keys in transaction.access_list)
