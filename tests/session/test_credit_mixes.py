"""Whatever two sessions' capabilities send and however they read: every message comes, once, and in the order of its lane."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar

import pytest
import trio
import trio.lowlevel

from devp2p import Capability, Channel, Limits, Peer, PrivateKey
from devp2p.session import LocalNode, RunningSession, Session, open_session, run_session
from devp2p.transports.memory import memory_link_pair
from devp2p.wire.dpx import Dpx, Params

NOISE = random.Random(1).randbytes(2**18)
KEYS = PrivateKey.generate(), PrivateKey.generate()


@dataclass(frozen=True)
class Normal:
    number: int
    data: bytes
    max_size: ClassVar[int] = 2**20


@dataclass(frozen=True)
class Urgent:
    number: int
    data: bytes


@dataclass(frozen=True)
class Bulk:
    number: int
    data: bytes
    max_size: ClassVar[int] = 2**20


KINDS = (Normal, Urgent, Bulk)


class Mixed(Capability[Normal | Urgent | Bulk]):
    """Sends numbered messages of all kinds and sizes with pauses, and takes what comes with others."""

    version = 1
    messages = {0: Normal, 1: Urgent, 2: Bulk}
    urgent = {Urgent}
    bulk = {Bulk}

    def __init__(self, seed: str, count: int) -> None:
        self.chance = random.Random(seed)
        self.sent: dict[type, list[int]] = {kind: [] for kind in KINDS}
        self.heard: dict[type, list[int]] = {kind: [] for kind in KINDS}
        self._count = count

    async def run(self, peer: Peer, channel: Channel[Normal | Urgent | Bulk]) -> None:  # noqa: ARG002
        chance, sizes = self.chance, (0, 30, 500, 900, 2000, 20_000, 150_000)

        async def talk() -> None:
            for number in range(self._count):
                kind = chance.choice(KINDS)
                size = min(chance.choice(sizes), 900 if kind is Urgent else 2**20)
                at = chance.randrange(2**16)
                await channel.send(kind(number, NOISE[at : at + size]))
                self.sent[kind].append(number)
                await trio.sleep(chance.choice([0, 0, 0.001, 0.1]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            async for message in channel:
                self.heard[type(message)].append(message.number)
                await trio.sleep(chance.choice([0, 0, 0.001, 0.3]))


@asynccontextmanager
async def sessions(params: tuple[Params, Params], mixes: tuple[list[Mixed], list[Mixed]]) -> AsyncIterator[list[RunningSession]]:
    """Two ends that run, each with limits of its own."""
    links, opened, running = memory_link_pair(capacity=8192), list[Session](), list[RunningSession]()

    def local(side: int) -> LocalNode:
        dpx = Dpx(os.urandom, params=params[side])
        return LocalNode(KEYS[side], "mixed", tuple(mixes[side]), Limits(ping_interval=10.0, outbox_messages=8), strict=True, dpx=dpx)

    async def accept() -> None:
        opened.append(await open_session(links[1], local(1)))

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as opening:
            opening.start_soon(accept)
            opened.append(await open_session(links[0], local(0), expect=KEYS[1].public_key))
        for session in opened:

            async def live(session: Session) -> None:
                await run_session(session, on_start=running.append)

            nursery.start_soon(live, session)
        await trio.lowlevel.checkpoint()
        yield running
        nursery.cancel_scope.cancel()


def some_params(chance: random.Random) -> Params:
    frame = chance.choice([1024, 4000, 16_448])
    window = frame * chance.choice([2, 3, 20])
    return Params(
        max_frame=frame,
        capability_window=window,
        connection_window=window * chance.choice([1, 4]),
        reassembly=chance.choice([200_000, 2**24]),
        contexts=chance.choice([1, 2, 4]),
    )


@pytest.mark.parametrize("seed", range(5))
async def test_every_message_comes_once_and_in_the_order_of_its_lane(seed: int) -> None:
    """Over windows as small as two frames, one context or four, and links that hold 8 KiB."""
    chance = random.Random(seed)
    names = ("a", "b", "c")[: chance.randrange(1, 4)]
    kinds: list[type[Mixed]] = [type(f"Mixed_{name}", (Mixed,), {"name": name, "weight": chance.randrange(1, 4)}) for name in names]
    mixes: tuple[list[Mixed], list[Mixed]] = ([], [])
    for side, found in enumerate(mixes):
        found += [kind(f"{seed} {side} {kind.name}", 40) for kind in kinds]
    async with sessions((some_params(chance), some_params(chance)), mixes) as running:
        await trio.sleep(600)
        assert len(running) == 2
        assert [session.peer.ended for session in running] == [None, None]
        for one, other in zip(*mixes, strict=True):
            assert sum(map(len, one.sent.values())) == sum(map(len, other.sent.values())) == 40
            assert one.heard == other.sent
            assert other.heard == one.sent
