"""Tries whose nodes lie somewhere by their hashes: their leaves, and the nodes that prove them."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from devp2p import DecodingError, Devp2pError
from devp2p.capabilities.ethereum.tries.nodes import EMPTY, EMPTY_ROOT, HASHED, Branch, Extension, Leaf, Node, read_node, read_path

_DEEPEST: Final = 64
"""How many nibbles the keys of states, and of lists of blocks, have at most."""


class MissingNodeError(Devp2pError):
    """A node of a trie is not there; ``hash`` says which, ``path`` where in the trie."""

    def __init__(self, hash_: bytes, path: str) -> None:
        super().__init__(f"the trie node {hash_.hex()} at {path or 'the root'} is missing")
        self.hash = hash_
        self.path = path


class Step(NamedTuple):
    """One node of those that one passes on the way to a key."""

    at: int
    """How many nibbles of the key lie above it."""
    reference: bytes
    encoded: bytes
    node: Node


class TrieReader:
    """Reads tries out of ``get``, which returns the node with a hash, or None; it is believed that the node has that hash.

    All methods take the root hash of the trie. They raise MissingNodeError for a node that ``get`` lacks, and DecodingError for one that is
    damaged. What ``get`` raises goes through.
    """

    def __init__(self, get: Callable[[bytes], bytes | None]) -> None:
        self._get = get

    def get(self, root: bytes, key: bytes) -> bytes | None:
        """Return the value of a key; None if the trie lacks it."""
        path = key.hex()
        for at, _, _, node in self.walk(root, path):
            if isinstance(node, Leaf) and node.path == path[at:]:
                return node.value
            if isinstance(node, Branch) and at == len(path):
                return node.value or None
        return None

    def iterate(self, root: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the leaves from ``start`` on as (key, value), in the order of their keys, which have 32 bytes at most."""
        lowest = start.hex()
        ahead = [("", _reference_to(root))]
        while ahead:
            path, reference = ahead.pop()
            if reference == EMPTY or path < lowest[: len(path)]:
                continue
            node = read_node(self._resolve(reference, path))
            value = b""
            if isinstance(node, Branch):
                ahead.extend((f"{path}{nibble:x}", node.children[nibble]) for nibble in range(15, -1, -1))
                value = node.value
            elif isinstance(node, Extension):
                path += node.path
                ahead.append((path, node.child))
            else:
                path += node.path
                value = node.value
            if len(path) > _DEEPEST:
                raise DecodingError(f"a trie that is deeper than {_DEEPEST} nibbles, at {path}")
            if value and path >= lowest:
                yield _key(path), value

    def prove(self, root: bytes, key: bytes) -> list[bytes]:
        """Return the nodes that prove the value of a key, or that there is none: those on its path that have hashes, from the root on."""
        return [step.encoded for step in self.walk(root, key.hex()) if step.reference[:1] == HASHED]

    def node(self, root: bytes, path: bytes) -> bytes:
        """Return the node at a path, which is in its compact form (snap/1, "GetTrieNodes"); empty if there is no node with a hash."""
        try:
            is_leaf, nibbles = read_path(path)
        except DecodingError:
            return b""
        for at, reference, encoded, _ in self.walk(root, nibbles):
            if at == len(nibbles) and reference[:1] == HASHED and not is_leaf:
                return encoded
        return b""

    def walk(self, root: bytes, path: str) -> Iterator[Step]:
        """Yield the nodes on the way from the root to ``path``, as far as it leads: at most one more than ``path`` has nibbles."""
        at, reference = 0, _reference_to(root)
        while reference != EMPTY:
            encoded = self._resolve(reference, path[:at])
            node = read_node(encoded)
            yield Step(at, reference, encoded, node)
            if isinstance(node, Branch) and at < len(path):
                reference = node.children[int(path[at], 16)]
                at += 1
            elif isinstance(node, Extension) and path.startswith(node.path, at):
                reference = node.child
                at += len(node.path)
            else:
                return

    def _resolve(self, reference: bytes, path: str) -> bytes:
        if reference[:1] != HASHED:
            return reference
        encoded = self._get(reference[1:])
        if encoded is None:
            raise MissingNodeError(reference[1:], path)
        return encoded


def _reference_to(root: bytes) -> bytes:
    return EMPTY if root == EMPTY_ROOT else HASHED + root


def _key(path: str) -> bytes:
    if len(path) % 2:
        raise DecodingError(f"a key of half a byte, {path}")
    return bytes.fromhex(path)
