"""What tells one Ethereum network from another: its first block, and when its rules changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final
from zlib import crc32

from devp2p import rlp

BLOCK_UPGRADES: Final = (
    "homestead",
    "daoFork",
    "eip150",
    "eip155",
    "eip158",
    "byzantium",
    "constantinople",
    "petersburg",
    "istanbul",
    "muirGlacier",
    "berlin",
    "london",
    "arrowGlacier",
    "grayGlacier",
    "mergeNetsplit",
)
"""Changes of the rules that come with a block of some number, in their order, as go-ethereum's genesis files call them."""
TIME_UPGRADES: Final = (
    "shanghai",
    "cancun",
    "prague",
    "osaka",
    "bpo1",
    "bpo2",
    "bpo3",
    "bpo4",
    "bpo5",
    "amsterdam",
    "bogota",
    "ubt",
)
"""Those that come with the first block at some time, in their order."""

_HASH_SIZE = 32
_U64 = 2**64
_NAMES = frozenset((*BLOCK_UPGRADES, *TIME_UPGRADES))


@dataclass(frozen=True)
class ForkId:
    """EIP-2124: the forks that passed, as a checksum, and the next one that is known (0: none)."""

    hash: rlp.Bytes4
    next: rlp.U64

    def __str__(self) -> str:
        """As ``07c9462e``, or ``cba2a1c0, next 1767747671``."""
        return f"{self.hash.hex()}, next {self.next}" if self.next else self.hash.hex()


@dataclass(frozen=True, slots=True)
class BlobParameters:
    """How many blobs a block has (EIP-7840)."""

    target: int
    max: int
    update_fraction: int
    """How slowly the fee for blobs moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network: its ids, its first block, its forks. `Network.of` makes one of upgrades with names, or of forks in any order."""

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
    upgrades: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    """The block or the time with which each upgrade comes, those of the first block included, as far as they are known by name."""
    blob_schedule: Mapping[str, BlobParameters] = field(default_factory=dict[str, BlobParameters], hash=False)
    """What upgrades set for blobs, by the upgrade's name."""

    def __post_init__(self) -> None:
        """ValueError for forks that are not in order, and for a genesis that is no hash."""
        if len(self.genesis) != _HASH_SIZE:
            raise ValueError(f"genesis of a Network is the hash of its first block, {_HASH_SIZE} bytes, not {len(self.genesis)}")
        for name, forks, first in (("blocks", self.blocks, 0), ("times", self.times, self.timestamp)):
            if any(later <= earlier for earlier, later in pairwise((first, *forks))) or any(fork >= _U64 for fork in forks):
                raise ValueError(
                    f"{name} of a Network are in order, each once, above {first} and below 2**64, not {forks}: Network.of(...) sorts them"
                )
        for upgrade in self.upgrades:
            _check_name(upgrade)

    @classmethod
    def of(  # noqa: PLR0913  (all by name)
        cls,
        *,
        network_id: int,
        chain_id: int,
        genesis: bytes,
        timestamp: int = 0,
        blocks: Iterable[int] = (),
        times: Iterable[int] = (),
        upgrades: Mapping[str, int] | None = None,
        blob_schedule: Mapping[str, BlobParameters] | None = None,
    ) -> "Network":
        """Make a network of forks in any order, several of which may be at one place; `blocks` and `times` are for those without names.

        Forks that were active in the first block are none in the sense of EIP-2124, and left out of `blocks` and `times`: those of block 0,
        and those whose time is not after `timestamp`. ValueError as the class itself.
        """
        upgrades = {} if upgrades is None else dict(upgrades)
        numbers = {*blocks, *(place for name, place in upgrades.items() if name not in TIME_UPGRADES)}
        moments = {*times, *(place for name, place in upgrades.items() if name in TIME_UPGRADES)}
        return cls(
            network_id=network_id,
            chain_id=chain_id,
            genesis=genesis,
            timestamp=timestamp,
            blocks=tuple(sorted(number for number in numbers if number > 0)),
            times=tuple(sorted(moment for moment in moments if moment > timestamp)),
            upgrades=upgrades,
            blob_schedule={} if blob_schedule is None else dict(blob_schedule),
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

    def is_active(self, upgrade: str, number: int, timestamp: int) -> bool:
        """Whether a block of this number and time has the rules of an upgrade, one of `BLOCK_UPGRADES` or `TIME_UPGRADES`.

        No upgrade by time is active before London, and Petersburg comes with Constantinople where nothing else is said, as go-ethereum has
        it. ValueError for an unknown name.
        """
        _check_name(upgrade)
        place = self.upgrades.get(upgrade)
        if place is None:
            return upgrade == "petersburg" and self.is_active("constantinople", number, timestamp)
        if upgrade in BLOCK_UPGRADES:
            return number >= place
        return timestamp >= place and self.is_active("london", number, timestamp)

    def blobs(self, number: int, timestamp: int) -> BlobParameters | None:
        """How many blobs a block of this number and time may have; None before Cancun, or where `blob_schedule` does not say."""
        found = None
        for upgrade in TIME_UPGRADES:
            if upgrade in self.blob_schedule and self.is_active(upgrade, number, timestamp):
                found = self.blob_schedule[upgrade]
        return found


def _check_name(upgrade: str) -> None:
    if upgrade not in _NAMES:
        raise ValueError(f"there is no upgrade {upgrade!r}; they are {', '.join((*BLOCK_UPGRADES, *TIME_UPGRADES))}")
