"""What eth and snap ask of the chain that they serve. Implement these to answer peers from data of your own.

Everything here is as it travels: blocks, receipts and accounts in RLP, state by the keccak of its keys. A method is awaited once for each
request of a peer, with a bound on what it may return, so it can read a disk in a thread; `size` is that bound in bytes, and the first item
may exceed it, since an answer of nothing would look like a lack of data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from devp2p.capabilities.ethereum.networks import Network


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block that a chain has, and the oldest whose body and receipts it has."""

    number: int
    hash: bytes
    timestamp: int
    earliest: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the state at the head."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class Range:
    """Consecutive leaves of a trie, as (key, value), in the order of their keys; and the nodes that prove its two edges."""

    leaves: Sequence[tuple[bytes, bytes]]
    proof: Sequence[bytes] = ()


class Chain(Protocol):
    """Blocks, for eth."""

    @property
    def network(self) -> Network:
        """Which chain this is: its genesis, its forks, its ids."""
        ...

    @property
    def head(self) -> Head:
        """What is here at this moment."""
        ...

    async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:
        """Return headers in RLP, from a block's number or hash on, `skip` blocks apart; those that there are."""
        ...

    async def bodies(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        """Return the bodies in RLP of the blocks that are known, in the order of `hashes`; others are left out."""
        ...

    async def receipts(self, hashes: Sequence[bytes], *, size: int) -> Sequence[Sequence[bytes]]:
        """Return the receipts of each block, in the RLP of eth/69, up to the first block that is not known."""
        ...

    async def access_lists(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes | None]:
        """Return the block access lists in RLP (EIP-7928), None for each unknown one; what `size` leaves out is missing at the end."""
        ...


class State(Protocol):
    """The accounts of recent blocks, for snap and for whoever judges transactions."""

    async def account(self, address: bytes) -> Account | None:
        """Return an account at the head; None if there is none."""
        ...

    async def accounts(self, root: bytes, start: bytes, limit: bytes, *, size: int) -> Range | None:
        """Return accounts in slim RLP (snap, "Data format") from `start` to the first behind `limit`; None for an unknown root."""
        ...

    async def slots(self, root: bytes, accounts: Sequence[bytes], start: bytes, limit: bytes, *, size: int) -> Sequence[Range] | None:
        """Return the storage of accounts, `start` being for the first and `limit` for the last of them; only the last range has a proof.

        None for an unknown root or account.
        """
        ...

    async def codes(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        """Return the codes that are known, in the order of `hashes`; others are left out."""
        ...

    async def nodes(self, root: bytes, paths: Sequence[Sequence[bytes]], *, size: int) -> Sequence[bytes]:
        """Return trie nodes by their paths (snap/1, GetTrieNodes), of the accounts or one account's storage; none for an unknown root."""
        ...

    async def access_lists(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes | None]:
        """As `Chain.access_lists`; here those of blocks that did not stay in the chain are wanted as well."""
        ...
