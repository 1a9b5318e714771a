"""The nodes of a Merkle Patricia trie, written and read.

Follows the yellow paper, appendix D. A path is text of hexadecimal digits, one for each nibble, so that slices, comparisons and prefixes
of paths are those of text. A *reference* is a node as its parent holds it: the node itself where it has fewer than 32 bytes, else the RLP
string of its hash; ``EMPTY`` where there is none.
"""

from typing import Final

from devp2p import keccak256, rlp

EMPTY: Final = b"\x80"
"""The reference to no node, and the encoding of a trie without leaves."""
EMPTY_ROOT: Final = keccak256(EMPTY)
"""The root hash of a trie without leaves."""
HASHED: Final = b"\xa0"
"""What a reference by hash begins with: the head of a string of 32 bytes."""


def write_leaf(path: str, value: bytes) -> bytes:
    """Encode the leaf that holds ``value`` at the end of ``path``, the part of its key that the nodes above it do not cover."""
    compact = bytes.fromhex(f"3{path}" if len(path) % 2 else f"20{path}")
    return rlp.encode_list(rlp.encode_bytes(compact) + rlp.encode_bytes(value))


def write_extension(path: str, child: bytes) -> bytes:
    """Encode the node that leads over ``path`` to the branch to which ``child`` refers."""
    compact = bytes.fromhex(f"1{path}" if len(path) % 2 else f"00{path}")
    return rlp.encode_list(rlp.encode_bytes(compact) + child)
