"""Where nodes stand in the upgrades of their network, as the fork ids of their Status messages tell (EIP-2124, EIP-6122)."""

from functools import cache
from typing import Final

from devp2p.capabilities.ethereum.networks import NETWORKS, Network
from devp2p_crawler.figures.findings import Readiness

_EVERY_BLOCK: Final = 2**63
_BY_GENESIS: Final = {network.genesis: name for name, network in NETWORKS.items()}


def network_name(genesis: bytes | None) -> str | None:
    """The name of a network that we know, by its first block."""
    return _BY_GENESIS.get(genesis) if genesis is not None else None


def readiness(name: str | None, fork_hash: bytes | None, fork_next: int | None, at: int) -> Readiness:
    """What a fork id says of the upgrade that comes next at a time, in seconds since 1970, on a network that we know by name."""
    if name is None or fork_hash is None or fork_next is None:
        return Readiness.UNKNOWN
    network = NETWORKS[name]
    hashes, forks = _hashes(network), (*network.blocks, *network.times)
    if fork_hash not in hashes:
        return Readiness.UNKNOWN
    stands, reached = hashes.index(fork_hash), hashes.index(network.fork_id(_EVERY_BLOCK, at).hash)
    coming = forks[stands] if stands < len(forks) else 0
    if stands < reached:
        return Readiness.SYNCING if fork_next == coming else Readiness.STALE
    if stands > reached or fork_next == coming:
        return Readiness.READY
    return Readiness.UNREADY if coming else Readiness.UNKNOWN


def upgrade_names(name: str | None, fork_hash: bytes) -> tuple[str, str]:
    """Which upgrade of a network that we know is behind nodes with this fork hash, and which one comes next; "" where none is known."""
    if name is None or fork_hash not in (hashes := _hashes(NETWORKS[name])):
        return "", ""
    network = NETWORKS[name]
    forks, stands = (*network.blocks, *network.times), hashes.index(fork_hash)
    names = {place: upgrade for upgrade, place in network.upgrades.items()}
    past = names.get(forks[stands - 1], "") if stands else "genesis"
    return past, names.get(forks[stands], "") if stands < len(forks) else ""


@cache
def _hashes(network: Network) -> tuple[bytes, ...]:
    return network.fork_hashes
