"""From leaves in the order of their keys to the nodes of their trie: in one pass, with no more in memory than lies above one leaf.

Where the keys of two neighbours part, there is a branch. So the depths at which a leaf's key parts from the keys before and after it say
where the leaf hangs, only the branches above the last leaf are open, and each is written when a key comes that lies outside of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final, TypeAlias

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.tries.nodes import EMPTY, EMPTY_ROOT, HASHED, write_extension, write_leaf

Part: TypeAlias = tuple[str, bytes, bool]
"""A part of a trie: its path; the value of the leaf there, or, if the third is True, the reference to a node with all that is below it."""
TrieNode: TypeAlias = tuple[str, bytes, bytes]
"""Where in the trie a node is, by the nibbles above it; its hash; itself."""
_VALUE: Final = 16
"""The place in a branch for the value of the key that ends there."""
_NIBBLES: Final = {f"{nibble:x}": nibble for nibble in range(16)}
"""What digits of paths stand for: `int` would take four times as long."""


def ordered_root(leaves: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the root hash of the trie of ``leaves``, which are (key, value) in the order of their keys.

    Raises DecodingError if a key does not come after the one before, or if a value is empty: no trie has such leaves.
    """
    root = EMPTY_ROOT
    for _, hash_, _ in trie_nodes(leaves):
        root = hash_
    return root


def list_root(values: Sequence[bytes]) -> bytes:
    """Return the root hash of a list, whose keys are the indices in RLP, as headers have it of transactions and receipts.

    Raises DecodingError if a value is empty.
    """
    count = len(values)
    ascending = chain(range(1, min(count, 0x80)), range(min(count, 1)), range(0x80, count))  # 0 is 80 in RLP, behind 7f and before 8180
    root = EMPTY_ROOT
    for made in join([(_path_of(index), values[index], False) for index in ascending]):
        if made:
            root = made[-1][1]
    return root


@lru_cache(maxsize=4096)  # the same few in every block
def _path_of(index: int) -> str:
    return rlp.encode(index).hex()


def trie_nodes(leaves: Iterable[tuple[bytes, bytes]]) -> Iterator[TrieNode]:
    """Yield every node of the trie of ``leaves`` as (path, hash, node): each after those below it, so that the root is the last.

    Nodes of fewer than 32 bytes are part of their parents and do not come alone, but for the root, whose path is "". Raises as
    ``ordered_root`` does.
    """
    return chain.from_iterable(join((key.hex(), value, False) for key, value in leaves))


def join(parts: Iterable[Part]) -> Iterator[list[TrieNode]]:
    """Take the parts of a trie in the order of their paths, and yield after each the nodes that need nothing of those that follow.

    It is one list, emptied when the next is asked for. The nodes come as those of ``trie_nodes`` do. Raises DecodingError if the parts
    are out of order, or if there is no trie that consists of them.
    """
    coming = iter(parts)
    part = next(coming, None)
    if part is None:
        yield [("", EMPTY_ROOT, EMPTY)]
    path = ""
    made: list[TrieNode] = []
    depths = [-1]  # of the open branches, each in the one before; -1 is above the root
    branches: list[list[bytes]] = []  # what they refer to

    def refer(node: bytes, at: int) -> bytes:
        if len(node) < 32 and at:
            return node
        hash_ = keccak256(node)
        made.append((path[:at], hash_, node))
        return HASHED + hash_

    while part is not None:
        path, content, is_sealed = part
        part = next(coming, None)
        fork = -1 if part is None else _fork(path, part[0])
        if fork > depths[-1]:
            depths.append(fork)
            branches.append([EMPTY] * 17)
        depth = depths[-1]
        if is_sealed:
            if len(path) != depth + 1 or depth < 0:
                raise DecodingError(f"a single node, at {path}, where two or more should make a branch")
            branches[-1][_NIBBLES[path[depth]]] = content
        elif not content:
            raise DecodingError(f"an empty value at {path}, and a trie has none")
        elif len(path) == depth:
            branches[-1][_VALUE] = rlp.encode_bytes(content)
        else:
            reference = refer(write_leaf(path[depth + 1 :], content), depth + 1)
            if depth >= 0:
                branches[-1][_NIBBLES[path[depth]]] = reference
        while depths[-1] > fork:
            depth = depths.pop()
            reference = refer(rlp.encode_list(b"".join(branches.pop())), depth)
            if fork > depths[-1]:
                depths.append(fork)
                branches.append([EMPTY] * 17)
            above = depths[-1]
            if depth > above + 1:
                reference = refer(write_extension(path[above + 1 : depth], reference), above + 1)
            if above >= 0:
                branches[-1][_NIBBLES[path[above]]] = reference
        yield made
        made.clear()


def _fork(path: str, following: str) -> int:
    """Return how many nibbles a path shares with the one that comes after it."""
    if following <= path:
        raise DecodingError(f"{following} after {path}: keys must ascend")
    shared = 0
    for mine, theirs in zip(path, following, strict=False):
        if mine != theirs:
            break
        shared += 1
    return shared
