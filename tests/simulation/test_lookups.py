"""The table and the lookup alone, in networks of up to 10,000 nodes: searches find whom they look for, and the way there is short."""

import math
import random
from statistics import linear_regression

import pytest

from tests.simulation.ideal import Ways, ideal

pytestmark = pytest.mark.simulation

SIZES = (100, 200, 400, 800, 1600)


def test_searches_find_the_closest_nodes_though_a_twentieth_of_the_datagrams_is_lost():
    ways = ideal(1600, 1).survey(200, 1, loss=0.05)
    assert ways.exact >= 0.95
    assert ways.recall >= 0.99


def test_control_without_a_second_try_the_loss_shows():
    network = ideal(800, 1)
    patient, hasty = network.survey(200, 1, loss=0.05), network.survey(200, 1, loss=0.05, attempts=1)
    assert patient.exact >= 0.95
    assert hasty.exact <= 0.5
    assert patient.queries < 1.3 * hasty.queries  # what the other tries cost


def test_the_moment_after_two_fifths_have_died_most_of_the_closest_are_found():
    """Nodes name the 16 closest that they know, of which 40 % are dead, and nobody names those behind."""
    network = ideal(1600, 1)
    dead = set(random.Random(1).sample([node.id for node in network.nodes], 640))
    ways = network.survey(200, 1, loss=0.05, dead=dead)
    assert ways.recall >= 0.9
    assert ways.exact < network.survey(200, 1, loss=0.05).exact


def the_way_grows_as_the_logarithm(sizes: dict[int, Ways], *, spread: float) -> None:
    """Each doubling of the network makes the way longer by the same part of a hop, up to `spread`."""
    logs = [math.log2(number) for number in sizes]
    fit = linear_regression(logs, [ways.hops for ways in sizes.values()])
    assert 0.1 < fit.slope < 0.4
    for log, ways in zip(logs, sizes.values(), strict=True):
        assert abs(fit.slope * log + fit.intercept - ways.hops) < spread
        assert ways.exact >= 0.95


def test_the_way_grows_as_the_logarithm_of_the_network():
    the_way_grows_as_the_logarithm({number: ideal(number, 1).survey(200, 1) for number in SIZES}, spread=0.25)


@pytest.mark.long
def test_the_way_grows_as_the_logarithm_up_to_ten_thousand_nodes():
    sizes = (100, 200, 400, 800, 1600, 3200, 6400, 10_000)
    the_way_grows_as_the_logarithm({number: ideal(number, 2).survey(1000, 2) for number in sizes}, spread=0.15)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_nodes_find_each_other_though_datagrams_are_lost(seed):
    network = ideal(10_000, seed)
    ways = network.survey(500, seed, loss=0.05)
    assert ways.exact >= 0.95
    assert ways.recall >= 0.99
    dead = set(random.Random(seed).sample([node.id for node in network.nodes], 4000))
    assert network.survey(500, seed, loss=0.05, dead=dead).recall >= 0.85
