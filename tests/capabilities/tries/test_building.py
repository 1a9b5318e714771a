"""Roots and nodes of whole tries, with py-trie as the oracle, and go-ethereum's published tries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, full_account, list_root, ordered_root, trie_nodes


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


def octets(text):
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


# Facts of ethereum/tests, TrieTests (trieanyorder.json, trietest.json): the leaves that are left, and the root that all clients find.
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
    "insert-middle-leaf": (
        {
            "key1aa": "0123456789012345678901234567890123456789xxx",
            "key1": "0123456789012345678901234567890123456789Very_Long",
            "key2bb": "aval3",
            "key2": "short",
            "key3cc": "aval3",
            "key3": "1234567890123456789012345678901",
        },
        "cb65032e2f76c48b82b5c24b3db8f670ce73982869d38cd39a624f23d62a9e89",
    ),
    "jeff": (
        {
            "0x" + "45".zfill(64): "0x22b224a1420a802ab51d326e29fa98e34c4f24ea",
            "0x" + "46".zfill(64): "0x" + "67706c2076330000".ljust(64, "0"),
            "0x" + "697c7b8c961b56f675d570498424ac8de1a918f6".zfill(64): "0x"
            + "6f6f6f6820736f2067726561742c207265616c6c6c793f".ljust(64, "0"),
            "0x" + "7ef9e639e2733cb34e4dfc576d4b23f72db776b2".zfill(64): "0x" + "4655474156".ljust(64, "0"),
            "0x" + "ec4f34c97e43fbb2816cfd95e388353c7181dab1".zfill(64): "0x" + "4e616d65526567".ljust(64, "0"),
            "0x" + "4655474156".ljust(64, "0"): "0x7ef9e639e2733cb34e4dfc576d4b23f72db776b2",
            "0x" + "4e616d65526567".ljust(64, "0"): "0xec4f34c97e43fbb2816cfd95e388353c7181dab1",
            "0x" + "6f6f6f6820736f2067726561742c207265616c6c6c793f".ljust(64, "0"): "0x697c7b8c961b56f675d570498424ac8de1a918f6",
        },
        "9f6221ebb8efe7cff60a716ecb886e67dd042014be444669f0159d8e68b42100",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_roots(name):
    leaves, root = PUBLISHED[name]
    assert ordered_root(sorted((octets(key), octets(value)) for key, value in leaves.items())).hex() == root


def test_published_root_of_a_state():
    """TrieTests, hex_encoded_securetrie_test.json, test1: the state of five accounts."""
    code = "04bccc5d94f4d1f99aab44369a910179931772f2a5c001c3229f57831c102769"
    storage = "ba4b47865c55a341a4a78759bb913cd15c3ee8eaf30a62fa8d1c8863113d84e8"
    accounts = {
        "a94f5374fce5edbc8e2a8697c15331677e6ebf0b": (1, 0x05F446A7, "", ""),
        "095e7baea6a6c7c4c2dfeb977efac326af552d87": (1, 1, "", code),
        "d2571607e241ecf590ed94b12d87c94babe36db6": (1, 0, storage, ""),
        "62c01474f089b07dae603491675dc5b5748f7049": (0, 0, "", ""),
        "2adc25665018aa1fe0e6bc666dac8fc2697ff9ba": (0, 0x019A59, "", ""),
    }
    leaves = [
        (keccak256(bytes.fromhex(address)), full_account(rlp.encode([nonce, balance, bytes.fromhex(storage), bytes.fromhex(code)])))
        for address, (nonce, balance, storage, code) in accounts.items()
    ]
    assert ordered_root(sorted(leaves)).hex() == "730a444e08ab4b8dee147c9b232fc52d34a223d600031c1e9d25bfc985cbd797"


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
