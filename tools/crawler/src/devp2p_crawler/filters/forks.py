"""Where a node stands in the upgrades of a network, by its fork id (EIP-2124)."""

import re
from dataclasses import dataclass
from typing import Final

from devp2p.capabilities.ethereum.networks import NETWORKS, ForkId, Network

_HASH: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{8})")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """One upgrade of a network that is known by name."""

    network: Network
    place: int
    """The block or time with which it comes."""
    index: int
    """How many of the network's forks are before it; -1 if it was there from the first block."""

    @property
    def hash(self) -> bytes:
        """The fork hash of nodes that have it, and no later one."""
        return self.network.fork_hashes[self.index + 1]

    def is_ready(self, theirs: ForkId) -> bool:
        """Whether a node has it already, or stands right before it and says that it knows when it comes."""
        hashes = self.network.fork_hashes
        if theirs.hash not in hashes:
            return False
        stands = hashes.index(theirs.hash)
        return stands > self.index or (stands == self.index and theirs.next == self.place)


def network_named(name: str) -> Network:
    """A network by its name; ValueError lists those that are known."""
    if name not in NETWORKS:
        raise ValueError(f"there is no network {name[:40]!r} here; there are {', '.join(NETWORKS)}")
    return NETWORKS[name]


def parse_upgrade(text: str) -> Upgrade:
    """Read `mainnet/osaka`; ValueError says what else to write."""
    name, slash, upgrade = text.partition("/")
    if not slash:
        raise ValueError(f"NETWORK/UPGRADE is wanted, such as mainnet/osaka, not {text[:40]!r}")
    network = network_named(name)
    found = next((known for known in network.upgrades if known.lower() == upgrade.lower()), None)
    if found is None:
        raise ValueError(f"{name} has no upgrade {upgrade[:40]!r} here; it has {', '.join(network.upgrades)}")
    place = network.upgrades[found]
    forks = (*network.blocks, *network.times)
    return Upgrade(network, place, forks.index(place) if place in forks else -1)


def parse_fork_hash(text: str) -> bytes:
    """Read a fork hash, `07c9462e`, or the upgrade behind which nodes have it, `mainnet/osaka`; ValueError says what else to write."""
    if match := _HASH.fullmatch(text):
        return bytes.fromhex(match[1])
    try:
        return parse_upgrade(text).hash
    except ValueError as error:
        raise ValueError(f"{error}; or write a fork hash, 8 hex digits such as 07c9462e") from None
