"""A session goes on over another line while it runs: nothing is lost, nothing comes twice, nothing overtakes."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Channel, DisconnectReason, Limits, LocalProtocolError, Peer, PeerDisconnected, PrivateKey
from devp2p.session import LINES, LocalNode, RunningSession, Session, local_node, open_session, run_session
from devp2p.transports.links import Link
from devp2p.transports.memory import memory_link_pair, memory_mux_pair
from tests.chat import Blob, Chat, ChatMessage, Say, chat
from tests.toys.chunks import ChunkFraming, ChunkLine, chunks
from tests.toys.records import Toy

ALICE, BOB = PrivateKey.generate(), PrivateKey.generate()
KEYS = ALICE.public_key, BOB.public_key
LIMITS = Limits(ping_interval=2.0)
NOISE = random.Random(1).randbytes(30_000)


@dataclass
class End:
    """One side: what it has said and heard."""

    local: LocalNode
    said: int = 0
    heard: list[int] = field(default_factory=list[int])
    running: RunningSession | None = None
    ended: PeerDisconnected | None = None
    pace: Callable[[], float] = lambda: 0.01

    @property
    def session(self) -> RunningSession:
        assert self.running is not None
        return self.running


def count(end: End, rounds: int) -> Chat:
    """A capability that says numbers, some of them in large messages, and hears the other's."""

    async def run(_: Peer, channel: Channel[ChatMessage]) -> None:
        async def talk() -> None:
            for number in range(rounds):
                text = str(number).encode()
                await channel.send(Say(str(number)) if number % 5 else Blob(text.zfill(10) + NOISE[: number * 300]))
                end.said += 1
                await trio.sleep(end.pace())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            async for message in channel:
                end.heard.append(int(message.text if isinstance(message, Say) else message.data[:10]))  # type: ignore[union-attr]
                await trio.sleep(end.pace() / 3)

    return chat(run, bulk=())


def links(kind: str) -> tuple[Link, Link]:
    if kind == "streams":
        return memory_mux_pair(KEYS)
    return memory_link_pair(KEYS if kind == "plain" else None)


def node(key: PrivateKey, *, toy: bool, rounds: int) -> End:
    end = End(local_node(key, limits=LIMITS, strict=True))
    end.local = local_node(key, [count(end, rounds)], limits=LIMITS, strict=True, extension=Toy(chunks) if toy else None)
    return end


async def opened(pair: tuple[Link, Link], ends: tuple[End, End]) -> tuple[Session, Session]:
    """Both sides of a session, which does not run."""
    sessions: list[Session] = []

    async def accept() -> None:
        sessions.append(await open_session(pair[1], ends[1].local))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        sessions.append(await open_session(pair[0], ends[0].local, expect=BOB.public_key))
    one, other = sorted(sessions, key=lambda session: session.inbound)
    return one, other


@asynccontextmanager
async def talking(kind: str, monkeypatch: pytest.MonkeyPatch, rounds: int = 200) -> AsyncIterator[tuple[End, End, tuple[Link, Link]]]:
    """Two ends with a session over a link of some kind; `toy` is a line that interleaves, over what the handshake agrees on."""
    monkeypatch.setitem(LINES, ChunkFraming, ChunkLine)
    ends = node(ALICE, toy=kind == "toy", rounds=rounds), node(BOB, toy=kind == "toy", rounds=rounds)
    pair = links(kind)
    sessions = await opened(pair, ends)

    async def live(end: End, session: Session) -> None:
        def start(running: RunningSession) -> None:
            end.running = running

        end.ended = await run_session(session, on_start=start)

    async with trio.open_nursery() as nursery:
        for end, session in zip(ends, sessions, strict=True):
            nursery.start_soon(live, end, session)
        await wait_all_tasks_blocked()
        yield *ends, pair
        for end in ends:
            end.session.end(PeerDisconnected(DisconnectReason.CLIENT_QUITTING, by_remote=False))


async def another(kind: str, ends: tuple[End, End]) -> tuple[Session, Session]:
    """A second session of the same two, over another kind of link."""
    for end in ends:
        end.local = LocalNode(
            end.local.key,
            "again",
            end.local.capabilities,
            LIMITS,
            strict=True,
            extension=Toy(chunks) if kind == "toy" else None,
        )
    return await opened(links(kind), ends)


async def is_closed(link: Link) -> bool:
    try:
        with trio.move_on_after(1):
            stream: Any = await link.accept() if kind_of(link) == "streams" else link.stream  # type: ignore[union-attr]
            await stream.receive_some(1)
    except (trio.ClosedResourceError, trio.BrokenResourceError):
        return True
    except trio.BusyResourceError:
        pass  # the session reads it
    return False


def kind_of(link: Link) -> str:
    return "streams" if hasattr(link, "accept") else "one"


async def move_both(ends: tuple[End, End], sessions: tuple[Session, Session], *, apart: float = 0.0) -> list[bool]:
    moved: list[bool] = [False, False]

    async def move(side: int) -> None:
        await trio.sleep(apart * side)
        moved[side] = await ends[side].session.move(sessions[side])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(move, 0)
        nursery.start_soon(move, 1)
    return moved


KINDS = ["rlpx", "plain", "streams", "toy"]


@pytest.mark.parametrize("new", KINDS)
@pytest.mark.parametrize("old", KINDS)
async def test_a_session_moves_in_mid_traffic_and_every_message_comes_once(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(old, monkeypatch) as (one, other, pair):
        await trio.sleep(0.5)
        assert 20 < one.said < 100
        heard = len(one.heard), len(other.heard)
        sessions = await another(new, (one, other))
        assert await move_both((one, other), sessions, apart=0.2) == [True, True]
        assert one.said < 180, "it was in mid-traffic"
        assert await is_closed(pair[0])
        assert await is_closed(pair[1])
        await trio.sleep(60)  # pings go over the new line
        assert one.heard == other.heard == list(range(200)), (heard, old, new)
        assert one.session.peer.latency is not None
        assert one.ended is other.ended is None


@pytest.mark.parametrize("seed", range(12))
async def test_it_may_move_several_times_at_any_time(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    async with talking(chance.choice(KINDS), monkeypatch) as (one, other, _):
        for end in (one, other):
            end.pace = lambda: chance.choice([0.0, 0.001, 0.05])
        for _ in range(chance.randrange(1, 5)):
            await trio.sleep(chance.uniform(0, 1))
            sessions = await another(chance.choice(KINDS), (one, other))
            assert await move_both((one, other), sessions, apart=chance.choice([0.0, 0.001, 0.3])) == [True, True]
        await trio.sleep(60)
        assert one.heard == other.heard == list(range(200)), f"seed {seed}"


@pytest.mark.parametrize("failing", ["before", "while one waits", "never asked"])
@pytest.mark.parametrize("old", KINDS)
async def test_if_the_new_link_fails_before_both_marks_the_old_one_is_kept(old: str, failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(old, monkeypatch) as (one, other, pair):
        await trio.sleep(0.5)
        sessions = await another("plain", (one, other))
        if failing == "before":
            await sessions[1].close()
            assert await one.session.move(sessions[0]) is False
        elif failing == "while one waits":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.session.move, sessions[0])
                await trio.sleep(1)
                said = one.said
                await trio.sleep(1)
                assert one.said <= said + 1024, "what it says waits"
                await sessions[1].close()
        else:  # the other does not know of it
            assert await one.session.move(sessions[0]) is False
            with pytest.raises(PeerDisconnected):
                await sessions[1].wait_farewell()
        await sessions[1].close()
        assert not await is_closed(pair[0]) or old == "streams"
        await trio.sleep(60)
        assert one.heard == other.heard == list(range(200))
        assert one.ended is other.ended is None


async def test_after_a_move_that_failed_it_can_move_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking("rlpx", monkeypatch) as (one, other, _):
        sessions = await another("rlpx", (one, other))
        await sessions[1].close()
        assert await one.session.move(sessions[0]) is False
        assert await move_both((one, other), await another("rlpx", (one, other))) == [True, True]
        await trio.sleep(60)
        assert one.heard == other.heard == list(range(200))


async def test_if_the_old_link_breaks_meanwhile_the_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking("rlpx", monkeypatch) as (one, other, pair):
        sessions = await another("rlpx", (one, other))
        async with trio.open_nursery() as nursery:

            async def move() -> None:
                with pytest.raises(PeerDisconnected):
                    await one.session.move(sessions[0])

            nursery.start_soon(move)
            await trio.sleep(0.1)
            await pair[1].aclose()
        await trio.sleep(3)
        assert one.ended is not None
        assert one.ended.reason is DisconnectReason.NETWORK_ERROR
        with pytest.raises(PeerDisconnected):
            await sessions[1].wait_farewell()
        await sessions[1].close()


async def test_a_session_of_somebody_else_or_a_second_move_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking("rlpx", monkeypatch) as (one, other, _):
        first, second = await another("rlpx", (one, other)), await another("rlpx", (one, other))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.session.move, first[0])
            await trio.sleep(0.1)
            with pytest.raises(LocalProtocolError, match="one at a time"):
                await one.session.move(second[0])
            await first[1].close()
        with pytest.raises(LocalProtocolError, match="same peer"):
            await one.session.move(second[1])  # that is a session of the other's, with us
        with pytest.raises(PeerDisconnected):
            await second[0].wait_farewell()
        await second[0].close()


async def test_a_peer_that_marks_a_last_message_and_goes_on_is_heard_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking("rlpx", monkeypatch) as (one, other, _):
        one.session.outbox.pause()  # so it marks its last message, as if it moved
        await trio.sleep(0.1)
        one.session.outbox.resume()
        one.session._go_on.set()
        await trio.sleep(60)
        assert one.heard == other.heard == list(range(200))


@pytest.mark.parametrize("step", range(0, 40, 3))
async def test_a_move_that_is_cancelled_loses_nothing(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking("rlpx", monkeypatch) as (one, other, _):
        await trio.sleep(0.3)
        sessions = await another("plain", (one, other))
        moved: list[bool] = []

        async def move() -> None:
            moved.append(await other.session.move(sessions[1]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(move)
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_after, scope, step)
                moved.append(await one.session.move(sessions[0]))
        await trio.sleep(60)
        if one.ended is None:
            assert one.heard == other.heard == list(range(200))
        else:  # one side had both marks, and the other had given up
            assert {one.ended.reason, other.ended and other.ended.reason} == {DisconnectReason.NETWORK_ERROR}
            assert one.heard == list(range(len(one.heard)))
            assert other.heard == list(range(len(other.heard)))


async def cancel_after(scope: trio.CancelScope, steps: int) -> None:
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()
