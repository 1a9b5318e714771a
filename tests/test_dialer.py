"""The dialer of nodes that discovery finds: how many it dials, whom, and whom not again."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, Self, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p.capability import Peer
from devp2p.discovery.candidates import Candidate
from devp2p.errors import DialError, DisconnectReason, HandshakeError, PeerDisconnected
from devp2p.keys import PrivateKey
from devp2p.peers.book import Book, Source
from devp2p.peers.dial_history import BUSY, UNREACHABLE, DialHistory
from devp2p.peers.dialer import DIALS_AT_ONCE, Dialer
from devp2p.records import Address, NodeRecord

KEYS = [PrivateKey.from_bytes(number.to_bytes(32, "big")).public_key for number in range(1, 60)]
NODES = [NodeRecord(key, (Address("tcp", "127.0.0.1", 1000 + number),)) for number, key in enumerate(KEYS)]


class World:
    """Nodes that can be dialled: what becomes of it, a test says."""

    def __init__(self, wanted: int, *, book: Book | None = None) -> None:
        self.dials: list[NodeRecord] = []
        self.sessions: dict[bytes, trio.Event] = {}
        self.reasons: dict[bytes, DisconnectReason] = {}
        self.hold = trio.Event()
        self.hold.set()
        self.refusals: dict[bytes, DialError] = {}
        self.inbound: set[bytes] = set()
        self.unwanted: set[bytes] = set()
        self.given = 0
        self.queue = list(NODES)
        self.more = trio.lowlevel.ParkingLot()
        wants = {"is_wanted": lambda record: record.id not in self.unwanted}
        self.dialer = Dialer(self.connect, wanted, history=DialHistory(), book=book, **wants)

    async def connect(self, record: NodeRecord) -> Peer:
        self.dials.append(record)
        await self.hold.wait()
        if record.id in self.refusals:
            raise self.refusals[record.id]
        over = self.sessions[record.id] = trio.Event()

        async def wait_ended() -> PeerDisconnected:
            await over.wait()
            return PeerDisconnected(self.reasons.get(record.id, DisconnectReason.CLIENT_QUITTING), by_remote=True)

        peer = SimpleNamespace(inbound=record.id in self.inbound, since=trio.current_time(), wait_ended=wait_ended)
        return cast("Peer", peer)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Candidate:
        """The next of `queue` that passes the filter."""
        await trio.lowlevel.checkpoint()
        while (record := next((record for record in self.queue if self.dialer.may_dial(record)), None)) is None:
            await self.more.park()
        self.given += 1
        self.queue.remove(record)
        return Candidate(record, "v4")

    def offer_again(self, *records: NodeRecord) -> None:
        self.queue.extend(records)
        self.more.unpark_all()

    async def run(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self.dialer.run, self)
        await wait_all_tasks_blocked()


def refused(record: NodeRecord, reason: DisconnectReason | None = None) -> DialError:
    return DialError("refused", target=record, reason=reason)


async def test_it_dials_until_there_are_enough_and_then_asks_for_no_more_candidates():
    world = World(wanted=4)
    async with trio.open_nursery() as nursery:
        await world.run(nursery)
        statistics = world.dialer.statistics
        assert 4 <= statistics.connected == len(world.sessions) < 8  # the last dials may all have been good
        given = world.given
        await trio.sleep(3600)
        assert world.given == given
        for record in world.dials[: statistics.connected - 3]:
            world.sessions[record.id].set()
        await wait_all_tasks_blocked()
        assert world.dialer.statistics.connected >= 4
        nursery.cancel_scope.cancel()


async def test_only_so_many_are_dialled_at_once():
    world = World(wanted=50)
    world.hold = trio.Event()
    async with trio.open_nursery() as nursery:
        await world.run(nursery)
        assert len(world.dials) == world.dialer.statistics.dialling == DIALS_AT_ONCE
        world.hold.set()
        await wait_all_tasks_blocked()
        assert len(world.sessions) >= 50
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("wanted", "at_once"), [(1, 2), (3, 6)])
async def test_when_few_are_missing_few_are_dialled(wanted, at_once):
    world = World(wanted=wanted)
    world.hold = trio.Event()
    async with trio.open_nursery() as nursery:
        await world.run(nursery)
        assert len(world.dials) == at_once
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("reason", "wait"), [(DisconnectReason.TOO_MANY_PEERS, BUSY), (None, UNREACHABLE)])
async def test_a_node_that_failed_is_dialled_again_only_after_a_while(reason, wait):
    world = World(wanted=1)
    world.queue = [NODES[0]]
    world.refusals[NODES[0].id] = refused(NODES[0], reason)
    async with trio.open_nursery() as nursery:
        await world.run(nursery)
        assert world.dials == [NODES[0]]
        await trio.sleep(wait - 1)
        world.offer_again(NODES[0])
        await wait_all_tasks_blocked()
        assert world.dials == [NODES[0]]
        await trio.sleep(1)
        del world.refusals[NODES[0].id]
        world.offer_again()
        await wait_all_tasks_blocked()
        assert world.dials == [NODES[0]] * 2
        assert world.dialer.statistics.connected == 1
        assert world.dialer.statistics.failed == 1
        nursery.cancel_scope.cancel()


async def test_a_peer_that_came_by_itself_meanwhile_takes_no_place():
    world = World(wanted=1)
    world.queue = NODES[:1]
    world.inbound.add(NODES[0].id)
    async with trio.open_nursery() as nursery:
        await world.run(nursery)
        assert world.dialer.statistics.connected == 0
        world.offer_again(NODES[1])
        await wait_all_tasks_blocked()
        assert world.dialer.statistics.connected == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("addresses", [(), (Address("tcp", "127.0.0.1", 0),)])
async def test_a_node_without_an_address_to_dial_is_no_candidate(addresses):
    dialer = World(wanted=1).dialer
    assert dialer.may_dial(NODES[0])
    assert not dialer.may_dial(NodeRecord(NODES[0].public_key, addresses))


async def test_a_node_is_not_dialled_twice_at_once():
    world = World(wanted=4)
    world.hold = trio.Event()
    world.queue = NODES[:1]
    async with trio.open_nursery() as nursery:
        await world.run(nursery)
        assert not world.dialer.may_dial(NODES[0])
        world.hold.set()
        await wait_all_tasks_blocked()
        assert not world.dialer.may_dial(NODES[0])  # it is connected
        nursery.cancel_scope.cancel()


async def test_what_is_no_longer_wanted_when_its_turn_comes_is_passed_over():
    world = World(wanted=1)
    world.hold = trio.Event()
    async with trio.open_nursery() as nursery:
        await world.run(nursery)  # two are being dialled
        third = world.queue[0]
        world.unwanted.add(third.id)
        for record in world.dials:
            world.refusals[record.id] = refused(record)
        world.hold.set()
        await wait_all_tasks_blocked()
        assert third not in world.dials
        assert len(world.dials) > 2
        nursery.cancel_scope.cancel()


async def test_the_book_is_told_what_became_of_each_dial():
    with Book.open(":memory:") as book:
        good, busy, wrong = NODES[:3]
        for record in NODES[:3]:
            book.heard(record, Source.V4, 1.0)
        world = World(wanted=2, book=book)
        world.queue = NODES[:3]
        broken = refused(wrong)
        broken.__cause__ = HandshakeError("wrong MAC")
        world.refusals |= {busy.id: refused(busy, DisconnectReason.TOO_MANY_PEERS), wrong.id: broken}
        async with trio.open_nursery() as nursery:
            await world.run(nursery)
            nursery.cancel_scope.cancel()
        entries: dict[str, Any] = {name: book.get(node.id) for name, node in (("good", good), ("busy", busy), ("wrong", wrong))}
    assert entries["good"].last_connected is not None
    assert entries["good"].failures == 0
    assert (entries["busy"].failures, entries["busy"].failure) == (1, "too many peers")
    assert (entries["wrong"].failures, entries["wrong"].failure) == (1, "broke the rules")
    assert all(entry.last_dialled is not None for entry in entries.values())


async def test_it_ends_when_there_are_no_more_candidates():
    async def none() -> AsyncIterator[Candidate]:
        for record in NODES[:0]:
            yield Candidate(record, "v4")

    with trio.fail_after(10):
        await World(wanted=1).dialer.run(none())
