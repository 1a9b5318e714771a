"""Which part of the key space is asked about: a network of tables in memory is found to the last node, by few questions."""

import random
from math import log2

import pytest
from devp2p_crawler.frontier import MOST_QUESTIONS, Cover, Question, Targets, closest_distances

from devp2p import keccak256

BUCKET = 16


class World:
    """Nodes that know 16 of each distance, and all where there are fewer; a part of them does not answer."""

    def __init__(self, size: int, seed: int) -> None:
        self.chance = random.Random(f"{size} {seed}")
        self.ids = [self.chance.getrandbits(256) for _ in range(size)]
        self.dead = set(self.chance.sample(self.ids, size * 2 // 5))
        self.tables: dict[int, dict[int, list[int]]] = {}

    def table(self, number: int) -> dict[int, list[int]]:
        if number not in self.tables:
            buckets: dict[int, list[int]] = {}
            for other in self.ids:
                buckets.setdefault((other ^ number).bit_length(), []).append(other)
            self.tables[number] = {away: self.chance.sample(some, min(BUCKET, len(some))) for away, some in buckets.items() if away}
        return self.tables[number]

    def around(self, number: int, place: int) -> list[int]:
        """What v4 names."""
        return sorted((one for some in self.table(number).values() for one in some), key=lambda one: one ^ place)[:BUCKET]


def test_everybody_is_found_by_few_questions() -> None:
    world = World(600, 3)
    cover = Cover(world.chance.random)
    first = next(number for number in world.ids if number not in world.dead)
    known, waiting, asked, answered = {first}, [first], 0, set[int]()

    def hear(named: list[int]) -> None:
        for one in named:
            if one not in known:
                known.add(one)
                cover.heard_of(one.to_bytes(32, "big"))
                waiting.append(one)

    def ask(questions: list[Question]) -> None:
        nonlocal asked
        for question in questions:
            asked += 1
            named = world.around(int.from_bytes(question.node, "big"), int.from_bytes(question.place, "big"))
            cover.count(len(named), sum(one not in known and one not in world.dead for one in named))
            hear(named)

    while True:
        while waiting:
            number = waiting.pop(0)
            if number not in world.dead:
                answered.add(number)
                hear(world.around(number, number))
                ask(cover.answered(number.to_bytes(32, "big")))
        questions = cover.questions()
        if not questions:
            break
        ask(questions)
    alive = set(world.ids) - world.dead
    assert len(answered & alive) >= 0.99 * len(alive)
    assert asked < 0.6 * len(alive)
    assert cover.is_done


def test_no_node_is_asked_more_than_it_may_be() -> None:
    chance = random.Random(1)
    cover = Cover(chance.random)
    asked: dict[bytes, int] = {}
    for number in range(3):
        cover.answered(bytes([number * 80]) * 32)
    for _ in range(500):
        cover.reopen() if chance.random() < 0.01 else None
        cover.count(100, 100)
        for question in cover.questions():
            asked[question.node] = asked.get(question.node, 0) + 1
    assert asked
    assert max(asked.values()) <= 20 * MOST_QUESTIONS
    cover.reopen()
    asked.clear()
    for _ in range(500):
        cover.count(100, 100)
        for question in cover.questions():
            asked[question.node] = asked.get(question.node, 0) + 1
    assert max(asked.values()) < MOST_QUESTIONS


def test_fakes_are_no_news() -> None:
    cover = Cover(random.Random(1).random)
    for number in range(64):
        cover.answered((number * 4).to_bytes(1, "big") * 32)
    rounds = 0
    while cover.questions():
        cover.count(1600, 10)
        rounds += 1
    assert rounds < 10


@pytest.mark.parametrize("size", [1, 12, 24, 1000, 20_000, 1_000_000])
def test_the_closest_distances_hold_a_dozen(size: int) -> None:
    distances = closest_distances(size)
    assert len(distances) == 9
    assert distances == sorted(distances)
    assert distances[-1] <= 256
    expected = size / 2 ** (256 - distances[-1])
    assert expected >= min(size, 12)
    assert distances[-1] == 256 or expected < 24


def test_targets_are_close_to_any_place() -> None:
    chance = random.Random(2)
    targets = Targets(keccak256, chance.randbytes, 1024)
    for _ in range(50):
        place = chance.randbytes(32)
        away = int.from_bytes(keccak256(targets.at(place)), "big") ^ int.from_bytes(place, "big")
        assert 256 - away.bit_length() >= log2(1024) - 5
