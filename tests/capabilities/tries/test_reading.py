"""Reading tries from their nodes, with py-trie as the oracle; nodes that are missing or damaged."""

from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, MissingNodeError, TrieReader
from tests.capabilities.tries.range_cases import EMBEDDED, LAST, LONE, MANY, ZERO, Trie, moved

KEYS = st.binary(max_size=3) | st.lists(st.sampled_from(b"\x00\x01\x10\xff"), max_size=4).map(bytes)
TRIES = st.dictionaries(KEYS, st.binary(min_size=1, max_size=3) | st.binary(min_size=30, max_size=40), max_size=20).map(Trie)


@settings(max_examples=60)
@given(TRIES, KEYS)
def test_leaves_and_proofs_are_those_of_py_trie(trie, key):
    oracle = HexaryTrie(trie.nodes, trie.root)
    leaves = dict(trie.leaves)
    for each in (key, *leaves):
        assert trie.reader.get(trie.root, each) == leaves.get(each)
        encoded = [rlp.encode(node) for node in oracle.get_proof(each)] if leaves else []
        assert trie.reader.prove(trie.root, each) == [node for at, node in enumerate(encoded) if not at or len(node) >= 32]
        assert list(trie.reader.iterate(trie.root, each)) == [leaf for leaf in trie.leaves if leaf[0] >= each]
    assert tuple(trie.reader.iterate(trie.root)) == trie.leaves


def compact(nibbles, *, is_leaf=False):
    return bytes.fromhex(f"{3 if is_leaf else 1}{nibbles}" if len(nibbles) % 2 else f"{2 if is_leaf else 0}0{nibbles}")


@settings(max_examples=60)
@given(TRIES)
def test_nodes_are_found_by_their_paths(trie):
    """All that have hashes, and nothing where there is none, though a node begins above and ends below."""
    oracle = HexaryTrie(trie.nodes, trie.root)
    paths = {""} | {key.hex()[:size] for key, _ in trie.leaves for size in range(9)}
    found = {path: trie.reader.node(trie.root, compact(path)) for path in paths}
    assert {keccak256(node) for node in found.values() if node} == (trie.nodes.keys() if trie.leaves else set())
    for path, node in found.items():
        if node:
            assert rlp.encode(oracle.traverse(tuple(int(nibble, 16) for nibble in path)).raw) == node
        assert trie.reader.node(trie.root, compact(path, is_leaf=True)) == b""


@pytest.mark.parametrize("path", [b"", b"\x01", b"\x40", b"\x2f", b"\x00" * 60, b"\xff" * 33, bytes([0x30])])
def test_a_path_that_is_none_leads_to_no_node(path):
    assert MANY.reader.node(MANY.root, path) == b""
    assert MANY.reader.node(MANY.root, b"\x00") == MANY.nodes[MANY.root]


def test_an_empty_trie_needs_no_nodes():
    reader = TrieReader(dict[bytes, bytes]().get)
    assert reader.get(EMPTY_ROOT, ZERO) is None
    assert not list(reader.iterate(EMPTY_ROOT))
    assert not reader.prove(EMPTY_ROOT, ZERO)
    assert reader.node(EMPTY_ROOT, b"\x00") == b""


USES = {
    "get": lambda reader, root, key: reader.get(root, key),
    "iterate": lambda reader, root, key: list(reader.iterate(root, key)),
    "prove": lambda reader, root, key: reader.prove(root, key),
    "node": lambda reader, root, key: reader.node(root, compact(key.hex())),
}


@pytest.mark.parametrize("use", USES)
def test_a_missing_node_is_named_with_its_place(use):
    key = MANY.leaves[100][0]
    missing = MANY.reader.prove(MANY.root, key)[1]
    nodes = {hash_: node for hash_, node in MANY.nodes.items() if node != missing}
    with pytest.raises(MissingNodeError) as error:
        USES[use](TrieReader(nodes.get), MANY.root, key)
    assert (error.value.hash, error.value.path) == (keccak256(missing), key.hex()[:1])
    assert f"{keccak256(missing).hex()} at {key.hex()[:1]} is missing" in str(error.value)
    USES[use](TrieReader(MANY.nodes.get), MANY.root, key)


@pytest.mark.parametrize("use", USES)
def test_a_damaged_node_is_a_decoding_error(use):
    key = MANY.leaves[100][0]
    damaged = keccak256(MANY.reader.prove(MANY.root, key)[1])
    with pytest.raises(DecodingError):
        USES[use](TrieReader((MANY.nodes | {damaged: b"\xc1\x80"}).get), MANY.root, key)


@pytest.mark.parametrize("use", USES)
def test_nodes_that_lead_back_to_themselves_come_to_an_end(use):
    """A store may be damaged so that a hash leads to another node."""
    to_itself = rlp.encode([b"\xaa" * 32, *[b""] * 16])
    extended = rlp.encode([b"\x00\x00", b"\xaa" * 32])
    for node in (to_itself, extended):
        reader = TrieReader({b"\xaa" * 32: node}.get)
        with pytest.raises(DecodingError, match="deeper") if use == "iterate" else nullcontext():
            USES[use](reader, b"\xaa" * 32, ZERO)


def test_to_read_on_from_a_key_takes_the_nodes_above_it():
    read = list[bytes]()

    def get(hash_: bytes) -> bytes:
        read.append(hash_)
        return MANY.nodes[hash_]

    reader = TrieReader(get)
    assert next(reader.iterate(MANY.root, MANY.leaves[250][0])) == MANY.leaves[250]
    assert read == [keccak256(node) for node in MANY.reader.prove(MANY.root, MANY.leaves[250][0])]


def test_leaves_of_embedded_nodes_are_read():
    assert tuple(EMBEDDED.reader.iterate(EMBEDDED.root)) == EMBEDDED.leaves
    assert len(EMBEDDED.nodes) == 2
    assert EMBEDDED.reader.node(EMBEDDED.root, compact("0" * 63 + "1")) == b""


def test_a_proof_tells_that_a_key_is_not_there():
    assert LONE.reader.prove(LONE.root, LAST) == [LONE.nodes[LONE.root]]
    key = moved(MANY.leaves[100][0], 1)
    proof = {keccak256(node): node for node in MANY.reader.prove(MANY.root, key)}
    assert TrieReader(proof.get).get(MANY.root, key) is None
    assert TrieReader(proof.get).get(MANY.root, MANY.leaves[100][0]) == MANY.leaves[100][1]
