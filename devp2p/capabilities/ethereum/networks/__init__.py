"""Ethereum networks: genesis blocks, forks, fork ids (EIP-2124)."""

from devp2p.capabilities.ethereum.networks.fork_ids import ForkVerdict, Place, check_fork_id
from devp2p.capabilities.ethereum.networks.genesis import Genesis, GenesisAccount, load_genesis
from devp2p.capabilities.ethereum.networks.network import BLOCK_UPGRADES, TIME_UPGRADES, BlobParameters, ForkId, Network
from devp2p.capabilities.ethereum.networks.presets import NETWORKS

__all__ = [
    "BLOCK_UPGRADES",
    "NETWORKS",
    "TIME_UPGRADES",
    "BlobParameters",
    "ForkId",
    "ForkVerdict",
    "Genesis",
    "GenesisAccount",
    "Network",
    "Place",
    "check_fork_id",
    "load_genesis",
]
