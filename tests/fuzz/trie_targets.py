"""Fuzz targets for the nodes of tries, and for ranges with their proofs."""

import contextlib
from itertools import islice
from typing import Final

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.tries import MissingNodeError, TrieReader, check_range, full_account, slim_account, trie_nodes
from devp2p.capabilities.ethereum.tries.nodes import Extension, Leaf, read_node, write_extension, write_leaf
from tests.fuzz.discovery_targets import check_refusal

LINK: Final = b"\xa0" + bytes(32)
"""In `fuzz_forged_range`: a reference to the next node."""


def fuzz_trie_node(data: bytes) -> None:
    # Invariant: any bytes are refused as DecodingError, or are the one encoding of a node; so are the nodes in it.
    try:
        node = read_node(data)
    except DecodingError as error:
        check_refusal(error)
        return
    if isinstance(node, Leaf):
        assert write_leaf(node.path, node.value) == data
    elif isinstance(node, Extension):
        assert write_extension(node.path, node.child) == data
    else:
        assert rlp.encode_list(b"".join(node.children) + rlp.encode(node.value)) == data
    root, key = keccak256(data), bytes(32)
    reader = TrieReader({root: data}.get)
    for use in (reader.get, reader.prove, reader.node):
        with contextlib.suppress(DecodingError, MissingNodeError):
            use(root, key)
    with contextlib.suppress(DecodingError, MissingNodeError):
        leaves = list(reader.iterate(root))
        assert leaves == sorted(leaves)


def fuzz_account(data: bytes) -> None:
    # Invariant: any bytes are refused as DecodingError, or are an account that has one full form.
    try:
        full = full_account(data)
    except DecodingError as error:
        check_refusal(error)
        return
    assert full_account(slim_account(full)) == full


def fuzz_true_range(data: bytes) -> None:
    # Of a trie whose nodes are all known, a range is taken if and only if it is true. Three bytes make a leaf; their number, one start, how
    # many true leaves are given, and which of them is replaced by what, stand before.
    count, cut, at, *start = data[:5].ljust(5, b"\0")
    made = [(data[i : i + 2], bytes(1 + data[i + 2] % 40)) for i in range(5, len(data) - 2, 3)]
    leaves = sorted(dict(made[: count % 32]).items())
    nodes = list(trie_nodes(leaves))
    root = nodes[-1][1]
    true = [leaf for leaf in leaves if leaf[0] >= bytes(start)]
    given = true[:cut]
    lies = made[count % 32 :]
    given[at:at] = lies[:1]
    if len(lies) > 1:
        del given[at + 1 : at + len(lies)]
    is_true = given == true[: len(given)] and (bool(given) or not true)
    try:
        more = check_range(root, bytes(start), given, [node for _, _, node in nodes])
    except DecodingError as error:
        check_refusal(error)
        assert not is_true
    else:
        assert is_true
        assert more == (len(given) < len(true))


def fuzz_forged_range(data: bytes) -> None:
    # Whatever nodes a root stands for: what is taken is what one reads there. How many leaves, then each as its key, size and value, then a
    # start, then nodes, each behind its size; `LINK` in a node is a reference to the next.
    at, leaves, proof = 1, list[tuple[bytes, bytes]](), list[bytes]()
    for _ in range(data[0] % 8 if data else 0):
        size = data[at + 2] if at + 2 < len(data) else 0
        leaves.append((data[at : at + 2], data[at + 3 : at + 3 + size]))
        at += 3 + size
    start = data[at : at + 2]
    at += 2
    while at < len(data):
        proof.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    link = LINK
    for index in range(len(proof) - 1, -1, -1):
        proof[index] = proof[index].replace(LINK, link)
        link = b"\xa0" + keccak256(proof[index])
    try:
        check_range(link[1:], start, leaves, proof)
    except DecodingError as error:
        check_refusal(error)
        return
    reader = TrieReader({keccak256(node): node for node in proof}.get)
    there = reader.iterate(link[1:], start)
    with contextlib.suppress(MissingNodeError):
        assert list(islice(there, len(leaves) or 1)) == leaves
