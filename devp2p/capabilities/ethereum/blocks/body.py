"""Block bodies (eth, "Block Encoding and Validity"): transactions, ommers and withdrawals, as they are transferred."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.blocks.header import EMPTY_OMMERS, Header
from devp2p.capabilities.ethereum.blocks.reading import Fields, envelope_of
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, list_root

MAX_TRANSACTIONS: Final = 65_536
"""Of a block: one costs at least 12,000 gas (EIP-2780), so that a block of 300 million gas has 25,000."""
MAX_WITHDRAWALS: Final = 65_536
"""Of a block; consensus allows 16, a network for tests what it likes."""
MAX_OMMERS: Final = 2
"""Of a block (eth, "Block Encoding and Validity")."""


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """A withdrawal by a validator (EIP-4895); `amount` is in Gwei."""

    index: int
    validator_index: int
    address: bytes
    amount: int

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Make a withdrawal of its RLP; DecodingError if it is none."""
        fields = Fields.of(raw)
        try:
            found = cls(index=fields.uint(8), validator_index=fields.uint(8), address=fields.fixed(20), amount=fields.uint(8))
            fields.close()
        except DecodingError as error:
            raise fields.named("a withdrawal", ("index", "validator_index", "address", "amount"), error) from None
        return found

    @cached_property
    def raw(self) -> bytes:
        """The withdrawal in RLP."""
        return rlp.encode((self.index, self.validator_index, self.address, self.amount))


@dataclass(frozen=True, repr=False)
class Body:
    """A block body: all items in RLP, as they came.

    `Transaction.decode`, `Header.decode` and `Withdrawal.decode` make more of them. `withdrawals` is None before Shanghai.
    """

    transactions: tuple[bytes, ...] = ()
    ommers: tuple[bytes, ...] = ()
    withdrawals: tuple[bytes, ...] | None = None

    def __repr__(self) -> str:
        """Count what is in it."""
        withdrawals = "no" if self.withdrawals is None else len(self.withdrawals)
        return f"<Body: {len(self.transactions)} transactions, {len(self.ommers)} ommers, {withdrawals} withdrawals>"

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Make a body of its RLP, which it keeps as `raw`; DecodingError if it is none. Items are not decoded."""
        fields = Fields.of(raw)
        body = cls.take(fields)
        if fields:
            raise DecodingError("a body with more than three elements")
        body.__dict__["raw"] = raw
        return body

    @classmethod
    def take(cls, fields: Fields) -> Self:
        """Make a body of the next elements of a list: two, or three if there are more."""
        try:
            transactions, ommers = fields.items(MAX_TRANSACTIONS), fields.items(MAX_OMMERS)
            withdrawals = fields.items(MAX_WITHDRAWALS) if fields else None
        except DecodingError as error:
            raise fields.named("a body", ("transactions", "ommers", "withdrawals"), error) from None
        return cls(transactions, ommers, withdrawals)

    @cached_property
    def raw(self) -> bytes:
        """The body in RLP: as it came, if it was decoded."""
        return rlp.encode_list(self.content)

    @property
    def content(self) -> bytes:
        """What is within the list that `raw` is."""
        lists = (self.transactions, self.ommers) if self.withdrawals is None else (self.transactions, self.ommers, self.withdrawals)
        return b"".join(rlp.encode_list(b"".join(items)) for items in lists)


def transactions_root(items: Sequence[bytes]) -> bytes:
    """Return the root of the trie of a block's transactions, of items as they stand in a body; DecodingError if one can be none."""
    return list_root([item if item[0] >= 0xC0 else envelope_of(item) for item in items]) if items else EMPTY_ROOT


def body_fault(header: Header, body: Body) -> str | None:
    """Say which part of a body is not that of a header; None if all of them are, so that each byte of it is the chain's."""
    try:
        if transactions_root(body.transactions) != header.transactions_root:
            return "its transactions have another root"
    except DecodingError as error:
        return f"its transactions: {error}"
    ommers_hash = keccak256(rlp.encode_list(b"".join(body.ommers))) if body.ommers else EMPTY_OMMERS
    if ommers_hash != header.ommers_hash:
        return "its ommers have another hash"
    if body.withdrawals is None or header.withdrawals_root is None:
        if body.withdrawals is not None:
            return "it has withdrawals, and its header has no root of them"
        return None if header.withdrawals_root is None else "it has no withdrawals, and its header has a root of them"
    if list_root(body.withdrawals) != header.withdrawals_root:
        return "its withdrawals have another root"
    return None
