"""The test of slopes finds a leak in noise, and none where there is none."""

import random

import pytest

from tests.soak.slopes import slope

TIMES = [float(second) for second in range(1800)]


def noise(seed: int, memory: float = 0.0) -> list[float]:
    """A hundred and some; with `memory`, each sample resembles the one before it."""
    dice, value, values = random.Random(seed), 0.0, list[float]()
    for _ in TIMES:
        value = memory * value + dice.gauss(0, 5)
        values.append(100 + value)
    return values


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_noise_is_no_growth(memory):
    false = sum(slope(TIMES, noise(seed, memory), 300).growth > 0 for seed in range(200))
    assert false <= 2, "three standard errors and more come in one of 300"


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_a_leak_is_found_in_noise(memory):
    for seed in range(50):
        leaking = [value + 30 * time / 1800 for time, value in zip(TIMES, noise(seed, memory), strict=True)]
        found = slope(TIMES, leaking, 300)
        assert found.growth > 5
        assert found.t > 3


def test_the_figures_are_right():
    found = slope(TIMES, [7 + time / 60 for time in TIMES], 600)
    assert found.per_hour == pytest.approx(60)
    assert found.growth == pytest.approx(1199 / 60)
    assert found.mean == pytest.approx(7 + 1199.5 / 60)
    assert slope(TIMES, [3.0] * 1800, 0).t == 0.0
    assert slope(TIMES, [-time for time in TIMES], 0).growth == 0.0


def test_what_comes_before_the_warm_up_does_not_count():
    filling = [min(time, 300.0) for time in TIMES]
    assert slope(TIMES, filling, 0).growth > 50
    assert slope(TIMES, filling, 300).growth == 0.0


def test_too_little_to_tell_is_said():
    with pytest.raises(ValueError, match="too few"):
        slope(TIMES, noise(1), 1790)
