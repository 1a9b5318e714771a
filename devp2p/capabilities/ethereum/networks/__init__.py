"""Ethereum networks: genesis blocks, forks, fork ids (EIP-2124)."""

from devp2p.capabilities.ethereum.networks.network import ForkId, Network

__all__ = ["ForkId", "Network"]
