"""The dialer: what it remembers of each dial and session, and the pool of those that it may be told to dial."""

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
from devp2p.node.dialer import DIALS_AT_ONCE, Dialer
from devp2p.node.pace import PolicyClock
from devp2p.peers.candidates import Pool
from devp2p.peers.dial_history import AFTER_SESSION, BUSY, UNREACHABLE, DialHistory
from devp2p.records.node_record import NodeRecord

KEYS = [PrivateKey.from_bytes(number.to_bytes(32, "big")).public_key for number in range(1, 60)]
NODES = [NodeRecord(key, (Address("tcp", "127.0.0.1", 1000 + number),)) for number, key in enumerate(KEYS)]


class World:
    """Nodes that can be dialled: what becomes of it, a test says."""

    def __init__(self, *, book: Book | None = None, pace: float = 1.0) -> None:
        self.dials: list[NodeRecord] = []
        self.hold = trio.Event()
        self.hold.set()
        self.refusals: dict[bytes, DialError] = {}
        self.inbound: set[bytes] = set()
        self.failed: list[NodeRecord] = []
        self.reached: list[NodeRecord] = []
        self.dialer = Dialer(self.connect, history=DialHistory(), book=book, over=self.over, clock=PolicyClock(pace))

    def over(self, record: NodeRecord, peer: Peer | None) -> None:
        assert record.id not in self.dialer.dialling, "another may be dialled now"
        (self.failed if peer is None else self.reached).append(record)

    async def connect(self, record: NodeRecord) -> Peer:
        self.dials.append(record)
        await self.hold.wait()
        if record.id in self.refusals:
            raise self.refusals[record.id]
        return peer_of(record, inbound=record.id in self.inbound)


def peer_of(record: NodeRecord, *, inbound: bool = False, end: PeerDisconnected | None = None, since: float | None = None) -> Peer:
    since = trio.current_time() if since is None else since
    return cast("Peer", SimpleNamespace(id=record.id, inbound=inbound, since=since, ended=end))


def refused(record: NodeRecord, reason: DisconnectReason | None = None) -> DialError:
    return DialError("refused", target=record, reason=reason)


async def test_it_dials_what_it_is_told_to_and_says_when_it_is_busy():
    world = World()
    world.hold = trio.Event()
    assert world.dialer.is_busy, "before it runs"
    async with trio.open_nursery() as nursery:
        await nursery.start(world.dialer.run)
        for record in NODES:
            if not world.dialer.is_busy:
                world.dialer.dial(record)
        await wait_all_tasks_blocked()
        assert len(world.dials) == world.dialer.statistics.dialling == DIALS_AT_ONCE
        assert not world.dialer.may_dial(NODES[0]), "it is being dialled"
        world.hold.set()
        await wait_all_tasks_blocked()
        statistics = world.dialer.statistics
        assert (statistics.dialling, statistics.connected, statistics.dials, statistics.failed) == (0, DIALS_AT_ONCE, DIALS_AT_ONCE, 0)
        assert {record.id for record in world.reached} == {record.id for record in world.dials}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("pace", [1, 60])
@pytest.mark.parametrize(("reason", "wait"), [(DisconnectReason.TOO_MANY_PEERS, BUSY), (None, UNREACHABLE)])
async def test_a_node_that_failed_may_be_dialled_again_only_after_a_while(reason, wait, pace):
    world = World(pace=pace)
    world.refusals[NODES[0].id] = refused(NODES[0], reason)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.dialer.run)
        world.dialer.dial(NODES[0])
        await wait_all_tasks_blocked()
        assert world.failed == [NODES[0]]
        assert world.dialer.statistics.failed == 1
        await trio.sleep((wait - 1) / pace)
        assert not world.dialer.may_dial(NODES[0])
        await trio.sleep(1.01 / pace)
        assert world.dialer.may_dial(NODES[0])
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("inbound", [False, True])
async def test_a_node_is_left_alone_for_a_while_after_a_session_whoever_began_it(inbound):
    world = World()
    async with trio.open_nursery() as nursery:
        await nursery.start(world.dialer.run)
        if not inbound:
            world.dialer.dial(NODES[0])
            await wait_all_tasks_blocked()
            assert world.dialer.statistics.connected == 1
        begun = trio.current_time()
        await trio.sleep(100)
        end = PeerDisconnected(DisconnectReason.CLIENT_QUITTING, by_remote=True)
        world.dialer.ended(peer_of(NODES[0], inbound=inbound, end=end, since=begun))
        assert world.dialer.statistics.connected == 0
        assert not world.dialer.may_dial(NODES[0])
        await trio.sleep(AFTER_SESSION + 0.01)
        assert world.dialer.may_dial(NODES[0])
        nursery.cancel_scope.cancel()


async def test_a_peer_that_came_by_itself_meanwhile_is_none_that_was_dialled():
    world = World()
    world.inbound.add(NODES[0].id)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.dialer.run)
        world.dialer.dial(NODES[0])
        await wait_all_tasks_blocked()
        assert world.dialer.statistics.connected == 0
        nursery.cancel_scope.cancel()


async def test_the_book_is_told_what_became_of_each_dial():
    with Book.open(":memory:") as book:
        good, busy, wrong = NODES[:3]
        for record in NODES[:3]:
            book.heard(record, Source.V4, 1.0)
        world = World(book=book)
        broken = refused(wrong)
        broken.__cause__ = HandshakeError("wrong MAC")
        world.refusals |= {busy.id: refused(busy, DisconnectReason.TOO_MANY_PEERS), wrong.id: broken}
        async with trio.open_nursery() as nursery:
            await nursery.start(world.dialer.run)
            for record in (good, busy, wrong):
                world.dialer.dial(record)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        entries: dict[str, Any] = {name: book.get(node.id) for name, node in (("good", good), ("busy", busy), ("wrong", wrong))}
    assert entries["good"].last_connected is not None
    assert entries["good"].failures == 0
    assert (entries["busy"].failures, entries["busy"].failure) == (1, "too many peers")
    assert (entries["wrong"].failures, entries["wrong"].failure) == (1, "broke the rules")
    assert all(entry.last_dialled is not None for entry in entries.values())


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
