"""Hints that nodes are not as many as they look: flags for people to look at, by which nothing is ever left out.

None of it proves anything: a data centre has many honest nodes in one /24, a mobile node has many addresses, and a node that was set up
again may begin its records anew.
"""

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import comb, log2
from typing import Final

_SUBNET: Final = {4: 3, 16: 8}
"""Length of an address -> bytes of its network, an IPv4 /24 or IPv6 /64."""
_BITS: Final = 256


class Hint(enum.Enum):
    """What is odd about a node."""

    MANY_AT_ADDRESS = "many nodes at its address"
    MANY_IN_SUBNET = "many nodes in its /24 or /64"
    MANY_ADDRESSES = "one key at many addresses"
    SEQUENCE_JUMPED = "its record's number jumped"
    SEQUENCE_FELL = "its record's number fell"
    CLUSTERED = "its id is too near to others for chance"


@dataclass(frozen=True, slots=True, kw_only=True)
class SybilLimits:
    """From where on something is odd."""

    nodes_at_address: int = 3
    """As many are not odd yet."""
    nodes_in_subnet: int = 10
    addresses: int = 4
    jump: int = 1000
    """Sequence numbers between two records of a node that were seen one after the other; not where they are times in milliseconds, as
    those of some clients."""
    chance: float = 1e-3
    """How improbable a cluster of ids among as many random ones must be."""
    cluster: int = 4
    """Nodes of which the least cluster is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenNode:
    """What is looked at of a node."""

    node: bytes
    """The node-ID."""
    addresses: frozenset[bytes] = frozenset()
    """Where it answered, or at least was told to be: 4 or 16 bytes each."""
    sequences: tuple[int, ...] = ()
    """Of its records, in the order in which they were first seen."""


@dataclass(slots=True)
class Findings:
    """What is odd, by node; and the counts from which that follows."""

    hints: dict[bytes, set[Hint]] = field(default_factory=lambda: defaultdict(set))
    at_address: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """Address -> nodes, where there are too many."""
    in_subnet: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """The first 3 bytes of IPv4 addresses, or the first 8 of IPv6 ones -> nodes, where there are too many."""
    clusters: list[tuple[bytes, ...]] = field(default_factory=list[tuple[bytes, ...]])
    """Ids that are too near to each other, in order."""


def find_sybils(nodes: Iterable[SeenNode], limits: SybilLimits | None = None) -> Findings:
    """Look at all nodes of a network together. Needs memory for each of them, and time to sort their ids."""
    limits = limits or SybilLimits()
    found = Findings()
    by_address: dict[bytes, list[bytes]] = defaultdict(list)
    by_subnet: dict[bytes, set[bytes]] = defaultdict(set)
    ids: set[bytes] = set()
    for seen in nodes:
        ids.add(seen.node)
        for address in seen.addresses:
            by_address[address].append(seen.node)
            if (size := _SUBNET.get(len(address))) is not None:
                by_subnet[address[:size]].add(seen.node)
        if len(seen.addresses) > limits.addresses:
            found.hints[seen.node].add(Hint.MANY_ADDRESSES)
        _look_at_sequences(seen, limits, found)
    found.at_address = _crowded(by_address, limits.nodes_at_address, Hint.MANY_AT_ADDRESS, found)
    found.in_subnet = _crowded(by_subnet, limits.nodes_in_subnet, Hint.MANY_IN_SUBNET, found)
    found.clusters = find_clusters(ids, limits)
    for cluster in found.clusters:
        for node in cluster:
            found.hints[node].add(Hint.CLUSTERED)
    found.hints = dict(found.hints)
    return found


def _crowded(places: Mapping[bytes, Iterable[bytes]], most: int, hint: Hint, found: Findings) -> dict[bytes, int]:
    crowded: dict[bytes, int] = {}
    for place, nodes in places.items():
        there = set(nodes)
        if len(there) > most:
            crowded[place] = len(there)
            for node in there:
                found.hints[node].add(hint)
    return crowded


def _look_at_sequences(seen: SeenNode, limits: SybilLimits, found: Findings) -> None:
    for before, after in pairwise(seen.sequences):
        if after < before:
            found.hints[seen.node].add(Hint.SEQUENCE_FELL)
        elif after - before > limits.jump and not _is_time(before):
            found.hints[seen.node].add(Hint.SEQUENCE_JUMPED)


def _is_time(sequence: int) -> bool:
    """Whether it may be a time in milliseconds: go-ethereum begins with the time at which a node was set up."""
    return 1_400_000_000_000 <= sequence < 4_000_000_000_000


def find_clusters(ids: Iterable[bytes], limits: SybilLimits | None = None) -> list[tuple[bytes, ...]]:
    """Groups of ids that have more leading bits in common than as many random ids are likely to have, each as large as it can be.

    Of n random ids, k have their first b bits in common somewhere with a chance of at most C(n, k) / 2^(b (k - 1)), by the union bound.
    Whoever grinds keys to surround a place in the network has to come below it.
    """
    limits = limits or SybilLimits()
    ordered = sorted(set(ids))
    least, found = limits.cluster, list[tuple[bytes, ...]]()
    if len(ordered) < least or least < 2:
        return found
    bits = bits_beyond_chance(len(ordered), least, limits.chance)
    if bits > _BITS:
        return found
    start = 0
    for end in range(1, len(ordered) + 1):
        if end < len(ordered) and common_bits(ordered[start], ordered[end]) >= bits:
            continue
        if end - start >= least:
            found.append(tuple(ordered[start:end]))
        start = end
    return found


def bits_beyond_chance(count: int, size: int, chance: float) -> int:
    """How many leading bits `size` of `count` random ids have in common somewhere with no more than this chance."""
    return max(0, int((log2(comb(count, size)) - log2(chance)) / (size - 1)) + 1)


def common_bits(first: bytes, second: bytes) -> int:
    """How many leading bits two ids of one length have in common."""
    return len(first) * 8 - (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).bit_length()
