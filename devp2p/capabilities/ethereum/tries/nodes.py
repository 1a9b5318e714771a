"""The nodes of a Merkle Patricia trie, written and read.

Follows the yellow paper, appendix D. A path is text of hexadecimal digits, one for each nibble, so that slices, comparisons and prefixes
of paths are those of text. A *reference* is a node as its parent holds it: the node itself where it has fewer than 32 bytes, else the RLP
string of its hash; ``EMPTY`` where there is none.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from devp2p import DecodingError, keccak256, rlp
from devp2p.rlp import encode_bytes, encode_list

EMPTY: Final = b"\x80"
"""The reference to no node, and the encoding of a trie without leaves."""
EMPTY_ROOT: Final = keccak256(EMPTY)
"""The root hash of a trie without leaves."""
HASHED: Final = b"\xa0"
"""What a reference by hash begins with: the head of a string of 32 bytes."""
_SIZES: Final = {EMPTY[0]: 1, HASHED[0]: 33}
"""Of nearly all items of branches, by their first byte; these need no closer look, and a branch takes a fifth of the time."""


def write_leaf(path: str, value: bytes) -> bytes:
    """Encode the leaf that holds ``value`` at the end of ``path``, the part of its key that the nodes above it do not cover."""
    compact = bytes.fromhex(("3" if len(path) % 2 else "20") + path)
    return encode_list(encode_bytes(compact) + encode_bytes(value))


def write_extension(path: str, child: bytes) -> bytes:
    """Encode the node that leads over ``path`` to the branch to which ``child`` refers."""
    compact = bytes.fromhex(f"1{path}" if len(path) % 2 else f"00{path}")
    return rlp.encode_list(rlp.encode_bytes(compact) + child)


@dataclass(frozen=True, slots=True)
class Leaf:
    """The last of its path, and the value there."""

    path: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Extension:
    """What all keys below it share, and the reference to the branch where they part."""

    path: str
    child: bytes


@dataclass(frozen=True, slots=True)
class Branch:
    """The references to its sixteen children by the next nibble, and the value of the key that ends here; empty if none does."""

    children: tuple[bytes, ...]
    value: bytes


Node: TypeAlias = Leaf | Extension | Branch


def read_node(data: bytes) -> Node:
    """Decode a node; what is none raises DecodingError. Nodes inside of it are bounded, but not yet decoded."""
    items = _items(data)
    if len(items) == 17:
        return Branch(tuple(map(_reference, items[:16])), _string(items[16]))
    if len(items) != 2:
        raise DecodingError(f"a node of {len(items)} items, where a trie has 2 or 17")
    is_leaf, path = read_path(_string(items[0]))
    if is_leaf:
        return Leaf(path, _string(items[1]))
    child = _reference(items[1])
    if child == EMPTY or not path:
        raise DecodingError("an extension that leads nowhere")
    return Extension(path, child)


def read_path(compact: bytes) -> tuple[bool, str]:
    """Decode a path from its compact form ("hex prefix encoding"): whether a leaf is at its end, and its nibbles."""
    digits = compact.hex()
    kind = digits[:1]
    if kind in {"1", "3"}:
        return kind == "3", digits[1:]
    if digits[:2] in {"00", "20"}:
        return kind == "2", digits[2:]
    raise DecodingError(f"a path that begins with {digits[:2] or 'nothing'}, where 00, 1., 20 or 3. belongs")


def _items(data: bytes) -> list[bytes]:
    """Split a list into the encodings of its items, 18 at most: more than any node has."""
    if not data:
        raise DecodingError("no bytes where a node belongs")
    at, end = rlp.list_bounds(data, 0, len(data))
    if end != len(data):
        raise DecodingError(f"{len(data) - end} bytes after a node's end")
    items = list[bytes]()
    while at < end and len(items) < 18:
        size = _SIZES.get(data[at], 0)
        if size and at + size <= end:
            items.append(data[at : at + size])
            at += size
        else:
            item, at = rlp.split_item(data, at)
            items.append(item)
    return items


def _string(item: bytes) -> bytes:
    """Return the content of an item whose bounds are right."""
    head = item[0]
    if head < 0x80:
        return item
    if head < 0xC0:
        return item[1:] if head < 0xB8 else item[head - 0xB6 :]
    raise DecodingError("a list where a path or a value belongs")


def _reference(item: bytes) -> bytes:
    """Return the item if it is a reference."""
    if item == EMPTY or (item[0] == HASHED[0] and len(item) == 33) or (item[0] >= 0xC0 and len(item) < 32):
        return item
    raise DecodingError(f"an item of {len(item)} bytes where a hash, a node of fewer than 32 bytes, or nothing belongs")
