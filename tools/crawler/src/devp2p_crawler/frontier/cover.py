"""Which part of the key space has been asked about, and what to ask next (pure).

Every node knows its own surroundings best. So each is asked for them once, and that finds almost everybody: all whose part of the key
space has anybody in it who was found already. What is left is asked for in the end: parts in which nobody was found, from nodes at their
edge; and then, of nodes by chance, parts further away from them, until that brings too little news.

A question is a number of bits: `bits` asks a node for those that share exactly that many first bits with it. (For v5 that is the distance
``256 - bits``, and for v4 a target with these bits.)
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from math import log2
from typing import Final

CELL: Final = 8
"""Nodes that one part of the key space has on average, when it is looked for parts without any."""
MOST_QUESTIONS: Final = 18
"""That one node is asked."""
LEAST_NEWS: Final = 0.05
"""Nodes that are alive and were not known, as a part of those named, below which it is not worth asking on."""
_TRIES: Final = 2  # questions about one empty part
_DEEPEST: Final = 30
_SAMPLE: Final = 24


def closest_distances(nodes: int, wanted: int = 12, most: int = 9) -> list[int]:
    """The logarithmic distances at which a node of a network of so many has `wanted` others together, the closest first."""
    farthest = 256 - max(0, int(log2(max(nodes, 1) / wanted)))
    return list(range(farthest - most + 1, farthest + 1))


class Cover:
    """The nodes of one version that have answered, and the questions that are left."""

    def __init__(self, chance: Callable[[], float]) -> None:
        """`chance` gives numbers from 0 to below 1."""
        self._chance = chance
        self._ids: list[int] = []
        self._tried: dict[tuple[int, int], int] = {}
        self._asked: dict[int, int] = {}
        self._named = self._news = 0
        self._round: list[tuple[bytes, int]] = []
        self._rounds = 0
        self.is_done: bool = False
        """Whether nothing more is to be asked."""

    def __len__(self) -> int:
        return len(self._ids)

    def answered(self, node: bytes) -> None:
        """A node has told its surroundings."""
        number = int.from_bytes(node, "big")
        place = bisect_left(self._ids, number)
        if place == len(self._ids) or self._ids[place] != number:
            self._ids.insert(place, number)

    def reopen(self) -> None:
        """Begin anew, as for another round through all nodes."""
        self._tried.clear()
        self._asked.clear()
        self._rounds = 0
        self.is_done = False

    def count(self, named: int, news: int) -> None:
        """What further questions have brought: so many names, and so many of them nodes that are alive and were not known."""
        self._named += named
        self._news += news

    def questions(self) -> list[tuple[bytes, int]]:
        """The next questions, (node-ID, bits), once all earlier ones and the visits to whom they named are over; none when it is enough."""
        if self.is_done:
            return []
        found = self._about_empty_parts()
        if not found:
            worth = self._news >= LEAST_NEWS * self._named if self._named else self._rounds == 0
            self._named = self._news = 0
            found = self._by_chance() if worth else []
            self._rounds += 1
        self.is_done = not found
        return found

    def _about_empty_parts(self) -> list[tuple[bytes, int]]:
        depth = min(_DEEPEST, int(log2(max(1, len(self._ids) // CELL))) if self._ids else 0)
        taken = {number >> 256 - depth for number in self._ids} if depth else set[int]()
        questions: list[tuple[bytes, int]] = []
        for part in range(1 << depth) if depth else ():
            if part in taken or self._tried.get((depth, part), 0) >= _TRIES:
                continue
            self._tried[depth, part] = self._tried.get((depth, part), 0) + 1
            questions += self._ask_at_the_edge(part, depth)
        return questions

    def _ask_at_the_edge(self, part: int, depth: int) -> list[tuple[bytes, int]]:
        """Have a node asked about a part that it is next to: the closest one that still may be asked, of a few."""
        for bits in range(depth - 1, -1, -1):
            beside = (part >> depth - 1 - bits) ^ 1  # what shares exactly so many bits with the part
            low = bisect_left(self._ids, beside << 255 - bits)
            high = bisect_left(self._ids, (beside + 1) << 255 - bits)
            if low < high:
                number = self._ids[low + int(self._chance() * (high - low))]
                return self._may_ask(number, bits)
        return []

    def _by_chance(self) -> list[tuple[bytes, int]]:
        deepest = int(log2(max(1, len(self._ids) / CELL))) if self._ids else 0
        questions: list[tuple[bytes, int]] = []
        for _ in range(min(len(self._ids), max(_SAMPLE, len(self._ids) // 100))):
            number = self._ids[int(self._chance() * len(self._ids))]
            questions += self._may_ask(number, int(self._chance() * (deepest + 1)))
        return questions

    def _may_ask(self, number: int, bits: int) -> list[tuple[bytes, int]]:
        asked = self._asked.get(number, 1)
        if asked >= MOST_QUESTIONS:
            return []
        self._asked[number] = asked + 1
        return [(number.to_bytes(32, "big"), bits)]


class Targets:
    """Targets of v4 for each place in the key space: 64 bytes whose hash is there, which nobody can compute but by trying."""

    def __init__(self, hash_of: Callable[[bytes], bytes], random_bytes: Callable[[int], bytes], number: int = 1 << 12) -> None:
        """Try so many. `hash_of` is keccak256."""
        self._targets: list[tuple[bytes, bytes]] = []
        for _ in range(number):
            target = random_bytes(64)
            insort(self._targets, (hash_of(target), target))

    def at(self, node: bytes, bits: int) -> bytes:
        """A target that shares as exactly as there is one so many first bits with a node-ID."""
        number = int.from_bytes(node, "big") ^ 1 << 255 - bits
        place = number.to_bytes(32, "big")
        at = bisect_left(self._targets, (place, b""))
        near = self._targets[max(0, at - 1) : at + 1]
        return min(near, key=lambda one: int.from_bytes(one[0], "big") ^ number)[1]
