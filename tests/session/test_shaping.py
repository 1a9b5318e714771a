"""What is seen on the way of sessions that are shaped: sizes and times of all that is sent; and what padding never does."""

import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from devp2p import Channel, DisconnectReason, Limits, Node, Peer, PrivateKey, open_node
from devp2p.capability import AnyCapability
from devp2p.conduct import ConductReport
from devp2p.session.credit_line import CreditLine
from devp2p.session.egress import Egress
from devp2p.session.shaped import PadWatch
from devp2p.transports import MemoryTransport
from devp2p.wire.dpx import UNSHAPED, Shaping, ShapingMode
from devp2p.wire.dpx.control import Shape
from devp2p.wire.dpx.shaping import bucket_of
from tests.chat import Blob, Chat, ChatMessage, Say, chat
from tests.likeness import likeness
from tests.session.test_caps import Quiet, received
from tests.session.test_quality_of_service import Flood, flood


@dataclass
class Seen:
    """All that egresses sent: when, and how many bytes."""

    flushes: list[tuple[float, int]] = field(default_factory=list)

    @property
    def sizes(self) -> set[int]:
        return {size for _, size in self.flushes}

    def since(self, start: float) -> list[tuple[float, int]]:
        return [(now, size) for now, size in self.flushes if now >= start]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[int, Seen]:
    """By the egress, in the order in which they sent for the first time."""
    found: dict[int, Seen] = {}
    send = Egress.send

    async def watched(self: Egress, data: bytearray) -> None:
        found.setdefault(id(self), Seen()).flushes.append((trio.current_time(), len(data)))
        await send(self, data)

    monkeypatch.setattr(Egress, "send", watched)
    return found


@asynccontextmanager
async def shaped(
    left: Sequence[AnyCapability],
    right: Sequence[AnyCapability],
    ours: Shaping,
    theirs: Shaping = UNSHAPED,
    *,
    dpx: bool = True,
    **options: Any,
) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes, of which the first dials the second, which may not speak dpx/1."""
    network = MemoryTransport()
    options = {"limits": Limits(ping_interval=10**6), "strict": True, **options}
    async with (
        open_node(PrivateKey.generate(), left, transports=[network], shaping=ours, **options) as one,
        open_node(
            PrivateKey.generate(), right, transports=[network], shaping=theirs, dpx=dpx, listen=["memory://right"], **options
        ) as other,
    ):
        events = other.events()
        await one.connect(other.record)
        while not other.connected:
            await anext(events)
        yield one, other


async def converse(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
    """Say things of many sizes, at many times."""
    for number in range(40):
        await channel.send(Say(os.urandom(number * 37 % 1500 // 2).hex()))
        if number % 8 == 0:
            await channel.send(Blob(os.urandom(number * 700)))
        await trio.sleep(number * 0.013 % 0.4)
    await trio.sleep_forever()


def answer(heard: list[ChatMessage]) -> Callable[[Peer, Channel[ChatMessage]], Awaitable[None]]:
    async def run(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        while True:
            heard.append(await channel.receive())

    return run


def is_bucket(size: int) -> bool:
    return size == bucket_of(size)


def is_cells(size: int) -> bool:
    return size % 1024 == 0


KINDS = {
    "buckets": (Shaping.buckets(), is_bucket),
    "cells": (Shaping.cells(), is_cells),
    "paced": (Shaping.paced(200_000, gap=0.3), is_cells),
    "constant": (Shaping.constant(40_960), lambda size: size == 1024),
}


async def conversation(seen: dict[int, Seen], shaping: Shaping) -> list[int]:
    """The sizes of all flushes: of messages, pings, credit, the farewell, in both directions."""
    heard: list[ChatMessage] = []
    limits = Limits(ping_interval=2)
    async with shaped([chat(converse)], [chat(answer(heard))], shaping, shaping, limits=limits) as (one, other):
        await trio.sleep(20)
        assert len(heard) == 45
        assert other.connected[0].traffic(Chat).messages_in == 45
        one.connected[0].disconnect(DisconnectReason.REQUESTED)
        await trio.sleep(2)
    sizes = [size for watched in seen.values() for _, size in watched.flushes]
    assert len(seen) == 2
    assert len(sizes) > 50
    return sizes


@pytest.mark.parametrize("kind", KINDS)
async def test_x21_each_flush_has_one_of_the_sizes_that_are_allowed(seen: dict[int, Seen], kind: str) -> None:
    shaping, allowed = KINDS[kind]
    sizes = await conversation(seen, shaping)
    assert all(map(allowed, sizes)), sorted(set(sizes))


async def test_x21_control_without_shaping_the_sizes_tell_what_was_said(seen: dict[int, Seen]) -> None:
    sizes = await conversation(seen, UNSHAPED)
    assert sum(is_cells(size) or is_bucket(size) for size in sizes) < 0.2 * len(sizes)
    assert len(set(sizes)) > 20


async def babble(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
    """Say things all the time, with pauses."""
    chance = random.Random(7)
    while True:
        for _ in range(chance.randrange(30)):
            await channel.send(Blob(os.urandom(chance.randrange(3000))))
        await trio.sleep(chance.random() * 2)


async def gaps_of(seen: dict[int, Seen], shaping: Shaping, count: int) -> list[list[float]]:
    """So many gaps between flushes, of one that says much and of one that says hardly anything, to the millisecond."""
    samples: list[list[float]] = []
    for run in (babble, say_little):
        seen.clear()
        async with shaped([chat(run)], [chat(answer([]))], shaping):
            await trio.sleep(count / 95)
        watched = max(seen.values(), key=lambda one: len(one.flushes))
        assert watched.sizes == {1024} or shaping.mode is not ShapingMode.CONSTANT
        samples.append([round(b - a, 3) for (a, _), (b, _) in pairwise(watched.flushes)][:count])
    return samples


async def test_x21_a_constant_rate_looks_the_same_whether_or_not_there_is_something_to_say(seen: dict[int, Seen]) -> None:
    busy, idle = await gaps_of(seen, Shaping.constant(102_400), 2000)
    assert len(busy) == len(idle) == 2000
    assert likeness(busy, idle) > 0.01


async def test_x21_control_a_pace_alone_tells_when_there_is_something_to_say(seen: dict[int, Seen]) -> None:
    assert likeness(*await gaps_of(seen, Shaping.paced(102_400, gap=0.01), 2000)) < 1e-6


async def say_little(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
    """Say so little that cover goes on."""
    while True:
        await channel.send(Say("nothing new"))
        await trio.sleep(3)


def test_the_likeness_of_samples_tells_them_apart_if_they_are_not_alike() -> None:
    chance = random.Random(3)
    one, other = ([chance.random() for _ in range(2000)] for _ in range(2))
    assert likeness(one, other) > 0.01
    assert likeness(one, [value * 1.2 for value in other]) < 1e-6
    assert likeness([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == 1.0


async def test_cover_never_reaches_a_capability_and_counts_as_no_traffic() -> None:
    heard: list[ChatMessage] = []
    async with shaped([chat(answer([]))], [chat(answer(heard))], Shaping.constant(20_480)) as (one, other):
        await trio.sleep(60)
        assert heard == []
        (peer,) = other.connected
        assert peer.traffic(Chat).messages_in == peer.traffic(Chat).bytes_in == 0
        assert peer.conduct(Chat).invalid == 0
        assert one.connected
        sent, came = one.statistics.padding_out, other.statistics.padding_in
        assert 0.9 * 60 * 20_480 < came <= sent < 60 * 20_480


async def test_cover_is_no_sign_of_life() -> None:
    """A peer that sends cover and answers no Ping is not there."""
    limits = Limits(ping_interval=5, ping_timeout=5)
    async with shaped([chat(answer([]))], [chat(answer([]))], Shaping.constant(20_480), limits=limits) as (_, other):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CreditLine, "_pong", lambda _: None)
            (peer,) = other.connected
            end = await peer.wait_ended()
        assert end.reason == DisconnectReason.PING_TIMEOUT
        assert trio.current_time() < 12


@pytest.mark.parametrize("kind", ["buckets", "cells", "paced", "constant"])
async def test_the_two_sides_shape_as_each_likes(kind: str) -> None:
    """A round trip where one side is shaped and the other is not."""
    shaping, _ = KINDS[kind]
    heard: list[ChatMessage] = []

    async def ask(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        for number in range(5):
            await channel.send(Blob(bytes([number]) * 3000))
            assert await channel.receive() == Say(str(number))
        await channel.send(Say("done"))
        await trio.sleep_forever()

    async def echo(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        for _ in range(5):
            message = await channel.receive()
            assert isinstance(message, Blob)
            await channel.send(Say(str(message.data[0])))
        heard.append(await channel.receive())
        await trio.sleep_forever()

    async with shaped([chat(ask)], [chat(echo)], shaping):
        await trio.sleep(10)
    assert heard == [Say("done")]


@pytest.mark.parametrize("kind", ["paced", "constant"])
async def test_pings_are_answered_in_time_while_a_pace_starves_everything_else(kind: str) -> None:
    slow = Shaping.paced(4096) if kind == "paced" else Shaping.constant(4096)
    limits = Limits(ping_interval=2, ping_timeout=2)
    async with shaped([flood("flood", 40_000, 1)], [Quiet()], slow, slow, limits=limits) as (one, other):
        await trio.sleep(60)
        assert one.connected
        assert other.connected
        latency = one.connected[0].latency
        assert latency is not None
        assert latency <= (0.01 if kind == "paced" else 0.6)


async def test_an_urgent_message_waits_for_a_few_cells_of_a_pace_at_most() -> None:
    heard: list[float] = []

    async def tell(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        for _ in range(10):
            await trio.sleep(2)
            await channel.send(Say(str(trio.current_time())))
        await trio.sleep_forever()

    async def hear(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        async for message in channel:
            assert isinstance(message, Say)
            heard.append(trio.current_time() - float(message.text))

    ours: list[AnyCapability] = [chat(tell, urgent=(Say,)), flood("flood", 30_000, 1)]
    async with shaped(ours, [chat(hear), Quiet()], Shaping.paced(50_000)) as (_, other):
        await trio.sleep(25)
        assert received(other, Flood) > 900_000
    assert len(heard) == 10
    assert max(heard) < 0.2, "two bursts of four cells at 50,000 bytes a second are 0.16 s; a message of 30,000 takes 0.6 s"


async def test_a_pace_holds() -> None:
    async with shaped([flood("flood", 10_000, 1)], [Quiet()], Shaping.paced(50_000)) as (_, other):
        await trio.sleep(20)
        assert 0.85 < received(other, Flood) / 20 / 50_000 < 1.02


async def test_stock_peers_see_nothing_of_it(seen: dict[int, Seen]) -> None:
    """No padding, no message that was made up: as many bytes as without."""
    totals: list[int] = []
    for shaping in (Shaping(), Shaping.constant(20_480)):
        seen.clear()
        heard: list[ChatMessage] = []

        async def tell(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
            for number in range(10):
                await channel.send(Say("x" * number))
            await trio.sleep_forever()

        async with shaped([chat(tell)], [chat(answer(heard))], shaping, dpx=False):
            await trio.sleep(10)
            assert len(heard) == 10
        totals.append(sum(size for watched in seen.values() for _, size in watched.flushes))
    assert totals[0] == totals[1]


@pytest.mark.parametrize(("shaping", "even"), [(UNSHAPED, True), (Shaping.cells(), False)], ids=["off", "cells"])
async def test_with_stock_peers_pings_come_at_uneven_times(seen: dict[int, Seen], shaping: Shaping, *, even: bool) -> None:
    limits = Limits(ping_interval=10)
    async with shaped([chat(answer([]))], [chat(answer([]))], shaping, dpx=False, limits=limits):
        await trio.sleep(200)
    watched = next(iter(seen.values()))
    gaps = {round(b - a, 3) for (a, _), (b, _) in pairwise(watched.flushes) if b > a}
    assert (gaps == {10}) == even
    assert all(7 <= gap <= 11 for gap in gaps) or not even


async def test_when_the_budget_is_used_up_there_are_cells_and_nothing_more(seen: dict[int, Seen]) -> None:
    heard: list[ChatMessage] = []

    async def tell(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
        await trio.sleep(30)
        await channel.send(Say("later"))
        await trio.sleep_forever()

    async with shaped([chat(tell)], [chat(answer(heard))], Shaping.constant(10_240, budget=50 * 1024)):
        await trio.sleep(40)
    watched = max(seen.values(), key=lambda one: len(one.flushes))
    assert watched.sizes == {1024}
    assert len(watched.since(10)) < 10
    assert heard == [Say("later")]


@pytest.mark.parametrize("kind", ["buckets", "cells", "paced", "constant"])
async def test_what_is_shaped_uses_all_that_a_bandwidth_cap_leaves(kind: str) -> None:
    """Nobody else wakes what waits for the cap; and the bytes of a cell count once, whether they say something or not."""
    shaping = {"paced": Shaping.paced(200_000), "constant": Shaping.constant(40_960)}.get(kind, KINDS[kind][0])
    assert shaping is not None
    limits = Limits(max_upload=50_000, ping_interval=10**6)
    async with shaped([flood("flood", 3_000, 1)], [Quiet()], shaping, limits=limits) as (_, other):
        await trio.sleep(20)
        assert received(other, Flood) / 20 > (30_000 if kind == "constant" else 40_000)


@pytest.mark.parametrize("says_something", [True, False])
async def test_padding_that_comes_after_its_frame_is_still_behind_it(*, says_something: bool) -> None:
    """A cell of 16 KiB comes in many pieces: first its frame, later its padding. Without a frame it is too much: the control."""
    side: Any = SimpleNamespace(limits=Limits(max_download=50_000), outbox=SimpleNamespace(weights=(1,)))
    conduct = ConductReport()
    side.channel = lambda _: SimpleNamespace(conduct=conduct)
    watch = PadWatch(side, Counter())
    watch.announced(Shape(ShapingMode.CELLS, 2**14, 0, 0, 0, 0))
    for frames in range(1, 101):
        watch.judge(frames if says_something else 0)
        await trio.sleep(0.5)
        watch.came(16_000)
        watch.judge(frames if says_something else 0)
    assert (conduct.total.invalid == 0) == says_something
