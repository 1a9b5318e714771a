"""What tells one Ethereum network from another."""

from dataclasses import dataclass

from devp2p import rlp


@dataclass(frozen=True)
class ForkId:
    """EIP-2124: the forks that passed, as a checksum, and the next one that is known (0: none)."""

    hash: rlp.Bytes4
    next: rlp.U64


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network: its ids, its first block, its forks."""

    network_id: int
    chain_id: int
    genesis: bytes
    """The hash of the first block."""
    timestamp: int
    """When that block was made, in seconds since 1970."""
    blocks: tuple[int, ...]
    """The numbers of blocks at which rules changed, in order, without 0."""
    times: tuple[int, ...]
    """The times at which rules changed, in order, none before `timestamp`."""
