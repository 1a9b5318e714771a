"""A node that steers its peers: what the policy decides is done, what capabilities report is remembered, and everybody is told why."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DialError, DisconnectReason, LocalProtocolError, Node, NodeRecord, Peer, PeerConnected, PeerDropped, PrivateKey
from devp2p.book import Book
from devp2p.conduct import RecentConduct
from devp2p.discovery.candidates import Candidate
from devp2p.node.dialer import DIALS_AT_ONCE
from devp2p.node.events import SlotDecision
from devp2p.node.steering import BETWEEN_DIALS
from devp2p.peers.slots.policy import LONG_BAN
from devp2p.peers.slots.values import Drop, Refuse, Swap
from tests.chat import Chat, ChatMessage
from tests.network import Network, running

KEYS = [PrivateKey.generate() for _ in range(16)]
MANY = [PrivateKey.generate() for _ in range(DIALS_AT_ONCE + 4)]


class Judged(Chat):
    """Reports of each peer what a test says: useful amounts a minute, by public key, or a severity below zero."""

    slots = 2

    def __init__(self, conduct: dict[bytes, float]) -> None:
        self.conduct = conduct

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            worth = self.conduct.get(bytes(peer.public_key), 0.0)
            if worth < 0:
                channel.conduct.invalid(round(-worth), "it lied")
            elif worth:
                channel.conduct.useful(worth)
            await trio.sleep(60)

    def metric(self, conduct: RecentConduct) -> float:
        return conduct.useful - conduct.severity**2


@asynccontextmanager
async def steered(network: Network, conduct: dict[bytes, float], **options: Any) -> AsyncIterator[Node]:
    """A node that dials what it is offered, as one with discovery does."""
    async with running(network, "steered", capabilities=[Judged(conduct)], **{"candidates": nobody(), **options}) as node:
        yield node


async def nobody() -> AsyncIterator[NodeRecord]:
    await trio.sleep_forever()
    yield NodeRecord(KEYS[0].public_key, ())


@asynccontextmanager
async def others(network: Network, count: int) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(network, f"node{n}", key=KEYS[n])) for n in range(count)]


async def candidates(records: Iterable[NodeRecord]) -> AsyncIterator[Candidate]:
    for record in records:
        yield Candidate(record, "v4")
    await trio.sleep_forever()


def names(node: Node, everybody: list[Node]) -> set[int]:
    """Which of the others are its peers."""
    keys = [other.public_key for other in everybody]
    return {keys.index(peer.public_key) for peer in node.connected}


@pytest.mark.simulation
async def test_who_serves_well_takes_the_place_of_who_does_not() -> None:
    network = Network()
    async with others(network, 12) as all_others:
        conduct = {bytes(other.public_key): float(number) for number, other in enumerate(all_others)}
        async with steered(network, conduct, max_peers=6, slots={"chat": 5}, pace=10) as node, trio.open_nursery() as nursery:
            events = node.events()
            nursery.start_soon(node._steering.collect, candidates(other.record for other in all_others))
            await trio.sleep(8 * 360)  # eight hours at that pace, in which the others do not have much to do
            best = sum(sorted(names(node, all_others))[-4:])
            assert best >= 0.9 * (8 + 9 + 10 + 11), names(node, all_others)
            decisions = [event.decision for event in _taken(events) if isinstance(event, SlotDecision)]
            swaps = [decision for decision in decisions if isinstance(decision, Swap)]
            assert swaps
            assert all(swap.reason for swap in decisions)
            nursery.cancel_scope.cancel()


@pytest.mark.simulation
async def test_at_random_it_would_not() -> None:
    """The control of the test above: without what the capability says, nobody is better than another."""
    network = Network()
    async with others(network, 8) as all_others, steered(network, {}, max_peers=3, pace=10) as node, trio.open_nursery() as nursery:
        nursery.start_soon(node._steering.collect, candidates(other.record for other in all_others))
        await trio.sleep(8 * 360)  # eight hours at that pace, in which the others do not have much to do
        view = node.slots()
        assert len({round(peer.quantiles["chat"], 3) for peer in view.peers}) == 1
        nursery.cancel_scope.cancel()


async def test_bad_conduct_ends_a_session_at_the_next_tick_and_bans() -> None:
    network = Network()
    async with others(network, 2) as (good, bad), steered(network, {bytes(good.public_key): 1.0, bytes(bad.public_key): -4.0}) as node:
        events = node.events()
        await good.connect(node.record)
        peer = await bad.connect(node.record)
        end = await peer.wait_ended()
        assert end.reason == DisconnectReason.USELESS_PEER
        assert trio.current_time() < 25, "two ticks"
        await node.roster.wait_left(bad.public_key)
        assert [one.public_key for one in node.connected] == [good.public_key]
        (drop,) = [event.decision for event in _taken(events) if isinstance(event, SlotDecision)]
        assert isinstance(drop, Drop)
        assert "it lied" in drop.reason
        with pytest.raises(DialError) as refused:
            await _refused(bad, node)
        assert refused.value.reason == DisconnectReason.USELESS_PEER
        (refusal,) = [event.decision for event in _taken(events) if isinstance(event, SlotDecision)]
        assert isinstance(refusal, Refuse)
        assert refusal.reason.startswith("banned: ")


@pytest.mark.parametrize("pace", [1.0, 60.0])
async def test_at_another_pace_the_policy_lives_so_many_times_faster_and_the_user_does_not(pace) -> None:
    network = Network()
    async with others(network, 2) as (good, bad), steered(network, {bytes(bad.public_key): -4.0}, pace=pace) as node:
        assert node.pace == pace
        await (await bad.connect(node.record)).wait_ended()
        assert trio.current_time() < 25 / pace, "two ticks"
        node.ban(good.record, seconds=60)
        bans = {ban.id: ban.until - ban.begun for ban in node.policy.bans.active(trio.current_time())}
        assert bans == pytest.approx({bad.record.id: LONG_BAN / pace, good.record.id: 60.0})


async def test_trusted_peers_are_let_in_when_all_places_are_taken() -> None:
    network = Network()
    async with (
        others(network, 3) as (first, second, friend),
        running(network, "busy", max_peers=1, trusted_peers=[friend.record]) as node,
    ):
        await first.connect(node.record)
        with pytest.raises(DialError):
            await _refused(second, node)
        await friend.connect(node.record)
        await wait_all_tasks_blocked()
        assert len(node.connected) == 2
        assert [peer.why for peer in node.slots().peers if peer.id == friend.record.id] == ["trusted or static: outside of all slots"]


async def test_peers_can_be_requested() -> None:
    network = Network()
    async with others(network, 5) as all_others:
        conduct = {bytes(other.public_key): float(number) for number, other in enumerate(all_others)}
        async with steered(network, conduct, max_peers=6, slots={"chat": 1}) as node, trio.open_nursery() as nursery:
            assert node.slots().capabilities[0].spec.minimum == 0
            nursery.start_soon(node._steering.collect, candidates(other.record for other in all_others))
            peers = await node.request_peers(Judged, 4)
            assert len(peers) == 4
            assert all(Judged in peer for peer in peers)
            with pytest.raises(LocalProtocolError, match="7 peers of chat are more than max_peers, which is 6"):
                await node.request_peers(Judged, 7)
            nursery.cancel_scope.cancel()


async def test_a_user_can_ban_a_node() -> None:
    network = Network()
    async with others(network, 1) as (other,), running(network, "banning") as node:
        peer = await other.connect(node.record)
        await wait_all_tasks_blocked()
        events = node.events()
        node.ban(node.connected[0], seconds=60, reason="spam")
        assert (await peer.wait_ended()).reason == DisconnectReason.USELESS_PEER
        with pytest.raises(DialError):
            await _refused(other, node)
        assert any(isinstance(event, PeerDropped) and event.end.detail == "banned: spam" for event in _taken(events))
        await trio.sleep(60)
        await other.connect(node.record)


async def test_a_ban_by_the_user_is_in_the_book_at_once(tmp_path: Path) -> None:
    with Book.open(tmp_path / "book.db") as book:
        async with running(Network(), book=book) as node:
            await trio.sleep(5)
            node.ban(NodeRecord(KEYS[0].public_key), seconds=60, reason="spam")
            await wait_all_tasks_blocked()
            assert [ban.reason for ban in book.standings.bans] == ["spam"]
            assert trio.current_time() < 10


async def test_ratings_bans_and_anchors_survive_a_restart(tmp_path: Path) -> None:
    network, book = Network(), tmp_path / "book.db"
    async with others(network, 4) as all_others:
        good, poor, hostile, stranger = all_others
        conduct = {bytes(good.public_key): 9.0, bytes(poor.public_key): 0.5, bytes(hostile.public_key): -4.0}
        async with steered(network, conduct, book=book) as node, trio.open_nursery() as nursery:
            nursery.start_soon(node._steering.collect, candidates(other.record for other in (good, poor, hostile)))
            await trio.sleep(1805)
            before = node.policy.ratings.standing(good.record.id, "chat", trio.current_time())
            await _hung_up(node, good)  # when a node ends, too, some are gone before the last save, and are anchors nevertheless
            node._steering.save()
            nursery.cancel_scope.cancel()
        async with steered(network, {}, book=book, max_peers=4) as node, trio.open_nursery() as nursery:
            events = node.events()
            after = node.policy.ratings.standing(good.record.id, "chat", trio.current_time())
            assert after.rating == pytest.approx(before.rating, rel=0.1)
            assert after.score == pytest.approx(before.score, rel=0.1)
            await trio.sleep(11)
            connected = [event.peer.public_key for event in _taken(events) if isinstance(event, PeerConnected)]
            assert good.public_key in connected, "an anchor is dialled before discovery has found anybody"
            with pytest.raises(DialError) as refused:
                await _refused(hostile, node)
            assert refused.value.reason == DisconnectReason.USELESS_PEER
            assert stranger.public_key not in connected
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.249, 0.3])
async def test_a_candidate_is_dialled_at_once_whenever_it_comes(after: float) -> None:
    """Also just after a look for somebody to dial, which did not find it: it does not wait for the next tick."""
    network = Network()

    async def late(record: NodeRecord) -> AsyncIterator[Candidate]:
        await trio.sleep(after)
        yield Candidate(record, "v4")
        await trio.sleep_forever()

    async with others(network, 1) as (other,), steered(network, {}) as node, trio.open_nursery() as nursery:
        events, begun = node.events(), trio.current_time()
        nursery.start_soon(node._steering.collect, late(other.record))
        async for event in events:
            if isinstance(event, PeerConnected):
                break
        assert trio.current_time() - begun < after + 2 * BETWEEN_DIALS
        nursery.cancel_scope.cancel()


async def test_when_a_dial_has_led_to_a_session_the_next_one_is_dialled_at_once() -> None:
    """While all dials are under way there is nobody to be dialled, and dials that succeed change that, too."""
    network = Network()
    async with AsyncExitStack() as stack:
        records = [(await stack.enter_async_context(running(network, f"node{n}", key=key))).record for n, key in enumerate(MANY)]
        node = await stack.enter_async_context(steered(network, {}, slots={"chat": 40}))
        begun = trio.current_time()
        await trio.lowlevel.checkpoint()
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(node._steering.collect, candidates(records))
        while len(node.connected) < len(MANY):
            assert trio.current_time() < begun + 2, f"{len(node.connected)} of {len(MANY)}"
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()


async def _hung_up(node: Node, other: Node) -> None:
    (peer,) = [peer for peer in node.connected if peer.public_key == other.public_key]
    peer.disconnect()
    await node.roster.wait_left(other.public_key)


def _taken(events: Any) -> list[Any]:
    """What a subscription has got so far."""
    taken = list(events._events)
    events._events.clear()
    return taken


async def _refused(dialler: Node, node: Node) -> None:
    """Dial a node that refuses, as a DialError whenever it says so: with its Hello, or just after it."""
    peer = await dialler.connect(node.record)
    end = await peer.wait_ended()
    raise DialError("refused", target=node.record, reason=end.reason)
