"""What tells one Ethereum network from another: its first block, and when its rules changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

from devp2p import rlp

_HASH_SIZE = 32
_U64 = 2**64


@dataclass(frozen=True)
class ForkId:
    """EIP-2124: the forks that passed, as a checksum, and the next one that is known (0: none)."""

    hash: rlp.Bytes4
    next: rlp.U64

    def __str__(self) -> str:
        """As ``07c9462e``, or ``cba2a1c0, next 1767747671``."""
        return f"{self.hash.hex()}, next {self.next}" if self.next else self.hash.hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network: its ids, its first block, its forks. `Network.of` makes one of forks in any order."""

    network_id: int
    chain_id: int
    genesis: bytes
    """The hash of the first block."""
    timestamp: int
    """When that block was made, in seconds since 1970."""
    blocks: tuple[int, ...]
    """The numbers of blocks at which rules changed, in order, each once, without 0."""
    times: tuple[int, ...]
    """The times at which rules changed, in order, each once, all later than `timestamp`."""

    def __post_init__(self) -> None:
        """ValueError for forks that are not in order, and for a genesis that is no hash."""
        if len(self.genesis) != _HASH_SIZE:
            raise ValueError(f"genesis of a Network is the hash of its first block, {_HASH_SIZE} bytes, not {len(self.genesis)}")
        for name, forks, first in (("blocks", self.blocks, 0), ("times", self.times, self.timestamp)):
            if any(later <= earlier for earlier, later in pairwise((first, *forks))) or any(fork >= _U64 for fork in forks):
                raise ValueError(
                    f"{name} of a Network are in order, each once, above {first} and below 2**64, not {forks}: Network.of(...) sorts them"
                )

    @classmethod
    def of(  # noqa: PLR0913  (all by name)
        cls, *, network_id: int, chain_id: int, genesis: bytes, timestamp: int = 0, blocks: Iterable[int] = (), times: Iterable[int] = ()
    ) -> "Network":
        """Make a network of forks in any order; several may be at one place.

        Forks that were active in the first block are none in the sense of EIP-2124, and left out: those of block 0, and those whose time
        is not after `timestamp`. ValueError as the class itself.
        """
        return cls(
            network_id=network_id,
            chain_id=chain_id,
            genesis=genesis,
            timestamp=timestamp,
            blocks=tuple(sorted({number for number in blocks if number > 0})),
            times=tuple(sorted({time for time in times if time > timestamp})),
        )

    def fork_id(self, number: int, timestamp: int) -> ForkId:
        """Return the fork id of a block, usually the head, with this number and time (EIP-2124, EIP-6122)."""
        checksum = crc32(self.genesis)
        for forks, reached in ((self.blocks, number), (self.times, timestamp)):
            for fork in forks:
                if reached < fork:
                    return ForkId(checksum.to_bytes(4, "big"), fork)
                checksum = crc32(fork.to_bytes(8, "big"), checksum)
        return ForkId(checksum.to_bytes(4, "big"), 0)

    @property
    def fork_hashes(self) -> tuple[bytes, ...]:
        """The checksum before each fork, in order, and the one behind the last."""
        checksums = [crc32(self.genesis)]
        for fork in (*self.blocks, *self.times):
            checksums.append(crc32(fork.to_bytes(8, "big"), checksums[-1]))
        return tuple(checksum.to_bytes(4, "big") for checksum in checksums)
