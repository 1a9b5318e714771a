"""Whose turn it is: nobody is lost, nobody is visited twice at a time, and liars do not get ahead of honest nodes."""

import random
from functools import cache

from devp2p_crawler.frontier import Entry, Place, Queue, Teller
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from devp2p import Address, NodeRecord, PrivateKey

NODES = 24


@cache
def node(number: int, host: int = 0) -> NodeRecord:
    key = PrivateKey.from_bytes((number + 1).to_bytes(32, "big")).public_key
    return NodeRecord(key, (Address("tcp", f"10.{host}.{number >> 8}.{number & 255}", 30303),))


class Turns(RuleBasedStateMachine):
    """A model of one set of places: each known node is in exactly one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(most=NODES - 4)
        self.tellers = [Teller() for _ in range(4)]
        self.under_way: list[Entry] = []
        self.retired: set[bytes] = set()
        self.known: set[bytes] = set()
        self.now = 0.0

    @rule(number=st.integers(0, NODES - 1), teller=st.integers(0, 3), host=st.integers(0, 3))
    def name(self, number: int, teller: int, host: int) -> None:
        told = node(number, host)
        entry = self.queue.named(told, self.tellers[teller])
        assert (entry is not None) == (told.id not in self.known and len(self.known) < NODES - 4)
        if entry is not None:
            self.known.add(told.id)

    @rule(number=st.integers(0, NODES - 1), due=st.one_of(st.none(), st.floats(0, 100)))
    def trust(self, number: int, due: float | None) -> None:
        told = node(number)
        if self.queue.trusted(told, due=None if due is None else self.now + due) is not None:
            self.known.add(told.id)

    @rule()
    def take(self) -> None:
        entry = self.queue.take(self.now)
        if entry is not None:
            assert entry.place is Place.UNDER_WAY
            assert entry not in self.under_way
            self.under_way.append(entry)

    @rule()
    def take_doubtful(self) -> None:
        entry = self.queue.take_doubtful()
        if entry is not None:
            assert not entry.is_trusted
            assert entry not in self.under_way
            self.under_way.append(entry)

    @rule(alive=st.booleans(), pause=st.one_of(st.none(), st.floats(0, 100)))
    def settle(self, alive: bool, pause: float | None) -> None:  # noqa: FBT001  (Hypothesis gives it by name)
        if not self.under_way:
            return
        entry = self.under_way.pop(0)
        self.queue.judge(entry, alive=alive)
        if pause is None:
            self.queue.retire(entry)
            self.retired.add(entry.id)
        else:
            self.queue.rest(entry, self.now + pause)

    @rule(seconds=st.floats(0, 60))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def each_is_in_one_place(self) -> None:
        entries = [entry for known in self.known if (entry := self.queue.get(known)) is not None]
        assert len(entries) == len(self.known) == len(self.queue)
        places = [entry.place for entry in entries if entry.id not in self.retired]
        assert self.queue.queued == places.count(Place.QUEUED)
        assert self.queue.resting == places.count(Place.RESTING)
        assert places.count(Place.UNDER_WAY) == len(self.under_way)

    def teardown(self) -> None:
        """In the end everybody gets a turn, but for those whom nobody told who is believed."""
        self.now += 1000
        taken = 0
        while self.queue.take(self.now) is not None:
            taken += 1
        assert self.queue.queued == self.queue.resting == 0


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=settings().max_examples // 4)


def test_names_of_one_teller_do_not_delay_those_of_others() -> None:
    queue, loud, modest = Queue(), Teller(), Teller()
    for number in range(100):
        queue.named(node(number), loud)
    queue.named(node(200), modest)
    assert node(200).id in {entry.id for _ in range(2) if (entry := queue.take(0.0)) is not None}


def test_who_is_named_by_two_comes_before_who_is_named_by_one() -> None:
    queue, first, second = Queue(), Teller(), Teller()
    for number in range(10):
        queue.named(node(number), first)
    queue.named(node(7), second)
    entry = queue.take(0.0)
    assert entry is not None
    assert entry.id == node(7).id


def test_liars_are_believed_no_more_and_cost_little() -> None:
    """A hundred liars confirm each other's ten thousand nodes, none of which is there; three hundred honest ones are told of, too."""
    chance = random.Random(5)
    queue, liars, honest = Queue(), [Teller() for _ in range(100)], [Teller() for _ in range(20)]
    for number in range(1000, 11_000):
        for liar in chance.sample(liars, 3):
            queue.named(node(number), liar)
    for number in range(300):
        for teller in chance.sample(honest, 3):
            queue.named(node(number), teller)
    visited = alive = 0
    while (entry := queue.take(0.0) or queue.take_doubtful()) is not None:
        visited += 1
        is_there = int(entry.node.addresses[0].host.split(".")[2]) < 2
        alive += is_there
        queue.judge(entry, alive=is_there)
        queue.retire(entry)
    assert alive == 300
    assert visited < 300 + 100 * 12 + 100


def test_a_record_counts_for_more_than_what_others_say() -> None:
    queue, teller, other = Queue(), Teller(), Teller()
    queue.named(node(1, 1), teller)
    queue.named(node(1, 2), other)
    queue.named(node(1, 3), other)
    queue.named(node(1, 4), other)
    entry = queue.get(node(1).id)
    assert entry is not None
    assert [one.addresses[0].host.split(".")[1] for one in (entry.node, *entry.others)] == ["1", "2", "3"]


def test_where_nobody_can_be_asked_is_no_other_place() -> None:
    """A node that has called us names no port for UDP."""
    queue = Queue()
    entry = queue.named(node(1), Teller())
    assert entry is not None
    queue.trusted(NodeRecord(node(1).public_key, (Address("tcp", "10.9.9.9", 30303),), 0))
    queue.trusted(NodeRecord(node(1).public_key))
    assert entry.others == []
    queue.trusted(node(1, 5))
    assert entry.others == [node(1, 5)]


def test_a_node_that_is_to_be_visited_sooner_rests_but_once() -> None:
    """A crawl ends when nobody rests any more: two reasons to visit a node again are still one node."""
    queue = Queue()
    queue.trusted(node(1))
    entry = queue.take(0.0)
    assert entry is not None
    queue.rest(entry, 9.0)
    queue.rest(entry, 5.0)
    assert (queue.resting, queue.next_due()) == (1, 5.0)
    assert queue.take(5.0) is entry
    assert (queue.resting, queue.take(9.0)) == (0, None)
    queue.rest(entry, 20.0)
    queue.retire(entry)
    assert (queue.resting, queue.queued, queue.next_due(), queue.take(30.0)) == (0, 0, None, None)
