"""Dials for free places: how many there are at once, and what is remembered of each; and the pool of those who may be dialled."""

from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from devp2p.addresses import Address
from devp2p.book import Book, Source
from devp2p.capability.definition import Peer
from devp2p.errors import DialError, DisconnectReason, HandshakeError, PeerDisconnected
from devp2p.keys import PrivateKey
from devp2p.node.dialer import DIALS_AT_ONCE, BackgroundDials
from devp2p.node.pace import PolicyClock
from devp2p.node.policy import Policy
from devp2p.node.roster import Roster
from devp2p.peers.candidates import Pool, WhyNot, undialable
from devp2p.peers.dial_history import AFTER_SESSION, BUSY, UNREACHABLE
from devp2p.records.node_record import NodeRecord
from devp2p.session import LocalNode
from devp2p.trust import Trust
from tests.chat import Chat

KEYS = [PrivateKey.from_bytes(number.to_bytes(32, "big")).public_key for number in range(1, 60)]
NODES = [NodeRecord(key, (Address("tcp", "127.0.0.1", 1000 + number),)) for number, key in enumerate(KEYS)]
OWN = PrivateKey.from_bytes((60).to_bytes(32, "big"))


class Shy(Chat):
    """Wants nobody at an odd port."""

    def wants(self, record: NodeRecord) -> bool:
        return (record.addresses[0].port or 0) % 2 == 0


def policy_of(capability: Chat, *, pace: float = 1.0, outside: tuple[NodeRecord, ...] = (), roster: Roster | None = None) -> Policy:
    return Policy(
        LocalNode(OWN, "test", (capability,)),
        Roster() if roster is None else roster,
        PolicyClock(pace),
        outside=outside,
        schemes={"tcp"},
        max_peers=50,
        wanted={},
        dials=True,
        random=Random(1).random,
        secret=bytes(16),
    )


class World:
    """Nodes that can be dialled: what becomes of it, a test says."""

    def __init__(self, nursery: trio.Nursery, *, book: Book | None = None, pace: float = 1.0) -> None:
        self.begun: list[NodeRecord] = []
        self.hold = trio.Event()
        self.hold.set()
        self.refusals: dict[bytes, DialError] = {}
        self.failed: list[NodeRecord] = []
        self.reached: list[NodeRecord] = []
        self.over = 0
        self.policy = policy_of(Chat(), pace=pace)
        self.dials = BackgroundDials(self.connect, self.policy, book, nursery, self.note_end)

    def note_end(self) -> None:
        self.over += 1
        assert len(self.policy.candidates.dialling) <= DIALS_AT_ONCE - self.over, "another may be dialled now"

    async def connect(self, record: NodeRecord) -> Peer:
        self.begun.append(record)
        await self.hold.wait()
        if record.id in self.refusals:
            self.failed.append(record)
            raise self.refusals[record.id]
        self.reached.append(record)
        return peer_of(record)


def peer_of(record: NodeRecord, *, inbound: bool = False, end: PeerDisconnected | None = None, since: float | None = None) -> Peer:
    since = trio.current_time() if since is None else since
    told = SimpleNamespace(
        id=record.id,
        public_key=record.public_key,
        inbound=inbound,
        since=since,
        ended=end,
        capabilities=(),
        latency=None,
        trust=Trust.STRANGER,
    )
    return cast("Peer", told)


def refused(record: NodeRecord, reason: DisconnectReason | None = None) -> DialError:
    return DialError("refused", target=record, reason=reason)


async def test_it_dials_what_it_is_told_to_and_says_when_it_is_busy():
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        world.hold = trio.Event()
        for record in NODES:
            if not world.dials.is_busy:
                world.dials.begin(record)
        await wait_all_tasks_blocked()
        assert len(world.begun) == len(world.policy.candidates.dialling) == DIALS_AT_ONCE
        assert world.policy.candidates.why_not(NODES[0]) is WhyNot.DIALLED_NOW
        world.hold.set()
        await wait_all_tasks_blocked()
        assert (len(world.policy.candidates.dialling), world.dials.begun, world.dials.failed, world.over) == (
            0,
            DIALS_AT_ONCE,
            0,
            DIALS_AT_ONCE,
        )
        assert {record.id for record in world.reached} == {record.id for record in world.begun}
        assert not world.dials.is_busy
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("pace", [1, 60])
@pytest.mark.parametrize(("reason", "wait"), [(DisconnectReason.TOO_MANY_PEERS, BUSY), (None, UNREACHABLE)])
async def test_a_node_that_failed_may_be_dialled_again_only_after_a_while(reason, wait, pace):
    async with trio.open_nursery() as nursery:
        world = World(nursery, pace=pace)
        world.refusals[NODES[0].id] = refused(NODES[0], reason)
        world.dials.begin(NODES[0])
        await wait_all_tasks_blocked()
        assert world.failed == [NODES[0]]
        assert world.dials.failed == 1
        await trio.sleep((wait - 1) / pace)
        assert world.policy.candidates.why_not(NODES[0]) is WhyNot.LEFT_ALONE
        await trio.sleep(1.01 / pace)
        assert world.policy.candidates.why_not(NODES[0]) is None
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("inbound", [False, True])
async def test_a_node_is_left_alone_for_a_while_after_a_session_whoever_began_it(inbound):
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        if not inbound:
            world.dials.begin(NODES[0])
            await wait_all_tasks_blocked()
            assert world.reached == [NODES[0]]
        begun = trio.current_time()
        await trio.sleep(100)
        end = PeerDisconnected(DisconnectReason.CLIENT_QUITTING, by_remote=True)
        world.policy.ended(peer_of(NODES[0], inbound=inbound, end=end, since=begun))
        assert world.policy.candidates.why_not(NODES[0]) is WhyNot.LEFT_ALONE
        await trio.sleep(AFTER_SESSION + 0.01)
        assert world.policy.candidates.why_not(NODES[0]) is None
        nursery.cancel_scope.cancel()


async def test_the_book_is_told_what_became_of_each_dial():
    with Book.open(":memory:") as book:
        good, busy, wrong = NODES[:3]
        for record in NODES[:3]:
            book.heard(record, Source.V4, 1.0)
        broken = refused(wrong)
        broken.__cause__ = HandshakeError("wrong MAC")
        async with trio.open_nursery() as nursery:
            world = World(nursery, book=book)
            world.refusals |= {busy.id: refused(busy, DisconnectReason.TOO_MANY_PEERS), wrong.id: broken}
            for record in (good, busy, wrong):
                world.dials.begin(record)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        entries: dict[str, Any] = {name: book.get(node.id) for name, node in (("good", good), ("busy", busy), ("wrong", wrong))}
    assert entries["good"].last_connected is not None
    assert entries["good"].failures == 0
    assert (entries["busy"].failures, entries["busy"].failure) == (1, "too many peers")
    assert (entries["wrong"].failures, entries["wrong"].failure) == (1, "broke the rules")
    assert all(entry.last_dialled is not None for entry in entries.values())


# Why a node is not dialled


def at(*addresses: str, number: int = 0) -> NodeRecord:
    return NodeRecord(KEYS[number], tuple(Address.parse(address) for address in addresses))


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (at(), WhyNot.NO_ADDRESS),
        (at("quic://8.8.8.8:1", "unix:///there"), WhyNot.NO_TRANSPORT),
        (at("tcp://8.8.8.8:0", "quic://8.8.8.8:1"), WhyNot.NO_PORT),
        (at("quic://8.8.8.8:1", "tcp://8.8.8.8:2"), None),
        (at("tcp://8.8.8.8:0", "tcp://8.8.4.4:2"), None),
    ],
)
def test_a_record_is_worth_dialling_if_one_of_its_addresses_can_be(record, why):
    assert undialable(record, {"tcp"}) is why


async def test_each_reason_not_to_dial_a_node_is_told():
    roster = Roster()
    policy = policy_of(Shy(), outside=(NODES[2],), roster=roster)
    for record, why in (
        (NodeRecord(OWN.public_key, NODES[0].addresses), WhyNot.OURSELVES),
        (NODES[2], WhyNot.STATIC_OR_TRUSTED),
        (at("unix:///there"), WhyNot.NO_TRANSPORT),
        (NODES[1], WhyNot.UNWANTED),
    ):
        assert policy.candidates.why_not(record) is policy.candidates.never(record) is why
        assert not policy.candidates.takes(record)
        policy.candidates.offer(record, "v4")
        assert (len(policy.candidates.pool), policy.candidates.turned_away[why]) == (0, 2)
    banned, dialled, reached, connected, failed, neighbour, free = (
        at(f"tcp://8.8.{number}.8:2", number=number) for number in (3, 4, 5, 6, 7, 7, 8)
    )
    neighbour = NodeRecord(KEYS[9], failed.addresses)
    everybody = [banned, dialled, reached, connected, failed, neighbour, free]
    for record in everybody:
        policy.candidates.offer(record, "v4")
    policy.ban(banned.id, 60, "spam")
    policy.candidates.begin_dial(dialled)
    policy.candidates.reached_for.add(reached.id)
    roster.add(peer_of(connected))
    policy.candidates.begin_dial(failed)
    policy.dial_failed(failed, refused(failed))
    policy.candidates.dial_over(failed)
    expected = [
        WhyNot.BANNED, WhyNot.DIALLED_NOW, WhyNot.DIALLED_NOW, WhyNot.CONNECTED, WhyNot.LEFT_ALONE, WhyNot.HOST_LEFT_ALONE, None
    ]  # fmt: skip
    assert [policy.candidates.why_not(record) for record in everybody] == expected
    assert [policy.candidates.may_dial(record.id) for record in everybody] == [why is None for why in expected]
    found = [policy.candidates.look_at(known) for known in policy.candidates.pool]
    assert [candidate.id for candidate in found if candidate is not None] == [free.id]
    assert [known.why_not for known in policy.candidates.pool] == expected
    assert {word: count for word, count in policy.candidates.not_dialled.items() if count} == {
        "banned": 1, "dialled_now": 2, "connected": 1, "left_alone": 1, "host_left_alone": 1
    }  # fmt: skip
    assert policy.candidates.not_dialled.keys() == {why.value for why in WhyNot}


async def test_what_the_slots_look_at_is_made_once_until_something_of_it_has_changed():
    policy = policy_of(Chat())
    policy.candidates.offer(NODES[0], "v4")
    (known,) = policy.candidates.pool
    first = policy.candidates.look_at(known)
    assert first is not None
    assert policy.candidates.look_at(known) is first
    policy.candidates.begin_dial(NODES[0])
    policy.candidates.dial_over(NODES[0])
    again = policy.candidates.look_at(known)
    assert again is not None
    assert (first.tries, again.tries) == (0, 1)
    policy.candidates.offer(NODES[0], "v5")
    assert policy.candidates.look_at(known) is not again
    policy.ratings.proved(NODES[0].id, ["chat"], 0.0)  # what is remembered fades with time
    assert policy.candidates.look_at(known) is not policy.candidates.look_at(known)


async def test_what_was_remembered_of_a_candidate_fades_from_what_the_slots_look_at_too():
    policy = policy_of(Chat())
    policy.candidates.offer(NODES[0], "v4")
    (known,) = policy.candidates.pool
    policy.ratings.proved(NODES[0].id, ["other"], 0.0)  # our capability was not among those that it has
    remembered = policy.candidates.look_at(known)
    policy.ratings.ended(NODES[0].id, PeerDisconnected(DisconnectReason.CLIENT_QUITTING, by_remote=True), 1.0)
    policy.ratings.refresh(1e9)
    assert NODES[0].id not in policy.ratings
    forgotten = policy.candidates.look_at(known)
    assert remembered is not None
    assert forgotten is not None
    assert (tuple(remembered.standings), tuple(forgotten.standings)) == ((), ("chat",))


# The pool


@given(st.lists(st.tuples(st.integers(0, 58), st.booleans(), st.booleans()), max_size=80), st.integers(1, 8))
def test_the_pool_is_bounded_and_keeps_those_who_served_and_anchors_longest(offers, size):
    pool = Pool(size)
    for number, anchor, served in offers:
        before = {known.record.id: known for known in pool}
        known = pool.offer(NODES[number], "v4", ("chat",), anchor=anchor)
        known.served = known.served or served
        assert len(pool) <= size
        assert pool.get(bytes(NODES[number].id)) is known
        gone = before.keys() - {other.record.id for other in pool}
        assert len(gone) <= 1
        if any(before[node_id].anchor or before[node_id].served for node_id in gone):
            assert all(other.anchor or other.served for other in before.values())


def test_a_node_that_is_named_again_keeps_what_is_known_of_it():
    pool = Pool()
    first = pool.offer(NODES[0], "anchor", ("chat",), anchor=True)
    first.tries = 3
    newer = NodeRecord(NODES[0].public_key, (Address("tcp", "127.0.0.1", 9),))
    again = pool.offer(newer, "v5", ())
    assert again is first
    assert (again.record, again.source, again.capabilities, again.anchor, again.tries) == (newer, "anchor", (), True, 3)
