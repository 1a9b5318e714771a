"""Merkle Patricia tries (yellow paper, appendix D): their roots, reading them, and proofs of ranges of their leaves (snap).

    list_root(transactions)                          # as a header has it
    for path, hash, node in trie_nodes(leaves): ...  # all nodes of a trie, to be stored
    check_range(root, start, leaves, proof)          # whether there is more; DecodingError if it is a lie
    TrieReader(nodes.get).prove(root, key)

    nodes.py accounts.py    nodes, and the accounts that are the leaves of states, written and read
    building.py     from sorted leaves to roots and nodes
    reading.py      leaves and proofs, from nodes by their hashes
    ranges.py       what snap proves of a range of leaves

Building is one pass over leaves in the order of their keys. It is 20 to 30 times as fast as py-trie (4.0, `HexaryTrie`: 200 transactions
14 to 22 ms, here 0.7; 4,000 accounts 420 to 700 ms, here 16 to 20), which also has no proofs of ranges; so it serves as the oracle of the
tests, and is not used here.
"""

from devp2p.capabilities.ethereum.tries.accounts import EMPTY_CODE, full_account, read_slim_account, slim_account
from devp2p.capabilities.ethereum.tries.building import list_root, ordered_root, trie_nodes
from devp2p.capabilities.ethereum.tries.nodes import EMPTY_ROOT
from devp2p.capabilities.ethereum.tries.ranges import check_range, check_range_in_steps
from devp2p.capabilities.ethereum.tries.reading import MissingNodeError, TrieReader

__all__ = [
    "EMPTY_CODE",
    "EMPTY_ROOT",
    "MissingNodeError",
    "TrieReader",
    "check_range",
    "check_range_in_steps",
    "full_account",
    "list_root",
    "ordered_root",
    "read_slim_account",
    "slim_account",
    "trie_nodes",
]
