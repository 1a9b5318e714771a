"""A session moves while something is still on its way: quiet ones, in which nothing but the moves themselves says anything."""

import gc
import random
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DisconnectReason, Limits, PeerDisconnected
from devp2p.transports.links import Link
from devp2p.wire import base
from tests.chat import Say
from tests.session.moving import (
    KINDS,
    End,
    another,
    is_closed,
    move_both,
    talking,
)


@asynccontextmanager
async def quiet(kind: str) -> AsyncIterator[tuple[End, End, tuple[Link, Link]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.session.moving.LIMITS", Limits(ping_interval=10**6))
        async with talking(kind, rounds=0) as talk:
            yield talk


async def say(end: End, number: int) -> None:
    await end.session.channel(0).send(Say(str(number)))


def hold(stream: Any, gate: trio.Event) -> None:
    """Let nothing more come out of a stream before a gate opens, but for what is waited for already."""
    receive = stream.receive_some

    async def later(max_bytes: int) -> bytes:
        await gate.wait()
        data: bytes = await receive(max_bytes)
        return data

    stream.receive_some = later


async def move_in_vain(ends: tuple[End, End]) -> None:
    """One side marks its last message, and then learns that the new link is no more."""
    sessions = await another("plain", ends)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ends[0].session.move, sessions[0])
        await wait_all_tasks_blocked()
        await sessions[1].close()


@pytest.mark.parametrize("old", KINDS)
async def test_a_mark_of_a_move_that_failed_does_not_count_in_the_next(old: str) -> None:
    async with quiet(old) as (one, other, _):
        await move_in_vain((one, other))
        sessions = await another("plain", (one, other))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.session.move, sessions[1])
            await wait_all_tasks_blocked()
            await say(one, 7)
            await wait_all_tasks_blocked()
            assert other.heard == [7]
            assert await one.session.move(sessions[0]) is True
        await say(one, 8)
        await trio.sleep(1)
        assert other.heard == [7, 8]
        assert one.ended is other.ended is None


async def test_a_stream_whose_mark_is_older_than_the_first_streams_is_waited_for() -> None:
    async with quiet("streams") as (one, other, _):
        (own,) = other.session._line._own  # type: ignore[attr-defined]
        gate = trio.Event()
        hold(own.stream, gate)
        await move_in_vain((one, other))  # the mark is waited for already
        await say(one, 7)  # which is not there yet when the mark on the first stream comes
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(move_both, (one, other), await another("plain", (one, other)))
            await trio.sleep(1)
            gate.set()
        await trio.sleep(1)
        assert other.heard == [7]
        assert one.ended is other.ended is None


@pytest.mark.parametrize("old", ["rlpx", "streams", "dpx"])
async def test_an_old_link_is_not_closed_before_the_peer_has_taken_the_mark(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with quiet(old) as (one, other, pair):
        close = pair[0].aclose

        async def forget() -> None:
            """Close as QUIC does: what the peer has not got is lost."""
            other.session._line._stream._incoming.data.clear()  # type: ignore[attr-defined]
            await close()

        monkeypatch.setattr(pair[0], "aclose", forget)
        gate = trio.Event()
        hold(other.session._line._stream, gate)  # type: ignore[attr-defined]
        one.session.outbox.put_base(base.PONG, base.EMPTY_LIST)  # for what is waited for
        await say(one, 7)
        await wait_all_tasks_blocked()
        sessions = await another("plain", (one, other))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(move_both, (one, other), sessions)
            await trio.sleep(0.5)
            gate.set()
        await say(one, 8)
        await wait_all_tasks_blocked()
        assert other.heard == [7, 8]
        assert one.ended is other.ended is None


@pytest.mark.parametrize("old", KINDS)
async def test_a_peer_that_has_moved_already_is_told_why_the_session_ends(old: str) -> None:
    async with quiet(old) as (one, other, _):
        gate = trio.Event()
        hold(one.session._line._stream, gate)  # type: ignore[attr-defined]
        other.session.outbox.put_base(base.PONG, base.EMPTY_LIST)  # for what is waited for
        await wait_all_tasks_blocked()
        sessions = await another("plain", (one, other))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.session.move, sessions[1])

            async def move() -> None:
                with pytest.raises(PeerDisconnected):
                    await one.session.move(sessions[0])

            nursery.start_soon(move)
            await trio.sleep(0.1)
            one.session.peer.disconnect(DisconnectReason.TOO_MANY_PEERS)
            await trio.sleep(5)
        assert other.ended is not None
        assert (other.ended.reason, other.ended.by_remote) == (DisconnectReason.TOO_MANY_PEERS, True)


@pytest.mark.parametrize("old", KINDS)
async def test_last_words_while_it_moves_are_said_where_the_peer_listens(old: str) -> None:
    async with quiet(old) as (one, other, _):
        gate = trio.Event()
        hold(one.session._line._stream, gate)  # type: ignore[attr-defined]
        other.session.outbox.put_base(base.PONG, base.EMPTY_LIST)  # for what is waited for
        await wait_all_tasks_blocked()
        sessions = await another("plain", (one, other))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(move_both, (one, other), sessions)
            await trio.sleep(0.1)
            await say(one, 7)
            one.session.end(PeerDisconnected(DisconnectReason.REQUESTED, by_remote=False), flush=True)
            await trio.sleep(0.1)
            gate.set()
        await trio.sleep(3)
        assert other.heard == [7]
        assert other.ended is not None
        assert (other.ended.reason, other.ended.by_remote) == (DisconnectReason.REQUESTED, True)
        assert one.ended is not None


NEXT = dict(pairwise([*KINDS, *KINDS][: len(KINDS) + 1]))
"""Each kind of line after another one; the other pairs are in `make simulation`."""
PAIRS = [pytest.param(old, new, marks=() if NEXT[old] == new else pytest.mark.simulation) for old in KINDS for new in KINDS]


@pytest.mark.parametrize(("old", "new"), PAIRS)
async def test_neither_a_line_that_was_left_nor_the_session_waits_for_the_garbage_collector(old: str, new: str) -> None:
    gc.collect()
    gc.disable()
    try:
        async with quiet(old) as (one, other, _):
            lines = [weakref.ref(end.session._line) for end in (one, other)]
            assert await move_both((one, other), await another(new, (one, other))) == [True, True]
            await trio.sleep(1)
            assert [line() for line in lines] == [None, None]
            await say(one, 7)
            await trio.sleep(1)
            sessions = [weakref.ref(end.session) for end in (one, other)]
        one.running = other.running = None
        assert [session() for session in sessions] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_ends_a_move_nothing_comes_twice_or_out_of_order_and_nothing_is_left(seed: int) -> None:
    chance = random.Random(seed)
    async with talking(chance.choice(KINDS)) as (one, other, _):
        ends = one, other
        await trio.sleep(chance.uniform(0, 0.5))
        sessions = await another(chance.choice(KINDS), ends)

        async def move(side: int) -> None:
            await trio.sleep(chance.choice([0, 0, 0.01, 0.3]))
            with trio.move_on_after(chance.choice([0, 0.001, 0.01, 0.1, 10, 10, 10])), suppress(PeerDisconnected):
                await ends[side].session.move(sessions[side])

        async def end() -> None:
            for _ in range(chance.randrange(60)):
                await trio.lowlevel.checkpoint()
            await trio.sleep(chance.choice([0, 0, 0.01, 0.3]))
            over = PeerDisconnected(DisconnectReason.REQUESTED, by_remote=False)
            chance.choice(ends).session.end(over, flush=chance.choice([True, False]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(move, 0)
            nursery.start_soon(move, 1)
            if chance.random() < 0.7:
                nursery.start_soon(end)
        await trio.sleep(60)
        for each in ends:
            assert each.heard == list(range(len(each.heard)))
        assert (one.ended is None) == (other.ended is None)
        if one.ended is None:
            assert len(one.heard) == len(other.heard) == 200
    for each, session in zip(ends, sessions, strict=True):
        assert each.session.budget.used == 0
        assert await is_closed(session.link)
