"""P7: strangers name any number of nodes that cannot be reached, and while they are dialled the node has to do other things as well.

What is counted is work, and not time: how many candidates, ratings and rows there are between two waits of a task.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio

from devp2p import Address, Node, NodeRecord
from devp2p.book import Book
from devp2p.conduct import Conduct
from devp2p.errors import DisconnectReason, PeerDisconnected
from devp2p.node.census import Census
from devp2p.node.dialer import DIALS_AT_ONCE
from devp2p.node.persistence import PORTION, StandingsKeeper
from devp2p.node.steering import AT_ONCE, BETWEEN_DIALS, Steering
from devp2p.peers.bans import Bans
from devp2p.peers.candidates import Pool
from devp2p.peers.ratings import RatingRule, Ratings
from tests.books import key
from tests.network import Network, running

JUNK = 400
REMEMBERED = 2000
NAMES = ("eth", "snap")


class Work(trio.abc.Instrument):
    """Counts what is done in one step of a task, and in all."""

    def __init__(self) -> None:
        self.total = Counter[str]()
        self.most = Counter[str]()
        self._step = Counter[str]()

    def did(self, what: str) -> None:
        self._step[what] += 1
        self.total[what] += 1

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  (as trio calls it)
        for what, count in self._step.items():
            self.most[what] = max(self.most[what], count)
        self._step.clear()


@pytest.fixture
def work(monkeypatch) -> Work:
    work = Work()

    def counted(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def call(*args, **kwargs):
            work.did(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    counted(Census, "candidate")
    counted(Ratings, "_bring_up")
    return work


@asynccontextmanager
async def besieged(work: Work) -> AsyncIterator[Node]:
    """A node that was told of nodes at which nobody listens."""

    told = trio.Event()

    async def junk() -> AsyncIterator[NodeRecord]:
        for number in range(JUNK):
            yield NodeRecord(key(number).public_key, (Address("memory", f"nobody{number}", None),))
        told.set()
        await trio.sleep_forever()

    async with running(Network(), candidates=junk()) as node:
        await told.wait()
        trio.lowlevel.add_instrument(work)
        yield node
        trio.lowlevel.remove_instrument(work)


async def failures(node: Node) -> int:
    """How many dials fail until the next look for somebody to dial is over."""
    before = node.statistics.place_dial_failures
    await trio.sleep(BETWEEN_DIALS * 1.5)
    return node.statistics.place_dial_failures - before


async def test_p7_dials_that_fail_together_have_the_candidates_looked_at_once_in_small_steps(work: Work) -> None:
    async with besieged(work) as node:
        work.total.clear()
        assert await failures(node) >= DIALS_AT_ONCE
        assert work.total["candidate"] <= 2 * JUNK  # there may be two looks in this time
        assert work.most["candidate"] <= AT_ONCE


async def test_p7_control_looked_at_for_each_dial_they_keep_the_loop_busy(work: Work, monkeypatch) -> None:
    async def fill(steering: Steering) -> None:
        now = trio.current_time()
        policy = steering._policy
        while not steering.background.is_busy:
            some = [policy._census.candidate(known, now) for known in policy.candidates.pool if policy.candidates.may_dial(known.record.id)]
            if (decision := policy.next_dial(policy.choice(some))) is None:
                return
            steering._dial(decision.id)

    monkeypatch.setattr(Steering, "_fill", fill)
    async with besieged(work) as node:
        work.total.clear()
        assert await failures(node) >= DIALS_AT_ONCE
        assert work.total["candidate"] > 0.8 * DIALS_AT_ONCE * JUNK
        assert work.most["candidate"] > 0.8 * DIALS_AT_ONCE * JUNK


async def test_p7_a_node_without_a_free_place_does_not_look_at_candidates_however_many_come(work: Work) -> None:
    async with besieged(work) as node:
        node.policy.slots.rules = type(node.policy.slots.rules)(node.policy.slots.rules.specs, budget=0)
        await trio.sleep(BETWEEN_DIALS * 2)
        work.total.clear()
        for _ in range(8):
            node._steering._news.set()
            await trio.sleep(BETWEEN_DIALS * 1.01)
        assert work.total["candidate"] == 0


def remembered(count: int = REMEMBERED) -> Ratings:
    """The ratings of as many peers, which have left."""
    ratings = Ratings([RatingRule(name) for name in NAMES])
    for number in range(count):
        node_id = number.to_bytes(32, "big")
        ratings.proved(node_id, NAMES, 0.0)
        ratings.observe(node_id, "eth", Conduct(useful=number), 1.0)
        ratings.ended(node_id, PeerDisconnected(DisconnectReason.REQUESTED, by_remote=True), 1.0)
    return ratings


async def test_p7_thousands_of_peers_are_ranked_in_small_steps(work: Work) -> None:
    """Ten minutes after a start, all that was loaded is rated anew at the same time."""
    ratings, other = remembered(), remembered()
    trio.lowlevel.add_instrument(work)
    for _ in ratings.refreshing(lambda: 1000.0):
        await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()
    assert work.total["_bring_up"] == REMEMBERED
    assert work.most["_bring_up"] <= 100
    other.refresh(1000.0)
    trio.lowlevel.remove_instrument(work)
    for node_id in ratings:
        assert ratings.standing(node_id, "eth", 1000.0) == other.standing(node_id, "eth", 1000.0)


async def test_p7_control_ranked_at_once_they_are_one_step(work: Work) -> None:
    ratings = remembered()
    trio.lowlevel.add_instrument(work)
    ratings.refresh(1000.0)
    await trio.lowlevel.checkpoint()
    trio.lowlevel.remove_instrument(work)
    assert work.most["_bring_up"] == REMEMBERED


async def test_p7_candidates_that_are_absent_are_not_rated_anew_whenever_somebody_asks(work: Work) -> None:
    ratings = remembered()
    for seconds in range(1, 500):
        for node_id in list(ratings)[:5]:
            ratings.standing(node_id, "eth", float(seconds))
    assert work.total["_bring_up"] == 0
    ratings.standing(next(iter(ratings)), "eth", 700.0)
    assert work.total["_bring_up"] == 1


def test_p7_all_is_written_in_portions_and_then_only_what_has_changed(tmp_path) -> None:
    ratings = remembered(200)
    with Book.open(tmp_path / "book") as book:
        memory = StandingsKeeper(book, ratings, Bans(), Pool())
        written = [0, *(len(book.standings.ratings) for _ in memory.saving({}, lambda: 2.0))]
        written.append(len(book.standings.ratings))
        assert max(after - before for before, after in pairwise(written)) <= PORTION * (len(NAMES) + 1)
        assert written[-1] == 200 * (len(NAMES) + 1)
        ratings.proved(next(iter(ratings)), NAMES, 3.0)
        assert len(ratings.changed()) == 1


def test_p7_control_what_is_saved_at_once_is_one_step(tmp_path) -> None:
    """As at the end of a node, when nobody waits any more."""
    ratings = remembered(200)
    with Book.open(tmp_path / "book") as book:
        memory = StandingsKeeper(book, ratings, Bans(), Pool())
        memory.save({}, 2.0)
        assert len(book.standings.ratings) == 200 * (len(NAMES) + 1)
