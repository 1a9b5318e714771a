"""The estimate of recall: its arithmetic, and that its interval holds the truth as often as it says."""

import random

import pytest
from devp2p_crawler.analysis import estimate_recall


def test_a_tenth_unknown_is_a_tenth_missed() -> None:
    recall = estimate_recall(180, 200, found=900)
    assert recall is not None
    assert recall.estimate == pytest.approx(0.9)
    assert recall.low < 0.9 < recall.high


def test_nothing_unknown_is_not_certainty() -> None:
    recall = estimate_recall(200, 200, found=900)
    assert recall is not None
    assert (recall.estimate, recall.high) == (1.0, 1.0)
    assert 0.97 < recall.low < 0.99


def test_nodes_that_wait_are_not_found_yet() -> None:
    recall = estimate_recall(200, 200, found=300, waiting=100.0)
    assert recall is not None
    assert recall.estimate == pytest.approx(0.75)


def test_nodes_that_became_known_since_the_names_were_drawn_are_found_beside() -> None:
    recall = estimate_recall(180, 200, found=1000, since=50)
    assert recall is not None
    assert recall.estimate == pytest.approx(0.9 * 1000 / 950)
    assert estimate_recall(200, 200, found=1000, since=1000) is not None


def test_of_little_nothing_is_said() -> None:
    assert estimate_recall(39, 39, found=500) is None
    assert estimate_recall(0, 40, found=0) is None


@pytest.mark.parametrize("numbers", [(2, 1, 5, 0), (-1, 1, 5, 0), (1, 1, -1, 0), (1, 1, 5, -1)])
def test_what_cannot_be_is_refused(numbers: tuple[int, int, int, int]) -> None:
    known, named, found, waiting = numbers
    with pytest.raises(ValueError, match="cannot be"):
        estimate_recall(known, named, found=found, waiting=waiting)


@pytest.mark.parametrize("truth", [0.2, 0.5, 0.9, 0.99])
def test_the_interval_holds_the_truth_nineteen_times_in_twenty(truth: float) -> None:
    chance = random.Random(f"recall {truth}")
    held = 0
    for _ in range(1000):
        recall = estimate_recall(sum(chance.random() < truth for _ in range(200)), 200, found=1000)
        assert recall is not None
        held += recall.low <= truth <= recall.high
    assert held > 920
