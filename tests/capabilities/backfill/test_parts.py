"""Which parts of blocks to ask whom for, and how many at a time."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.capabilities.backfill.parts import WINDOW, Parts
from devp2p.capabilities.backfill.portion import FIRST, MOST, Portion
from tests.capabilities.backfill.chain import headers

CHAIN = headers(60)


def test_a_gap_says_that_a_peer_lacks_a_block_and_a_broken_off_answer_does_not():
    parts: Parts[str] = Parts()
    parts.add(CHAIN[:4])
    asked = parts.take("anna", 4)
    parts.put("anna", asked, [False, True, False, False])
    assert parts.take("anna", 4) == (CHAIN[2], CHAIN[3])
    assert parts.take("bert", 4) == (CHAIN[0],)


def test_nothing_at_all_says_that_it_lacks_them_all_until_it_is_forgiven():
    parts: Parts[str] = Parts()
    parts.add(CHAIN[:3])
    parts.put("anna", parts.take("anna", 3), [False] * 3)
    assert parts.take("anna", 3) == ()
    parts.forgive()
    assert len(parts.take("anna", 3)) == 3


def test_where_answers_end_at_what_is_missing_nothing_at_all_says_so_of_the_first():
    parts: Parts[str] = Parts(ends_at_gaps=True)
    parts.add(CHAIN[:3])
    parts.put("anna", parts.take("anna", 3), [False] * 3)
    assert parts.take("anna", 3) == (CHAIN[1], CHAIN[2])


def test_what_was_not_answered_may_be_asked_of_anybody():
    parts: Parts[str] = Parts()
    parts.add(CHAIN[:3])
    parts.give_back(parts.take("anna", 2))
    assert len(parts.take("anna", 9)) == 3
    assert parts.room == WINDOW - 3
    assert len(parts) == 3


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_all_blocks_come_in_the_end_each_once(seed):
    chance, parts, came = random.Random(seed), Parts[str](), []
    parts.add(CHAIN)
    for _ in range(5000):
        if not len(parts):
            break
        peer = chance.choice(["honest", "lazy"])
        asked = parts.take(peer, chance.randint(1, 9))
        brought = [peer == "honest" or chance.random() < 0.5 for _ in asked]
        parts.put(peer, asked, brought)
        came += [header for header, there in zip(asked, brought, strict=True) if there]
    assert sorted(header.number for header in came) == list(range(60))


def test_a_portion_grows_while_answers_are_whole_and_quick_and_shrinks_where_they_are_not():
    portion = Portion()
    portion.answered(FIRST, FIRST, 0.1)
    assert portion.size == 2 * FIRST
    portion.answered(2 * FIRST, 2 * FIRST, 1.0)
    assert portion.size == 2 * FIRST
    portion.answered(2 * FIRST, 5, 0.1)
    assert portion.size == 5
    portion.answered(5, 0, 0.1)
    assert portion.size == 5, "it lacked those; that says nothing about how many it can give"
    portion.answered(5, 5, 9.0)
    assert portion.size == 2
    for _ in range(9):
        portion.timed_out()
    assert portion.size == 1
    for _ in range(20):
        portion.answered(portion.size, portion.size, 0.0)
    assert portion.size == MOST
