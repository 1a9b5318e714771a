"""The runs that tests and figures are made of. Each takes seconds to minutes, and gives plain values."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from devp2p.discovery import protocol
from devp2p.discovery.table.kademlia import Addition, RoutingTable
from devp2p.discovery.table.shares import TableLimits
from devp2p.discovery.v4 import exchange as v4_exchange
from devp2p.discovery.v4.bonds import Discv4Limits
from tests.simulation.crowd import People, defenceless
from tests.simulation.envelopes import envelopes
from tests.simulation.grown import Grown, Survey, grow_v4, grow_v5
from tests.simulation.network import SEED
from tests.simulation.reboot import PEOPLE, Defence, Outbound, book_of_before, reboot
from tests.simulation.siege import Siege, besiege

LOSS = 0.05
GROW = {"v4": grow_v4, "v5": grow_v5}
THEN = {"v4": 20.0, "v5": 90.0}
"""Seconds from the last arrival to the searches. One of v5 that loses its first datagrams is alone for a minute; then it searches."""


@dataclass(frozen=True)
class Formed:
    """A thousand nodes, or some other number, that know nobody but one bootnode and come one by one, twenty in a second."""

    least: int
    """Live nodes in the table that has fewest."""
    mean: float
    grown: Survey
    at_once: Survey
    """The moment after 40 % have gone without a word."""


def form(version: str, number: int = 1000) -> Formed:
    with envelopes():
        network = GROW[version](number, SEED, loss=LOSS, each=0.05, then=THEN[version])
        live = [node.table.statistics().live for node in network.nodes.values()]
        grown = network.survey(100, SEED)
        network.lose(0.4)
        return Formed(min(live), sum(live) / len(live), grown, network.survey(60, SEED))


@dataclass(frozen=True)
class Neighbourhood:
    """What becomes of 120 nodes."""

    churned: Survey
    """After four minutes in which every four seconds one has gone and another come: half of them are others."""
    at_once: Survey
    """The moment after 40 % have gone without a word."""
    later: Survey
    """Five minutes after that."""


def neighbourhood(version: str) -> Neighbourhood:
    with envelopes():
        network = GROW[version](120, SEED, loss=LOSS, each=0.1, then=60.0)
        network.churn(each=4.0, seconds=240.0)
        churned = network.survey(100, SEED)
        network.lose(0.4)
        at_once = network.survey(60, SEED)
        network.network.run_for(300.0)
        return Neighbourhood(churned, at_once, network.survey(100, SEED + 1))


def _small(grow: Callable[..., Grown], number: int) -> Survey:
    return grow(number, SEED, loss=LOSS, each=0.1, then=60.0).survey(100, SEED)


def unpaid_v4() -> Survey:
    """Nodes that never fill a Ping up."""
    with envelopes(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(v4_exchange, "PAID_PING", 0)
        return _small(grow_v4, 150)


def hurried_v5() -> Survey:
    """Nodes that search for themselves only once in half an hour, and tell others of newcomers only once they have checked them."""
    add: Callable[..., Addition] = RoutingTable.add

    def add_unproved(*args: Any, unasked: bool = False, live: bool = False, **options: Any) -> Addition:
        return add(*args, live=live and not unasked, **options)

    with envelopes(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "YOUNG", protocol.INTERVAL)
        patch.setattr(RoutingTable, "add", add_unproved)
        return _small(grow_v5, 100)


# S1


def siege(networks: int, seed: int = SEED) -> Siege:
    """A day; of the honest nodes' tables the attacker has one place for each network."""
    with envelopes():
        return besiege(People(sybil_networks=networks, poison=networks), seed, hours=24.0)


def siege_without_shares(seed: int = SEED) -> Siege:
    """Each network may have ten nodes in a table, however many networks there are; sixteen have half of the honest nodes' tables."""
    with envelopes():
        limits = Discv4Limits(table=TableLimits(shared=10**12))
        return besiege(People(sybil_networks=16, poison=60), seed, hours=24.0, limits=limits)


def siege_without_limits(seed: int = SEED) -> Siege:
    with envelopes(), defenceless() as limits:
        return besiege(People(poison=60), seed, hours=24.0, limits=limits)


# S2


def reboots(runs: int) -> list[Outbound]:
    with envelopes(), book_of_before() as book:
        return [reboot(seed, book, Defence()) for seed in range(runs)]


def reboots_without_book(runs: int) -> list[Outbound]:
    with envelopes():
        return [reboot(seed, None, Defence()) for seed in range(runs)]


def reboots_without_limits(runs: int, *, reserved: bool) -> list[Outbound]:
    """The honest nodes do without limits too, so that their tables hold more of the attacker's nodes."""
    with envelopes(), defenceless() as limits:
        defence, people = Defence(limits=limits, bounded=False, reserved=reserved), replace(PEOPLE, poison=60)
        return [reboot(seed, None, defence, people=people) for seed in range(runs)]


REBOOTS = 30

RUNS: dict[str, Callable[[], Any]] = {
    "thousand_v4": partial(form, "v4"),
    "five_hundred_v5": partial(form, "v5", 500),
    "neighbourhood_v4": partial(neighbourhood, "v4"),
    "neighbourhood_v5": partial(neighbourhood, "v5"),
    "unpaid_v4": unpaid_v4,
    "hurried_v5": hurried_v5,
    "siege_of_1": partial(siege, 1),
    "siege_of_16": partial(siege, 16),
    "siege_without_shares": siege_without_shares,
    "siege_without_limits": siege_without_limits,
    "reboots": partial(reboots, REBOOTS),
    "reboots_without_book": partial(reboots_without_book, 10),
    "reboots_without_limits": partial(reboots_without_limits, 10, reserved=True),
    "reboots_without_places": partial(reboots_without_limits, 10, reserved=False),
}
"""By the name of the fixture that gives the result."""
