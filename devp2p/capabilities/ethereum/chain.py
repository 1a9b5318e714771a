"""What eth and snap ask of the chain that they serve. Implement these to answer peers from data of your own.

Everything here is as it travels: blocks, receipts and accounts in RLP, state by the keccak of its keys. A method is awaited once for each
request of a peer, with a bound on what it may return, so it can read a disk in a thread; `size` is that bound in bytes, and the first item
may exceed it, since an answer of nothing would look like a lack of data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from devp2p import Devp2pError, LocalProtocolError
from devp2p.capabilities.ethereum.networks import Network


class ChainError(Devp2pError):
    """A chain or a state cannot be read at the moment, as when its disk fails. Its methods may raise it; peers then get nothing."""


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
    """The accounts of recent blocks, for snap and for whoever judges transactions.

    A root is that of the state of one of the last 128 blocks. `size` is a soft limit, of the bytes of keys (32 each) and values: an answer
    ends behind the item that makes it exceed `size`, so there is always one if there is any.
    """

    async def account(self, address: bytes) -> Account | None:
        """Return an account at the head; None if there is none."""
        ...

    async def accounts(self, root: bytes, start: bytes, limit: bytes, *, size: int) -> Range | None:
        """Return accounts in slim RLP (snap, "Data format"); None for an unknown root.

        They begin with the first at or behind `start`, and end with the first at or behind `limit`, though that be the same one. The proof
        is of `start` and of the last account; only where these are all accounts that there are, it may be left out.
        """
        ...

    async def slots(self, root: bytes, accounts: Sequence[bytes], start: bytes, limit: bytes, *, size: int) -> Sequence[Range] | None:
        """Return a range for each account, empty ones too, `start` being for the first and `limit` for the last of them.

        As many as fit: the last may be cut where it makes the sum exceed 1.1 times `size`. It has a proof if it was cut, or `start` is not
        zero; whole ranges have none. None for an unknown root or account.
        """
        ...

    async def codes(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        """Return the codes that are known, in the order of `hashes`; others are left out. That of no code is known: ``b""``."""
        ...

    async def nodes(self, root: bytes, paths: Sequence[Sequence[bytes]], *, size: int) -> Sequence[bytes]:
        """Return trie nodes by their paths, in hex-prefix encoding (snap/1, GetTrieNodes); none for an unknown root.

        Each element of `paths` is a path in the trie of accounts, or an account's hash and paths in its storage. ``b""`` stands for a node
        that is not there, and for a path that is none, so that answers keep their places; but nothing for the paths of an unknown account.
        """
        ...

    async def access_lists(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes | None]:
        """As `Chain.access_lists`, up to the one that makes the sum exceed `size`; of blocks that did not stay in the chain as well."""
        ...


def require_parts(value: object, protocol: type) -> None:
    """Raise LocalProtocolError if an object lacks something of a protocol, such as `Chain`; it says what."""
    wanted = [name for name in vars(protocol) if not name.startswith("_")]
    lacking = wanted if isinstance(value, type) else [name for name in wanted if not hasattr(value, name)]
    if lacking:
        what = f"the class {value.__name__} itself" if isinstance(value, type) else f"a {type(value).__name__}"
        hint = f'; for a public network write GenesisChain.public("{value}")' if isinstance(value, str) else ""
        raise LocalProtocolError(f"{what} is no {protocol.__name__}: it lacks {', '.join(lacking)}{hint}")
