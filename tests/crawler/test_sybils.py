"""Hints that nodes are not as many as they look."""

import random
from math import comb

from devp2p_crawler.analysis import Hint, SeenNode, SybilLimits, find_clusters, find_sybils
from devp2p_crawler.analysis.sybils import bits_beyond_chance, common_bits
from hypothesis import given, settings
from hypothesis import strategies as st


def ids(count: int, seed: int = 1, start: bytes = b"") -> list[bytes]:
    chance = random.Random(seed)
    return [start + chance.randbytes(32 - len(start)) for _ in range(count)]


def test_honest_nodes_raise_no_hints():
    nodes = [
        SeenNode(node=node, addresses=frozenset([bytes([number % 200, number // 200, 1, 1])]), sequences=(1, 2, 9))
        for number, node in enumerate(ids(1000))
    ]
    assert find_sybils(nodes).hints == {}


def test_many_nodes_at_one_address_or_in_one_network():
    first, second = ids(12), ids(12, seed=2)
    nodes = [SeenNode(node=node, addresses=frozenset([b"\x0a\0\0\x01"])) for node in first[:4]]
    nodes += [SeenNode(node=node, addresses=frozenset([b"\x0a\0\x07" + bytes([number])])) for number, node in enumerate(second)]
    nodes += [SeenNode(node=node, addresses=frozenset([b"\x0b\0\x07\x01"])) for node in first[4:7]]
    found = find_sybils(nodes)
    assert found.at_address == {b"\x0a\0\0\x01": 4}
    assert found.in_subnet == {b"\x0a\0\x07": 12}
    assert found.hints == {**{node: {Hint.MANY_AT_ADDRESS} for node in first[:4]}, **{node: {Hint.MANY_IN_SUBNET} for node in second}}
    assert find_sybils(nodes, SybilLimits(nodes_at_address=4, nodes_in_subnet=12)).hints == {}


def test_one_key_at_many_addresses():
    (node,) = ids(1)
    places = [bytes([number, 0, 0, 1]) for number in range(6)]
    assert find_sybils([SeenNode(node=node, addresses=frozenset(places[:4]))]).hints == {}
    assert find_sybils([SeenNode(node=node, addresses=frozenset(places))]).hints == {node: {Hint.MANY_ADDRESSES}}


def test_numbers_of_records_that_jump_or_fall():
    told = {
        (1, 2, 3): set(),
        (1, 5000): {Hint.SEQUENCE_JUMPED},
        (5000, 4999): {Hint.SEQUENCE_FELL},
        (1_700_000_000_000, 1_700_000_900_000): set(),  # times in milliseconds
        (3, 2**64 - 1, 4): {Hint.SEQUENCE_JUMPED, Hint.SEQUENCE_FELL},
    }
    for node, (sequences, hints) in zip(ids(5), told.items(), strict=True):
        assert find_sybils([SeenNode(node=node, sequences=sequences)]).hints.get(node, set()) == hints


def test_ids_that_were_ground_to_lie_together():
    nodes = [*ids(1000), *ids(5, seed=3, start=b"\xab\xcd\xef\x01")]
    (cluster,) = find_clusters(nodes)
    assert set(cluster) == {node for node in nodes if node.startswith(b"\xab\xcd\xef\x01")}
    assert find_sybils(SeenNode(node=node) for node in nodes).hints == {node: {Hint.CLUSTERED} for node in cluster}
    assert find_clusters(cluster[:3]) == []


def test_random_ids_hardly_ever_cluster():
    clusters = sum(bool(find_clusters(ids(500, seed=seed), SybilLimits(chance=0.01))) for seed in range(50))
    assert clusters <= 4  # one in a hundred, at most


@settings(max_examples=40)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_common_bits_are_counted_as_bits(first: bytes, second: bytes):
    one, other = (f"{int.from_bytes(node, 'big'):0256b}" for node in (first, second))
    assert common_bits(first, second) == next((place for place in range(256) if one[place] != other[place]), 256)


@settings(max_examples=40)
@given(st.integers(4, 10**6), st.integers(2, 8), st.floats(1e-9, 0.5))
def test_the_bound_of_chance_holds_and_is_the_least(count: int, size: int, chance: float):
    bits = bits_beyond_chance(count, min(size, count), chance)
    tuples = comb(count, min(size, count))
    assert tuples <= chance * 2.0 ** (bits * (min(size, count) - 1)) * (1 + 1e-9)


_PLACES = [b"", b"\x01\x02\x03\x04", bytes(16), b"\x01\x02\x03\x05"]
_SEEN = st.builds(
    SeenNode,
    node=st.binary(min_size=32, max_size=32),
    addresses=st.frozensets(st.sampled_from(_PLACES)),
    sequences=st.lists(st.integers(0, 2**64 - 1), max_size=4).map(tuple),
)


@settings(max_examples=40)
@given(st.lists(_SEEN, max_size=12))
def test_hints_are_of_nodes_that_were_seen(nodes: list[SeenNode]):
    found = find_sybils(nodes)
    assert set(found.hints) <= {seen.node for seen in nodes}
    assert all(found.hints.values())
