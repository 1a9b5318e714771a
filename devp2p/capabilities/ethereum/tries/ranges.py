"""Proofs that some leaves are all that a trie has from a key on, up to the last of them (snap, "Synchronization algorithm").

A proof holds the nodes on the way to two keys: where the range starts, and its last leaf. What hangs from these two ways on the outside,
to the left of the first and to the right of the other, is known by its hash. With the leaves in between these are the parts of the whole
trie, and put together they must have its root hash. Nothing inside of the range is taken from the proof, so if the root is right, the
trie has no leaf there but those that were given. That is all the security there is, and it does not depend on what else a proof holds.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from devp2p import DecodingError, keccak256
from devp2p.capabilities.ethereum.tries.building import Part, join
from devp2p.capabilities.ethereum.tries.nodes import EMPTY, EMPTY_ROOT, Branch, Leaf
from devp2p.capabilities.ethereum.tries.reading import MissingNodeError, TrieReader

_STEP = 32
"""How many nodes of the proof, or leaves, are taken in a step."""


def check_range(root: bytes, start: bytes, leaves: Sequence[tuple[bytes, bytes]], proof: Iterable[bytes]) -> bool:
    """Check that ``leaves``, as (key, value), are all that the trie with this root hash has from ``start`` to the last of them.

    Without leaves, that it has none from ``start`` on; without a proof, that the leaves are the whole trie. All keys have the length of
    ``start``. Nodes of the proof that are not needed are ignored.

    Returns whether the trie has more leaves behind the last. Raises DecodingError, which says why, if the leaves are not proved. It takes
    4 ms for 1,000 accounts; where that is too long, use ``check_range_in_steps``.
    """
    steps = check_range_in_steps(root, start, leaves, proof)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return bool(done.value)


def check_range_in_steps(
    root: bytes, start: bytes, leaves: Sequence[tuple[bytes, bytes]], proof: Iterable[bytes]
) -> Generator[None, None, bool]:
    """Check as ``check_range`` does, by a generator that yields after every 32 leaves, about 0.3 ms, and returns the result."""
    if leaves and leaves[0][0] < start:
        raise DecodingError(f"a leaf before the start of the range, {start.hex()}")
    nodes = dict[bytes, bytes]()
    for count, node in enumerate(proof, 1):
        nodes[keccak256(node)] = node
        if count % _STEP == 0:
            yield
    parts: Iterable[Part] = _parts(leaves, len(start))
    is_more = False
    if nodes:
        reader = TrieReader(nodes.get)
        first = _edge(reader, root, start)
        if not leaves:
            if first.is_leaf or first.right:
                raise DecodingError(f"no leaves, although the trie has some from {start.hex()} on")
            return False
        last = _edge(reader, root, leaves[-1][0])
        if not last.is_leaf:
            raise DecodingError("a proof which says that the last leaf is not in the trie")
        parts = chain(first.left, parts, reversed(last.right))
        is_more = bool(last.right)
    found = EMPTY_ROOT
    for count, made in enumerate(join(parts), 1):
        if made:
            found = made[-1][1]
        if count % _STEP == 0:
            yield
    if found != root:
        raise DecodingError(f"leaves that make a trie with the root {found.hex()}, not {root.hex()}")
    return is_more


def _parts(leaves: Iterable[tuple[bytes, bytes]], size: int) -> Iterator[Part]:
    for key, value in leaves:
        if len(key) != size:
            raise DecodingError(f"a key of {len(key)} bytes among keys of {size}")
        yield key.hex(), value, False


class _Edge(NamedTuple):
    """What hangs from the way to a key, to its left, and to its right in descending order; and whether a leaf is at its end."""

    left: list[Part]
    right: list[Part]
    is_leaf: bool


def _edge(reader: TrieReader, root: bytes, key: bytes) -> _Edge:
    path = key.hex()
    left, right, is_leaf = list[Part](), list[Part](), False
    try:
        for at, reference, _, node in reader.walk(root, path):
            above, rest = path[:at], path[at:]
            if isinstance(node, Branch):
                if node.value or not rest:
                    raise DecodingError(f"a node at {above or 'the root'} for keys of several lengths")
                way = int(rest[0], 16)
                children = [(f"{above}{nibble:x}", child, True) for nibble, child in enumerate(node.children)]
                left += [part for part in children[:way] if part[1] != EMPTY]
                right += [part for part in children[:way:-1] if part[1] != EMPTY]
            elif isinstance(node, Leaf) and node.path == rest:
                is_leaf = True
            elif isinstance(node, Leaf) or not rest.startswith(node.path):
                (left if node.path < rest else right).append((above, reference, True))
    except MissingNodeError as error:
        raise DecodingError(f"a proof without the node at {error.path or 'the root'}") from error
    return _Edge(left, right, is_leaf)
