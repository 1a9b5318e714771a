"""The demonstration's plan: who is what, how each of them then behaves on the wire, and what that is truly worth."""

import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from devp2p import Channel, Conduct, DisconnectReason, Node, Peer, PeerDisconnected, PrivateKey, RemoteProtocolError, open_node
from devp2p.capability.definition import AnyCapability
from devp2p.transports.memory import MemoryTransport
from examples.bulk import PIECE, Bulk, GetPieces, fetch
from tools.show.asking import Asking
from tools.show.conduct import BULK_RATE, ECHO_RATE, BulkByPlan, NewsByPlan, capabilities_of
from tools.show.echo import Echo, ask
from tools.show.news import INTERVAL, Item, News, NewsMessage, Subscribe, item, latest
from tools.show.plan import CAPABILITIES, FEWEST_NODES, LIVELY, MOST_NODES, SLOTS, Mood, Nature, NodePlan, plan_nodes, workers_for
from tools.show.truth import best_service, chance_service, service


def plan(nature: Nature = Nature.GOOD, *, turns: float = float("inf"), breaks: bool = False, **qualities: float) -> NodePlan:
    return NodePlan("ada", nature, 0, "memory://ada", (), 8, qualities=qualities, turns=turns, breaks=breaks)


# Plans


def test_a_seed_decides_everything():
    assert plan_nodes(30, 7, ipv6=True) == plan_nodes(30, 7, ipv6=True)
    assert plan_nodes(30, 7, ipv6=True) != plan_nodes(30, 8, ipv6=True)


@pytest.mark.parametrize("count", [FEWEST_NODES, 12, 13, 30, MOST_NODES])
def test_a_plan_has_a_bootnode_that_serves_and_somebody_who_observes(count):
    for seed in range(5):
        plans = plan_nodes(count, seed, ipv6=True)
        first, second, *_ = plans
        assert len({one.name for one in plans}) == count
        assert (first.nature, first.observer, first.worker) == (Nature.GOOD, False, 0)
        assert second.observer
        assert {one.worker for one in plans} == set(range(workers_for(count)))
        assert all(one.places <= max(3, count // 3) and set(one.qualities) == set(CAPABILITIES) for one in plans if one.observer)
        assert all(one.qualities for one in plans)


def test_thirty_nodes_have_some_of_each_kind():
    plans = plan_nodes(30, 3, ipv6=True)
    natures = Counter(one.nature for one in plans if not one.observer)
    assert natures == {Nature.GOOD: 11, Nature.SLOW: 5, Nature.USELESS: 4, Nature.HOSTILE: 4}
    assert Counter(one.breaks for one in plans if one.nature is Nature.HOSTILE) == {False: 2, True: 2}
    assert {one.external for one in plans} == {("127.0.0.1",), ("::1",), ("127.0.0.1", "::1")}
    assert {one.places for one in plans if one.observer} == {8}
    assert all(one.external == ("127.0.0.1",) for one in plan_nodes(30, 3, ipv6=False))


@pytest.mark.parametrize(
    ("one", "moods"),
    [
        (plan(), (Mood.SERVE, Mood.SERVE)),
        (plan(Nature.SLOW), (Mood.SERVE, Mood.SERVE)),
        (plan(Nature.USELESS), (Mood.SILENT, Mood.SILENT)),
        (plan(Nature.HOSTILE, turns=5.0), (Mood.SERVE, Mood.LIE)),
        (plan(Nature.HOSTILE, turns=5.0, breaks=True), (Mood.SERVE, Mood.BREAK)),
    ],
)
def test_a_hostile_node_begins_well(one, moods):
    assert (one.mood(4.9), one.mood(5.0)) == moods


# What it is truly worth


def test_only_who_serves_in_the_long_run_is_of_service():
    natures = {nature: plan(nature, bulk=0.5, turns=9.0 if nature is Nature.HOSTILE else float("inf")) for nature in Nature}
    assert {nature: one.service("bulk") for nature, one in natures.items()} == {
        Nature.GOOD: 0.5,
        Nature.SLOW: 0.5,
        Nature.USELESS: 0.0,
        Nature.HOSTILE: 0.0,
    }
    assert natures[Nature.GOOD].service("echo") == 0.0


def test_a_capability_has_a_use_for_so_many_peers():
    peers = [plan(bulk=quality / 10) for quality in range(1, 8)]
    assert service(peers) == pytest.approx(sum(sorted((q / 10 for q in range(1, 8)), reverse=True)[:SLOTS]))
    assert service([plan(bulk=1.0, echo=0.5)]) == 1.5


@pytest.mark.parametrize("seed", range(12))
def test_the_best_set_is_the_best(seed):
    dice = random.Random(seed)
    offers = [{name: dice.random() for name in dice.sample(CAPABILITIES, dice.randint(1, 3))} for _ in range(10)]
    candidates = [replace(plan(), qualities=qualities) for qualities in offers]
    best = max(service(some) for some in itertools.combinations(candidates, 5))
    assert best_service(candidates, 5) >= 0.98 * best
    assert best_service(candidates, 5) <= best + 1e-9
    assert 0 < chance_service(candidates, 5, seed) < best


def test_nobody_gives_nothing():
    assert best_service([], 8) == 0.0
    assert best_service([plan(Nature.USELESS, bulk=1.0)], 8) == 0.0
    assert chance_service([], 8, 0) == 0.0


# How they behave


@asynccontextmanager
async def connected(one: NodePlan, asker: list[AnyCapability]) -> AsyncIterator[tuple[Node, Peer]]:
    """A node that asks, and its peer that lives by a plan."""
    network = MemoryTransport()
    async with (
        open_node(PrivateKey.generate(), capabilities_of(one), listen=["memory://server"], transports=[network], strict=True) as far,
        open_node(PrivateKey.generate(), asker, transports=[network], strict=True) as near,
    ):
        yield near, await near.connect(far.enode)


def run(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("quality", [1.0, 0.25, 0.05])
def test_bulk_is_served_at_the_rate_of_the_plan(quality):
    async def main() -> None:
        async with connected(plan(bulk=quality), [Bulk()]) as (_, peer):
            began = trio.current_time()
            for _ in range(4):
                await fetch(peer[Bulk], 1, 2)
            seconds = trio.current_time() - began
            assert 8 * PIECE / seconds == pytest.approx(quality * BULK_RATE, rel=0.05)
            assert peer.conduct(Bulk).useful == 8 * PIECE

    run(main)


@pytest.mark.parametrize("quality", [1.0, 0.25, 0.05])
def test_echo_is_answered_at_the_rate_of_the_plan(quality):
    async def main() -> None:
        async with connected(plan(echo=quality), [Echo()]) as (_, peer):
            began = trio.current_time()
            for _ in range(5):
                await ask(peer[Echo], b"what")
                await trio.sleep(LIVELY.echo_pause)
            assert 5 / (trio.current_time() - began) == pytest.approx(quality * ECHO_RATE, rel=0.05)
            assert peer.conduct(Echo).useful == 5

    run(main)


async def watch(one: NodePlan, seconds: float) -> tuple[dict[str, Conduct], PeerDisconnected | None]:
    """Ask a peer for so long; return its conduct by capability, and how the session ended, if it did meanwhile."""
    asker = plan(bulk=1.0, echo=1.0)
    async with connected(one, capabilities_of(asker)) as (node, peer), trio.open_nursery() as nursery:
        nursery.start_soon(Asking(node).run)
        await trio.sleep(seconds)
        ended = peer.ended
        nursery.cancel_scope.cancel()
    return {capability.name: peer.conduct(type(capability)) for capability in peer.capabilities}, ended


def test_a_useless_node_never_answers():
    async def main() -> None:
        seen, end = await watch(plan(Nature.USELESS, bulk=1.0, echo=1.0), 25.0)
        assert end is None
        assert all(one.timeouts > 0 and one.useful == one.invalid == 0 for one in seen.values())

    run(main)


def test_a_liar_is_believed_until_it_lies():
    async def main() -> None:
        liar = plan(Nature.HOSTILE, turns=9.0, bulk=1.0, echo=1.0)
        before, _ = await watch(liar, 8.0)
        assert all(one.useful > 0 and one.invalid == 0 for one in before.values())
        after, end = await watch(liar, 30.0)
        assert all(one.useful > 0 for one in after.values())
        assert any(one.invalid > 0 for one in after.values())
        assert end is not None
        assert (end.reason, end.by_remote) == (DisconnectReason.USELESS_PEER, False)

    run(main)


@pytest.mark.parametrize("capability", ["bulk", "echo"])
def test_who_breaks_the_rules_is_thrown_out(capability):
    async def main() -> None:
        breaker = replace(plan(Nature.HOSTILE, turns=3.0, breaks=True), qualities={capability: 1.0})
        seen, end = await watch(breaker, 2.5)
        assert end is None
        assert seen[capability].useful > 0
        _, end = await watch(breaker, 4.0)
        assert end is not None
        assert (end.reason, end.by_remote) == (DisconnectReason.PROTOCOL_BREACH, False)

    run(main)


def test_who_asks_for_too_much_gets_nothing():
    async def main() -> None:
        async with connected(plan(bulk=1.0), [BulkByPlan(plan(bulk=1.0))]) as (_, peer):
            with pytest.raises(trio.TooSlowError):
                await peer[Bulk].request(GetPieces(0, 200))

    run(main)


# News


class Teller(News):
    """Tells what it is given."""

    def __init__(self, *items: Item) -> None:
        super().__init__(reads=False)
        self._items = items

    async def tell(self, peer: Peer, channel: Channel[NewsMessage]) -> None:  # noqa: ARG002
        for one in self._items:
            await channel.send(one)


NOW = 1_800_000_000.0
NUMBER = latest(NOW)


async def told(*tellers: Teller) -> tuple[News, list[Conduct]]:
    """What a reader made of what several peers told it, one after the other."""
    network, reader = MemoryTransport(), News(clock=lambda: NOW)
    conducts = []
    async with open_node(PrivateKey.generate(), [reader], transports=[network], strict=True) as near:
        for index, teller in enumerate(tellers):
            where = f"memory://{index}"
            async with open_node(PrivateKey.generate(), [teller], listen=[where], transports=[network], strict=True) as far:
                peer = await near.connect(far.enode)
                await trio.sleep(1.0)
                conducts.append(peer.conduct(News))
    return reader, conducts


def test_the_first_who_brings_an_item_is_useful():
    async def main() -> None:
        items = [item(NUMBER - 2), item(NUMBER - 1)]
        reader, (first, second) = await told(Teller(*items), Teller(*items, item(NUMBER)))
        assert (reader.first, reader.again, reader.forged) == (3, 2, 0)
        assert (first.useful, second.useful) == (2, 1)

    run(main)


@pytest.mark.parametrize("number", [NUMBER - 100, NUMBER - 40])
def test_old_news_are_of_no_use(number):
    async def main() -> None:
        reader, (conduct,) = await told(Teller(item(number)))
        assert (reader.first, reader.again, conduct.useful, conduct.invalid) == (0, 1, 0, 0)

    run(main)


@pytest.mark.parametrize("forged", [Item(NUMBER, "The end is near", bytes(32)), item(NUMBER + 1)])
def test_forged_news_are_known_as_such(forged):
    async def main() -> None:
        reader, (conduct,) = await told(Teller(forged, forged))
        assert (reader.first, reader.forged, conduct.useful, conduct.invalid) == (0, 2, 0, 6)

    run(main)


def test_a_teller_tells_its_share():
    class Clock:
        def __call__(self) -> float:
            return NOW + trio.current_time()

    async def main() -> None:
        counts = {}
        for quality in (1.0, 0.5):
            teller = NewsByPlan(plan(news=quality))
            reader = News(clock=Clock())
            teller._clock = Clock()
            network = MemoryTransport()
            async with (
                open_node(PrivateKey.generate(), [teller], listen=["memory://x"], transports=[network], strict=True) as far,
                open_node(PrivateKey.generate(), [reader], transports=[network], strict=True) as near,
            ):
                await near.connect(far.enode)
                await trio.sleep(40 + INTERVAL / 2)
            counts[quality] = reader.first
        assert counts[1.0] == pytest.approx(40 / INTERVAL, abs=2)
        assert 60 < counts[0.5] < 140  # 200 throws of a coin: five standard deviations and more

    run(main)


def test_nobody_subscribes_twice():
    class Pest(News):
        async def run(self, peer: Peer, channel: Channel[NewsMessage]) -> None:  # noqa: ARG002
            await channel.send(Subscribe())
            await channel.send(Subscribe())
            async for _ in channel:
                pass

    async def main() -> None:
        network = MemoryTransport()
        async with (
            open_node(PrivateKey.generate(), [News(reads=False)], listen=["memory://x"], transports=[network], strict=True) as far,
            open_node(PrivateKey.generate(), [Pest()], transports=[network], strict=True) as near,
        ):
            end = await (await near.connect(far.enode)).wait_ended()
        assert end.reason == RemoteProtocolError("").reason == DisconnectReason.PROTOCOL_BREACH

    run(main)
