"""Which part of the key space has been asked about, and what to ask next (pure).

Every node knows its own surroundings best. So each is asked for them once, and that finds almost everybody: all whose part of the key
space has anybody in it who was found already. What is left is asked for in the end: parts in which nobody was found, from nodes at their
edge; and then, of nodes by chance, parts further away from them, until that brings too little news.

A question of v5 is for a distance, ``256 - bits``, and one of v4 for a target close to a place.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from math import log2
from typing import Final, NamedTuple

CELL: Final = 3
"""Nodes that one part of the key space has on average, at least, when it is looked for parts without any."""
SURROUNDINGS: Final = 12
"""Nodes that are expected where a node knows all."""
MOST_QUESTIONS: Final = 18
"""That one node is asked."""
LEAST_NEWS: Final = 0.05
"""Nodes that are alive and were not known, as a part of those named, below which it is not worth asking on."""
_TRIES: Final = 3  # questions about one empty part
_FEW: Final = 64  # nodes that a network is taken to have at least
_FINE: Final = 16  # bits of the places of which is kept whether anybody was named there
_AT_ONCE: Final = 3
_ROUNDS: Final = 6  # of questions by chance, while most have no answer
_AT_FIRST: Final = 10  # one of so many nodes that answer is asked about a part chosen by chance,
_OFTEN_UNTIL: Final = 200  # until so many have answered,
_SELDOM: Final = 50  # and then one of so many
_FAR: Final = 4  # bits; parts that are so large, and nobody's surroundings
_SAMPLED: Final = 4  # nodes, of which the one is asked that was asked least
_OFTEN: Final = 5  # questions, after which rather somebody further away is asked
_DEEPEST: Final = 16
_SAMPLE: Final = 24


def closest_distances(nodes: int, wanted: int = 12, most: int = 9) -> list[int]:
    """The logarithmic distances at which a node of a network of so many has `wanted` others together, the closest first."""
    farthest = 256 - max(0, int(log2(max(nodes, 1) / wanted)))
    return list(range(farthest - most + 1, farthest + 1))


class Question(NamedTuple):
    """A node is asked for others."""

    node: bytes
    """Its node-ID."""
    bits: int
    """For those that share exactly so many first bits with it."""
    place: bytes
    """Where in the key space they are, as far as somebody is wanted at one place: 32 bytes."""
    part: tuple[int, int] | None = None
    """The part in which nobody was found, by its depth and number, if it is about one."""
    by_chance: bool = False
    """Whether it is for a part that was chosen by chance, so that who is named there is a sample of all."""


class Cover:
    """The nodes of one version that were named and that have answered, and the questions that are left."""

    def __init__(self, chance: Callable[[], float]) -> None:
        """`chance` gives numbers from 0 to below 1."""
        self._chance = chance
        self._ids: list[int] = []
        self._places = bytearray(1 << _FINE)
        self._known = 0
        self._tried: dict[tuple[int, int], int] = {}
        self._asked: dict[int, int] = {}
        self._named = self._news = 0
        self._rounds = self._last_round = self._silent = 0
        self.is_done: bool = False
        """Whether nothing more is to be asked."""

    def __len__(self) -> int:
        return len(self._ids)

    def heard_of(self, node: bytes) -> None:
        """A node was named that was not known."""
        self._known += 1
        self._places[int.from_bytes(node[:4], "big") >> 32 - _FINE] = 1

    def answered(self, node: bytes) -> list[Question]:
        """A node has told its surroundings. What to ask it at once, beside: about parts next to it of which nobody was ever named."""
        number = int.from_bytes(node, "big")
        place = bisect_left(self._ids, number)
        if place < len(self._ids) and self._ids[place] == number:
            return []
        self._ids.insert(place, number)
        depth = min(_FINE, int(log2(max(self._known, _FEW) / SURROUNDINGS)))
        unknown = [bits for bits in range(depth) if self._is_unknown(number, bits)]
        found = [question for bits in unknown[:_AT_ONCE] for question in self._may_ask(number, bits, _beyond(number, bits))]
        rare = _SELDOM if len(self._ids) > _OFTEN_UNTIL else _AT_FIRST
        return found if self._chance() * rare >= 1 else [*found, *self._sample(number)]

    def reopen(self) -> None:
        """Begin anew, as for another round through all nodes."""
        self._tried.clear()
        self._asked.clear()
        self._rounds = self._last_round = self._silent = 0
        self.is_done = False

    def count(self, named: int, news: int) -> None:
        """What further questions have brought: so many names, and so many of them nodes that are alive and were not known."""
        self._named += named
        self._news += news

    def unanswered(self, question: Question) -> None:
        """A question had no answer: what it was about may be asked of somebody else, but not for ever."""
        self._silent += 1
        if question.part is not None and self._silent <= len(self._ids):
            self._tried[question.part] -= 1

    def questions(self) -> list[Question]:
        """The next questions, once all earlier ones and the visits to whom they named are over; none when it is enough."""
        if self.is_done:
            return []
        found = self.about_empty_parts()
        if not found:
            worth = not self._rounds or (self._named and self._news >= LEAST_NEWS * self._named)
            unheard = self._silent > self._last_round / 2 and self._rounds < _ROUNDS
            self._named = self._news = self._silent = 0
            found = self._by_chance() if worth or unheard else []
            self._last_round = len(found)
            self._rounds += 1
        self.is_done = not found
        return found

    def about_empty_parts(self) -> list[Question]:
        """Questions about parts of the key space in which nobody has answered; about each but a few times."""
        depth = min(_DEEPEST, int(log2(max(1, len(self._ids) // CELL))) if self._ids else 0)
        taken = {number >> 256 - depth for number in self._ids} if depth else set[int]()
        questions: list[Question] = []
        for part in range(1 << depth) if depth else ():
            if part not in taken and self._tried.get((depth, part), 0) < _TRIES:
                self._tried[depth, part] = self._tried.get((depth, part), 0) + 1
                questions += [one._replace(part=(depth, part)) for one in self._ask_at_the_edge(part, depth)]
        return questions

    def _is_unknown(self, number: int, bits: int) -> bool:
        """Whether nobody was named of those that share exactly so many first bits with a node."""
        beside = (number >> 255 - bits) ^ 1
        spread = _FINE - bits - 1
        return not any(self._places[beside << spread : (beside + 1) << spread])

    def _ask_at_the_edge(self, part: int, depth: int) -> list[Question]:
        """Have a node asked about a part that it is next to, one of the closest."""
        for bits in range(depth - 1, -1, -1):
            beside = (part >> depth - 1 - bits) ^ 1  # what shares exactly so many bits with the part
            low = bisect_left(self._ids, beside << 255 - bits)
            high = bisect_left(self._ids, (beside + 1) << 255 - bits)
            if low == high:
                continue
            number = min((self._ids[low + int(self._chance() * (high - low))] for _ in range(_SAMPLED)), key=self._times)
            if self._times(number) < _OFTEN or not bits:
                return self._may_ask(number, bits, (part << 256 - depth) + (1 << 255 - depth))
        return []

    def _times(self, number: int) -> int:
        """How often a node was asked, with the question for its surroundings."""
        return self._asked.get(number, 1)

    def _by_chance(self) -> list[Question]:
        deepest = int(log2(max(1, len(self._ids) / CELL))) if self._ids else 0
        questions: list[Question] = []
        for _ in range(min(len(self._ids), max(_SAMPLE, len(self._ids) // 100))):
            number = self._ids[int(self._chance() * len(self._ids))]
            bits = int(self._chance() * (deepest + 1))
            questions += self._sample(number)
            if bits >= _FAR:
                questions += self._may_ask(number, bits, _beyond(number, bits))
        return questions

    def _sample(self, number: int) -> list[Question]:
        bits = int(self._chance() * _FAR)
        place = _beyond(number, bits) ^ int(self._chance() * (1 << 32)) << 255 - bits - 32
        return [question._replace(by_chance=True) for question in self._may_ask(number, bits, place)]

    def _may_ask(self, number: int, bits: int, place: int) -> list[Question]:
        asked = self._times(number)
        if asked >= MOST_QUESTIONS:
            return []
        self._asked[number] = asked + 1
        return [Question(number.to_bytes(32, "big"), bits, place.to_bytes(32, "big"))]


def _beyond(number: int, bits: int) -> int:
    """A place that shares exactly so many first bits with a number."""
    return number ^ 1 << 255 - bits


class Targets:
    """Targets of v4 for each place in the key space: 64 bytes whose hash is there, which nobody can compute but by trying."""

    def __init__(self, hash_of: Callable[[bytes], bytes], random_bytes: Callable[[int], bytes], number: int = 1 << 12) -> None:
        """Try so many. `hash_of` is keccak256."""
        self._targets: list[tuple[bytes, bytes]] = []
        for _ in range(number):
            target = random_bytes(64)
            insort(self._targets, (hash_of(target), target))

    def at(self, place: bytes) -> bytes:
        """A target that is close to a place of 32 bytes."""
        number = int.from_bytes(place, "big")
        at = bisect_left(self._targets, (place, b""))
        near = self._targets[max(0, at - 1) : at + 1]
        return min(near, key=lambda one: int.from_bytes(one[0], "big") ^ number)[1]
