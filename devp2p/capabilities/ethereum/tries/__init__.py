"""Merkle Patricia tries: roots of leaves and lists."""

from devp2p.capabilities.ethereum.tries.building import list_root, ordered_root, trie_nodes
from devp2p.capabilities.ethereum.tries.nodes import EMPTY_ROOT

__all__ = ["EMPTY_ROOT", "list_root", "ordered_root", "trie_nodes"]
