"""Over dpx/1 no byte of credit is lost, however messages end: taken, answered, given up, for nobody, or by the end of a capability."""

import random
from dataclasses import dataclass
from typing import Any, ClassVar

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Capability, Channel, Limits, Peer, Request, Response
from devp2p.wire.dpx import Contexts, Params
from tests.wires import WIRES


@dataclass(frozen=True)
class Get(Request["Data"]):
    size: int
    delay: int


@dataclass(frozen=True)
class Data(Response):
    data: bytes
    max_size: ClassVar[int] = 2**20


@dataclass(frozen=True)
class News:
    data: bytes
    max_size: ClassVar[int] = 2**20


NOISE = random.Random(4).randbytes(2**17)


class Store(Capability[Get | Data | News]):
    name, version = "store", 1
    messages = {0: Get, 1: Data, 2: News}
    urgent = {Get}
    optional = True

    def __init__(self, seed: int, *, brief: bool = False) -> None:
        self.seed, self.brief = seed, brief
        self.taken = 0

    async def run(self, peer: Peer, channel: Channel[Get | Data | News]) -> None:  # noqa: ARG002
        chance = random.Random(self.seed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.talk, channel, chance)
            async for message in channel:
                self.taken += 1
                if isinstance(message, Get):
                    nursery.start_soon(self.answer, channel, message)
                elif not chance.randrange(4):
                    await trio.sleep(chance.random())
                if self.brief and self.taken > 20:
                    nursery.cancel_scope.cancel()

    async def answer(self, channel: Channel[Any], get: Get) -> None:
        await trio.sleep(get.delay)
        await channel.send(Data(get.request_id, NOISE[: get.size]))

    async def talk(self, channel: Channel[Any], chance: random.Random) -> None:
        """Ask for answers small and large, some of which come too late or are given up, and tell news."""
        async with trio.open_nursery() as nursery:
            for _ in range(80):
                size = chance.choice([10, 1000, 20_000, 100_000])
                if chance.randrange(2):
                    await channel.send(News(NOISE[:size]))
                else:
                    nursery.start_soon(self.ask, channel, Get(size, chance.randrange(3)), chance.random() * 4)
                await trio.sleep(chance.random() / 10)

    async def ask(self, channel: Channel[Any], get: Get, patience: float) -> None:
        with trio.move_on_after(patience):
            await channel.request(get, timeout=10**6)


def assert_whole(peer: Peer, ours: Params) -> None:
    """All credit that a peer was ever given is there again, or about to be given; nothing is held or reserved."""
    session: Any = peer._end.__self__  # type: ignore[attr-defined]
    receiving: Contexts = session._line._ledgers.receiving
    assert receiving.held == 0
    assert not receiving._contexts
    windows = [window + owed for window, owed in zip(receiving._windows, receiving._owed, strict=True)]
    assert windows == [ours.connection_window, *[ours.capability_window] * (len(windows) - 1)]
    assert session.budget.used == 0


async def test_no_credit_is_lost_however_requests_and_messages_end():
    for seed in range(3):
        async with WIRES["dpx"].two_nodes([Store(seed)], [Store(seed + 10)], limits=Limits(ping_interval=10**6)) as (left, right):
            peers = left.connected[0], right.connected[0]
            await trio.sleep(60)
            await wait_all_tasks_blocked()
            for peer in peers:
                assert peer.ended is None
                assert_whole(peer, Params())


class Other(Store):
    name = "other"


async def test_nor_when_a_capability_is_done_before_the_session_is():
    left, right = [Store(1), Other(2)], [Store(3, brief=True), Other(4)]
    async with WIRES["dpx"].two_nodes(left, right, limits=Limits(ping_interval=10**6)) as (one, other):
        peers = one.connected[0], other.connected[0]
        await trio.sleep(100)
        await wait_all_tasks_blocked()
        assert [capability.name for capability in peers[1].active] == ["other"]
        assert_whole(peers[1], Params())
