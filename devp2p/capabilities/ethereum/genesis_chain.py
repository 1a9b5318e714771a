"""A chain of one block: what a node has to begin with, and all that one needs that only asks."""

from collections.abc import Sequence

from devp2p import rlp
from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.chain import Head
from devp2p.capabilities.ethereum.networks import FIRST_HEADERS, NETWORKS, Genesis, Network

_NO_ACCESSES = rlp.encode([])


class GenesisChain:
    """The first block of a network: a `Chain`. It tells peers which network it is, and that it has no other block."""

    def __init__(self, network: Network, header: Header) -> None:
        """ValueError if `header` is not that of the network's first block."""
        if header.hash != network.genesis:
            raise ValueError(f"the network's first block is {network.genesis.hex()}, and this header is of {header.hash.hex()}")
        self.network: Network = network
        self.header: Header = header
        self.head: Head = Head(header.number, header.hash, header.timestamp, header.number)

    @classmethod
    def of(cls, genesis: Genesis) -> "GenesisChain":
        """Make the chain of a network of one's own: ``GenesisChain.of(load_genesis("genesis.json"))``."""
        return cls(genesis.network, genesis.header)

    @classmethod
    def public(cls, name: str) -> "GenesisChain":
        """Make the chain of a public network, by a name of `NETWORKS`; ValueError for any other."""
        if name not in NETWORKS:
            raise ValueError(f"there is no public network {name!r} here; they are {', '.join(NETWORKS)}")
        return cls(NETWORKS[name], FIRST_HEADERS[name])

    async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:  # noqa: ARG002
        """As `Chain.headers`."""
        return (self.header.raw,) if count and start in {self.head.number, self.head.hash} else ()

    async def bodies(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        """As `Chain.bodies`."""
        body = rlp.encode([[], []] if self.header.withdrawals_root is None else [[], [], []])
        return (body,) * _fitting(hashes.count(self.head.hash), len(body), size)

    async def receipts(self, hashes: Sequence[bytes], *, size: int) -> Sequence[Sequence[bytes]]:
        """As `Chain.receipts`."""
        known = next((index for index, hash_ in enumerate(hashes) if hash_ != self.head.hash), len(hashes))
        return ((),) * _fitting(known, 1, size)

    async def access_lists(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes | None]:
        """As `Chain.access_lists`."""
        own = None if self.header.access_list_hash is None else _NO_ACCESSES
        return [own if hash_ == self.head.hash else None for hash_ in hashes[: _fitting(len(hashes), 1, size)]]


def _fitting(count: int, each: int, size: int) -> int:
    """How many of equally large items fit, the first of which always does."""
    return min(count, max(1, size // each))
