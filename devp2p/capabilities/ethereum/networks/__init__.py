"""Ethereum networks: genesis files and blocks, upgrades, fork ids (EIP-2124), and what nodes say of their network in records."""

from devp2p.capabilities.ethereum.networks.entries import (
    EthEntry,
    SnapEntry,
    advertised_fork_id,
    eth_entries,
    serves_snap,
    snap_entries,
    wants_node,
)
from devp2p.capabilities.ethereum.networks.first_headers import FIRST_HEADERS
from devp2p.capabilities.ethereum.networks.fork_ids import ForkVerdict, Place, check_fork_id
from devp2p.capabilities.ethereum.networks.genesis import Genesis, GenesisAccount, load_genesis
from devp2p.capabilities.ethereum.networks.network import BLOCK_UPGRADES, TIME_UPGRADES, BlobParameters, ForkId, Network
from devp2p.capabilities.ethereum.networks.presets import NETWORKS

__all__ = [
    "BLOCK_UPGRADES",
    "FIRST_HEADERS",
    "NETWORKS",
    "TIME_UPGRADES",
    "BlobParameters",
    "EthEntry",
    "ForkId",
    "ForkVerdict",
    "Genesis",
    "GenesisAccount",
    "Network",
    "Place",
    "SnapEntry",
    "advertised_fork_id",
    "check_fork_id",
    "eth_entries",
    "load_genesis",
    "serves_snap",
    "snap_entries",
    "wants_node",
]
