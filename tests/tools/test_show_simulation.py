"""The show's nodes at the usual pace, on a simulated clock: observers get the peers that serve best, if they choose by that."""

from concurrent.futures import ProcessPoolExecutor

import pytest

from tools.show.board import Sample
from tools.show.courses import Course, chart
from tools.show.meters import mean
from tools.show.plan import Choice, Nature
from tools.show.simulation import SEEDS, run


@pytest.mark.simulation
def test_in_two_hours_the_peers_of_observers_serve_well_and_chosen_at_random_they_do_not():
    seeds = (1, 2)
    with ProcessPoolExecutor(2) as pool:  # random choice is the control
        steered, at_random = ([pool.submit(run, choice, seed, 16, 2.0) for seed in seeds] for choice in (Choice.SLOTS, Choice.RANDOM))
        courses, controls = [one.result() for one in steered], [one.result() for one in at_random]
    share, control = (mean([course.share for course in some]) for some in (courses, controls))
    assert mean([course.by_chance for course in courses]) < 0.5
    assert share >= 0.7, courses
    assert control <= share - 0.15, controls
    assert sum(course.hostile for course in courses) <= 1  # who has just come and is about to show it
    assert sum(course.hostile for course in controls) > 1


@pytest.mark.long
def test_in_four_hours_five_networks_come_near_to_the_best_and_the_controls_do_not():
    with ProcessPoolExecutor() as pool:
        runs = {(choice, seed): pool.submit(run, choice, seed) for choice in Choice for seed in SEEDS}
        courses = [one.result() for one in runs.values()]
    shares = {choice: [course.share for course in courses if course.choice is choice] for choice in Choice}
    means = {choice: sum(some) / len(some) for choice, some in shares.items()}
    assert means[Choice.SLOTS] >= 0.85, shares
    assert means[Choice.ONE_SCORE] < means[Choice.SLOTS] - 0.03, shares
    assert means[Choice.RANDOM] < 0.6, shares
    assert sum(course.hostile for course in courses if course.choice is Choice.SLOTS) == 0


def test_the_picture_shows_each_way_to_choose():
    samples = tuple(Sample(3600.0 * hour, {"ada": 0.5, "eve": 0.7}, dict.fromkeys(Nature, 0)) for hour in range(1, 3))
    picture = chart([Course(choice, 1, samples, 0.4) for choice in Choice], "two hours", 3600, "h")
    assert all(f">{label}</text>" in picture for label in ("slots 60%", "one score 60%", "random 60%", "by chance 40%"))
