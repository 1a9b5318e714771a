"""Roots and nodes of whole tries, with py-trie as the oracle, and go-ethereum's published tries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, list_root, ordered_root, trie_nodes


def oracle(leaves):
    """The trie as py-trie makes it: its root, and the nodes that can be reached from there."""
    trie = HexaryTrie({}, prune=True)
    for key, value in leaves.items():
        trie[key] = value
    return trie.root_hash, dict(trie.db)


KEYS = st.binary(max_size=4) | st.binary(min_size=32, max_size=32) | st.lists(st.sampled_from(b"\x00\x01\x10\xff"), max_size=6).map(bytes)
VALUES = st.binary(min_size=1, max_size=40) | st.binary(min_size=50, max_size=300)
LEAVES = st.dictionaries(KEYS, VALUES, max_size=24)


@settings(max_examples=60)
@given(LEAVES)
def test_root_and_nodes_are_those_of_py_trie(leaves):
    root, nodes = oracle(leaves)
    built = list(trie_nodes(sorted(leaves.items())))
    assert built[-1][:2] == ("", root)
    assert root == ordered_root(sorted(leaves.items()))
    assert all(keccak256(node) == hash_ for _, hash_, node in built)
    assert len({path for path, _, _ in built}) == len(built)
    if leaves:
        assert {hash_: node for _, hash_, node in built} == nodes


@given(LEAVES.filter(bool))
def test_nodes_are_where_they_say(leaves):
    """py-trie, too, finds a node that each key's path goes through there."""
    ordered = sorted(leaves.items())
    nodes = list(trie_nodes(ordered))
    trie = HexaryTrie({hash_: node for _, hash_, node in nodes}, nodes[-1][1])
    for path, hash_, _ in nodes:
        assert keccak256(rlp.encode(trie.traverse(tuple(int(nibble, 16) for nibble in path)).raw)) == hash_


@settings(max_examples=8)
@given(st.lists(VALUES, max_size=200))
def test_root_of_a_list_is_that_of_its_indices(values):
    assert list_root(values) == oracle({rlp.encode(index): value for index, value in enumerate(values)})[0]


def test_empty():
    assert ordered_root([]) == list_root([]) == EMPTY_ROOT == keccak256(b"\x80")
    assert list(trie_nodes([])) == [("", EMPTY_ROOT, b"\x80")]


# Facts of ethereum/tests, TrieTests/trieanyorder.json and trietest.json: leaves, and the root that all clients find.
PUBLISHED = {
    "singleItem": ({"A": "a" * 50}, "d23786fb4a010da3ce639d66d5e904a11dbc02746d1ce25029e53290cabf28ab"),
    "dogs": (
        {"doe": "reindeer", "dog": "puppy", "dogglesworth": "cat"},
        "8aad789dff2f538bca5d8ea56e8abe10f4c7ba3a5dea95fea4cd6e7c3a1168d3",
    ),
    "puppy": (
        {"do": "verb", "horse": "stallion", "doge": "coin", "dog": "puppy"},
        "5991bb8c6514148a29db676a14ac506cd2cd5775ace63c30a4fe457715e9ac84",
    ),
    "foo": ({"foo": "bar", "food": "bass"}, "17beaa1648bafa633cda809c90c04af50fc8aed3cb40d16efbddee6fdf63c4c3"),
    "smallValues": ({"be": "e", "dog": "puppy", "bed": "d"}, "3f67c7a47520f79faa29255d2d3c084a7a6df0453116ed7232ff10277a8be68b"),
    "testy": ({"test": "test", "te": "testy"}, "8452568af70d8d140f58d941338542f645fcca50094b20f3c3d8c3df49337928"),
    "hex": (
        {"0x0045": "0x0123456789", "0x4500": "0x9876543210"},
        "285505fcabe84badc8aa310e2aae17eddc7d120aabec8a476902c8184b3a3503",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_roots(name):
    def octets(text):
        return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()

    leaves, root = PUBLISHED[name]
    assert ordered_root(sorted((octets(key), octets(value)) for key, value in leaves.items())).hex() == root


REFUSED = {
    "unordered": [(b"b", b"1"), (b"a", b"1")],
    "twice": [(b"a", b"1"), (b"a", b"1")],
    "shorter after longer": [(b"ab", b"1"), (b"a", b"1")],
    "empty value": [(b"a", b"1"), (b"b", b"")],
    "only an empty value": [(b"a", b"")],
}


@pytest.mark.parametrize("name", REFUSED)
def test_leaves_that_no_trie_has_are_refused(name):
    with pytest.raises(DecodingError):
        ordered_root(REFUSED[name])
    with pytest.raises(DecodingError):
        list_root([b"1", b""])
    assert ordered_root(sorted({(key, value or b"1") for key, value in REFUSED[name]})) != EMPTY_ROOT


def test_nodes_come_while_leaves_are_read():
    """Building a state of any size holds no more than the branches above one leaf."""
    taken = 0

    def leaves():
        nonlocal taken
        for number in range(2000):
            taken += 1
            yield number.to_bytes(32), bytes(100)

    nodes = trie_nodes(leaves())
    next(nodes)
    assert taken < 3
    most = 0
    for count, _ in enumerate(nodes, 2):
        most = max(most, taken - count)
    assert most < 40
    assert taken == 2000
