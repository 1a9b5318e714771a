"""Who seemed silent is asked again for as long as that finds somebody, and no longer."""

import random

import pytest
from devp2p_crawler.frontier import Entry, SecondLook

from devp2p import NodeRecord, PrivateKey

ENTRIES = [Entry(NodeRecord(PrivateKey.from_bytes((number + 1).to_bytes(32, "big")).public_key)) for number in range(400)]


def looked(there: set[int], answers: float, seed: int) -> tuple[int, int, SecondLook]:
    """Have all looked at, of whom some are there and answer so often; returns how many are found, and how many visits that took."""
    chance = random.Random(seed)
    look, found, visits = SecondLook(chance.random), set[int](), 0
    numbers = {id(entry): number for number, entry in enumerate(ENTRIES)}
    for entry in ENTRIES:
        look.silent(entry)
    while again := look.next():
        assert not look.is_done
        assert len({id(entry) for entry in again}) == len(again)
        for entry in again:
            visits += 1
            number = numbers[id(entry)]
            assert number not in found
            if number in there and chance.random() < answers:
                found.add(number)
                look.was_there()
            else:
                look.silent(entry)
    assert look.is_done
    return len(found), visits, look


def test_who_is_not_there_costs_one_sample() -> None:
    assert looked(set(), 1.0, 1)[:2] == (0, 64)


@pytest.mark.parametrize("seed", range(10))
def test_who_was_missed_is_found(seed: int) -> None:
    found, visits, look = looked(set(range(100)), 0.9, seed)
    assert found >= 95
    assert visits <= 2 * len(ENTRIES)
    assert look.missed <= 10


def test_a_look_that_is_broken_off_says_how_many_may_be_missed() -> None:
    look = SecondLook(random.Random(5).random)
    for entry in ENTRIES:
        look.silent(entry)
    assert look.missed == 0
    sample = look.next()
    for _ in sample[: len(sample) // 2]:
        look.was_there()
    assert look.missed == pytest.approx((len(ENTRIES) - len(sample)) / 2)


def test_who_owes_its_record_is_visited_once_more() -> None:
    look = SecondLook(random.Random(5).random)
    look.owes(ENTRIES[0])
    assert look.next() == [ENTRIES[0]]
    assert look.next() == []
    assert look.is_done


def test_where_answers_are_lost_all_are_asked_again() -> None:
    look = SecondLook(random.Random(5).random)
    for entry in ENTRIES:
        look.silent(entry)
    assert len(look.next(is_lossy=True)) == len(ENTRIES)
    assert look.next(is_lossy=True) == []
    assert look.is_done
