"""The data of an Ethereum chain, as its peers exchange it: blocks, tries, networks, and where a node takes them from."""

from devp2p.capabilities.ethereum.chain import Account, Chain, ChainError, Head, Range, State, require_parts
from devp2p.capabilities.ethereum.genesis_chain import GenesisChain
from devp2p.capabilities.ethereum.networks import ForkId, Network

__all__ = ["Account", "Chain", "ChainError", "ForkId", "GenesisChain", "Head", "Network", "Range", "State", "require_parts"]
